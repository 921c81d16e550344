//! From Python's arguments to core's types. What does not fit raises the exception that core
//! would raise for it, so that a mistake has one kind in every language.

use crate::errors::{exception, refuse};
use crate::payload;
use crate::values;
use batpak_core::{
    Durability, ErrorKind, EventKind, Expected, GateMode, Id, KeyOverflow, Link, OpenMode, Result,
    Unwanted,
};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyMapping, PyString};
use std::time::Duration;

/// The words for the choices of one argument.
pub(crate) type Words<T> = &'static [(&'static str, T)];

pub(crate) const DURABILITIES: Words<Durability> = &[
    ("durable", Durability::Durable),
    ("written", Durability::Written),
    ("buffered", Durability::Buffered),
];
pub(crate) const MODES: Words<OpenMode> = &[
    ("create", OpenMode::Create),
    ("existing", OpenMode::Existing),
    ("create_new", OpenMode::CreateNew),
    ("read_only", OpenMode::ReadOnly),
    ("salvage", OpenMode::Salvage),
];
pub(crate) const GATE_MODES: Words<GateMode> =
    &[("fail_fast", GateMode::FailFast), ("all", GateMode::All)];
pub(crate) const UNWANTED: Words<Unwanted> =
    &[("drop", Unwanted::Drop), ("tombstone", Unwanted::Tombstone), ("erase", Unwanted::Erase)];
pub(crate) const KEY_OVERFLOWS: Words<KeyOverflow> =
    &[("warn", KeyOverflow::Warn), ("refuse", KeyOverflow::Refuse)];
pub(crate) const LINKS: Words<Link> = &[("stream", Link::Stream), ("causation", Link::Causation)];

/// What `word` stands for.
pub(crate) fn word<T: Copy>(
    py: Python<'_>,
    argument: &str,
    words: Words<T>,
    word: &str,
) -> PyResult<T> {
    words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
        let message = format!("{argument} is `{word}`; it must be one of {}", names.join(", "));
        refuse(py, ErrorKind::InvalidArgument, message)
    })
}

/// The durability of one call; `None` is the store's own.
pub(crate) fn durability(py: Python<'_>, name: Option<&str>) -> PyResult<Option<Durability>> {
    name.map(|name| word(py, "durability", DURABILITIES, name)).transpose()
}

fn out_of_range(kind: ErrorKind, what: &str, value: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = value.py();
    if error.is_instance_of::<PyOverflowError>(py) {
        refuse(py, kind, format!("{what} {value} is out of range"))
    } else {
        error
    }
}

/// An integer that fits `T`.
pub(crate) fn integer<'a, 'py, T: FromPyObject<'a, 'py>>(
    value: &'a Bound<'py, PyAny>,
) -> PyResult<T> {
    let number = value.extract().map_err(Into::<PyErr>::into);
    number.map_err(|e| out_of_range(ErrorKind::InvalidArgument, "the value", value, e))
}

/// An integer that fits `T`, or `None`.
pub(crate) fn optional_integer<'a, 'py, T: FromPyObject<'a, 'py>>(
    value: &'a Bound<'py, PyAny>,
) -> PyResult<Option<T>> {
    if value.is_none() { Ok(None) } else { integer(value).map(Some) }
}

/// A kind, as an integer of 16 bits.
pub(crate) fn kind(value: &Bound<'_, PyAny>) -> PyResult<EventKind> {
    let number = value.extract();
    number.map(EventKind).map_err(|e| out_of_range(ErrorKind::InvalidKind, "kind", value, e))
}

/// A kind, or `None`.
pub(crate) fn optional_kind(value: &Bound<'_, PyAny>) -> PyResult<Option<EventKind>> {
    if value.is_none() { Ok(None) } else { kind(value).map(Some) }
}

/// A category, or `None`.
pub(crate) fn optional_category(value: &Bound<'_, PyAny>) -> PyResult<Option<u8>> {
    if value.is_none() {
        return Ok(None);
    }
    let number = value.extract();
    number.map(Some).map_err(|e| out_of_range(ErrorKind::InvalidKind, "category", value, e))
}

/// An entity, a prefix or a scope, borrowed. A `str` with lone surrogates has no UTF-8 form.
pub(crate) fn text<'a>(value: &'a Bound<'_, PyString>) -> PyResult<&'a str> {
    let message = "an entity or a scope holds a lone surrogate, which has no UTF-8 form";
    value.to_str().map_err(|_| refuse(value.py(), ErrorKind::InvalidCoordinate, message))
}

