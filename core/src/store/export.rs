//! Exporting: a copy of events as a store that the batpak crate 0.x opens.
//!
//! The copy has neither indexes nor caches, which every version makes again, so that one form serves
//! 0.7 to 0.10.

use super::Store;
use super::import::{Dropped, Origin, is_hidden_place, tell};
use super::old::Payloads;
use super::open::open_for_reading;
use super::unfinished::Unfinished;
use crate::coordinate::check_coordinate;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::format::segment;
use crate::ids::Hash;
use crate::interop::frame::{Encryption, Form, OldEvent, Payload, encode};
use crate::interop::segment::encode_header;
use crate::interop::{ENCRYPTION, sidecar};
use crate::region::{Query, Region};
use crate::storage::{VfsFile, write_all_at};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much is written at once.
const WRITE_BYTES: usize = 1 << 20;
const NONCE_BYTES: usize = 24;

/// How events are exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// Write what the batpak crate 0.1 reads, too: without extensions and payload versions, and
    /// nearly twice as large. Without it, what 0.7 to 0.10 read.
    pub plain: bool,
    /// A segment that has reached this size is ended before the next event. In bytes.
    pub segment_bytes: u64,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { plain: false, segment_bytes: 64 << 20 }
    }
}

/// What an export did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Events that were written.
    pub exported: u64,
    /// Places of hidden events that were written, so that sequences stay the same; they are hidden
    /// there, too. The form for 0.1 has none.
    pub hidden: u64,
    /// Events that were left out; the reasons are in `drops`.
    pub dropped: u64,
    /// Segments that were written.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why events were left out: the first [`MOST_DROPS`](crate::MOST_DROPS).
    pub drops: Vec<Dropped>,
}

impl Store {
    /// Writes the events that are in the region to a new directory, as a store of the batpak crate
    /// 0.x. The directory must not exist, or be empty. Nothing of a failed export is left under its
    /// name.
    ///
    /// Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
    /// versions and payloads; an imported event gets its old clock, and its ciphertext if it was
    /// encrypted; the key file is not part of the copy. Links and hashes are made as the crate makes
    /// them. Sequences there are the places of the events in the export.
    pub fn export_to(
        &self,
        destination: impl AsRef<Path>,
        region: &Region,
        options: &ExportOptions,
    ) -> Result<ExportReport> {
        self.0.check_usable()?;
        self.0.check_region(region)?;
        let files = &self.0.files;
        // What a 0.x store has encrypted leaves it as ciphertext.
        let as_stored = match &self.0.old {
            Some(_) => {
                let (vfs, own) = (files.vfs.clone(), &self.0.options);
                open_for_reading(vfs, &files.dir, own, Payloads::Kept)?
            }
            None => self.clone(),
        };
        let to = Unfinished::begin(files.vfs.clone(), destination.as_ref(), &files.dir)?;
        let mut export = Export::new(to, options);
        for event in as_stored.scan(Query::new(region.clone())) {
            export.take(&event?)?;
        }
        export.finish()
    }
}

/// A segment being written.
struct Segment {
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    /// How much of it is in the file.
    written: u64,
}

struct Export {
    to: Unfinished,
    form: Form,
    segment_bytes: u64,
    segment: Option<Segment>,
    buffer: Vec<u8>,
    /// The clock and the hash of the last event of each stream.
    heads: HashMap<(Box<str>, u32), (u32, Hash)>,
    hidden: Vec<(u64, u64)>,
    /// Events and places that were written.
    places: u64,
    report: ExportReport,
}

impl Export {
    fn new(to: Unfinished, options: &ExportOptions) -> Self {
        Self {
            to,
            form: if options.plain { Form::Plain } else { Form::Lean },
            segment_bytes: options.segment_bytes.max(1),
            segment: None,
            buffer: Vec::new(),
            heads: HashMap::new(),
            hidden: Vec::new(),
            places: 0,
            report: ExportReport::default(),
        }
    }

