//! Following a log: waiting for events, and reading beside a writer in another process.
//!
//! A read-only store takes no lock that a writer could meet. It learns from the lock on the head
//! whether a writer lives: if one does, the log ends where the head says, since what lies behind
//! may be half-written; if none does, it ends where recovery would end it.

use super::open;
pub(super) use super::open::Reader;
use super::read::Scan;
use super::{Inner, Newest, OpenReport, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::format::frame::{self, Frame};
use crate::format::head;
use crate::format::manifest::Manifest;
use crate::options::{MAX_BATCH_BYTES, OpenOptions};
use crate::region::{Direction, Query};
use crate::storage::files::Files;
use crate::storage::{Access, Watch, read_full_at, recovery};
use parking_lot::Mutex;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How often a manifest that changes under the reader's hands is read again.
pub(super) const TRIES: u32 = 20;
/// The pauses between two looks for new events where nothing can be watched: short at first.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);
/// The pause where the directory is watched: the end of a writer that was killed changes no file.
const WATCHED_PAUSE: Duration = Duration::from_millis(100);
/// How much is read at once behind an open-ended head.
const FIRST_READ_BYTES: usize = 4 << 10;
const LARGEST_READ_BYTES: usize = 4 << 20;

/// What a read-only store has more than a writer.
#[derive(Default)]
pub(super) struct Follower {
    /// One refresh at a time.
    refreshing: Mutex<()>,
    /// Made by the first wait; `None` where nothing can be watched.
    watch: OnceLock<Option<Box<dyn Watch>>>,
    /// Held by the one thread that watches for all who wait.
    watching: Mutex<()>,
}

impl Follower {
    /// Ends all waits.
    pub(super) fn wake(&self) {
        if let Some(Some(watch)) = self.watch.get() {
            watch.wake();
        }
    }
}

/// Opens a store for reading.
pub(super) fn open(files: Arc<Files>, options: &OpenOptions) -> Result<Inner> {
    let blank = OpenReport { format: 2, ..OpenReport::default() };
    let mut report = blank.clone();
    let (manifest, found) = consistently(&files, |manifest, reader| {
        report = blank.clone();
        let names = open::list(&files)?;
        // Leftovers are the writer's business; a reader passes over them.
        open::sort_files(&files, &names, manifest, &mut report)?;
        open::load(&files, manifest, &[], reader)
    })?;
    if let (Some(end), Some(tail)) = (&found.end, &found.tail)
        && let Some(reason) = &end.reason
    {
        report.cut_bytes = found.length - end.offset;
        report.cut_at = Some((tail.number, end.offset));
        report.cut_reason = reason.clone();
    }
    report.events = found.events;
    report.segments = manifest.segments.len() as u64;
    report.clean = found.clean;
    let mut inner = {
        let live = found.into_live(&files, options);
        Inner::new(files, options, &manifest, live, report)
    };
    inner.follower = Some(Follower::default());
    // What an open-ended head leaves unsaid.
    inner.catch_up()?;
    inner.report.events = inner.live.read().visible();
    Ok(inner)
}

/// Reads a store that a writer may be changing: when something does not fit and the manifest has
/// changed meanwhile, reads again.
fn consistently<T>(
    files: &Arc<Files>,
    mut read: impl FnMut(&Manifest, Reader) -> Result<T>,
) -> Result<(Manifest, T)> {
    let mut tries = 0;
    loop {
        let reader = reader_of(files)?;
        let Some(manifest) = open::read_manifest(files)? else {
            open::refuse_other_stores(files, &open::list(files)?)?;
            return Err(open::no_store(files));
        };
        let result = read(&manifest, reader);
        tries += 1;
        let now = reader_of(files)?;
        match result {
            // A writer that has come meanwhile may have been half-way through a write.
            Ok(_) if reader == Reader::Alone && now != Reader::Alone && tries < TRIES => {}
            Ok(read) => return Ok((manifest, read)),
            Err(error) => {
                let unchanged =
                    open::read_manifest(files)?.as_ref() == Some(&manifest) && now == reader;
                if unchanged || tries == TRIES {
                    return Err(error);
                }
            }
        }
    }
}

pub(super) fn reader_of(files: &Files) -> Result<Reader> {
    let file = match files.open(head::FILE_NAME, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Reader::Alone),
        Err(error) => return Err(error),
    };
    let path = files.path(head::FILE_NAME);
    if !file.is_locked().map_err(|e| Error::io("cannot look at the head's lock", &path, &e))? {
        return Ok(Reader::Alone);
    }
    // Without a head that can be read nothing is known to be visible behind the last close.
    Ok(Reader::Beside(open::read_head(files)?.unwrap_or_default()))
}

