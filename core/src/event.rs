//! Events: what a caller hands in, what a reader gets back, and the receipt in between.

use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{Frame, Layout};
use crate::ids::{Hash, Id};
use crate::kind::EventKind;
use std::fmt;
use std::sync::Arc;

/// The most bytes that the extensions of one event take, keys and lengths included.
pub const MAX_EXTENSION_BYTES: usize = 65_535;
/// The longest extension key, in bytes.
pub const MAX_EXTENSION_KEY_BYTES: usize = 256;

/// Where a stream must stand for an append to be accepted. A stream is one lane of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Anywhere.
    #[default]
    Any,
    /// The stream has no event yet.
    NoStream,
    /// The stream's last event has this clock.
    Exact(u32),
}

/// What caused an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Causation {
    /// Nothing in particular.
    #[default]
    None,
    /// The event with this id, in this store or elsewhere.
    Event(Id),
    /// An earlier event of the same batch or fence, by its place in it, from 0.
    Item(u32),
}

/// An event to append. All that is not set has the default that its field names.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// Whose event it is: 1 to 1,024 bytes; see [`check_coordinate`](crate::check_coordinate).
    pub entity: &'a str,
    /// The area it lives in, under the same rules.
    pub scope: &'a str,
    /// What it says.
    pub kind: EventKind,
    /// Any bytes, up to the store's payload limit.
    pub payload: &'a [u8],
    /// Where the stream must stand.
    pub expected: Expected,
    /// The event's id, which makes it idempotent; without it, a fresh one.
    pub id: Option<Id>,
    /// The id shared by all events of one operation; without it, the event's own id.
    pub correlation: Option<Id>,
    /// What caused it.
    pub causation: Causation,
    /// The branch of the entity's stream; 0 is the trunk.
    pub lane: u32,
    /// How deep the branch lies; 0 is the trunk.
    pub depth: u32,
    /// Eight bits that belong to the caller.
    pub flags: u8,
    /// The version of the payload's schema; 0 means "not versioned".
    pub payload_version: u16,
    /// When it happened, in microseconds since 1970; without it, the time of recording.
    pub timestamp_us: Option<i64>,
    /// Keys such as `audit.user` with their bytes, in any order, each key once.
    pub extensions: &'a [(&'a str, &'a [u8])],
}

impl<'a> NewEvent<'a> {
    /// An event with defaults for everything else.
    pub fn new(entity: &'a str, scope: &'a str, kind: EventKind, payload: &'a [u8]) -> Self {
        Self {
            entity,
            scope,
            kind,
            payload,
            expected: Expected::Any,
            id: None,
            correlation: None,
            causation: Causation::None,
            lane: 0,
            depth: 0,
            flags: 0,
            payload_version: 0,
            timestamp_us: None,
            extensions: &[],
        }
    }
}

/// Proof that an event was accepted, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id.
    pub id: Id,
    /// Its place in the whole log, from 0.
    pub sequence: u64,
    /// Its place in its stream, from 0.
    pub clock: u32,
    /// Its lane.
    pub lane: u32,
    /// When it happened, in microseconds since 1970.
    pub timestamp_us: i64,
    /// When it was recorded, in microseconds since 1970; never falls within a stream.
    pub wall_us: i64,
    /// The hash over the event and its stream up to it.
    pub hash: Hash,
    /// Whether the event was there before: the append repeated an earlier one.
    pub duplicate: bool,
}

/// A stored event. It owns a share of the bytes it shows: it stays valid after the store is
/// closed, and cloning it copies nothing. Events of a scan share what was read at once: one that
/// is kept keeps up to 256 KiB; copy what is to be kept for long.
#[derive(Clone)]
pub struct Event {
    chunk: Arc<[u8]>,
    start: usize,
    layout: Layout,
    segment: u64,
    offset: u64,
}

impl Event {
    pub(crate) fn new(
        chunk: Arc<[u8]>,
        start: usize,
        layout: Layout,
        segment: u64,
        offset: u64,
    ) -> Self {
        Self { chunk, start, layout, segment, offset }
    }

