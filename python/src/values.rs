//! The plain results: frozen dataclasses of `batpak/_values.py`, and times.

use crate::errors::exception;
use crate::event::Event;
use batpak_core::{
    Ancestry, Boundary, Committed, CompactProgress, CompactReport, CopyReport, Diff, Dropped,
    ExportReport, Frontier, GateOutcome, Hash, Head, Id, ImportReport, Inspection, LeftOut,
    LostEvents, OpenReport, Parent, Refusal, RepairReport, SnapshotCheck, Stats, StreamHead,
    Verdict, VerifyReport,
};
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PyString};

type Object<'py> = PyResult<Bound<'py, PyAny>>;

fn make<'py>(py: Python<'py>, name: &str, values: impl PyCallArgs<'py>) -> Object<'py> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module =
        MODULE.get_or_try_init(py, || Ok::<_, PyErr>(py.import("batpak._values")?.unbind()));
    module?.bind(py).getattr(name)?.call1(values)
}

/// An id as 32 hex digits.
pub(crate) fn id<'py>(py: Python<'py>, id: Id) -> Bound<'py, PyString> {
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(id.0) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    PyString::new(py, std::str::from_utf8(&digits).unwrap_or_default())
}

fn bytes<'py>(py: Python<'py>, hash: &Hash) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &hash.0)
}

pub(crate) fn head<'py>(py: Python<'py>, head: &Head) -> Object<'py> {
    make(py, "Head", (head.events, bytes(py, &head.last_hash), bytes(py, &head.root)))
}

pub(crate) fn stream_head<'py>(py: Python<'py>, head: &StreamHead) -> Object<'py> {
    make(py, "StreamHead", (head.clock, head.sequence, bytes(py, &head.hash)))
}

pub(crate) fn frontier<'py>(py: Python<'py>, frontier: &Frontier) -> Object<'py> {
    let Frontier { accepted, written, durable, visible } = *frontier;
    make(py, "Frontier", (accepted, written, durable, visible))
}

pub(crate) fn stats<'py>(py: Python<'py>, stats: &Stats) -> Object<'py> {
    let Stats { events, segments, bytes, entities, streams, store_id, lineage_id } = stats;
    let (store_id, lineage_id) = (store_id.to_string(), lineage_id.to_string());
    make(py, "Stats", (events, segments, bytes, entities, streams, store_id, lineage_id))
}

pub(crate) fn open_report<'py>(py: Python<'py>, report: &OpenReport) -> Object<'py> {
    let values = (
        report.created,
        report.clean,
        report.format,
        report.events,
        report.hidden,
        report.segments,
        report.cut_bytes,
        report.cut_at,
        &report.cut_reason,
        &report.removed,
        &report.ignored,
        &report.damage,
    );
    make(py, "OpenReport", values)
}

pub(crate) fn inspection<'py>(py: Python<'py>, found: &Inspection) -> Object<'py> {
    let values = (
        found.opening.name(),
        found.refusal.as_ref().map(|error| exception(py, error).into_value(py)),
        id(py, found.store_id),
        id(py, found.lineage_id),
        found.bytes,
        open_report(py, &found.report)?,
    );
    make(py, "Inspection", values)
}

pub(crate) fn ancestry<'py>(py: Python<'py>, ancestry: Ancestry) -> Object<'py> {
    let boundary = match ancestry.boundary {
        Boundary::Genesis => "genesis",
        Boundary::Limit => "limit",
        Boundary::Missing => "missing",
        Boundary::Cycle => "cycle",
    };
    let events = ancestry.events.into_iter().map(|event| Bound::new(py, Event(event)));
    let events = PyList::new(py, events.collect::<PyResult<Vec<_>>>()?)?;
    make(py, "Ancestry", (events, boundary))
}

pub(crate) fn packed_page<'py>(py: Python<'py>, events: &[batpak_core::Event]) -> Object<'py> {
    let mut end = 0;
    let ends = events.iter().map(|event| {
        end += event.payload().len() as u64;
        end
    });
    let offsets: Vec<u64> = std::iter::once(0).chain(ends).collect();
    let payloads = PyBytes::new_with(py, end as usize, |mut rest| {
        for event in events {
            let (place, after) = rest.split_at_mut(event.payload().len());
            place.copy_from_slice(event.payload());
            rest = after;
        }
        Ok(())
    })?;
    let values = (
        column(py, "Q", events, |event| event.sequence().to_ne_bytes())?,
        column(py, "I", events, |event| event.clock().to_ne_bytes())?,
        column(py, "H", events, |event| event.kind().0.to_ne_bytes())?,
        column(py, "q", events, |event| event.timestamp_us().to_ne_bytes())?,
        column(py, "Q", &offsets, |offset| offset.to_ne_bytes())?,
        PyMemoryView::from(&payloads)?,
    );
    make(py, "PackedPage", values)
}

/// One number of each item, as a memoryview of this format.
fn column<'py, T, const N: usize>(
    py: Python<'py>,
    format: &str,
    items: &[T],
    number: impl Fn(&T) -> [u8; N],
) -> Object<'py> {
    let numbers: Vec<[u8; N]> = items.iter().map(number).collect();
    let bytes = PyBytes::new(py, numbers.as_flattened());
    PyMemoryView::from(&bytes)?.call_method1("cast", (format,))
}

