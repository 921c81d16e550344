//! An event to append, as Python holds it, and its short loan to core.

use crate::arguments::{self, Extensions};
use crate::payload;
use crate::values;
use batpak_core::{Causation, EventKind, Expected, Id};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

/// An earlier event of the same batch or fence, by its place there, from 0.
#[pyclass(frozen, eq, hash, module = "batpak")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Item {
    /// The place in the batch or fence, from 0.
    #[pyo3(get)]
    index: u32,
}

#[pymethods]
impl Item {
    #[new]
    fn new(#[pyo3(from_py_with = arguments::integer)] index: u32) -> Self {
        Self { index }
    }

    fn __repr__(&self) -> String {
        format!("Item({})", self.index)
    }
}

/// What caused an event: an id, an `Item`, or `None`.
pub(crate) fn causation(value: &Bound<'_, PyAny>) -> PyResult<Causation> {
    if let Ok(item) = value.cast::<Item>() {
        return Ok(Causation::Item(item.get().index));
    }
    Ok(arguments::optional_id(value)?.map_or(Causation::None, Causation::Event))
}

/// The id to give to an event so that an operation takes place once, however often it is tried:
/// the same domain and components give the same id, in every language.
#[pyfunction]
#[pyo3(signature = (domain, *components))]
pub(crate) fn operation_id(domain: &str, components: &Bound<'_, PyTuple>) -> PyResult<String> {
    let bytes = |component: Bound<'_, PyAny>| match component.cast::<PyString>() {
        Ok(text) => Ok(text.to_str()?.as_bytes().to_vec()),
        Err(_) => Ok(payload::buffer(&component)?.as_bytes().to_vec()),
    };
    let components = components.iter().map(bytes).collect::<PyResult<Vec<_>>>()?;
    let slices: Vec<&[u8]> = components.iter().map(Vec::as_slice).collect();
    Ok(Id::for_operation(domain, &slices).to_string())
}

/// What an event has besides its coordinate, kind and payload.
pub(crate) struct Details {
    pub(crate) expected: Expected,
    pub(crate) id: Option<Id>,
    pub(crate) correlation: Option<Id>,
    pub(crate) causation: Causation,
    pub(crate) lane: u32,
    pub(crate) depth: u32,
    pub(crate) flags: u8,
    pub(crate) payload_version: u16,
    pub(crate) timestamp_us: Option<i64>,
    pub(crate) extensions: Extensions,
}

impl Details {
    /// The extensions as core borrows them. None take no memory.
    pub(crate) fn pairs(&self) -> Vec<(&str, &[u8])> {
        self.extensions.iter().map(|(key, bytes)| (key.as_str(), bytes.as_slice())).collect()
    }

    /// The event with these details; `pairs` are its extensions.
    pub(crate) fn event<'a>(
        &self,
        entity: &'a str,
        scope: &'a str,
        payload: &'a [u8],
        kind: EventKind,
        pairs: &'a [(&'a str, &'a [u8])],
    ) -> batpak_core::NewEvent<'a> {
        batpak_core::NewEvent {
            entity,
            scope,
            kind,
            payload,
            expected: self.expected,
            id: self.id,
            correlation: self.correlation,
            causation: self.causation,
            lane: self.lane,
            depth: self.depth,
            flags: self.flags,
            payload_version: self.payload_version,
            timestamp_us: self.timestamp_us,
            extensions: pairs,
        }
    }
}

/// An event to append. All that is not given has its default.
#[pyclass(frozen, module = "batpak")]
pub(crate) struct NewEvent {
    /// Whose event it is.
    #[pyo3(get)]
    entity: Py<PyString>,
    /// The area it lives in.
    #[pyo3(get)]
    scope: Py<PyString>,
    /// The bytes that are stored.
    #[pyo3(get)]
    payload: Py<PyBytes>,
    kind: EventKind,
    details: Details,
}

impl NewEvent {
    /// The event as core borrows it, with its `details.pairs()`.
    fn lent<'a>(
        &'a self,
        py: Python<'a>,
        pairs: &'a [(&'a str, &'a [u8])],
    ) -> PyResult<batpak_core::NewEvent<'a>> {
        let entity = arguments::text(self.entity.bind(py))?;
        let scope = arguments::text(self.scope.bind(py))?;
        Ok(self.details.event(entity, scope, self.payload.as_bytes(py), self.kind, pairs))
    }

    pub(crate) fn new(
        entity: &Bound<'_, PyString>,
        scope: &Bound<'_, PyString>,
        payload: &Bound<'_, PyAny>,
        kind: EventKind,
        details: Details,
    ) -> PyResult<Self> {
        // What has no UTF-8 form is refused here, not when it is lent.
        arguments::text(entity)?;
        arguments::text(scope)?;
        Ok(Self {
            entity: entity.clone().unbind(),
            scope: scope.clone().unbind(),
            payload: payload::stored(payload)?.unbind(),
            kind,
            details,
        })
    }

    /// A copy of the event that core shows to a gate.
    pub(crate) fn seen_by_gate(py: Python<'_>, event: &batpak_core::NewEvent<'_>) -> Self {
        let extensions = event.extensions.iter();
        Self {
            entity: PyString::new(py, event.entity).unbind(),
            scope: PyString::new(py, event.scope).unbind(),
            payload: PyBytes::new(py, event.payload).unbind(),
            kind: event.kind,
            details: Details {
                expected: event.expected,
                id: event.id,
                correlation: event.correlation,
                causation: event.causation,
                lane: event.lane,
                depth: event.depth,
                flags: event.flags,
                payload_version: event.payload_version,
                timestamp_us: event.timestamp_us,
                extensions: extensions
                    .map(|(key, bytes)| ((*key).to_owned(), bytes.to_vec()))
                    .collect(),
            },
        }
    }
}

