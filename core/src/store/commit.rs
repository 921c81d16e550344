//! The commit: from a group of requests to visible events. One function, in numbered steps.

use super::background::Background;
use super::prepare::{PreparedEvent, Request};
use super::queue::{Place, Queue};
use super::restart::Restarts;
use super::{Inner, Live, head_of};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Causation, Expected, Receipt};
use crate::format::frame::{self, Fields, Frame, Unsealed};
use crate::format::head::{self, HeadFile};
use crate::format::manifest::Manifest;
use crate::format::segment::RESERVED_BYTES;
use crate::ids::{Hash, Id, IdSource};
use crate::index::heads::{Known, LaneHead};
use crate::index::tail::Tail;
use crate::options::Durability;
use crate::storage::{VfsFile, write_all_at, write_progress_at};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How much of the buffers' memory is kept for the next group.
const KEPT_BUFFER_BYTES: usize = 4 << 20;
/// Space is reserved in the file for groups up to this size: a sync of bytes that do not change the
/// file's length is a third faster. What larger groups take is ruled by their bytes.
const RESERVING_BYTES: usize = 64 << 10;

/// With a seed, the first event is recorded at this time, and each further one a millisecond
/// after the one before it. Microseconds since 1970.
pub(super) const SEEDED_EPOCH_US: i64 = 1_700_000_000_000_000;

/// What a store opened for appending has more than a reader.
pub(super) struct Writer {
    pub(super) queue: Queue,
    /// Held by the leader of a group, by rotation, by close and by the end of a compaction.
    pub(super) commit: Mutex<Commit>,
    /// Why there are no further appends, once there is a reason; and whether there is.
    poison: Mutex<Option<Error>>,
    poisoned: AtomicBool,
    pub(super) restarts: Mutex<Restarts>,
    pub(super) flusher: Mutex<Option<Background>>,
    /// Held by a compaction: there is one at a time.
    pub(super) compacting: Mutex<()>,
    /// For the threads of the store's own, which must not keep it alive.
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
    /// Whether the head says that whole batches behind its visible end are visible, too. `None`
    /// if that is not known, since it could not be written.
    pub(super) open_ended: Option<bool>,
    /// The written and the durable end that the head names.
    pub(super) announced: (u64, u64),
    /// The newest segment.
    pub(super) file: Option<Arc<dyn VfsFile>>,
    /// Frames that stand behind `written_end` and are not in the file yet.
    pub(super) buffer: Vec<u8>,
    /// How many bytes at the start of the buffer are in the file after all, and not shown yet.
    pub(super) in_file: usize,
    pub(super) written_end: u64,
    /// What no segment has had as its number yet.
    pub(super) next_number: u64,
    /// What the commit path needs to know of what readers see: the next sequence, how many slots
    /// of streams there are, and whether the newest segment has not reached its size.
    pub(super) next_sequence: u64,
    pub(super) slots: usize,
    pub(super) has_room: bool,
    /// The flusher was woken for what is buffered.
    pub(super) flush_awaited: bool,
    /// Up to where the newest segment is confirmed by a sync.
    pub(super) durable_end: u64,
    /// The file's length: behind `written_end` it holds zeros.
    pub(super) file_end: u64,
    pub(super) staging: Staging,
}

impl Commit {
    /// A number for a new segment.
    pub(super) fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }
}

impl Writer {
    pub(super) fn new(commit: Commit, store: Weak<Inner>) -> Self {
        Self {
            queue: Queue::default(),
            commit: Mutex::new(commit),
            poison: Mutex::new(None),
            poisoned: AtomicBool::new(false),
            restarts: Mutex::default(),
            flusher: Mutex::new(None),
            compacting: Mutex::new(()),
            store,
        }
    }
    /// Stops all further appends. The first reason stays.
    pub(super) fn poison(&self, because: Error) {
        self.poison.lock().get_or_insert(because);
        self.poisoned.store(true, Ordering::Release);
    }

