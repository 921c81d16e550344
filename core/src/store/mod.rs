//! The store: one file per operation.

use crate::error::Result;
use crate::event::{Event, NewEvent, Receipt};
use crate::gate::{GateOutcome, GateSet};
use crate::ids::{Hash, Id};
use crate::options::{Durability, OpenOptions};
use crate::region::Query;
use std::path::Path;
use std::time::Duration;

/// The end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of visible events, which is the sequence of the next one.
    pub events: u64,
    /// The hash of the last visible event; zeros when there is none.
    pub last_hash: Hash,
    /// The root of the Merkle tree (SHA-256, RFC 6962) over all visible event hashes.
    pub root: Hash,
}

/// The end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHead {
    /// The clock of its last event.
    pub clock: u32,
    /// The sequence of its last event.
    pub sequence: u64,
    /// The hash of its last event.
    pub hash: Hash,
}

/// How far events have come, each as a number of events from the start of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frontier {
    /// Ordered, in memory.
    pub accepted: u64,
    /// Bytes in the file.
    pub written: u64,
    /// Confirmed by a sync.
    pub durable: u64,
    /// Shown to readers of this handle.
    pub visible: u64,
}

/// Sizes and identity of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Visible events.
    pub events: u64,
    /// Segments, the one being written included.
    pub segments: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Entities.
    pub entities: u64,
    /// Streams: pairs of entity and lane.
    pub streams: u64,
    /// This directory's id.
    pub store_id: Id,
    /// The id under every event hash; forks share it.
    pub lineage_id: Id,
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The store was created.
    pub created: bool,
    /// The store had been closed cleanly.
    pub clean: bool,
    /// Events found.
    pub events: u64,
    /// Segments found.
    pub segments: u64,
    /// Bytes cut from the unsynced end of the newest segment.
    pub cut_bytes: u64,
    /// Where they were cut: segment and offset.
    pub cut_at: Option<(u64, u64)>,
    /// Why they were cut; empty when nothing was.
    pub cut_reason: String,
    /// Leftovers of an interrupted operation that were removed.
    pub removed: Vec<String>,
    /// Files that do not belong to the store and were left alone.
    pub ignored: Vec<String>,
    /// What a salvage found damaged, a sentence each; empty in every other mode.
    pub damage: Vec<String>,
}

/// Which link to follow from an event to the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Link {
    /// The event before it in its stream.
    #[default]
    Stream = 0,
    /// The event that caused it.
    Causation = 1,
}

/// Why a walk along a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Boundary {
    /// The last event has nothing before it.
    Genesis = 0,
    /// As many events as asked for were found.
    Limit = 1,
    /// The last event names one that is not in this store.
    Missing = 2,
    /// The last event names one that was already given.
    Cycle = 3,
}

/// The events from one back along a link, newest first, itself included.
#[derive(Clone, Debug)]
pub struct Ancestry {
    /// The events.
    pub events: Vec<Event>,
    /// Why there are no more.
    pub boundary: Boundary,
}

/// What kind of damage a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum FindingKind {
    /// A segment is missing, foreign, renamed, or has a bad header.
    Segment = 1,
    /// A frame cannot be read.
    Frame = 2,
    /// An event's hash is not the hash of its fields.
    Hash = 3,
    /// An event does not follow the one before it in its stream.
    Link = 4,
    /// An event is not at its place in the whole log.
    Sequence = 5,
    /// A footer does not say what its frames say.
    Footer = 6,
    /// The tree over the events does not have the recorded root.
    Root = 7,
}

impl FindingKind {
    /// The stable name, such as `HASH`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Segment => "SEGMENT",
            Self::Frame => "FRAME",
            Self::Hash => "HASH",
            Self::Link => "LINK",
            Self::Sequence => "SEQUENCE",
            Self::Footer => "FOOTER",
            Self::Root => "ROOT",
        }
    }
}

/// One damage that [`Store::verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// In which segment.
    pub segment: u64,
    /// At which byte offset.
    pub offset: u64,
    /// What was expected and what was found.
    pub message: String,
}

