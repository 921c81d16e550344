//! Compaction, and the Python functions that it asks.

use crate::arguments::{self, KEY_OVERFLOWS, UNWANTED};
use crate::errors::{detached, exception};
use crate::event::Event;
use crate::reading::region;
use crate::values;
use batpak_core::{
    CompactOptions, CompactProgress, CompactReport, Error, ErrorKind, Keys, Region, Retention,
    Store, Unwanted,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::cell::RefCell;

/// A `Retention` of Python, taken apart.
pub(crate) struct Rules {
    region: Region,
    before: Option<u64>,
    older_than_us: Option<i64>,
    newest_per_entity: Option<u64>,
    unwanted: Unwanted,
    keys: Keys,
    keep: Option<Py<PyAny>>,
}

impl Rules {
    /// From a `Retention`; `None` is none.
    pub(crate) fn optional(value: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        static RETENTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        if value.is_none() {
            return Ok(None);
        }
        if !value.is_instance(RETENTION.import(value.py(), "batpak._retention", "Retention")?)? {
            let message = format!("retention is a Retention, not {}", value.get_type().name()?);
            return Err(PyTypeError::new_err(message));
        }
        Self::of(value).map(Some)
    }

    fn of(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let region = region(
            py,
            arguments::optional_coordinate(&value.getattr("entity")?)?,
            arguments::optional_coordinate(&value.getattr("prefix")?)?,
            arguments::optional_coordinate(&value.getattr("scope")?)?,
            arguments::optional_kind(&value.getattr("kind")?)?,
            arguments::optional_category(&value.getattr("category")?)?,
            arguments::optional_integer(&value.getattr("lane")?)?,
            arguments::optional_integer(&value.getattr("clocks")?)?,
        )?;
        let unwanted: String = value.getattr("unwanted")?.extract()?;
        Ok(Self {
            region,
            before: arguments::optional_integer(&value.getattr("before")?)?,
            older_than_us: arguments::timestamp(&value.getattr("older_than_us")?)?,
            newest_per_entity: arguments::optional_integer(&value.getattr("newest_per_entity")?)?,
            unwanted: arguments::word(py, "unwanted", UNWANTED, &unwanted)?,
            keys: keys(&value.getattr("keys")?)?,
            keep: arguments::optional_function(&value.getattr("keep")?)?,
        })
    }

    /// As core takes them, but for the function.
    fn retention<'a>(self) -> Retention<'a> {
        let Self { region, before, older_than_us, newest_per_entity, unwanted, keys, .. } = self;
        let keep = None;
        Retention { region, before, older_than_us, newest_per_entity, keep, unwanted, keys }
    }
}

fn keys(value: &Bound<'_, PyAny>) -> PyResult<Keys> {
    static KEYS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    if !value.is_instance(KEYS.import(py, "batpak._retention", "Keys")?)? {
        let message = format!("keys is a Keys, not {}", value.get_type().name()?);
        return Err(PyTypeError::new_err(message));
    }
    let defaults = Keys::default();
    let window = arguments::optional_integer(&value.getattr("window")?)?;
    let most = arguments::optional_integer(&value.getattr("most")?)?;
    let overflow: String = value.getattr("overflow")?.extract()?;
    Ok(Keys {
        window: window.unwrap_or(defaults.window),
        most: most.unwrap_or(defaults.most),
        overflow: arguments::word(py, "overflow", KEY_OVERFLOWS, &overflow)?,
    })
}

/// Compacts without the GIL, which is taken for each call of a function of Python. What such a
/// function raises ends the compaction, and is raised as it is; so does an interrupt.
pub(crate) fn run(
    py: Python<'_>,
    store: &Store,
    mut rules: Option<Rules>,
    bytes_per_second: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<CompactReport> {
    let mut raised: Option<PyErr> = None;
    let result = detached(py, || {
        let raised = RefCell::new(&mut raised);
        // Core is told that it failed, and the exception is noted beside it.
        let stop = |exception: PyErr| {
            raised.borrow_mut().get_or_insert(exception);
            Error::new(ErrorKind::Callback, "a function of Python raised an exception")
        };
        let mut tell = |at: &CompactProgress| {
            let told = Python::attach(|py| {
                if let Some(progress) = &progress {
                    progress.call1(py, (values::compact_progress(py, at)?,))?;
                }
                // Without a function of Python, too, Ctrl-C ends it.
                py.check_signals()
            });
            told.map_err(stop)
        };
        let keep = rules.as_mut().and_then(|rules| rules.keep.take());
        let mut ask = keep.map(|keep| {
            move |event: &batpak_core::Event| {
                Python::attach(|py| stays(py, &keep, event)).map_err(stop)
            }
        });
        let mut retention = rules.map(Rules::retention);
        if let (Some(retention), Some(ask)) = (&mut retention, &mut ask) {
            retention.keep = Some(ask);
        }
        store.compact(CompactOptions { retention, bytes_per_second, progress: Some(&mut tell) })
    });
    match raised {
        Some(exception) => Err(exception),
        None => result.map_err(|error| exception(py, &error)),
    }
}

/// Asks `keep` about an event. It must say it as a `bool`: a forgotten `return` must not drop events.
fn stays(py: Python<'_>, keep: &Py<PyAny>, event: &batpak_core::Event) -> PyResult<bool> {
    let answer = keep.bind(py).call1((Event(event.clone()),))?;
    answer.extract().map_err(|_| match answer.get_type().name() {
        Ok(name) => PyTypeError::new_err(format!("keep returns a bool, not {name}")),
        Err(error) => error,
    })
}
