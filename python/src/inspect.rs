//! Looking at a directory without opening it.

use crate::errors::call;
use crate::values;
use batpak_core::Store;
use pyo3::prelude::*;
use std::path::PathBuf;

/// Looks at a directory: what it holds, its health as far as opening checks it, and what opening it
/// would do. Changes nothing, and does not disturb a live writer. To check every byte, open it with
/// `mode="read_only"` and call `verify`.
///
/// Raises only if the directory could not be looked at.
#[pyfunction]
pub(crate) fn inspect(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyAny>> {
    values::inspection(py, &call(py, || Store::inspect(&path))?)
}
