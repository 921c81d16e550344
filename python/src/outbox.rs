//! What has ended, on its way to the event loop that waits for it.
//!
//! Results come from threads that must never wait for the GIL, such as the one that commits for
//! all appenders. Such a thread puts what ended into the outbox of the loop, and rings only if the
//! outbox was empty: it writes a byte to a socket that the loop watches. The loop then hands out
//! all that has gathered. No thread of this package is needed for it, and nothing happens to a
//! loop that was closed meanwhile.

use crate::errors::refuse;
use crate::reading::lock;
use batpak_core::ErrorKind;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use std::io::{Read, Write};
use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

/// Tells the one who waits, on the thread of the loop.
type Delivery = Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>;

/// What has ended for one event loop.
pub(crate) struct Outbox {
    /// `None` when the loop is closed.
    ended: Mutex<Option<Vec<Delivery>>>,
    /// Threads write to the bell; the loop watches the ear.
    bell: UnixStream,
    ear: UnixStream,
}

/// The outboxes of all loops. An outbox does not keep its loop alive.
static OUTBOXES: Mutex<Vec<(Py<PyWeakrefReference>, Arc<Outbox>)>> = Mutex::new(Vec::new());

/// The event loop that runs in this thread, or `RuntimeError`.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    FUNCTION.import(py, "asyncio", "get_running_loop")?.call0()
}

impl Outbox {
    /// The outbox of this running loop.
    pub(crate) fn of(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let py = event_loop.py();
        let is_its = |weak: &Py<PyWeakrefReference>| {
            weak.bind(py).upgrade().is_some_and(|other| other.is(event_loop))
        };
        // No Python code runs under this lock, so that no thread waits for it with the GIL.
        if let Some((_, outbox)) = lock(&OUTBOXES).iter().find(|(weak, _)| is_its(weak)) {
            return Ok(outbox.clone());
        }
        let outbox = Arc::new(Self::new()?);
        let collect = Bound::new(py, Collect(outbox.clone()))?;
        event_loop.call_method1("add_reader", (outbox.ear.as_raw_fd(), collect))?;
        let mut outboxes = mem::take(&mut *lock(&OUTBOXES));
        outboxes.retain(|(weak, outbox)| {
            let closed = |other: Bound<'_, PyAny>| other.call_method0("is_closed")?.is_truthy();
            let open = weak.bind(py).upgrade().is_some_and(|other| !closed(other).unwrap_or(true));
            if !open {
                // What nobody will collect can hold this outbox, and through its futures the loop.
                let ended = lock(&outbox.ended).take();
                drop(ended);
            }
            open
        });
        outboxes.push((PyWeakrefReference::new(event_loop)?.unbind(), outbox.clone()));
        lock(&OUTBOXES).append(&mut outboxes);
        Ok(outbox)
    }

    fn new() -> PyResult<Self> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok(Self { ended: Mutex::new(Some(Vec::new())), bell, ear })
    }

    /// Whether its loop was closed before another one began.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.ended).is_none()
    }

    /// Has the loop call `delivery` soon. Any thread may call this, with the GIL or without.
    pub(crate) fn put(&self, delivery: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static) {
        let mut ended = lock(&self.ended);
        let Some(deliveries) = ended.as_mut() else { return };
        let was_empty = deliveries.is_empty();
        deliveries.push(Box::new(delivery));
        drop(ended);
        if was_empty {
            // The socket holds many bytes and there is one at a time; what cannot be written is
            // written already.
            let _ = (&self.bell).write(&[1]);
        }
    }
}

/// Hands out what has ended. The loop calls it when the bell was rung.
#[pyclass(frozen)]
struct Collect(Arc<Outbox>);

#[pymethods]
impl Collect {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        // Before the outbox is emptied: what comes behind that rings again.
        let _ = (&self.0.ear).read(&mut [0; 8]);
        let ended = lock(&self.0.ended).as_mut().map(mem::take).unwrap_or_default();
        // One that fails, by an interrupt, say, must not keep the others from being told.
        let results: Vec<_> = ended.into_iter().map(|delivery| delivery(py)).collect();
        results.into_iter().collect()
    }
}

/// A future of an event loop, to be resolved from any thread.
pub(crate) struct Promise {
    outbox: Arc<Outbox>,
    /// `None` once it is kept.
    future: Option<Py<PyAny>>,
}

impl Promise {
    /// A promise, and its future, in this running loop.
    pub(crate) fn new<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<(Self, Bound<'py, PyAny>)> {
        let py = event_loop.py();
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        let outbox = Outbox::of(event_loop)?;
        Ok((Self { outbox, future: Some(future.clone().unbind()) }, future))
    }

    /// Resolves the future with what `answer` makes, on the thread of the loop.
    pub(crate) fn keep(
        mut self,
        answer: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
    ) {
        let Some(future) = self.future.take() else { return };
        self.outbox.put(move |py| resolve(future.bind(py), answer(py)));
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        // Nobody must wait for ever, whatever became of the one who was to answer.
        if let Some(future) = self.future.take() {
            self.outbox.put(move |py| {
                let lost = refuse(py, ErrorKind::Panic, "an append gave no answer");
                resolve(future.bind(py), Err(lost))
            });
        }
    }
}

/// Resolves a future, unless it was cancelled.
pub(crate) fn resolve(future: &Bound<'_, PyAny>, result: PyResult<Py<PyAny>>) -> PyResult<()> {
    let py = future.py();
    if future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    match result {
        Ok(value) => future.call_method1(intern!(py, "set_result"), (value,))?,
        Err(error) => future.call_method1(intern!(py, "set_exception"), (error,))?,
    };
    Ok(())
}
