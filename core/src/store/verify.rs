//! Verifying: every byte, hash, link, place, footer and root, recomputed from the frames.

use super::follow::TRIES;
use super::open::{check_header, read_head, read_manifest};
use super::{Inner, Store};
use crate::error::{ErrorKind, Result};
use crate::format::frame::Frame;
use crate::format::manifest::{Ancestor, Entry, Manifest};
use crate::format::segment::{HEADER_BYTES, Header};
use crate::format::tree::Tree;
use crate::ids::Hash;
use crate::index::Part;
use crate::index::tail::Tail;
use crate::options::OpenMode;
use crate::storage::VfsFile;
use crate::storage::files::read_exact;
use crate::storage::recovery::{Frames, Stored};
use std::collections::HashMap;
use std::sync::Arc;

/// What kind of damage a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum FindingKind {
    /// A segment or the manifest is missing, foreign, renamed, or has a bad header.
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
    /// In which segment; 0 is the manifest.
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
    /// Of those, events that a retention has dropped: what is left of them is their hash, so that they
    /// are told from events that never were.
    pub dropped: u64,
    /// Events that a compaction has made tombstones.
    pub tombstones: u64,
    /// Tombstones whose payload was erased.
    pub erased: u64,
    /// Segments that were checked.
    pub segments: u64,
    /// The hash of the last event.
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

/// A run of frames to check.
struct Extent {
    number: u64,
    first_sequence: u64,
    /// Behind the last event, as the index has it.
    end_sequence: u64,
    from: u64,
    to: u64,
    /// The newest segment's; the others are opened when their turn comes.
    file: Option<Arc<dyn VfsFile>>,
    part: Option<Arc<Part>>,
    /// The root after it, where something recorded it.
    root: Option<Hash>,
    /// What the index in memory says, as a footer, where there is one.
    index: Option<Vec<u8>>,
}

/// What has been checked so far.
struct Audit<'a> {
    inner: &'a Inner,
    manifest: Option<Manifest>,
    findings: Vec<Finding>,
    events: u64,
    /// The sequence that the next extent begins with, if nothing is missing.
    next: u64,
    tree: Tree,
    last_hash: Hash,
    /// Every event so far was read, so the tree is the log's.
    whole: bool,
    /// Of a fork: what it had in common with ancestors that were not reached yet, nearest first.
    ancestors: Vec<Ancestor>,
    streams: HashMap<(Arc<str>, u32), (u32, Hash)>,
    dropped: u64,
    tombstones: u64,
    erased: u64,
    /// Dropped events that have no frame: links to them lead nowhere.
    gone: u64,
}

impl Store {
    /// Recomputes every checksum, hash, link, place, footer and root of the visible events, and
    /// reports every damage. Appends go on meanwhile. An error means that the check itself could
    /// not be done.
    ///
    /// What is verified is the log against itself. That it is the log it was, is shown by
    /// comparing its head with one noted down elsewhere. A retention changes no head, so that a head proves
    /// which events there were, not that all of them are still shown: what is missing of them, by a
    /// retention or by somebody who could write the files, is counted in the report. Note these counts
    /// with the head, too.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.0.check_usable()?;
        if self.0.old.is_some() {
            return self.0.verify_old();
        }
        if let Some(writer) = &self.0.writer
            && writer.check_poison().is_ok()
        {
            self.0.flush()?;
        }
        let verify = || self.0.across_compactions(|| self.verify_now());
        for _ in 1..TRIES {
            let generation = self.0.live.read().generation;
            let report = verify()?;
            // For a reader in another process, a compaction may have taken segments away; whatever
            // else was found is no work of one.
            let of_segments = report.findings.iter().any(|f| f.kind == FindingKind::Segment);
            if !of_segments || !self.0.has_newer_segments(generation)? {
                return Ok(report);
            }
        }
        verify()
    }

    fn verify_now(&self) -> Result<VerifyReport> {
        // No compaction comes between the manifest and the segments.
        let commit = self.0.writer.as_ref().map(|writer| (writer, writer.commit.lock()));
        let manifest = match &commit {
            // The one on disk may be newer than what this handle shows.
            Some((writer, commit)) if writer.check_poison().is_err() => {
                Ok(Some(commit.manifest.clone()))
            }
            _ => read_manifest(&self.0.files),
        };
        let extents = self.0.extents()?;
        drop(commit);
        let mut audit = Audit {
            inner: &self.0,
            manifest: None,
            findings: Vec::new(),
            events: 0,
            next: 0,
            tree: Tree::default(),
            last_hash: Hash::ZERO,
            whole: true,
            ancestors: self.0.ancestors.clone(),
            streams: HashMap::new(),
            dropped: 0,
            tombstones: 0,
            erased: 0,
            gone: 0,
        };
        match manifest {
            Ok(manifest) => audit.manifest = manifest,
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => {
                audit.find(FindingKind::Segment, 0, 0, error.message());
            }
            Err(error) => return Err(error),
        }
        audit.check_ancestors(&Tree::default());
        for extent in &extents {
            audit.check(extent)?;
        }
        audit.check_end()?;
        Ok(VerifyReport {
            events: audit.events,
            dropped: audit.dropped,
            tombstones: audit.tombstones,
            erased: audit.erased,
            segments: extents.len() as u64,
            last_hash: audit.last_hash,
            root: audit.tree.root(),
            findings: audit.findings,
        })
    }
}

