//! The receipt of an append.

use crate::arguments;
use crate::values;
use batpak_core::{Hash, Id};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString, PyTuple};

/// Proof that an event was accepted, and where.
#[pyclass(frozen, eq, module = "batpak")]
#[derive(PartialEq, Eq)]
pub(crate) struct Receipt(pub(crate) batpak_core::Receipt);

#[pymethods]
impl Receipt {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "they are the fields, for unpickling")]
    fn new(
        #[pyo3(from_py_with = arguments::id)] id: Id,
        sequence: u64,
        clock: u32,
        lane: u32,
        timestamp_us: i64,
        wall_us: i64,
        hash: [u8; 32],
        duplicate: bool,
    ) -> Self {
        let hash = Hash(hash);
        Self(batpak_core::Receipt {
            id,
            sequence,
            clock,
            lane,
            timestamp_us,
            wall_us,
            hash,
            duplicate,
        })
    }

    /// The event's id, 32 hex digits.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        values::id(py, self.0.id)
    }

    /// Its place in the whole log, from 0.
    #[getter]
    fn sequence(&self) -> u64 {
        self.0.sequence
    }

    /// Its place in its stream, from 0.
    #[getter]
    fn clock(&self) -> u32 {
        self.0.clock
    }

    /// Its lane.
    #[getter]
    fn lane(&self) -> u32 {
        self.0.lane
    }

    /// When it happened, in microseconds since 1970.
    #[getter]
    fn timestamp_us(&self) -> i64 {
        self.0.timestamp_us
    }

    /// When it was recorded, in microseconds since 1970.
    #[getter]
    fn wall_us(&self) -> i64 {
        self.0.wall_us
    }

    /// The hash over the event and its stream up to it, 32 bytes.
    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.hash.0)
    }

    /// Whether the append repeated an earlier one, which it then describes.
    #[getter]
    fn duplicate(&self) -> bool {
        self.0.duplicate
    }

    fn __getnewargs__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let batpak_core::Receipt { sequence, clock, lane, timestamp_us, wall_us, .. } = self.0;
        let (id, hash, duplicate) = (self.id(py), self.hash(py), self.0.duplicate);
        (id, sequence, clock, lane, timestamp_us, wall_us, hash, duplicate).into_pyobject(py)
    }

    fn __repr__(&self) -> String {
        let batpak_core::Receipt { id, sequence, clock, lane, duplicate, .. } = &self.0;
        let repeated = if *duplicate { ", duplicate" } else { "" };
        format!("<batpak.Receipt {sequence} {id}, clock {clock}, lane {lane}{repeated}>")
    }
}

/// The receipts of a batch, in order; each is made when it is looked at.
#[pyclass(frozen, module = "batpak")]
pub(crate) struct Receipts(pub(crate) Vec<batpak_core::Receipt>);

#[pymethods]
impl Receipts {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __getitem__(&self, index: isize) -> PyResult<Receipt> {
        let place = if index < 0 { index + self.0.len() as isize } else { index };
        let receipt = usize::try_from(place).ok().and_then(|place| self.0.get(place));
        let receipt = receipt.ok_or_else(|| PyIndexError::new_err("there are fewer receipts"))?;
        Ok(Receipt(receipt.clone()))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let receipts: Vec<_> = self.0.iter().cloned().map(Receipt).collect();
        receipts.into_bound_py_any(py)?.try_iter()
    }

    fn __repr__(&self) -> String {
        format!("<batpak.Receipts of {} events>", self.0.len())
    }
}
