//! Compaction: new segments in the place of sealed ones, which are smaller or fewer.
//!
//! Survivors are copied to new files, which are sealed and synced under names of their own; then the
//! manifest is replaced, which is the commit point: before it, the new files are leftovers, and behind
//! it the old ones. The commit lock is held for that alone. A segment of which nothing goes, and which is
//! not small, stays as it is.

use super::commit::{Commit, Writer};
use super::retain::{Decisions, Fate, Retention, Unwanted};
use super::{Inner, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::format::frame::{self, Frame, GAP_BYTES, MAX_GAP_EVENTS};
use crate::format::manifest::{self, Entry};
use crate::format::segment::{self, HEADER_BYTES, Header};
use crate::format::tree::Tree;
use crate::ids::Hash;
use crate::index::Part;
use crate::index::sealed::Sealed;
use crate::index::tail::Tail;
use crate::process;
use crate::storage::files::failed_sync;
use crate::storage::recovery::Stored;
use crate::storage::{Access, VfsFile, write_all_at};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How much is written at once.
const WRITE_BYTES: usize = 256 << 10;
/// After so much a new segment is synced, so that a sync of an append need not wait for much of it.
const SYNC_BYTES: u64 = 4 << 20;
/// After so much that was read or written, the caller is told, and may cancel.
const STEP_BYTES: u64 = 1 << 20;
/// How long a compaction that is too fast waits before it looks whether it is to end.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// A segment is small, and worth joining with its neighbours, below this part of the size at which one
/// is sealed.
const SMALL_PART: u64 = 4;
/// The most events of a segment that a compaction writes: its index is made in memory.
const MAX_EVENTS: u64 = 1 << 24;

/// Is told how far a compaction is, and ends it by an error.
pub type Progress<'a> = &'a mut dyn FnMut(&CompactProgress) -> Result<()>;

/// What a compaction does.
#[derive(Default)]
pub struct CompactOptions<'a> {
    /// Which events go. Without it, small segments are joined, and nothing else.
    pub retention: Option<Retention<'a>>,
    /// How many bytes are read and written in a second at the most; 0 is as many as can be.
    pub bytes_per_second: u64,
    /// Told, about once per MiB, at each segment, and while it waits, how far the compaction is. An error ends it, and
    /// nothing is changed.
    pub progress: Option<Progress<'a>>,
}

impl std::fmt::Debug for CompactOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompactOptions")
            .field("retention", &self.retention)
            .field("bytes_per_second", &self.bytes_per_second)
            .finish_non_exhaustive()
    }
}

/// How far a compaction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactProgress {
    /// Sealed segments that were looked at, and written again if need be.
    pub segments_done: u64,
    /// Sealed segments there are.
    pub segments: u64,
    /// Bytes read so far; what is written again is read twice.
    pub bytes_read: u64,
    /// Bytes written so far.
    pub bytes_written: u64,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Segments of the store before, the newest one included.
    pub segments_before: u64,
    /// Segments of the store afterwards.
    pub segments_after: u64,
    /// Segments that others took the place of.
    pub segments_replaced: u64,
    /// Segments that took their place.
    pub segments_written: u64,
    /// Bytes of all segments before.
    pub bytes_before: u64,
    /// Bytes of all segments afterwards.
    pub bytes_after: u64,
    /// Events that were dropped.
    pub events_dropped: u64,
    /// Events that became tombstones, or whose payload was erased.
    pub tombstones: u64,
    /// Keys of dropped events in the window, from earlier compactions, too; all of these are kept. 0
    /// without a retention, since they are not counted then.
    pub keys_kept: u64,
    /// How many of those are more than there should be.
    pub keys_over: u64,
}

