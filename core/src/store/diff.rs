//! Comparing two stores: up to where they have the same events.

use super::{Inner, Store, open};
use crate::error::{Error, Result};
use crate::ids::Hash;
use crate::options::{OpenMode, OpenOptions};
use crate::store::old::Payloads;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

/// How two logs compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// So many events, from the first on, are the same in both.
    pub common: u64,
    /// The number of events of this store.
    pub ours: u64,
    /// The number of events of the other store.
    pub theirs: u64,
}

impl Diff {
    /// The sequences that only this store has, or has with other events.
    pub fn only_ours(&self) -> Range<u64> {
        self.common..self.ours
    }

    /// The sequences that only the other store has, or has with other events.
    pub fn only_theirs(&self) -> Range<u64> {
        self.common..self.theirs
    }
}

impl Store {
    /// Compares this store with another one: a fork of it, its parent, or a snapshot. Stores that are
    /// no relatives have nothing in common, whatever is in them, since no event hash is the same.
    ///
    /// What is compared are the hashes and roots that are recorded; that they are those of the events
    /// is shown by [`verify`](Store::verify).
    pub fn diff(&self, other: impl AsRef<Path>) -> Result<Diff> {
        self.compare(&self.0.open_other(other.as_ref())?)
    }

    pub(super) fn compare(&self, other: &Store) -> Result<Diff> {
        other.0.require_whole()?;
        let (ours, theirs) = (self.head()?.events, other.head()?.events);
        let most = if self.0.lineage == other.0.lineage { ours.min(theirs) } else { 0 };
        let same =
            |events| Ok::<_, Error>(self.head_at(events)?.root == other.head_at(events)?.root);

        // Where a segment ends in one of them, at least one root is at hand.
        let ends: BTreeSet<u64> = [self, other]
            .iter()
            .flat_map(|store| Vec::clone(&store.0.live.read().parts))
            .map(|part| part.end_sequence())
            .filter(|end| *end < most)
            .chain([most])
            .collect();
        let ends: Vec<_> = ends.into_iter().collect();
        let (mut low, mut high) = (0, ends.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if same(ends[middle])? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let from = low.checked_sub(1).map_or(0, |at| ends[at]);
        let common = match ends.get(low) {
            None => most,
            Some(to) => self.first_difference(other, from..*to)?,
        };
        Ok(Diff { common, ours, theirs })
    }

    /// The first of these sequences at which the events differ.
    fn first_difference(&self, other: &Store, sequences: Range<u64>) -> Result<u64> {
        let hashes = |store: &Store| -> Result<Vec<(u64, Hash)>> {
            store.0.across_compactions(|| {
                let mut hashes = Vec::new();
                store.hashes(sequences.start, sequences.end, |sequence, hash| {
                    hashes.push((sequence, hash));
                })?;
                Ok(hashes)
            })
        };
        for (ours, theirs) in hashes(self)?.iter().zip(&hashes(other)?) {
            if ours != theirs {
                return Ok(ours.0.min(theirs.0));
            }
        }
        let why = "the logs have different roots, but no event differs; verify both";
        Err(Error::corrupt(why).at_path(other.path()))
    }
}

impl Inner {
    /// Opens another store of this file system for reading, to compare it with this one.
    pub(super) fn open_other(&self, path: &Path) -> Result<Store> {
        self.check_usable()?;
        self.require_whole()?;
        let mode = OpenMode::ReadOnly;
        let options = OpenOptions { mode, cache_bytes: 0, ..OpenOptions::default() };
        open::open_for_reading(self.files.vfs.clone(), path, &options, Payloads::Kept)
    }
}