impl Store {
    /// For a store opened read-only: takes in what a writer in another process has made visible
    /// since. Gives the number of visible events, for any store.
    pub fn refresh(&self) -> Result<u64> {
        self.0.check_usable()?;
        if let Some(follower) = &self.0.follower {
            let _one = follower.refreshing.lock();
            self.0.catch_up()?;
        }
        Ok(self.0.live.read().visible())
    }

    /// Waits until at least `events` events are visible or the time is up; gives how many are
    /// visible. When the store is closed meanwhile: an error of kind `Closed`.
    ///
    /// A read-only store is woken by the system when a writer in another process has written; where
    /// the system cannot do that, it looks every few milliseconds.
    pub fn wait(&self, events: u64, timeout: Duration) -> Result<u64> {
        let deadline = Instant::now().checked_add(timeout);
        let remaining = || match deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        };
        let mut pause = FIRST_PAUSE;
        let mut armed = self.0.follower.as_ref().is_some_and(|f| f.watch.get().is_some());
        loop {
            let visible = self.refresh()?;
            if visible >= events || remaining().is_zero() {
                return Ok(visible);
            }
            let Some(follower) = &self.0.follower else {
                self.0.wait_for_growth(events, remaining(), || false);
                continue;
            };
            let vfs = &self.0.files.vfs;
            let watch = follower.watch.get_or_init(|| vfs.watch(&self.0.files.dir).ok());
            match (watch, follower.watching.try_lock()) {
                (None, _) => {
                    std::thread::sleep(pause.min(remaining()));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                (Some(_), None) => {
                    // Somebody watches, and says so when it ends.
                    let free = || !follower.watching.is_locked();
                    self.0.wait_for_growth(events, remaining().min(WATCHED_PAUSE), free);
                }
                (Some(watch), Some(watching)) => {
                    // What changed before the watch began was not seen by the look above.
                    if armed && self.0.live.read().visible() < events {
                        let failed = watch.wait(remaining().min(WATCHED_PAUSE)).is_err();
                        if failed {
                            std::thread::sleep(pause.min(remaining()));
                        }
                    }
                    armed = true;
                    // Before anybody else watches: what has changed is not said again.
                    let refreshed = self.refresh();
                    drop(watching);
                    self.0.wake_waiters();
                    refreshed?;
                }
            }
        }
    }
}

