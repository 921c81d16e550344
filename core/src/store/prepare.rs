//! What the caller's thread does before the commit: checks, copies, and the payload's hash.

use crate::coordinate::check_coordinate;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Causation, Expected, NewEvent, encode_extensions};
use crate::format::frame::{FIXED_BYTES, Frame, payload_hash};
use crate::ids::{Hash, Id};
use crate::options::{Durability, MAX_BATCH_BYTES, MAX_BATCH_EVENTS};

/// An upper bound of what a frame takes besides names, extensions and payload.
const FRAME_OVERHEAD_BYTES: usize = FIXED_BYTES + 88;

/// A checked event that owns its bytes, so that another thread can commit it.
pub(super) struct Prepared {
    /// Entity, scope, extensions and payload, one after the other, as in a frame.
    bytes: Vec<u8>,
    scope_at: usize,
    extensions_at: usize,
    payload_at: usize,
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
}

/// What one call asks of the commit: all of the events or none.
pub(super) struct Request {
    pub(super) events: Vec<Prepared>,
    pub(super) durability: Durability,
}

impl Request {
    /// An upper bound of the bytes that its frames take.
    pub(super) fn frame_bytes(&self) -> usize {
        self.events.iter().map(|event| event.bytes.len() + FRAME_OVERHEAD_BYTES).sum()
    }

    pub(super) fn new(
        events: &[NewEvent<'_>],
        durability: Durability,
        max_payload_bytes: u32,
    ) -> Result<Self> {
        if events.len() > MAX_BATCH_EVENTS {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the batch has {} events; the limit is {MAX_BATCH_EVENTS}", events.len()),
            ));
        }
        let single = events.len() == 1;
        let mut request = Self { events: Vec::with_capacity(events.len()), durability };
        for (index, event) in events.iter().enumerate() {
            let prepared = event
                .kind
                .check_user()
                .and_then(|()| Prepared::new(event, index, max_payload_bytes))
                .map_err(|error| if single { error } else { error.of_item(index) })?;
            request.events.push(prepared);
        }
        let bytes = request.frame_bytes();
        if bytes > MAX_BATCH_BYTES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the batch takes {bytes} bytes; the limit is {MAX_BATCH_BYTES}"),
            ));
        }
        request.check_ids()?;
        Ok(request)
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
}

impl Prepared {
    /// Checks everything but the kind, which the library itself may take from its own range.
    pub(super) fn new(event: &NewEvent<'_>, index: usize, max_payload_bytes: u32) -> Result<Self> {
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
        if let Causation::Item(item) = event.causation
            && item as usize >= index
        {
            return Err(Error::invalid(format!(
                "item {item} cannot cause item {index}: a cause comes earlier in the batch"
            )));
        }
        let names = event.entity.len() + event.scope.len();
        let mut bytes = Vec::with_capacity(names + event.payload.len());
        bytes.extend_from_slice(event.entity.as_bytes());
        bytes.extend_from_slice(event.scope.as_bytes());
        encode_extensions(event.extensions, &mut bytes)?;
        let payload_at = bytes.len();
        bytes.extend_from_slice(event.payload);
        Ok(Self {
            bytes,
            scope_at: event.entity.len(),
            extensions_at: names,
            payload_at,
            payload_hash: payload_hash(event.payload),
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
        })
    }

    pub(super) fn entity(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.scope_at]).unwrap_or_default()
    }

    pub(super) fn scope(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.scope_at..self.extensions_at]).unwrap_or_default()
    }

    pub(super) fn extensions(&self) -> &[u8] {
        &self.bytes[self.extensions_at..self.payload_at]
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[self.payload_at..]
    }

    /// Whether an append of this would have made that event: the same in everything the caller
    /// chose. `frame` is of the bytes `stored`.
    pub(super) fn made(&self, frame: &Frame<'_>, stored: &[u8], cause: Id) -> bool {
        let layout = frame.layout();
        self.entity() == frame.entity()
            && self.scope() == frame.scope()
            && self.kind == frame.kind()
            && self.lane == frame.lane()
            && self.depth == frame.depth()
            && self.flags == frame.flags()
            && self.payload_version == frame.payload_version()
            && self.correlation.unwrap_or(frame.id()) == frame.correlation()
            && cause == frame.causation().unwrap_or(Id::NONE)
            && self.timestamp_us.is_none_or(|timestamp| timestamp == frame.timestamp_us())
            && self.extensions() == &stored[layout.extensions()]
            && self.payload() == &stored[layout.payload()]
    }
}
