//! Opening a store of the batpak crate 0.x, for reading.
//!
//! [`recover`] says which events there are. Each becomes an event of this format whenever it is
//! read: its frame is made from the old one. The index is the same as that of a salvaged store, so
//! everything that reads works as it does elsewhere. Hashes and clocks are the old ones.

use super::import::Dropped;
use super::open::OpenReport;
use super::verify::{Finding, FindingKind, VerifyReport};
use super::{Inner, Live, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{MAX_EXTENSION_BYTES, push_extension};
use crate::format::array;
use crate::format::frame::{self, Fields, Frame, Unsealed};
use crate::format::manifest::Manifest;
use crate::format::segment as own_segment;
use crate::format::tree::Tree;
use crate::ids::{Hash, Id};
use crate::index::tail::Tail;
use crate::index::{Frames, Part};
use crate::interop::frame::{OldEvent, PREFIX_BYTES, Payload, Prefix};
use crate::interop::payload::{Restorer, decrypt};
use crate::interop::recover::{Found, Note, Place, Recovered, Severity, Sink, Source, recover};
use crate::interop::{ENCRYPTION, SHREDDED, receipt, sidecar};
use crate::options::{MAX_PAYLOAD_BYTES, OpenMode, OpenOptions};
use crate::storage::files::{Files, read_exact};
use crate::storage::{Access, VfsFile};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

const MAX_KEYSET_BYTES: u64 = 256 << 20;

/// What a reader gets of an encrypted payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payloads {
    /// The plaintext; without its key, nothing, and the extension [`SHREDDED`].
    Shown,
    /// The ciphertext, with the extension [`ENCRYPTION`].
    Kept,
    /// The plaintext; without its key, the ciphertext.
    Decrypted,
}

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
    const PAYLOAD: u8 = 0x01;
    const LINK: u8 = 0x02;

    pub(super) fn reasons(self) -> String {
        let reasons = [
            (Self::PAYLOAD, "its payload is not the one that its hash was made of"),
            (Self::LINK, "its link names another event than its predecessor"),
        ];
        let held = reasons.iter().filter(|(bit, _)| self.0 & bit != 0).map(|(_, reason)| *reason);
        held.collect::<Vec<_>>().join("; ")
    }
}

/// What is known of an opened 0.x store beyond its events.
pub(super) struct Old {
    /// The sequences that cancelled fences hide, rising.
    pub(super) hidden: Vec<u64>,
    pub(super) doubts: BTreeMap<u64, Doubt>,
    /// What was passed over.
    pub(super) dropped: Vec<Dropped>,
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

/// How old frames are found and read.
struct Book {
    sources: Vec<Source>,
    payloads: Payloads,
    keys: HashMap<Vec<u8>, [u8; 32]>,
    restorer: Mutex<Restorer>,
}

/// The old frames of one run of events, in a segment.
struct Run {
    book: Arc<Book>,
    source: u32,
    frames: Vec<OldFrame>,
}

#[derive(Clone, Copy)]
struct OldFrame {
    offset: u64,
    /// Of the body.
    length: u32,
    batch_continues: bool,
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
    let mut notes = Vec::new();
    let keys = match files.read_small(sidecar::KEYSET, MAX_KEYSET_BYTES)? {
        None => HashMap::new(),
        Some(bytes) => sidecar::keyset(&bytes).unwrap_or_else(|why| {
            let what = format!("{} cannot be read: {why}", sidecar::KEYSET);
            let (severity, event) = (Severity::Damage, None);
            notes.push(Note { segment: 0, offset: 0, severity, event, what });
            HashMap::new()
        }),
    };
    let book = Book { sources: Vec::new(), payloads, keys, restorer: Mutex::default() };
    let mut building = Building::new(book);
    let recovered = recover(&files, names, &mut building)?;
    let refused = || recovered.notes.iter().chain(&notes).find(|n| n.severity == Severity::Damage);
    if options.mode != OpenMode::Salvage
        && let Some(note) = refused()
    {
        let why = "open it for salvage to read the rest";
        let error = Error::corrupt(format!("{}; {why}", note.what));
        let path = match recovered.sources.iter().find(|source| source.number == note.segment) {
            Some(source) => files.path(&source.name),
            None => files.dir.clone(),
        };
        return Err(error.at_path(&path).at(note.segment, note.offset));
    }
    notes.extend(recovered.notes.iter().cloned());
    notes.append(&mut building.notes);

