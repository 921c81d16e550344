//! What the caller's thread does before the commit: checks, copies, and the payloads' hashes.

use crate::coordinate::check_coordinate;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Causation, Event, Expected, Extensions, NewEvent, Receipt, encode_extensions};
use crate::format::frame::{FIXED_BYTES, Frame};
use crate::format::hash::hash_all;
use crate::ids::{Hash, Id};
use crate::options::{Durability, MAX_BATCH_BYTES, MAX_BATCH_EVENTS};
use std::cell::Cell;

/// An upper bound of what a frame takes besides names, extensions and payload.
const FRAME_OVERHEAD_BYTES: usize = FIXED_BYTES + 88;
/// A request that has grown larger is not kept for the thread's next append.
const KEPT_REQUEST_BYTES: usize = 1 << 20;

/// A checked event; its names, extensions and payload are in its request's `bytes`.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) entity_at: usize,
    pub(super) scope_at: usize,
    pub(super) extensions_at: usize,
    pub(super) payload_at: usize,
    pub(super) end: usize,
    pub(super) payload_hash: Hash,
    pub(super) kind: u16,
    pub(super) payload_version: u16,
    pub(super) flags: u8,
    pub(super) lane: u32,
    pub(super) depth: u32,
    pub(super) expected: Expected,
    pub(super) id: Option<Id>,
    pub(super) correlation: Option<Id>,
    pub(super) causation: Causation,
    pub(super) timestamp_us: Option<i64>,
    /// When it was recorded elsewhere; without it, it is recorded now.
    pub(super) wall_us: Option<i64>,
    /// Whether the event behind it in the request is of the same batch.
    pub(super) batch_continues: bool,
}

/// What one call asks of the commit, all of the events or none, and what becomes of it. It owns
/// its bytes, so that another thread can commit it, and is used again by the thread's next append,
/// so that an append need not allocate.
#[derive(Default)]
pub(super) struct Request {
    pub(super) durability: Durability,
    /// Of a request that is a part of a fence: how many of its events come before.
    pub(super) first_place: u32,
    events: Vec<Prepared>,
    /// Of each event: entity, scope, extensions and payload, one after the other, as in a frame.
    bytes: Vec<u8>,
    /// What was asked for, once it is committed.
    pub(super) receipts: Vec<Receipt>,
    /// Which frames of its group are its own.
    pub(super) staged: std::ops::Range<usize>,
    /// Why it was not committed.
    pub(super) failure: Option<Error>,
}

thread_local! {
    // A store may be closed when the thread's locals are gone, from a destructor at the process's
    // end: so this is only tried.
    static SPARE: Cell<Option<Box<Request>>> = const { Cell::new(None) };
}

impl Request {
    /// A request without events: it asks that what is buffered becomes as safe as this.
    pub(super) fn settling(durability: Durability) -> Box<Self> {
        Self::blank(durability)
    }

