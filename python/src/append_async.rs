//! Appends that an event loop waits for.

use crate::errors::{exception, refuse, without_panic};
use crate::gates::Gates;
use crate::new_event::{NewEvent, lend};
use crate::outbox::{Promise, running_loop};
use crate::receipt::Receipt;
use crate::store::Store;
use batpak_core::{Durability, ErrorKind};
use pyo3::IntoPyObjectExt;
use pyo3::intern;
use pyo3::prelude::*;

/// An append to be started, of one event or of a batch.
pub(crate) struct Append {
    pub(crate) store: Py<Store>,
    pub(crate) events: Vec<Py<NewEvent>>,
    /// Whether the answer is one receipt, not a list.
    pub(crate) single: bool,
    pub(crate) durability: Option<Durability>,
}

impl Append {
    /// Starts the append and gives the future of its answer. What is not started raises at once.
    /// Appends without gates take place in the order in which a thread starts them.
    pub(crate) fn start(self, py: Python<'_>, gates: Option<Gates>) -> PyResult<Bound<'_, PyAny>> {
        let event_loop = running_loop(py)?;
        if let Some(gates) = gates {
            // Gates are Python functions that may take their time: not on the loop's thread.
            let call = (py.None(), GatedAppend { append: self, gates });
            return event_loop.call_method1(intern!(py, "run_in_executor"), call);
        }
        let (promise, future) = Promise::new(&event_loop)?;
        let single = self.single;
        let then = Box::new(move |result: batpak_core::Result<Vec<batpak_core::Receipt>>| {
            promise.keep(move |py| match result {
                Ok(receipts) => answer(py, receipts, single),
                Err(error) => Err(exception(py, &error)),
            });
        });
        let store = &self.store.get().handle;
        let events: Vec<&NewEvent> = self.events.iter().map(Py::get).collect();
        let started = lend(py, &events, |lent| {
            py.detach(|| without_panic(|| store.append_then(lent, self.durability, then)))
        });
        match started.and_then(|started| started.map_err(|error| exception(py, &error))) {
            Ok(()) => Ok(future),
            Err(error) => {
                // The caller gets the error now; the promise, which is lost, must not tell of it.
                future.call_method0(intern!(py, "cancel"))?;
                Err(error)
            }
        }
    }
}

/// An append whose gates are asked on a thread of the loop's executor.
#[pyclass(frozen)]
struct GatedAppend {
    append: Append,
    gates: Gates,
}

#[pymethods]
impl GatedAppend {
    fn __call__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Append { store, events, single, durability } = &self.append;
        let events: Vec<&NewEvent> = events.iter().map(Py::get).collect();
        let receipts = lend(py, &events, |lent| {
            self.gates.append(py, &store.get().handle, lent, *durability)
        })??;
        answer(py, receipts, *single)
    }
}

fn answer(
    py: Python<'_>,
    receipts: Vec<batpak_core::Receipt>,
    single: bool,
) -> PyResult<Py<PyAny>> {
    let mut receipts: Vec<Receipt> = receipts.into_iter().map(Receipt).collect();
    if !single {
        return receipts.into_py_any(py);
    }
    match receipts.pop() {
        Some(receipt) => receipt.into_py_any(py),
        None => Err(refuse(py, ErrorKind::Panic, "an append gave no receipt")),
    }
}
