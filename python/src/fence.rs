//! A fence: events that are staged, and then committed together or cancelled.

use crate::arguments::{self, Extensions};
use crate::errors::{call, without_panic};
use crate::new_event::{Details, NewEvent, causation, lend};
use crate::outbox::running_loop;
use crate::payload;
use crate::reading::EventIterator;
use crate::store::Store;
use crate::values;
use batpak_core::{Causation, Committed, Durability, EventKind, Expected, FenceOptions, Id};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::{Arc, OnceLock};

/// Events that are staged: nobody sees them until the fence is committed, and then everybody sees
/// all of them. `Store.begin_fence` makes one.
///
/// In a `with` statement it is committed at the end of the block, and cancelled by an exception. One
/// that is dropped is cancelled. Threads may share it. Once it was committed or cancelled, and while
/// another thread commits it, every call raises `ClosedError`.
#[pyclass(frozen, weakref, module = "batpak")]
pub(crate) struct Fence {
    fence: Arc<batpak_core::Fence>,
    /// Once it has ended through this object: what the commit did, or nothing if it was cancelled.
    ended: OnceLock<Option<Committed>>,
    /// Keeps the handle open while the fence is in use.
    store: Py<Store>,
}

impl Drop for Fence {
    fn drop(&mut self) {
        // Giving up a large file takes a while; other threads run meanwhile. One that has ended
        // has nothing to cancel.
        let cancel = || without_panic(|| self.fence.cancel());
        let cancelled = Python::try_attach(|py| py.detach(cancel));
        let _ = cancelled.unwrap_or_else(cancel);
    }
}

impl Fence {
    pub(crate) fn new(
        py: Python<'_>,
        store: Py<Store>,
        memory_bytes: Option<usize>,
    ) -> PyResult<Self> {
        let mut options = FenceOptions::default();
        options.memory_bytes = memory_bytes.unwrap_or(options.memory_bytes);
        let fence = call(py, || store.get().handle.begin_fence(&options))?;
        Ok(Self { fence: Arc::new(fence), ended: OnceLock::new(), store })
    }

    fn commit_now(&self, py: Python<'_>, durability: Option<Durability>) -> PyResult<Committed> {
        call(py, || {
            let committed = self.fence.commit(durability)?;
            // Core commits a fence once, so that nothing is there yet.
            let _ = self.ended.set(Some(committed));
            Ok(committed)
        })
    }
}

#[pymethods]
impl Fence {
    /// Stages one event behind those that the fence has, and gives its place in the fence, from 0.
    ///
    /// The arguments are those of `Store.append`. What does not depend on the log is checked here;
    /// ids and expected clocks are compared with it when the fence is committed.
    /// `causation=Item(place)` names an earlier event of the fence.
    #[pyo3(signature = (
        entity, scope, payload, kind, *, expected=Expected::Any, id=None, correlation=None,
        causation=Causation::None, lane=0, depth=0, flags=0, payload_version=0,
        timestamp_us=None, extensions=Extensions::new(),
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords, with defaults, in Python")]
    fn append(
        &self,
        py: Python<'_>,
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
    ) -> PyResult<u64> {
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
        call(py, || self.fence.append(&[event]))
    }

    /// Stages all events or none, as many and as large as a batch may be, and gives the place of the
    /// first in the fence. An `Item` is a place in the fence, not in this batch.
    fn append_batch(&self, py: Python<'_>, events: &Bound<'_, PyAny>) -> PyResult<u64> {
        let events: Vec<Bound<'_, NewEvent>> =
            events.try_iter()?.map(|event| Ok(event?.cast_into()?)).collect::<PyResult<_>>()?;
        let events: Vec<&NewEvent> = events.iter().map(Bound::get).collect();
        lend(py, &events, |lent| call(py, || self.fence.append(lent)))?
    }

    /// How many events it has.
    #[getter]
    fn events(&self, py: Python<'_>) -> PyResult<u64> {
        call(py, || self.fence.events())
    }

    /// Its own events, from the place `start` on; those that are staged meanwhile come, too.
    ///
    /// What an event gets from the log is missing: its sequence is its place in the fence, its clock
    /// and hashes are zero. So are its id and its time, unless they were given, and it has no cause
    /// if the id of that was not given.
    #[pyo3(signature = (*, start=0))]
    fn read(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::integer)] start: u64,
    ) -> PyResult<EventIterator> {
        let fence = slf.get();
        call(slf.py(), || fence.fence.events())?;
        Ok(EventIterator::of_fence(slf.clone().unbind(), Arc::clone(&fence.fence), start))
    }

    /// Appends its events as one batch, which takes its place in the log now: ids and expected
    /// clocks are checked, and when all is as safe as `durability` says, all events become visible at
    /// once. Without events, nothing is done.
    ///
    /// If all its events have ids that are known already, with the same content, nothing is appended,
    /// and the result says so. A commit that fails leaves the fence open: it can be tried again, or
    /// cancelled.
    #[pyo3(signature = (*, durability=None))]
    fn commit<'py>(
        &self,
        py: Python<'py>,
        durability: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let durability = arguments::durability(py, durability)?;
        values::committed(py, &self.commit_now(py, durability)?)
    }

    /// Starts to commit on a thread of the running loop's executor, and gives a future of what
    /// `commit` gives. Cancelling the future does not take the commit back.
    #[pyo3(signature = (*, durability=None))]
    fn commit_async<'py>(
        slf: &Bound<'py, Self>,
        durability: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let durability = arguments::durability(py, durability)?;
        let commit = Commit { fence: slf.clone().unbind(), durability };
        let call = (py.None(), commit);
        running_loop(py)?.call_method1(intern!(py, "run_in_executor"), call)
    }

    /// Ends the fence without appending anything.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || {
            self.fence.cancel()?;
            let _ = self.ended.set(None);
            Ok(())
        })
    }

    /// What committing it did; `None` until then, and if it was cancelled.
    #[getter]
    fn committed<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let committed = self.ended.get().and_then(Option::as_ref);
        committed.map(|committed| values::committed(py, committed)).transpose()
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exception_type: &Bound<'_, PyAny>,
        _exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let committed = if exception_type.is_none() && self.ended.get().is_none() {
            self.commit_now(py, None).map(drop)
        } else {
            Ok(())
        };
        if committed.is_err() || !exception_type.is_none() {
            // Whatever keeps it from being cancelled says less than the exception on its way.
            let _ = self.cancel(py);
        }
        committed
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let future = running_loop(py)?.call_method0(intern!(py, "create_future"))?;
        future.call_method1(intern!(py, "set_result"), (slf,))?;
        Ok(future)
    }

    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        exception_type: &Bound<'py, PyAny>,
        exception: &Bound<'py, PyAny>,
        traceback: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let exit = slf.getattr(intern!(py, "__exit__"))?;
        let call = (py.None(), exit, exception_type, exception, traceback);
        running_loop(py)?.call_method1(intern!(py, "run_in_executor"), call)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Fence belongs to an open store and cannot be pickled"))
    }

    fn __repr__(&self) -> String {
        let state = match self.ended.get() {
            None => "open",
            Some(Some(_)) => "committed",
            Some(None) => "cancelled",
        };
        format!("<batpak.Fence of {}, {state}>", self.store.get().handle.path().display())
    }
}

/// A commit on a thread of the loop's executor.
#[pyclass(frozen)]
struct Commit {
    fence: Py<Fence>,
    durability: Option<Durability>,
}

#[pymethods]
impl Commit {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::committed(py, &self.fence.get().commit_now(py, self.durability)?)
    }
}