    /// A request for these events.
    pub(super) fn new(
        events: &[NewEvent<'_>],
        durability: Durability,
        max_payload_bytes: u32,
    ) -> Result<Box<Self>> {
        Self::blank(durability).filled(events, max_payload_bytes)
    }

    /// A part of a fence that has so many events already.
    pub(super) fn of_fence(
        events: &[NewEvent<'_>],
        first_place: u32,
        max_payload_bytes: u32,
    ) -> Result<Box<Self>> {
        let mut request = Self::blank(Durability::default());
        request.first_place = first_place;
        request.filled(events, max_payload_bytes)
    }

    fn filled(
        mut self: Box<Self>,
        events: &[NewEvent<'_>],
        max_payload_bytes: u32,
    ) -> Result<Box<Self>> {
        match self.fill(events, max_payload_bytes) {
            Ok(()) => Ok(self),
            Err(error) => {
                self.recycle();
                Err(error)
            }
        }
    }

    /// One event of the library's own, whose kind may be from the library's range.
    pub(super) fn of_own(
        event: &NewEvent<'_>,
        durability: Durability,
        max_payload_bytes: u32,
    ) -> Result<Box<Self>> {
        let mut request = Self::blank(durability);
        request.add(event, max_payload_bytes)?;
        request.hash_payloads();
        Ok(request)
    }

    /// Adds an event that was recorded elsewhere, with the extensions it is to have, in their
    /// stored form. Its payload is hashed by [`hash_payloads`](Self::hash_payloads).
    pub(super) fn add_recorded(&mut self, event: &Recorded<'_>, extensions: &[u8]) {
        let parts = [event.entity.as_bytes(), event.scope.as_bytes(), extensions, event.payload];
        let prepared = Prepared {
            kind: event.kind,
            payload_version: event.payload_version,
            flags: event.flags,
            lane: event.lane,
            depth: event.depth,
            id: Some(event.id),
            correlation: Some(event.correlation),
            causation: event.causation.map_or(Causation::None, Causation::Event),
            timestamp_us: Some(event.timestamp_us),
            wall_us: Some(event.wall_us),
            batch_continues: event.batch_continues,
            ..Prepared::default()
        };
        self.add_prepared(prepared, parts);
    }

    /// Adds an event that was checked before, with its entity, scope, extensions and payload.
    pub(super) fn add_prepared(&mut self, mut event: Prepared, parts: [&[u8]; 4]) {
        let mut places = [0; 4];
        for (place, part) in places.iter_mut().zip(parts) {
            *place = self.bytes.len();
            self.bytes.extend_from_slice(part);
        }
        [event.entity_at, event.scope_at, event.extensions_at, event.payload_at] = places;
        event.end = self.bytes.len();
        self.events.push(event);
    }

    /// Keeps the events for which `keep` says so. One that is gone ends the batch before it.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(PreparedEvent<'_>) -> bool) {
        let bytes = &self.bytes;
        let mut kept: Vec<Prepared> = Vec::with_capacity(self.events.len());
        for event in self.events.drain(..) {
            if keep(PreparedEvent { event: &event, bytes }) {
                kept.push(event);
            } else if let Some(last) = kept.last_mut() {
                last.batch_continues = false;
            }
        }
        self.events = kept;
        self.receipts.clear();
        self.failure = None;
    }

    /// Takes back the event that was added last.
    pub(super) fn remove_last(&mut self) {
        if let Some(last) = self.events.pop() {
            self.bytes.truncate(last.entity_at);
        }
    }

    /// Says that the event that was added last ends its batch.
    pub(super) fn end_batch(&mut self) {
        if let Some(last) = self.events.last_mut() {
            last.batch_continues = false;
        }
    }

    pub(super) fn hash_payloads(&mut self) {
        hash_all(&mut self.events, &self.bytes);
    }

    fn blank(durability: Durability) -> Box<Self> {
        let mut request = SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default();
        request.durability = durability;
        request.first_place = 0;
        request
    }

    /// Forgets its events and what became of them.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.bytes.clear();
        self.receipts.clear();
        self.failure = None;
    }

    /// Keeps the memory for the thread's next request.
    pub(super) fn recycle(mut self: Box<Self>) {
        self.clear();
        let events = self.events.capacity() * size_of::<Prepared>();
        let receipts = self.receipts.capacity() * size_of::<Receipt>();
        if self.bytes.capacity() + events + receipts <= KEPT_REQUEST_BYTES {
            let _ = SPARE.try_with(|spare| spare.set(Some(self)));
        }
    }

    /// The receipts or the failure.
    pub(super) fn finish(mut self: Box<Self>) -> Result<Vec<Receipt>> {
        let result = match self.failure.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut self.receipts)),
        };
        self.recycle();
        result
    }

    /// The only receipt, or the failure.
    pub(super) fn finish_one(mut self: Box<Self>) -> Result<Receipt> {
        let result = match self.failure.take() {
            Some(error) => Err(error),
            None => self
                .receipts
                .pop()
                .ok_or_else(|| Error::new(ErrorKind::Panic, "the append gave no receipt")),
        };
        self.recycle();
        result
    }

    fn fill(&mut self, events: &[NewEvent<'_>], max_payload_bytes: u32) -> Result<()> {
        if events.len() > MAX_BATCH_EVENTS {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the batch has {} events; the limit is {MAX_BATCH_EVENTS}", events.len()),
            ));
        }
        let single = events.len() == 1;
        for (index, event) in events.iter().enumerate() {
            event
                .kind
                .check_user()
                .and_then(|()| self.add(event, max_payload_bytes))
                .map_err(|error| if single { error } else { error.of_item(index) })?;
        }
        let bytes = self.frame_bytes();
        if bytes > MAX_BATCH_BYTES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the batch takes {bytes} bytes; the limit is {MAX_BATCH_BYTES}"),
            ));
        }
        let behind_first = self.events.len().saturating_sub(1);
        self.events[..behind_first].iter_mut().for_each(|event| event.batch_continues = true);
        self.hash_payloads();
        if single { Ok(()) } else { self.check_ids() }
    }

    fn check_ids(&self) -> Result<()> {
        let mut ids: Vec<Id> = self.events.iter().filter_map(|event| event.id).collect();
        ids.sort_unstable();
        match ids.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(pair) => Err(Error::invalid(format!(
                "the id {} is given to two events of the batch",
                pair[0]
            ))),
        }
    }

    /// Adds an event, whose payload is hashed later. Checks everything but the kind, which the
    /// library itself may take from its own range.
    fn add(&mut self, event: &NewEvent<'_>, max_payload_bytes: u32) -> Result<()> {
        check_coordinate(event.entity, event.scope)?;
        if event.payload.len() > max_payload_bytes as usize {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "the payload has {} bytes; the store was opened with a limit of \
                     {max_payload_bytes}",
                    event.payload.len()
                ),
            ));
        }
        if event.id.is_some_and(|id| id.is_none()) {
            return Err(Error::invalid("the event id is all zeros, which means `none`"));
        }
        let index = self.first_place as usize + self.events.len();
        if let Causation::Item(item) = event.causation
            && item as usize >= index
        {
            return Err(Error::invalid(format!(
                "item {item} cannot cause item {index}: a cause comes earlier in the batch"
            )));
        }
        let entity_at = self.bytes.len();
        self.bytes.extend_from_slice(event.entity.as_bytes());
        let scope_at = self.bytes.len();
        self.bytes.extend_from_slice(event.scope.as_bytes());
        let extensions_at = self.bytes.len();
        encode_extensions(event.extensions, &mut self.bytes)?;
        let payload_at = self.bytes.len();
        self.bytes.extend_from_slice(event.payload);
        self.events.push(Prepared {
            entity_at,
            scope_at,
            extensions_at,
            payload_at,
            end: self.bytes.len(),
            payload_hash: Hash::ZERO,
            kind: event.kind.0,
            payload_version: event.payload_version,
            flags: event.flags,
            lane: event.lane,
            depth: event.depth,
            expected: event.expected,
            id: event.id,
            correlation: event.correlation.filter(|id| !id.is_none()),
            causation: match event.causation {
                Causation::Event(id) if id.is_none() => Causation::None,
                other => other,
            },
            timestamp_us: event.timestamp_us,
            wall_us: None,
            batch_continues: false,
        });
        Ok(())
    }

    /// The bytes of its names, extensions and payloads.
    pub(super) fn content_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// An upper bound of the bytes that its frames take.
    pub(super) fn frame_bytes(&self) -> usize {
        self.bytes.len() + self.events.len() * FRAME_OVERHEAD_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn event(&self, index: usize) -> PreparedEvent<'_> {
        PreparedEvent { event: &self.events[index], bytes: &self.bytes }
    }

    pub(super) fn events(&self) -> impl ExactSizeIterator<Item = PreparedEvent<'_>> {
        self.events.iter().map(|event| PreparedEvent { event, bytes: &self.bytes })
    }
}

