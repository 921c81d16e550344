//! Repair: a copy of a damaged store that can be opened, and an account of what it lacks.
//!
//! The copy begins with the events before the first damage as they are, like a fork there. What can
//! be read behind it is appended anew, each event under its sequence.

use super::copy::Copying;
use super::import::{self, Dropped, ImportOptions, Mending};
use super::judge::Judged;
use super::old::Payloads;
use super::salvage::{self, LeftOut, Salvaged};
use super::verify::VerifyReport;
use super::{Inner, Store, follow, open};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::Manifest;
use crate::format::segment::Header;
use crate::format::tree::Tree;
use crate::ids::{Id, IdSource};
use crate::index::tail::Tail;
use crate::options::{OpenMode, OpenOptions};
use crate::storage::Vfs;
use crate::storage::files::Files;
use crate::storage::real::RealVfs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// How a store is repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairOptions {
    /// Carry over, marked, also events that something speaks against: their hash is not that of their
    /// fields, or what was recorded later names another event in their place.
    pub keep_altered: bool,
    /// The places of so many lost events are held, at the most. Behind more of them, the repair fails.
    pub max_lost: u64,
    /// The size of segments for what is appended anew, in bytes.
    pub segment_bytes: u64,
    /// For tests and reproductions: the same damage gives the same copy.
    pub seed: Option<u64>,
}

impl Default for RepairOptions {
    fn default() -> Self {
        let segment_bytes = OpenOptions::default().segment_bytes;
        Self { keep_altered: false, max_lost: 1 << 24, segment_bytes, seed: None }
    }
}

/// Events that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostEvents {
    /// The sequence of the first.
    pub first_sequence: u64,
    /// How many.
    pub events: u64,
}

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairReport {
    /// The damaged store's id; all zeros if nothing tells it.
    pub source: Id,
    /// The copy's own id.
    pub store_id: Id,
    /// So many events, from the first on, were kept as they were.
    pub kept: u64,
    /// So many behind those were appended anew: under their sequences, with other hashes.
    pub appended: u64,
    /// So many among those had been dropped by a retention. Their places are held.
    pub dropped: u64,
    /// So many were lost, and have their places held.
    pub lost: u64,
    /// Which.
    pub lost_events: Vec<LostEvents>,
    /// Every run of bytes in a segment that is no event of the copy, and no header, footer or reserved
    /// space; by segment and offset.
    pub left_out: Vec<LeftOut>,
    /// What was found damaged, a sentence each.
    pub damage: Vec<String>,
    /// What verifying the copy found.
    pub verify: VerifyReport,
}

impl Store {
    /// Writes a copy of a damaged store to a new directory, which must not exist, or be empty: with all
    /// events that can be read and that nothing speaks against, each under its sequence. The damaged
    /// store is not changed; no writer may have it open. Nothing of a copy that failed is left under its
    /// name; one that has its name is whole, and survives a power cut.
    ///
    /// The events before the first damage are the same, hashes included: the copy is a fork of the
    /// damaged store, with its own id. Those behind it have new hashes, links and clocks, and say where
    /// they come from in their extension `batpak.import`. An empty event of kind
    /// [`TOMBSTONE`](crate::EventKind::TOMBSTONE) holds the place of each that was lost.
    pub fn repair(
        damaged: impl AsRef<Path>,
        destination: impl AsRef<Path>,
        options: &RepairOptions,
    ) -> Result<RepairReport> {
        Self::repair_on(Arc::new(RealVfs), damaged.as_ref(), destination.as_ref(), options)
    }

    /// Repairs a store on another file system. For tests of this library.
    #[doc(hidden)]
    pub fn repair_on(
        vfs: Arc<dyn Vfs>,
        damaged: &Path,
        destination: &Path,
        options: &RepairOptions,
    ) -> Result<RepairReport> {
        let (segment_bytes, seed) = (options.segment_bytes, options.seed);
        let mode = OpenMode::Existing;
        let open = OpenOptions { mode, segment_bytes, seed, cache_bytes: 0, ..Default::default() };
        open.check()?;
        let files = open::locate(vfs, damaged, &open)?;
        if open::old_names(&files)?.is_some() {
            let why = "it is a store of the batpak crate 0.x; import it into a new store";
            return Err(Error::new(ErrorKind::Unsupported, why).at_path(&files.dir));
        }
        // Beside a writer, a salvage takes what is being written for damage.
        let lock = open::lock(&files)?;
        let repaired = repair(&files, destination, options, &open);
        // By hand: a forked child may share the open file.
        let _ = lock.unlock();
        repaired
    }
}