pub(crate) fn verify_report<'py>(py: Python<'py>, report: &VerifyReport) -> Object<'py> {
    let findings = PyList::empty(py);
    for finding in &report.findings {
        let values = (finding.kind.name(), finding.segment, finding.offset, &finding.message);
        findings.append(make(py, "Finding", values)?)?;
    }
    let values = (
        report.events,
        report.dropped,
        report.tombstones,
        report.erased,
        report.segments,
        bytes(py, &report.last_hash),
        bytes(py, &report.root),
        findings,
    );
    make(py, "VerifyReport", values)
}

pub(crate) fn repair_report<'py>(py: Python<'py>, report: &RepairReport) -> Object<'py> {
    let (lost_events, left_out) = (PyList::empty(py), PyList::empty(py));
    for LostEvents { first_sequence, events } in &report.lost_events {
        lost_events.append(make(py, "LostEvents", (first_sequence, events))?)?;
    }
    for LeftOut { segment, offset, bytes, first_sequence, events, why } in &report.left_out {
        let values = (segment, offset, bytes, first_sequence, events, why);
        left_out.append(make(py, "LeftOut", values)?)?;
    }
    let values = (
        id(py, report.source),
        id(py, report.store_id),
        report.kept,
        report.appended,
        report.dropped,
        report.lost,
        lost_events,
        left_out,
        &report.damage,
        verify_report(py, &report.verify)?,
    );
    make(py, "RepairReport", values)
}

pub(crate) fn import_report<'py>(py: Python<'py>, report: &ImportReport) -> Object<'py> {
    let values = (
        id(py, report.source),
        report.format,
        report.imported,
        report.already_there,
        report.hidden,
        report.outside,
        report.dropped,
        report.sequences_kept,
        report.keys_without_events,
        drops(py, &report.drops)?,
    );
    make(py, "ImportReport", values)
}

pub(crate) fn export_report<'py>(py: Python<'py>, report: &ExportReport) -> Object<'py> {
    let ExportReport { exported, hidden, dropped, segments, bytes, .. } = *report;
    let drops = drops(py, &report.drops)?;
    make(py, "ExportReport", (exported, hidden, dropped, segments, bytes, drops))
}

fn drops<'py>(py: Python<'py>, drops: &[Dropped]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for Dropped { segment, offset, sequence, is_event, reason } in drops {
        list.append(make(py, "Dropped", (segment, offset, sequence, is_event, reason))?)?;
    }
    Ok(list)
}

pub(crate) fn committed<'py>(py: Python<'py>, committed: &Committed) -> Object<'py> {
    let Committed { first_sequence, events, duplicate } = *committed;
    make(py, "Committed", (first_sequence, events, duplicate))
}

pub(crate) fn compact_progress<'py>(py: Python<'py>, progress: &CompactProgress) -> Object<'py> {
    let CompactProgress { segments_done, segments, bytes_read, bytes_written } = *progress;
    make(py, "CompactProgress", (segments_done, segments, bytes_read, bytes_written))
}

pub(crate) fn compact_report<'py>(py: Python<'py>, report: &CompactReport) -> Object<'py> {
    let values = (
        report.segments_before,
        report.segments_after,
        report.segments_replaced,
        report.segments_written,
        report.bytes_before,
        report.bytes_after,
        report.events_dropped,
        report.tombstones,
        report.keys_kept,
        report.keys_over,
    );
    make(py, "CompactReport", values)
}

pub(crate) fn copy_report<'py>(py: Python<'py>, report: &CopyReport) -> Object<'py> {
    let CopyReport { events, segments, linked, copied, bytes_copied, .. } = *report;
    let (store_id, root) = (id(py, report.store_id), bytes(py, &report.root));
    make(py, "CopyReport", (store_id, events, root, segments, linked, copied, bytes_copied))
}

pub(crate) fn snapshot_check<'py>(py: Python<'py>, check: &SnapshotCheck) -> Object<'py> {
    let diff = check.diff.map(|found| diff(py, &found)).transpose()?;
    make(py, "SnapshotCheck", (verify_report(py, &check.report)?, diff))
}

pub(crate) fn diff<'py>(py: Python<'py>, diff: &Diff) -> Object<'py> {
    let Diff { common, ours, theirs } = *diff;
    make(py, "Diff", (common, ours, theirs))
}

pub(crate) fn parent<'py>(py: Python<'py>, parent: &Parent) -> Object<'py> {
    make(py, "Parent", (id(py, parent.store_id), parent.events, bytes(py, &parent.root)))
}

pub(crate) fn gate_outcome<'py>(py: Python<'py>, outcome: &GateOutcome) -> Object<'py> {
    let (verdict, refusal) = match &outcome.verdict {
        Verdict::Permit => ("permit", None),
        Verdict::Skipped => ("skipped", None),
        Verdict::Deny(Refusal { code, message }) => {
            ("deny", Some(make(py, "Refusal", (code, message))?))
        }
    };
    make(py, "GateOutcome", (&outcome.gate, verdict, refusal))
}

/// A time in UTC from microseconds since 1970.
pub(crate) fn utc(py: Python<'_>, microseconds: i64) -> Object<'_> {
    make(py, "utc", (microseconds,))
}

/// Microseconds since 1970 of a `datetime`.
pub(crate) fn microseconds(datetime: &Bound<'_, PyAny>) -> PyResult<i64> {
    make(datetime.py(), "microseconds", (datetime,))?.extract()
}

pub(crate) fn is_datetime(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    value.is_instance(CLASS.import(value.py(), "datetime", "datetime")?)
}
