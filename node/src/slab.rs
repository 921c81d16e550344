//! Blocks of bytes that carry events and receipts between the two halves.
//!
//! `lib/new-event.cjs`, `lib/event.cjs` and `lib/receipt.cjs` hold the same offsets. All numbers
//! are little-endian.
//!
//! Events to append, one after the other: [`NEW_EVENT_BYTES`] fixed bytes, then the entity, the
//! scope and the payload, then per extension the length of its key (u32) and of its value (u32),
//! the key and the value. What is not present may hold anything.
//!
//! ```text
//!  0 id [16]            64 lane u32             88 kind u16
//! 16 correlation [16]   68 depth u32            90 payload version u16
//! 32 causation [16]     72 payload bytes u32    92 flags u8
//! 48 timestamp µs i64   76 entity bytes u32     93 expected u8: 0 any, 1 none, 2 clock
//! 56 expected clock u32 80 scope bytes u32      94 causation u8: 0 none, 1 event, 2 item
//! 60 causing item u32   84 extensions u32       95 present u8: 1 id, 2 correlation, 4 timestamp
//! ```
//!
//! Events that were read: their number (u64), then [`EVENT_BYTES`] fixed bytes per event, then
//! per event its entity, scope, extensions (as stored) and payload.
//!
//! ```text
//!  0 sequence u64        72 causation [16]       168 entity's place in the block u32
//!  8 timestamp µs i64    88 hash [32]            172 entity bytes u16
//! 16 wall µs i64        120 previous hash [32]   174 scope bytes u16
//! 24 segment u64        152 clock u32            176 extension bytes u16
//! 32 offset u64         156 lane u32             178 kind u16
//! 40 id [16]            160 depth u32            180 payload version u16
//! 56 correlation [16]   164 payload bytes u32    182 flags u8
//!                                                183 state u8: 1 batch continues, 2 erased
//! ```
//!
//! Receipts: [`RECEIPT_BYTES`] each.
//!
//! ```text
//!  0 sequence u64       16 wall µs i64   40 hash [32]   76 lane u32
//!  8 timestamp µs i64   24 id [16]       72 clock u32   80 duplicate u64
//! ```
//!
//! How far a compaction is: four u64.
//!
//! ```text
//!  0 segments done       8 segments         16 bytes read        24 bytes written
//! ```
//!
//! Appends that have ended: their number (u64), per append its token (u32) and the number of its
//! receipts (u32; [`FAILED`] if it has an error instead), then all receipts.

use crate::inbox::Ended;
use batpak_core::{
    Causation, CompactProgress, Error, ErrorKind, Event, EventKind, Expected, Id, NewEvent,
    Receipt, Result,
};

const NEW_EVENT_BYTES: usize = 96;
/// Only how much room the list of a block's events has at first.
const MEAN_EVENT_BYTES: usize = 256;
const EVENT_BYTES: usize = 184;
const RECEIPT_BYTES: usize = 88;
const FAILED: u32 = u32::MAX;

/// Bits of the byte at offset 95 of an event to append.
mod present {
    pub(super) const ID: u8 = 1;
    pub(super) const CORRELATION: u8 = 2;
    pub(super) const TIMESTAMP: u8 = 4;
}

/// An extension, borrowed from its block.
type Extension<'a> = (&'a str, &'a [u8]);