impl crate::format::hash::Hashed for Prepared {
    fn message(&self) -> std::ops::Range<usize> {
        self.payload_at..self.end
    }

    fn set_hash(&mut self, hash: Hash) {
        self.payload_hash = hash;
    }
}

/// Whether two events have the same extensions, but for the library's own, which no caller gives.
pub(super) fn is_same_of_caller(these: &[u8], those: &[u8]) -> bool {
    let of_caller = |(key, _): &(&str, &[u8])| !key.starts_with("batpak.");
    let these_of_caller = Extensions::of(these).filter(of_caller);
    these == those || these_of_caller.eq(Extensions::of(those).filter(of_caller))
}

/// An event that was recorded elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recorded<'a> {
    pub(super) id: Id,
    pub(super) correlation: Id,
    pub(super) causation: Option<Id>,
    pub(super) entity: &'a str,
    pub(super) scope: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) kind: u16,
    pub(super) payload_version: u16,
    pub(super) flags: u8,
    pub(super) lane: u32,
    pub(super) depth: u32,
    pub(super) timestamp_us: i64,
    pub(super) wall_us: i64,
    pub(super) batch_continues: bool,
    /// What a compaction has taken from it: its own kind, and its payload's hash.
    pub(super) appended_kind: u16,
    pub(super) erased: Option<Hash>,
}

