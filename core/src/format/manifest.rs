//! The manifest: which store this is and which segments make it up. See `docs/format.md`,
//! section 3.

use super::{array, crc32, field};
use crate::ids::{Hash, Id};

pub(crate) const FILE_NAME: &str = "manifest";
const MAGIC: &[u8; 8] = b"FBATMF2\0";
const MAGIC_BYTES_OF_ANY_VERSION: usize = 6;
const FIXED_BYTES: usize = 136;
const ENTRY_BYTES: usize = 32;
const ANCESTOR_BYTES: usize = 56;
const RETIRED_BYTES: usize = 8;
/// Forks of forks of forks: so many deep.
pub(crate) const MAX_ANCESTORS: usize = 4096;

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

impl Entry {
    pub(crate) fn end_sequence(&self) -> u64 {
        self.first_sequence + self.events
    }
}

/// A store that this one was forked from, or that its parent was forked from, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ancestor {
    pub(crate) store: Id,
    /// How many events this store has in common with it.
    pub(crate) events: u64,
    /// The root of the tree over those.
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
    /// Of a fork: its parent first.
    pub(crate) ancestors: Vec<Ancestor>,
    /// How many compactions the log has gone through.
    pub(crate) generation: u64,
    /// A retention has decided about the events before this sequence.
    pub(crate) horizon: u64,
    /// The numbers of segments that a compaction replaced, and whose files may still be there.
    pub(crate) retired: Vec<u64>,
}

/// Why a manifest cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ManifestError {
    Newer,
    Damaged(&'static str),
}

impl Manifest {
    /// The manifest of a store without events.
    pub(crate) fn new(store: Id, lineage: Id, created_us: i64) -> Self {
        Self {
            store,
            lineage,
            created_us,
            closed: None,
            segments: Vec::new(),
            ancestors: Vec::new(),
            generation: 0,
            horizon: 0,
            retired: Vec::new(),
        }
    }