/// Does something with the events of a block. A block that is cut short or has no sense is refused.
pub(crate) fn with_new_events<T>(
    block: &[u8],
    then: impl FnOnce(&[NewEvent<'_>]) -> Result<T>,
) -> Result<T> {
    let mut reader = Reader { rest: block };
    if !block.is_empty() {
        let (event, extensions) = reader.new_event()?;
        if extensions == 0 && reader.rest.is_empty() {
            // One event, as most often, needs no lists.
            return then(&[event]);
        }
        reader.rest = block;
    }
    // The lists of extensions stand one behind the other; an event has its own once all are there.
    let mut extensions: Vec<Extension<'_>> = Vec::new();
    let mut lists = Vec::new();
    let mut events = Vec::with_capacity(block.len().div_ceil(MEAN_EVENT_BYTES));
    while !reader.rest.is_empty() {
        let (event, count) = reader.new_event()?;
        if count > 0 {
            let first = extensions.len();
            for _ in 0..count {
                extensions.push(reader.extension()?);
            }
            lists.push((events.len(), first..extensions.len()));
        }
        events.push(event);
    }
    for (index, list) in lists {
        events[index].extensions = &extensions[list];
    }
    then(&events)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next event without its extensions, and how many of them follow.
    fn new_event(&mut self) -> Result<(NewEvent<'a>, u32)> {
        let fixed: &[u8; NEW_EVENT_BYTES] = self.array()?;
        let (has, expected, causation) = (fixed[95], fixed[93], fixed[94]);
        let event = NewEvent {
            payload_version: u16::from_le_bytes(part(fixed, 90)),
            kind: EventKind(u16::from_le_bytes(part(fixed, 88))),
            flags: fixed[92],
            lane: u32_at(fixed, 64),
            depth: u32_at(fixed, 68),
            expected: match expected {
                0 => Expected::Any,
                1 => Expected::NoStream,
                _ => Expected::Exact(u32_at(fixed, 56)),
            },
            causation: match causation {
                0 => Causation::None,
                1 => Causation::Event(Id(part(fixed, 32))),
                _ => Causation::Item(u32_at(fixed, 60)),
            },
            id: (has & present::ID != 0).then(|| Id(part(fixed, 0))),
            correlation: (has & present::CORRELATION != 0).then(|| Id(part(fixed, 16))),
            timestamp_us: (has & present::TIMESTAMP != 0)
                .then(|| i64::from_le_bytes(part(fixed, 48))),
            entity: self.text(u32_at(fixed, 76))?,
            scope: self.text(u32_at(fixed, 80))?,
            payload: self.bytes(u32_at(fixed, 72))?,
            extensions: &[],
        };
        Ok((event, u32_at(fixed, 84)))
    }

    fn extension(&mut self) -> Result<Extension<'a>> {
        let lengths: &[u8; 8] = self.array()?;
        Ok((self.text(u32_at(lengths, 0))?, self.bytes(u32_at(lengths, 4))?))
    }

    fn bytes(&mut self, length: u32) -> Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length as usize).ok_or_else(malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn text(&mut self, length: u32) -> Result<&'a str> {
        std::str::from_utf8(self.bytes(length)?).map_err(|_| malformed())
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(malformed)?;
        self.rest = rest;
        Ok(bytes)
    }
}

fn malformed() -> Error {
    Error::new(ErrorKind::InvalidArgument, "the block of events is malformed")
}

/// The `N` bytes at a constant offset of a fixed part, which is always long enough.
fn part<const N: usize>(fixed: &[u8], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&fixed[offset..offset + N]);
    bytes
}

fn u32_at(fixed: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(part(fixed, offset))
}

/// Writes a block of events that were read, from a place in a larger block on; gives where it ends,
/// or nothing if there is no room. Places count from the start of the larger block.
pub(crate) fn write_events(events: &[Event], block: &mut [u8], start: usize) -> Option<usize> {
    block.get_mut(start..start + 8)?.copy_from_slice(&(events.len() as u64).to_le_bytes());
    let mut place = start + 8;
    let mut end = place + events.len() * EVENT_BYTES;
    for event in events {
        // Each is taken once: an event checks its texts whenever it is asked for them.
        let (entity, scope) = (event.entity().as_bytes(), event.scope().as_bytes());
        let parts = [entity, scope, event.extension_bytes(), event.payload()];
        let fixed = fixed(event, parts.map(<[u8]>::len), end as u32);
        block.get_mut(place..place + EVENT_BYTES)?.copy_from_slice(&fixed);
        place += EVENT_BYTES;
        for part in parts {
            block.get_mut(end..end + part.len())?.copy_from_slice(part);
            end += part.len();
        }
    }
    Some(end)
}