    pub(super) fn check_poison(&self) -> Result<()> {
        if !self.poisoned.load(Ordering::Acquire) {
            return Ok(());
        }
        match &*self.poison.lock() {
            None => Ok(()),
            Some(because) => Err(because.clone().into_kind(
                ErrorKind::Poisoned,
                "an earlier failure stopped all appends until the store is reopened",
            )),
        }
    }
}

/// What the requests of a group make, before it is in the file. Kept between groups for its memory.
#[derive(Default)]
pub(super) struct Staging {
    /// Where the first frame begins in `Commit::buffer`.
    start: usize,
    first_sequence: u64,
    pub(super) frames: Vec<StagedFrame>,
    /// The ends of the streams that the group has touched, in the order of touching, and the place
    /// there of each slot that is there: a place counts only if the slot is found at it.
    pub(super) heads: Vec<(u32, LaneHead)>,
    head_places: Vec<u32>,
    /// What a request that fails half-way must put back.
    before: Vec<(u32, Option<LaneHead>)>,
    /// The events of the group whose id the caller gave, by place in `frames`.
    keys: HashMap<Id, usize>,
    /// The frames that have no hash yet, and before which frame every stream's end is known.
    unsealed: Unsealed,
    sealed: usize,
}

#[derive(Clone, Copy)]
pub(super) struct StagedFrame {
    /// Where it begins in the buffer.
    pub(super) at: usize,
    /// The slot of its stream.
    pub(super) slot: u32,
    wall_us: i64,
}

impl Staging {
    pub(super) fn begin(&mut self, start: usize, first_sequence: u64) {
        (self.start, self.first_sequence) = (start, first_sequence);
        self.frames.clear();
        self.sealed = 0;
        self.heads.clear();
        if !self.keys.is_empty() {
            self.keys.clear();
            self.keys.shrink_to(1024);
        }
    }

    /// Goes on behind the frames so far, which are out of the buffer. The ends of the streams stay.
    pub(super) fn go_on(&mut self) {
        self.first_sequence = self.next_sequence();
        self.frames.clear();
        self.sealed = 0;
        self.before.clear();
    }

    fn next_sequence(&self) -> u64 {
        self.first_sequence + self.frames.len() as u64
    }

    fn head(&self, slot: u32) -> Option<LaneHead> {
        let place = *self.head_places.get(slot as usize)?;
        let (of, head) = self.heads.get(place as usize)?;
        (*of == slot).then_some(*head)
    }

    fn set_head(&mut self, slot: u32, head: LaneHead) {
        self.before.push((slot, self.head(slot)));
        match self.before.last() {
            Some((_, Some(_))) => self.heads[self.head_places[slot as usize] as usize].1 = head,
            _ => {
                if self.head_places.len() <= slot as usize {
                    self.head_places.resize(slot as usize + 1, 0);
                }
                self.head_places[slot as usize] = self.heads.len() as u32;
                self.heads.push((slot, head));
            }
        }
    }

    /// Gives all staged frames their hashes, and the ends of their streams.
    pub(super) fn seal(&mut self, buffer: &mut [u8]) {
        self.unsealed.seal(buffer);
        let sequences = self.first_sequence + self.sealed as u64..;
        for (frame, sequence) in self.frames[self.sealed..].iter().zip(sequences) {
            let place = self.head_places[frame.slot as usize];
            let (_, head) = &mut self.heads[place as usize];
            if head.sequence == sequence {
                let (hash, wall_us) = (frame::hash_of(&buffer[frame.at..]), frame.wall_us);
                head.known = Some(Known { hash, wall_us });
            }
        }
        self.sealed = self.frames.len();
    }

    /// Puts back what the request that is being staged has changed.
    fn undo(&mut self, frames: usize) {
        if let Some(first) = self.frames.get(frames) {
            self.unsealed.forget_from(first.at);
        }
        self.frames.truncate(frames);
        self.sealed = self.sealed.min(frames);
        while let Some((slot, before)) = self.before.pop() {
            match before {
                Some(head) => self.heads[self.head_places[slot as usize] as usize].1 = head,
                // What was added last is taken back first.
                None => drop(self.heads.pop()),
            }
        }
    }
}