    /// The frame's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.chunk[self.start..self.start + self.layout.padded()]
    }

    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame::with_layout(&self.chunk[self.start..], self.layout)
    }

    /// Its place in the whole log, from 0.
    pub fn sequence(&self) -> u64 {
        self.frame().sequence()
    }

    /// Its id.
    pub fn id(&self) -> Id {
        self.frame().id()
    }

    /// The id shared by all events of its operation; its own id if none was given.
    pub fn correlation(&self) -> Id {
        self.frame().correlation()
    }

    /// The id of the event that caused it.
    pub fn causation(&self) -> Option<Id> {
        self.frame().causation()
    }

    /// When it happened, in microseconds since 1970.
    pub fn timestamp_us(&self) -> i64 {
        self.frame().timestamp_us()
    }

    /// When it was recorded, in microseconds since 1970.
    pub fn wall_us(&self) -> i64 {
        self.frame().wall_us()
    }

    /// Its place in its stream, from 0.
    pub fn clock(&self) -> u32 {
        self.frame().clock()
    }

    /// The branch of the entity's stream; 0 is the trunk.
    pub fn lane(&self) -> u32 {
        self.frame().lane()
    }

    /// How deep the branch lies; 0 is the trunk.
    pub fn depth(&self) -> u32 {
        self.frame().depth()
    }

    /// What it says. Of an event that a compaction made a tombstone: [`EventKind::TOMBSTONE`].
    pub fn kind(&self) -> EventKind {
        EventKind(self.frame().kind())
    }

    /// The version of the payload's schema; 0 means "not versioned".
    pub fn payload_version(&self) -> u16 {
        self.frame().payload_version()
    }

    /// The caller's eight bits.
    pub fn flags(&self) -> u8 {
        self.frame().flags()
    }

    /// Whose event it is.
    pub fn entity(&self) -> &str {
        text(&self.chunk[self.start..], self.layout.entity())
    }

    /// Whose event it is, as the UTF-8 that was checked when the event was read.
    pub fn entity_bytes(&self) -> &[u8] {
        &self.chunk[self.start..][self.layout.entity()]
    }

    /// The area it lives in, as [`entity_bytes`](Self::entity_bytes) are.
    pub fn scope_bytes(&self) -> &[u8] {
        &self.chunk[self.start..][self.layout.scope()]
    }

    /// The area it lives in.
    pub fn scope(&self) -> &str {
        text(&self.chunk[self.start..], self.layout.scope())
    }

    /// The payload, as it was handed in; nothing if it was erased.
    pub fn payload(&self) -> &[u8] {
        &self.chunk[self.start..][self.layout.payload()]
    }

    /// Whether a compaction has erased its payload, of which the hash is left.
    pub fn is_erased(&self) -> bool {
        self.frame().is_erased()
    }

    /// The hash over the event and its stream up to it.
    pub fn hash(&self) -> Hash {
        self.frame().hash()
    }

    /// The hash of the event before it in its stream; zeros for the first.
    pub fn prev_hash(&self) -> Hash {
        self.frame().prev_hash()
    }

    /// The extensions, by rising key.
    pub fn extensions(&self) -> Extensions<'_> {
        Extensions(self.extension_bytes())
    }

    /// The extensions as stored: for each, the key's length and the value's length (u16,
    /// little-endian), the key, the value.
    pub fn extension_bytes(&self) -> &[u8] {
        &self.chunk[self.start..][self.layout.extensions()]
    }

    /// The segment that holds it.
    pub fn segment(&self) -> u64 {
        self.segment
    }

    /// The byte offset of its frame in the segment.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether later frames of the same batch follow it.
    pub fn batch_continues(&self) -> bool {
        self.frame().batch_continues()
    }

    /// The size of its frame, in bytes, padding included: on disk, or, for an event of a 0.x store, as
    /// this format has it.
    pub fn stored_bytes(&self) -> usize {
        self.layout.padded()
    }
}

fn text(frame: &[u8], range: std::ops::Range<usize>) -> &str {
    // Checked when the frame was parsed.
    std::str::from_utf8(&frame[range]).unwrap_or_default()
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("sequence", &self.sequence())
            .field("id", &self.id())
            .field("entity", &self.entity())
            .field("scope", &self.scope())
            .field("kind", &self.kind())
            .field("clock", &self.clock())
            .field("lane", &self.lane())
            .field("payload_bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}

/// The extensions of one event: pairs of key and bytes, by rising key.
#[derive(Clone, Debug)]
pub struct Extensions<'a>(&'a [u8]);

impl<'a> Extensions<'a> {
    /// Of their stored form.
    pub(crate) fn of(stored: &'a [u8]) -> Self {
        Self(stored)
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (lengths, rest) = self.0.split_at_checked(4)?;
        let key_bytes = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
        let value_bytes = usize::from(u16::from_le_bytes([lengths[2], lengths[3]]));
        let (key, rest) = rest.split_at_checked(key_bytes)?;
        let (value, rest) = rest.split_at_checked(value_bytes)?;
        self.0 = rest;
        Some((std::str::from_utf8(key).ok()?, value))
    }
}

/// Writes the extensions in their stored form, after checking keys and sizes.
pub(crate) fn encode_extensions(extensions: &[(&str, &[u8])], out: &mut Vec<u8>) -> Result<()> {
    if extensions.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<_> = extensions.to_vec();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    for (index, (key, value)) in sorted.iter().enumerate() {
        check_extension_key(key)?;
        if index > 0 && sorted[index - 1].0 == *key {
            return Err(Error::invalid(format!("extension `{key}` is given twice")));
        }
        let bytes: usize = sorted.iter().map(|(k, v)| 4 + k.len() + v.len()).sum();
        if bytes > MAX_EXTENSION_BYTES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the extensions take {bytes} bytes; the limit is {MAX_EXTENSION_BYTES}"),
            ));
        }
        out.extend_from_slice(&(key.len() as u16).to_le_bytes());
        out.extend_from_slice(&(value.len() as u16).to_le_bytes());
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(value);
    }
    Ok(())
}

