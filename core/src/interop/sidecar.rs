//! The small files beside the segments of the batpak crate 0.x, as far as they cannot be made again
//! from the segments: what cancelled fences hide, the idempotency keys, the encryption keys, and the
//! marker of a compaction. Most begin with a magic of six bytes, a version (u16) and the CRC-32 of
//! all that follows (u32), both little-endian; the rest is MessagePack.

use super::message::{Parsed, Reader};
use crate::error::{Error, ErrorKind};
use crate::format::{crc32, field};
use crate::ids::Id;
use std::collections::HashMap;
use std::path::Path;

pub(crate) const LOCK: &str = ".batpak.lock";
pub(crate) const HIDDEN: &str = "visibility_ranges.fbv";
pub(crate) const KEYS: &str = "index.idemp";
pub(crate) const KEYSET: &str = "keyset.fbatk";
pub(crate) const COMPACTION: &str = "compaction.pending.json";
/// What versions behind 0.10 use in its place. Which segments hold then is not for us to guess.
pub(crate) const LATER_COMPACTION: &str = "compaction.pending";
/// Behind the name of a segment, while it is compacted.
pub(crate) const COMPACTED: &str = ".compact-src";
/// What can be made again from the segments, or belongs to the crate's own running.
pub(crate) const PASSED_OVER: [&str; 4] = [LOCK, "index.fbati", "index.ckpt", "cursors"];

const PREFIX_BYTES: usize = 12;

/// Why a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SidecarError {
    /// It is of this version, which is a later one.
    Version(u16),
    Damaged(&'static str),
}

impl From<&'static str> for SidecarError {
    fn from(why: &'static str) -> Self {
        Self::Damaged(why)
    }
}

impl SidecarError {
    /// The damage, in words. What a later version says is not guessed at: that is an error.
    pub(crate) fn damage(self, path: &Path) -> crate::error::Result<&'static str> {
        match self {
            Self::Damaged(why) => Ok(why),
            Self::Version(version) => {
                let why = format!("the file is of version {version}; upgrade to read it");
                Err(Error::new(ErrorKind::Unsupported, why).at_path(path))
            }
        }
    }
}

type Read<T> = Result<T, SidecarError>;

/// The bytes behind the prefix.
fn body<'a>(bytes: &'a [u8], magic: &[u8; 6], newest: u16) -> Read<&'a [u8]> {
    let (prefix, body) = bytes.split_at_checked(PREFIX_BYTES).ok_or("the file is cut off")?;
    if &prefix[..6] != magic {
        return Err("the file does not begin with its magic".into());
    }
    let version = field!(prefix, 6, u16);
    // What stands behind it in a later version, a checksum or something else, is not known.
    if version > newest {
        return Err(SidecarError::Version(version));
    }
    if version == 0 {
        return Err("the file is of no version".into());
    }
    if field!(prefix, 8, u32) != crc32(&[body]) {
        return Err("the file's checksum does not match".into());
    }
    Ok(body)
}

