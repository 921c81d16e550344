//! Reading: one event, the way back from one, and scans.

use crate::argument::{
    self, Growing, Output, batpak_bytes, batpak_text, check_reserved, growing, invalid, no_such,
    required, text_of,
};
use crate::exclusive::Exclusive;
use crate::guard::guard;
use crate::handle::{self, Handled};
use crate::id::batpak_id;
use crate::status::{batpak_error, batpak_status};
use crate::store::{batpak_store, on_store};
use crate::view::{ViewOutput, batpak_event, batpak_view};
use batpak_core::{
    Direction, EntityFilter, Error, ErrorKind, Event, EventKind, KindFilter, Link, Query, Region,
    Result, Scan,
};
use std::collections::VecDeque;

/// A query being read. Opened by batpak_scan_open, closed by batpak_scan_close.
pub struct batpak_scan;

/// The order in which a query gives events.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_direction {
    /// By rising sequence.
    BATPAK_DIRECTION_FORWARD = 0,
    /// By falling sequence.
    BATPAK_DIRECTION_BACKWARD = 1,
}

/// The parts of a query that count: bits of parts. Every part that counts must match.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_query_part {
    /// Only the entity in entity.
    BATPAK_QUERY_ENTITY = 1,
    /// Only the entity in entity and all below it: `user:1` matches `user:1` and `user:1:cart`,
    /// but not `user:10`. Not together with BATPAK_QUERY_ENTITY.
    BATPAK_QUERY_PREFIX = 2,
    /// Only the scope in scope.
    BATPAK_QUERY_SCOPE = 4,
    /// Only the kind in kind.
    BATPAK_QUERY_KIND = 8,
    /// Only kinds of the category in kind, 0 to 15. Not together with BATPAK_QUERY_KIND.
    BATPAK_QUERY_CATEGORY = 16,
    /// Only the lane in lane.
    BATPAK_QUERY_LANE = 32,
    /// Only clocks from clock_first to clock_last, both included.
    BATPAK_QUERY_CLOCKS = 64,
    /// Start at the sequence in from, included, and not at the log's start (or its end when
    /// reading backwards).
    BATPAK_QUERY_FROM = 128,
    /// At most as many events as limit says.
    BATPAK_QUERY_LIMIT = 256,
}

/// Which events to read, and in which order. Initialise it with BATPAK_QUERY_INIT, which is
/// everything, forwards.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_query {
    /// sizeof(batpak_query).
    pub struct_size: u32,
    /// Which of the fields below count: bits of batpak_query_part.
    pub parts: u32,
    /// A batpak_direction; always counts.
    pub direction: i32,
    /// A kind, or a category.
    pub kind: u32,
    /// An entity, or the prefix of entities.
    pub entity: batpak_text,
    /// A scope.
    pub scope: batpak_text,
    /// A lane.
    pub lane: u32,
    /// The first clock.
    pub clock_first: u32,
    /// The last clock.
    pub clock_last: u32,
    /// Zero.
    pub reserved: u32,
    /// The first sequence to look at, included.
    pub from: u64,
    /// The most events.
    pub limit: u64,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_query {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            parts: 0,
            direction: 0,
            kind: 0,
            entity: batpak_text::EMPTY,
            scope: batpak_text::EMPTY,
            lane: 0,
            clock_first: 0,
            clock_last: 0,
            reserved: 0,
            from: 0,
            limit: 0,
        }
    }
}

impl batpak_query {
    /// A query as BATPAK_QUERY_INIT makes it.
    pub fn defaults() -> Self {
        Self::initial()
    }

    /// The query that `query` points to; null is everything, forwards.
    ///
    /// SAFETY: a `query` that is not null points to a struct of the size that it says, with texts
    /// as the rules at the top of the header say.
    pub(crate) unsafe fn of(query: *const Self) -> Result<Query> {
        if query.is_null() {
            return Ok(Query::default());
        }
        // SAFETY: the caller's promise.
        unsafe { growing("query", query)?.get() }
    }

    /// The part of a query that says which events, for a call that takes all of them in its own
    /// order; null is everything.
    ///
    /// SAFETY: as for `of`.
    pub(crate) unsafe fn region_of(query: *const Self) -> Result<Region> {
        // SAFETY: the caller's promise.
        let query = unsafe { Self::of(query) }?;
        if query == Query::new(query.region.clone()) {
            return Ok(query.region);
        }
        Err(invalid("query has a direction, a from or a limit, which this call does not take"))
    }