/// Writes stored extensions with one more in its place, unless that key is there.
pub(crate) fn push_extension(stored: &[u8], key: &str, value: &[u8], out: &mut Vec<u8>) {
    let rest = |extensions: &Extensions<'_>| stored.len() - extensions.0.len();
    let mut extensions = Extensions(stored);
    let mut at = 0;
    while let Some((known, _)) = extensions.next() {
        match known.cmp(key) {
            std::cmp::Ordering::Less => at = rest(&extensions),
            std::cmp::Ordering::Equal => return out.extend_from_slice(stored),
            std::cmp::Ordering::Greater => break,
        }
    }
    out.extend_from_slice(&stored[..at]);
    out.extend_from_slice(&(key.len() as u16).to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(value);
    out.extend_from_slice(&stored[at..]);
}

fn check_extension_key(key: &str) -> Result<()> {
    let parts = key.split_once('.').filter(|(prefix, field)| {
        !prefix.is_empty() && !field.is_empty() && !field.contains('.') && *prefix != "batpak"
    });
    let plain = key.bytes().all(|b| b.is_ascii_graphic());
    if parts.is_none() || !plain || key.len() > MAX_EXTENSION_KEY_BYTES {
        return Err(Error::invalid(format!(
            "extension key `{}` must be `prefix.field` in visible ASCII, at most \
             {MAX_EXTENSION_KEY_BYTES} bytes, with a prefix other than `batpak`",
            key.chars().take(64).collect::<String>()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_sorted_and_read_back() {
        let mut bytes = Vec::new();
        encode_extensions(&[("b.x", b"2"), ("a.y", b"")], &mut bytes).unwrap();
        let read: Vec<_> = Extensions(&bytes).collect();
        assert_eq!(read, [("a.y", b"".as_slice()), ("b.x", b"2".as_slice())]);
    }

    #[test]
    fn an_extension_is_added_in_its_place_once() {
        let mut stored = Vec::new();
        encode_extensions(&[("a.x", b"1"), ("c.x", b"3")], &mut stored).unwrap();
        let with = |key: &str| {
            let mut bytes = Vec::new();
            push_extension(&stored, key, b"2", &mut bytes);
            Extensions(&bytes).map(|(key, value)| format!("{key}{}", value[0] - b'0')).collect()
        };
        let keys: [(&str, [&str; 3]); 3] = [
            ("b.x", ["a.x1", "b.x2", "c.x3"]),
            ("A.x", ["A.x2", "a.x1", "c.x3"]),
            ("d.x", ["a.x1", "c.x3", "d.x2"]),
        ];
        for (key, expected) in keys {
            let found: Vec<String> = with(key);
            assert_eq!(found, expected);
        }
        let found: Vec<String> = with("a.x");
        assert_eq!(found, ["a.x1", "c.x3"]);
    }

    #[test]
    fn bad_extensions_are_refused() {
        let kind = |e: &[(&str, &[u8])]| encode_extensions(e, &mut Vec::new()).unwrap_err().kind();
        for key in ["", "a", ".a", "a.", "a.b.c", "batpak.x", "a b.c", "ä.b"] {
            assert_eq!(kind(&[(key, b"")]), ErrorKind::InvalidArgument, "{key}");
        }
        assert_eq!(kind(&[("a.b", b"1"), ("a.b", b"2")]), ErrorKind::InvalidArgument);
        assert_eq!(kind(&[("a.b", &[0; MAX_EXTENSION_BYTES])]), ErrorKind::TooLarge);
    }
}
