//! From core's errors and panics to the exceptions that `batpak/_errors.py` defines.

use batpak_core::{Error, ErrorKind, Result};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls into core without the GIL; an error or a panic becomes an exception.
pub(crate) fn call<T: Send>(
    py: Python<'_>,
    body: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    detached(py, body).map_err(|error| exception(py, &error))
}

/// Calls into core without the GIL; a panic becomes an error of kind `Panic`.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    body: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    py.detach(|| without_panic(body))
}

pub(crate) fn without_panic<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a panic may leave half-changed is core's own state, and core poisons that itself.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let message = format!("a defect in batpak was caught: {}", panic_text(panic.as_ref()));
        // The destructor of a panic's value may panic too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
        Err(Error::new(ErrorKind::Panic, message))
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}

/// The exception for an error. If it cannot be made, the exception that says why.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    make(py, error).unwrap_or_else(|failure| failure)
}

/// The exception of this kind with this message.
pub(crate) fn refuse(py: Python<'_>, kind: ErrorKind, message: impl Into<String>) -> PyErr {
    exception(py, &Error::new(kind, message))
}

fn make(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    static CLASSES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let classes = CLASSES.get_or_try_init(py, || {
        let classes = py.import("batpak._errors")?.getattr("CLASSES")?;
        PyResult::Ok(classes.cast_into::<PyDict>()?.unbind())
    })?;
    let class = classes.bind(py).as_any().get_item(error.kind().code())?;
    let place = PyDict::new(py);
    place.set_item("path", error.path().map(|path| path.as_os_str()))?;
    place.set_item("segment", error.segment())?;
    place.set_item("offset", error.offset())?;
    place.set_item("os_code", error.os_code())?;
    Ok(PyErr::from_value(class.call((error.message(),), Some(&place))?))
}

/// The number, name and retry class of every error kind, as core has them.
#[pyfunction]
pub(crate) fn error_kinds() -> Vec<(i32, &'static str, &'static str)> {
    ErrorKind::ALL.iter().map(|kind| (kind.code(), kind.name(), kind.retry().name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let message = |panic: Result<()>| {
            let error = panic.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Panic);
            error.message().to_owned()
        };
        let said = "a defect in batpak was caught: ";
        assert_eq!(message(without_panic(|| panic!("static"))), format!("{said}static"));
        assert_eq!(message(without_panic(|| panic!("{}", 7))), format!("{said}7"));
        let silent = || std::panic::resume_unwind(Box::new(7));
        assert_eq!(message(without_panic(silent)), format!("{said}no message"));
    }

    #[test]
    fn a_panic_value_that_panics_when_dropped_is_caught_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let result = without_panic::<()>(|| std::panic::panic_any(Bomb));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Panic);
    }
}