/// Lends the events to core for the length of a call.
pub(crate) fn lend<R>(
    py: Python<'_>,
    events: &[&NewEvent],
    body: impl FnOnce(&[batpak_core::NewEvent<'_>]) -> R,
) -> PyResult<R> {
    let pairs: Vec<_> = events.iter().map(|event| event.details.pairs()).collect();
    let lent = events.iter().zip(&pairs).map(|(event, pairs)| event.lent(py, pairs));
    Ok(body(&lent.collect::<PyResult<Vec<_>>>()?))
}

#[pymethods]
impl NewEvent {
    #[new]
    #[pyo3(signature = (
        entity, scope, payload, kind, *, expected=Expected::Any, id=None, correlation=None,
        causation=Causation::None, lane=0, depth=0, flags=0, payload_version=0,
        timestamp_us=None, extensions=Extensions::new(),
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    fn py_new(
        entity: &Bound<'_, PyString>,
        scope: &Bound<'_, PyString>,
        payload: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = arguments::kind)] kind: EventKind,
        #[pyo3(from_py_with = arguments::expected)] expected: Expected,
        #[pyo3(from_py_with = arguments::optional_id)] id: Option<Id>,
        #[pyo3(from_py_with = arguments::optional_id)] correlation: Option<Id>,
        #[pyo3(from_py_with = causation)] causation: Causation,
        #[pyo3(from_py_with = arguments::integer)] lane: u32,
        #[pyo3(from_py_with = arguments::integer)] depth: u32,
        #[pyo3(from_py_with = arguments::integer)] flags: u8,
        #[pyo3(from_py_with = arguments::integer)] payload_version: u16,
        #[pyo3(from_py_with = arguments::timestamp)] timestamp_us: Option<i64>,
        #[pyo3(from_py_with = arguments::extensions)] extensions: Extensions,
    ) -> PyResult<Self> {
        let details = Details {
            expected,
            id,
            correlation,
            causation,
            lane,
            depth,
            flags,
            payload_version,
            timestamp_us,
            extensions,
        };
        Self::new(entity, scope, payload, kind, details)
    }

    /// What it says.
    #[getter]
    fn kind(&self) -> u16 {
        self.kind.0
    }

    /// Where the stream must stand: "any", "no_stream", or the clock of its last event.
    #[getter]
    fn expected<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.details.expected {
            Expected::Any => "any".into_bound_py_any(py),
            Expected::NoStream => "no_stream".into_bound_py_any(py),
            Expected::Exact(clock) => clock.into_bound_py_any(py),
        }
    }

    /// Its id as 32 hex digits; `None` for a fresh one.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.details.id.map(|id| values::id(py, id))
    }

    /// The id shared by all events of one operation; `None` for its own id.
    #[getter]
    fn correlation<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.details.correlation.map(|id| values::id(py, id))
    }

    /// What caused it: an id, an earlier `Item` of its batch or fence, or `None`.
    #[getter]
    fn causation<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.details.causation {
            Causation::None => Ok(py.None().into_bound(py)),
            Causation::Event(id) => Ok(values::id(py, id).into_any()),
            Causation::Item(index) => Ok(Bound::new(py, Item { index })?.into_any()),
        }
    }

    /// The branch of the entity's stream; 0 is the trunk.
    #[getter]
    fn lane(&self) -> u32 {
        self.details.lane
    }

    /// How deep the branch lies; 0 is the trunk.
    #[getter]
    fn depth(&self) -> u32 {
        self.details.depth
    }

    /// The caller's eight bits.
    #[getter]
    fn flags(&self) -> u8 {
        self.details.flags
    }

    /// The version of the payload's schema; 0 means "not versioned".
    #[getter]
    fn payload_version(&self) -> u16 {
        self.details.payload_version
    }

    /// When it happened, in microseconds since 1970; `None` for the time of recording.
    #[getter]
    fn timestamp_us(&self) -> Option<i64> {
        self.details.timestamp_us
    }

    /// Its extensions.
    #[getter]
    fn extensions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        extension_dict(py, self.details.pairs().into_iter())
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (entity, scope) = (self.entity.bind(py), self.scope.bind(py));
        let bytes = self.payload.as_bytes(py).len();
        format!("<batpak.NewEvent {entity} {scope} {}, {bytes} bytes>", self.kind)
    }
}

/// A new `dict` of these extensions.
pub(crate) fn extension_dict<'py, 'a>(
    py: Python<'py>,
    extensions: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, bytes) in extensions {
        dict.set_item(key, PyBytes::new(py, bytes))?;
    }
    Ok(dict)
}