impl Store {
    /// Puts new segments in the place of sealed ones, while appends and reads go on: drops events
    /// that are no longer wanted, or makes tombstones of them, and joins small segments. With a
    /// retention, the newest segment is sealed first, so that it holds for every event that is visible.
    /// After an error, and after a crash, every event is as it was. Only if the last step fails, the
    /// replacement of the manifest, it is not known whether the compaction has happened: then appends are
    /// refused until the store is reopened, which decides.
    ///
    /// What stays keeps its sequence, clock, hash and receipt; roots that were noted down still hold.
    /// One who reads meanwhile may or may not see an event that goes. Files that somebody in this process
    /// still reads are removed when that ends; in another process, reads go on in the new ones.
    ///
    /// `Locked` while another compaction of the store is under way. One whose store is closed ends with
    /// `Closed`, and no other writer can open the store before it has.
    ///
    /// ```no_run
    /// # use batpak_core::{CompactOptions, Region, Retention, Store};
    /// # fn example(store: &Store) -> batpak_core::Result<()> {
    /// let retention = Retention {
    ///     region: Region::prefix("session"),
    ///     newest_per_entity: Some(100),
    ///     ..Retention::default()
    /// };
    /// let options = CompactOptions { retention: Some(retention), ..CompactOptions::default() };
    /// let report = store.compact(options)?;
    /// println!("{} events dropped", report.events_dropped);
    /// # Ok(())
    /// # }
    /// ```
    pub fn compact(&self, mut options: CompactOptions<'_>) -> Result<CompactReport> {
        self.0.check_usable()?;
        let writer = self.0.writer()?;
        if let Some(retention) = &options.retention {
            retention.check()?;
        }
        let one = writer.compacting.try_lock().ok_or_else(|| {
            let why = "another compaction of the store is under way";
            Error::new(ErrorKind::Locked, why).at_path(self.path())
        })?;
        let _turn = Turn { store: &self.0, writer, one: Some(one) };
        self.0.compact(writer, &mut options)
    }
}

impl Inner {
    fn compact(&self, writer: &Writer, options: &mut CompactOptions<'_>) -> Result<CompactReport> {
        let mut report = CompactReport::default();
        let (old, generation) = {
            let mut commit = self.usable_commit(writer)?;
            let has_events = self.live.read().tail.as_ref().is_some_and(|tail| tail.events() > 0);
            if options.retention.is_some() && has_events {
                self.rotate(writer, &mut commit)?;
            }
            let live = self.live.read();
            report.bytes_before = self.bytes_of(&live);
            report.segments_before = commit.manifest.segments.len() as u64;
            (live.parts.clone(), commit.manifest.generation + 1)
        };
        let mut work = Work {
            store: self,
            writer,
            generation,
            pace: Pace::new(options.bytes_per_second),
            told: CompactProgress { segments: old.len() as u64, ..CompactProgress::default() },
            next_told: 0,
            progress: options.progress.take(),
            made: Vec::new(),
            replaced: Vec::new(),
            is_committed: false,
            is_committing: false,
        };
        let drops = options.retention.as_ref().is_some_and(|r| r.unwanted == Unwanted::Drop);
        let mut decisions = match &mut options.retention {
            Some(retention) => Some(Decisions::new(self, &old, retention)?),
            None => None,
        };
        work.write_all(&old, decisions.as_mut())?;
        if let Some(decisions) = &decisions {
            report.keys_over = decisions.check_keys()?;
            (report.events_dropped, report.tombstones) = (decisions.dropped, decisions.tombstones);
            report.keys_kept = decisions.keys;
        }
        let horizon = if drops { old.last().map_or(0, |part| part.end_sequence()) } else { 0 };
        work.commit(horizon)?;
        report.segments_replaced = work.replaced.iter().map(|run| run.len() as u64).sum();
        report.segments_written = work.made.len() as u64;
        let live = self.live.read();
        report.bytes_after = self.bytes_of(&live);
        report.segments_after = live.parts.len() as u64 + u64::from(live.tail.is_some());
        Ok(report)
    }

    /// The commit lock of a store that can go on.
    fn usable_commit<'a>(&self, writer: &'a Writer) -> Result<parking_lot::MutexGuard<'a, Commit>> {
        let commit = writer.commit.lock();
        if self.closed.load(Ordering::Acquire) {
            return Err(self.closed_error());
        }
        writer.check_poison()?;
        Ok(commit)
    }
}

