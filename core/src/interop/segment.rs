//! A segment file of the batpak crate 0.x: a header, frames, and behind the frames of a segment that
//! was closed by 0.7 or later, an index.
//!
//! The header is `FBAT`, the length of a map (u32, big-endian), and the map: `version` (1), `flags`,
//! `created_ns`, `segment_id`.
//!
//! The index is, from its start to the file's end: a MessagePack array of names; for each event
//! [`ENTRY_BYTES`] bytes; with `SDX3` the CRC-32 of all that; the offset of the index (u64), the
//! number of events (u32), and `SDX2` (0.7, 0.8) or `SDX3` (0.9, 0.10). Its numbers are
//! little-endian. Entries have no padding.

use super::frame::{LOOK_BYTES, looks_like_frame};
use super::message::{Parsed, Reader, Write};
use crate::format::{array, crc32, field};
use crate::ids::{Hash, Id};

const MAGIC: &[u8; 4] = b"FBAT";
/// What every version wrote and read.
const VERSION: u64 = 1;
/// A header is as long as this at the most; the ones that the crate wrote have about 57 bytes.
pub(crate) const MAX_HEADER_BYTES: usize = 8 + (64 << 10);
/// A file shorter than this can hold no event: it is what a crash while creating a segment leaves.
pub(crate) const LEAST_BYTES: u64 = 72;

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Version(u64),
    Damaged(&'static str),
}

/// If this is the beginning of a segment: where the frames start, and where the header's map ends,
/// which is the same place in every file that a crate wrote.
pub(crate) fn parse_header(bytes: &[u8]) -> Result<(usize, usize), HeaderError> {
    let damaged = HeaderError::Damaged;
    let Some((front, rest)) = bytes.split_at_checked(8) else {
        return Err(damaged("the header is cut off"));
    };
    if &front[..4] != MAGIC {
        return Err(damaged("the header does not begin with FBAT"));
    }
    let length = u32::from_be_bytes(array(front, 4)) as usize;
    if length > MAX_HEADER_BYTES - 8 {
        return Err(damaged("the header is longer than any can be"));
    }
    let map = rest.get(..length).ok_or(damaged("the header is cut off"))?;
    let (mut version, mut others) = (None, 0);
    let mut reader = Reader(map);
    let fields = reader.fields(|key, value| {
        match key {
            b"version" => version = Some(value.int::<u64>()?),
            b"flags" => others += usize::from(value.int::<u16>().is_ok()),
            b"created_ns" => others += usize::from(value.int::<i64>().is_ok()),
            b"segment_id" => others += usize::from(value.int::<u64>().is_ok()),
            _ => return Ok(false),
        }
        Ok(true)
    });
    match (fields, version) {
        (Err(why), _) => Err(damaged(why)),
        (Ok(()), Some(VERSION)) if others == 3 => Ok((8 + length, 8 + length - reader.0.len())),
        (Ok(()), Some(version)) if version != VERSION => Err(HeaderError::Version(version)),
        _ => Err(damaged("a field of the header is missing")),
    }
}

/// Whether a file that begins so is a segment, damaged or not: it has the header, or a frame where the
/// header of a crate's segment ends.
pub(crate) fn is_front(bytes: &[u8]) -> bool {
    parse_header(bytes).is_ok() || bytes.windows(LOOK_BYTES).any(looks_like_frame)
}

/// The header of a segment.
pub(crate) fn encode_header(number: u64, created_ns: i64) -> Vec<u8> {
    let mut map = Vec::new();
    map.put_map(4);
    map.put_text("version");
    map.put_unsigned(VERSION);
    map.put_text("flags");
    map.put_unsigned(0);
    map.put_text("created_ns");
    map.put_signed(created_ns);
    map.put_text("segment_id");
    map.put_unsigned(number);
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&(map.len() as u32).to_be_bytes());
    header.extend_from_slice(&map);
    header
}

/// The bytes of one entry of an index.
pub(crate) const ENTRY_BYTES: usize = 162;
/// The bytes behind the entries and their checksum.
pub(crate) const TRAILER_BYTES: usize = 16;
const CRC_BYTES: usize = 4;

/// The last bytes of a closed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Where the index begins, which is where the frames end.
    pub(crate) index_at: u64,
    pub(crate) entries_at: u64,
    pub(crate) entries: u32,
    pub(crate) has_crc: bool,
}

/// Why a trailer cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrailerError {
    /// The segment ends in something else.
    None,
    /// It is of a version that is not known, with this digit.
    Newer(u8),
    /// Its numbers contradict the file's length.
    Damaged,
}

impl Trailer {
    /// Reads the last [`TRAILER_BYTES`] bytes of a file of this length.
    pub(crate) fn parse(bytes: &[u8], file_length: u64) -> Result<Self, TrailerError> {
        let bytes: &[u8; TRAILER_BYTES] = bytes.try_into().map_err(|_| TrailerError::None)?;
        let crc_bytes = match &bytes[12..] {
            b"SDX2" => 0,
            b"SDX3" => CRC_BYTES,
            [b'S', b'D', b'X', digit @ b'4'..=b'9'] => return Err(TrailerError::Newer(*digit)),
            _ => return Err(TrailerError::None),
        };
        let (index_at, entries) = (field!(bytes, 0, u64), field!(bytes, 8, u32));
        let table = u64::from(entries) * ENTRY_BYTES as u64;
        let behind = (TRAILER_BYTES + crc_bytes) as u64;
        let entries_at = file_length
            .checked_sub(behind + table)
            .filter(|entries_at| index_at < *entries_at)
            .ok_or(TrailerError::Damaged)?;
        Ok(Self { index_at, entries_at, entries, has_crc: crc_bytes > 0 })
    }
}

