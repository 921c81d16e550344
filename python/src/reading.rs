//! Iterators over events: pages are fetched without the GIL, events are handed out one by one.

use crate::errors::{call, refuse};
use crate::event::Event;
use crate::store::Store;
use crate::values;
use batpak_core::{
    EntityFilter, ErrorKind, EventKind, Fence, Follow, KindFilter, Query, Region, Result, Scan,
};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::vec;

/// The first page is small, so that looking at the first few events is cheap.
const FIRST_PAGE_EVENTS: usize = 16;
pub(crate) const PAGE_EVENTS: usize = 1024;
pub(crate) const PAGE_BYTES: usize = 1 << 20;
/// How long a wait lasts before Python may handle a signal such as Ctrl-C.
pub(crate) const WAIT_SLICE: Duration = Duration::from_millis(50);

/// The region that the keyword arguments of a read describe.
#[expect(clippy::too_many_arguments, reason = "they are the keywords of a read in Python")]
pub(crate) fn region(
    py: Python<'_>,
    entity: Option<String>,
    prefix: Option<String>,
    scope: Option<String>,
    kind: Option<EventKind>,
    category: Option<u8>,
    lane: Option<u32>,
    clocks: Option<(u32, u32)>,
) -> PyResult<Region> {
    let both = |message| Err(refuse(py, ErrorKind::InvalidArgument, message));
    let entity = match (entity, prefix) {
        (None, None) => EntityFilter::Any,
        (Some(entity), None) => EntityFilter::Exact(entity),
        (None, Some(prefix)) => EntityFilter::Prefix(prefix),
        (Some(_), Some(_)) => return both("entity and prefix exclude each other"),
    };
    let kind = match (kind, category) {
        (None, None) => KindFilter::Any,
        (Some(kind), None) => KindFilter::Exact(kind),
        (None, Some(category)) => KindFilter::Category(category),
        (Some(_), Some(_)) => return both("kind and category exclude each other"),
    };
    Ok(Region { entity, scope, kind, lane, clocks })
}

/// Where pages come from.
enum Source {
    Store(Box<Scan>),
    /// The staged events from a place on.
    Fence(Arc<Fence>, u64),
}

impl Source {
    fn next_page(&mut self, events: usize, bytes: usize) -> Result<Vec<batpak_core::Event>> {
        match self {
            Self::Store(scan) => scan.next_page(events, bytes),
            Self::Fence(fence, place) => {
                let page = fence.read(*place, events, bytes)?;
                *place += page.len() as u64;
                Ok(page)
            }
        }
    }
}

/// A source, and the rest of the page that was fetched last.
struct Reading {
    source: Option<Source>,
    page: vec::IntoIter<batpak_core::Event>,
    page_events: usize,
}

impl Reading {
    fn new(source: Source) -> Self {
        let page = Vec::new().into_iter();
        Self { source: Some(source), page, page_events: FIRST_PAGE_EVENTS }
    }

    fn next(&mut self) -> Result<Option<batpak_core::Event>> {
        if self.page.len() == 0 {
            self.page = self.fetch(self.page_events, PAGE_BYTES)?.into_iter();
            self.page_events = PAGE_EVENTS;
        }
        Ok(self.page.next())
    }

    /// The next events, exactly `size` of them unless the end comes first.
    fn page(&mut self, size: usize) -> Result<Vec<batpak_core::Event>> {
        let mut events: Vec<_> = self.page.by_ref().take(size).collect();
        while events.len() < size {
            let more = self.fetch(size - events.len(), usize::MAX)?;
            if more.is_empty() {
                break;
            }
            events.extend(more);
        }
        Ok(events)
    }

