//! The store: one file per operation.
//!
//! A [`Store`] is a handle on an [`Inner`], which holds three things. [`Live`] is what readers
//! see: the sealed segments, the index of the newest one, and the ends of the streams; it changes
//! only when a group of appends becomes visible. [`Writer`](commit::Writer) is the commit path;
//! only a store opened for appending has one. `Follower` is how a read-only store learns of a
//! writer in another process.
//!
//! Lock order: the commit lock, then the live lock. No lock is held while a caller's code runs.

mod ancestors;
mod append;
mod background;
mod close;
mod commit;
mod commit_fence;
mod compact;
mod copy;
mod denial;
mod diff;
mod export;
mod fence;
mod follow;
mod fork;
mod import;
mod inspect;
mod judge;
mod old;
mod open;
mod prepare;
mod queue;
mod read;
mod repair;
mod restart;
mod retain;
mod rotate;
mod salvage;
mod snapshot;
mod staged;
mod stats;
mod ticket;
mod unfinished;
mod verify;

use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::Frame;
use crate::format::manifest::Ancestor;
use crate::ids::Id;
use crate::index::Part;
use crate::index::heads::{Heads, Known, LaneHead};
use crate::index::sealed::name_tag;
use crate::index::tail::Tail;
use crate::options::OpenOptions;
use crate::process;
use crate::storage::VfsFile;
use crate::storage::blocks::{Blocks, Place};
use crate::storage::files::Files;
use parking_lot::{Condvar, Mutex, RwLock};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

pub use ancestors::{Ancestry, Boundary, Link};
pub use compact::{CompactOptions, CompactProgress, CompactReport, Progress};
pub use copy::CopyReport;
pub use diff::Diff;
pub use export::{ExportOptions, ExportReport};
pub use fence::{Committed, Fence, FenceOptions};
pub use follow::Follow;
pub use fork::{ForkOptions, Parent};
pub use import::{Dropped, ImportOptions, ImportReport, MOST_DROPS};
pub use inspect::{Inspection, Opening};
pub use open::OpenReport;
pub use queue::Then;
pub use read::Scan;
pub use repair::{LostEvents, RepairOptions, RepairReport};
pub use retain::{Keep, KeyOverflow, Keys, Retention, Unwanted};
pub use salvage::LeftOut;
pub use snapshot::{SnapshotCheck, SnapshotOptions};
pub use stats::{Frontier, Head, Stats, StreamHead};
pub use ticket::Ticket;
pub use verify::{Finding, FindingKind, VerifyReport};

/// An open store: clone it to share it between threads; all clones are one handle.
///
/// Every method may be called from any thread at any time. After [`close`](Store::close) every
/// method but `close` gives [`ErrorKind::Closed`]; in a forked child, [`ErrorKind::Forked`].
pub struct Store(Arc<Inner>);

pub(crate) struct Inner {
    /// How many `Store`s there are, scans included; the last one closes.
    handles: AtomicUsize,
    files: Arc<Files>,
    options: OpenOptions,
    report: OpenReport,
    store: Id,
    lineage: Id,
    created_us: i64,
    /// Of a fork: its parent first.
    ancestors: Vec<Ancestor>,
    /// The generation of the process that opened the store.
    process: u64,
    closed: AtomicBool,
    live: RwLock<Live>,
    /// Signalled when events have become visible.
    grown: (Mutex<()>, Condvar),
    /// How many threads wait for `grown`; none need not be woken.
    waiting: AtomicUsize,
    writer: Option<commit::Writer>,
    follower: Option<follow::Follower>,
    /// Of a store of the batpak crate 0.x.
    old: Option<old::Old>,
}

/// What readers see.
#[derive(Default)]
pub(crate) struct Live {
    /// The segments that no longer change, by sequence.
    parts: Arc<Vec<Arc<Part>>>,
    /// How many compactions these have gone through.
    generation: u64,
    /// A retention has decided about the events before this sequence.
    horizon: u64,
    /// The newest segment; `None` before the first append.
    tail: Option<Tail>,
    newest: Option<Newest>,
    /// Visible frames that are not in the newest segment's file yet, but stand behind its end.
    unwritten: Vec<u8>,
    heads: Heads,
    written_events: u64,
    durable_events: u64,
}

/// The newest segment's file.
#[derive(Clone)]
pub(crate) struct Newest {
    number: u64,
    file: Arc<dyn VfsFile>,
    /// Up to where it holds visible events.
    written_end: u64,
    blocks: Arc<Blocks>,
}