    /// SAFETY: the texts that count are as the rules at the top of the header say.
    unsafe fn get(&self) -> Result<Query> {
        use batpak_query_part::{
            BATPAK_QUERY_CATEGORY, BATPAK_QUERY_CLOCKS, BATPAK_QUERY_ENTITY, BATPAK_QUERY_FROM,
            BATPAK_QUERY_KIND, BATPAK_QUERY_LANE, BATPAK_QUERY_LIMIT, BATPAK_QUERY_PREFIX,
            BATPAK_QUERY_SCOPE,
        };
        let has = |part: batpak_query_part| self.parts & part as u32 != 0;
        if self.parts >= (BATPAK_QUERY_LIMIT as u32) << 1 {
            return Err(invalid(format!("parts is {:#x}, which has unknown bits", self.parts)));
        }
        check_reserved("reserved", self.reserved)?;
        // SAFETY: the caller's promise, for both texts.
        let text = |field, value| unsafe { text_of(field, value) }.map(str::to_owned);
        let entity = match (has(BATPAK_QUERY_ENTITY), has(BATPAK_QUERY_PREFIX)) {
            (false, false) => EntityFilter::Any,
            (true, false) => EntityFilter::Exact(text("entity", self.entity)?),
            (false, true) => EntityFilter::Prefix(text("entity", self.entity)?),
            (true, true) => return Err(invalid("parts asks for an entity and for a prefix")),
        };
        let out_of_range =
            || Error::new(ErrorKind::InvalidKind, format!("kind {:#x} is out of range", self.kind));
        let kind = match (has(BATPAK_QUERY_KIND), has(BATPAK_QUERY_CATEGORY)) {
            (false, false) => KindFilter::Any,
            (true, false) => {
                let kind = u16::try_from(self.kind).map_err(|_| out_of_range())?;
                KindFilter::Exact(EventKind(kind))
            }
            (false, true) => {
                KindFilter::Category(u8::try_from(self.kind).map_err(|_| out_of_range())?)
            }
            (true, true) => return Err(invalid("parts asks for a kind and for a category")),
        };
        let scope = match has(BATPAK_QUERY_SCOPE) {
            true => Some(text("scope", self.scope)?),
            false => None,
        };
        Ok(Query {
            region: Region {
                entity,
                scope,
                kind,
                lane: has(BATPAK_QUERY_LANE).then_some(self.lane),
                clocks: has(BATPAK_QUERY_CLOCKS).then_some((self.clock_first, self.clock_last)),
            },
            direction: match self.direction {
                0 => Direction::Forward,
                1 => Direction::Backward,
                other => return Err(no_such("direction", other)),
            },
            from: has(BATPAK_QUERY_FROM).then_some(self.from),
            limit: has(BATPAK_QUERY_LIMIT).then_some(self.limit),
        })
    }
}

/// Which link to follow from an event to the one before it.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_link {
    /// The event before it in its stream.
    BATPAK_LINK_STREAM = 0,
    /// The event that caused it.
    BATPAK_LINK_CAUSATION = 1,
}

/// Why a walk along a link ended.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_boundary {
    /// The last event has nothing before it.
    BATPAK_BOUNDARY_GENESIS = 0,
    /// As many events as asked for were found.
    BATPAK_BOUNDARY_LIMIT = 1,
    /// The last event names one that is not in this store.
    BATPAK_BOUNDARY_MISSING = 2,
    /// The last event names one that was already given.
    BATPAK_BOUNDARY_CYCLE = 3,
}

/// The event with this id.
///
/// view: gets a view, which the caller releases, or null when there is no such event. events: gets
/// the event, valid until the view is released. count: gets 1, or 0 when there is no such event.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED,
/// BATPAK_INVALID_ARGUMENT, BATPAK_TOO_LARGE when there are too many handles.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_get(
    store: *const batpak_store,
    id: *const batpak_id,
    view: *mut *mut batpak_view,
    events: *mut *const batpak_event,
    count: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, id) = unsafe { (ViewOutput::new(view, events, count)?, required("id", id)?) };
        on_store(store, |store| {
            output.set(store.get(id.get())?.into_iter().collect());
            Ok(())
        })
    })
}