    /// The number of the next segment: no file has it, nor had any that a reader may know of.
    pub(crate) fn next_number(&self) -> u64 {
        let listed = self.segments.iter().map(|entry| entry.number);
        listed.chain(self.retired.iter().copied()).fold(0, u64::max) + 1
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; FIXED_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..24].copy_from_slice(&self.store.0);
        bytes[24..40].copy_from_slice(&self.lineage.0);
        bytes[40..48].copy_from_slice(&self.horizon.to_le_bytes());
        bytes[48..52].copy_from_slice(&(self.retired.len() as u32).to_le_bytes());
        bytes[56..64].copy_from_slice(&self.created_us.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.generation.to_le_bytes());
        if let Some(end) = &self.closed {
            bytes[72..80].copy_from_slice(&end.segment.to_le_bytes());
            bytes[80..88].copy_from_slice(&end.offset.to_le_bytes());
            bytes[88..96].copy_from_slice(&end.events.to_le_bytes());
            bytes[96..128].copy_from_slice(&end.root.0);
        }
        bytes[128..132].copy_from_slice(&(self.segments.len() as u32).to_le_bytes());
        bytes[132..136].copy_from_slice(&(self.ancestors.len() as u32).to_le_bytes());
        for entry in &self.segments {
            for number in [entry.number, entry.first_sequence, entry.events, entry.length] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        for ancestor in &self.ancestors {
            bytes.extend_from_slice(&ancestor.store.0);
            bytes.extend_from_slice(&ancestor.events.to_le_bytes());
            bytes.extend_from_slice(&ancestor.root.0);
        }
        self.retired.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
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
        let segments = (field!(body, 128, u32) as usize).saturating_mul(ENTRY_BYTES);
        let ancestors = (field!(body, 132, u32) as usize).saturating_mul(ANCESTOR_BYTES);
        let retired = field!(body, 48, u32) as usize * RETIRED_BYTES;
        let lists = &body[FIXED_BYTES..];
        if lists.len() != segments.saturating_add(ancestors).saturating_add(retired) {
            return damaged("its length does not match its number of segments");
        }
        let (segments, lists) = lists.split_at(segments);
        let (ancestors, retired) = lists.split_at(ancestors);
        let entry = |bytes: &[u8]| Entry {
            number: field!(bytes, 0, u64),
            first_sequence: field!(bytes, 8, u64),
            events: field!(bytes, 16, u64),
            length: field!(bytes, 24, u64),
        };
        let ancestor = |bytes: &[u8]| Ancestor {
            store: Id(array(bytes, 0)),
            events: field!(bytes, 16, u64),
            root: Hash(array(bytes, 24)),
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
            segments: segments.chunks_exact(ENTRY_BYTES).map(entry).collect(),
            ancestors: ancestors.chunks_exact(ANCESTOR_BYTES).map(ancestor).collect(),
            generation: field!(body, 64, u64),
            horizon: field!(body, 40, u64),
            retired: retired.chunks_exact(RETIRED_BYTES).map(|b| field!(b, 0, u64)).collect(),
        };
        if manifest.encode() != bytes {
            // A reserved field that this version does not write.
            return Err(ManifestError::Newer);
        }
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let mut next_sequence = 0u64;
        let listed = self.segments.iter().map(|entry| &entry.number);
        let mut numbers: Vec<_> = listed.chain(&self.retired).collect();
        numbers.sort_unstable();
        if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(ManifestError::Damaged("a segment is listed twice"));
        }
        if numbers.iter().any(|number| !(1..1 << 63).contains(*number)) {
            return Err(ManifestError::Damaged("a segment has an impossible number"));
        }
        for (index, entry) in self.segments.iter().enumerate() {
            let last = index + 1 == self.segments.len();
            if entry.first_sequence != next_sequence {
                return Err(ManifestError::Damaged("its segments do not continue each other"));
            }
            if last != (entry.length == 0) || last != (entry.events == 0) {
                return Err(ManifestError::Damaged("a segment other than the last is unsealed"));
            }
            next_sequence = match next_sequence.checked_add(entry.events) {
                Some(sequence) if sequence < 1 << 63 => sequence,
                _ => return Err(ManifestError::Damaged("its sequences overflow")),
            };
        }
        if self.horizon > 0 && self.generation == 0 {
            return Err(ManifestError::Damaged("it has a horizon without a compaction"));
        }
        if self.ancestors.len() > MAX_ANCESTORS {
            return Err(ManifestError::Damaged("it has more ancestors than any store"));
        }
        let mut common = self.closed.map_or(0, |closed| closed.events);
        for (index, ancestor) in self.ancestors.iter().enumerate() {
            let twice = self.ancestors[..index].iter().any(|nearer| nearer.store == ancestor.store);
            if twice || ancestor.store == self.store || ancestor.events > common {
                return Err(ManifestError::Damaged("its ancestors contradict each other"));
            }
            common = ancestor.events;
        }
        Ok(())
    }

    /// Whether a segment may have been written by this store: an ancestor may have written a sealed
    /// one if it has all of its events.
    pub(crate) fn accepts(&self, store: Id, segment: &Entry) -> bool {
        let has_it = |ancestor: &Ancestor| segment.end_sequence() <= ancestor.events;
        let of_ancestor = |ancestor: &Ancestor| ancestor.store == store && has_it(ancestor);
        store == self.store || segment.length > 0 && self.ancestors.iter().any(of_ancestor)
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
            ancestors: vec![
                Ancestor { store: Id([3; 16]), events: 11, root: Hash([8; 32]) },
                Ancestor { store: Id([4; 16]), events: 10, root: Hash([9; 32]) },
            ],
            generation: 2,
            horizon: 10,
            retired: vec![2, 4],
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
    fn a_segment_is_of_the_store_or_of_an_ancestor_that_has_it() {
        let manifest = manifest();
        let sealed = |events| Entry { number: 1, first_sequence: 0, events, length: 8192 };
        let accepts = |store, events| manifest.accepts(Id([store; 16]), &sealed(events));
        assert!(accepts(1, 10) && accepts(1, 99));
        assert!(accepts(3, 11) && !accepts(3, 12));
        assert!(accepts(4, 10) && !accepts(4, 11));
        assert!(!accepts(5, 1));
        // The newest one is always its own.
        let newest = manifest.segments[1];
        assert!(manifest.accepts(Id([1; 16]), &newest) && !manifest.accepts(Id([3; 16]), &newest));
    }

    #[test]
    fn contradictions_are_refused() {
        let mut gap = manifest();
        gap.segments[1].first_sequence = 11;
        let mut swapped = manifest();
        swapped.segments[1].number = 1;
        let mut unsealed = manifest();
        unsealed.segments[0].length = 0;
        let mut own = manifest();
        own.ancestors[1].store = own.store;
        let mut twice = manifest();
        twice.ancestors[1].store = twice.ancestors[0].store;
        let mut growing = manifest();
        growing.ancestors[1].events = 12;
        let mut beyond = manifest();
        beyond.generation = 0;
        let mut retired = manifest();
        retired.retired[1] = 3;
        for bad in [gap, swapped, unsealed, own, twice, growing, beyond, retired] {
            assert!(matches!(Manifest::decode(&bad.encode()), Err(ManifestError::Damaged(_))));
        }
    }
}