    fn take(&mut self, event: &Event) -> Result<()> {
        let is_hidden = is_hidden_place(event);
        if is_hidden && self.form == Form::Plain {
            return Ok(());
        }
        // 0.1 opens every name, the later versions only those that are allowed today.
        let named = match self.form {
            Form::Plain => Ok(()),
            Form::Lean => check_coordinate(event.entity(), event.scope()),
        };
        let refused = match named {
            Err(error) => Some(format!("the crate would not open the store: {error}")),
            Ok(()) => None,
        };
        if let Some(reason) = refused {
            self.report.dropped += 1;
            tell(&mut self.report.drops, Dropped::of(event, reason));
            return Ok(());
        }
        self.make_room(event.wall_us())?;
        self.write_event(event);
        if is_hidden {
            self.report.hidden += 1;
            match self.hidden.last_mut() {
                Some((_, end)) if *end == self.places => *end += 1,
                _ => self.hidden.push((self.places, self.places + 1)),
            }
        } else {
            self.report.exported += 1;
        }
        self.places += 1;
        if self.buffer.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    fn write_event(&mut self, event: &Event) {
        let origin = Origin::of(event);
        // 0.1 knows no lanes: there a stream is all of an entity.
        let lane = if self.form == Form::Plain { 0 } else { event.lane() };
        let stream = (Box::from(event.entity()), lane);
        let before = self.heads.get(&stream).copied();
        let next = before.map_or(0, |(clock, _)| clock.saturating_add(1));
        // The old clock, unless what stands before it has passed it.
        let clock = origin.map_or(event.clock(), |origin| origin.clock).max(next);
        let prev_hash = before.map_or(Hash::ZERO, |(_, hash)| hash);
        let hash = Hash(*blake3::hash(event.payload()).as_bytes());
        self.heads.insert(stream, (clock, hash));

        let mut encryption = None;
        let mut extensions = Vec::new();
        for (key, value) in event.extensions() {
            if key == ENCRYPTION
                && let Some((nonce, keyscope)) = value.split_first_chunk::<NONCE_BYTES>()
            {
                encryption = Some(Encryption { keyscope: Cow::Borrowed(keyscope), nonce: *nonce });
            } else if key != super::import::ORIGIN {
                extensions.push((key, Cow::Borrowed(value)));
            }
        }
        let old = OldEvent {
            id: event.id(),
            correlation: event.correlation(),
            causation: event.causation().unwrap_or_default(),
            timestamp_us: event.timestamp_us(),
            wall_ms: event.wall_us().div_euclid(1000).max(0) as u64,
            clock,
            lane: event.lane(),
            depth: event.depth(),
            payload_size: event.payload().len() as u32,
            kind: event.kind().0,
            flags: event.flags(),
            payload_version: event.payload_version(),
            links_lanes: self.form == Form::Lean,
            encryption,
            payload: Payload::Bytes(Cow::Borrowed(event.payload())),
            payload_value: &[],
            chain: Some((prev_hash, hash)),
            entity: event.entity(),
            scope: event.scope(),
            extensions,
        };
        encode(&old, self.form, &mut self.buffer);
    }

    /// Begins a segment if there is none, or if the one there is full.
    fn make_room(&mut self, now_us: i64) -> Result<()> {
        let held = self.segment.as_ref().map(|segment| segment.written + self.buffer.len() as u64);
        if held.is_some_and(|bytes| bytes < self.segment_bytes) {
            return Ok(());
        }
        self.end_segment()?;
        let number = self.report.segments + 1;
        let (path, file) = self.to.create(&segment::file_name(number))?;
        self.segment = Some(Segment { path, file, written: 0 });
        self.report.segments = number;
        self.buffer.extend(encode_header(number, now_us.saturating_mul(1000)));
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        write_all_at(&*segment.file, &self.buffer, segment.written)
            .map_err(|e| Error::io("cannot write the segment", &segment.path, &e))?;
        segment.written += self.buffer.len() as u64;
        self.report.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn end_segment(&mut self) -> Result<()> {
        self.write()?;
        match self.segment.take() {
            None => Ok(()),
            Some(segment) => {
                let synced = segment.file.sync();
                synced.map_err(|e| Error::io("cannot sync the segment", &segment.path, &e))
            }
        }
    }

    /// Makes what was written last, and gives it its name.
    fn finish(mut self) -> Result<ExportReport> {
        if self.report.segments == 0 {
            // A store without events is one, too.
            self.make_room(0)?;
        }
        self.end_segment()?;
        if !self.hidden.is_empty() {
            self.to.write(sidecar::HIDDEN, &sidecar::encode_hidden_ranges(&self.hidden))?;
        }
        self.to.finish()?;
        Ok(self.report)
    }
}