/// The turn of one compaction. A store that is closed meanwhile keeps its locks until it ends, so that no
/// other writer meets the files of a compaction.
struct Turn<'a> {
    store: &'a Inner,
    writer: &'a Writer,
    one: Option<parking_lot::MutexGuard<'a, ()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        drop(self.one.take());
        if process::generation() != self.store.process {
            return;
        }
        let mut commit = self.writer.commit.lock();
        if self.store.closed.load(Ordering::Acquire) {
            commit.unlock();
        }
    }
}

/// A compaction under way. What it has written is removed when it is dropped without a commit.
struct Work<'a, 'b> {
    store: &'a Inner,
    writer: &'a Writer,
    generation: u64,
    pace: Pace,
    told: CompactProgress,
    /// From how many bytes on the caller is told again.
    next_told: u64,
    progress: Option<Progress<'b>>,
    /// The new segments, and which old ones each takes the place of.
    made: Vec<Arc<Part>>,
    replaced: Vec<Vec<Arc<Part>>>,
    is_committed: bool,
    /// The manifest is being replaced: what it is, is not known.
    is_committing: bool,
}

/// What becomes of a segment.
struct Plan {
    /// Per frame or gap, in order; empty if all are taken over as they are.
    fates: Vec<Fate>,
    /// About how much is left.
    bytes: u64,
    changes: bool,
}

impl Work<'_, '_> {
    /// Looks at every segment, and writes those again that are worth it.
    fn write_all(
        &mut self,
        old: &[Arc<Part>],
        mut decisions: Option<&mut Decisions<'_, '_>>,
    ) -> Result<()> {
        let target = self.store.options.segment_bytes;
        let mut output: Option<Output> = None;
        // A small one, which is worth writing again if another one comes behind it.
        let mut waiting: Option<(Arc<Part>, Plan)> = None;
        for part in old {
            self.step(true)?;
            let plan = self.plan(part, decisions.as_deref_mut())?;
            let length = part.sealed().map_or(0, |sealed| sealed.entry.length);
            let is_small = length < target / SMALL_PART;
            if !plan.changes && !is_small {
                waiting = None;
                self.finish(output.take())?;
                continue;
            }
            let fits = |bytes: u64, events: u64| {
                bytes + plan.bytes <= target
                    && events + part.end_sequence() - part.first_sequence() <= MAX_EVENTS
            };
            if output.as_ref().is_some_and(|o| !fits(o.tail.end, o.tail.events())) {
                self.finish(output.take())?;
            }
            let before = waiting.take().filter(|(waiting, plan)| {
                fits(plan.bytes, waiting.end_sequence() - waiting.first_sequence())
            });
            if output.is_none() && (plan.changes || before.is_some()) {
                let first = before.as_ref().map_or(part, |(part, _)| part);
                output = Some(Output::begin(self, old, first)?);
            }
            match &mut output {
                None => waiting = Some((part.clone(), plan)),
                Some(output) => {
                    for (part, plan) in before.iter().chain([&(part.clone(), plan)]) {
                        output.add(self, part, plan)?;
                    }
                }
            }
        }
        self.step(true)?;
        self.finish(output)
    }

