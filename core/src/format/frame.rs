//! One event on disk, and the gap that dropped events leave. Layout, validity and hash:
//! `docs/format.md`, "Frame".

use super::hash::payload_hash;
use super::{array, crc32, field, padded};
use crate::ids::{Hash, Id};
use crate::kind::EventKind;
use std::ops::Range;

/// The bytes before the optional fields.
pub(crate) const FIXED_BYTES: usize = 100;
/// How many bytes tell whether a place can hold a frame.
pub(crate) const HEADER_BYTES: usize = 16;
/// The bound on a frame's length that a reader accepts before it has checked anything else:
/// the largest payload, names, extensions and fixed fields fit well below it.
pub(crate) const MAX_FRAME_BYTES: usize = (64 << 20) + (1 << 18);

/// Why a frame of a later version is not valid in this one.
pub(crate) const NEWER: &str = "the frame has fields of a newer format";

const MARKER: u8 = 0xB7;
const GAP_MARKER: u8 = 0xB8;
/// The bytes of a gap before its hashes.
pub(crate) const GAP_BYTES: usize = 24;
const HASH_BYTES: usize = size_of::<Hash>();
/// The most events that one gap stands for.
pub(crate) const MAX_GAP_EVENTS: usize = 1 << 16;
/// What a frame that was moved says of syncs: nothing but that the header is there.
const SYNCED_TO_OF_MOVED: u32 = super::segment::HEADER_BYTES as u32 / 8;
/// The fields from here to the payload are under the event hash.
const HASHED_FROM: usize = 48;
const HASH_AT: usize = 16;
/// Followed by the batch bit.
const HASH_TAG: &[u8; 15] = b"batpak.event.2\0";

/// Bits of the byte at offset 9.
pub(crate) mod state {
    pub(super) const BATCH_CONTINUES: u8 = 0x01;
    /// The payload's hash stands in its place.
    pub(crate) const ERASED: u8 = 0x02;
    /// The event is shown with the kind of a tombstone.
    pub(crate) const TOMBSTONE: u8 = 0x08;
    /// The event is not shown.
    pub(crate) const DROPPED: u8 = 0x10;
    /// The id was given by the caller.
    pub(super) const KEYED: u8 = 0x20;
    pub(super) const KNOWN: u8 = BATCH_CONTINUES | ERASED | TOMBSTONE | DROPPED | KEYED;
}

/// Bits of the byte at offset 99: which optional fields follow, in this order.
mod has {
    pub(super) const WALL: u8 = 0x01;
    pub(super) const BRANCH: u8 = 0x02;
    pub(super) const PREV_HASH: u8 = 0x04;
    pub(super) const CORRELATION: u8 = 0x08;
    pub(super) const CAUSATION: u8 = 0x10;
    pub(super) const KNOWN: u8 = WALL | BRANCH | PREV_HASH | CORRELATION | CAUSATION;
}

/// How much memory is kept for the messages of the next frames.
const KEPT_MESSAGE_BYTES: usize = 1 << 20;

/// What a frame says, before it is bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) sequence: u64,
    pub(crate) id: Id,
    pub(crate) timestamp_us: i64,
    pub(crate) wall_us: i64,
    pub(crate) clock: u32,
    pub(crate) lane: u32,
    pub(crate) depth: u32,
    pub(crate) kind: u16,
    pub(crate) payload_version: u16,
    pub(crate) flags: u8,
    pub(crate) correlation: Id,
    pub(crate) causation: Id,
    pub(crate) prev_hash: Hash,
    pub(crate) entity: &'a str,
    pub(crate) scope: &'a str,
    /// In their stored form.
    pub(crate) extensions: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) payload_hash: Hash,
    pub(crate) batch_continues: bool,
    /// The id was given by the caller.
    pub(crate) keyed: bool,
    /// Up to which offset the segment was synced when the frame was written; a multiple of 8.
    pub(crate) synced_to: u64,
}

/// Appends the message whose BLAKE3 is an event's hash: `hashed` are the frame's bytes from
/// [`HASHED_FROM`] to the payload.
fn event_message(batch: u8, lineage: Id, payload_hash: &Hash, hashed: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(HASH_TAG);
    out.push(batch);
    out.extend_from_slice(&lineage.0);
    out.extend_from_slice(&payload_hash.0);
    out.extend_from_slice(hashed);
}

