//! A stored event. It exports its payload by the buffer protocol.

use crate::new_event::extension_dict;
use crate::values;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyString};
use std::collections::hash_map::DefaultHasher;
use std::ffi::c_int;
use std::hash::{Hash as _, Hasher as _};

/// A stored event. It owns a share of the bytes it shows: the event, and every memoryview of it,
/// stay valid after the store is closed.
#[pyclass(frozen, weakref, module = "batpak")]
pub(crate) struct Event(pub(crate) batpak_core::Event);

#[pymethods]
impl Event {
    /// Its place in the whole log, from 0.
    #[getter]
    fn sequence(&self) -> u64 {
        self.0.sequence()
    }

    /// Its id, 32 hex digits.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        values::id(py, self.0.id())
    }

    /// Whose event it is.
    #[getter]
    fn entity(&self) -> &str {
        self.0.entity()
    }

    /// The area it lives in.
    #[getter]
    fn scope(&self) -> &str {
        self.0.scope()
    }

    /// What it says, as an integer of 16 bits.
    #[getter]
    fn kind(&self) -> u16 {
        self.0.kind().0
    }

    /// Its place in its stream, from 0.
    #[getter]
    fn clock(&self) -> u32 {
        self.0.clock()
    }

    /// The branch of the entity's stream; 0 is the trunk.
    #[getter]
    fn lane(&self) -> u32 {
        self.0.lane()
    }

    /// How deep the branch lies; 0 is the trunk.
    #[getter]
    fn depth(&self) -> u32 {
        self.0.depth()
    }

    /// The caller's eight bits.
    #[getter]
    fn flags(&self) -> u8 {
        self.0.flags()
    }

    /// The version of the payload's schema; 0 means "not versioned".
    #[getter]
    fn payload_version(&self) -> u16 {
        self.0.payload_version()
    }

    /// When it happened, in microseconds since 1970.
    #[getter]
    fn timestamp_us(&self) -> i64 {
        self.0.timestamp_us()
    }

    /// When it was recorded, in microseconds since 1970.
    #[getter]
    fn wall_us(&self) -> i64 {
        self.0.wall_us()
    }

    /// When it happened, as a `datetime` in UTC.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::utc(py, self.0.timestamp_us())
    }

    /// The id shared by all events of its operation; its own id if none was given.
    #[getter]
    fn correlation<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        values::id(py, self.0.correlation())
    }

    /// The id of the event that caused it, or `None`.
    #[getter]
    fn causation<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.0.causation().map(|id| values::id(py, id))
    }

    /// The hash of the event before it in its stream, 32 bytes; zeros for the first.
    #[getter]
    fn prev_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.prev_hash().0)
    }

    /// The hash over the event and its stream up to it, 32 bytes.
    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.hash().0)
    }

    /// Its extensions, by rising key.
    #[getter]
    fn extensions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        extension_dict(py, self.0.extensions())
    }

    /// Whether a compaction has erased its payload, which is then empty. The hash still covers it.
    #[getter]
    fn erased(&self) -> bool {
        self.0.is_erased()
    }

    /// The payload, as a read-only view without a copy.
    #[getter]
    fn payload<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        PyMemoryView::from(slf)
    }

    /// The payload decoded from MessagePack; raises `DecodeError` if it is something else.
    fn value<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static DECODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        DECODE.import(slf.py(), "batpak._payload", "decode")?.call1((slf,))
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.payload())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        // The hash covers the whole event, but not its place in the log.
        other.cast::<Event>().is_ok_and(|other| self.identity() == other.get().identity())
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.identity().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        let event = &self.0;
        format!(
            "<batpak.Event {} {} {} {}, clock {}, lane {}, {} bytes>",
            event.sequence(),
            event.entity(),
            event.scope(),
            event.kind(),
            event.clock(),
            event.lane(),
            event.payload().len(),
        )
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "an Event is a view of a store's bytes and cannot be pickled; \
             send its sequence, or bytes(event)",
        ))
    }

    #[expect(unsafe_code, reason = "the buffer protocol has no safe form")]
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("there is no view to fill"));
        }
        let payload = slf.get().0.payload();
        // A payload's length fits `isize`, as that of every slice does.
        let (start, length) = (payload.as_ptr().cast_mut().cast(), payload.len() as isize);
        // SAFETY: the interpreter hands in a view that may be written. The event is frozen and its
        // payload lives and stays the same as long as the event; the view takes its own reference
        // to the event, and is read-only.
        let filled = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, length, 1, flags) };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}

impl Event {
    fn identity(&self) -> (u64, [u8; 32]) {
        (self.0.sequence(), self.0.hash().0)
    }
}