/// What [`Store::verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Events that were checked.
    pub events: u64,
    /// Segments that were checked.
    pub segments: u64,
    /// The hash of the last event, recomputed.
    pub last_hash: Hash,
    /// The root of the tree, recomputed.
    pub root: Hash,
    /// Every damage, in log order.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// Whether nothing was found.
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A store: clone it to share it between threads; all clones are one handle.
#[derive(Clone)]
pub struct Store(());

/// A query being read.
pub struct Scan(());

impl Store {
    /// Opens the store in this directory.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Store> {
        unimplemented!()
    }
    /// Appends one event. `durability` `None` takes the store's default.
    pub fn append(&self, event: &NewEvent<'_>, durability: Option<Durability>) -> Result<Receipt> {
        unimplemented!()
    }
    /// Appends all events or none, in this order, with nothing between them.
    pub fn append_batch(&self, events: &[NewEvent<'_>], durability: Option<Durability>) -> Result<Vec<Receipt>> {
        unimplemented!()
    }
    /// Appends all events if every gate permits every one of them; kind `Denied` otherwise.
    pub fn append_gated(&self, events: &[NewEvent<'_>], gates: &GateSet<'_>, durability: Option<Durability>) -> Result<Vec<Receipt>> {
        unimplemented!()
    }
    /// Records that gates refused an event.
    pub fn record_denial(&self, refused: &NewEvent<'_>, outcomes: &[GateOutcome], durability: Option<Durability>) -> Result<Receipt> {
        unimplemented!()
    }
    /// Writes what is buffered.
    pub fn flush(&self) -> Result<()> {
        unimplemented!()
    }
    /// Writes what is buffered and syncs.
    pub fn sync(&self) -> Result<()> {
        unimplemented!()
    }
    /// The event with this id.
    pub fn get(&self, id: Id) -> Result<Option<Event>> {
        unimplemented!()
    }
    /// The event at this sequence.
    pub fn at(&self, sequence: u64) -> Result<Option<Event>> {
        unimplemented!()
    }
    /// Starts reading; sees what is visible now.
    pub fn read(&self, query: Query) -> Result<Scan> {
        unimplemented!()
    }
    /// Walks back from an event along a link, up to `limit` events. `NotFound` if there is no such event.
    pub fn ancestors(&self, id: Id, link: Link, limit: u64) -> Result<Ancestry> {
        unimplemented!()
    }
    /// The end of a stream.
    pub fn stream_head(&self, entity: &str, lane: u32) -> Result<Option<StreamHead>> {
        unimplemented!()
    }
    /// The end of the log.
    pub fn head(&self) -> Result<Head> {
        unimplemented!()
    }
    /// How far events have come.
    pub fn frontier(&self) -> Result<Frontier> {
        unimplemented!()
    }
    /// Sizes and identity.
    pub fn stats(&self) -> Result<Stats> {
        unimplemented!()
    }
    /// Checks every byte, hash and link.
    pub fn verify(&self) -> Result<VerifyReport> {
        unimplemented!()
    }
    /// Read-only: looks for what a writer in another process has made visible. Gives the number of visible events.
    pub fn refresh(&self) -> Result<u64> {
        unimplemented!()
    }
    /// Waits until at least `events` events are visible or the time is up; gives how many are. (Read-only handles refresh by polling.)
    pub fn wait(&self, events: u64, timeout: Duration) -> Result<u64> {
        unimplemented!()
    }
    /// What opening found and did.
    pub fn open_report(&self) -> &OpenReport {
        unimplemented!()
    }
    /// The directory.
    pub fn path(&self) -> &Path {
        unimplemented!()
    }
    /// Writes and syncs what is buffered, and closes. Closing twice is fine. Other clones get `Closed`.
    pub fn close(&self) -> Result<()> {
        unimplemented!()
    }
}

impl Scan {
    /// The next events, at most so many and about so many payload bytes (at least one event if any is left). Empty at the end.
    pub fn next_page(&mut self, max_events: usize, max_bytes: usize) -> Result<Vec<Event>> {
        unimplemented!()
    }
}

impl Iterator for Scan {
    type Item = Result<Event>;
    fn next(&mut self) -> Option<Self::Item> {
        unimplemented!()
    }
}