fn repair(
    files: &Arc<Files>,
    destination: &Path,
    options: &RepairOptions,
    open: &OpenOptions,
) -> Result<RepairReport> {
    let salvage = OpenOptions { mode: OpenMode::Salvage, ..open.clone() };
    let found = salvage::read(files.clone(), &salvage, options.keep_altered)?;
    if found.is_newer {
        let why = "events were written by a newer version of batpak; upgrade to repair the store";
        return Err(Error::new(ErrorKind::Unsupported, why).at_path(&files.dir));
    }
    let Salvaged { inner, sealed_events, sealed_number, known_events, visible_events, .. } = found;
    let (mut left_out, roots) = (found.left_out, found.roots);
    let source = Store(Arc::new(inner));
    let parts = source.0.live.read().parts.clone();
    let tails: Vec<&Tail> = parts.iter().filter_map(|part| part.indexed()).collect();
    let is_sealed = |last: &&Tail| {
        last.next_sequence() <= sealed_events || sealed_number.is_some_and(|n| last.number <= n)
    };
    let confirmed = if tails.last().is_some_and(is_sealed) { u64::MAX } else { known_events };
    let mut judged = Judged::of(&source.0, &tails, &roots, confirmed)?;
    // Where readers find the end of the log, what is behind it was never there, unless it was shown.
    if let Ok(reader) = follow::open(files.clone(), open) {
        let end = reader.live.read().visible();
        if end >= visible_events {
            judged.end = judged.end.min(end);
        }
    }
    let kept = judged.kept.min(judged.end);
    let until = judged.end.max(known_events);

    // 1. What is sound, as it is.
    let mut ids = match options.seed {
        Some(seed) => IdSource::seeded(seed),
        None => IdSource::random()?,
    };
    let (parent, store_id) = (source.0.store, ids.fork_id(source.0.store, kept));
    let known_lineage = Some(source.0.lineage).filter(|lineage| !lineage.is_none());
    let lineage = known_lineage.unwrap_or_else(|| ids.store_id(b"lineage"));
    let mut manifest = Manifest::new(store_id, lineage, source.0.now_ns() / 1000);
    if kept > 0 {
        let live = source.0.live.read();
        (manifest.generation, manifest.horizon) = (live.generation, live.horizon.min(kept));
    }
    let mut copy = Copying::begin(&source.0, destination, manifest, true)?;
    let newest = copy_kept(&mut copy, &source.0, &tails, kept)?;
    if let Some(newest) = &newest {
        copy.manifest.ancestors = source.0.ancestors_of_fork(kept, newest.tree.root());
    }
    copy.complete(newest)?;

    // 2. What can be read behind it.
    let mut dropped = Vec::new();
    if until > kept {
        let doubts = &judged.doubts;
        let wanted = kept..judged.end;
        let events = |runs: &[Range<u64>]| runs.iter().map(|run| run.end - run.start).sum::<u64>();
        let found: Vec<_> = tails.iter().map(|tail| within(tail, &wanted)).collect();
        let count = events(&found) - events(&dropped_in(&tails, &wanted));
        let max_lost = options.max_lost;
        let mending = Mending { from: kept, count, until, max_lost, doubts };
        let import = ImportOptions { unvouched: options.keep_altered, ..Default::default() };
        let mended = open::open_for_appending(copy.files().clone(), open, None).and_then(|to| {
            let dropped = import::mend(&to, &source, &import, mending)?;
            to.close().map(|()| dropped)
        });
        dropped = mended.map_err(|error| match error.kind() {
            ErrorKind::Indeterminate | ErrorKind::Poisoned => {
                error.into_kind(ErrorKind::Io, "the copy could not be written")
            }
            _ => error,
        })?;
    }
    let (vfs, directory) = (copy.files().vfs.clone(), copy.files().dir.clone());
    let read = OpenOptions { mode: OpenMode::ReadOnly, ..open.clone() };
    let verify = open::open_for_reading(vfs, &directory, &read, Payloads::Kept)?.verify()?;
    copy.name()?;

    // 3. The account.
    let mut without: Vec<(Range<u64>, String)> = Vec::new();
    for Dropped { sequence, reason, .. } in dropped {
        match (sequence, without.last_mut()) {
            (Some(sequence), Some((run, why))) if run.end == sequence && *why == reason => {
                run.end += 1;
            }
            (Some(sequence), _) => without.push((sequence..sequence + 1, reason)),
            (None, _) => {}
        }
    }
    let lost_events = lost_events(&tails, &without, kept..judged.end, until);
    let dropped_before = dropped_in(&tails, &(kept..judged.end));
    let runs = dropped_before.iter().cloned();
    without.extend(runs.map(|run| (run, "it had been dropped by a retention".to_owned())));
    let unconfirmed = "it was being written: nothing says that it ever was whole";
    without.push((judged.end..u64::MAX, unconfirmed.to_owned()));
    for (run, why) in &without {
        let places = tails.iter().filter_map(|tail| LeftOut::of(tail, run));
        left_out.extend(places.map(|place| LeftOut { why: why.clone(), ..place }));
    }
    left_out.sort_by_key(|left| (left.segment, left.offset));
    let lost = lost_events.iter().map(|run| run.events).sum();
    let dropped = dropped_before.iter().map(|run| run.end - run.start).sum();
    Ok(RepairReport {
        source: parent,
        store_id,
        kept,
        appended: until - kept - lost - dropped,
        dropped,
        lost,
        lost_events,
        left_out,
        damage: source.0.report.damage.clone(),
        verify,
    })
}