/// What an index says of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Id,
    pub(crate) clock: u32,
    pub(crate) lane: u32,
    pub(crate) hash: Hash,
    pub(crate) offset: u64,
    /// With the eight bytes before the body.
    pub(crate) length: u32,
    pub(crate) sequence: u64,
}

impl Entry {
    fn parse(bytes: &[u8]) -> Self {
        let mut id: [u8; 16] = array(bytes, 0);
        id.reverse();
        Self {
            id: Id(id),
            clock: field!(bytes, 34, u32),
            lane: field!(bytes, 38, u32),
            hash: Hash(array(bytes, 78)),
            offset: field!(bytes, 110, u64),
            length: field!(bytes, 118, u32),
            sequence: field!(bytes, 122, u64),
        }
    }
}

/// The index of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// By rising offset.
    pub(crate) entries: Vec<Entry>,
    /// Whether a checksum says that it is what was written.
    pub(crate) is_checked: bool,
}

/// Reads an index: `bytes` are those from `trailer.index_at` up to the trailer. `None` if its
/// checksum or its form is wrong.
pub(crate) fn parse_index(trailer: &Trailer, bytes: &[u8]) -> Option<Index> {
    let table_at = usize::try_from(trailer.entries_at - trailer.index_at).ok()?;
    let table_end = table_at + trailer.entries as usize * ENTRY_BYTES;
    let table = bytes.get(table_at..table_end)?;
    let mut is_checked = false;
    if trailer.has_crc {
        is_checked = field!(bytes.get(table_end..table_end + CRC_BYTES)?, 0, u32)
            == crc32(&[&bytes[..table_end]]);
    }
    let names: Parsed<()> = (|| {
        let mut reader = Reader(&bytes[..table_at]);
        for _ in 0..reader.array()? {
            reader.text()?;
        }
        if reader.0.is_empty() { Ok(()) } else { Err("there is something behind the names") }
    })();
    // The number of entries is not under the checksum, but they begin where the names end.
    if names.is_err() {
        return None;
    }
    let mut entries: Vec<Entry> = table.chunks_exact(ENTRY_BYTES).map(Entry::parse).collect();
    entries.sort_by_key(|entry| entry.offset);
    Some(Index { entries, is_checked })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let header = encode_header(1, 1_700_000_000_001_250_000);
        assert_eq!(header.len(), 57);
        assert_eq!(parse_header(&header), Ok((57, 57)));
        for length in 0..header.len() {
            let cut = parse_header(&header[..length]);
            assert!(matches!(cut, Err(HeaderError::Damaged(_))), "{length}");
        }
        let mut newer = header.clone();
        newer[17] = 2;
        assert_eq!(parse_header(&newer), Err(HeaderError::Version(2)));
        let mut longer = header.clone();
        longer[4] = 0x80;
        assert!(matches!(parse_header(&longer), Err(HeaderError::Damaged(_))));
    }

    fn footer(magic: &[u8; 4], crc: bool, sequences: &[u64]) -> (Vec<u8>, u64) {
        let mut index = vec![0x91, 0xa1, b'e'];
        for (at, sequence) in sequences.iter().enumerate() {
            let mut entry = [0; ENTRY_BYTES];
            entry[0] = at as u8;
            entry[110] = at as u8 + 57;
            entry[122..130].copy_from_slice(&sequence.to_le_bytes());
            index.extend_from_slice(&entry);
        }
        if crc {
            let crc = crc32(&[&index]);
            index.extend_from_slice(&crc.to_le_bytes());
        }
        let index_at = 1000u64;
        let mut trailer = index_at.to_le_bytes().to_vec();
        trailer.extend_from_slice(&(sequences.len() as u32).to_le_bytes());
        trailer.extend_from_slice(magic);
        index.extend_from_slice(&trailer);
        let length = index_at + index.len() as u64;
        (index, length)
    }

    #[test]
    fn indexes_of_both_kinds() {
        for (magic, crc) in [(b"SDX2", false), (b"SDX3", true)] {
            let (bytes, length) = footer(magic, crc, &[4, 7]);
            let (index, trailer) = bytes.split_at(bytes.len() - TRAILER_BYTES);
            let trailer = Trailer::parse(trailer, length).unwrap();
            assert_eq!((trailer.index_at, trailer.entries, trailer.has_crc), (1000, 2, crc));
            let read = parse_index(&trailer, index).unwrap();
            assert_eq!(read.is_checked, crc);
            let found: Vec<_> = read.entries.iter().map(|e| (e.offset, e.sequence)).collect();
            assert_eq!(found, [(57, 4), (58, 7)]);
            assert_eq!(read.entries[1].id.0[15], 1);
            for length in 0..index.len() {
                let cut = parse_index(&trailer, &index[..length]);
                assert!(cut.is_none_or(|index| !index.is_checked), "{length}");
            }
        }
    }

    #[test]
    fn other_trailers() {
        let (bytes, length) = footer(b"SDX3", true, &[1]);
        let trailer = &bytes[bytes.len() - TRAILER_BYTES..];
        let with = |at: usize, byte: u8| {
            let mut changed = trailer.to_vec();
            changed[at] = byte;
            Trailer::parse(&changed, length)
        };
        assert_eq!(with(15, b'4'), Err(TrailerError::Newer(b'4')));
        assert_eq!(with(12, b'x'), Err(TrailerError::None));
        assert_eq!(with(11, 0xff), Err(TrailerError::Damaged));
        assert_eq!(with(7, 1), Err(TrailerError::Damaged));
    }
}
