//! The footer of a sealed segment: its index. Layout: `docs/format.md`, section 2.4.

use super::postings;
use super::tree::Tree;
use super::{array, crc32, field, padded};
use crate::ids::{Hash, Id};

pub(crate) const TRAILER_BYTES: usize = 32;
const MAGIC: &[u8; 4] = b"SIDX";
const END_MAGIC: &[u8; 4] = b"SDX4";
const VERSION: u32 = 2;
const FIXED_BYTES: usize = 128;
const SECTION_BYTES: usize = 24;
/// Of an offset: the event was dropped.
pub(crate) const DROPPED: u32 = 1 << 31;
/// A footer of this version has exactly these.
const SECTIONS: usize = 10;

/// The sections, by their numbers in the file.
pub(crate) mod section {
    pub(crate) const OFFSETS: u32 = 1;
    pub(crate) const IDS: u32 = 2;
    pub(crate) const STREAMS: u32 = 3;
    pub(crate) const STREAM_POSTINGS: u32 = 4;
    pub(crate) const SCOPES: u32 = 5;
    pub(crate) const SCOPE_POSTINGS: u32 = 6;
    pub(crate) const KINDS: u32 = 7;
    pub(crate) const KIND_POSTINGS: u32 = 8;
    pub(crate) const TREE_NODES: u32 = 9;
    pub(crate) const TREE_PEAKS: u32 = 10;
    /// Every section that a segment of this version has.
    pub(crate) const ALL: std::ops::RangeInclusive<u32> = OFFSETS..=TREE_PEAKS;
}

/// Spreads ids evenly over 32 bits, whoever chose them, so that a lookup can interpolate.
pub(crate) fn id_tag(lineage: Id, id: Id) -> u32 {
    let mut both = [0; 32];
    both[..16].copy_from_slice(&lineage.0);
    both[16..].copy_from_slice(&id.0);
    field!(blake3::hash(&both).as_bytes(), 0, u32)
}

/// What the footer says before its sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) number: u64,
    pub(crate) first_sequence: u64,
    pub(crate) events: u64,
    pub(crate) frames_end: u64,
    pub(crate) lowest_timestamp_us: i64,
    pub(crate) highest_timestamp_us: i64,
    pub(crate) root: Hash,
    pub(crate) last_hash: Hash,
}

/// A section's place, relative to the footer's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) id: u32,
    pub(crate) crc: u32,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// A footer without the content of its sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) summary: Summary,
    pub(crate) sections: Vec<Section>,
}

/// A stream as the dictionary lists it; the name stands apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamRecord {
    pub(crate) name_offset: u32,
    pub(crate) name_bytes: u16,
    pub(crate) lane: u32,
    pub(crate) first_clock: u32,
    pub(crate) last_clock: u32,
    pub(crate) events: u32,
    /// How many postings lie before its own.
    pub(crate) start: u32,
    pub(crate) last_index: u32,
}

/// A scope as the dictionary lists it; the name stands apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopeRecord {
    pub(crate) name_offset: u32,
    pub(crate) name_bytes: u16,
    pub(crate) events: u32,
    pub(crate) list_offset: u32,
}

/// A kind as its section lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KindRecord {
    pub(crate) kind: u16,
    pub(crate) events: u32,
    pub(crate) list_offset: u32,
}

pub(crate) const DICTIONARY_HEADER_BYTES: usize = 8;

impl StreamRecord {
    pub(crate) const BYTES: usize = 32;

