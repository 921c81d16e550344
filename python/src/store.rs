//! A store: one method per operation of core.

use crate::append_async::Append;
use crate::arguments::{self, DURABILITIES, Extensions, LINKS, MODES};
use crate::compact::{self, Rules};
use crate::errors::{call, refuse, without_panic};
use crate::event::Event;
use crate::fence::Fence;
use crate::follow_async::AsyncFollowIterator;
use crate::gates::{self, Gates};
use crate::new_event::{Details, NewEvent, causation, lend};
use crate::payload;
use crate::reading::{EventIterator, FollowIterator, WAIT_SLICE, region};
use crate::receipt::{Receipt, Receipts};
use crate::values;
use batpak_core::{
    Causation, Direction, ErrorKind, EventKind, Expected, ExportOptions, ForkOptions, GateOutcome,
    Id, ImportOptions, OpenOptions, Query, SnapshotOptions,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Instant;

/// What an append that went well without a receipt would be: a defect.
const NO_RECEIPT: &str = "an append gave no receipt";

/// An event log in one directory. Threads may share it. Use it in a `with` statement, or close it.
#[pyclass(frozen, weakref, module = "batpak")]
pub(crate) struct Store {
    pub(crate) handle: batpak_core::Store,
}

impl Drop for Store {
    fn drop(&mut self) {
        // Closing writes and syncs what is buffered; other threads run meanwhile. Whoever wants to
        // know of a failure closes the store.
        let close = || without_panic(|| self.handle.close());
        let closed = Python::try_attach(|py| py.detach(close));
        drop(closed.unwrap_or_else(close));
    }
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (
        path, *, mode="create", segment_bytes=None, max_payload_bytes=None, durability="durable",
        buffer_bytes=None, buffer_ms=None, max_open_files=None, cache_bytes=None, restarts=None,
        restart_window_ms=None, seed=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        mode: &str,
        #[pyo3(from_py_with = arguments::optional_integer)] segment_bytes: Option<u64>,
        #[pyo3(from_py_with = arguments::optional_integer)] max_payload_bytes: Option<u32>,
        durability: &str,
        #[pyo3(from_py_with = arguments::optional_integer)] buffer_bytes: Option<usize>,
        #[pyo3(from_py_with = arguments::optional_integer)] buffer_ms: Option<u32>,
        #[pyo3(from_py_with = arguments::optional_integer)] max_open_files: Option<u32>,
        #[pyo3(from_py_with = arguments::optional_integer)] cache_bytes: Option<usize>,
        #[pyo3(from_py_with = arguments::optional_integer)] restarts: Option<u32>,
        #[pyo3(from_py_with = arguments::optional_integer)] restart_window_ms: Option<u32>,
        #[pyo3(from_py_with = arguments::optional_integer)] seed: Option<u64>,
    ) -> PyResult<Self> {
        let defaults = OpenOptions::default();
        let options = OpenOptions {
            mode: arguments::word(py, "mode", MODES, mode)?,
            segment_bytes: segment_bytes.unwrap_or(defaults.segment_bytes),
            max_payload_bytes: max_payload_bytes.unwrap_or(defaults.max_payload_bytes),
            durability: arguments::word(py, "durability", DURABILITIES, durability)?,
            buffer_bytes: buffer_bytes.unwrap_or(defaults.buffer_bytes),
            buffer_ms: buffer_ms.unwrap_or(defaults.buffer_ms),
            max_open_files: max_open_files.unwrap_or(defaults.max_open_files),
            cache_bytes: cache_bytes.unwrap_or(defaults.cache_bytes),
            restarts: restarts.unwrap_or(defaults.restarts),
            restart_window_ms: restart_window_ms.unwrap_or(defaults.restart_window_ms),
            seed,
        };
        Ok(Self { handle: call(py, || batpak_core::Store::open(&path, &options))? })
    }

    /// Opens the store in the directory `path`; the same as `Store(path, ...)`.
    #[classmethod]
    #[pyo3(
        signature = (*arguments, **options),
        text_signature = "(path, *, mode='create', segment_bytes=None, max_payload_bytes=None, \
                          durability='durable', buffer_bytes=None, buffer_ms=None, \
                          max_open_files=None, cache_bytes=None, restarts=None, \
                          restart_window_ms=None, seed=None)"
    )]
    fn open<'py>(
        class: &Bound<'py, PyType>,
        arguments: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        class.call(arguments, options)
    }

    /// The directory.
    #[getter]
    fn path(&self) -> &OsStr {
        self.handle.path().as_os_str()
    }

    /// What opening found and did.
    #[getter]
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::open_report(py, self.handle.open_report())
    }

    /// Appends one event and returns once it is as safe as `durability` says.
    ///
    /// `payload` is stored as it is if it is `bytes` or another buffer; any other value, a `str`
    /// too, is stored as MessagePack. `gates` names functions that are asked before.
    #[pyo3(signature = (
        entity, scope, payload, kind, *, durability=None, expected=Expected::Any, id=None,
        correlation=None, causation=Causation::None, lane=0, depth=0, flags=0, payload_version=0,
        timestamp_us=None, extensions=Extensions::new(), gates=None, gate_mode="fail_fast",
        record_denial=false,
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    fn append(
        &self,
        py: Python<'_>,
        entity: &Bound<'_, PyString>,
        scope: &Bound<'_, PyString>,
        payload: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = arguments::kind)] kind: EventKind,
        durability: Option<&str>,
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
        gates: Option<&Bound<'_, PyAny>>,
        gate_mode: &str,
        record_denial: bool,
    ) -> PyResult<Receipt> {
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
        let (entity, scope) = (arguments::text(entity)?, arguments::text(scope)?);
        let payload = payload::stored(payload)?;
        let pairs = details.pairs();
        let event = details.event(entity, scope, payload.as_bytes(), kind, &pairs);
        let durability = arguments::durability(py, durability)?;
        let receipt = match Gates::new(gates, gate_mode, record_denial)? {
            None => call(py, || self.handle.append(&event, durability))?,
            Some(gates) => {
                let mut receipts = gates.append(py, &self.handle, &[event], durability)?;
                receipts.pop().ok_or_else(|| refuse(py, ErrorKind::Panic, NO_RECEIPT))?
            }
        };
        Ok(Receipt(receipt))
    }

    /// Appends all events or none, in this order, with nothing between them.
    #[pyo3(signature = (
        events, *, durability=None, gates=None, gate_mode="fail_fast", record_denial=false
    ))]
    fn append_batch(
        &self,
        py: Python<'_>,
        events: &Bound<'_, PyAny>,
        durability: Option<&str>,
        gates: Option<&Bound<'_, PyAny>>,
        gate_mode: &str,
        record_denial: bool,
    ) -> PyResult<Vec<Receipt>> {
        let events: Vec<Bound<'_, NewEvent>> =
            events.try_iter()?.map(|event| Ok(event?.cast_into()?)).collect::<PyResult<_>>()?;
        let events: Vec<&NewEvent> = events.iter().map(Bound::get).collect();
        let durability = arguments::durability(py, durability)?;
        let gates = Gates::new(gates, gate_mode, record_denial)?;
        let receipts = lend(py, &events, |lent| match &gates {
            None => call(py, || self.handle.append_batch(lent, durability)),
            Some(gates) => gates.append(py, &self.handle, lent, durability),
        })??;
        Ok(receipts.into_iter().map(Receipt).collect())
    }

    /// Appends one event per payload to one stream, all or none, in this order, with nothing
    /// between them. A long list of `bytes` costs least this way. `expected` is where the stream
    /// stands before the first; `timestamp_us` and the rest are the same for all.
    #[pyo3(signature = (
        entity, scope, payloads, kind, *, durability=None, expected=Expected::Any,
        correlation=None, causation=None, lane=0, depth=0, flags=0, payload_version=0,
        timestamp_us=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    fn append_payloads(
        &self,
        py: Python<'_>,
        entity: &Bound<'_, PyString>,
        scope: &Bound<'_, PyString>,
        payloads: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = arguments::kind)] kind: EventKind,
        durability: Option<&str>,
        #[pyo3(from_py_with = arguments::expected)] expected: Expected,
        #[pyo3(from_py_with = arguments::optional_id)] correlation: Option<Id>,
        #[pyo3(from_py_with = arguments::optional_id)] causation: Option<Id>,
        #[pyo3(from_py_with = arguments::integer)] lane: u32,
        #[pyo3(from_py_with = arguments::integer)] depth: u32,
        #[pyo3(from_py_with = arguments::integer)] flags: u8,
        #[pyo3(from_py_with = arguments::integer)] payload_version: u16,
        #[pyo3(from_py_with = arguments::timestamp)] timestamp_us: Option<i64>,
    ) -> PyResult<Receipts> {
        let (entity, scope) = (arguments::text(entity)?, arguments::text(scope)?);
        let payloads = payload::all_stored(payloads)?;
        let durability = arguments::durability(py, durability)?;
        let common = batpak_core::NewEvent {
            correlation,
            causation: causation.map_or(Causation::None, Causation::Event),
            lane,
            depth,
            flags,
            payload_version,
            timestamp_us,
            ..batpak_core::NewEvent::new(entity, scope, kind, &[])
        };
        let mut events: Vec<_> = payloads
            .iter()
            .map(|payload| batpak_core::NewEvent { payload: payload.as_bytes(), ..common })
            .collect();
        if let Some(first) = events.first_mut() {
            first.expected = expected;
        }
        Ok(Receipts(call(py, || self.handle.append_batch(&events, durability))?))
    }

    /// Starts to append one event, and gives a future of its receipt to `await`. Thousands that
    /// are under way at once share their writes and syncs, and are appended in the order of the
    /// calls. What is wrong with the arguments raises here, and nothing is started; any other
    /// error comes with the future. Cancelling the future does not take the append back.
    ///
    /// With `gates` it runs on a thread of the loop's executor, in no order with others: await it
    /// before the next.
    #[pyo3(signature = (
        entity, scope, payload, kind, *, durability=None, expected=Expected::Any, id=None,
        correlation=None, causation=Causation::None, lane=0, depth=0, flags=0, payload_version=0,
        timestamp_us=None, extensions=Extensions::new(), gates=None, gate_mode="fail_fast",
        record_denial=false,
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    fn append_async<'py>(
        slf: Bound<'py, Self>,
        entity: &Bound<'py, PyString>,
        scope: &Bound<'py, PyString>,
        payload: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = arguments::kind)] kind: EventKind,
        durability: Option<&str>,
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
        gates: Option<&Bound<'py, PyAny>>,
        gate_mode: &str,
        record_denial: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
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
        let py = slf.py();
        let event = Py::new(py, NewEvent::new(entity, scope, payload, kind, details)?)?;
        let durability = arguments::durability(py, durability)?;
        let gates = Gates::new(gates, gate_mode, record_denial)?;
        let store = slf.unbind();
        Append { store, events: vec![event], single: true, durability }.start(py, gates)
    }

    /// Starts to append all events or none, like `append_async`, and gives a future of the list
    /// of receipts.
    #[pyo3(signature = (
        events, *, durability=None, gates=None, gate_mode="fail_fast", record_denial=false
    ))]
    fn append_batch_async<'py>(
        slf: Bound<'py, Self>,
        events: &Bound<'py, PyAny>,
        durability: Option<&str>,
        gates: Option<&Bound<'py, PyAny>>,
        gate_mode: &str,
        record_denial: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let event = |event: PyResult<Bound<'_, PyAny>>| Ok(event?.cast_into()?.unbind());
        let events = events.try_iter()?.map(event).collect::<PyResult<_>>()?;
        let durability = arguments::durability(py, durability)?;
        let gates = Gates::new(gates, gate_mode, record_denial)?;
        let store = slf.unbind();
        Append { store, events, single: false, durability }.start(py, gates)
    }

    /// Begins a fence: events that nobody sees until all of them are committed, as one batch of up
    /// to 4 GiB. An open fence holds nothing of the log, so that nobody waits for it, and any number
    /// of them may be open. Cancelling it, a crash, and closing the store leave nothing of it.
    ///
    /// In a `with` statement it is committed at the end of the block, and cancelled by an exception.
    /// About `memory_bytes` of its events are kept in memory (without it, 16 MiB); those beyond go to
    /// a file in the store's directory, which nobody else can see.
    #[pyo3(signature = (*, memory_bytes=None))]
    fn begin_fence(
        slf: Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::optional_integer)] memory_bytes: Option<usize>,
    ) -> PyResult<Fence> {
        Fence::new(slf.py(), slf.clone().unbind(), memory_bytes)
    }

    /// Records, as an event, that gates refused `refused`; `evaluate` gives the outcomes.
    #[pyo3(signature = (refused, outcomes, *, durability=None))]
    fn record_denial(
        &self,
        py: Python<'_>,
        refused: &NewEvent,
        outcomes: &Bound<'_, PyAny>,
        durability: Option<&str>,
    ) -> PyResult<Receipt> {
        let durability = arguments::durability(py, durability)?;
        let outcomes: Vec<GateOutcome> = outcomes
            .try_iter()?
            .map(|outcome| gates::outcome(&outcome?))
            .collect::<PyResult<_>>()?;
        let receipt = lend(py, &[refused], |lent| {
            call(py, || self.handle.record_denial(&lent[0], &outcomes, durability))
        })??;
        Ok(Receipt(receipt))
    }

    /// Writes what is buffered.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.handle.flush())
    }

    /// Writes what is buffered and syncs.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.handle.sync())
    }

    /// The event with this id, or `None`.
    fn get(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::id)] id: Id,
    ) -> PyResult<Option<Event>> {
        Ok(call(py, || self.handle.get(id))?.map(Event))
    }

    /// The event at this sequence, or `None`.
    fn at(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::integer)] sequence: u64,
    ) -> PyResult<Option<Event>> {
        Ok(call(py, || self.handle.at(sequence))?.map(Event))
    }

    /// The events that match everything given, by rising sequence from `start` on, or by falling
    /// sequence if `backward`. What is visible now is read; later events are not.
    #[pyo3(signature = (
        *, entity=None, prefix=None, scope=None, kind=None, category=None, lane=None, clocks=None,
        start=None, backward=false, limit=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    fn read(
        slf: Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] entity: Option<String>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] prefix: Option<String>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] scope: Option<String>,
        #[pyo3(from_py_with = arguments::optional_kind)] kind: Option<EventKind>,
        #[pyo3(from_py_with = arguments::optional_category)] category: Option<u8>,
        #[pyo3(from_py_with = arguments::optional_integer)] lane: Option<u32>,
        #[pyo3(from_py_with = arguments::optional_integer)] clocks: Option<(u32, u32)>,
        #[pyo3(from_py_with = arguments::optional_integer)] start: Option<u64>,
        backward: bool,
        #[pyo3(from_py_with = arguments::optional_integer)] limit: Option<u64>,
    ) -> PyResult<EventIterator> {
        let py = slf.py();
        let region = region(py, entity, prefix, scope, kind, category, lane, clocks)?;
        let direction = if backward { Direction::Backward } else { Direction::Forward };
        let query = Query { region, direction, from: start, limit };
        EventIterator::new(py, slf.unbind(), query)
    }

    /// The events that match everything given, from `start` on (without it, from the log's start), and then
    /// those still to come: the iterator waits for them. With a `timeout` it ends when no event
    /// came for so many seconds.
    #[pyo3(signature = (
        *, entity=None, prefix=None, scope=None, kind=None, category=None, lane=None, clocks=None,
        start=None, timeout=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    fn follow(
        slf: Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] entity: Option<String>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] prefix: Option<String>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] scope: Option<String>,
        #[pyo3(from_py_with = arguments::optional_kind)] kind: Option<EventKind>,
        #[pyo3(from_py_with = arguments::optional_category)] category: Option<u8>,
        #[pyo3(from_py_with = arguments::optional_integer)] lane: Option<u32>,
        #[pyo3(from_py_with = arguments::optional_integer)] clocks: Option<(u32, u32)>,
        #[pyo3(from_py_with = arguments::optional_integer)] start: Option<u64>,
        timeout: Option<f64>,
    ) -> PyResult<FollowIterator> {
        let py = slf.py();
        let region = region(py, entity, prefix, scope, kind, category, lane, clocks)?;
        let timeout = arguments::seconds(py, timeout)?;
        let query = Query { from: start, ..Query::new(region) };
        let handle = &slf.get().handle;
        let follow = call(py, || handle.follow(query))?;
        Ok(FollowIterator::new(slf.unbind(), follow, timeout))
    }

    /// Like `follow`, for `async for`. It belongs to the event loop that runs now, which goes on
    /// while it waits. When a task is cancelled that waits for the next event, no event is lost.
    #[pyo3(signature = (
        *, entity=None, prefix=None, scope=None, kind=None, category=None, lane=None, clocks=None,
        start=None, timeout=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    fn follow_async(
        slf: Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] entity: Option<String>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] prefix: Option<String>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] scope: Option<String>,
        #[pyo3(from_py_with = arguments::optional_kind)] kind: Option<EventKind>,
        #[pyo3(from_py_with = arguments::optional_category)] category: Option<u8>,
        #[pyo3(from_py_with = arguments::optional_integer)] lane: Option<u32>,
        #[pyo3(from_py_with = arguments::optional_integer)] clocks: Option<(u32, u32)>,
        #[pyo3(from_py_with = arguments::optional_integer)] start: Option<u64>,
        timeout: Option<f64>,
    ) -> PyResult<AsyncFollowIterator> {
        let py = slf.py();
        let region = region(py, entity, prefix, scope, kind, category, lane, clocks)?;
        let timeout = arguments::seconds(py, timeout)?;
        let query = Query { from: start, ..Query::new(region) };
        let handle = &slf.get().handle;
        let follow = call(py, || handle.follow(query))?;
        AsyncFollowIterator::new(py, slf.unbind(), follow, timeout)
    }

    /// The event with this id and those before it along a link, newest first: the events before
    /// it in its stream, or the events that caused it.
    #[pyo3(signature = (id, *, via="stream", limit=1000))]
    fn ancestors<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arguments::id)] id: Id,
        via: &str,
        #[pyo3(from_py_with = arguments::integer)] limit: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let link = arguments::word(py, "via", LINKS, via)?;
        values::ancestry(py, call(py, || self.handle.ancestors(id, link, limit))?)
    }

    /// The end of the log.
    fn head<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::head(py, &call(py, || self.handle.head())?)
    }

    /// The end of the log as it was when it had so many events: to be compared with a head that
    /// was noted down then.
    fn head_at<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arguments::integer)] events: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        values::head(py, &call(py, || self.handle.head_at(events))?)
    }

    /// The end of a stream, or `None` if it has no event.
    #[pyo3(signature = (entity, lane=0))]
    fn stream_head<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arguments::coordinate)] entity: String,
        #[pyo3(from_py_with = arguments::integer)] lane: u32,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let head = call(py, || self.handle.stream_head(&entity, lane))?;
        head.map(|head| values::stream_head(py, &head)).transpose()
    }

    /// How far events have come.
    fn frontier<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::frontier(py, &call(py, || self.handle.frontier())?)
    }

    /// Sizes and identity.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::stats(py, &call(py, || self.handle.stats())?)
    }

    /// Checks every byte, hash and link.
    fn verify<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::verify_report(py, &call(py, || self.handle.verify())?)
    }

    /// Imports the events of another store that match everything given: of this format, or of the
    /// batpak crate 0.1 to 0.10. The source is opened for reading and not changed.
    ///
    /// Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
    /// versions, payloads and batches; and sequences, when everything is imported into an empty
    /// store and nobody appends meanwhile. Clocks and hashes are those of this store. An event whose
    /// id is here already with the same content is counted and left alone: an import can be
    /// repeated, and goes on where it was interrupted. All of it is durable on return.
    ///
    /// `salvage` goes past damage in the source, which is refused otherwise. `unvouched` imports
    /// also the events of a 0.x store that nothing vouches for, and marks them. `decrypt` imports
    /// the plaintext of the encrypted payloads of a 0.x store whose key is there, instead of the
    /// ciphertext.
    #[pyo3(signature = (
        path, *, entity=None, prefix=None, scope=None, kind=None, category=None, lane=None,
        clocks=None, salvage=false, unvouched=false, decrypt=false,
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    fn import_from<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        #[pyo3(from_py_with = arguments::optional_coordinate)] entity: Option<String>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] prefix: Option<String>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] scope: Option<String>,
        #[pyo3(from_py_with = arguments::optional_kind)] kind: Option<EventKind>,
        #[pyo3(from_py_with = arguments::optional_category)] category: Option<u8>,
        #[pyo3(from_py_with = arguments::optional_integer)] lane: Option<u32>,
        #[pyo3(from_py_with = arguments::optional_integer)] clocks: Option<(u32, u32)>,
        salvage: bool,
        unvouched: bool,
        decrypt: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let region = region(py, entity, prefix, scope, kind, category, lane, clocks)?;
        let options = ImportOptions { salvage, unvouched, decrypt };
        let report = call(py, || self.handle.import_from(&path, &region, &options))?;
        values::import_report(py, &report)
    }

    /// Writes the events that match everything given to a new directory, as a store of the batpak
    /// crate 0.x. The directory must not exist, or be empty; nothing of a failed export is left
    /// under its name.
    ///
    /// Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
    /// versions and payloads; an imported event gets its old clock. The sequences there are the
    /// places of the events in the export.
    ///
    /// `plain` writes what 0.1 reads, too: without extensions and payload versions, and nearly twice
    /// as large; without it, what 0.7 to 0.10 read. A segment of `segment_bytes` is ended before the
    /// next event; without it, one of 64 MiB.
    #[pyo3(signature = (
        path, *, entity=None, prefix=None, scope=None, kind=None, category=None, lane=None,
        clocks=None, plain=false, segment_bytes=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    fn export_to<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        #[pyo3(from_py_with = arguments::optional_coordinate)] entity: Option<String>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] prefix: Option<String>,
        #[pyo3(from_py_with = arguments::optional_coordinate)] scope: Option<String>,
        #[pyo3(from_py_with = arguments::optional_kind)] kind: Option<EventKind>,
        #[pyo3(from_py_with = arguments::optional_category)] category: Option<u8>,
        #[pyo3(from_py_with = arguments::optional_integer)] lane: Option<u32>,
        #[pyo3(from_py_with = arguments::optional_integer)] clocks: Option<(u32, u32)>,
        plain: bool,
        #[pyo3(from_py_with = arguments::optional_integer)] segment_bytes: Option<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let region = region(py, entity, prefix, scope, kind, category, lane, clocks)?;
        let segment_bytes = segment_bytes.unwrap_or(ExportOptions::default().segment_bytes);
        let options = ExportOptions { plain, segment_bytes };
        let report = call(py, || self.handle.export_to(&path, &region, &options))?;
        values::export_report(py, &report)
    }

    /// The bytes that a receipt of the batpak crate 0.7 to 0.10 vouches for, for an event of a 0.x
    /// store that is opened for reading: the receipt's signature is Ed25519 over the BLAKE3 of
    /// these bytes, its key id the BLAKE3 of the public key. A receipt of 0.7 with extensions is not
    /// covered: its extensions are not in the store.
    fn receipt_cover_0x<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arguments::integer)] sequence: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let cover = call(py, || self.handle.receipt_cover_0x(sequence))?;
        Ok(PyBytes::new(py, &cover))
    }

    /// Puts new segments in the place of sealed ones, while others append and read: drops events that
    /// are no longer wanted, or makes tombstones of them, and joins small segments. Without a
    /// `retention`, it joins small segments, and does nothing else. With one, the newest segment is
    /// sealed first, so that the retention holds for every event that is visible.
    ///
    /// What stays keeps its sequence, clock, hash and receipt; heads that were noted down still hold.
    /// One who reads meanwhile may or may not see an event that goes. Raises `LockedError` while
    /// another compaction of the store is under way.
    ///
    /// `bytes_per_second` is how much is read and written at the most; 0 is as much as can be.
    /// `progress` is called, about once per MiB and at each segment, with a `CompactProgress`. An
    /// exception in it or in the retention's `keep`, an interrupt such as Ctrl-C, and closing the
    /// store end the compaction; it raises that very exception, and the store is as it was.
    #[pyo3(signature = (*, retention=None, bytes_per_second=0, progress=None))]
    fn compact<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = Rules::optional)] retention: Option<Rules>,
        #[pyo3(from_py_with = arguments::integer)] bytes_per_second: u64,
        #[pyo3(from_py_with = arguments::optional_function)] progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let report = compact::run(py, &self.handle, retention, bytes_per_second, progress)?;
        values::compact_report(py, &report)
    }

    /// Makes a snapshot in a new directory, while others append: all events that are visible now,
    /// and what is needed to open them as a store, with the same store id. To restore it is to open
    /// it. The directory must not exist, or be empty; nothing of a failed snapshot is left under
    /// its name, and one that has its name is whole and survives a power cut.
    ///
    /// Sealed segments are shared with this store by hard links where the file system can do that,
    /// and copied otherwise. `independent` shares no file with this store, so that damage to the
    /// files of one is none to the other. `earlier` is the directory of an earlier snapshot of this
    /// store, or of the one that it was forked from: sealed segments that it has are shared with
    /// it, rather than copied.
    #[pyo3(signature = (path, *, earlier=None, independent=false))]
    fn snapshot_to<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        earlier: Option<PathBuf>,
        independent: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = SnapshotOptions { earlier, independent };
        values::copy_report(py, &call(py, || self.handle.snapshot_to(&path, &options))?)
    }

    /// Verifies a snapshot, all of it, and compares it with this store: whether this store's log
    /// begins with it, and otherwise where they part.
    fn verify_snapshot<'py>(&self, py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyAny>> {
        values::snapshot_check(py, &call(py, || self.handle.verify_snapshot(&path))?)
    }

    /// Makes a fork in a new directory, while others append: a store of its own, with its own id,
    /// that begins with events of this one and can be appended to. Those keep their ids, hashes and
    /// places; receipts and proofs stay valid. The directory must not exist, or be empty; nothing of
    /// a failed fork is left under its name, and one that has its name is whole and survives a power
    /// cut.
    ///
    /// `at` is how many events, from the first on, the fork has in common with this store; without
    /// it, all that are visible. A batch cannot be cut. Sealed segments are shared with this store
    /// by hard links where the file system can do that, and copied otherwise; `independent` shares
    /// no file.
    #[pyo3(signature = (path, *, at=None, independent=false))]
    fn fork_to<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        #[pyo3(from_py_with = arguments::optional_integer)] at: Option<u64>,
        independent: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = ForkOptions { at, independent };
        values::copy_report(py, &call(py, || self.handle.fork_to(&path, &options))?)
    }

    /// Compares this store with another one: a fork of it, its parent, or a snapshot. Stores that
    /// are no relatives have nothing in common, whatever is in them. What is compared are the hashes
    /// that are recorded; `verify` shows that they are those of the events.
    fn diff<'py>(&self, py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyAny>> {
        values::diff(py, &call(py, || self.handle.diff(&path))?)
    }

    /// What this store was forked from; `None` if it is no fork.
    #[getter]
    fn parent<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.handle.parent().map(|parent| values::parent(py, &parent)).transpose()
    }

    /// Looks for what a writer in another process has made visible, and gives the number of
    /// visible events.
    fn refresh(&self, py: Python<'_>) -> PyResult<u64> {
        call(py, || self.handle.refresh())
    }

    /// Waits until at least `events` events are visible or `timeout` seconds are over (`None`:
    /// without end), and gives the number of visible events.
    #[pyo3(signature = (events, timeout=None))]
    fn wait(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::integer)] events: u64,
        timeout: Option<f64>,
    ) -> PyResult<u64> {
        let timeout = arguments::seconds(py, timeout)?;
        let start = Instant::now();
        loop {
            let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            let slice = left.map_or(WAIT_SLICE, |left| left.min(WAIT_SLICE));
            let visible = call(py, || self.handle.wait(events, slice))?;
            if visible >= events || left.is_some_and(|left| left.is_zero()) {
                return Ok(visible);
            }
            py.check_signals()?;
        }
    }

    /// Writes and syncs what is buffered, and closes. Closing twice is fine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.handle.close())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _exception_type: &Bound<'_, PyAny>,
        _exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.close(py)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a Store is an open directory and cannot be pickled; open it again where it is needed",
        ))
    }

    fn __repr__(&self) -> String {
        format!("<batpak.Store {}>", self.handle.path().display())
    }
}
