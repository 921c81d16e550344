//! Opening a store of the batpak crate 0.x, for reading.
//!
//! [`recover`] says which events there are. Each becomes an event of this format whenever it is
//! read: its frame is made from the old one. The index is the same as that of a salvaged store, so
//! everything that reads works as it does elsewhere. Hashes and clocks are the old ones.

use super::import::Dropped;
use super::open::{OpenReport, list};
use super::verify::{Finding, FindingKind, VerifyReport};
use super::{Inner, Live, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::format::array;
use crate::format::frame::Frame;
use crate::format::manifest::Manifest;
use crate::format::segment as own_segment;
use crate::format::tree::Tree;
use crate::ids::{Hash, Id};
use crate::index::tail::Tail;
use crate::index::{Frames, Part};
use crate::interop::frame::{OldEvent, PREFIX_BYTES, Payload, Prefix};
use crate::interop::links::{Chain, Step};
use crate::interop::payload::{Restorer, Way};
use crate::interop::recover::{
    Found, Note, Notes, Recovered, Severity, Sink, Source, Taken, recover,
};
use crate::interop::translate::Translator;
use crate::interop::{receipt, sidecar};
use crate::options::{OpenMode, OpenOptions};
use crate::storage::files::{Files, read_exact};
use crate::storage::{Access, VfsFile};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

pub(super) use crate::interop::translate::Payloads;

const MAX_KEYSET_BYTES: u64 = 256 << 20;
/// A run of events goes over as many sequences that no event has; each costs what an event does.
const MAX_HOLES: u64 = 256;

/// Whether the crate is kept from the store meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locking {
    /// By a share of its own lock.
    Shared,
    None,
}

/// Why nothing vouches for an event: a set of reasons. The bits are stored with imported events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doubt(pub(crate) u8);

impl Doubt {
    /// Of an event of this format: not all of it is under its hash, as far as can be told.
    pub(super) const PAYLOAD: u8 = 0x01;
    pub(super) const LINK: u8 = 0x02;
    const KEY: u8 = 0x04;
    pub(super) const PLACE: u8 = 0x08;
    const REASONS: [(u8, FindingKind, &str); 4] = [
        (Self::PAYLOAD, FindingKind::Hash, "its payload is not the one that its hash was made of"),
        (Self::LINK, FindingKind::Link, "its link names another event than its predecessor"),
        (
            Self::KEY,
            FindingKind::Hash,
            "its key does not open its payload: the event was altered, or the key was made anew",
        ),
        (Self::PLACE, FindingKind::Root, "what was recorded later names another event here"),
    ];

    fn held(self) -> impl Iterator<Item = (FindingKind, &'static str)> {
        let held = Self::REASONS.into_iter().filter(move |(bit, ..)| self.0 & bit != 0);
        held.map(|(_, kind, reason)| (kind, reason))
    }

    pub(super) fn reasons(self) -> String {
        self.held().map(|(_, reason)| reason).collect::<Vec<_>>().join("; ")
    }
}

/// What is known of an opened 0.x store beyond its events.
pub(super) struct Old {
    /// The sequences that cancelled fences hide, rising.
    pub(super) hidden: Vec<u64>,
    pub(super) doubts: BTreeMap<u64, Doubt>,
    /// From this sequence on, events are linked by lane.
    pub(super) lanes_from: u64,
    /// What was passed over: of very much the first.
    pub(super) dropped: Vec<Dropped>,
    /// How many events were passed over, as far as that is known.
    pub(super) dropped_events: u64,
    /// Idempotency keys whose events are gone.
    pub(super) keys_without_events: u64,
    /// The bytes of all segments.
    pub(super) bytes: u64,
    /// Keeps the crate from compacting what is being read.
    lock: Mutex<Option<Arc<dyn VfsFile>>>,
}

impl Old {
    /// Lets the crate in.
    pub(super) fn close(&self) {
        if let Some(lock) = self.lock.lock().take() {
            // Given back by hand: a forked child may share the open file.
            let _ = lock.unlock();
        }
    }
}