/// The sequences that cancelled fences hide: ranges from the first to the one behind the last,
/// rising and apart from each other.
pub(crate) fn hidden_ranges(bytes: &[u8]) -> Read<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    let mut found = false;
    Reader(body(bytes, b"FBATVR", 2)?).fields(|key, value| {
        if key != b"ranges" {
            // The ranges by lane name the same events.
            return Ok(false);
        }
        found = true;
        for _ in 0..value.array()? {
            let (mut start, mut end) = (None, None);
            value.fields(|key, value| {
                match key {
                    b"start" => start = Some(value.int::<u64>()?),
                    b"end" => end = Some(value.int::<u64>()?),
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            match start.zip(end) {
                Some((start, end)) if start < end => ranges.push((start, end)),
                _ => return Err("a range is empty or inverted"),
            }
        }
        Ok(true)
    })?;
    if !found {
        return Err("the ranges are missing".into());
    }
    ranges.sort_unstable();
    ranges.dedup_by(|next, before| {
        let is_joined = next.0 <= before.1;
        if is_joined {
            before.1 = before.1.max(next.1);
        }
        is_joined
    });
    Ok(ranges)
}

/// The ranges in the form that 0.7 to 0.10 read.
pub(crate) fn encode_hidden_ranges(ranges: &[(u64, u64)]) -> Vec<u8> {
    use super::message::Write;
    let mut body = Vec::new();
    body.put_map(1);
    body.put_text("ranges");
    let _ = rmp::encode::write_array_len(&mut body, ranges.len() as u32);
    for (start, end) in ranges {
        body.put_map(2);
        body.put_text("start");
        body.put_unsigned(*start);
        body.put_text("end");
        body.put_unsigned(*end);
    }
    let mut bytes = b"FBATVR\x01\x00".to_vec();
    bytes.extend_from_slice(&crc32(&[&body]).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// The idempotency keys whose events a compaction has removed.
pub(crate) fn keys_without_events(bytes: &[u8]) -> Read<Vec<Id>> {
    let mut keys = Vec::new();
    let mut reader = Reader(body(bytes, b"FBATID", 1)?);
    for _ in 0..reader.array()? {
        let (mut key, mut evicted) = (None, false);
        reader.fields(|name, value| {
            match name {
                b"key" => key = Some(Id(value.exactly()?)),
                b"event_evicted" => evicted = value.boolean()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let key = key.ok_or("a key is missing")?;
        if evicted {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// The encryption keys, by the scope that each is for.
pub(crate) fn keyset(bytes: &[u8]) -> Read<HashMap<Vec<u8>, [u8; 32]>> {
    let mut keys = HashMap::new();
    Reader(body(bytes, b"FBATKS", 1)?).fields(|name, value| {
        if name != b"entries" {
            return Ok(false);
        }
        for _ in 0..value.array()? {
            let (mut scope, mut key) = (None, None);
            value.fields(|name, value| {
                match name {
                    b"scope" => scope = Some(value.bytes()?.into_owned()),
                    b"key" => key = Some(value.exactly()?),
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            let (scope, key) = scope.zip(key).ok_or("a key is missing")?;
            keys.insert(scope, key);
        }
        Ok(true)
    })?;
    Ok(keys)
}

/// What a compaction meant to do: the segments in `sources` become one, under the number `merged`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compaction {
    pub(crate) merged: u64,
    pub(crate) sources: Vec<u64>,
}

impl Compaction {
    /// Reads the marker, which is JSON: `{"merged_id":1,"source_segment_ids":[1,2]}`, in either
    /// order and with any white space.
    pub(crate) fn parse(bytes: &[u8]) -> Parsed<Self> {
        let text: String = std::str::from_utf8(bytes)
            .map_err(|_| "the marker is not UTF-8")?
            .split_ascii_whitespace()
            .collect();
        let wrong = "the marker is not what a compaction writes";
        let inside = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or(wrong)?;
        let (merged, sources) = match inside.strip_prefix("\"merged_id\":") {
            Some(rest) => {
                let (merged, rest) = rest.split_once(',').ok_or(wrong)?;
                (merged, rest.strip_prefix("\"source_segment_ids\":").ok_or(wrong)?)
            }
            None => {
                let rest = inside.strip_prefix("\"source_segment_ids\":").ok_or(wrong)?;
                let (sources, rest) = rest.rsplit_once(',').ok_or(wrong)?;
                (rest.strip_prefix("\"merged_id\":").ok_or(wrong)?, sources)
            }
        };
        let list = sources.strip_prefix('[').and_then(|list| list.strip_suffix(']'));
        let numbers = list.ok_or(wrong)?.split(',').filter(|number| !number.is_empty());
        let sources: Result<Vec<u64>, _> = numbers.map(str::parse).collect();
        let merged = merged.parse().map_err(|_| wrong)?;
        Ok(Self { merged, sources: sources.map_err(|_| wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interop::message::Write;

    #[test]
    fn hidden_ranges_of_both_versions() {
        // visibility_ranges.fbv of a store of 0.10.0 with one cancelled fence.
        let second = b"FBATVR\x02\x00\x63\x94\x77\x07\x82\xa6ranges\x91\x82\xa5start\x04\xa3end\
            \x06\xablane_ranges\x91\x82\xa4lane\x00\xa6ranges\x91\x82\xa5start\x04\xa3end\x06";
        assert_eq!(hidden_ranges(second), Ok(vec![(4, 6)]));
        let first = encode_hidden_ranges(&[(4, 6), (9, 1 << 33)]);
        assert_eq!(hidden_ranges(&first), Ok(vec![(4, 6), (9, 1 << 33)]));
        for at in 0..first.len() {
            let mut changed = first.clone();
            changed[at] ^= 2;
            // The version is not under the checksum.
            match at {
                6 => assert_eq!(hidden_ranges(&changed), Err(SidecarError::Version(3))),
                7 => assert_eq!(hidden_ranges(&changed), Err(SidecarError::Version(0x201))),
                _ => {
                    let damaged = matches!(hidden_ranges(&changed), Err(SidecarError::Damaged(_)));
                    assert!(damaged, "{at}");
                }
            }
            assert!(hidden_ranges(&first[..at]).is_err());
        }
        assert!(hidden_ranges(&encode_hidden_ranges(&[(4, 4)])).is_err());
        let joined = encode_hidden_ranges(&[(9, 12), (1, 10), (3, 4), (12, 13), (14, 15)]);
        assert_eq!(hidden_ranges(&joined), Ok(vec![(1, 13), (14, 15)]));
    }

    fn file(magic: &[u8; 6], body: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_vec();
        bytes.extend_from_slice(&1u16.to_le_bytes());
        bytes.extend_from_slice(&crc32(&[body]).to_le_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn keys() {
        let mut body = vec![0x92];
        for (key, evicted) in [(1, 0xc2), (2, 0xc3)] {
            body.put_map(3);
            body.put_text("key");
            body.put_binary(&[key; 16]);
            body.put_text("global_sequence");
            body.put_unsigned(9);
            body.put_text("event_evicted");
            body.push(evicted);
        }
        assert_eq!(keys_without_events(&file(b"FBATID", &body)), Ok(vec![Id([2; 16])]));

        let mut body = Vec::new();
        body.put_map(2);
        body.put_text("granularity");
        body.put_unsigned(1);
        body.put_text("entries");
        body.push(0x91);
        body.put_map(2);
        body.put_text("scope");
        body.put_integers(b"\x01acct");
        body.put_text("key");
        body.put_integers(&[0xee; 32]);
        let keys = keyset(&file(b"FBATKS", &body)).unwrap();
        assert_eq!(keys, HashMap::from([(b"\x01acct".to_vec(), [0xee; 32])]));
    }

    #[test]
    fn markers() {
        let expected = Compaction { merged: 1, sources: vec![1, 2] };
        for good in [
            "{\"merged_id\":1,\"source_segment_ids\":[1,2]}",
            "{ \"source_segment_ids\": [1, 2],\n \"merged_id\": 1 }",
        ] {
            assert_eq!(Compaction::parse(good.as_bytes()), Ok(expected.clone()), "{good}");
            for length in 0..good.len() {
                assert!(Compaction::parse(&good.as_bytes()[..length]).is_err(), "{length}");
            }
        }
        assert!(Compaction::parse(b"{\"merged_id\":-1,\"source_segment_ids\":[1]}").is_err());
    }
}
