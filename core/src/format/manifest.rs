//! The manifest: which store this is and which segments make it up. See `docs/format.md`,
//! section 3.

use super::{array, crc32, field};
use crate::ids::{Hash, Id};

pub(crate) const FILE_NAME: &str = "manifest";
const MAGIC: &[u8; 8] = b"FBATMF2\0";
const MAGIC_BYTES_OF_ANY_VERSION: usize = 6;
const FIXED_BYTES: usize = 136;
const ENTRY_BYTES: usize = 32;

/// A segment as the manifest lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) first_sequence: u64,
    /// 0 for the newest segment, which is unsealed.
    pub(crate) events: u64,
    /// The file's length with its footer; 0 for the newest segment.
    pub(crate) length: u64,
}

/// The end of the log at the last clean close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClosedEnd {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) events: u64,
    pub(crate) root: Hash,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) store: Id,
    pub(crate) lineage: Id,
    pub(crate) created_us: i64,
    pub(crate) closed: Option<ClosedEnd>,
    /// In log order; the last one is unsealed.
    pub(crate) segments: Vec<Entry>,
}

/// Why a manifest cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ManifestError {
    Newer,
    Damaged(&'static str),
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; FIXED_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..24].copy_from_slice(&self.store.0);
        bytes[24..40].copy_from_slice(&self.lineage.0);
        bytes[56..64].copy_from_slice(&self.created_us.to_le_bytes());
        if let Some(end) = &self.closed {
            bytes[72..80].copy_from_slice(&end.segment.to_le_bytes());
            bytes[80..88].copy_from_slice(&end.offset.to_le_bytes());
            bytes[88..96].copy_from_slice(&end.events.to_le_bytes());
            bytes[96..128].copy_from_slice(&end.root.0);
        }
        bytes[128..132].copy_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for entry in &self.segments {
            for number in [entry.number, entry.first_sequence, entry.events, entry.length] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        let crc = crc32(&[&bytes]);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let damaged = |why| Err(ManifestError::Damaged(why));
        if bytes.len() < FIXED_BYTES + 4 {
            return damaged("it is cut off");
        }
        if bytes[..MAGIC_BYTES_OF_ANY_VERSION] != MAGIC[..MAGIC_BYTES_OF_ANY_VERSION] {
            return damaged("it does not begin with FBATMF");
        }
        if bytes[..8] != MAGIC[..] {
            return Err(ManifestError::Newer);
        }
        let (body, crc) = bytes.split_at(bytes.len() - 4);
        if field!(crc, 0, u32) != crc32(&[body]) {
            return damaged("its checksum does not match");
        }
        let count = field!(body, 128, u32) as usize;
        let entries = &body[FIXED_BYTES..];
        if entries.len() != count.saturating_mul(ENTRY_BYTES) {
            return damaged("its length does not match its number of segments");
        }
        let entry = |bytes: &[u8]| Entry {
            number: field!(bytes, 0, u64),
            first_sequence: field!(bytes, 8, u64),
            events: field!(bytes, 16, u64),
            length: field!(bytes, 24, u64),
        };
        let closed = ClosedEnd {
            segment: field!(body, 72, u64),
            offset: field!(body, 80, u64),
            events: field!(body, 88, u64),
            root: Hash(array(body, 96)),
        };
        let manifest = Self {
            store: Id(array(body, 8)),
            lineage: Id(array(body, 24)),
            created_us: field!(body, 56, i64),
            closed: (closed.segment != 0).then_some(closed),
            segments: entries.chunks_exact(ENTRY_BYTES).map(entry).collect(),
        };
        if manifest.encode() != bytes {
            // A parent, a generation, or a reserved field that this version does not write.
            return Err(ManifestError::Newer);
        }
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let mut next_number = 1;
        let mut next_sequence = 0u64;
        for (index, entry) in self.segments.iter().enumerate() {
            let last = index + 1 == self.segments.len();
            if entry.number < next_number
                || entry.number >= 1 << 63
                || entry.first_sequence != next_sequence
            {
                return Err(ManifestError::Damaged("its segments do not continue each other"));
            }
            if last != (entry.length == 0) || last != (entry.events == 0) {
                return Err(ManifestError::Damaged("a segment other than the last is unsealed"));
            }
            next_number = entry.number + 1;
            next_sequence = match next_sequence.checked_add(entry.events) {
                Some(sequence) if sequence < 1 << 63 => sequence,
                _ => return Err(ManifestError::Damaged("its sequences overflow")),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            store: Id([1; 16]),
            lineage: Id([2; 16]),
            created_us: 5,
            closed: Some(ClosedEnd { segment: 3, offset: 4096, events: 12, root: Hash([7; 32]) }),
            segments: vec![
                Entry { number: 1, first_sequence: 0, events: 10, length: 8192 },
                Entry { number: 3, first_sequence: 10, events: 0, length: 0 },
            ],
        }
    }

    #[test]
    fn round_trip_and_every_flip_noticed() {
        let mut bytes = manifest().encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest()));
        for at in 0..bytes.len() {
            bytes[at] ^= 4;
            assert!(Manifest::decode(&bytes).is_err(), "byte {at}");
            bytes[at] ^= 4;
            assert!(Manifest::decode(&bytes[..at]).is_err(), "length {at}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let mut gap = manifest();
        gap.segments[1].first_sequence = 11;
        let mut swapped = manifest();
        swapped.segments[1].number = 1;
        let mut unsealed = manifest();
        unsealed.segments[0].length = 0;
        for bad in [gap, swapped, unsealed] {
            assert!(matches!(Manifest::decode(&bad.encode()), Err(ManifestError::Damaged(_))));
        }
    }
}