/// Opens the store that is in the directory.
pub(super) fn open(
    files: Arc<Files>,
    options: &OpenOptions,
    names: &[(String, bool)],
    payloads: Payloads,
    locking: Locking,
) -> Result<Inner> {
    let lock = match locking {
        Locking::Shared => take_lock(&files, names)?,
        Locking::None => None,
    };
    // Behind the lock, so that nobody changes what is there.
    let (found, mut recovered) = Building::read(&files, &list(&files)?, payloads)?;
    let notes = recovered.notes.list();
    if options.mode != OpenMode::Salvage
        && let Some(note) = recovered.notes.damage()
    {
        let why = "open it for salvage to read the rest";
        let error = Error::corrupt(format!("{}; {why}", note.what));
        let path = match recovered.sources.iter().find(|source| source.number == note.segment) {
            Some(source) => files.path(&source.name),
            None => files.dir.clone(),
        };
        return Err(error.at_path(&path).at(note.segment, note.offset));
    }
    let keys_without_events = match files.read_small(sidecar::KEYS, MAX_KEYSET_BYTES)? {
        // The keys of the events that are there are their ids.
        Some(bytes) => sidecar::keys_without_events(&bytes).map_or(0, |keys| keys.len() as u64),
        None => 0,
    };
    let dropped = notes.iter().map(|note| Dropped {
        segment: note.segment,
        offset: note.offset,
        sequence: note.sequence,
        is_event: note.events > 0,
        reason: note.what.clone(),
    });
    let old = Old {
        dropped: dropped.collect(),
        dropped_events: recovered.notes.events,
        hidden: std::mem::take(&mut recovered.hidden),
        doubts: found.doubts,
        lanes_from: found.lanes_from,
        keys_without_events,
        bytes: recovered.bytes,
        lock: Mutex::new(lock),
    };
    let store =
        found.first.map_or(Id::NONE, |first| Id::for_operation("batpak.0x.store", &[&first.0]));
    let mut translator = found.translator;
    if payloads == Payloads::Kept {
        // By now it is known what the keys open, and nothing else is done with them.
        translator.keys.clear();
    }
    let book = Arc::new(Book { translator, sources: recovered.sources });
    let parts = found.runs.into_iter().map(|run| {
        let frames =
            Run { book: book.clone(), source: run.source, frames: run.frames, ways: run.ways };
        Arc::new(Part::Indexed(run.tail, Some(Box::new(frames))))
    });
    let live = Live { parts: Arc::new(parts.collect()), ..Live::default() };
    let visible = live.visible();
    let live = Live { written_events: visible, durable_events: visible, ..live };
    let report = OpenReport {
        format: 1,
        clean: recovered.notes.list().is_empty(),
        events: live.parts.iter().map(|part| part.events()).sum(),
        hidden: old.hidden.len() as u64,
        segments: book.sources.len() as u64,
        ignored: recovered.ignored,
        damage: recovered.notes.list().iter().map(sentence).collect(),
        ..OpenReport::default()
    };
    let manifest = Manifest::new(store, store, 0);
    let mut inner = Inner::new(files, options, &manifest, live, report);
    inner.old = Some(old);
    Ok(inner)
}

/// The lock that the crate takes alone; readers of this library share it. A directory without the
/// lock file gets none, since nothing is changed in it.
fn take_lock(files: &Files, names: &[(String, bool)]) -> Result<Option<Arc<dyn VfsFile>>> {
    if !names.iter().any(|(name, is_file)| name == sidecar::LOCK && *is_file) {
        return Ok(None);
    }
    let path = files.path(sidecar::LOCK);
    let file = files.open(sidecar::LOCK, Access::Read)?;
    match file.try_lock_shared() {
        Ok(true) => Ok(Some(file)),
        Ok(false) => {
            let why = "a program with the batpak crate 0.x has the store open; close it there";
            Err(Error::new(ErrorKind::Locked, why).at_path(&path))
        }
        Err(failure) => Err(Error::io("cannot lock the store", &path, &failure)),
    }
}

fn sentence(note: &Note) -> String {
    let mut text = String::new();
    if note.segment > 0 {
        let _ = write!(text, "segment {}, offset {}: ", note.segment, note.offset);
    }
    text.push_str(&note.what);
    let _ = match (note.events, note.sequence) {
        (0, _) => Ok(()),
        (1, Some(sequence)) => write!(text, " (event {sequence})"),
        (events, Some(sequence)) => write!(text, " ({events} events, from {sequence} on)"),
        (events, None) => write!(text, " ({events} events)"),
    };
    text
}