/// Makes a request fail.
fn refuse(request: &mut Request, error: &Error) {
    request.receipts.clear();
    request.failure = Some(error.clone());
}

impl Inner {
    /// Commits a group. Only one thread at a time is here.
    pub(super) fn commit(&self, writer: &Writer, group: &mut [Place]) {
        let mut commit = writer.commit.lock();
        let commit = &mut *commit;

        // 1. Refuse what cannot be appended at all.
        let refused = match self.closed.load(Ordering::Acquire) {
            true => Err(self.closed_error()),
            false => writer.check_poison(),
        };
        // 2. Make sure there is a segment with room. A failure leaves the log as it was.
        let ready = refused.and_then(|()| {
            let rotates = !commit.has_room
                && group.iter().any(|place| self.adds_events(commit, &place.request));
            if rotates { self.rotate(writer, commit) } else { Ok(()) }
        });
        if let Err(error) = ready {
            return group.iter_mut().for_each(|place| refuse(&mut place.request, &error));
        }

        // 3. Stage: check against the log and against the group, assign places, encode frames.
        let mut staging = std::mem::take(&mut commit.staging);
        staging.begin(commit.buffer.len(), commit.next_sequence);
        let mut durability = Durability::Buffered;
        for place in &mut *group {
            match self.stage(commit, &mut staging, &mut place.request) {
                Ok(()) => durability = durability.min(place.request.durability),
                Err(error) => refuse(&mut place.request, &error),
            }
        }
        staging.seal(&mut commit.buffer);
        for Place { request, .. } in &mut *group {
            // What was there already is not staged, and its receipts are whole.
            let frames = &staging.frames[request.staged.clone()];
            for (receipt, frame) in request.receipts.iter_mut().zip(frames) {
                receipt.hash = frame::hash_of(&commit.buffer[frame.at..]);
            }
        }
        if durability == Durability::Buffered && commit.buffer.len() >= self.options.buffer_bytes {
            durability = Durability::Written;
        }

        // Where there is no sync to share, the next leader waits for nobody.
        if durability != Durability::Durable {
            writer.queue.sync_took.store(0, Ordering::Relaxed);
        }

        // 4. Write everything that is not in the file, with one call.
        // 5. One sync for all who asked for one. What was staged stays unseen if it fails: the
        // pages may be lost or not, and no second sync can tell.
        let done = match durability {
            Durability::Durable => self.write_and_sync(writer, commit, staging.start),
            Durability::Written => {
                let all = commit.buffer.len();
                self.write(writer, commit, staging.start, all, false)
            }
            Durability::Buffered => Ok(()),
        };

        // 6. Show the events, and tell whoever waits, here and in other processes.
        let poisoned = done.is_err() && writer.check_poison().is_err();
        if poisoned {
            commit.buffer.truncate(staging.start);
            commit.in_file = 0;
        }
        let shown = self.publish(commit, &staging);
        if let Err(error) = done {
            for place in group {
                self.fail_unless_safe(&mut place.request, shown, &error);
            }
        }
        if !poisoned {
            self.announce(commit, durability == Durability::Durable);
        }
        if commit.buffer.is_empty() {
            commit.flush_awaited = false;
        } else if !commit.flush_awaited {
            commit.flush_awaited = true;
            self.flush_soon(writer);
        }
        commit.staging = staging;
        self.wake_waiters();
    }

    /// After a group has failed: makes a request fail, unless it got what it asked for all the
    /// same. Of a group that was only to be written some may be in the file, the first `shown`
    /// frames; and of repeats the first may have been safe enough before.
    fn fail_unless_safe(&self, request: &mut Request, shown: usize, error: &Error) {
        if request.failure.is_some() || !request.staged.is_empty() && request.staged.end <= shown {
            return;
        }
        let repeated = request.receipts.iter().map(|receipt| receipt.sequence).max();
        let Some(last) = repeated.filter(|_| request.staged.is_empty()) else {
            return refuse(request, error);
        };
        let (visible, safe) = {
            let live = self.live.read();
            let safe = match request.durability {
                Durability::Durable => live.durable_events,
                Durability::Written => live.written_events,
                Durability::Buffered => live.visible(),
            };
            (live.visible(), safe)
        };
        if last >= visible {
            refuse(request, error);
        } else if last >= safe {
            let why = "the event was appended before, but is not as safe as asked for now";
            refuse(request, &error.clone().into_kind(ErrorKind::Indeterminate, why));
        }
    }