    pub(crate) fn decode(b: &[u8]) -> Self {
        Self {
            name_offset: field!(b, 0, u32),
            name_bytes: field!(b, 4, u16),
            lane: field!(b, 8, u32),
            first_clock: field!(b, 12, u32),
            last_clock: field!(b, 16, u32),
            events: field!(b, 20, u32),
            start: field!(b, 24, u32),
            last_index: field!(b, 28, u32),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(out, &[self.name_offset, u32::from(self.name_bytes), self.lane, self.first_clock]);
        put(out, &[self.last_clock, self.events, self.start, self.last_index]);
    }
}

impl ScopeRecord {
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn decode(b: &[u8]) -> Self {
        Self {
            name_offset: field!(b, 0, u32),
            name_bytes: field!(b, 4, u16),
            events: field!(b, 8, u32),
            list_offset: field!(b, 12, u32),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let name_bytes = u32::from(self.name_bytes);
        put(out, &[self.name_offset, name_bytes, self.events, self.list_offset]);
    }
}

impl KindRecord {
    pub(crate) const BYTES: usize = 12;
    pub(crate) const HEADER_BYTES: usize = 4;

    pub(crate) fn decode(b: &[u8]) -> Self {
        Self { kind: field!(b, 0, u16), events: field!(b, 4, u32), list_offset: field!(b, 8, u32) }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(out, &[u32::from(self.kind), self.events, self.list_offset]);
    }
}

fn put(out: &mut Vec<u8>, numbers: &[u32]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// One stream's part of a segment.
pub(crate) struct StreamColumn<'a> {
    pub(crate) entity: &'a str,
    pub(crate) lane: u32,
    pub(crate) first_clock: u32,
    pub(crate) last_clock: u32,
    /// Those that are shown.
    pub(crate) indexes: &'a [u32],
    /// The last one that has a frame.
    pub(crate) last_index: u32,
}

/// Everything that a footer is made of. Lists are in the order of the file.
pub(crate) struct Contents<'a> {
    pub(crate) summary: Summary,
    pub(crate) offsets: &'a [u32],
    /// The indexes of the events that are not shown, rising.
    pub(crate) dropped: &'a [u32],
    /// Tag and index.
    pub(crate) ids: Vec<(u32, u32)>,
    pub(crate) streams: Vec<StreamColumn<'a>>,
    pub(crate) scopes: Vec<(&'a str, &'a [u32])>,
    pub(crate) kinds: Vec<(u16, &'a [u32])>,
    pub(crate) nodes: &'a [Hash],
    pub(crate) tree: &'a Tree,
}

/// The footer's bytes.
pub(crate) fn encode(contents: &Contents<'_>) -> Vec<u8> {
    let sections = encode_sections(contents);
    let prefix_bytes = FIXED_BYTES + sections.len() * SECTION_BYTES;

    let s = &contents.summary;
    let mut out = Vec::with_capacity(
        padded(prefix_bytes) + sections.iter().map(|(_, b)| padded(b.len())).sum::<usize>() + 32,
    );
    out.extend_from_slice(MAGIC);
    put(&mut out, &[VERSION]);
    for number in [s.number, s.first_sequence, s.events, s.frames_end] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&s.lowest_timestamp_us.to_le_bytes());
    out.extend_from_slice(&s.highest_timestamp_us.to_le_bytes());
    out.extend_from_slice(&s.root.0);
    out.extend_from_slice(&s.last_hash.0);
    put(&mut out, &[sections.len() as u32, 0]);
    let mut offset = padded(prefix_bytes);
    for (id, bytes) in &sections {
        put(&mut out, &[*id, crc32(&[bytes])]);
        out.extend_from_slice(&(offset as u64).to_le_bytes());
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        offset += padded(bytes.len());
    }
    let prefix_crc = crc32(&[&out]);
    out.resize(padded(prefix_bytes), 0);
    for (_, bytes) in &sections {
        out.extend_from_slice(bytes);
        out.resize(padded(out.len()), 0);
    }

