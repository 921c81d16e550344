//! The commit: from a group of requests to visible events. One function, in numbered steps.

use super::close::Flusher;
use super::prepare::{Prepared, Request};
use super::queue::Queue;
use super::{Inner, head_of};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Causation, Expected, Receipt};
use crate::format::frame::{self, Fields, Frame};
use crate::format::head::HeadFile;
use crate::format::manifest::Manifest;
use crate::ids::{Hash, Id, IdSource};
use crate::index::heads::{Known, LaneHead};
use crate::options::Durability;
use crate::storage::{VfsFile, write_all_at};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

/// How much of the buffer's memory is kept for the next group.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

/// With a seed, the first event is recorded at this time, and each further one a millisecond
/// after the one before it. Microseconds since 1970.
pub(super) const SEEDED_EPOCH_US: i64 = 1_700_000_000_000_000;

/// What a store opened for appending has more than a reader.
pub(super) struct Writer {
    pub(super) queue: Queue,
    /// Held by the leader of a group, by rotation and by close.
    pub(super) commit: Mutex<Commit>,
    /// Why there are no further appends, once there is a reason.
    poison: Mutex<Option<Error>>,
    pub(super) flusher: Mutex<Option<Flusher>>,
    /// For the flusher, which must not keep the store alive.
    pub(super) store: Weak<Inner>,
}

/// The state that only the commit path touches.
pub(super) struct Commit {
    pub(super) manifest: Manifest,
    pub(super) ids: IdSource,
    /// The lock on the directory; dropped by close.
    pub(super) lock: Option<Arc<dyn VfsFile>>,
    /// The head file, locked for as long as the writer lives.
    pub(super) head: Option<Arc<dyn VfsFile>>,
    pub(super) head_writes: u64,
    /// The newest segment.
    pub(super) file: Option<Arc<dyn VfsFile>>,
    /// Frames that stand behind `written_end` and are not in the file yet.
    pub(super) buffer: Vec<u8>,
    pub(super) written_end: u64,
    /// Up to where the newest segment is confirmed by a sync.
    pub(super) durable_end: u64,
}

/// What became of each request of a group, in order.
pub(super) struct Outcome {
    pub(super) results: Vec<Result<Vec<Receipt>>>,
}

impl Outcome {
    pub(super) fn failed(requests: usize, error: &Error) -> Self {
        Self { results: (0..requests).map(|_| Err(error.clone())).collect() }
    }
}

impl Writer {
    pub(super) fn new(commit: Commit, store: Weak<Inner>) -> Self {
        Self {
            queue: Queue::default(),
            commit: Mutex::new(commit),
            poison: Mutex::new(None),
            flusher: Mutex::new(None),
            store,
        }
    }

    /// Stops all further appends. The first reason stays.
    pub(super) fn poison(&self, because: Error) {
        self.poison.lock().get_or_insert(because);
    }

    pub(super) fn check_poison(&self) -> Result<()> {
        match &*self.poison.lock() {
            None => Ok(()),
            Some(because) => Err(because.clone().into_kind(
                ErrorKind::Poisoned,
                "an earlier failure stopped all appends until the store is reopened",
            )),
        }
    }
}

/// Frames staged by the requests of a group, before they are in the file.
struct Staging<'a> {
    /// The first of them, in `Commit::buffer`.
    start: usize,
    first_sequence: u64,
    /// Where each begins in the buffer.
    frames: Vec<usize>,
    /// The ends of the streams that the group has touched.
    heads: HashMap<(&'a str, u32), LaneHead>,
    /// The events of the group whose id the caller gave.
    keys: HashMap<Id, usize>,
}

impl Staging<'_> {
    fn next_sequence(&self) -> u64 {
        self.first_sequence + self.frames.len() as u64
    }
}