/// Where old frames are, and how they are shown.
struct Book {
    sources: Vec<Source>,
    translator: Translator,
}

/// The old frames of one run of events, in a segment.
struct Run {
    book: Arc<Book>,
    source: u32,
    frames: Vec<OldFrame>,
    ways: HashMap<u32, Way>,
}

#[derive(Clone, Copy)]
struct OldFrame {
    offset: u64,
    /// Of the body; 0 in the place of a sequence that no event has.
    length: u32,
    batch_continues: bool,
}

impl Frames for Run {
    fn read(&self, files: &Files, tail: &Tail, start: u64, bytes: usize) -> Result<Vec<u8>> {
        let changed = || Error::corrupt("the segment changed since the store was opened");
        let source = &self.book.sources[self.source as usize];
        let path = files.path(&source.name);
        let located = |error: Error, offset: u64| error.at_path(&path).at(source.number, offset);
        let first = tail.index_at(start).ok_or_else(changed)? as usize;
        let last = tail.index_at_end(start + bytes as u64).ok_or_else(changed)? as usize;
        let (Some(from), Some(to)) = (self.frames.get(first), self.frames.get(last)) else {
            return Err(changed());
        };
        let end = to.offset + PREFIX_BYTES as u64 + u64::from(to.length);
        let length = end.saturating_sub(from.offset) as usize;
        let file = if own_segment::file_name(source.number) == source.name {
            files.segment(source.number)?
        } else {
            files.open(&source.name, Access::Read)?
        };
        let old = read_exact(&*file, &path, source.number, from.offset, length)?;
        let mut out = Vec::with_capacity(bytes);
        for (index, at) in (first..=last).zip(&self.frames[first..=last]) {
            if at.length == 0 {
                continue;
            }
            let shown = self.show(index as u32, at, from.offset, &old, tail, &mut out);
            shown.ok_or_else(|| located(changed(), at.offset))?;
        }
        if out.len() == bytes { Ok(out) } else { Err(located(changed(), from.offset)) }
    }

    fn origin(&self, index: u32) -> u64 {
        self.frames.get(index as usize).map_or(0, |frame| frame.offset)
    }
}

impl Run {
    /// Appends the frame that shows one event; `old` are the bytes from `from` on. `None` if they are
    /// not what they were.
    fn show(
        &self,
        index: u32,
        at: &OldFrame,
        from: u64,
        old: &[u8],
        tail: &Tail,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let start = (at.offset - from) as usize;
        let body_at = start + PREFIX_BYTES;
        let body = old.get(body_at..body_at + at.length as usize)?;
        let prefix = Prefix { length: at.length, crc: u32::from_be_bytes(array(old, start + 4)) };
        if !prefix.is_of(body) {
            return None;
        }
        let event = OldEvent::decode(body).ok()?;
        let hashed = match self.ways.get(&index) {
            Some(way) => Cow::Owned(way.apply(event.payload_value)?),
            None => as_it_stands(&event),
        };
        let sequence = tail.first_sequence + u64::from(index);
        let translator = &self.book.translator;
        translator.translate(&event, hashed, sequence, at.batch_continues, out).ok().map(drop)
    }
}

/// The payload's bytes, or, where a value stands in their place that they are not found from, its
/// own.
fn as_it_stands<'a>(event: &'a OldEvent<'_>) -> Cow<'a, [u8]> {
    match &event.payload {
        Payload::Bytes(bytes) => Cow::Borrowed(bytes),
        Payload::Value => Cow::Borrowed(event.payload_value),
    }
}

/// A run of events while it is found.
struct NewRun {
    tail: Tail,
    source: u32,
    frames: Vec<OldFrame>,
    /// How the payloads of some are made from what stands in their place.
    ways: HashMap<u32, Way>,
}

/// What is found while a store is read.
struct Building {
    translator: Translator,
    restorer: Restorer,
    runs: Vec<NewRun>,
    chain: Chain,
    ids: HashSet<Id>,
    first: Option<Id>,
    doubts: BTreeMap<u64, Doubt>,
    lanes_from: u64,
    frame: Vec<u8>,
}