fn header_check(frame: &[u8]) -> u16 {
    crc32(&[&frame[0..4], &frame[8..10], &frame[12..16]]) as u16
}

/// Frames that have got everything but their hash and their checksum. They are hashed together,
/// which must be before one of them is the predecessor of another.
#[derive(Debug, Default)]
pub(crate) struct Unsealed {
    frames: Vec<UnsealedFrame>,
    /// What is hashed, one message after the other.
    messages: Vec<u8>,
}

#[derive(Debug)]
struct UnsealedFrame {
    /// Where it begins.
    at: usize,
    message: Range<usize>,
    hash: Hash,
}

impl super::hash::Hashed for UnsealedFrame {
    fn message(&self) -> Range<usize> {
        self.message.clone()
    }

    fn set_hash(&mut self, hash: Hash) {
        self.hash = hash;
    }
}

impl Unsealed {
    /// Finishes all frames, which are in `frames`.
    pub(crate) fn seal(&mut self, frames: &mut [u8]) {
        super::hash::hash_all(&mut self.frames, &self.messages);
        for UnsealedFrame { at, hash, .. } in self.frames.drain(..) {
            seal_with(&mut frames[at..], hash);
        }
        self.messages.clear();
        self.messages.shrink_to(KEPT_MESSAGE_BYTES);
    }

    /// Forgets the frames that begin at `from` or behind it.
    pub(crate) fn forget_from(&mut self, from: usize) {
        let kept = self.frames.partition_point(|frame| frame.at < from);
        self.frames.truncate(kept);
    }
}

/// Finishes one frame with a hash that is not of its fields: that of another format.
pub(crate) fn seal_with(frame: &mut [u8], hash: Hash) {
    let bytes = padded(field!(frame, 0, u32) as usize);
    frame[HASH_AT..HASHED_FROM].copy_from_slice(&hash.0);
    put_checksum(&mut frame[..bytes]);
}

/// The hash of a sealed frame.
pub(crate) fn hash_of(frame: &[u8]) -> Hash {
    Hash(array(frame, HASH_AT))
}