impl Inner {
    fn extents(&self) -> Result<Vec<Extent>> {
        let (parts, tail) = {
            let live = self.live.read();
            let tail = live.tail.as_ref().zip(live.newest.clone()).map(|(tail, newest)| {
                // Events that were buffered after the flush are not in the file yet.
                let whole = live.unwritten.is_empty();
                Extent {
                    number: tail.number,
                    first_sequence: tail.first_sequence,
                    end_sequence: tail.next_sequence(),
                    from: HEADER_BYTES as u64,
                    to: newest.written_end,
                    file: Some(newest.file),
                    part: None,
                    root: whole.then(|| tail.tree.root()),
                    index: (whole && tail.events() > 0).then(|| tail.footer()),
                }
            });
            (live.parts.clone(), tail)
        };
        let mut extents = Vec::with_capacity(parts.len() + 1);
        for part in parts.iter() {
            let (from, to, root) = match &**part {
                Part::Sealed(sealed) => {
                    let summary = &sealed.footer.summary;
                    (HEADER_BYTES as u64, summary.frames_end, Some(summary.root))
                }
                Part::Indexed(tail, _) => (tail.start(), tail.end, None),
            };
            extents.push(Extent {
                number: part.number(),
                first_sequence: part.first_sequence(),
                end_sequence: part.end_sequence(),
                from,
                to,
                file: None,
                part: Some(part.clone()),
                root,
                index: None,
            });
        }
        extents.extend(tail);
        Ok(extents)
    }
}