    /// Whether the request will add events, as far as the log knows: not if they are there already.
    fn adds_events(&self, commit: &mut Commit, request: &Request) -> bool {
        request.len() > 0
            && !matches!(self.known_already(commit, &mut Staging::default(), request), Ok(Some(_)))
    }

    /// Stages one request, or nothing of it.
    fn stage(
        &self,
        commit: &mut Commit,
        staging: &mut Staging,
        request: &mut Request,
    ) -> Result<()> {
        let frames_before = staging.frames.len();
        request.staged = frames_before..frames_before;
        if let Some(receipts) = self.known_already(commit, staging, request)? {
            request.receipts = receipts;
            return Ok(());
        }
        let bytes_before = commit.buffer.len();
        let slots_before = commit.slots;
        staging.before.clear();
        let now_us = self.now_us(staging.next_sequence());
        let mut receipts = std::mem::take(&mut request.receipts);
        receipts.reserve_exact(request.len());
        let last = request.len().saturating_sub(1);
        let staged = request.events().enumerate().try_for_each(|(index, event)| {
            let id_of = |item: u32| receipts[item as usize].id;
            match self.stage_event(commit, staging, &event, id_of, now_us) {
                Ok(receipt) => receipts.push(receipt),
                Err(error) => return Err(if last == 0 { error } else { error.of_item(index) }),
            }
            Ok(())
        });
        request.receipts = receipts;
        if staged.is_err() {
            commit.buffer.truncate(bytes_before);
            staging.undo(frames_before);
            if commit.slots > slots_before {
                self.live.write().heads.forget_from(slots_before);
                commit.slots = slots_before;
            }
            return staged;
        }
        for (index, event) in request.events().enumerate() {
            if let Some(id) = event.id {
                staging.keys.insert(id, frames_before + index);
            }
        }
        request.staged = frames_before..staging.frames.len();
        Ok(())
    }

    /// If the caller gave ids and the events are there: their receipts. Comes before the expected
    /// clocks are looked at, so that a repeated append succeeds like the first one.
    fn known_already(
        &self,
        commit: &mut Commit,
        staging: &mut Staging,
        request: &Request,
    ) -> Result<Option<Vec<Receipt>>> {
        let events = request.len();
        let mut receipts = Vec::new();
        for (index, event) in request.events().enumerate() {
            let Some(id) = event.id else { continue };
            let cause = match event.causation {
                Causation::None => Id::NONE,
                Causation::Event(id) => id,
                Causation::Item(item) => request.event(item as usize).id.unwrap_or(Id::NONE),
            };
            let known = match staging.keys.get(&id) {
                Some(frame) => {
                    staging.unsealed.seal(&mut commit.buffer);
                    let stored = &commit.buffer[staging.frames[*frame].at..];
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
                    let error = taken(id, receipt.sequence);
                    return Err(if events == 1 { error } else { error.of_item(index) });
                }
            }
        }
        match receipts.len() {
            0 => Ok(None),
            found if found == events => Ok(Some(receipts)),
            found => Err(partly_known(found, events)),
        }
    }

