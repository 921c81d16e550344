//! Payloads on their way in: `bytes` as they are, other buffers copied, all else as MessagePack.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

/// The bytes to store for `value`. The `bytes` object itself is shared, not copied: it cannot
/// change while core hashes it without the GIL.
pub(crate) fn stored<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    match PyMemoryView::from(value) {
        Ok(view) => copied(&view),
        Err(_) => {
            static ENCODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            let encode = ENCODE.import(value.py(), "batpak._payload", "encode")?;
            Ok(encode.call1((value,))?.cast_into()?)
        }
    }
}

/// The bytes to store for each of `values`.
pub(crate) fn all_stored<'py>(values: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    if values.is_instance_of::<PyBytes>() || values.is_instance_of::<PyString>() {
        // Its items would be numbers or letters.
        return Err(PyTypeError::new_err("payloads is one payload; it must be several"));
    }
    let mut all = Vec::with_capacity(values.len().unwrap_or(0));
    for value in values.try_iter()? {
        all.push(stored(&value?)?);
    }
    Ok(all)
}

/// The bytes of a `bytes` or another buffer.
pub(crate) fn buffer<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.clone()),
        Err(_) => copied(&PyMemoryView::from(value)?),
    }
}

fn copied<'py>(view: &Bound<'py, PyMemoryView>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(view.call_method0("tobytes")?.cast_into()?)
}
