//! The events of a fence before it is committed: checked, and kept as records, in memory up to a
//! bound and beyond it in a file.
//!
//! The file loses its name as soon as it is there. So nobody else can come upon it, and the system
//! frees its space when the fence ends, in whatever way. Its content is never synced.

use super::prepare::{Prepared, PreparedEvent, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Causation, Event, Expected};
use crate::format::crc32;
use crate::format::frame::{self, Fields, Frame, Unsealed};
use crate::ids::{Hash, Id};
use crate::options::{Durability, MAX_FENCE_BYTES};
use crate::storage::files::Files;
use crate::storage::{Access, VfsFile, read_full_at, write_all_at};
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of a fence's file, for the moment that it has one. It ends with `.tmp`.
fn file_name() -> String {
    static CREATED: AtomicU64 = AtomicU64::new(0);
    let number = CREATED.fetch_add(1, Ordering::Relaxed);
    format!("fence-{}-{number}", std::process::id())
}

/// Whether a file of this name, without its `.tmp`, is what a process that was killed left of a fence.
pub(super) fn is_file_name(name: &str) -> bool {
    let numbers = name.strip_prefix("fence-").and_then(|numbers| numbers.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

/// A piece of the records takes no further ones once it has so many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// What a record takes besides names, extensions and payload.
const RECORD_BYTES: usize = 118;

/// The events of one fence.
pub(super) struct Staged {
    files: Arc<Files>,
    memory_bytes: usize,
    /// All records, in order.
    pieces: Vec<Piece>,
    /// How many bytes of them are in memory.
    held_bytes: usize,
    file: Option<(PathBuf, Arc<dyn VfsFile>)>,
    /// Up to where the file holds records.
    file_end: u64,
    events: u32,
    /// An upper bound of the bytes that the frames take.
    frame_bytes: u64,
    given: GivenIds,
    /// Some event expects its stream at a clock.
    pub(super) expects: bool,
}

/// A run of records.
pub(super) struct Piece {
    /// The place of the first.
    pub(super) first: u32,
    events: u32,
    place: Place,
}

enum Place {
    Memory(Vec<u8>),
    File { at: u64, bytes: usize, crc: u32 },
}

/// The ids that the caller gave, by place.
#[derive(Default)]
struct GivenIds {
    ids: Vec<(u32, Id)>,
    /// Places in `ids`.
    table: HashTable<u32>,
    hasher: RandomState,
}

impl GivenIds {
    fn has(&self, id: Id) -> bool {
        let is_it = |at: &u32| self.ids[*at as usize].1 == id;
        self.table.find(self.hasher.hash_one(id), is_it).is_some()
    }

    fn push(&mut self, place: u32, id: Id) {
        let at = self.ids.len() as u32;
        self.ids.push((place, id));
        let (ids, hasher) = (&self.ids, &self.hasher);
        let hash = |at: &u32| hasher.hash_one(ids[*at as usize].1);
        self.table.insert_unique(hash(&at), at, hash);
    }

    fn at(&self, place: u32) -> Option<Id> {
        let at = self.ids.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        Some(self.ids[at].1)
    }
}

impl Staged {
    pub(super) fn new(files: Arc<Files>, memory_bytes: usize) -> Self {
        Self {
            files,
            memory_bytes,
            pieces: Vec::new(),
            held_bytes: 0,
            file: None,
            file_end: 0,
            events: 0,
            frame_bytes: 0,
            given: GivenIds::default(),
            expects: false,
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.events
    }

    pub(super) fn frame_bytes(&self) -> u64 {
        self.frame_bytes
    }

    /// Whether all of it is in memory.
    pub(super) fn is_held(&self) -> bool {
        self.file.is_none()
    }

    pub(super) fn has_given_ids(&self) -> bool {
        !self.given.ids.is_empty()
    }

    /// The id that the caller gave to the event at this place.
    pub(super) fn given_id(&self, place: u32) -> Option<Id> {
        self.given.at(place)
    }

    /// Adds the events of a request, all or none. An error leaves everything as it was.
    pub(super) fn add(&mut self, request: &Request) -> Result<()> {
        let frame_bytes = self.frame_bytes + request.frame_bytes() as u64;
        let events = u64::from(self.events) + request.len() as u64;
        if frame_bytes > MAX_FENCE_BYTES || events > u64::from(u32::MAX) {
            let why = format!(
                "the fence would have {events} events and take {frame_bytes} bytes; the limit is \
                 {MAX_FENCE_BYTES}"
            );
            return Err(Error::new(ErrorKind::TooLarge, why));
        }
        if let Some(id) = request.events().filter_map(|e| e.id).find(|id| self.given.has(*id)) {
            let why = format!("the id {id} is given to two events of the fence");
            return Err(Error::invalid(why));
        }
        let bytes = request.content_bytes() + request.len() * RECORD_BYTES;
        if self.held_bytes + bytes > self.memory_bytes {
            self.spill()?;
        }
        if bytes > self.memory_bytes {
            let mut pieces = cut(request, Vec::new(), self.events);
            self.write(&mut pieces)?;
            self.pieces.append(&mut pieces);
        } else {
            let is_open = |piece: &mut Piece| match &piece.place {
                Place::Memory(records) => records.len() < PIECE_BYTES,
                Place::File { .. } => false,
            };
            let last = self.pieces.pop_if(is_open);
            self.pieces.append(&mut cut(request, last.into_iter().collect(), self.events));
            self.held_bytes += bytes;
        }
        for (event, place) in request.events().zip(self.events..) {
            if let Some(id) = event.id {
                self.given.push(place, id);
            }
            self.expects |= event.expected != Expected::Any;
        }
        (self.events, self.frame_bytes) = (events as u32, frame_bytes);
        Ok(())
    }

    /// Moves what is in memory to the file.
    fn spill(&mut self) -> Result<()> {
        let mut pieces = std::mem::take(&mut self.pieces);
        let written = self.write(&mut pieces);
        let held = |piece: &Piece| match &piece.place {
            Place::Memory(records) => records.len(),
            Place::File { .. } => 0,
        };
        self.held_bytes = pieces.iter().map(held).sum();
        self.pieces = pieces;
        written
    }

    /// Writes those of the pieces to the file that are not there.
    fn write(&mut self, pieces: &mut [Piece]) -> Result<()> {
        for piece in pieces {
            let Place::Memory(records) = &piece.place else { continue };
            if self.file.is_none() {
                self.file = Some(self.create()?);
            }
            let Some((path, file)) = &self.file else { continue };
            let (at, bytes) = (self.file_end, records.len());
            if let Err(failure) = write_all_at(&**file, records, at) {
                // The space of the part that was written is given back.
                let _ = file.set_len(at);
                let error = Error::io("cannot write to the fence's file", path, &failure);
                let kind = error.kind();
                return Err(error.into_kind(kind, "nothing was added to the fence"));
            }
            self.file_end += bytes as u64;
            piece.place = Place::File { at, bytes, crc: crc32(&[records]) };
        }
        Ok(())
    }

    fn create(&self) -> Result<(PathBuf, Arc<dyn VfsFile>)> {
        let path = self.files.path(&format!("{}.tmp", file_name()));
        let failed = |e: &std::io::Error| Error::io("cannot create the fence's file", &path, e);
        let file = self.files.vfs.open(&path, Access::Create).map_err(|e| failed(&e))?;
        self.files.vfs.remove(&path).map_err(|e| failed(&e))?;
        Ok((path, file))
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Adds the events of a piece to a request.
    pub(super) fn fill(&self, piece: &Piece, request: &mut Request) -> Result<()> {
        let from_file;
        let mut records = match (&piece.place, &self.file) {
            (Place::Memory(records), _) => Records(records),
            (Place::File { at, bytes, crc }, Some((path, file))) => {
                let mut buffer = vec![0; *bytes];
                let read = read_full_at(&**file, &mut buffer, *at)
                    .map_err(|e| Error::io("cannot read the fence's file", path, &e))?;
                if read < *bytes || crc32(&[&buffer]) != *crc {
                    let why = "the fence's file does not hold what was written to it";
                    return Err(Error::corrupt(why).at_path(path));
                }
                from_file = buffer;
                Records(&from_file)
            }
            (Place::File { .. }, None) => Records(&[]),
        };
        for place in piece.first..piece.first + piece.events {
            let goes_on = place + 1 < self.events;
            records.next(request, goes_on).ok_or_else(|| Error::corrupt("a record is cut off"))?;
        }
        Ok(())
    }

    /// The events from a place on: at most `max_events`, and about `max_bytes` of frames, but at
    /// least one if there is one.
    pub(super) fn read(
        &self,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Vec<Event>> {
        let mut page = Vec::new();
        let mut bytes = 0;
        let Ok(from) = u32::try_from(from) else { return Ok(page) };
        let at = self.pieces.partition_point(|piece| piece.first + piece.events <= from);
        let mut request = Request::settling(Durability::Buffered);
        for piece in &self.pieces[at..] {
            if page.len() >= max_events || !page.is_empty() && bytes >= max_bytes {
                break;
            }
            request.clear();
            self.fill(piece, &mut request)?;
            let mut chunk = Vec::new();
            let mut starts = Vec::new();
            for (event, place) in request.events().zip(piece.first..) {
                let count = page.len() + starts.len();
                if place < from || count >= max_events || count > 0 && bytes >= max_bytes {
                    continue;
                }
                starts.push(chunk.len());
                self.encode(&event, place, &mut chunk);
                bytes += chunk.len() - starts.last().unwrap_or(&0);
            }
            let chunk: Arc<[u8]> = chunk.into();
            for start in starts {
                let frame = Frame::of_own(&chunk[start..]).map_err(Error::corrupt)?;
                page.push(Event::new(chunk.clone(), start, frame.layout(), 0, 0));
            }
        }
        request.recycle();
        Ok(page)
    }

    /// Appends the frame of an event that has no place in the log yet.
    fn encode(&self, event: &PreparedEvent<'_>, place: u32, out: &mut Vec<u8>) {
        let id = event.id.unwrap_or(Id::NONE);
        let timestamp_us = event.timestamp_us.unwrap_or(0);
        let fields = Fields {
            sequence: place.into(),
            id,
            timestamp_us,
            wall_us: timestamp_us,
            clock: 0,
            lane: event.lane,
            depth: event.depth,
            kind: event.kind,
            payload_version: event.payload_version,
            flags: event.flags,
            correlation: event.correlation.unwrap_or(id),
            causation: self.cause(event),
            prev_hash: Hash::ZERO,
            entity: event.entity(),
            scope: event.scope(),
            extensions: event.extensions(),
            payload: event.payload(),
            payload_hash: event.payload_hash,
            batch_continues: false,
            keyed: event.id.is_some(),
            synced_to: 0,
        };
        // It gets no hash: it has no predecessor yet.
        frame::encode(&fields, Id::NONE, out, &mut Unsealed::default());
    }

    /// The id of what caused an event, as far as the caller gave it.
    pub(super) fn cause(&self, event: &PreparedEvent<'_>) -> Id {
        match event.causation {
            Causation::None => Id::NONE,
            Causation::Event(id) => id,
            Causation::Item(place) => self.given_id(place).unwrap_or(Id::NONE),
        }
    }
}

/// Adds the records of a request's events to these pieces. `place` is that of the first.
fn cut(request: &Request, mut pieces: Vec<Piece>, place: u32) -> Vec<Piece> {
    for (event, place) in request.events().zip(place..) {
        let is_full = |piece: &Piece| match &piece.place {
            Place::Memory(records) => records.len() >= PIECE_BYTES,
            Place::File { .. } => true,
        };
        if pieces.last().is_none_or(is_full) {
            pieces.push(Piece { first: place, events: 0, place: Place::Memory(Vec::new()) });
        }
        if let Some(Piece { events, place: Place::Memory(records), .. }) = pieces.last_mut() {
            write_record(&event, records);
            *events += 1;
        }
    }
    pieces
}

fn write_record(event: &PreparedEvent<'_>, out: &mut Vec<u8>) {
    let (causation, cause) = match event.causation {
        Causation::None => (0, Id::NONE),
        Causation::Event(id) => (1, id),
        Causation::Item(place) => {
            let mut id = Id::NONE;
            id.0[..4].copy_from_slice(&place.to_le_bytes());
            (2, id)
        }
    };
    let (expected, clock) = match event.expected {
        Expected::Any => (0, 0),
        Expected::NoStream => (1, 0),
        Expected::Exact(clock) => (2, clock),
    };
    let (entity, scope) = (event.entity().as_bytes(), event.scope().as_bytes());
    let (extensions, payload) = (event.extensions(), event.payload());
    out.extend_from_slice(&event.payload_hash.0);
    out.extend_from_slice(&event.id.unwrap_or(Id::NONE).0);
    out.extend_from_slice(&event.correlation.unwrap_or(Id::NONE).0);
    out.extend_from_slice(&cause.0);
    out.extend_from_slice(&event.timestamp_us.unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&clock.to_le_bytes());
    out.extend_from_slice(&event.lane.to_le_bytes());
    out.extend_from_slice(&event.depth.to_le_bytes());
    out.extend_from_slice(&event.kind.to_le_bytes());
    out.extend_from_slice(&event.payload_version.to_le_bytes());
    out.extend_from_slice(&[causation, expected, event.timestamp_us.is_some().into(), event.flags]);
    out.extend_from_slice(&(entity.len() as u16).to_le_bytes());
    out.extend_from_slice(&(scope.len() as u16).to_le_bytes());
    out.extend_from_slice(&(extensions.len() as u16).to_le_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    for part in [entity, scope, extensions, payload] {
        out.extend_from_slice(part);
    }
}

/// Records that are still to be read.
struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Adds the next event to a request; `None` if there is none.
    fn next(&mut self, request: &mut Request, batch_continues: bool) -> Option<()> {
        let payload_hash = Hash(self.array()?);
        let [id, correlation, cause] = [self.array()?, self.array()?, self.array()?].map(Id);
        let given = |id: Id| Some(id).filter(|id| !id.is_none());
        let timestamp_us = i64::from_le_bytes(self.array()?);
        let clock = u32::from_le_bytes(self.array()?);
        let (lane, depth) = (u32::from_le_bytes(self.array()?), u32::from_le_bytes(self.array()?));
        let kind = u16::from_le_bytes(self.array()?);
        let payload_version = u16::from_le_bytes(self.array()?);
        let [causation, expected, has_timestamp, flags] = self.array()?;
        let mut lengths = [0; 4];
        for length in &mut lengths[..3] {
            *length = usize::from(u16::from_le_bytes(self.array()?));
        }
        lengths[3] = u32::from_le_bytes(self.array()?) as usize;
        let mut parts: [&[u8]; 4] = [&[]; 4];
        for (part, length) in parts.iter_mut().zip(lengths) {
            *part = self.take(length)?;
        }
        let prepared = Prepared {
            payload_hash,
            kind,
            payload_version,
            flags,
            lane,
            depth,
            expected: match expected {
                0 => Expected::Any,
                1 => Expected::NoStream,
                _ => Expected::Exact(clock),
            },
            id: given(id),
            correlation: given(correlation),
            causation: match causation {
                0 => Causation::None,
                1 => Causation::Event(cause),
                _ => Causation::Item(u32::from_le_bytes(*cause.0.first_chunk()?)),
            },
            timestamp_us: (has_timestamp != 0).then_some(timestamp_us),
            batch_continues,
            ..Prepared::default()
        };
        request.add_prepared(prepared, parts);
        Some(())
    }
}