    let trailer_at = out.len();
    out.extend_from_slice(&((trailer_at + TRAILER_BYTES) as u64).to_le_bytes());
    out.extend_from_slice(&s.number.to_le_bytes());
    put(&mut out, &[prefix_crc, 0]);
    let trailer_crc = crc32(&[&out[trailer_at..]]);
    put(&mut out, &[trailer_crc]);
    out.extend_from_slice(END_MAGIC);
    out
}

fn encode_sections(contents: &Contents<'_>) -> Vec<(u32, Vec<u8>)> {
    let mut offsets = Vec::with_capacity(contents.offsets.len() * 4);
    put(&mut offsets, contents.offsets);
    for index in contents.dropped {
        // The highest byte of a little-endian number holds its highest bit.
        offsets[*index as usize * 4 + 3] |= (DROPPED >> 24) as u8;
    }

    let mut ids = Vec::with_capacity(contents.ids.len() * 8);
    for (tag, index) in &contents.ids {
        put(&mut ids, &[*tag, *index]);
    }

    let mut streams = Vec::new();
    let mut stream_postings = Vec::with_capacity(contents.offsets.len() * 4);
    let mut names = Vec::new();
    let mut last_name: Option<(&str, u32)> = None;
    put(&mut streams, &[contents.streams.len() as u32, 0]);
    for stream in &contents.streams {
        let name_offset = match last_name {
            Some((name, offset)) if name == stream.entity => offset,
            _ => names.len() as u32,
        };
        if name_offset as usize == names.len() {
            names.extend_from_slice(stream.entity.as_bytes());
        }
        last_name = Some((stream.entity, name_offset));
        StreamRecord {
            name_offset,
            name_bytes: stream.entity.len() as u16,
            lane: stream.lane,
            first_clock: stream.first_clock,
            last_clock: stream.last_clock,
            events: stream.indexes.len() as u32,
            start: (stream_postings.len() / 4) as u32,
            last_index: stream.last_index,
        }
        .encode(&mut streams);
        put(&mut stream_postings, stream.indexes);
    }
    streams.append(&mut names);

    let mut scopes = Vec::new();
    let mut scope_postings = Vec::new();
    put(&mut scopes, &[contents.scopes.len() as u32, 0]);
    for (scope, indexes) in &contents.scopes {
        ScopeRecord {
            name_offset: names.len() as u32,
            name_bytes: scope.len() as u16,
            events: indexes.len() as u32,
            list_offset: scope_postings.len() as u32,
        }
        .encode(&mut scopes);
        names.extend_from_slice(scope.as_bytes());
        postings::encode(indexes, &mut scope_postings);
    }
    scopes.append(&mut names);

    let mut kinds = Vec::new();
    let mut kind_postings = Vec::new();
    put(&mut kinds, &[contents.kinds.len() as u32]);
    for (kind, indexes) in &contents.kinds {
        let list_offset = kind_postings.len() as u32;
        KindRecord { kind: *kind, events: indexes.len() as u32, list_offset }.encode(&mut kinds);
        postings::encode(indexes, &mut kind_postings);
    }

    let nodes = contents.nodes.iter().flat_map(|node| node.0).collect();
    let mut peaks = Vec::new();
    contents.tree.encode(&mut peaks);

    vec![
        (section::OFFSETS, offsets),
        (section::IDS, ids),
        (section::STREAMS, streams),
        (section::STREAM_POSTINGS, stream_postings),
        (section::SCOPES, scopes),
        (section::SCOPE_POSTINGS, scope_postings),
        (section::KINDS, kinds),
        (section::KIND_POSTINGS, kind_postings),
        (section::TREE_NODES, nodes),
        (section::TREE_PEAKS, peaks),
    ]
}

/// The footer's length and the CRC of its beginning, from a file's last [`TRAILER_BYTES`].
pub(crate) fn decode_trailer(trailer: &[u8]) -> Result<(u64, u32), &'static str> {
    if trailer.len() != TRAILER_BYTES || &trailer[28..] != END_MAGIC {
        return Err("the segment does not end with a footer");
    }
    if field!(trailer, 24, u32) != crc32(&[&trailer[..24]]) || field!(trailer, 20, u32) != 0 {
        return Err("the footer's trailer does not match its checksum");
    }
    Ok((field!(trailer, 0, u64), field!(trailer, 16, u32)))
}

