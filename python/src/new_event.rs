//! An event to append, as Python holds it, and its short loan to core.

use crate::arguments::{self, Extensions};
use crate::payload;
use batpak_core::{Causation, EventKind, Expected, Id};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

/// An earlier event of the same batch, by its place in the batch, from 0.
#[pyclass(frozen, eq, hash, module = "batpak")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Item {
    /// The place in the batch, from 0.
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
pub(crate) fn causation(value: &Bound<'_, PyAny>) -> PyResult<Option<Causation>> {
    if let Ok(item) = value.cast::<Item>() {
        return Ok(Some(Causation::Item(item.get().index)));
    }
    Ok(arguments::optional_id(value)?.map(Causation::Event))
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

/// An event to append. All that is not given has its default.
#[pyclass(frozen, module = "batpak")]
pub(crate) struct NewEvent {
    /// Whose event it is.
    #[pyo3(get)]
    pub(crate) entity: String,
    /// The area it lives in.
    #[pyo3(get)]
    pub(crate) scope: String,
    pub(crate) kind: EventKind,
    /// The bytes that are stored.
    #[pyo3(get)]
    pub(crate) payload: Py<PyBytes>,
    pub(crate) expected: Expected,
    pub(crate) id: Option<Id>,
    pub(crate) correlation: Option<Id>,
    pub(crate) causation: Causation,
    /// The branch of the entity's stream; 0 is the trunk.
    #[pyo3(get)]
    pub(crate) lane: u32,
    /// How deep the branch lies; 0 is the trunk.
    #[pyo3(get)]
    pub(crate) depth: u32,
    /// The caller's eight bits.
    #[pyo3(get)]
    pub(crate) flags: u8,
    /// The version of the payload's schema; 0 means "not versioned".
    #[pyo3(get)]
    pub(crate) payload_version: u16,
    /// When it happened, in microseconds since 1970; `None` for the time of recording.
    #[pyo3(get)]
    pub(crate) timestamp_us: Option<i64>,
    pub(crate) extensions: Extensions,
}

impl NewEvent {
    /// A copy of the event that core shows to a gate.
    pub(crate) fn seen_by_gate(py: Python<'_>, event: &batpak_core::NewEvent<'_>) -> Self {
        let extensions = event.extensions.iter();
        Self {
            entity: event.entity.to_owned(),
            scope: event.scope.to_owned(),
            kind: event.kind,
            payload: PyBytes::new(py, event.payload).unbind(),
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
        }
    }
}

/// Lends the events to core for the length of a call.
pub(crate) fn lend<R>(
    py: Python<'_>,
    events: &[&NewEvent],
    body: impl FnOnce(&[batpak_core::NewEvent<'_>]) -> R,
) -> R {
    let extensions: Vec<Vec<(&str, &[u8])>> = events
        .iter()
        .map(|event| event.extensions.iter().map(|(k, v)| (k.as_str(), v.as_slice())).collect())
        .collect();
    let lent: Vec<_> = events
        .iter()
        .zip(&extensions)
        .map(|(event, extensions)| batpak_core::NewEvent {
            entity: &event.entity,
            scope: &event.scope,
            kind: event.kind,
            payload: event.payload.as_bytes(py),
            expected: event.expected,
            id: event.id,
            correlation: event.correlation,
            causation: event.causation,
            lane: event.lane,
            depth: event.depth,
            flags: event.flags,
            payload_version: event.payload_version,
            timestamp_us: event.timestamp_us,
            extensions,
        })
        .collect();
    body(&lent)
}

#[pymethods]
impl NewEvent {
    #[new]
    #[pyo3(signature = (
        entity, scope, payload, *, kind, expected=Expected::Any, id=None, correlation=None,
        causation=None, lane=0, depth=0, flags=0, payload_version=0,
        timestamp_us=None, extensions=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    pub(crate) fn new(
        #[pyo3(from_py_with = arguments::coordinate)] entity: String,
        #[pyo3(from_py_with = arguments::coordinate)] scope: String,
        payload: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = arguments::kind)] kind: EventKind,
        #[pyo3(from_py_with = arguments::expected)] expected: Expected,
        #[pyo3(from_py_with = arguments::optional_id)] id: Option<Id>,
        #[pyo3(from_py_with = arguments::optional_id)] correlation: Option<Id>,
        #[pyo3(from_py_with = causation)] causation: Option<Causation>,
        #[pyo3(from_py_with = arguments::integer)] lane: u32,
        #[pyo3(from_py_with = arguments::integer)] depth: u32,
        #[pyo3(from_py_with = arguments::integer)] flags: u8,
        #[pyo3(from_py_with = arguments::integer)] payload_version: u16,
        #[pyo3(from_py_with = arguments::timestamp)] timestamp_us: Option<i64>,
        #[pyo3(from_py_with = arguments::extensions)] extensions: Option<Extensions>,
    ) -> PyResult<Self> {
        let payload = payload::stored(payload)?.unbind();
        Ok(Self {
            entity,
            scope,
            kind,
            payload,
            expected,
            id,
            correlation,
            causation: causation.unwrap_or_default(),
            lane,
            depth,
            flags,
            payload_version,
            timestamp_us,
            extensions: extensions.unwrap_or_default(),
        })
    }

    /// What it says.
    #[getter]
    fn kind(&self) -> u16 {
        self.kind.0
    }

    /// Where the stream must stand: "any", "no_stream", or the clock of its last event.
    #[getter]
    fn expected<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.expected {
            Expected::Any => "any".into_bound_py_any(py),
            Expected::NoStream => "no_stream".into_bound_py_any(py),
            Expected::Exact(clock) => clock.into_bound_py_any(py),
        }
    }

    /// Its id as 32 hex digits; `None` for a fresh one.
    #[getter]
    fn id(&self) -> Option<String> {
        self.id.map(|id| id.to_string())
    }

    /// The id shared by all events of one operation; `None` for its own id.
    #[getter]
    fn correlation(&self) -> Option<String> {
        self.correlation.map(|id| id.to_string())
    }

    /// What caused it: an id, an earlier `Item` of its batch, or `None`.
    #[getter]
    fn causation<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.causation {
            Causation::None => Ok(py.None().into_bound(py)),
            Causation::Event(id) => id.to_string().into_bound_py_any(py),
            Causation::Item(index) => Ok(Bound::new(py, Item { index })?.into_any()),
        }
    }

    /// Its extensions.
    #[getter]
    fn extensions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        extension_dict(py, self.extensions.iter().map(|(key, bytes)| (&**key, &**bytes)))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let Self { entity, scope, kind, .. } = self;
        let bytes = self.payload.as_bytes(py).len();
        format!("<batpak.NewEvent {entity} {scope} {kind}, {bytes} bytes>")
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