impl Inner {
    /// Commits a group. Only one thread at a time is here.
    pub(super) fn commit(&self, writer: &Writer, requests: &[Request]) -> Outcome {
        let mut commit = writer.commit.lock();
        let commit = &mut *commit;
        let fail = |error: &Error| Outcome::failed(requests.len(), error);

        // 1. Refuse what cannot be appended at all.
        if self.closed.load(std::sync::atomic::Ordering::Acquire) {
            return fail(&self.closed_error());
        }
        if let Err(error) = writer.check_poison() {
            return fail(&error);
        }

        // 2. Make sure there is a segment with room. A failure leaves the log as it was.
        if !self.has_room()
            && requests.iter().any(|request| self.adds_events(commit, request))
            && let Err(error) = self.rotate(writer, commit)
        {
            return fail(&error);
        }

        // 3. Stage: check against the log and against the group, assign places, encode frames.
        let mut staging = Staging {
            start: commit.buffer.len(),
            first_sequence: self.live.read().visible(),
            frames: Vec::new(),
            heads: HashMap::new(),
            keys: HashMap::new(),
        };
        let results: Vec<_> =
            requests.iter().map(|request| self.stage(commit, &mut staging, request)).collect();

        // 4. Write everything that is not in the file, with one call.
        let accepted = || requests.iter().zip(&results).filter(|(_, result)| result.is_ok());
        let must_sync = accepted().any(|(r, _)| r.durability == Durability::Durable);
        let must_write = must_sync
            || accepted().any(|(r, _)| r.durability == Durability::Written)
            || commit.buffer.len() >= self.options.buffer_bytes;
        if must_write && let Err(error) = self.write_buffer(writer, commit, staging.start) {
            return fail(&error);
        }

        // 5. One sync for all who asked for one. What was staged stays unseen if it fails: the
        // pages may be lost or not, and no second sync can tell.
        if must_sync && let Err(error) = self.sync_segment(writer, commit) {
            return fail(&error);
        }

        // 6. Show the events, and tell whoever waits, here and in other processes.
        self.publish(commit, &staging, must_write);
        if must_write {
            self.publish_head(commit);
            commit.buffer.clear();
            commit.buffer.shrink_to(KEPT_BUFFER_BYTES);
        } else if !commit.buffer.is_empty() {
            self.flush_soon(writer);
        }
        self.wake_waiters();
        Outcome { results }
    }

    /// Whether the request will add events, as far as the log knows: not if they are there already.
    fn adds_events(&self, commit: &Commit, request: &Request) -> bool {
        let nothing_staged = Staging {
            start: commit.buffer.len(),
            first_sequence: 0,
            frames: Vec::new(),
            heads: HashMap::new(),
            keys: HashMap::new(),
        };
        !request.events.is_empty()
            && !matches!(self.known_already(commit, &nothing_staged, &request.events), Ok(Some(_)))
    }

