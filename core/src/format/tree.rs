//! The Merkle tree over event hashes: RFC 6962 with SHA-256. See `docs/format.md`, section 5.

use super::{array, field};
use crate::ids::Hash;
use sha2::{Digest, Sha256};

/// Nodes of this level, 256 leaves each, are kept in footers so that proofs need few frames.
pub(crate) const KEPT_LEVEL: u32 = 8;
const PEAK_BYTES: usize = 40;

fn leaf(event_hash: &Hash) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(event_hash.0).finalize().into())
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let hasher = Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0);
    Hash(hasher.finalize().into())
}

/// A tree that grows at its end. It keeps only the roots of its complete subtrees, one per bit
/// set in its size: at most 64 hashes for any log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    /// Level (leaves = 2^level) and root, by falling level.
    peaks: Vec<(u32, Hash)>,
    size: u64,
}

impl Tree {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds an event. Returns the node of [`KEPT_LEVEL`] that it completes, if any.
    pub(crate) fn push(&mut self, event_hash: &Hash) -> Option<Hash> {
        let mut kept = None;
        let mut level = 0;
        let mut hash = leaf(event_hash);
        while let Some((_, left)) = self.peaks.pop_if(|(peak, _)| *peak == level) {
            hash = node(&left, &hash);
            level += 1;
            if level == KEPT_LEVEL {
                kept = Some(hash);
            }
        }
        self.peaks.push((level, hash));
        self.size += 1;
        kept
    }

    pub(crate) fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => Hash(Sha256::digest([]).into()),
            Some((_, last)) => peaks.fold(*last, |right, (_, left)| node(left, &right)),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (level, hash) in &self.peaks {
            out.extend_from_slice(&level.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&hash.0);
        }
    }

    /// The tree with these peaks, if their levels fall.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(PEAK_BYTES) {
            return None;
        }
        let mut tree = Self::default();
        for peak in bytes.chunks_exact(PEAK_BYTES) {
            let level = field!(peak, 0, u32);
            if level >= 63 || tree.peaks.last().is_some_and(|(above, _)| level >= *above) {
                return None;
            }
            tree.peaks.push((level, Hash(array(peak, 8))));
            tree.size += 1 << level;
        }
        Some(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition in RFC 6962, section 2.1, word for word.
    fn reference(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => Hash(Sha256::digest([]).into()),
            1 => leaf(&leaves[0]),
            n => {
                let split = (n - 1).ilog2();
                let (left, right) = leaves.split_at(1 << split);
                node(&reference(left), &reference(right))
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_definition_at_every_size() {
        let leaves: Vec<_> =
            (0..600u32).map(|i| super::super::hash::payload_hash(&i.to_le_bytes())).collect();
        let mut tree = Tree::default();
        let mut kept = Vec::new();
        for size in 0..leaves.len() {
            assert_eq!(tree.root(), reference(&leaves[..size]), "size {size}");
            let mut bytes = Vec::new();
            tree.encode(&mut bytes);
            assert_eq!(Tree::decode(&bytes).as_ref(), Some(&tree));
            kept.extend(tree.push(&leaves[size]));
        }
        assert_eq!(kept, [reference(&leaves[..256]), reference(&leaves[256..512])]);
    }
}