/// The event at this sequence. As batpak_store_get in everything else.
///
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_at(
    store: *const batpak_store,
    sequence: u64,
    view: *mut *mut batpak_view,
    events: *mut *const batpak_event,
    count: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { ViewOutput::new(view, events, count) }?;
        on_store(store, |store| {
            output.set(store.at(sequence)?.into_iter().collect());
            Ok(())
        })
    })
}

/// The events from one back along a link, newest first, itself included.
///
/// id: where to start. link: a batpak_link. limit: at most so many events. view, events, count: as
/// for batpak_store_get. boundary: gets why there are no more, a batpak_boundary.
///
/// Errors: BATPAK_NOT_FOUND when there is no event with this id; otherwise as for
/// batpak_store_get. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_ancestors(
    store: *const batpak_store,
    id: *const batpak_id,
    link: i32,
    limit: u64,
    view: *mut *mut batpak_view,
    events: *mut *const batpak_event,
    count: *mut usize,
    boundary: *mut i32,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, boundary, id) = unsafe {
            let output = ViewOutput::new(view, events, count)?;
            (output, Output::new("boundary", boundary)?, required("id", id)?)
        };
        let link = match link {
            0 => Link::Stream,
            1 => Link::Causation,
            other => return Err(no_such("link", other)),
        };
        on_store(store, |store| {
            let ancestry = store.ancestors(id.get(), link, limit)?;
            boundary.set(ancestry.boundary as i32);
            output.set(ancestry.events);
            Ok(())
        })
    })
}

/// What a scan handle stands for.
struct OpenScan(Exclusive<Pages>);

impl Handled for OpenScan {
    type Pointee = batpak_scan;
}

/// A scan, and the events that it gave but that the caller's buffer had no room for.
struct Pages {
    scan: Scan,
    pending: VecDeque<Event>,
}

impl Pages {
    /// The next events, pending ones first.
    fn next(&mut self, max_events: usize, max_bytes: usize) -> Result<Vec<Event>> {
        if self.pending.is_empty() {
            return self.scan.next_page(max_events, max_bytes);
        }
        let mut bytes = 0usize;
        let fits = |event: &&Event| {
            bytes = bytes.saturating_add(event.payload().len());
            bytes <= max_bytes
        };
        let count = self.pending.iter().take(max_events).take_while(fits).count().max(1);
        Ok(self.pending.drain(..count).collect())
    }

    /// Sees to it that events are pending, unless the scan is at its end.
    fn fill(&mut self, max_events: usize, max_bytes: usize) -> Result<()> {
        if self.pending.is_empty() {
            self.pending = self.scan.next_page(max_events, max_bytes)?.into();
        }
        Ok(())
    }
}

/// Starts reading a query. It sees what is visible now, and not what is appended later.
///
/// query: may be null for everything, forwards. scan: gets the handle, which the caller closes
/// with batpak_scan_close.
///
/// Errors: BATPAK_INVALID_ARGUMENT, BATPAK_INVALID_COORDINATE, BATPAK_INVALID_KIND,
/// BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_FORKED, BATPAK_TOO_LARGE when there are too many
/// handles. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_scan_open(
    store: *const batpak_store,
    query: *const batpak_query,
    scan: *mut *mut batpak_scan,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, query) = unsafe { (Output::new("scan", scan)?, batpak_query::of(query)?) };
        let reservation = handle::reserve()?;
        on_store(store, |store| {
            let pages = Pages { scan: store.read(query)?, pending: VecDeque::new() };
            output.set(reservation.fill(OpenScan(Exclusive::new(pages))));
            Ok(())
        })
    })
}

/// The next events of a scan, without copying them.
///
/// max_events: at most so many, from 1. max_bytes: no more events once their payloads have so many
/// bytes; one event is given in any case. view: gets a view, which the caller releases, or null at
/// the end. events: gets the events, valid until the view is released. count: gets how many; 0 at
/// the end.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED,
/// BATPAK_TOO_LARGE when there are too many handles, BATPAK_INVALID_ARGUMENT also when another
/// thread is in a call on this scan. Threads: any, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_scan_next(
    scan: *mut batpak_scan,
    max_events: usize,
    max_bytes: usize,
    view: *mut *mut batpak_view,
    events: *mut *const batpak_event,
    count: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { ViewOutput::new(view, events, count) }?;
        check_max_events(max_events)?;
        handle::with::<OpenScan>(scan, |scan| {
            output.set(scan.0.lock()?.next(max_events, max_bytes)?);
            Ok(())
        })
    })
}