/// Appends the frame to `out`, padding included, and to `unsealed`. `out` must be at a multiple of
/// the alignment. All sizes have been checked against their limits.
pub(crate) fn encode(fields: &Fields<'_>, lineage: Id, out: &mut Vec<u8>, unsealed: &mut Unsealed) {
    let f = fields;
    let start = out.len();
    let mut present = 0;
    for (bit, is) in [
        (has::WALL, f.wall_us != f.timestamp_us),
        (has::BRANCH, f.lane != 0 || f.depth != 0),
        (has::PREV_HASH, f.prev_hash != Hash::ZERO),
        (has::CORRELATION, f.correlation != f.id),
        (has::CAUSATION, !f.causation.is_none()),
    ] {
        present |= if is { bit } else { 0 };
    }

    out.extend_from_slice(&[0; HASHED_FROM]);
    out.extend_from_slice(&f.sequence.to_le_bytes());
    out.extend_from_slice(&f.id.0);
    out.extend_from_slice(&f.timestamp_us.to_le_bytes());
    out.extend_from_slice(&f.clock.to_le_bytes());
    out.extend_from_slice(&(f.payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&f.kind.to_le_bytes());
    out.extend_from_slice(&f.payload_version.to_le_bytes());
    out.extend_from_slice(&(f.entity.len() as u16).to_le_bytes());
    out.extend_from_slice(&(f.scope.len() as u16).to_le_bytes());
    out.extend_from_slice(&(f.extensions.len() as u16).to_le_bytes());
    out.extend_from_slice(&[f.flags, present]);
    if present & has::WALL != 0 {
        out.extend_from_slice(&f.wall_us.to_le_bytes());
    }
    if present & has::BRANCH != 0 {
        out.extend_from_slice(&f.lane.to_le_bytes());
        out.extend_from_slice(&f.depth.to_le_bytes());
    }
    if present & has::PREV_HASH != 0 {
        out.extend_from_slice(&f.prev_hash.0);
    }
    if present & has::CORRELATION != 0 {
        out.extend_from_slice(&f.correlation.0);
    }
    if present & has::CAUSATION != 0 {
        out.extend_from_slice(&f.causation.0);
    }
    out.extend_from_slice(f.entity.as_bytes());
    out.extend_from_slice(f.scope.as_bytes());
    out.extend_from_slice(f.extensions);
    let batch = if f.batch_continues { state::BATCH_CONTINUES } else { 0 };
    let message_at = unsealed.messages.len();
    let hashed = &out[start + HASHED_FROM..];
    event_message(batch, lineage, &f.payload_hash, hashed, &mut unsealed.messages);
    let message = message_at..unsealed.messages.len();
    unsealed.frames.push(UnsealedFrame { at: start, message, hash: Hash::ZERO });
    out.extend_from_slice(f.payload);
    let length = out.len() - start;
    out.resize(start + padded(length), 0);

    let keyed = if f.keyed { state::KEYED } else { 0 };
    put_header(&mut out[start..], length, MARKER, batch | keyed, (f.synced_to / 8) as u32);
}

/// Fills in the first bytes of a frame, but for its checksum.
fn put_header(frame: &mut [u8], length: usize, marker: u8, state: u8, synced_to: u32) {
    frame[0..4].copy_from_slice(&(length as u32).to_le_bytes());
    (frame[8], frame[9]) = (marker, state);
    frame[12..16].copy_from_slice(&synced_to.to_le_bytes());
    let check = header_check(frame);
    frame[10..12].copy_from_slice(&check.to_le_bytes());
}

/// Fills in the checksum of a whole frame, padding included.
fn put_checksum(frame: &mut [u8]) {
    let crc = crc32(&[&frame[0..4], &frame[8..]]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// The bytes of the frame at the start of `bytes`, which has this marker, if its checksum is right.
#[inline(always)]
fn checked(bytes: &[u8], marker: u8) -> Result<&[u8], &'static str> {
    let size = probe(bytes).ok_or("no frame header")?;
    if bytes[8] != marker {
        return Err("dropped events stand where one that is shown belongs, or the other way round");
    }
    let bytes = bytes.get(..size).ok_or("the frame is cut off")?;
    if field!(bytes, 4, u32) != crc32(&[&bytes[0..4], &bytes[8..]]) {
        return Err("the frame's checksum does not match");
    }
    Ok(bytes)
}

/// If a frame can start here by its first [`HEADER_BYTES`] bytes: its padded length.
pub(crate) fn probe(header: &[u8]) -> Option<usize> {
    if header.len() < HEADER_BYTES {
        return None;
    }
    let least = match header[8] {
        MARKER => FIXED_BYTES,
        GAP_MARKER => GAP_BYTES + HASH_BYTES,
        _ => return None,
    };
    let length = field!(header, 0, u32) as usize;
    let plausible = (least..=MAX_FRAME_BYTES).contains(&length)
        && field!(header, 10, u16) == header_check(header);
    plausible.then_some(padded(length))
}

/// Whether what has this header stands for dropped events.
pub(crate) fn is_gap(header: &[u8]) -> bool {
    header.get(8) == Some(&GAP_MARKER)
}

/// Where the parts of a frame are, relative to its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    length: u32,
    entity_at: u32,
    payload_bytes: u32,
    entity_bytes: u16,
    scope_bytes: u16,
    extension_bytes: u16,
    present: u8,
    erased: bool,
}

impl Layout {
    pub(crate) fn padded(&self) -> usize {
        padded(self.length as usize)
    }

    pub(crate) fn entity(&self) -> Range<usize> {
        let start = self.entity_at as usize;
        start..start + usize::from(self.entity_bytes)
    }

    pub(crate) fn scope(&self) -> Range<usize> {
        let start = self.entity().end;
        start..start + usize::from(self.scope_bytes)
    }

    pub(crate) fn extensions(&self) -> Range<usize> {
        let start = self.scope().end;
        start..start + usize::from(self.extension_bytes)
    }

    /// Of an erased payload: nothing.
    pub(crate) fn payload(&self) -> Range<usize> {
        let start = self.extensions().end;
        start..if self.erased { start } else { self.length as usize }
    }

    fn stored_payload_bytes(&self) -> usize {
        if self.erased { HASH_BYTES } else { self.payload_bytes as usize }
    }

    fn optional(&self, bit: u8) -> Option<usize> {
        if self.present & bit == 0 {
            return None;
        }
        let before = self.present & (bit - 1);
        Some(FIXED_BYTES + optional_bytes(before))
    }
}

fn optional_bytes(present: u8) -> usize {
    [(has::WALL, 8), (has::BRANCH, 8), (has::PREV_HASH, 32)]
        .into_iter()
        .chain([(has::CORRELATION, 16), (has::CAUSATION, 16)])
        .map(|(bit, bytes)| if present & bit != 0 { bytes } else { 0 })
        .sum()
}

/// A frame in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> Frame<'a> {
    /// The frame at the start of `bytes`, if its checksum and its form are right. The reason
    /// otherwise. The event hash is not recomputed here; see [`Frame::hash_is_right`].
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let bytes = checked(bytes, MARKER)?;
        let layout = Self::layout_of(bytes)?;
        let frame = Self { bytes, layout };
        if bytes[layout.length as usize..].iter().any(|byte| *byte != 0) {
            return Err("the padding is not zero");
        }
        // Both names at once; each is UTF-8 if the first ends where a character does.
        let names = std::str::from_utf8(&bytes[layout.entity().start..layout.scope().end]);
        if !names.is_ok_and(|names| names.is_char_boundary(layout.entity_bytes.into())) {
            return Err("a name is not UTF-8");
        }
        if !frame.is_canonical() {
            return Err("an optional field holds its default");
        }
        Ok(frame)
    }

    /// The same, unless the event was dropped: that can only be where a compaction has been.
    pub(crate) fn shown(self) -> Result<Self, &'static str> {
        if self.is_dropped() {
            Err("a dropped event stands in an unsealed segment")
        } else {
            Ok(self)
        }
    }

    /// A frame that this process has just encoded, without checking it again.
    pub(crate) fn of_own(bytes: &'a [u8]) -> Result<Self, &'static str> {
        if bytes.len() < FIXED_BYTES {
            return Err("the frame is cut off");
        }
        Ok(Self { bytes, layout: Self::layout_of(bytes)? })
    }

    pub(crate) fn with_layout(bytes: &'a [u8], layout: Layout) -> Self {
        Self { bytes, layout }
    }

    #[inline(always)]
    fn layout_of(bytes: &[u8]) -> Result<Layout, &'static str> {
        if bytes[9] & !state::KNOWN != 0 || bytes[99] & !has::KNOWN != 0 {
            return Err(NEWER);
        }
        let layout = Layout {
            length: field!(bytes, 0, u32),
            entity_at: (FIXED_BYTES + optional_bytes(bytes[99])) as u32,
            payload_bytes: field!(bytes, 84, u32),
            entity_bytes: field!(bytes, 92, u16),
            scope_bytes: field!(bytes, 94, u16),
            extension_bytes: field!(bytes, 96, u16),
            present: bytes[99],
            erased: bytes[9] & state::ERASED != 0,
        };
        if layout.extensions().end + layout.stored_payload_bytes() != layout.length as usize {
            return Err("the lengths in the frame contradict each other");
        }
        if bytes[9] & (state::DROPPED | state::ERASED) == state::DROPPED {
            return Err("a dropped event has its payload");
        }
        Ok(layout)
    }

    fn is_canonical(&self) -> bool {
        (self.layout.present & has::WALL == 0 || self.wall_us() != self.timestamp_us())
            && (self.layout.present & has::BRANCH == 0 || self.lane() != 0 || self.depth() != 0)
            && (self.layout.present & has::PREV_HASH == 0 || self.prev_hash() != Hash::ZERO)
            && (self.layout.present & has::CORRELATION == 0 || self.correlation() != self.id())
            && self.causation().is_none_or(|id| !id.is_none())
    }

    /// Recomputes the event hash from everything it covers.
    pub(crate) fn hash_is_right(&self, lineage: Id) -> bool {
        let hashed = &self.bytes[HASHED_FROM..self.layout.extensions().end];
        let batch = self.bytes[9] & state::BATCH_CONTINUES;
        let mut message = Vec::with_capacity(HASHED_FROM + 64 + hashed.len());
        event_message(batch, lineage, &self.payload_hash(), hashed, &mut message);
        blake3::hash(&message).as_bytes() == &self.hash().0
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The hash of the payload as it was appended.
    pub(crate) fn payload_hash(&self) -> Hash {
        if self.layout.erased {
            return Hash(array(self.bytes, self.layout.extensions().end));
        }
        payload_hash(&self.bytes[self.layout.payload()])
    }

    /// Appends the frame to `out` as it stands in another place, with these bits of its state set,
    /// too. With [`state::ERASED`] the payload goes.
    pub(crate) fn move_to(&self, set: u8, out: &mut Vec<u8>) {
        let start = out.len();
        if set & state::ERASED != 0 {
            out.extend_from_slice(&self.bytes[..self.layout.extensions().end]);
            out.extend_from_slice(&self.payload_hash().0);
        } else {
            out.extend_from_slice(&self.bytes[..self.layout.length as usize]);
        }
        let length = out.len() - start;
        out.resize(start + padded(length), 0);
        let frame = &mut out[start..];
        put_header(frame, length, MARKER, self.bytes[9] | set, SYNCED_TO_OF_MOVED);
        put_checksum(frame);
    }

    /// How many bytes [`move_to`](Self::move_to) appends.
    pub(crate) fn moved_bytes(&self, set: u8) -> usize {
        match set & state::ERASED {
            0 => self.layout.padded(),
            _ => padded(self.layout.extensions().end + HASH_BYTES),
        }
    }

    /// The whole frame, padding included.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        &self.bytes[..self.layout.padded()]
    }

    /// Whether its payload was erased.
    pub(crate) fn is_erased(&self) -> bool {
        self.layout.erased
    }

    /// Whether the event is shown with the kind of a tombstone.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.bytes[9] & state::TOMBSTONE != 0
    }

    /// Whether the event was dropped, so that it is not shown.
    pub(crate) fn is_dropped(&self) -> bool {
        self.bytes[9] & state::DROPPED != 0
    }

    /// Whether the id was given by the caller.
    pub(crate) fn is_keyed(&self) -> bool {
        self.bytes[9] & state::KEYED != 0
    }

    pub(crate) fn batch_continues(&self) -> bool {
        self.bytes[9] & state::BATCH_CONTINUES != 0
    }

    pub(crate) fn synced_to(&self) -> u64 {
        u64::from(field!(self.bytes, 12, u32)) * 8
    }

    pub(crate) fn hash(&self) -> Hash {
        Hash(array(self.bytes, 16))
    }

    pub(crate) fn sequence(&self) -> u64 {
        field!(self.bytes, 48, u64)
    }

    pub(crate) fn id(&self) -> Id {
        Id(array(self.bytes, 56))
    }

    pub(crate) fn timestamp_us(&self) -> i64 {
        field!(self.bytes, 72, i64)
    }

    pub(crate) fn clock(&self) -> u32 {
        field!(self.bytes, 80, u32)
    }

    /// The kind that the event is shown with.
    pub(crate) fn kind(&self) -> u16 {
        if self.is_tombstone() { EventKind::TOMBSTONE.0 } else { self.appended_kind() }
    }

    /// The kind that the event was appended with.
    pub(crate) fn appended_kind(&self) -> u16 {
        field!(self.bytes, 88, u16)
    }

    pub(crate) fn payload_version(&self) -> u16 {
        field!(self.bytes, 90, u16)
    }

    pub(crate) fn flags(&self) -> u8 {
        self.bytes[98]
    }

    pub(crate) fn wall_us(&self) -> i64 {
        self.layout
            .optional(has::WALL)
            .map_or(self.timestamp_us(), |at| field!(self.bytes, at, i64))
    }

    pub(crate) fn lane(&self) -> u32 {
        self.layout.optional(has::BRANCH).map_or(0, |at| field!(self.bytes, at, u32))
    }

    pub(crate) fn depth(&self) -> u32 {
        self.layout.optional(has::BRANCH).map_or(0, |at| field!(self.bytes, at + 4, u32))
    }

    pub(crate) fn prev_hash(&self) -> Hash {
        self.layout.optional(has::PREV_HASH).map_or(Hash::ZERO, |at| Hash(array(self.bytes, at)))
    }

    pub(crate) fn correlation(&self) -> Id {
        self.layout.optional(has::CORRELATION).map_or(self.id(), |at| Id(array(self.bytes, at)))
    }

    pub(crate) fn causation(&self) -> Option<Id> {
        self.layout.optional(has::CAUSATION).map(|at| Id(array(self.bytes, at)))
    }

    pub(crate) fn entity(&self) -> &'a str {
        std::str::from_utf8(&self.bytes[self.layout.entity()]).unwrap_or_default()
    }

    pub(crate) fn scope(&self) -> &'a str {
        std::str::from_utf8(&self.bytes[self.layout.scope()]).unwrap_or_default()
    }
}