    let (hidden, bytes) = (recovered.hidden.clone(), recovered.bytes);
    let keys_without_events = match files.read_small(sidecar::KEYS, MAX_KEYSET_BYTES)? {
        // The keys of the events that are there are their ids.
        Some(bytes) => sidecar::keys_without_events(&bytes).map_or(0, |keys| keys.len() as u64),
        None => 0,
    };
    let store =
        building.first.map_or(Id::NONE, |first| Id::for_operation("batpak.0x.store", &[&first.0]));
    let doubts = std::mem::take(&mut building.doubts);
    let parts = building.finish(&recovered);
    let live = Live { parts: Arc::new(parts), ..Live::default() };
    let visible = live.visible();
    let live = Live { written_events: visible, durable_events: visible, ..live };
    let events = live.parts.iter().map(|part| part.end_sequence() - part.first_sequence()).sum();
    let report = OpenReport {
        format: 1,
        clean: notes.is_empty(),
        events,
        hidden: hidden.len() as u64,
        segments: recovered.sources.len() as u64,
        ignored: recovered.ignored,
        damage: notes.iter().map(sentence).collect(),
        ..OpenReport::default()
    };
    let manifest =
        Manifest { store, lineage: store, created_us: 0, closed: None, segments: Vec::new() };
    let mut inner = Inner::new(files, options, &manifest, live, report);
    let dropped = notes.into_iter().map(|note| Dropped {
        segment: note.segment,
        offset: note.offset,
        sequence: note.event.flatten(),
        is_event: note.event.is_some(),
        reason: note.what,
    });
    let dropped = dropped.collect();
    inner.old =
        Some(Old { hidden, doubts, dropped, keys_without_events, bytes, lock: Mutex::new(lock) });
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
    if let Some(sequence) = note.event.flatten() {
        let _ = write!(text, " (event {sequence})");
    }
    text
}

impl Book {
    /// The payload's bytes as they were hashed, as far as they are known.
    fn hashed<'a>(&self, event: &'a OldEvent<'_>) -> (Cow<'a, [u8]>, bool) {
        match &event.payload {
            Payload::Bytes(bytes) => {
                let is_right =
                    event.hash().is_none_or(|hash| *blake3::hash(bytes).as_bytes() == hash.0);
                (Cow::Borrowed(&**bytes), is_right)
            }
            Payload::Value(value) => {
                let hash = event.hash().unwrap_or_default();
                match self.restorer.lock().restore(value, hash) {
                    Some(bytes) => (Cow::Owned(bytes), true),
                    None => (Cow::Borrowed(*value), false),
                }
            }
        }
    }

    /// Appends the frame that shows the event, or says why it cannot be shown.
    fn translate(
        &self,
        event: &OldEvent<'_>,
        hashed: Cow<'_, [u8]>,
        sequence: u64,
        batch_continues: bool,
        out: &mut Vec<u8>,
    ) -> std::result::Result<(), &'static str> {
        let mut payload = hashed;
        let mut extensions = Vec::new();
        for (key, value) in &event.extensions {
            let (Ok(key_bytes), Ok(value_bytes)) =
                (u16::try_from(key.len()), u16::try_from(value.len()))
            else {
                return Err("an extension is too long");
            };
            extensions.extend_from_slice(&key_bytes.to_le_bytes());
            extensions.extend_from_slice(&value_bytes.to_le_bytes());
            extensions.extend_from_slice(key.as_bytes());
            extensions.extend_from_slice(value);
        }
        if let Some(encryption) = &event.encryption {
            let plaintext = match self.payloads {
                Payloads::Kept => None,
                Payloads::Shown | Payloads::Decrypted => {
                    let key = self.keys.get(&*encryption.keyscope);
                    key.and_then(|key| decrypt(event, &payload, key))
                }
            };
            let mut with = Vec::new();
            match plaintext {
                Some(plaintext) => {
                    payload = Cow::Owned(plaintext);
                    with = extensions;
                }
                None if self.payloads == Payloads::Shown => {
                    payload = Cow::Borrowed(&[]);
                    push_extension(&extensions, SHREDDED, &encryption.keyscope, &mut with);
                }
                None => {
                    let how = [&encryption.nonce, &*encryption.keyscope].concat();
                    push_extension(&extensions, ENCRYPTION, &how, &mut with);
                }
            }
            extensions = with;
        }
        if extensions.len() > MAX_EXTENSION_BYTES {
            return Err("its extensions are too long");
        }
        if payload.len() > MAX_PAYLOAD_BYTES as usize {
            return Err("its payload is too long");
        }
        let longest = usize::from(u16::MAX);
        if event.entity.len() > longest || event.scope.len() > longest {
            return Err("a name is too long");
        }
        let (prev_hash, hash) = event.chain.unwrap_or_default();
        let fields = Fields {
            sequence,
            id: event.id,
            timestamp_us: event.timestamp_us,
            wall_us: wall_us(event),
            clock: event.clock,
            lane: event.lane,
            depth: event.depth,
            kind: event.kind,
            payload_version: event.payload_version,
            flags: event.flags,
            correlation: event.correlation,
            causation: event.causation,
            prev_hash,
            entity: event.entity,
            scope: event.scope,
            extensions: &extensions,
            payload: &payload,
            payload_hash: Hash::ZERO,
            batch_continues,
            synced_to: 0,
        };
        let (start, mut unsealed) = (out.len(), Unsealed::default());
        frame::encode(&fields, Id::NONE, out, &mut unsealed);
        frame::seal_with(&mut out[start..], hash);
        Ok(())
    }
}

