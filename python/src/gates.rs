//! Gates that are Python functions.

use crate::arguments::{self, GATE_MODES};
use crate::errors::{call, detached, exception, refuse};
use crate::new_event::{NewEvent, lend};
use crate::values;
use batpak_core::{
    Durability, ErrorKind, GateMode, GateOutcome, GateSet, Receipt, Refusal, Store, Verdict,
};
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList, PyString};
use std::cell::RefCell;

/// Named Python functions that are asked before an append.
pub(crate) struct Gates {
    checks: Vec<(String, Py<PyAny>)>,
    mode: GateMode,
    record_denial: bool,
}

/// What the gates did, besides what core makes of it.
#[derive(Default)]
struct Asked {
    /// Every refusal, as an outcome.
    refusals: Vec<GateOutcome>,
    /// The first exception that a gate raised, and the gate's name.
    raised: Option<(String, PyErr)>,
}

impl Gates {
    /// From a mapping of names to functions, or pairs of them; `None` is no gates.
    pub(crate) fn new(
        gates: Option<&Bound<'_, PyAny>>,
        mode: &str,
        record_denial: bool,
    ) -> PyResult<Option<Self>> {
        let Some(gates) = gates else { return Ok(None) };
        let mode = arguments::word(gates.py(), "gate_mode", GATE_MODES, mode)?;
        let checks =
            arguments::pairs(gates)?.map(|pair| pair?.extract()).collect::<PyResult<_>>()?;
        Ok(Some(Self { checks, mode, record_denial }))
    }

    /// Runs `body` with core's form of these gates. It may be called without the GIL: each gate
    /// takes the GIL for itself.
    fn with_set<R>(&self, asked: &mut Asked, body: impl FnOnce(&GateSet<'_>) -> R) -> R {
        let record = RefCell::new(asked);
        let mut set = GateSet::default();
        set.mode = self.mode;
        set.record_denial = self.record_denial;
        for (name, check) in &self.checks {
            let record = &record;
            set.push(name, move |event| {
                let answer = Python::attach(|py| ask(py, check, event));
                let refusal = answer.unwrap_or_else(|(refusal, error)| {
                    record.borrow_mut().raised.get_or_insert((name.clone(), error));
                    Some(refusal)
                });
                let Some(refusal) = refusal else { return Ok(()) };
                let verdict = Verdict::Deny(refusal.clone());
                record.borrow_mut().refusals.push(GateOutcome { gate: name.clone(), verdict });
                Err(refusal)
            });
        }
        body(&set)
    }

    /// Appends the events if every gate permits every one of them.
    pub(crate) fn append(
        &self,
        py: Python<'_>,
        store: &Store,
        events: &[batpak_core::NewEvent<'_>],
        durability: Option<Durability>,
    ) -> PyResult<Vec<Receipt>> {
        let mut asked = Asked::default();
        let result = detached(py, || {
            self.with_set(&mut asked, |set| store.append_gated(events, set, durability))
        });
        if let Some((gate, error)) = asked.raised {
            return Err(raised(py, &gate, error));
        }
        result.map_err(|error| {
            let exception = exception(py, &error);
            if error.kind() == ErrorKind::Denied {
                attach_refusals(py, &exception, &asked.refusals).err().unwrap_or(exception)
            } else {
                exception
            }
        })
    }
}

fn attach_refusals(py: Python<'_>, exception: &PyErr, refusals: &[GateOutcome]) -> PyResult<()> {
    let outcomes = refusals.iter().map(|outcome| values::gate_outcome(py, outcome));
    let list = PyList::new(py, outcomes.collect::<PyResult<Vec<_>>>()?)?;
    exception.value(py).setattr("refusals", list)
}

/// Asks one gate. `Err`, with what may be recorded of it, when it raised or gave no answer.
fn ask(
    py: Python<'_>,
    check: &Py<PyAny>,
    event: &batpak_core::NewEvent<'_>,
) -> Result<Option<Refusal>, (Refusal, PyErr)> {
    let answer = || -> PyResult<Option<Refusal>> {
        let answer = check.bind(py).call1((NewEvent::seen_by_gate(py, event),))?;
        if answer.is_none() {
            return Ok(None);
        }
        if let Ok(permitted) = answer.cast::<PyBool>() {
            let refusal = Refusal { code: "DENIED".into(), message: String::new() };
            return Ok((!permitted.is_true()).then_some(refusal));
        }
        if let Ok(message) = answer.cast::<PyString>() {
            return Ok(Some(Refusal { code: "DENIED".into(), message: message.extract()? }));
        }
        match (answer.getattr("code"), answer.getattr("message")) {
            (Ok(code), Ok(message)) => {
                Ok(Some(Refusal { code: code.extract()?, message: message.extract()? }))
            }
            _ => Err(PyTypeError::new_err(format!(
                "a gate returns None, a bool, a str or a Refusal, not {}",
                answer.get_type().name()?
            ))),
        }
    };
    answer().map_err(|error| {
        let message = format!("the gate raised {}", error.get_type(py));
        (Refusal { code: "GATE_DEFECT".into(), message }, error)
    })
}

/// What the caller sees of an exception in a gate: `CallbackError` from it, but an exit or an
/// interrupt as it is.
fn raised(py: Python<'_>, gate: &str, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyException>(py) {
        return error;
    }
    let message = format!("the gate `{gate}` raised {error}");
    let callback = refuse(py, ErrorKind::Callback, message);
    callback.set_cause(py, Some(error));
    callback
}

/// Asks gates about an event without appending it. Gives `None` when every gate permits it, and
/// otherwise each gate's verdict, which `Store.record_denial` takes.
#[pyfunction]
#[pyo3(signature = (event, gates, *, gate_mode="fail_fast"))]
pub(crate) fn evaluate<'py>(
    py: Python<'py>,
    event: &NewEvent,
    gates: &Bound<'py, PyAny>,
    gate_mode: &str,
) -> PyResult<Option<Bound<'py, PyList>>> {
    let Some(gates) = Gates::new(Some(gates), gate_mode, false)? else { return Ok(None) };
    let mut asked = Asked::default();
    let outcomes = lend(py, &[event], |lent| {
        call(py, || Ok(gates.with_set(&mut asked, |set| set.evaluate(&lent[0]))))
    })??;
    if let Some((gate, error)) = asked.raised {
        return Err(raised(py, &gate, error));
    }
    let Some(outcomes) = outcomes else { return Ok(None) };
    let outcomes = outcomes.iter().map(|outcome| values::gate_outcome(py, outcome));
    Ok(Some(PyList::new(py, outcomes.collect::<PyResult<Vec<_>>>()?)?))
}

/// A `GateOutcome` of Python as core's.
pub(crate) fn outcome(value: &Bound<'_, PyAny>) -> PyResult<GateOutcome> {
    let gate = value.getattr("gate")?.extract()?;
    let verdict: String = value.getattr("verdict")?.extract()?;
    let verdict = match verdict.as_str() {
        "permit" => Verdict::Permit,
        "skipped" => Verdict::Skipped,
        "deny" => {
            let refusal = value.getattr("refusal")?;
            let code = refusal.getattr("code")?.extract()?;
            Verdict::Deny(Refusal { code, message: refusal.getattr("message")?.extract()? })
        }
        _ => {
            let message = format!("verdict is `{verdict}`; it must be permit, deny or skipped");
            return Err(refuse(value.py(), ErrorKind::InvalidArgument, message));
        }
    };
    Ok(GateOutcome { gate, verdict })
}
