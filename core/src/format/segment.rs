//! The header of a segment, and its file name. Layout: `docs/format.md`, section 2.1.

use super::{array, crc32, field};
use crate::ids::{Hash, Id};

pub(crate) const HEADER_BYTES: usize = 192;

/// A writer reserves space in the newest segment up to a multiple of this, and no further.
pub(crate) const RESERVED_BYTES: u64 = 256 << 10;

const MAP_BYTES: u32 = HEADER_BYTES as u32 - 8;
const VERSION_AT: usize = 17;
const CRC_AT: usize = 188;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) created_ns: i64,
    pub(crate) store: Id,
    pub(crate) lineage: Id,
    pub(crate) first_sequence: u64,
    /// The root of the tree over all events before this segment.
    pub(crate) root_before: Hash,
    /// Of the compaction that wrote it; 0 if none did.
    pub(crate) generation: u64,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// A FBAT file of this other version.
    Version(u64),
    Damaged(&'static str),
}

fn template() -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[0..4].copy_from_slice(b"FBAT");
    bytes[4..8].copy_from_slice(&MAP_BYTES.to_be_bytes());
    bytes[8] = 0x85;
    bytes[9..18].copy_from_slice(b"\xa7version\x02");
    bytes[18..25].copy_from_slice(b"\xa5flags\x00");
    bytes[25..37].copy_from_slice(b"\xaacreated_ns\xd3");
    bytes[45..57].copy_from_slice(b"\xaasegment_id\xcf");
    bytes[65..73].copy_from_slice(b"\xa5fbat2\xc4\x77");
    bytes
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = template();
        bytes[37..45].copy_from_slice(&self.created_ns.to_be_bytes());
        bytes[57..65].copy_from_slice(&self.number.to_be_bytes());
        bytes[73..89].copy_from_slice(&self.store.0);
        bytes[89..105].copy_from_slice(&self.lineage.0);
        bytes[105..113].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[113..145].copy_from_slice(&self.root_before.0);
        bytes[145..153].copy_from_slice(&self.generation.to_le_bytes());
        let crc = crc32(&[&bytes[..CRC_AT]]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let damaged = |why| Err(HeaderError::Damaged(why));
        if bytes.len() < 8 || &bytes[0..4] != b"FBAT" {
            return damaged("it does not begin with FBAT");
        }
        if let Some(version) = version_of(bytes)
            && version != 2
        {
            return Err(HeaderError::Version(version));
        }
        if bytes.len() < HEADER_BYTES {
            return damaged("the header is cut off");
        }
        let bytes = &bytes[..HEADER_BYTES];
        if field!(bytes, CRC_AT, u32) != crc32(&[&bytes[..CRC_AT]]) {
            return damaged("the header's checksum does not match");
        }
        let header = Self {
            created_ns: i64::from_be_bytes(array(bytes, 37)),
            number: u64::from_be_bytes(array(bytes, 57)),
            store: Id(array(bytes, 73)),
            lineage: Id(array(bytes, 89)),
            first_sequence: field!(bytes, 105, u64),
            root_before: Hash(array(bytes, 113)),
            generation: field!(bytes, 145, u64),
        };
        if header.encode() != *bytes {
            return damaged("the header has fields of a newer format");
        }
        Ok(header)
    }
}

/// The version that a FBAT header states, of this format or of an older or newer one. Version 1
/// writes the same map with the version first, but with its own widths for the values behind it.
fn version_of(bytes: &[u8]) -> Option<u64> {
    let value = bytes.get(VERSION_AT - 8..)?.strip_prefix(b"\xa7version")?;
    match *value.first()? {
        small @ 0..=0x7f => Some(u64::from(small)),
        0xcc => value.get(1).map(|v| u64::from(*v)),
        0xcd => value.get(1..3).map(|v| u64::from(u16::from_be_bytes(array(v, 0)))),
        0xce => value.get(1..5).map(|v| u64::from(u32::from_be_bytes(array(v, 0)))),
        _ => None,
    }
}

/// The file name of a segment.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:06}.fbat")
}

/// The segment number of a file name, if it is exactly the name that the number has.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".fbat")?.parse().ok()?;
    (number > 0 && number < 1 << 63 && file_name(number) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            number: 7,
            created_ns: -5,
            store: Id([1; 16]),
            lineage: Id([2; 16]),
            first_sequence: 99,
            root_before: Hash([3; 32]),
            generation: 7,
        }
    }

    #[test]
    fn round_trip_and_every_flip_noticed() {
        let mut bytes = header().encode();
        assert_eq!(Header::decode(&bytes), Ok(header()));
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(Header::decode(&bytes).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn other_versions_are_named() {
        let mut bytes = header().encode();
        bytes[VERSION_AT] = 1;
        assert_eq!(Header::decode(&bytes[..60]), Err(HeaderError::Version(1)));
        bytes[VERSION_AT] = 3;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Version(3)));
    }

    #[test]
    fn only_exact_names_are_segments() {
        assert_eq!(number_of("000001.fbat"), Some(1));
        assert_eq!(number_of("1234567.fbat"), Some(1_234_567));
        for bad in ["1.fbat", "0000001.fbat", "+00001.fbat", "000000.fbat", "000001.fba", "000001"]
        {
            assert_eq!(number_of(bad), None, "{bad}");
        }
        assert_eq!(number_of("18446744073709551615.fbat"), None);
    }
}