/// The crate keeps milliseconds: where they are those of the timestamp, the timestamp says more.
fn wall_us(event: &OldEvent<'_>) -> i64 {
    let wall_ms = i64::try_from(event.wall_ms).unwrap_or(i64::MAX);
    if event.timestamp_us.div_euclid(1000) == wall_ms {
        event.timestamp_us
    } else {
        wall_ms.saturating_mul(1000)
    }
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
            let start = (at.offset - from.offset) as usize;
            let body_at = start + PREFIX_BYTES;
            let body = &old[body_at..body_at + at.length as usize];
            let prefix =
                Prefix { length: at.length, crc: u32::from_be_bytes(array(&old, start + 4)) };
            if !prefix.is_of(body) {
                return Err(located(changed(), at.offset));
            }
            let event = OldEvent::decode(body).map_err(|_| located(changed(), at.offset))?;
            let (hashed, _) = match &event.payload {
                Payload::Bytes(bytes) => (Cow::Borrowed(&**bytes), true),
                Payload::Value(_) => self.book.hashed(&event),
            };
            let sequence = tail.first_sequence + index as u64;
            let shown = self.book.translate(&event, hashed, sequence, at.batch_continues, &mut out);
            shown.map_err(|_| located(changed(), at.offset))?;
        }
        if out.len() == bytes { Ok(out) } else { Err(located(changed(), from.offset)) }
    }

    fn origin(&self, index: u32) -> u64 {
        self.frames.get(index as usize).map_or(0, |frame| frame.offset)
    }
}

/// Where a stream stands, by what its next event may link to.
#[derive(Clone, Copy, Default)]
struct Links {
    clock: Option<u32>,
    any: Hash,
    visible: Hash,
}

impl Links {
    fn pass(&mut self, event: &OldEvent<'_>, is_hidden: bool) {
        self.clock = Some(event.clock);
        self.any = event.hash().unwrap_or_default();
        if !is_hidden {
            self.visible = self.any;
        }
    }

    /// How the event follows, if its predecessor is in this stream.
    fn before(&self, event: &OldEvent<'_>) -> Step {
        let next = self.clock.map_or(Some(0), |clock| clock.checked_add(1));
        if next.is_none_or(|next| next < event.clock) {
            return Step::Skips;
        }
        // What is hidden was passed by in versions up to 0.8, and linked to later.
        let is_linked = [self.any, self.visible].contains(&event.prev_hash());
        let is_next = next == Some(event.clock);
        if is_next && !is_linked && event.hash().is_some() {
            Step::Contradicts
        } else {
            Step::Follows
        }
    }
}

/// How an event stands to what comes before it in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Follows,
    /// Its predecessor is not there: a compaction has removed it, say.
    Skips,
    /// Its predecessor is there, but its link names another event.
    Contradicts,
}

/// Streams as the versions link them: by entity up to 0.8, by entity and lane from 0.9.
#[derive(Default)]
struct Chain(HashMap<Box<str>, (Links, BTreeMap<u32, Links>)>);

impl Chain {
    fn follow(&mut self, event: &OldEvent<'_>, is_hidden: bool) -> Step {
        if !self.0.contains_key(event.entity) {
            self.0.insert(event.entity.into(), Default::default());
        }
        let Some((whole, lanes)) = self.0.get_mut(event.entity) else { return Step::Follows };
        let lane = lanes.entry(event.lane).or_default();
        let step = if event.links_lanes { lane.before(event) } else { whole.before(event) };
        whole.pass(event, is_hidden);
        lane.pass(event, is_hidden);
        step
    }
}

/// What is found while the store is opened.
struct Building {
    book: Book,
    parts: Vec<(Tail, u32, Vec<OldFrame>)>,
    chain: Chain,
    ids: HashSet<Id>,
    first: Option<Id>,
    doubts: BTreeMap<u64, Doubt>,
    notes: Vec<Note>,
    frame: Vec<u8>,
}

impl Building {
    fn new(book: Book) -> Self {
        Self {
            book,
            parts: Vec::new(),
            chain: Chain::default(),
            ids: HashSet::new(),
            first: None,
            doubts: BTreeMap::new(),
            notes: Vec::new(),
            frame: Vec::new(),
        }
    }