    /// Decides about a segment.
    fn plan(
        &mut self,
        part: &Arc<Part>,
        decisions: Option<&mut Decisions<'_, '_>>,
    ) -> Result<Plan> {
        let Some(sealed) = part.sealed() else {
            return Ok(Plan { fates: Vec::new(), bytes: u64::MAX / 2, changes: false });
        };
        let bytes = sealed.footer.summary.frames_end - HEADER_BYTES as u64;
        let mut plan = Plan { fates: Vec::new(), bytes, changes: false };
        let Some(decisions) = decisions else { return Ok(plan) };
        if decisions.skips(part)? {
            return Ok(plan);
        }
        plan.bytes = 0;
        let mut in_gap = false;
        sealed.for_each_stored(|stored, at| {
            self.told.bytes_read += stored.padded() as u64;
            let number = sealed.entry.number;
            let event = |frame: &Frame<'_>| {
                let bytes = frame.bytes().into();
                Event::new(bytes, 0, frame.layout(), number, at)
            };
            let before = (decisions.dropped, decisions.tombstones);
            let fate = decisions.fate(stored, event)?;
            // The caller's function may have closed the store, or come back in a forked child.
            self.store.check_usable()?;
            let left = match (fate, stored) {
                (Fate::Kept(set), Stored::Event(frame)) => frame.moved_bytes(set),
                _ => {
                    let head = if in_gap { 0 } else { GAP_BYTES };
                    head + stored.events() as usize * size_of::<Hash>()
                }
            };
            in_gap = fate == Fate::Gone;
            plan.changes |= before != (decisions.dropped, decisions.tombstones);
            plan.bytes += left as u64;
            plan.fates.push(fate);
            self.step(false)
        })?;
        // There are enough dropped events of which nothing but the hash is needed any more.
        plan.changes |= plan.bytes < bytes / 8 * 7;
        Ok(plan)
    }

    /// Tells the caller how far it is, waits if it is too fast, and stops if the store is closed.
    fn step(&mut self, begins_segment: bool) -> Result<()> {
        let bytes = self.told.bytes_read + self.told.bytes_written;
        if !begins_segment && bytes < self.next_told {
            return Ok(());
        }
        self.next_told = bytes + STEP_BYTES;
        loop {
            if let Some(progress) = &mut self.progress {
                progress(&self.told)?;
            }
            self.store.check_usable()?;
            let wait = self.pace.wait(bytes);
            if wait.is_zero() {
                break;
            }
            std::thread::sleep(wait.min(LONGEST_WAIT));
        }
        self.told.segments_done += u64::from(begins_segment);
        Ok(())
    }

    fn finish(&mut self, output: Option<Output>) -> Result<()> {
        match output {
            None => Ok(()),
            Some(output) => output.finish(self),
        }
    }

    /// Replaces the manifest, and shows the new segments to readers.
    fn commit(&mut self, horizon: u64) -> Result<()> {
        if self.made.is_empty() {
            return Ok(());
        }
        let store = self.store;
        // The new names, before the manifest that needs them.
        let files = &store.files;
        let synced = files.vfs.sync_dir(&files.dir);
        synced.map_err(|e| failed_sync(Error::io("cannot sync the directory", &files.dir, &e)))?;

        let mut commit = store.usable_commit(self.writer)?;
        let runs = self.replaced.iter().zip(&self.made);
        let runs: Vec<(&[Arc<Part>], &Arc<Part>)> = runs.map(|(old, new)| (&**old, new)).collect();
        let mut manifest = commit.manifest.clone();
        manifest.generation = self.generation;
        manifest.horizon = self
            .made
            .iter()
            .filter(|part| has_dropped(part))
            .fold(manifest.horizon.max(horizon), |horizon, part| horizon.max(part.end_sequence()));
        manifest.retired = files.retired();
        for (old, new) in &runs {
            manifest.retired.extend(old.iter().map(|part| part.number()));
            let at = manifest.segments.iter().position(|entry| entry.number == old[0].number());
            let entry = new.sealed().map(|sealed| sealed.entry);
            if let Some(at) = at {
                manifest.segments.splice(at..at + old.len(), entry);
            }
        }
        (self.is_committed, self.is_committing) = (true, true);
        files.replace(manifest::FILE_NAME, &manifest.encode()).inspect_err(|error| {
            // It may be there or not, unless there was no space for it.
            self.is_committing = false;
            self.is_committed = error.kind() != ErrorKind::DiskFull;
            if self.is_committed {
                self.writer.poison(error.clone());
            }
        })?;
        let mut live = store.live.write();
        let mut parts = Vec::clone(&live.parts);
        for (old, new) in &runs {
            if let Some(at) = parts.iter().position(|part| Arc::ptr_eq(part, &old[0])) {
                parts.splice(at..at + old.len(), [Arc::clone(new)]);
            }
        }
        live.parts = Arc::new(parts);
        (live.generation, live.horizon) = (manifest.generation, manifest.horizon);
        drop(live);
        commit.manifest = manifest;
        self.is_committing = false;
        // A head that could not be written is written by the next append.
        let open_ended = commit.open_ended == Some(true);
        if store.publish_head(&mut commit, open_ended).is_err() {
            commit.open_ended = None;
        }
        // With the commit lock held: the next manifest must name them, too.
        for sealed in self.replaced.iter().flatten().filter_map(|part| part.sealed()) {
            files.retire(sealed.entry.number);
            sealed.retire();
        }
        Ok(())
    }
}