/// A run of dropped events in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap<'a> {
    bytes: &'a [u8],
}

impl<'a> Gap<'a> {
    /// The gap at the start of `bytes`, if its checksum and its form are right; the reason
    /// otherwise. `None` if something else than a gap stands there.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Result<Self, &'static str>> {
        if probe(bytes).is_none() || bytes[8] != GAP_MARKER {
            return None;
        }
        Some(checked(bytes, GAP_MARKER).and_then(|bytes| {
            if bytes[9] & !state::BATCH_CONTINUES != 0 {
                return Err(NEWER);
            }
            let gap = Self { bytes };
            let is_whole = field!(bytes, 0, u32) as usize == bytes.len()
                && (bytes.len() - GAP_BYTES).is_multiple_of(HASH_BYTES)
                && gap.events() <= MAX_GAP_EVENTS as u64;
            if !is_whole {
                return Err("a gap is of an impossible size");
            }
            if field!(bytes, 12, u32) != SYNCED_TO_OF_MOVED || gap.first_sequence() >= 1 << 62 {
                return Err("a gap says what none can say");
            }
            Ok(gap)
        }))
    }

    pub(crate) fn padded(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn first_sequence(&self) -> u64 {
        field!(self.bytes, 16, u64)
    }

    pub(crate) fn events(&self) -> u64 {
        ((self.bytes.len() - GAP_BYTES) / HASH_BYTES) as u64
    }

    /// Whether the last of its events is followed by others of its batch.
    pub(crate) fn batch_continues(&self) -> bool {
        self.bytes[9] & state::BATCH_CONTINUES != 0
    }

    /// The hashes of its events.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = Hash> + 'a {
        self.bytes[GAP_BYTES..].chunks_exact(HASH_BYTES).map(|hash| Hash(array(hash, 0)))
    }
}

