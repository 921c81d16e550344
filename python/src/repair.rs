//! Copying what is left of a damaged store.

use crate::arguments;
use crate::errors::call;
use crate::values;
use batpak_core::{RepairOptions, Store};
use pyo3::prelude::*;
use std::path::PathBuf;

/// Writes a copy of a damaged store to a new directory, which must not exist, or be empty: with all
/// events that can be read and that nothing speaks against, each under its sequence. The damaged
/// store is not changed; no writer may have it open. Nothing of a copy that failed is left under its
/// name; one that has its name is whole, and survives a power cut.
///
/// The events before the first damage are the same, hashes included: the copy is a fork of the
/// damaged store, with its own id. Those behind it have new hashes, links and clocks, and say where
/// they come from in their extension `batpak.import`. An empty event of kind `TOMBSTONE` holds the
/// place of each that was lost.
///
/// `keep_altered` carries over, marked, also events that something speaks against: their hash is not
/// that of their fields, or what was recorded later names another event in their place. Behind more
/// than `max_lost` lost events, 2^24 without it, the repair fails with `TooLargeError`.
/// `segment_bytes` is the size of segments for what is appended anew; without it, 64 MiB. With the
/// same `seed`, which is for tests, the same damage gives the same copy.
#[pyfunction]
#[pyo3(signature = (
    damaged, destination, *, keep_altered=false, max_lost=None, segment_bytes=None, seed=None,
))]
pub(crate) fn repair(
    py: Python<'_>,
    damaged: PathBuf,
    destination: PathBuf,
    keep_altered: bool,
    #[pyo3(from_py_with = arguments::optional_integer)] max_lost: Option<u64>,
    #[pyo3(from_py_with = arguments::optional_integer)] segment_bytes: Option<u64>,
    #[pyo3(from_py_with = arguments::optional_integer)] seed: Option<u64>,
) -> PyResult<Bound<'_, PyAny>> {
    let defaults = RepairOptions::default();
    let options = RepairOptions {
        keep_altered,
        max_lost: max_lost.unwrap_or(defaults.max_lost),
        segment_bytes: segment_bytes.unwrap_or(defaults.segment_bytes),
        seed,
    };
    let report = call(py, || Store::repair(&damaged, &destination, &options))?;
    values::repair_report(py, &report)
}