    fn fetch(&mut self, events: usize, bytes: usize) -> Result<Vec<batpak_core::Event>> {
        // It goes back only after success: after the end or an error there is nothing more.
        let Some(mut source) = self.source.take() else { return Ok(Vec::new()) };
        let page = source.next_page(events, bytes)?;
        if !page.is_empty() {
            self.source = Some(source);
        }
        Ok(page)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Events of a store or a fence, in order. Threads may share it: each event is given once.
#[pyclass(frozen, module = "batpak")]
pub(crate) struct EventIterator {
    reading: Mutex<Reading>,
    /// Keeps the store or the fence open while the iterator is in use.
    _owner: Py<PyAny>,
}

impl EventIterator {
    pub(crate) fn new(py: Python<'_>, store: Py<Store>, query: Query) -> PyResult<Self> {
        let scan = call(py, || store.get().handle.read(query))?;
        let reading = Mutex::new(Reading::new(Source::Store(Box::new(scan))));
        Ok(Self { reading, _owner: store.into_any() })
    }

    /// The events that are staged in `fence`, which `owner` keeps open, from a place on.
    pub(crate) fn of_fence<T>(owner: Py<T>, fence: Arc<Fence>, start: u64) -> Self {
        let reading = Mutex::new(Reading::new(Source::Fence(fence, start)));
        Self { reading, _owner: owner.into_any() }
    }
}

#[pymethods]
impl EventIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Event>> {
        // A thread that fetches a page has the lock but not the GIL, so this one must not wait
        // for the lock with the GIL.
        let ready = self.reading.try_lock().ok().and_then(|mut reading| reading.page.next());
        let event = match ready {
            Some(event) => Some(event),
            None => call(py, || lock(&self.reading).next())?,
        };
        Ok(event.map(Event))
    }

    /// The rest of the events as lists of `size`; the last list may be shorter.
    fn pages(slf: Py<Self>, py: Python<'_>, size: usize) -> PyResult<PageIterator> {
        Ok(PageIterator { size: page_size(py, size)?, events: slf })
    }

    /// The rest of the events as columns of `size`, for numpy, struct and the like; the last page
    /// may be shorter.
    #[pyo3(signature = (size=4096))]
    fn packed(slf: Py<Self>, py: Python<'_>, size: usize) -> PyResult<PackedIterator> {
        Ok(PackedIterator { size: page_size(py, size)?, events: slf })
    }
}

fn page_size(py: Python<'_>, size: usize) -> PyResult<usize> {
    let zero = || refuse(py, ErrorKind::InvalidArgument, "size is 0; it must be 1 or more");
    if size == 0 { Err(zero()) } else { Ok(size) }
}

/// Columns of events, in order.
#[pyclass(frozen, module = "batpak")]
pub(crate) struct PackedIterator {
    events: Py<EventIterator>,
    size: usize,
}

#[pymethods]
impl PackedIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let page = call(py, || lock(&self.events.get().reading).page(self.size))?;
        if page.is_empty() { Ok(None) } else { values::packed_page(py, &page).map(Some) }
    }
}

/// Lists of events, in order.
#[pyclass(frozen, module = "batpak")]
pub(crate) struct PageIterator {
    events: Py<EventIterator>,
    size: usize,
}

#[pymethods]
impl PageIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Vec<Event>>> {
        let page = call(py, || lock(&self.events.get().reading).page(self.size))?;
        Ok((!page.is_empty()).then(|| page.into_iter().map(Event).collect()))
    }
}

/// Events of a store as they become visible.
#[pyclass(frozen, module = "batpak")]
pub(crate) struct FollowIterator {
    following: Mutex<Following>,
    timeout: Option<Duration>,
    /// Keeps the handle open while the iterator is in use.
    _store: Py<Store>,
}

/// What is followed, and the rest of the page that was fetched last.
struct Following {
    follow: Follow,
    page: vec::IntoIter<batpak_core::Event>,
}

impl Following {
    /// The next event if it becomes visible within `wait`.
    fn next(&mut self, wait: Duration) -> Result<Option<batpak_core::Event>> {
        if self.page.len() == 0 {
            self.page = self.follow.next_page(PAGE_EVENTS, PAGE_BYTES, wait)?.into_iter();
        }
        Ok(self.page.next())
    }
}

impl FollowIterator {
    pub(crate) fn new(store: Py<Store>, follow: Follow, timeout: Option<Duration>) -> Self {
        let following = Following { follow, page: Vec::new().into_iter() };
        Self { following: Mutex::new(following), timeout, _store: store }
    }
}

#[pymethods]
impl FollowIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Event>> {
        let start = Instant::now();
        loop {
            let left = self.timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            let slice = left.map_or(WAIT_SLICE, |left| left.min(WAIT_SLICE));
            if let Some(event) = call(py, || lock(&self.following).next(slice))? {
                return Ok(Some(Event(event)));
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            py.check_signals()?;
        }
    }
}