pub(crate) fn check_max_events(max_events: usize) -> Result<()> {
    if max_events == 0 { Err(invalid("max_events is 0; it must be at least 1")) } else { Ok(()) }
}

/// Memory of the caller's that events are copied to: the structs first, then what they point to.
struct CopyOutput {
    buffer: *mut u8,
    capacity: usize,
}

impl CopyOutput {
    /// SAFETY: a `buffer` that is not null can be written for `capacity` bytes until this value
    /// is gone.
    unsafe fn new(buffer: *mut u8, capacity: usize) -> Result<Self> {
        argument::check_capacity("buffer", buffer, capacity)?;
        if !buffer.cast::<batpak_event>().is_aligned() {
            return Err(invalid("buffer is not aligned to 8 bytes"));
        }
        Ok(Self { buffer, capacity })
    }

    /// What one event takes.
    fn size_of(event: &Event) -> usize {
        size_of::<batpak_event>()
            + event.entity().len()
            + event.scope().len()
            + event.payload().len()
            + event.extension_bytes().len()
    }

    fn fitting<'a>(&self, events: impl Iterator<Item = &'a Event>) -> usize {
        let mut room = Some(self.capacity);
        let fits = |event: &&Event| {
            room = room.and_then(|room| room.checked_sub(Self::size_of(event)));
            room.is_some()
        };
        events.take_while(fits).count()
    }

    /// Copies events that `fitting` counted.
    fn set(self, events: impl ExactSizeIterator<Item = Event>) {
        let mut end = events.len() * size_of::<batpak_event>();
        for (at, event) in events.enumerate() {
            let mut put = |bytes: &[u8]| {
                // SAFETY: `fitting` found room for the structs and the bytes of all events.
                let target = unsafe { self.buffer.add(end) };
                // SAFETY: as above; the event's bytes are not the caller's buffer.
                unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
                end += bytes.len();
                batpak_bytes { data: target, length: bytes.len() }
            };
            let [entity, scope] = [event.entity(), event.scope()].map(|text| {
                let bytes = put(text.as_bytes());
                batpak_text { data: bytes.data.cast(), length: bytes.length }
            });
            let [payload, extensions] = [event.payload(), event.extension_bytes()].map(put);
            let copy =
                batpak_event { entity, scope, payload, extensions, ..batpak_event::of(&event) };
            // SAFETY: as above; `new` found that the buffer is aligned.
            unsafe { self.buffer.cast::<batpak_event>().add(at).write(copy) };
        }
    }
}

/// The next events of a scan, copied into memory of the caller's: first an array of batpak_event,
/// then the texts and bytes that they point to. There is nothing to release.
///
/// max_events: at most so many, from 1. buffer: capacity bytes, aligned to 8. count: gets how many
/// events are in the buffer; 0 at the end, and when the buffer is too small for the next one.
/// needed: gets 0, or in the latter case the capacity that the next event needs.
///
/// Errors: as for batpak_scan_next. Threads: any, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_scan_read_into(
    scan: *mut batpak_scan,
    max_events: usize,
    buffer: *mut u8,
    capacity: usize,
    count: *mut usize,
    needed: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, count, needed) = unsafe {
            let output = CopyOutput::new(buffer, capacity)?;
            (output, Output::new("count", count)?, Output::new("needed", needed)?)
        };
        check_max_events(max_events)?;
        handle::with::<OpenScan>(scan, |scan| {
            let mut pages = scan.0.lock()?;
            pages.fill(max_events, capacity)?;
            let fitting = output.fitting(pages.pending.iter().take(max_events));
            needed.set(match (fitting, pages.pending.front()) {
                (0, Some(event)) => CopyOutput::size_of(event),
                _ => 0,
            });
            output.set(pages.pending.drain(..fitting));
            count.set(fitting);
            Ok(())
        })
    })
}

/// Ends a scan. Views that it gave stay valid.
///
/// scan: may be null, which does nothing.
///
/// Errors: BATPAK_BAD_HANDLE. Threads: any, also while a call runs on the scan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_scan_close(
    scan: *mut batpak_scan,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        if scan.is_null() {
            return Ok(());
        }
        handle::remove::<OpenScan>(scan, |_| Ok(()))
    })
}