    fn finish(mut self, recovered: &Recovered) -> Vec<Arc<Part>> {
        self.book.sources = recovered.sources.clone();
        let book = Arc::new(self.book);
        let parts = self.parts.into_iter().map(|(tail, source, frames)| {
            let run = Run { book: book.clone(), source, frames };
            Arc::new(Part::Indexed(tail, Some(Box::new(run))))
        });
        parts.collect()
    }
}

impl Sink for Building {
    fn event(&mut self, found: Found, event: &OldEvent<'_>) -> Result<bool> {
        let Found { place, segment, sequence, is_hidden, batch_continues } = found;
        self.first.get_or_insert(event.id);
        let (hashed, is_right) = self.book.hashed(event);
        let step = self.chain.follow(event, is_hidden);
        let skips = step == Step::Skips;
        if is_hidden {
            return Ok(skips);
        }
        let mut doubt = Doubt::default();
        doubt.0 |= if is_right { 0 } else { Doubt::PAYLOAD };
        doubt.0 |= if step == Step::Contradicts { Doubt::LINK } else { 0 };
        let mut drop = |what: String| {
            let severity = Severity::Leftover;
            let (offset, event) = (place.offset, Some(Some(sequence)));
            self.notes.push(Note { segment, offset, severity, event, what });
        };
        if !self.ids.insert(event.id) {
            drop(format!("an earlier event has the same id {}", event.id));
            return Ok(skips);
        }
        self.frame.clear();
        let shown = self.book.translate(event, hashed, sequence, batch_continues, &mut self.frame);
        if let Err(why) = shown {
            drop(format!("the event cannot be shown: {why}"));
            return Ok(skips);
        }
        if doubt != Doubt::default() {
            self.doubts.insert(sequence, doubt);
        }
        let goes_on = self.parts.last().is_some_and(|(tail, source, _)| {
            *source == place.source && tail.next_sequence() == sequence
        });
        if !goes_on {
            let before = self.parts.last().map(|(tail, ..)| (tail.tree.clone(), tail.last_hash));
            let (tree, last_hash) = before.unwrap_or_default();
            let tail = Tail::new(Id::NONE, segment, sequence, tree, last_hash);
            self.parts.push((tail, place.source, Vec::new()));
        }
        if let Some((tail, _, frames)) = self.parts.last_mut() {
            tail.push(&Frame::of_own(&self.frame).map_err(Error::corrupt)?, None);
            let Place { offset, length, .. } = place;
            frames.push(OldFrame { offset, length, batch_continues });
        }
        Ok(skips)
    }
}

/// What verifying finds besides the frames that cannot be read.
struct Checking {
    book: Book,
    chain: Chain,
    events: u64,
    tree: Tree,
    last_hash: Hash,
    findings: Vec<Finding>,
}

impl Sink for Checking {
    fn event(&mut self, found: Found, event: &OldEvent<'_>) -> Result<bool> {
        let Found { place, segment, sequence, is_hidden, .. } = found;
        let (_, is_right) = self.book.hashed(event);
        let step = self.chain.follow(event, is_hidden);
        let mut find = |kind, what: &str| {
            let message = format!("event {sequence}: {what}");
            self.findings.push(Finding { kind, segment, offset: place.offset, message });
        };
        if !is_right {
            find(FindingKind::Hash, &Doubt(Doubt::PAYLOAD).reasons());
        }
        if step == Step::Contradicts {
            find(FindingKind::Link, &Doubt(Doubt::LINK).reasons());
        }
        if !is_hidden {
            self.events += 1;
            self.last_hash = event.chain.map(|(_, hash)| hash).unwrap_or_default();
            self.tree.push(&self.last_hash);
        }
        Ok(step == Step::Skips)
    }
}

impl Inner {
    /// Reads a 0.x store once more, checks every checksum, hash and link, and looks for sequences
    /// that are missing without a compaction that could have removed them.
    pub(super) fn verify_old(&self) -> Result<VerifyReport> {
        let book = Book {
            sources: Vec::new(),
            payloads: Payloads::Kept,
            keys: HashMap::new(),
            restorer: Mutex::default(),
        };
        let mut checking = Checking {
            book,
            chain: Chain::default(),
            events: 0,
            tree: Tree::default(),
            last_hash: Hash::ZERO,
            findings: Vec::new(),
        };
        let recovered = recover(&self.files, &super::open::list(&self.files)?, &mut checking)?;
        let mut findings = checking.findings;
        for note in recovered.notes.iter().filter(|note| note.severity == Severity::Damage) {
            let is_file = note.event.is_none() && note.offset == 0;
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
        Ok(VerifyReport {
            events: checking.events,
            segments: recovered.sources.len() as u64,
            last_hash: checking.last_hash,
            root: checking.tree.root(),
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
