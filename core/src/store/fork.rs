//! Forks: stores of their own that begin with the events of another one.

use super::copy::{CopyReport, Copying, Image, end_of};
use super::{Inner, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{Ancestor, MAX_ANCESTORS, Manifest};
use crate::format::segment::Header;
use crate::format::tree::Tree;
use crate::ids::{Hash, Id, IdSource};
use crate::region::Query;
use std::path::Path;

/// How a fork is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForkOptions {
    /// How many events, from the first on, the fork has in common with this store; without it, all
    /// that are visible. A batch cannot be cut.
    pub at: Option<u64>,
    /// Share no file with this store, so that damage to the files of one is none to the other.
    pub independent: bool,
}

/// What a store was forked from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The store.
    pub store_id: Id,
    /// So many events, from the first on, are common.
    pub events: u64,
    /// The root of the tree over those.
    pub root: Hash,
}

impl Inner {
    /// The ancestors of a store that has the first so many events in common with this one.
    pub(super) fn ancestors_of_fork(&self, events: u64, root: Hash) -> Vec<Ancestor> {
        let parent = Ancestor { store: self.store, events, root };
        // With those from which the log had parted before, as much is common as it was.
        let further = self.ancestors.iter().map(|ancestor| match ancestor.events > events {
            true => Ancestor { store: ancestor.store, ..parent },
            false => *ancestor,
        });
        [parent].into_iter().chain(further).take(MAX_ANCESTORS).collect()
    }
}

impl Store {
    /// Makes a fork in a new directory, while appends go on: a store of its own, with its own id, that
    /// begins with events of this one and can be appended to. The directory must not exist, or be
    /// empty. Nothing of a fork that failed is left under its name; one that has its name is whole, and
    /// survives a power cut.
    ///
    /// Sealed segments are shared with this store by hard links where the file system can do that,
    /// and copied otherwise. Events keep their ids, hashes and places, receipts and proofs stay valid.
    pub fn fork_to(
        &self,
        destination: impl AsRef<Path>,
        options: &ForkOptions,
    ) -> Result<CopyReport> {
        self.0.across_compactions(|| self.fork_now(destination.as_ref(), options))
    }

    fn fork_now(&self, destination: &Path, options: &ForkOptions) -> Result<CopyReport> {
        let image = self.image()?;
        let at = options.at.unwrap_or(image.events);
        self.check_point(at, &image)?;
        if self.0.ancestors.len() >= MAX_ANCESTORS {
            let why = format!("the store has {MAX_ANCESTORS} ancestors; it cannot be forked");
            return Err(Error::new(ErrorKind::TooLarge, why).at_path(self.path()));
        }

        let mut ids = match self.0.options.seed {
            Some(seed) => IdSource::seeded(seed),
            None => IdSource::random()?,
        };
        let (store, lineage) = (ids.fork_id(self.0.store, at), self.0.lineage);
        let created_ns = self.0.now_ns();
        let mut manifest = Manifest::new(store, lineage, created_ns / 1000);
        if at > 0 {
            (manifest.generation, manifest.horizon) = (image.generation, image.horizon);
        }
        let independent = options.independent;
        let mut copy = Copying::begin(&self.0, destination, manifest, independent)?;

        let all: Vec<_> = image.sealed.iter().filter_map(|part| part.sealed()).collect();
        let (shared, behind) = all.split_at(all.partition_point(|s| s.end_sequence() <= at));
        for sealed in shared {
            copy.add_sealed(sealed)?;
        }
        // What the next segment has up to the fork. If it has nothing, an empty one takes its place.
        let next = match (behind.first().map(|sealed| sealed.entry), &image.newest) {
            (Some(entry), _) => {
                Some((entry.number, entry.first_sequence, self.0.files.segment(entry.number)?))
            }
            (None, Some(newest)) => {
                Some((newest.number, newest.first_sequence, newest.file.clone()))
            }
            (None, None) => None,
        };
        let (number, first_sequence, source) = match next {
            Some((number, first_sequence, file)) if first_sequence < at => {
                (number, first_sequence, Some((file, self.frames_end(&image, at)?)))
            }
            _ => (0, at, None),
        };
        // Numbers of segments are not used again, and the newest one's rises.
        let highest = shared.iter().map(|sealed| sealed.entry.number).max().unwrap_or(0);
        let number = if number > highest { number } else { highest + 1 };
        let before = shared.last().copied();
        let empty = Tree::default().root();
        let root_before = before.map_or(empty, |sealed| sealed.footer.summary.root);
        let header = Header {
            number,
            created_ns,
            store,
            lineage,
            first_sequence,
            root_before,
            generation: 0,
        };
        let source = source.as_ref().map(|(file, end)| (&**file, *end));
        let newest =
            if at == 0 { None } else { Some(copy.add_newest(end_of(before)?, &header, source)?) };

        if newest.as_ref().is_some_and(|tail| tail.holes() > 0) {
            let why = "a retention has dropped events of the segment that would be cut";
            return Err(Error::invalid(why).at_path(self.path()));
        }
        let root = newest.as_ref().map_or(empty, |tail| tail.tree.root());
        let events = newest.as_ref().map_or(0, |tail| tail.next_sequence());
        if events != at || at == image.events && root != image.root {
            let why = "the events up to the fork are not those that were appended";
            return Err(Error::corrupt(why).at_path(self.path()));
        }
        copy.manifest.ancestors = self.0.ancestors_of_fork(at, root);
        copy.finish(newest)
    }

    /// The store that this one was forked from; `None` if it is no fork.
    pub fn parent(&self) -> Option<Parent> {
        let parent = self.0.ancestors.first()?;
        Some(Parent { store_id: parent.store, events: parent.events, root: parent.root })
    }

    /// Where the frames of the first so many events end, in the last segment that has some of them.
    fn frames_end(&self, image: &Image, events: u64) -> Result<u64> {
        match &image.newest {
            Some(newest) if events == image.events => Ok(newest.end),
            _ => Ok(self.0.event_at(events)?.ok_or_else(super::stats::lost_head)?.offset()),
        }
    }

    /// Refuses a number of events that the log does not have, or whose last one is followed by others
    /// of its batch; then names the nearest numbers that do not cut it.
    fn check_point(&self, at: u64, image: &Image) -> Result<()> {
        if at > 0 && at < image.horizon {
            let why = format!(
                "a retention has dropped events before {}; fork there or behind it",
                image.horizon
            );
            return Err(Error::invalid(why).at_path(self.path()));
        }
        if at > image.events {
            let why = format!("the log has {} events; it cannot be forked at {at}", image.events);
            return Err(Error::invalid(why).at_path(self.path()));
        }
        let Some(last) = at.checked_sub(1) else { return Ok(()) };
        let is_cut = self.0.event_at(last)?.is_some_and(|event| event.batch_continues());
        if !is_cut {
            return Ok(());
        }
        let (mut before, mut behind) = (last, at);
        for event in self.scan(Query::default().from(last).backward()) {
            let event = event?;
            if event.sequence() < last && !event.batch_continues() {
                break;
            }
            before = event.sequence();
        }
        for event in self.scan(Query::default().from(at)) {
            let event = event?;
            behind = event.sequence() + 1;
            if !event.batch_continues() {
                break;
            }
        }
        let why =
            format!("event {at} is in the middle of a batch; fork at {before} or at {behind}");
        Err(Error::invalid(why).at_path(self.path()))
    }
}