/// Appends a gap to `out`.
pub(crate) fn encode_gap(
    first_sequence: u64,
    hashes: &[Hash],
    batch_continues: bool,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.extend_from_slice(&first_sequence.to_le_bytes());
    hashes.iter().for_each(|hash| out.extend_from_slice(&hash.0));
    let frame = &mut out[start..];
    let batch = if batch_continues { state::BATCH_CONTINUES } else { 0 };
    put_header(frame, frame.len(), GAP_MARKER, batch, SYNCED_TO_OF_MOVED);
    put_checksum(frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<'a>() -> Fields<'a> {
        Fields {
            sequence: 7,
            id: Id([1; 16]),
            timestamp_us: 1_700_000_000_000_000,
            wall_us: 1_700_000_000_000_001,
            clock: 3,
            lane: 2,
            depth: 1,
            kind: 0x1001,
            payload_version: 4,
            flags: 0x80,
            correlation: Id([2; 16]),
            causation: Id([3; 16]),
            prev_hash: Hash([4; 32]),
            entity: "user:1",
            scope: "app",
            extensions: &[1, 0, 0, 0, b'x'],
            payload: b"hello",
            payload_hash: payload_hash(b"hello"),
            batch_continues: true,
            keyed: true,
            synced_to: 192,
        }
    }

    fn minimal<'a>() -> Fields<'a> {
        Fields {
            wall_us: fields().timestamp_us,
            lane: 0,
            depth: 0,
            correlation: fields().id,
            causation: Id::NONE,
            prev_hash: Hash::ZERO,
            extensions: &[],
            batch_continues: false,
            keyed: false,
            ..fields()
        }
    }

    fn encode(fields: &Fields<'_>, lineage: Id, out: &mut Vec<u8>) -> Hash {
        let (start, mut unsealed) = (out.len(), Unsealed::default());
        super::encode(fields, lineage, out, &mut unsealed);
        unsealed.seal(out);
        hash_of(&out[start..])
    }

    #[test]
    fn every_field_comes_back() {
        let mut bytes = Vec::new();
        let hash = encode(&fields(), Id([9; 16]), &mut bytes);
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!(frame.sequence(), 7);
        assert_eq!(frame.id(), Id([1; 16]));
        assert_eq!(frame.timestamp_us(), 1_700_000_000_000_000);
        assert_eq!(frame.wall_us(), 1_700_000_000_000_001);
        assert_eq!((frame.clock(), frame.lane(), frame.depth()), (3, 2, 1));
        assert_eq!((frame.kind(), frame.payload_version(), frame.flags()), (0x1001, 4, 0x80));
        assert_eq!(frame.correlation(), Id([2; 16]));
        assert_eq!(frame.causation(), Some(Id([3; 16])));
        assert_eq!(frame.prev_hash(), Hash([4; 32]));
        assert_eq!((frame.entity(), frame.scope()), ("user:1", "app"));
        assert_eq!(&bytes[frame.layout().extensions()], &[1, 0, 0, 0, b'x']);
        assert_eq!(&bytes[frame.layout().payload()], b"hello");
        assert!(frame.batch_continues());
        assert_eq!(frame.synced_to(), 192);
        assert_eq!(frame.hash(), hash);
        assert!(frame.hash_is_right(Id([9; 16])));
        assert!(!frame.hash_is_right(Id([8; 16])));
    }

    #[test]
    fn defaults_take_no_space() {
        let mut bytes = Vec::new();
        encode(&minimal(), Id([9; 16]), &mut bytes);
        assert_eq!(bytes.len(), padded(FIXED_BYTES + "user:1app".len() + "hello".len()));
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!(frame.correlation(), frame.id());
        assert_eq!(frame.causation(), None);
        assert_eq!(frame.wall_us(), frame.timestamp_us());
    }

    #[test]
    fn what_is_moved_keeps_its_hash() {
        let mut bytes = Vec::new();
        let hash = encode(&fields(), Id([9; 16]), &mut bytes);
        let frame = Frame::parse(&bytes).unwrap();
        let (tombstone, dropped) = (state::TOMBSTONE, state::DROPPED | state::ERASED);
        for set in [0, tombstone, state::ERASED, tombstone | state::ERASED, dropped] {
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            frame.move_to(set, &mut once);
            Frame::parse(&once).unwrap().move_to(set, &mut twice);
            assert_eq!(once, twice, "{set:#x}");
            let moved = Frame::parse(&twice).unwrap();
            assert_eq!((moved.hash(), moved.hash_is_right(Id([9; 16]))), (hash, true));
            assert!(moved.is_keyed() && moved.batch_continues());
            let erased = set & state::ERASED != 0;
            let payload = &twice[moved.layout().payload()];
            assert_eq!(payload, if erased { &b""[..] } else { b"hello" });
            let kind = if set & tombstone != 0 { 0x0FFE } else { 0x1001 };
            assert_eq!((moved.kind(), moved.appended_kind()), (kind, 0x1001));
        }
        let mut shown = Vec::new();
        frame.move_to(state::DROPPED, &mut shown);
        assert!(Frame::parse(&shown).is_err());
    }

    #[test]
    fn gaps_come_back_and_any_flipped_bit_is_noticed() {
        let hashes = [Hash([1; 32]), Hash([2; 32]), Hash([3; 32])];
        let mut bytes = Vec::new();
        encode_gap(7, &hashes, true, &mut bytes);
        let gap = Gap::parse(&bytes).unwrap().unwrap();
        assert_eq!((gap.first_sequence(), gap.events(), gap.padded()), (7, 3, bytes.len()));
        assert!(gap.batch_continues() && gap.hashes().eq(hashes));
        assert!(Frame::parse(&bytes).is_err());
        for at in 0..bytes.len() {
            bytes[at] ^= 4;
            assert!(!matches!(Gap::parse(&bytes), Some(Ok(_))), "byte {at}");
            bytes[at] ^= 4;
            assert!(!matches!(Gap::parse(&bytes[..at]), Some(Ok(_))), "length {at}");
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        encode(&fields(), Id([9; 16]), &mut bytes);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(Frame::parse(&bytes).is_err(), "byte {at}, bit {bit}");
                bytes[at] ^= 1 << bit;
            }
        }
        assert!(Frame::parse(&bytes).is_ok());
    }

    #[test]
    fn any_truncation_is_noticed() {
        let mut bytes = Vec::new();
        encode(&fields(), Id([9; 16]), &mut bytes);
        for length in 0..bytes.len() {
            assert!(Frame::parse(&bytes[..length]).is_err(), "length {length}");
        }
    }
}