fn has_dropped(part: &Part) -> bool {
    part.events() < part.end_sequence() - part.first_sequence()
}

impl Drop for Work<'_, '_> {
    fn drop(&mut self) {
        if self.is_committing {
            let why = "a panic came while the end of a compaction was written";
            self.writer.poison(Error::new(ErrorKind::Panic, why));
        }
        // In a forked child the files are the parent's.
        if self.is_committed || process::generation() != self.store.process {
            return;
        }
        self.made.iter().for_each(|part| self.store.files.discard(part.number()));
    }
}

/// A segment being written.
struct Output {
    header: Header,
    file: Arc<dyn VfsFile>,
    temporary: PathBuf,
    /// Its index; ends where the next frame will stand.
    tail: Tail,
    /// Frames that are not in the file yet, and where they will stand.
    buffer: Vec<u8>,
    written: u64,
    synced: u64,
    /// Dropped events that follow each other and are not in the buffer yet: the hash of each, and
    /// whether the last one's batch goes on.
    gap: (Vec<Hash>, bool),
    replaces: Vec<Arc<Part>>,
    /// What the segments that it replaces end with.
    ends_with: (Hash, Hash),
    files: Arc<crate::storage::files::Files>,
    is_named: bool,
    process: u64,
}

impl Output {
    /// Begins a segment that begins as `first` does, one of the `old` ones.
    fn begin(work: &Work<'_, '_>, old: &[Arc<Part>], first: &Arc<Part>) -> Result<Self> {
        let (store, first_sequence) = (work.store, first.first_sequence());
        let number = store.usable_commit(work.writer)?.take_number();
        let before = old.iter().rfind(|part| part.end_sequence() == first_sequence);
        let (tree, last_hash) = match before.and_then(|part| part.sealed()) {
            Some(sealed) => (sealed.tree()?, sealed.footer.summary.last_hash),
            None => (Tree::default(), Hash::ZERO),
        };
        let header = Header {
            number,
            created_ns: store.now_ns(),
            store: store.store,
            lineage: store.lineage,
            first_sequence,
            root_before: tree.root(),
            generation: work.generation,
        };
        let files = store.files.clone();
        let temporary = files.path(&format!("{}.tmp", segment::file_name(number)));
        let file = files
            .vfs
            .open(&temporary, Access::Create)
            .map_err(|e| Error::io("cannot begin a segment", &temporary, &e))?;
        let tail = Tail::new(store.lineage, number, first_sequence, tree, last_hash);
        Ok(Self {
            file,
            temporary,
            tail,
            buffer: header.encode().to_vec(),
            written: 0,
            synced: 0,
            gap: (Vec::new(), false),
            replaces: Vec::new(),
            ends_with: (Hash::ZERO, Hash::ZERO),
            header,
            files,
            is_named: false,
            process: store.process,
        })
    }

    /// Adds what is left of a segment, which follows the ones before it.
    fn add(&mut self, work: &mut Work<'_, '_>, part: &Arc<Part>, plan: &Plan) -> Result<()> {
        let Some(sealed) = part.sealed() else { return Ok(()) };
        let mut fates = plan.fates.iter();
        sealed.for_each_stored(|stored, _| {
            work.told.bytes_read += stored.padded() as u64;
            let fate = match stored {
                Stored::Event(_) => fates.next().copied().unwrap_or(Fate::Kept(0)),
                Stored::Gap(_) => fates.next().copied().unwrap_or(Fate::Gone),
            };
            match (stored, fate) {
                (Stored::Event(frame), Fate::Kept(set)) => self.push(frame, set),
                _ => self.drop_events(stored),
            }
            if self.buffer.len() >= WRITE_BYTES {
                self.write(work)?;
            }
            work.step(false)
        })?;
        self.ends_with = (sealed.footer.summary.root, sealed.footer.summary.last_hash);
        self.replaces.push(part.clone());
        Ok(())
    }

