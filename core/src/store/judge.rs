//! Judging what a salvage found: what of it can be kept as it is, and what speaks against the rest.

use super::Inner;
use super::old::Doubt;
use crate::error::{Error, Result};
use crate::format::frame::Frame;
use crate::format::segment::HEADER_BYTES;
use crate::format::tree::Tree;
use crate::ids::{Hash, Id};
use crate::index::tail::Tail;
use crate::storage::recovery::{Frames, Stored};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What the events are worth that a salvage found.
pub(super) struct Judged<'a> {
    lineage: Id,
    roots: &'a BTreeMap<u64, Vec<Hash>>,
    /// What speaks against an event.
    pub(super) doubts: BTreeMap<u64, Doubt>,
    /// So many events, from the first on, can be kept as they are.
    pub(super) kept: u64,
    /// The sequence behind the last event that counts.
    pub(super) end: u64,
    /// Where every stream ends so far: clock, hash and sequence.
    streams: HashMap<(Arc<str>, u32), (u32, Hash, u64)>,
    /// Every event so far was read; some were dropped.
    whole: bool,
    has_gaps: bool,
    /// The tree as far as a recorded root proves it, and what later events, or themselves, say that
    /// the hashes of the events behind that are.
    proven: Tree,
    hashes: Vec<Hash>,
}

impl<'a> Judged<'a> {
    /// `roots` are recorded, by the number of events. Batches that begin below `confirmed` were whole.
    pub(super) fn of(
        source: &Inner,
        tails: &[&Tail],
        roots: &'a BTreeMap<u64, Vec<Hash>>,
        confirmed: u64,
    ) -> Result<Self> {
        let mut judged = Self {
            lineage: source.lineage,
            roots,
            doubts: BTreeMap::new(),
            kept: 0,
            end: 0,
            streams: HashMap::new(),
            whole: true,
            has_gaps: false,
            proven: Tree::default(),
            hashes: Vec::new(),
        };
        let (mut next, mut in_place) = (0, true);
        // Where a batch begins of which nothing says yet that it was whole: segment, offset, sequence,
        // and the sequence behind the event before it.
        let mut open: Option<(u64, u64, u64, u64)> = None;
        for tail in tails {
            judged.whole &= tail.first_sequence == next;
            let start = tail.start();
            in_place &= judged.whole && start == HEADER_BYTES as u64;
            let path = source.files.segment_path(tail.number);
            let file = source.files.segment(tail.number)?;
            let mut frames = Frames::new(&*file, &path, tail.number, start, tail.end);
            while frames.at < tail.end {
                let at = frames.at;
                let Some(Ok(stored)) = frames.next()? else {
                    let why = "the segment has changed while it was repaired";
                    return Err(Error::corrupt(why).at_path(&path).at(tail.number, at));
                };
                let synced_to = match &stored {
                    Stored::Event(frame) => {
                        judged.take(frame);
                        frame.synced_to()
                    }
                    Stored::Gap(_) => HEADER_BYTES as u64,
                };
                stored.hashes(|hash| judged.push(hash));
                let sequence = stored.first_sequence();
                judged.has_gaps |= matches!(stored, Stored::Gap(_));
                let before = std::mem::replace(&mut next, sequence + stored.events());
                open = open.filter(|(segment, offset, first, _)| {
                    *segment == tail.number && synced_to <= *offset && confirmed <= *first
                });
                if stored.batch_continues() {
                    open.get_or_insert((tail.number, at, sequence, before));
                } else {
                    open = None;
                    judged.kept = if in_place { next } else { judged.kept };
                }
                let bytes = stored.padded();
                frames.advance(bytes);
            }
        }
        judged.end = match open {
            Some((.., first, before)) if confirmed <= first => before,
            _ => next,
        };
        let first = judged.doubts.first_key_value().map(|(first, _)| *first);
        if let Some(first) = first.filter(|first| *first < judged.kept) {
            // No batch is cut, nor one that lies in a gap, whose end cannot be seen.
            judged.kept = first;
            while let Some(last) = judged.kept.checked_sub(1)
                && source.stored_at(last)?.is_none_or(|event| event.batch_continues())
            {
                judged.kept = last;
            }
        }
        Ok(judged)
    }

    fn doubt(&mut self, sequence: u64, why: u8) {
        self.doubts.entry(sequence).or_default().0 |= why;
    }

    fn take(&mut self, frame: &Frame<'_>) {
        let (sequence, clock) = (frame.sequence(), frame.clock());
        if self.lineage.is_none() || !frame.hash_is_right(self.lineage) {
            self.doubt(sequence, Doubt::PAYLOAD);
        }
        let stream = (Arc::from(frame.entity()), frame.lane());
        let before = self.streams.insert(stream, (clock, frame.hash(), sequence));
        let next_clock = before.map_or(0, |(clock, ..)| u64::from(clock) + 1);
        let before_hash = before.map_or(Hash::ZERO, |(_, hash, _)| hash);
        if u64::from(clock) == next_clock && frame.prev_hash() == before_hash {
            // It follows the one before it in its stream.
        } else if u64::from(clock) > next_clock && (!self.whole || self.has_gaps) {
            // The one before it is lost, or was dropped.
        } else if let Some((_, _, before)) = before
            && u64::from(clock) == next_clock
            && before >= self.proven.size()
        {
            // One of the two was altered. A root may tell.
            self.doubt(sequence, Doubt::LINK);
            self.doubt(before, Doubt::PLACE);
            let place = (before - self.proven.size()) as usize;
            self.hashes.get_mut(place).into_iter().for_each(|hash| *hash = frame.prev_hash());
        } else {
            self.doubt(sequence, Doubt::PLACE);
        }
    }

    /// Takes the hash of the next event.
    fn push(&mut self, hash: Hash) {
        if self.whole {
            self.hashes.push(hash);
            self.prove();
        }
    }

    /// Compares the tree with the root that is recorded for so many events, if there is one.
    fn prove(&mut self) {
        let run = self.proven.size()..self.proven.size() + self.hashes.len() as u64;
        let Some(recorded) = self.roots.get(&run.end) else { return };
        let mut tree = self.proven.clone();
        for hash in self.hashes.drain(..) {
            tree.push(&hash);
        }
        self.whole = recorded.contains(&tree.root());
        if self.whole {
            // So it was the one whose successor names another that was altered.
            self.proven = tree;
            self.doubts.range_mut(run).for_each(|(_, doubt)| doubt.0 &= !Doubt::LINK);
            self.doubts.retain(|_, doubt| doubt.0 != 0);
        } else {
            run.for_each(|sequence| self.doubt(sequence, Doubt::PLACE));
        }
    }
}