impl Newest {
    /// The file of a segment that gets about so long.
    fn new(
        files: &Files,
        number: u64,
        file: Arc<dyn VfsFile>,
        written_end: u64,
        most: u64,
    ) -> Self {
        let blocks = Blocks::new(&files.cache, most.max(written_end) + (64 << 20));
        Self { number, file, written_end, blocks }
    }

    fn place<'a>(&'a self, files: &'a Files) -> Place<'a> {
        let (number, file) = (self.number, Some(&self.file));
        Place { files, number, file, settled: self.written_end, keep: false }
    }
}

impl Live {
    /// The number of visible events.
    fn visible(&self) -> u64 {
        match (&self.tail, self.parts.last()) {
            (Some(tail), _) => tail.next_sequence(),
            (None, Some(part)) => part.end_sequence(),
            (None, None) => 0,
        }
    }

    /// The bytes of those of these rising spans that are not in the file yet, from the first of
    /// them to the end of the last, and where they stand.
    fn in_memory(&self, spans: &[(u64, u64)]) -> Option<(u64, Arc<[u8]>)> {
        let written_end = self.newest.as_ref()?.written_end;
        let start = spans.iter().map(|(start, _)| *start).find(|s| *s >= written_end)?;
        let (_, end) = spans.last()?;
        let from = (start - written_end) as usize;
        let to = end.saturating_sub(written_end) as usize;
        Some((start, self.unwritten.get(from..to).unwrap_or_default().into()))
    }

    fn set_written_end(&mut self, written_end: u64) {
        if let Some(newest) = &mut self.newest {
            newest.written_end = written_end;
        }
    }

    /// Everything visible is in the file, up to this offset, and durable.
    fn settle(&mut self, written_end: u64) {
        self.unwritten.clear();
        self.set_written_end(written_end);
        self.written_events = self.visible();
        self.durable_events = self.written_events;
    }
}

fn head_of(frame: &Frame<'_>) -> LaneHead {
    LaneHead {
        lane: frame.lane(),
        clock: frame.clock(),
        sequence: frame.sequence(),
        known: Some(Known { hash: frame.hash(), wall_us: frame.wall_us() }),
    }
}

impl Inner {
    /// Refuses a closed store, and one inherited over a fork. Comes before any lock: in a forked
    /// child a lock may be held by a thread that does not exist there.
    fn check_usable(&self) -> Result<()> {
        if process::generation() != self.process {
            return Err(Error::new(
                ErrorKind::Forked,
                "the store was opened before a fork; open it again in this process",
            )
            .at_path(&self.files.dir));
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(self.closed_error());
        }
        Ok(())
    }

    /// Where a stream ends, as far as it is visible.
    fn stream_end(&self, entity: &str, lane: u32) -> Result<Option<LaneHead>> {
        let parts = {
            let live = self.live.read();
            let noted = live.heads.find(entity, lane).and_then(|slot| live.heads.at(slot));
            let in_tail = || live.tail.as_ref().and_then(|tail| tail.stream_end(entity, lane));
            match noted.or_else(in_tail) {
                Some(head) => return Ok(Some(head)),
                None => live.parts.clone(),
            }
        };
        let tag = name_tag(entity);
        for part in parts.iter().rev() {
            if let Some(head) = part.stream_end(entity, lane, tag)? {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    fn closed_error(&self) -> Error {
        Error::new(ErrorKind::Closed, "the store is closed").at_path(&self.files.dir)
    }

    fn wake_waiters(&self) {
        // What the waiters look for was stored before their number is read.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(self.grown.0.lock());
            self.grown.1.notify_all();
        }
    }
}

impl Store {
    /// The store's directory, without links and relative parts.
    pub fn path(&self) -> &Path {
        &self.0.files.dir
    }

    /// What opening found and did.
    pub fn open_report(&self) -> &OpenReport {
        &self.0.report
    }
}

impl Clone for Store {
    fn clone(&self) -> Self {
        self.0.handles.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl Drop for Store {
    /// A store that was not closed is closed quietly with its last handle. In a forked child
    /// nothing is done: the files are the parent's.
    fn drop(&mut self) {
        if self.0.handles.fetch_sub(1, Ordering::AcqRel) == 1
            && process::generation() == self.0.process
        {
            // A panic out of a drop would end the process.
            let close = std::panic::AssertUnwindSafe(|| self.0.close());
            let _ = std::panic::catch_unwind(close);
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.0.files.dir).finish_non_exhaustive()
    }
}