/// Those of the sequences that the tail has.
fn within(tail: &Tail, sequences: &Range<u64>) -> Range<u64> {
    let start = sequences.start.clamp(tail.first_sequence, tail.next_sequence());
    start..sequences.end.clamp(start, tail.next_sequence())
}

/// Runs of those events that were dropped.
fn dropped_in(tails: &[&Tail], sequences: &Range<u64>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for tail in tails {
        let is_dropped = |s: &u64| !tail.holds((s - tail.first_sequence) as u32);
        for sequence in within(tail, sequences).filter(is_dropped) {
            match runs.last_mut().filter(|run| run.end == sequence) {
                Some(run) => run.end += 1,
                None => runs.push(sequence..sequence + 1),
            }
        }
    }
    runs
}

/// Which sequences up to `until` no event has that is carried over: of the `wanted` ones, those that
/// tails have, but not those that are left out.
fn lost_events(
    tails: &[&Tail],
    without: &[(Range<u64>, String)],
    wanted: Range<u64>,
    until: u64,
) -> Vec<LostEvents> {
    let mut runs: Vec<Range<u64>> = without.iter().map(|(run, _)| run.clone()).collect();
    let mut next = wanted.start;
    for found in tails.iter().map(|tail| within(tail, &wanted)).filter(|found| !found.is_empty()) {
        runs.push(next..found.start);
        next = found.end;
    }
    runs.push(next..until);
    runs.retain(|run| run.start < run.end);
    runs.sort_by_key(|run| run.start);
    let mut lost: Vec<LostEvents> = Vec::new();
    for Range { start, end } in runs {
        match lost.last_mut() {
            Some(last) if last.first_sequence + last.events == start => last.events += end - start,
            _ => lost.push(LostEvents { first_sequence: start, events: end - start }),
        }
    }
    lost
}

/// Copies the first so many events. Gives the index of the newest segment, which is not sealed.
fn copy_kept(
    copy: &mut Copying<'_>,
    source: &Inner,
    tails: &[&Tail],
    kept: u64,
) -> Result<Option<Tail>> {
    let mut newest: Option<Tail> = None;
    for tail in tails {
        let Some(LeftOut { offset, bytes, first_sequence, .. }) = LeftOut::of(tail, &(0..kept))
        else {
            continue;
        };
        // Those of the damaged store may be in any order, and as high as can be.
        let mut number = 1;
        let mut before = Default::default();
        if let Some(newest) = &newest {
            copy.seal_newest(newest)?;
            number = newest.number + 1;
            before = (newest.tree.clone(), newest.last_hash);
        }
        let file = source.files.segment(tail.number)?;
        let header = header_of(copy, number, first_sequence, &before.0, source.now_ns());
        newest = Some(copy.add_newest(before, &header, Some((&*file, offset + bytes)))?);
    }
    // Only sealed segments may lack events that were dropped.
    if let Some(last) = newest.take_if(|newest| newest.holes() > 0) {
        copy.seal_newest(&last)?;
        let (next, number) = (last.next_sequence(), last.number + 1);
        let header = header_of(copy, number, next, &last.tree, source.now_ns());
        newest = Some(copy.add_newest((last.tree, last.last_hash), &header, None)?);
    }
    Ok(newest)
}

fn header_of(
    copy: &Copying<'_>,
    number: u64,
    first_sequence: u64,
    before: &Tree,
    created_ns: i64,
) -> Header {
    let Manifest { store, lineage, generation, .. } = copy.manifest;
    let root_before = before.root();
    Header { number, created_ns, store, lineage, first_sequence, root_before, generation }
}