    /// Stages one event, and gives its receipt. `id_of` says the id of an earlier event of its batch.
    pub(super) fn stage_event(
        &self,
        commit: &mut Commit,
        staging: &mut Staging,
        event: &PreparedEvent<'_>,
        id_of: impl Fn(u32) -> Id,
        now_us: i64,
    ) -> Result<Receipt> {
        let (entity, lane) = (event.entity(), event.lane);
        let noted = {
            let heads = &self.live.read().heads;
            heads.find(entity, lane).map(|slot| (slot, heads.at(slot)))
        };
        let slot = match noted {
            Some((slot, _)) => slot,
            None => {
                commit.slots += 1;
                self.live.write().heads.find_or_add(entity, lane)
            }
        };
        let mut head = staging.head(slot);
        if head.is_some_and(|head| head.known.is_none()) {
            // The predecessor has no hash yet.
            staging.seal(&mut commit.buffer);
            head = staging.head(slot);
        }
        let head = match (head, noted) {
            (Some(head), _) | (None, Some((_, Some(head)))) => Some(head),
            _ => self.stream_end(entity, lane)?,
        };
        check_expected(event, head.map(|head| head.clock))?;
        let before = match head {
            None => None,
            Some(LaneHead { known: Some(known), clock, .. }) => Some((clock, known)),
            Some(LaneHead { sequence, clock, .. }) => {
                let last = self.stored_at(sequence)?.ok_or_else(super::stats::lost_head)?;
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
        let now_us = if self.options.seed.is_some() { self.now_us(sequence) } else { now_us };
        let recorded_us = event.wall_us.unwrap_or(now_us);
        let wall_us = before.map_or(recorded_us, |(_, known)| known.wall_us.max(recorded_us));
        let timestamp_us = event.timestamp_us.unwrap_or(wall_us);
        let id = event.id.unwrap_or_else(|| commit.ids.event_id(sequence, wall_us));
        let at = commit.buffer.len();
        frame::encode(
            &Fields {
                sequence,
                id,
                timestamp_us,
                wall_us,
                clock,
                lane,
                depth: event.depth,
                kind: event.kind,
                payload_version: event.payload_version,
                flags: event.flags,
                correlation: event.correlation.unwrap_or(id),
                causation: match event.causation {
                    Causation::None => Id::NONE,
                    Causation::Event(id) => id,
                    Causation::Item(item) => id_of(item),
                },
                prev_hash: before.map_or(Hash::ZERO, |(_, known)| known.hash),
                entity,
                scope: event.scope(),
                extensions: event.extensions(),
                payload: event.payload(),
                payload_hash: event.payload_hash,
                batch_continues: event.batch_continues,
                keyed: event.id.is_some(),
                synced_to: commit.durable_end,
            },
            self.lineage,
            &mut commit.buffer,
            &mut staging.unsealed,
        );
        staging.frames.push(StagedFrame { at, slot, wall_us });
        staging.set_head(slot, LaneHead { lane, clock, sequence, known: None });
        // The hash is filled in once it is known.
        let hash = Hash::ZERO;
        Ok(Receipt { id, sequence, clock, lane, timestamp_us, wall_us, hash, duplicate: false })
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

    /// Writes and syncs everything. What is in the file is not visible before it is synced, so the
    /// head must not say otherwise meanwhile.
    fn write_and_sync(&self, writer: &Writer, commit: &mut Commit, staged: usize) -> Result<()> {
        self.close_head(commit).inspect_err(|_| commit.buffer.truncate(staged))?;
        self.write(writer, commit, staged, staged, true)?;
        self.sync_segment(writer, commit)
    }

    /// Makes sure that readers in other processes see nothing behind what the head names.
    pub(super) fn close_head(&self, commit: &mut Commit) -> Result<()> {
        if commit.open_ended == Some(false) {
            return Ok(());
        }
        self.publish_head(commit, false).map_err(|failure| {
            let path = self.files.path(head::FILE_NAME);
            let error = Error::io("cannot write the head", &path, &failure);
            let kind = error.kind();
            error.into_kind(kind, "nothing was appended")
        })
    }

    /// Writes what is buffered, none of it staged by a group.
    pub(super) fn write_buffered(&self, writer: &Writer, commit: &mut Commit) -> Result<()> {
        let all = commit.buffer.len();
        let done = self.write(writer, commit, all, all, false);
        self.publish(commit, &Staging { start: all, ..Staging::default() });
        if done.is_ok() || writer.check_poison().is_ok() {
            self.announce(commit, false);
        }
        done
    }

    /// Writes the buffer to the file, with space behind it if a sync follows. If that fails, the
    /// file is cut back to the last whole batch within the first `keep` bytes, since other
    /// processes may have seen those, and the frames from `staged` on that are not among them are
    /// forgotten; what was buffered before stays. If it cannot be cut back, nothing more is
    /// appended.
    fn write(
        &self,
        writer: &Writer,
        commit: &mut Commit,
        staged: usize,
        keep: usize,
        reserve: bool,
    ) -> Result<()> {
        let (Some(file), bytes) = (commit.file.clone(), commit.buffer.len()) else {
            return Ok(());
        };
        if bytes == 0 {
            return Ok(());
        }
        let start = commit.written_end;
        let end = start + bytes as u64;
        if reserve && bytes <= RESERVING_BYTES && end > commit.file_end {
            let most = self.options.segment_bytes.max(end);
            let reserved = end.next_multiple_of(RESERVED_BYTES).min(most);
            commit.buffer.resize((reserved - start) as usize, 0);
        }
        let (written, failure) = write_progress_at(&*file, &commit.buffer, start);
        commit.buffer.truncate(bytes);
        if written >= bytes {
            commit.in_file = bytes;
            commit.written_end = end;
            commit.file_end = commit.file_end.max(start + written as u64);
            return Ok(());
        }

        let kept = last_batch_end(&commit.buffer, written.min(keep));
        commit.buffer.truncate(staged.max(kept));
        let end = start + kept as u64;
        let number = self.newest_number();
        let path = self.files.segment_path(number);
        let failure = failure.unwrap_or_else(|| std::io::ErrorKind::WriteZero.into());
        let error = Error::io("cannot write the events", &path, &failure).at(number, end);
        let error = Self::cut_back(writer, &*file, end, error)?;
        (commit.in_file, commit.written_end, commit.file_end) = (kept, end, end);
        let kind = error.kind();
        Err(error.into_kind(kind, "nothing was appended"))
    }

    /// After an append has failed half-way, with this error: takes back what stands behind `end` in
    /// the newest segment, and gives the error back. If that fails, nothing more is appended.
    pub(super) fn cut_back(
        writer: &Writer,
        file: &dyn VfsFile,
        end: u64,
        error: Error,
    ) -> Result<Error> {
        // Synced, or a power cut could bring back what is refused.
        let restored = file
            .set_len(end)
            .and_then(|()| file.sync())
            .and_then(|()| file.size())
            .is_ok_and(|length| length == end);
        if restored {
            return Ok(error);
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
        writer.queue.syncing.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        let synced = file.sync();
        writer.queue.syncing.store(false, Ordering::Relaxed);
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        writer.queue.sync_took.store(took, Ordering::Relaxed);
        match synced {
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

    /// Shows the staged frames that are still in the buffer, and lets go of those that are in the
    /// file. Gives how many of the staged are shown.
    fn publish(&self, commit: &mut Commit, staging: &Staging) -> usize {
        let mut live = self.live.write();
        let live = &mut *live;
        let mut shown = 0;
        for staged in &staging.frames {
            // The frames are our own; `of_own` fails where the buffer was cut back.
            let bytes = commit.buffer.get(staged.at..).unwrap_or_default();
            let (Ok(frame), Some(tail)) = (Frame::of_own(bytes), &mut live.tail) else { break };
            let number = tail.push(&frame, Some(live.heads.in_tail(staged.slot)));
            live.heads.set_at(staged.slot, head_of(&frame));
            live.heads.set_in_tail(staged.slot, number);
            shown += 1;
        }
        if shown < staging.frames.len() {
            live.heads.forget_unused();
        }
        self.note(commit, live);
        if commit.in_file == 0 {
            let new = staging.start.min(commit.buffer.len());
            live.unwritten.extend_from_slice(&commit.buffer[new..]);
        } else {
            commit.buffer.drain(..commit.in_file);
            commit.buffer.shrink_to(KEPT_BUFFER_BYTES);
            commit.in_file = 0;
            live.unwritten.clear();
            live.unwritten.shrink_to(KEPT_BUFFER_BYTES);
            live.unwritten.extend_from_slice(&commit.buffer);
            live.set_written_end(commit.written_end);
            live.written_events = live.visible() - frames_in(&commit.buffer);
        }
        if commit.durable_end == commit.written_end {
            live.durable_events = live.written_events;
        }
        shown
    }

    /// Notes for the commit path what readers see from now on.
    pub(super) fn note(&self, commit: &mut Commit, live: &Live) {
        commit.next_sequence = live.visible();
        commit.slots = live.heads.slots();
        let fits = |tail: &Tail| tail.end < self.options.segment_bytes || tail.events() == 0;
        commit.has_room = live.tail.as_ref().is_some_and(fits);
    }

    /// Tells readers in other processes what has changed in the file. After a sync the head says
    /// exactly how far they may read. Otherwise it is left open-ended, so that further written
    /// appends need no call of their own.
    pub(super) fn announce(&self, commit: &mut Commit, synced: bool) {
        let news = commit.announced != (commit.written_end, commit.durable_end);
        if synced && (news || commit.open_ended != Some(false)) {
            let _ = self.publish_head(commit, false);
        } else if news && !synced && commit.open_ended != Some(true) {
            let _ = self.publish_head(commit, true);
        }
    }

    /// Overwrites the head file. With `open_ended`, readers in other processes also see the whole
    /// batches behind the end that it names. A failure changes nothing but what they see.
    pub(super) fn publish_head(
        &self,
        commit: &mut Commit,
        open_ended: bool,
    ) -> std::io::Result<()> {
        let Some(file) = &commit.head else { return Ok(()) };
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
                open_ended,
                generation: live.generation,
            }
        };
        let written = write_all_at(&**file, &head.encode(), 0);
        if written.is_ok() {
            commit.announced = (commit.written_end, commit.durable_end);
        }
        // What may stand there now is the old head, the new one, or none that can be read.
        commit.open_ended = match (&written, commit.open_ended) {
            (Ok(()), _) => Some(open_ended),
            (Err(_), Some(before)) if before == open_ended => Some(before),
            (Err(_), _) => None,
        };
        written
    }

    pub(super) fn newest_number(&self) -> u64 {
        self.live.read().tail.as_ref().map_or(0, |tail| tail.number)
    }
}

/// Where the last whole batch within the first `limit` bytes of these frames ends.
fn last_batch_end(frames: &[u8], limit: usize) -> usize {
    let (mut at, mut last) = (0, 0);
    while let Ok(frame) = Frame::of_own(&frames[at..]) {
        at += frame.layout().padded();
        if at > limit {
            break;
        }
        if !frame.batch_continues() {
            last = at;
        }
    }
    last
}

fn frames_in(mut frames: &[u8]) -> u64 {
    let mut count = 0;
    while let Ok(frame) = Frame::of_own(frames) {
        frames = &frames[frame.layout().padded()..];
        count += 1;
    }
    count
}

pub(super) fn taken(id: Id, by: u64) -> Error {
    let why = format!("the id {id} is taken by event {by} with other content");
    Error::new(ErrorKind::IdempotencyConflict, why)
}

pub(super) fn partly_known(found: usize, events: usize) -> Error {
    let why = format!("{found} of the {events} events of the batch are there already");
    Error::new(ErrorKind::IdempotencyConflict, why)
}

/// Refuses an event whose stream does not end with the clock that it expects.
pub(super) fn check_expected(event: &PreparedEvent<'_>, clock: Option<u32>) -> Result<()> {
    let right = match (event.expected, clock) {
        (Expected::Any, _) | (Expected::NoStream, None) => true,
        (Expected::Exact(expected), Some(clock)) => expected == clock,
        _ => false,
    };
    if right {
        return Ok(());
    }
    let wanted = match event.expected {
        Expected::Any | Expected::NoStream => "no event".to_owned(),
        Expected::Exact(clock) => format!("clock {clock}"),
    };
    let actual = clock.map_or("no event".to_owned(), |clock| format!("clock {clock}"));
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