/// Room enough for a block of these events. A place in it must fit 32 bits.
pub(crate) fn room_for_events(events: &[Event]) -> Result<usize> {
    // What varies in length is part of the frame, too.
    let room = 8 + events.iter().map(|event| EVENT_BYTES + event.stored_bytes()).sum::<usize>();
    if u32::try_from(room).is_err() {
        let message = format!("{room} bytes of events do not fit one answer; ask for fewer");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(room)
}

/// A block of events that were read.
pub(crate) fn events(events: &[Event]) -> Result<Vec<u8>> {
    let mut block = vec![0; room_for_events(events)?];
    let length = write_events(events, &mut block, 0).unwrap_or_default();
    block.truncate(length);
    Ok(block)
}

/// The fixed bytes of an event whose entity, scope, extensions and payload, of these lengths, stand
/// at a place in the block.
fn fixed(event: &Event, lengths: [usize; 4], place: u32) -> [u8; EVENT_BYTES] {
    let [entity, scope, extensions, payload] = lengths;
    let mut out = [0; EVENT_BYTES];
    put(&mut out, 0, event.sequence().to_le_bytes());
    put(&mut out, 8, event.timestamp_us().to_le_bytes());
    put(&mut out, 16, event.wall_us().to_le_bytes());
    put(&mut out, 24, event.segment().to_le_bytes());
    put(&mut out, 32, event.offset().to_le_bytes());
    put(&mut out, 40, event.id().0);
    put(&mut out, 56, event.correlation().0);
    put(&mut out, 72, event.causation().unwrap_or(Id::NONE).0);
    put(&mut out, 88, event.hash().0);
    put(&mut out, 120, event.prev_hash().0);
    put(&mut out, 152, event.clock().to_le_bytes());
    put(&mut out, 156, event.lane().to_le_bytes());
    put(&mut out, 160, event.depth().to_le_bytes());
    put(&mut out, 164, (payload as u32).to_le_bytes());
    put(&mut out, 168, place.to_le_bytes());
    put(&mut out, 172, (entity as u16).to_le_bytes());
    put(&mut out, 174, (scope as u16).to_le_bytes());
    put(&mut out, 176, (extensions as u16).to_le_bytes());
    put(&mut out, 178, event.kind().0.to_le_bytes());
    put(&mut out, 180, event.payload_version().to_le_bytes());
    let state = u8::from(event.batch_continues()) | u8::from(event.is_erased()) << 1;
    put(&mut out, 182, [event.flags(), state]);
    out
}

/// Writes receipts to the start of a block, as far as it has room.
pub(crate) fn write_receipts(receipts: &[Receipt], block: &mut [u8]) {
    for (receipt, place) in receipts.iter().zip(block.chunks_exact_mut(RECEIPT_BYTES)) {
        place.copy_from_slice(&receipt_bytes(receipt));
    }
}

/// A block of receipts.
pub(crate) fn receipts(receipts: &[Receipt]) -> Vec<u8> {
    let mut out = vec![0; receipts.len() * RECEIPT_BYTES];
    write_receipts(receipts, &mut out);
    out
}

/// A block of how far a compaction is.
pub(crate) fn compact_progress(progress: &CompactProgress) -> Vec<u8> {
    let CompactProgress { segments_done, segments, bytes_read, bytes_written } = *progress;
    [segments_done, segments, bytes_read, bytes_written].map(u64::to_le_bytes).concat()
}

/// A block of appends that have ended.
pub(crate) fn ended(appends: &[Ended]) -> Vec<u8> {
    let receipts = || appends.iter().flat_map(|append| append.result.iter().flatten());
    let mut out = Vec::with_capacity(8 + 8 * appends.len() + receipts().count() * RECEIPT_BYTES);
    out.extend_from_slice(&(appends.len() as u64).to_le_bytes());
    for Ended { token, result } in appends {
        let count = result.as_ref().map_or(FAILED, |receipts| receipts.len() as u32);
        out.extend_from_slice(&token.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
    }
    for receipt in receipts() {
        out.extend_from_slice(&receipt_bytes(receipt));
    }
    out
}

fn receipt_bytes(receipt: &Receipt) -> [u8; RECEIPT_BYTES] {
    let mut out = [0; RECEIPT_BYTES];
    put(&mut out, 0, receipt.sequence.to_le_bytes());
    put(&mut out, 8, receipt.timestamp_us.to_le_bytes());
    put(&mut out, 16, receipt.wall_us.to_le_bytes());
    put(&mut out, 24, receipt.id.0);
    put(&mut out, 40, receipt.hash.0);
    put(&mut out, 72, receipt.clock.to_le_bytes());
    put(&mut out, 76, receipt.lane.to_le_bytes());
    put(&mut out, 80, u64::from(receipt.duplicate).to_le_bytes());
    out
}

/// Puts bytes at a constant offset of a fixed part, which always has room for them.
fn put<const N: usize>(out: &mut [u8], offset: usize, bytes: [u8; N]) {
    out[offset..offset + N].copy_from_slice(&bytes);
}
