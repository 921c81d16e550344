//! Following a log: waiting for events, and reading beside a writer in another process.
//!
//! A read-only store takes no lock that a writer could meet. It learns from the lock on the head
//! whether a writer lives: if one does, the log ends where the head says, since what lies behind
//! may be half-written; if none does, it ends where recovery would end it.

use super::open::{self, Reader};
use super::{Inner, OpenReport, Store, note_head};
use crate::error::{ErrorKind, Result};
use crate::format::head::{self, HeadFile};
use crate::format::manifest::Manifest;
use crate::options::OpenOptions;
use crate::storage::files::Files;
use crate::storage::{Access, recovery};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often a manifest that changes under the reader's hands is read again.
const TRIES: u32 = 20;
/// The pauses between two looks for new events: short at first.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// What a read-only store has more than a writer.
#[derive(Default)]
pub(super) struct Follower {
    /// One refresh at a time.
    refreshing: Mutex<()>,
}

/// Opens a store for reading.
pub(super) fn open(files: Arc<Files>, options: &OpenOptions) -> Result<Inner> {
    let mut report = OpenReport::default();
    let (manifest, found) = consistently(&files, |manifest, reader| {
        report = OpenReport::default();
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
    let mut inner = Inner::new(files, options, &manifest, found.into_live(), report);
    inner.follower = Some(Follower::default());
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
        let error = match read(&manifest, reader) {
            Ok(read) => return Ok((manifest, read)),
            Err(error) => error,
        };
        tries += 1;
        let unchanged =
            open::read_manifest(files)?.as_ref() == Some(&manifest) && reader_of(files)? == reader;
        if unchanged || tries == TRIES {
            return Err(error);
        }
    }
}

fn reader_of(files: &Files) -> Result<Reader> {
    let file = match files.open(head::FILE_NAME, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Reader::Alone),
        Err(error) => return Err(error),
    };
    if !file.is_locked().unwrap_or(false) {
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

    /// Waits until at least `events` events are visible, or the time is up, or the store is
    /// closed; gives how many are visible. A read-only store looks every few milliseconds.
    pub fn wait(&self, events: u64, timeout: Duration) -> Result<u64> {
        let deadline = Instant::now().checked_add(timeout);
        let remaining = || match deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let visible = self.refresh()?;
            if visible >= events || remaining().is_zero() {
                return Ok(visible);
            }
            if self.0.follower.is_some() {
                std::thread::sleep(pause.min(remaining()));
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else {
                self.0.wait_for_growth(events, remaining());
            }
        }
    }
}

impl Inner {
    fn wait_for_growth(&self, events: u64, timeout: Duration) {
        // The count goes up before the look, and growth is published before the count is read,
        // so either the look sees the growth or the grower sees this waiter.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut guard = self.grown.0.lock();
        let idle = self.live.read().visible() < events && !self.closed.load(Ordering::SeqCst);
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
        if let Reader::Beside(head) = reader_of(&self.files)?
            && head.store == self.store
            && self.extend_to(&head)?
        {
            return Ok(());
        }
        let known = self.live.read().parts.clone();
        let (_, found) = consistently(&self.files, |manifest, reader| {
            let newest = manifest.segments.last().map_or(0, |entry| entry.number);
            let same = self.newest_number() == newest && newest != 0;
            match reader {
                Reader::Alone if same => self.extend_alone().map(|()| None),
                _ => open::load(&self.files, manifest, &known, reader).map(Some),
            }
        })?;
        if let Some(found) = found {
            let fresh = found.into_live();
            let mut live = self.live.write();
            // What was shown stays shown, even if a writer was killed before it was durable.
            if fresh.visible() >= live.visible() {
                *live = fresh;
            }
        }
        Ok(())
    }

    /// Takes in the newest segment up to where the head says, if it is still the same segment.
    fn extend_to(&self, head: &HeadFile) -> Result<bool> {
        let mut live = self.live.write();
        let live = &mut *live;
        let (Some(tail), Some(file)) = (&mut live.tail, &live.tail_file) else { return Ok(false) };
        if tail.number != head.segment || head.visible_offset < tail.end {
            return Ok(tail.number == head.segment);
        }
        let path = self.files.segment_path(tail.number);
        let heads = &mut live.heads;
        tail.extend(&**file, &path, head.visible_offset, |frame| note_head(heads, frame))?;
        live.written_end = tail.end;
        live.written_events = tail.next_sequence();
        live.durable_events = head.durable_events.min(live.written_events);
        Ok(true)
    }

    /// Takes in the newest segment up to where recovery would end it.
    fn extend_alone(&self) -> Result<()> {
        let mut live = self.live.write();
        let live = &mut *live;
        let (Some(tail), Some(file)) = (&mut live.tail, &live.tail_file) else { return Ok(()) };
        let path = self.files.segment_path(tail.number);
        let length = file
            .size()
            .map_err(|e| crate::Error::io("cannot read the segment's length", &path, &e))?;
        if length <= tail.end {
            return Ok(());
        }
        let (number, lineage) = (tail.number, self.lineage);
        let log = recovery::Log { file: &**file, path: &path, number, lineage };
        let end = recovery::find_end(&log, tail.end, tail.next_sequence())?;
        let heads = &mut live.heads;
        tail.extend(&**file, &path, end.offset, |frame| note_head(heads, frame))?;
        live.written_end = tail.end;
        live.written_events = tail.next_sequence();
        Ok(())
    }
}