impl Building {
    /// Reads all of a store.
    fn read(
        files: &Files,
        names: &[(String, bool)],
        payloads: Payloads,
    ) -> Result<(Self, Recovered)> {
        let mut notes = Notes::default();
        let keyset = files.read_small(sidecar::KEYSET, MAX_KEYSET_BYTES)?;
        let keys = match keyset.map(|bytes| sidecar::keyset(&bytes)) {
            None => HashMap::new(),
            Some(Ok(keys)) => keys,
            Some(Err(error)) => {
                let why = error.damage(&files.path(sidecar::KEYSET))?;
                let what = format!("{} cannot be read: {why}", sidecar::KEYSET);
                let (severity, sequence) = (Severity::Damage, None);
                notes.push(Note { segment: 0, offset: 0, severity, events: 0, sequence, what });
                HashMap::new()
            }
        };
        let mut building = Self {
            translator: Translator { payloads, keys },
            restorer: Restorer::default(),
            runs: Vec::new(),
            chain: Chain::default(),
            ids: HashSet::new(),
            first: None,
            doubts: BTreeMap::new(),
            lanes_from: u64::MAX,
            frame: Vec::new(),
        };
        let recovered = recover(files, names, notes, &mut building)?;
        Ok((building, recovered))
    }

    /// The payload's bytes as they were hashed, how they are made if they do not stand there, and
    /// whether they are the right ones.
    fn hashed<'a>(&mut self, event: &'a OldEvent<'_>) -> (Cow<'a, [u8]>, Option<Way>, bool) {
        let as_it_stands = as_it_stands(event);
        let is_value = event.payload == Payload::Value;
        let Some(hash) = event.hash() else { return (as_it_stands, None, !is_value) };
        if !is_value && *blake3::hash(&as_it_stands).as_bytes() == hash.0 {
            return (as_it_stands, None, true);
        }
        // A list of small numbers looks like bytes, and may be a value all the same.
        match self.restorer.restore(event.payload_value, hash) {
            Some((way, bytes)) => (Cow::Owned(bytes), Some(way), true),
            None => (as_it_stands, None, false),
        }
    }

    /// Adds the event whose frame is in `self.frame`.
    fn add(&mut self, found: Found, way: Option<Way>) -> Result<()> {
        let Found { place, segment, sequence, batch_continues, .. } = found;
        let goes_on = self.runs.last().is_some_and(|run| {
            let next = run.tail.next_sequence();
            run.source == place.source && (next..=next + MAX_HOLES).contains(&sequence)
        });
        if !goes_on {
            let before = self.runs.last().map(|run| (run.tail.tree.clone(), run.tail.last_hash));
            let (tree, last_hash) = before.unwrap_or_default();
            let tail = Tail::new(Id::NONE, segment, sequence, tree, last_hash);
            let (source, frames, ways) = (place.source, Vec::new(), HashMap::new());
            self.runs.push(NewRun { tail, source, frames, ways });
        }
        let Some(run) = self.runs.last_mut() else { return Ok(()) };
        while run.tail.next_sequence() < sequence {
            run.tail.push_hole();
            run.frames.push(OldFrame { offset: place.offset, length: 0, batch_continues: false });
        }
        if let Some(way) = way {
            run.ways.insert(run.frames.len() as u32, way);
        }
        run.tail.push(&Frame::of_own(&self.frame).map_err(Error::corrupt)?, None);
        run.frames.push(OldFrame { offset: place.offset, length: place.length, batch_continues });
        Ok(())
    }
}

