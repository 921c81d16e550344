//! The head file: how far the log has come, for readers in other processes. See
//! `docs/format.md`, section 4.

use super::{array, crc32, field};
use crate::ids::Id;

pub(crate) const FILE_NAME: &str = "head";
pub(crate) const HEAD_BYTES: usize = 96;
const MAGIC: &[u8; 8] = b"FBATHD2\0";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeadFile {
    pub(crate) store: Id,
    pub(crate) segment: u64,
    pub(crate) visible_offset: u64,
    pub(crate) visible_events: u64,
    pub(crate) durable_offset: u64,
    pub(crate) durable_events: u64,
    pub(crate) writes: u64,
    /// Whole batches behind the visible end are visible too, as soon as they are in the file.
    pub(crate) open_ended: bool,
    /// The compaction generation of the manifest.
    pub(crate) generation: u64,
}

impl HeadFile {
    pub(crate) fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..24].copy_from_slice(&self.store.0);
        let numbers = [
            self.segment,
            self.visible_offset,
            self.visible_events,
            self.durable_offset,
            self.durable_events,
            self.writes,
        ];
        for (place, number) in bytes[24..72].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[72] = u8::from(self.open_ended);
        bytes[80..88].copy_from_slice(&self.generation.to_le_bytes());
        let crc = crc32(&[&bytes[..92]]);
        bytes[92..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` for anything that is not a whole head of this version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != HEAD_BYTES
            || bytes[0..8] != MAGIC[..]
            || field!(bytes, 92, u32) != crc32(&[&bytes[..92]])
            || bytes[72] > 1
            || bytes[73..80].iter().chain(&bytes[88..92]).any(|byte| *byte != 0)
        {
            return None;
        }
        Some(Self {
            store: Id(array(bytes, 8)),
            segment: field!(bytes, 24, u64),
            visible_offset: field!(bytes, 32, u64),
            visible_events: field!(bytes, 40, u64),
            durable_offset: field!(bytes, 48, u64),
            durable_events: field!(bytes, 56, u64),
            writes: field!(bytes, 64, u64),
            open_ended: bytes[72] == 1,
            generation: field!(bytes, 80, u64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_every_flip_noticed() {
        let head =
            HeadFile { store: Id([1; 16]), segment: 2, visible_events: 3, ..Default::default() };
        let mut bytes = head.encode();
        assert_eq!(HeadFile::decode(&bytes), Some(head));
        for at in 0..bytes.len() {
            bytes[at] ^= 0x10;
            assert_eq!(HeadFile::decode(&bytes), None, "byte {at}");
            bytes[at] ^= 0x10;
        }
    }
}