impl Inner {
    /// Waits until the store grows, unless it has grown, is closed, or `why_not`.
    fn wait_for_growth(&self, events: u64, timeout: Duration, why_not: impl Fn() -> bool) {
        // The count goes up before the look, and growth is published before the count is read,
        // so either the look sees the growth or the grower sees this waiter.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let mut guard = self.grown.0.lock();
        let idle = self.live.read().visible() < events
            && !self.closed.load(Ordering::SeqCst)
            && !why_not();
        if idle {
            // Far deadlines overflow the clock; looking again once an hour costs nothing.
            let bounded = timeout.min(Duration::from_secs(3600));
            self.grown.1.wait_for(&mut guard, bounded);
        }
        drop(guard);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Brings a reader up to date.
    fn catch_up(&self) -> Result<()> {
        for _ in 0..TRIES {
            let mut reader = reader_of(&self.files)?;
            if let Reader::Beside(head) = reader
                && head.store == self.store
                && head.segment == self.newest_number()
                && head.generation <= self.live.read().generation
            {
                self.extend(Some(head.visible_offset), Some(head.durable_events), || Ok(true))?;
            } else {
                reader = self.reload()?;
            }
            let Reader::Beside(head) = reader else { return Ok(()) };
            // The head is closed before anything is written that must not be seen yet: what was
            // read behind an open end may be seen if the head is the same after the reading.
            let same = || Ok(open::read_head(&self.files)? == Some(head));
            if !head.open_ended || self.extend(None, None, same)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads, and reads again if a compaction has put other segments in the place of those that were
    /// to be read: for a reader in another process, their files may be gone.
    pub(super) fn across_compactions<T>(&self, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        // Before the lock: a forked child may never get it.
        self.check_usable()?;
        for _ in 1..TRIES {
            let generation = self.live.read().generation;
            match read() {
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    if !self.has_newer_segments(generation)? {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
        read()
    }

    /// Whether a compaction has ended since the one of this generation.
    pub(super) fn has_newer_segments(&self, generation: u64) -> Result<bool> {
        if let Some(follower) = &self.follower
            && open::read_manifest(&self.files)?.is_some_and(|now| now.generation > generation)
        {
            let _one = follower.refreshing.lock();
            self.reload()?;
        }
        Ok(self.live.read().generation > generation)
    }

    /// Reads which segments there are, and what of the newest one is visible.
    fn reload(&self) -> Result<Reader> {
        let known = self.live.read().parts.clone();
        let (_, found) = consistently(&self.files, |manifest, reader| {
            if (manifest.store, manifest.lineage) != (self.store, self.lineage) {
                let why = "the directory holds another store now; open it again";
                return Err(Error::corrupt(why).at_path(&self.files.dir));
            }
            let newest = manifest.segments.last().map_or(0, |entry| entry.number);
            match reader {
                Reader::Alone
                    if self.newest_number() == newest
                        && newest != 0
                        && self.live.read().generation == manifest.generation =>
                {
                    self.end_alone().map(Ok)
                }
                _ => open::load(&self.files, manifest, &known, reader)
                    .map(|found| Err(Box::new((found, reader)))),
            }
        })?;
        match found {
            Ok(end) => self.extend(Some(end), None, || Ok(true)).map(|_| Reader::Alone),
            Err(found) => {
                let (found, reader) = *found;
                let fresh = found.into_live(&self.files, &self.options);
                let mut live = self.live.write();
                // What was shown stays shown, even if a writer was killed before it was durable.
                let number = |live: &super::Live| live.tail.as_ref().map(|tail| tail.number);
                if fresh.visible() >= live.visible() {
                    *live = fresh;
                } else if fresh.generation > live.generation && number(&fresh) == number(&live) {
                    // The head that goes with the new segments has not been written yet.
                    live.parts = fresh.parts;
                    (live.generation, live.horizon) = (fresh.generation, fresh.horizon);
                }
                Ok(reader)
            }
        }
    }

    /// Takes in whole batches of the newest segment, up to an offset where one ends, or, without
    /// one, as many as there are: what follows those may be half-written. What was read is taken in
    /// if it `may_be_seen`, and then the answer is true.
    fn extend(
        &self,
        to: Option<u64>,
        durable_events: Option<u64>,
        may_be_seen: impl Fn() -> Result<bool>,
    ) -> Result<bool> {
        let mut most = FIRST_READ_BYTES;
        loop {
            let (number, from, sequence, file) = {
                let live = self.live.read();
                let (Some(tail), Some(newest)) = (&live.tail, &live.newest) else {
                    return Ok(true);
                };
                (tail.number, tail.end, tail.next_sequence(), newest.file.clone())
            };
            if to.is_some_and(|to| to <= from) {
                self.take_in(from, &[], durable_events);
                return Ok(true);
            }
            let path = self.files.segment_path(number);
            let left = to.map_or(u64::MAX, |to| to - from);
            let mut bytes = vec![0; most.min(usize::try_from(left).unwrap_or(usize::MAX))];
            let read = read_full_at(&*file, &mut bytes, from)
                .map_err(|e| Error::io("cannot read the segment", &path, &e).at(number, from))?;
            bytes.truncate(read);
            let (whole, why) = whole_batches(&bytes, sequence);
            let cut_off = read == most && most <= MAX_BATCH_BYTES;
            // Nor is more of a batch read that may be none.
            if (whole > 0 || cut_off) && !may_be_seen()? {
                return Ok(false);
            }
            self.take_in(from, &bytes[..whole], durable_events);
            if let (0, Some(to)) = (whole, to)
                && most >= LARGEST_READ_BYTES
            {
                self.extend_at_once(from, to, durable_events)?;
                return Ok(true);
            }
            if whole == 0 && !cut_off && to.is_some() {
                let why = why.unwrap_or("the file is shorter than its log");
                return Err(Error::corrupt(why).at_path(&path).at(number, from));
            }
            let goes_on = frame::probe(&bytes[whole..]).is_some();
            if to.is_none() && (read < most || !goes_on) || whole == 0 && !cut_off {
                return Ok(true);
            }
            most = (most * 2).min(if whole > 0 { LARGEST_READ_BYTES } else { usize::MAX });
        }
    }

    /// Takes in all frames of the newest segment from `from` to `to`, where a batch ends, at once:
    /// one that is too large to be held is indexed beside what is shown.
    fn extend_at_once(&self, from: u64, to: u64, durable_events: Option<u64>) -> Result<()> {
        let (tail, file) = {
            let live = self.live.read();
            let (Some(tail), Some(newest)) = (&live.tail, &live.newest) else { return Ok(()) };
            (Some(tail.clone()).filter(|tail| tail.end == from), newest.file.clone())
        };
        let Some(mut tail) = tail else { return Ok(()) };
        let path = self.files.segment_path(tail.number);
        tail.extend(&*file, &path, to, |_| {})?;
        let most = self.options.segment_bytes;
        let newest = Newest::new(&self.files, tail.number, file, tail.end, most);
        let mut live = self.live.write();
        live.newest = Some(newest);
        let before = live.tail.replace(tail);
        live.written_events = live.visible();
        if let Some(durable) = durable_events {
            live.durable_events = durable.min(live.written_events).max(live.durable_events);
        }
        drop(live);
        drop(before);
        Ok(())
    }

    /// Shows these frames of the newest segment, which stand at `from`.
    fn take_in(&self, from: u64, bytes: &[u8], durable_events: Option<u64>) {
        let mut live = self.live.write();
        let live = &mut *live;
        let Some(tail) = live.tail.as_mut().filter(|tail| tail.end == from) else { return };
        let mut at = 0;
        while let Ok(frame) = Frame::of_own(bytes.get(at..).unwrap_or_default()) {
            tail.push(&frame, None);
            at += frame.layout().padded();
        }
        let (end, events) = (tail.end, tail.next_sequence());
        live.set_written_end(end);
        live.written_events = events;
        if let Some(durable) = durable_events {
            live.durable_events = durable.min(live.written_events).max(live.durable_events);
        }
    }

    /// Where recovery would end the newest segment.
    fn end_alone(&self) -> Result<u64> {
        let (number, from, sequence, file) = {
            let live = self.live.read();
            let (Some(tail), Some(newest)) = (&live.tail, &live.newest) else { return Ok(0) };
            (tail.number, tail.end, tail.next_sequence(), newest.file.clone())
        };
        let path = self.files.segment_path(number);
        let length =
            file.size().map_err(|e| Error::io("cannot read the segment's length", &path, &e))?;
        if length <= from {
            return Ok(from);
        }
        let log = recovery::Log { file: &*file, path: &path, number, lineage: self.lineage };
        Ok(recovery::find_end(&log, from, sequence)?.offset)
    }
}

/// How many of these bytes are frames of whole batches, the first of which is of this event; and
/// why the frame behind them is none, if there are bytes left.
fn whole_batches(bytes: &[u8], first: u64) -> (usize, Option<&'static str>) {
    let (mut at, mut whole, mut sequence) = (0, 0, first);
    while at < bytes.len() {
        match Frame::parse(&bytes[at..]).and_then(Frame::shown) {
            Err(why) => return (whole, Some(why)),
            Ok(frame) if frame.sequence() != sequence => {
                return (whole, Some("the next frame is not the next event"));
            }
            Ok(frame) => {
                at += frame.layout().padded();
                sequence += 1;
                if !frame.batch_continues() {
                    whole = at;
                }
            }
        }
    }
    (whole, None)
}

/// A query that goes on: what is there first, then what is appended, as it becomes visible, in
/// order and without loss. In a read-only store it follows a writer in another process.
pub struct Follow {
    store: Store,
    query: Query,
    /// The next sequence to look at.
    next: u64,
    scan: Option<Scan>,
}

impl Store {
    /// Starts to follow a query. Its direction is forward and it has no limit.
    pub fn follow(&self, query: Query) -> Result<Follow> {
        self.0.check_usable()?;
        self.0.check_region(&query.region)?;
        if query.direction != Direction::Forward || query.limit.is_some() {
            return Err(Error::invalid("what is followed goes forward, without a limit"));
        }
        let next = query.from.unwrap_or(0);
        Ok(Follow { store: self.clone(), query, next, scan: None })
    }
}

impl Follow {
    /// The next events, as [`Scan::next_page`] gives them. If there are none yet, waits until there
    /// are or the time is up; then the page is empty. When the store is closed meanwhile: an error
    /// of kind `Closed`.
    pub fn next_page(
        &mut self,
        max_events: usize,
        max_bytes: usize,
        timeout: Duration,
    ) -> Result<Vec<Event>> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if self.scan.is_none() {
                let left = deadline.map_or(Duration::MAX, |deadline| {
                    deadline.saturating_duration_since(Instant::now())
                });
                let visible = self.store.wait(self.next.saturating_add(1), left)?;
                if visible <= self.next {
                    return Ok(Vec::new());
                }
                self.scan = Some(self.store.read(self.query.clone().from(self.next))?);
            }
            let Some(scan) = &mut self.scan else { continue };
            let page = scan.next_page(max_events, max_bytes)?;
            if let Some(last) = page.last() {
                self.next = last.sequence() + 1;
                return Ok(page);
            }
            // Events of other regions are not looked at again.
            self.next = self.next.max(scan.end());
            self.scan = None;
        }
    }

    /// The next sequence to be looked at: where to follow from after a restart.
    pub fn position(&self) -> u64 {
        self.next
    }
}

impl std::fmt::Debug for Follow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow").field("query", &self.query).field("next", &self.next).finish()
    }
}