impl Sink for Building {
    fn event(&mut self, found: Found, event: &OldEvent<'_>) -> Result<Taken> {
        let Found { sequence, is_hidden, batch_continues, .. } = found;
        if !is_hidden && self.ids.contains(&event.id) {
            return Ok(Taken::Repeats(format!("an earlier event has the same id {}", event.id)));
        }
        self.first.get_or_insert(event.id);
        if event.links_lanes {
            self.lanes_from = self.lanes_from.min(sequence);
        }
        let step = self.chain.follow(event, is_hidden);
        let taken = if step == Step::Skips { Taken::Skips } else { Taken::Follows };
        if is_hidden {
            return Ok(taken);
        }
        self.ids.insert(event.id);
        let (hashed, way, is_right) = self.hashed(event);
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let shown = self.translator.translate(event, hashed, sequence, batch_continues, &mut frame);
        self.frame = frame;
        let opens = match shown {
            Ok(opens) => opens,
            Err(why) => return Ok(Taken::Unfit(why)),
        };
        let mut doubt = Doubt::default();
        doubt.0 |= match (is_right, opens) {
            // Of another payload, that no key opens it says nothing more.
            (false, _) => Doubt::PAYLOAD,
            (true, false) => Doubt::KEY,
            (true, true) => 0,
        };
        doubt.0 |= if step == Step::Contradicts { Doubt::LINK } else { 0 };
        if doubt != Doubt::default() {
            self.doubts.insert(sequence, doubt);
        }
        self.add(found, way)?;
        Ok(taken)
    }
}

impl Inner {
    /// Reads a 0.x store once more, checks every checksum, hash and link, and looks for sequences
    /// that are missing without a compaction that could have removed them.
    pub(super) fn verify_old(&self) -> Result<VerifyReport> {
        let (found, recovered) = Building::read(&self.files, &list(&self.files)?, Payloads::Kept)?;
        let mut findings = Vec::new();
        for (sequence, doubt) in &found.doubts {
            let run = found.runs.partition_point(|run| run.tail.first_sequence <= *sequence);
            let Some(run) = run.checked_sub(1).and_then(|run| found.runs.get(run)) else {
                continue;
            };
            let index = (sequence - run.tail.first_sequence) as usize;
            let offset = run.frames.get(index).map_or(0, |frame| frame.offset);
            for (kind, reason) in doubt.held() {
                let message = format!("event {sequence}: {reason}");
                findings.push(Finding { kind, segment: run.tail.number, offset, message });
            }
        }
        let notes = recovered.notes.list().iter();
        for note in notes.filter(|note| note.severity == Severity::Damage) {
            let is_file = note.events == 0 && note.offset == 0;
            let kind = if is_file { FindingKind::Segment } else { FindingKind::Frame };
            let (segment, offset) = (note.segment, note.offset);
            findings.push(Finding { kind, segment, offset, message: note.what.clone() });
        }
        for gap in recovered.gaps.iter().filter(|gap| !gap.is_explained) {
            let message = format!("the events {} to {} are missing", gap.from, gap.to - 1);
            let (kind, segment) = (FindingKind::Sequence, gap.segment);
            findings.push(Finding { kind, segment, offset: 0, message });
        }
        findings.sort_by_key(|finding| (finding.segment, finding.offset));
        let last = found.runs.last().map(|run| &run.tail);
        Ok(VerifyReport {
            events: last.map_or(0, |tail| tail.tree.size()),
            dropped: 0,
            tombstones: 0,
            erased: 0,
            segments: recovered.sources.len() as u64,
            last_hash: last.map_or(Hash::ZERO, |tail| tail.last_hash),
            root: last.map_or_else(|| Tree::default().root(), |tail| tail.tree.root()),
            findings,
        })
    }
}

impl Store {
    /// The bytes that a receipt of the batpak crate 0.7 to 0.10 vouches for, for an event of a 0.x
    /// store that is opened for reading: the receipt's signature is Ed25519 over the BLAKE3 of
    /// these bytes, its key id the BLAKE3 of the public key. Receipts are not in the store.
    ///
    /// The extensions of a receipt of 0.7 are not in the store either: there the bytes are those
    /// of a receipt without extensions. `NotFound` if there is no such event, `Unsupported` for a
    /// store of another format.
    pub fn receipt_cover_0x(&self, sequence: u64) -> Result<Vec<u8>> {
        self.0.check_usable()?;
        if self.0.old.is_none() {
            let why = "only a store of the batpak crate 0.x has such receipts";
            return Err(Error::new(ErrorKind::Unsupported, why).at_path(&self.0.files.dir));
        }
        let event = self.0.event_at(sequence)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no event {sequence}"))
        })?;
        Ok(receipt::cover(&event))
    }
}