/// An entity, a prefix or a scope.
pub(crate) fn coordinate(value: &Bound<'_, PyAny>) -> PyResult<String> {
    text(value.cast::<PyString>()?).map(str::to_owned)
}

/// An entity, a prefix or a scope, or `None`.
pub(crate) fn optional_coordinate(value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    if value.is_none() { Ok(None) } else { coordinate(value).map(Some) }
}

/// An id: 32 hex digits, 16 bytes, or anything with 16 `bytes`, such as a `uuid.UUID`.
pub(crate) fn id(value: &Bound<'_, PyAny>) -> PyResult<Id> {
    let py = value.py();
    if let Ok(text) = value.cast::<PyString>() {
        let parsed: Result<Id> = text.to_str()?.parse();
        return parsed.map_err(|error| exception(py, &error));
    }
    let bytes = match value.cast::<PyBytes>() {
        Ok(bytes) => bytes.clone(),
        Err(_) => value.getattr("bytes").and_then(|b| Ok(b.cast_into()?)).map_err(|_| {
            PyTypeError::new_err("an id is 32 hex digits, 16 bytes, or a uuid.UUID")
        })?,
    };
    bytes.as_bytes().try_into().map(Id).map_err(|_| {
        let message = format!("an id has 16 bytes, not {}", bytes.as_bytes().len());
        refuse(py, ErrorKind::InvalidArgument, message)
    })
}

/// An id, or `None`.
pub(crate) fn optional_id(value: &Bound<'_, PyAny>) -> PyResult<Option<Id>> {
    if value.is_none() { Ok(None) } else { id(value).map(Some) }
}

/// Where a stream must stand: `"any"`, `"no_stream"`, or a clock.
pub(crate) fn expected(value: &Bound<'_, PyAny>) -> PyResult<Expected> {
    if let Ok(name) = value.cast::<PyString>() {
        let words: Words<Expected> = &[("any", Expected::Any), ("no_stream", Expected::NoStream)];
        return word(value.py(), "expected", words, &name.to_string_lossy());
    }
    integer(value).map(Expected::Exact)
}

/// Microseconds since 1970 as an integer, or a `datetime` with a time zone; or `None`.
pub(crate) fn timestamp(value: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if value.is_none() {
        return Ok(None);
    }
    if values::is_datetime(value)? {
        return values::microseconds(value).map(Some);
    }
    integer(value).map(Some)
}

/// A function, or `None`.
pub(crate) fn optional_function(value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    if value.is_none() {
        return Ok(None);
    }
    if !value.is_callable() {
        let message = format!("a function was expected, not {}", value.get_type().name()?);
        return Err(PyTypeError::new_err(message));
    }
    Ok(Some(value.clone().unbind()))
}

/// The extensions of an event: keys with their bytes.
pub(crate) type Extensions = Vec<(String, Vec<u8>)>;

/// The pairs of a mapping, or an iterable of pairs.
pub(crate) fn pairs<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyIterator>> {
    match value.cast::<PyMapping>() {
        Ok(mapping) => mapping.items()?.try_iter(),
        Err(_) => value.try_iter(),
    }
}

/// A mapping of keys to bytes, or pairs of them; or `None`.
pub(crate) fn extensions(value: &Bound<'_, PyAny>) -> PyResult<Extensions> {
    if value.is_none() {
        return Ok(Extensions::new());
    }
    let pair = |pair: PyResult<Bound<'_, PyAny>>| {
        let (key, bytes): (String, Bound<'_, PyAny>) = pair?.extract()?;
        Ok((key, payload::buffer(&bytes)?.as_bytes().to_vec()))
    };
    pairs(value)?.map(pair).collect()
}

/// A time to wait in seconds; `None` is without end.
pub(crate) fn seconds(py: Python<'_>, value: Option<f64>) -> PyResult<Option<Duration>> {
    let Some(seconds) = value else { return Ok(None) };
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) => Ok(Some(duration)),
        // Longer than any duration is as good as without end.
        Err(_) if seconds > 0.0 => Ok(None),
        Err(_) => {
            let message = format!("timeout is {seconds}; it must be 0 or more seconds, or None");
            Err(refuse(py, ErrorKind::InvalidArgument, message))
        }
    }
}