impl<'a> Recorded<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        Self {
            id: event.id(),
            correlation: event.correlation(),
            causation: event.causation(),
            entity: event.entity(),
            scope: event.scope(),
            payload: event.payload(),
            kind: event.kind().0,
            payload_version: event.payload_version(),
            flags: event.flags(),
            lane: event.lane(),
            depth: event.depth(),
            timestamp_us: event.timestamp_us(),
            wall_us: event.wall_us(),
            batch_continues: event.batch_continues(),
            appended_kind: event.frame().appended_kind(),
            erased: event.is_erased().then(|| event.frame().payload_hash()),
        }
    }
}

/// A prepared event with its bytes.
#[derive(Clone, Copy)]
pub(super) struct PreparedEvent<'a> {
    event: &'a Prepared,
    bytes: &'a [u8],
}

impl std::ops::Deref for PreparedEvent<'_> {
    type Target = Prepared;

    fn deref(&self) -> &Prepared {
        self.event
    }
}

impl<'a> PreparedEvent<'a> {
    pub(super) fn entity(&self) -> &'a str {
        let bytes = &self.bytes[self.event.entity_at..self.event.scope_at];
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    pub(super) fn scope(&self) -> &'a str {
        let bytes = &self.bytes[self.event.scope_at..self.event.extensions_at];
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    pub(super) fn extensions(&self) -> &'a [u8] {
        &self.bytes[self.event.extensions_at..self.event.payload_at]
    }

    pub(super) fn payload(&self) -> &'a [u8] {
        &self.bytes[self.event.payload_at..self.event.end]
    }

    /// Whether an append of this would have made that event: the same in everything the caller
    /// chose. `frame` is of the bytes `stored`.
    pub(super) fn made(&self, frame: &Frame<'_>, stored: &[u8], cause: Id) -> bool {
        let layout = frame.layout();
        self.entity() == frame.entity()
            && self.scope() == frame.scope()
            && self.kind == frame.appended_kind()
            && self.lane == frame.lane()
            && self.depth == frame.depth()
            && self.flags == frame.flags()
            && self.payload_version == frame.payload_version()
            && self.correlation.unwrap_or(frame.id()) == frame.correlation()
            && cause == frame.causation().unwrap_or(Id::NONE)
            && self.timestamp_us.is_none_or(|timestamp| timestamp == frame.timestamp_us())
            && is_same_of_caller(self.extensions(), &stored[layout.extensions()])
            && match frame.is_erased() {
                true => self.payload_hash == frame.payload_hash(),
                false => self.payload() == &stored[layout.payload()],
            }
    }
}