/// How many bytes the beginning of a footer has at the most.
pub(crate) const MAX_PREFIX_BYTES: usize = FIXED_BYTES + SECTIONS * SECTION_BYTES;

/// Why a footer of a later version cannot be used by this one.
pub(crate) const NEWER: &str = "the footer is of a newer format";

/// Whether these can be the first bytes of a footer; they are no frame's.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

impl Footer {
    /// Reads the beginning of a footer of `length` bytes, whose CRC the trailer states.
    pub(crate) fn decode(bytes: &[u8], length: u64, crc: u32) -> Result<Self, &'static str> {
        if bytes.len() < FIXED_BYTES || &bytes[0..4] != MAGIC {
            return Err("the footer does not begin with SIDX");
        }
        if field!(bytes, 4, u32) != VERSION {
            return Err(NEWER);
        }
        let prefix_bytes = FIXED_BYTES + SECTIONS * SECTION_BYTES;
        if bytes.len() < prefix_bytes {
            return Err("the footer is cut off");
        }
        if crc != crc32(&[&bytes[..prefix_bytes]]) {
            return Err("the beginning of the footer does not match its checksum");
        }
        let read = |b: &[u8]| Section {
            id: field!(b, 0, u32),
            crc: field!(b, 4, u32),
            offset: field!(b, 8, u64),
            length: field!(b, 16, u64),
        };
        let footer = Self {
            summary: Summary {
                number: field!(bytes, 8, u64),
                first_sequence: field!(bytes, 16, u64),
                events: field!(bytes, 24, u64),
                frames_end: field!(bytes, 32, u64),
                lowest_timestamp_us: field!(bytes, 40, i64),
                highest_timestamp_us: field!(bytes, 48, i64),
                root: Hash(array(bytes, 56)),
                last_hash: Hash(array(bytes, 88)),
            },
            sections: bytes[FIXED_BYTES..prefix_bytes]
                .chunks_exact(SECTION_BYTES)
                .map(read)
                .collect(),
        };
        if field!(bytes, 120, u64) != SECTIONS as u64 {
            return Err(NEWER);
        }
        let summary = &footer.summary;
        let events = summary.events;
        if events > u64::from(u32::MAX) || summary.first_sequence >= (1 << 63) - events {
            return Err("the footer counts more events than there can be");
        }
        // What a section can take at the most, so that nothing is read on a forged length's word.
        let most = |id: u32| match id {
            section::OFFSETS | section::STREAM_POSTINGS => events * 4,
            section::IDS => events * 8,
            section::KINDS => (KindRecord::HEADER_BYTES + (1 << 16) * KindRecord::BYTES) as u64,
            section::TREE_NODES => (events / 256 + 1) * 32,
            section::TREE_PEAKS => 64 * 40,
            _ => DICTIONARY_HEADER_BYTES as u64 + events * (StreamRecord::BYTES as u64 + 1024),
        };
        let mut offset = padded(prefix_bytes) as u64;
        for (section, id) in footer.sections.iter().zip(section::ALL) {
            // Dropped events may have neither ids nor postings.
            let one_each = id == section::OFFSETS;
            let entry_bytes = match id {
                section::IDS => 8,
                section::STREAM_POSTINGS => 4,
                _ => 1,
            };
            if section.id != id || section.offset != offset || section.length > most(id) {
                return Err("a section of the footer is not where it belongs");
            }
            if one_each && section.length != most(id) {
                return Err("a section does not have one entry per event");
            }
            if !section.length.is_multiple_of(entry_bytes) {
                return Err("a section ends within an entry");
            }
            offset += section.length.next_multiple_of(8);
        }
        if offset + TRAILER_BYTES as u64 != length {
            return Err("the sections do not fill the footer");
        }
        Ok(footer)
    }

    pub(crate) fn section(&self, id: u32) -> Option<Section> {
        self.sections.iter().find(|section| section.id == id).copied()
    }
}