    /// Stages one request, or nothing of it.
    fn stage<'a>(
        &self,
        commit: &mut Commit,
        staging: &mut Staging<'a>,
        request: &'a Request,
    ) -> Result<Vec<Receipt>> {
        let events = &request.events;
        if let Some(receipts) = self.known_already(commit, staging, events)? {
            return Ok(receipts);
        }
        let bytes_before = commit.buffer.len();
        let frames_before = staging.frames.len();
        let mut heads_before = Vec::new();
        let mut receipts: Vec<Receipt> = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            let continues = index + 1 < events.len();
            match self.stage_event(commit, staging, event, &receipts, continues) {
                Ok((receipt, head_before)) => {
                    heads_before.push(((event.entity(), event.lane), head_before));
                    receipts.push(receipt);
                }
                Err(error) => {
                    commit.buffer.truncate(bytes_before);
                    staging.frames.truncate(frames_before);
                    for (stream, head) in heads_before.into_iter().rev() {
                        match head {
                            Some(head) => staging.heads.insert(stream, head),
                            None => staging.heads.remove(&stream),
                        };
                    }
                    let single = events.len() == 1;
                    return Err(if single { error } else { error.of_item(index) });
                }
            }
        }
        for (index, event) in events.iter().enumerate() {
            if let Some(id) = event.id {
                staging.keys.insert(id, frames_before + index);
            }
        }
        Ok(receipts)
    }

    /// If the caller gave ids and the events are there: their receipts. Comes before the expected
    /// clocks are looked at, so that a repeated append succeeds like the first one.
    fn known_already(
        &self,
        commit: &Commit,
        staging: &Staging<'_>,
        events: &[Prepared],
    ) -> Result<Option<Vec<Receipt>>> {
        let mut receipts = Vec::new();
        for (index, event) in events.iter().enumerate() {
            let Some(id) = event.id else { continue };
            let cause = match event.causation {
                Causation::None => Id::NONE,
                Causation::Event(id) => id,
                Causation::Item(item) => events[item as usize].id.unwrap_or(Id::NONE),
            };
            let known = match staging.keys.get(&id) {
                Some(frame) => {
                    let stored = &commit.buffer[staging.frames[*frame]..];
                    let frame = Frame::of_own(stored).map_err(Error::corrupt)?;
                    Some((event.made(&frame, stored, cause), receipt_of(&frame)))
                }
                None => self.find(id)?.map(|found| {
                    (event.made(&found.frame(), found.bytes(), cause), receipt_of(&found.frame()))
                }),
            };
            match known {
                None => {}
                Some((true, receipt)) => receipts.push(receipt),
                Some((false, receipt)) => {
                    let error = Error::new(
                        ErrorKind::IdempotencyConflict,
                        format!(
                            "the id {id} is taken by event {} with other content",
                            receipt.sequence
                        ),
                    );
                    return Err(if events.len() == 1 { error } else { error.of_item(index) });
                }
            }
        }
        match receipts.len() {
            0 => Ok(None),
            found if found == events.len() => Ok(Some(receipts)),
            found => Err(Error::new(
                ErrorKind::IdempotencyConflict,
                format!("{found} of the {} events of the batch are there already", events.len()),
            )),
        }
    }

    /// Stages one event. Gives its receipt, and what the staging held for its stream before.
    fn stage_event<'a>(
        &self,
        commit: &mut Commit,
        staging: &mut Staging<'a>,
        event: &'a Prepared,
        batch: &[Receipt],
        batch_continues: bool,
    ) -> Result<(Receipt, Option<LaneHead>)> {
        let entity = event.entity();
        let staged = staging.heads.get(&(entity, event.lane)).copied();
        let head = match staged {
            Some(head) => Some(head),
            None => self.live.read().heads.get(entity, event.lane),
        };
        check_expected(event, head)?;
        let before = match head {
            None => None,
            Some(LaneHead { known: Some(known), clock, .. }) => Some((clock, known)),
            Some(LaneHead { sequence, clock, .. }) => {
                let last = self.event_at(sequence)?.ok_or_else(super::stats::lost_head)?;
                Some((clock, Known { hash: last.hash(), wall_us: last.wall_us() }))
            }
        };
        let clock = match before {
            None => 0,
            Some((clock, _)) => clock.checked_add(1).ok_or_else(|| {
                Error::new(ErrorKind::TooLarge, "the stream has reached the last clock, 2^32 - 1")
            })?,
        };

        let sequence = staging.next_sequence();
        let now_us = self.now_us(sequence);
        let wall_us = before.map_or(now_us, |(_, known)| known.wall_us.max(now_us));
        let timestamp_us = event.timestamp_us.unwrap_or(wall_us);
        let id = event.id.unwrap_or_else(|| commit.ids.event_id(sequence, wall_us));
        let at = commit.buffer.len();
        let hash = frame::encode(
            &Fields {
                sequence,
                id,
                timestamp_us,
                wall_us,
                clock,
                lane: event.lane,
                depth: event.depth,
                kind: event.kind,
                payload_version: event.payload_version,
                flags: event.flags,
                correlation: event.correlation.unwrap_or(id),
                causation: match event.causation {
                    Causation::None => Id::NONE,
                    Causation::Event(id) => id,
                    Causation::Item(item) => batch[item as usize].id,
                },
                prev_hash: before.map_or(Hash::ZERO, |(_, known)| known.hash),
                entity,
                scope: event.scope(),
                extensions: event.extensions(),
                payload: event.payload(),
                payload_hash: event.payload_hash,
                batch_continues,
                synced_to: commit.durable_end,
            },
            self.lineage,
            &mut commit.buffer,
        );
        staging.frames.push(at);
        let known = Some(Known { hash, wall_us });
        staging
            .heads
            .insert((entity, event.lane), LaneHead { lane: event.lane, clock, sequence, known });
        let receipt = Receipt {
            id,
            sequence,
            clock,
            lane: event.lane,
            timestamp_us,
            wall_us,
            hash,
            duplicate: false,
        };
        Ok((receipt, staged))
    }

    /// Microseconds since 1970, or what the seed makes of the sequence.
    pub(super) fn now_us(&self, sequence: u64) -> i64 {
        if self.options.seed.is_some() {
            return SEEDED_EPOCH_US + 1000 * sequence as i64;
        }
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_micros() as i64,
            Err(before) => -(before.duration().as_micros() as i64),
        }
    }

    /// Writes the buffer to the file. If that fails, the file is cut back to where it was, the
    /// frames from `staged` on are forgotten, and what was buffered before stays buffered; if it
    /// cannot be cut back, nothing more is appended.
    pub(super) fn write_buffer(
        &self,
        writer: &Writer,
        commit: &mut Commit,
        staged: usize,
    ) -> Result<()> {
        let Some(file) = commit.file.clone() else { return Ok(()) };
        if commit.buffer.is_empty() {
            return Ok(());
        }
        let Err(failure) = write_all_at(&*file, &commit.buffer, commit.written_end) else {
            commit.written_end += commit.buffer.len() as u64;
            return Ok(());
        };
        commit.buffer.truncate(staged);
        let number = self.newest_number();
        let path = self.files.segment_path(number);
        let error =
            Error::io("cannot write the events", &path, &failure).at(number, commit.written_end);
        // Synced, or a power cut could bring back what is refused here.
        let restored = file
            .set_len(commit.written_end)
            .and_then(|()| file.sync())
            .and_then(|()| file.size())
            .is_ok_and(|length| length == commit.written_end);
        if restored {
            let kind = error.kind();
            return Err(error.into_kind(kind, "nothing was appended"));
        }
        writer.poison(error.clone());
        Err(error.into_kind(
            ErrorKind::Indeterminate,
            "the write failed half-way and could not be taken back; reopen the store",
        ))
    }

    /// Syncs the newest segment if it holds anything that no sync has confirmed.
    pub(super) fn sync_segment(&self, writer: &Writer, commit: &mut Commit) -> Result<()> {
        let Some(file) = commit.file.clone() else { return Ok(()) };
        if commit.durable_end == commit.written_end {
            return Ok(());
        }
        match file.sync() {
            Ok(()) => {
                commit.durable_end = commit.written_end;
                Ok(())
            }
            Err(failure) => {
                let number = self.newest_number();
                let path = self.files.segment_path(number);
                let error = Error::io("cannot sync the segment", &path, &failure)
                    .at(number, commit.durable_end);
                writer.poison(error.clone());
                Err(error.into_kind(
                    ErrorKind::Indeterminate,
                    "it is not known whether the events are on disk; reopen the store",
                ))
            }
        }
    }

    /// Adds the staged frames to what readers see.
    fn publish(&self, commit: &Commit, staging: &Staging<'_>, written: bool) {
        let mut live = self.live.write();
        let live = &mut *live;
        for at in &staging.frames {
            // The frames are our own; `of_own` fails for a defect only.
            if let (Ok(frame), Some(tail)) = (Frame::of_own(&commit.buffer[*at..]), &mut live.tail)
            {
                tail.push(&frame);
            }
        }
        for ((entity, _), head) in &staging.heads {
            live.heads.set(entity, *head);
        }
        if written {
            live.unwritten.clear();
            live.unwritten.shrink_to(KEPT_BUFFER_BYTES);
            live.written_end = commit.written_end;
            live.written_events = live.visible();
            if commit.durable_end == commit.written_end {
                live.durable_events = live.written_events;
            }
        } else {
            live.unwritten.extend_from_slice(&commit.buffer[staging.start..]);
        }
    }

    /// Overwrites the head file. It is advice, so a failure changes nothing.
    pub(super) fn publish_head(&self, commit: &mut Commit) {
        let Some(file) = &commit.head else { return };
        commit.head_writes = commit.head_writes.wrapping_add(1);
        let head = {
            let live = self.live.read();
            HeadFile {
                store: self.store,
                segment: live.tail.as_ref().map_or(0, |tail| tail.number),
                visible_offset: commit.written_end,
                visible_events: live.written_events,
                durable_offset: commit.durable_end,
                durable_events: live.durable_events,
                writes: commit.head_writes,
            }
        };
        let _ = write_all_at(&**file, &head.encode(), 0);
    }

    pub(super) fn newest_number(&self) -> u64 {
        self.live.read().tail.as_ref().map_or(0, |tail| tail.number)
    }
}

fn check_expected(event: &Prepared, head: Option<LaneHead>) -> Result<()> {
    let right = match (event.expected, head) {
        (Expected::Any, _) | (Expected::NoStream, None) => true,
        (Expected::Exact(clock), Some(head)) => clock == head.clock,
        _ => false,
    };
    if right {
        return Ok(());
    }
    let wanted = match event.expected {
        Expected::Any | Expected::NoStream => "no event".to_owned(),
        Expected::Exact(clock) => format!("clock {clock}"),
    };
    let actual = head.map_or("no event".to_owned(), |head| format!("clock {}", head.clock));
    Err(Error::new(
        ErrorKind::ClockConflict,
        format!(
            "the stream {} (lane {}) has {actual} where {wanted} was expected",
            event.entity(),
            event.lane
        ),
    ))
}

fn receipt_of(frame: &Frame<'_>) -> Receipt {
    let head = head_of(frame);
    Receipt {
        id: frame.id(),
        sequence: head.sequence,
        clock: head.clock,
        lane: head.lane,
        timestamp_us: frame.timestamp_us(),
        wall_us: frame.wall_us(),
        hash: frame.hash(),
        duplicate: true,
    }
}