impl Audit<'_> {
    fn find(&mut self, kind: FindingKind, segment: u64, offset: u64, message: &str) {
        self.findings.push(Finding { kind, segment, offset, message: message.to_owned() });
    }

    /// Events between `self.next` and `until` were not there to be checked.
    fn find_missing(&mut self, segment: u64, offset: u64, until: u64) {
        if self.next < until {
            let why = format!("the events {} to {} are missing", self.next, until - 1);
            self.find(FindingKind::Sequence, segment, offset, &why);
        }
    }

    /// A salvaged store may have lost its end, which opening would have refused otherwise.
    fn check_end(&mut self) -> Result<()> {
        if self.inner.options.mode != OpenMode::Salvage {
            return Ok(());
        }
        let head = read_head(&self.inner.files).ok().flatten();
        let head = head.filter(|head| head.store == self.inner.store);
        let closed = self.manifest.as_ref().and_then(|manifest| manifest.closed);
        let durable = head.map_or(0, |head| head.durable_events);
        self.find_missing(0, 0, durable.max(closed.map_or(0, |closed| closed.events)));
        Ok(())
    }

    fn check(&mut self, extent: &Extent) -> Result<()> {
        let number = extent.number;
        self.find_missing(number, extent.from, extent.first_sequence);
        self.next = extent.end_sequence;
        let path = self.inner.files.segment_path(number);
        let file = match &extent.file {
            Some(file) => file.clone(),
            None => match self.inner.files.segment(number) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.find(FindingKind::Segment, number, 0, error.message());
                    self.whole = false;
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        if extent.from == HEADER_BYTES as u64 {
            self.check_header(extent, &*file)?;
        }
        if extent.first_sequence != self.tree.size() {
            self.whole = false;
        }

        let (lineage, first) = (self.inner.lineage, extent.first_sequence);
        let mut rebuilt = Tail::new(lineage, number, first, self.tree.clone(), self.last_hash);
        rebuilt.end = extent.from;
        let mut readable = true;
        let mut next = first;
        let mut frames = Frames::new(&*file, &path, number, extent.from, extent.to);
        while frames.at < extent.to {
            let at = frames.at;
            let header = frames.header_at()?;
            match frames.next()? {
                None => {
                    let why = "the segment is shorter than its log";
                    self.find(FindingKind::Frame, number, at, why);
                    readable = false;
                    break;
                }
                Some(Err(why)) => {
                    self.find(FindingKind::Frame, number, at, why);
                    readable = false;
                    // The header tells where the next one is; without it, look for one.
                    frames.advance(header.unwrap_or(8) as usize);
                    if header.is_none() && !frames.seek_header()? {
                        break;
                    }
                }
                Some(Ok(stored)) => {
                    let first = stored.first_sequence();
                    if readable && first != next {
                        let why = format!("event {first} stands where {next} belongs");
                        self.find(FindingKind::Sequence, number, at, &why);
                    }
                    next = first.wrapping_add(stored.events());
                    self.events += stored.events();
                    stored.hashes(|hash| self.last_hash = hash);
                    match &stored {
                        Stored::Event(frame) => {
                            self.check_event(frame, number, at);
                            if readable {
                                rebuilt.push(frame, None);
                                self.check_ancestors(&rebuilt.tree);
                            }
                        }
                        Stored::Gap(gap) => {
                            self.gone += gap.events();
                            self.dropped += gap.events();
                            if readable {
                                rebuilt.push_gap(gap, |tree| self.check_ancestors(tree));
                            }
                        }
                    }
                    let bytes = stored.padded();
                    frames.advance(bytes);
                }
            }
        }

        if readable {
            self.tree = rebuilt.tree.clone();
            self.check_closed_end(&rebuilt, extent, &*file)?;
            if let Some(root) = extent.root
                && self.whole
                && root != self.tree.root()
            {
                let why = "the tree over the events up to here has another root than recorded";
                self.find(FindingKind::Root, number, extent.to, why);
            }
            if extent.index.as_ref().is_some_and(|index| *index != rebuilt.footer()) {
                let why = "the index of the newest segment is not the one that the frames make";
                self.find(FindingKind::Footer, number, extent.to, why);
            }
        } else {
            self.whole = false;
        }
        if let Some(part) = &extent.part
            && let Part::Sealed(sealed) = &**part
        {
            if readable && !sealed.footer_is(&rebuilt.footer())? {
                let why = "the footer is not the one that the frames make";
                self.find(FindingKind::Footer, number, extent.to, why);
            }
            if !readable {
                // Go on from what the footer says, so that later damage is still told apart.
                match sealed.tree() {
                    Ok(tree) => self.tree = tree,
                    Err(error) => {
                        self.find(FindingKind::Footer, number, extent.to, error.message());
                    }
                }
            }
        }
        Ok(())
    }

    fn check_header(&mut self, extent: &Extent, file: &dyn VfsFile) -> Result<()> {
        let path = self.inner.files.segment_path(extent.number);
        let header = match read_exact(file, &path, extent.number, 0, HEADER_BYTES) {
            Ok(bytes) => Header::decode(&bytes).ok(),
            Err(error) if error.kind() == ErrorKind::Corrupt => None,
            Err(error) => return Err(error),
        };
        let Some(header) = header else {
            self.find(FindingKind::Segment, extent.number, 0, "the header is damaged");
            return Ok(());
        };
        let listed = self.manifest.as_ref().and_then(|manifest| {
            let entry = manifest.segments.iter().find(|entry| entry.number == extent.number)?;
            Some((manifest, *entry))
        });
        let Some((manifest, entry)) = listed else {
            if self.manifest.is_some() {
                self.find(FindingKind::Segment, extent.number, 0, "the manifest does not list it");
            }
            return Ok(());
        };
        let entry = Entry { first_sequence: extent.first_sequence, ..entry };
        let root = if self.whole { self.tree.root() } else { header.root_before };
        if let Err(error) = check_header(&self.inner.files, manifest, &entry, &header, root) {
            self.find(FindingKind::Segment, extent.number, 0, error.message());
        }
        Ok(())
    }

    fn check_event(&mut self, frame: &Frame<'_>, number: u64, at: u64) {
        let is_shown = !frame.is_dropped();
        self.dropped += u64::from(!is_shown);
        self.tombstones += u64::from(is_shown && frame.is_tombstone());
        self.erased += u64::from(is_shown && frame.is_erased());
        if !frame.hash_is_right(self.inner.lineage) {
            let why = "the event's hash is not the hash of its fields";
            self.find(FindingKind::Hash, number, at, why);
        }
        let stream = (Arc::from(frame.entity()), frame.lane());
        let before = self.streams.insert(stream, (frame.clock(), frame.hash()));
        let (clock, prev_hash) = match before {
            None => (0, Hash::ZERO),
            Some((clock, hash)) => (u64::from(clock) + 1, hash),
        };
        // So many events of its stream were dropped before it, no more than are gone.
        let skipped = u64::from(frame.clock()).checked_sub(clock);
        let follows = match skipped {
            Some(0) => prev_hash == frame.prev_hash(),
            Some(skipped) => skipped <= self.gone && frame.prev_hash() != Hash::ZERO,
            None => false,
        };
        if !follows {
            let why = format!(
                "event {} has clock {} and does not follow the one before it in its stream",
                frame.sequence(),
                frame.clock()
            );
            self.find(FindingKind::Link, number, at, &why);
        }
    }

    /// What the manifest says of the log as it was when it had so many events and was forked.
    fn check_ancestors(&mut self, tree: &Tree) {
        while let Some(ancestor) = self.ancestors.pop_if(|ancestor| ancestor.events <= tree.size())
        {
            let is_it = (ancestor.events, ancestor.root) == (tree.size(), tree.root());
            if self.whole && !is_it {
                let why = "the events up to the fork are not those that the manifest says";
                self.find(FindingKind::Root, 0, 0, why);
            }
        }
    }

    /// The root that was noted at the last clean close, if that was in this segment.
    fn check_closed_end(
        &mut self,
        rebuilt: &Tail,
        extent: &Extent,
        file: &dyn VfsFile,
    ) -> Result<()> {
        let closed = self.manifest.as_ref().and_then(|manifest| manifest.closed);
        let Some(closed) = closed.filter(|closed| closed.segment == extent.number && self.whole)
        else {
            return Ok(());
        };
        let at_close = if closed.events > rebuilt.next_sequence() {
            // A writer has closed the store since this reader looked at it.
            return Ok(());
        } else if closed.offset == rebuilt.end {
            Some((rebuilt.next_sequence(), rebuilt.tree.root()))
        } else {
            // The log has grown since: take the tree as it was then.
            let path = self.inner.files.segment_path(extent.number);
            let (lineage, number) = (self.inner.lineage, extent.number);
            let (_, before) = self.inner.tree_before(extent.first_sequence)?;
            let mut then = Tail::new(lineage, number, extent.first_sequence, before, Hash::ZERO);
            let extended = then.extend(file, &path, closed.offset.min(rebuilt.end), |_| {});
            extended.is_ok().then(|| (then.next_sequence(), then.tree.root()))
        };
        if at_close != Some((closed.events, closed.root)) {
            let why = "the events up to the last clean close are not those that were closed";
            self.find(FindingKind::Root, extent.number, closed.offset, why);
        }
        Ok(())
    }
}