    fn push(&mut self, frame: &Frame<'_>, set: u8) {
        self.end_gap();
        let at = self.buffer.len();
        frame.move_to(set, &mut self.buffer);
        if let Ok(moved) = Frame::of_own(&self.buffer[at..]) {
            self.tail.push(&moved, None);
        }
    }

    fn drop_events(&mut self, stored: &Stored<'_>) {
        stored.hashes(|hash| {
            if self.gap.0.len() == MAX_GAP_EVENTS {
                // Of what is cut here, nobody asks where a batch ends.
                self.end_gap();
            }
            self.gap.0.push(hash);
        });
        self.gap.1 = stored.batch_continues();
    }

    /// Puts the dropped events into the buffer.
    fn end_gap(&mut self) {
        if self.gap.0.is_empty() {
            return;
        }
        let at = self.buffer.len();
        let (hashes, batch_continues) = std::mem::take(&mut self.gap);
        frame::encode_gap(self.tail.next_sequence(), &hashes, batch_continues, &mut self.buffer);
        if let Some(Ok(gap)) = frame::Gap::parse(&self.buffer[at..]) {
            self.tail.push_gap(&gap, |_| {});
        }
    }

    fn write(&mut self, work: &mut Work<'_, '_>) -> Result<()> {
        let failed = |e: &std::io::Error| Error::io("cannot write a segment", &self.temporary, e);
        write_all_at(&*self.file, &self.buffer, self.written).map_err(|e| failed(&e))?;
        self.written += self.buffer.len() as u64;
        work.told.bytes_written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= SYNC_BYTES {
            self.file.sync().map_err(|e| failed_sync(failed(&e)))?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Seals it, and gives it its name.
    fn finish(mut self, work: &mut Work<'_, '_>) -> Result<()> {
        self.end_gap();
        let number = self.header.number;
        if (self.tail.tree.root(), self.tail.last_hash) != self.ends_with {
            let path = self.files.segment_path(self.replaces.last().map_or(0, |p| p.number()));
            let why = "the events of a segment do not have the root that its footer says";
            return Err(Error::corrupt(why).at_path(&path));
        }
        self.buffer.extend_from_slice(&self.tail.footer());
        self.write(work)?;
        let failed = |e: &std::io::Error| Error::io("cannot finish a segment", &self.temporary, e);
        self.file.sync().map_err(|e| failed_sync(failed(&e)))?;
        let path = self.files.segment_path(number);
        self.files.vfs.rename(&self.temporary, &path).map_err(|e| failed(&e))?;
        self.is_named = true;
        let entry = Entry {
            number,
            first_sequence: self.header.first_sequence,
            events: self.tail.events(),
            length: self.written,
        };
        let sealed =
            Sealed::open(&self.files, entry, None).inspect_err(|_| self.files.discard(number))?;
        work.made.push(Arc::new(Part::Sealed(sealed)));
        work.replaced.push(std::mem::take(&mut self.replaces));
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.is_named && process::generation() == self.process {
            let _ = self.files.vfs.remove(&self.temporary);
        }
    }
}

/// Keeps to a number of bytes per second.
struct Pace {
    bytes_per_second: u64,
    begun: Instant,
}

impl Pace {
    fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, begun: Instant::now() }
    }

    /// How long to wait before more than so many bytes are read or written.
    fn wait(&self, bytes: u64) -> Duration {
        if self.bytes_per_second == 0 {
            return Duration::ZERO;
        }
        let due = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        due.saturating_sub(self.begun.elapsed())
    }
}
