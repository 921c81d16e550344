//! Following a store from an event loop.

use crate::errors::{exception, without_panic};
use crate::event::Event;
use crate::outbox::{Outbox, resolve, running_loop};
use crate::reading::{PAGE_BYTES, PAGE_EVENTS, WAIT_SLICE, lock};
use crate::store::Store;
use batpak_core::{Follow, Result};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::intern;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use std::vec;

/// Events of a store as they become visible, for the event loop that it was made in. A thread
/// reads the next page and waits for it, but only while somebody asks for an event.
#[pyclass(frozen, module = "batpak")]
pub(crate) struct AsyncFollowIterator {
    following: Arc<Following>,
    /// Keeps the handle open while the iterator is in use.
    _store: Py<Store>,
}

struct Following {
    outbox: Arc<Outbox>,
    timeout: Option<Duration>,
    /// Only the reading thread locks it.
    follow: Mutex<Follow>,
    /// Only the thread of the loop locks it.
    state: Mutex<State>,
    /// Nobody asks any more: the reading thread shall give up.
    abandoned: AtomicBool,
}

#[derive(Default)]
struct State {
    page: vec::IntoIter<batpak_core::Event>,
    /// The future of the event that was asked for.
    waiter: Option<Py<PyAny>>,
    /// A thread reads the next page.
    reading: bool,
}

impl AsyncFollowIterator {
    pub(crate) fn new(
        py: Python<'_>,
        store: Py<Store>,
        follow: Follow,
        timeout: Option<Duration>,
    ) -> PyResult<Self> {
        let following = Following {
            outbox: Outbox::of(&running_loop(py)?)?,
            timeout,
            follow: Mutex::new(follow),
            state: Mutex::default(),
            abandoned: AtomicBool::new(false),
        };
        Ok(Self { following: Arc::new(following), _store: store })
    }
}

#[pymethods]
impl AsyncFollowIterator {
    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let following = &self.following;
        let event_loop = running_loop(py)?;
        if !Arc::ptr_eq(&Outbox::of(&event_loop)?, &following.outbox) {
            return Err(PyRuntimeError::new_err("the iterator belongs to another event loop"));
        }
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        let mut state = lock(&following.state);
        if let Some(event) = state.page.next() {
            resolve(&future, Event(event).into_py_any(py))?;
            return Ok(future);
        }
        if let Some(waiter) = &state.waiter
            && !waiter.call_method0(py, intern!(py, "done"))?.is_truthy(py)?
        {
            return Err(PyRuntimeError::new_err("another task waits for the next event"));
        }
        let watch = Watch(Arc::downgrade(following));
        future.call_method1(intern!(py, "add_done_callback"), (watch,))?;
        following.abandoned.store(false, Ordering::Relaxed);
        if !state.reading {
            read(following.clone())?;
            state.reading = true;
        }
        state.waiter = Some(future.clone().unbind());
        Ok(future)
    }
}

/// Notices that the one who asked was cancelled. It belongs to a future that may belong to what is
/// followed.
#[pyclass(frozen)]
struct Watch(Weak<Following>);

#[pymethods]
impl Watch {
    fn __call__(&self, future: &Bound<'_, PyAny>) {
        let Some(following) = self.0.upgrade() else { return };
        let mut state = lock(&following.state);
        // Not so if the event came, or if somebody has asked again meanwhile.
        if state.waiter.as_ref().is_some_and(|waiter| waiter.is(future)) {
            state.waiter = None;
            following.abandoned.store(true, Ordering::Relaxed);
        }
    }
}

/// How the reading of a page ended.
enum Read {
    Page(Vec<batpak_core::Event>),
    TimedOut,
    Abandoned,
}

/// Starts a thread that waits for the next page.
fn read(following: Arc<Following>) -> PyResult<()> {
    let thread = std::thread::Builder::new().name("batpak-follow".into());
    thread.spawn(move || {
        let result = without_panic(|| following.next_page());
        let outbox = following.outbox.clone();
        outbox.put(move |py| following.deliver(py, result));
    })?;
    Ok(())
}

impl Following {
    fn next_page(&self) -> Result<Read> {
        let start = Instant::now();
        let mut follow = lock(&self.follow);
        loop {
            let left = self.timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            let slice = left.map_or(WAIT_SLICE, |left| left.min(WAIT_SLICE));
            let page = follow.next_page(PAGE_EVENTS, PAGE_BYTES, slice)?;
            if !page.is_empty() {
                return Ok(Read::Page(page));
            }
            if self.abandoned.load(Ordering::Relaxed) || self.outbox.is_closed() {
                return Ok(Read::Abandoned);
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Read::TimedOut);
            }
        }
    }

    /// Tells the one who asked, on the thread of the loop. Events for one who was cancelled are
    /// kept for the next one who asks.
    fn deliver(self: Arc<Self>, py: Python<'_>, result: Result<Read>) -> PyResult<()> {
        let mut state = lock(&self.state);
        state.reading = false;
        let mut waiter = None;
        if let Some(future) = state.waiter.take()
            && !future.call_method0(py, intern!(py, "done"))?.is_truthy(py)?
        {
            waiter = Some(future);
        }
        let answer = match result {
            Ok(Read::Page(page)) => {
                state.page = page.into_iter();
                if waiter.is_none() {
                    return Ok(());
                }
                match state.page.next() {
                    Some(event) => Event(event).into_py_any(py),
                    None => return Ok(()),
                }
            }
            // Somebody has asked again since the thread gave up.
            Ok(Read::Abandoned) if waiter.is_some() => {
                read(self.clone())?;
                state.reading = true;
                state.waiter = waiter;
                return Ok(());
            }
            Ok(Read::Abandoned | Read::TimedOut) => Err(PyStopAsyncIteration::new_err(())),
            Err(error) => Err(exception(py, &error)),
        };
        drop(state);
        waiter.map_or(Ok(()), |waiter| resolve(waiter.bind(py), answer))
    }
}
