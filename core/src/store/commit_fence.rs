//! Committing a fence that is too large for a group of appends: one batch, in bounded memory.
//!
//! It is read, staged and written piece by piece, while nobody sees any of it: the head that readers
//! in other processes go by is closed first, and readers here go on with the index as it was. Recovery
//! cuts a batch that is not whole. When the last piece is in the file, and synced if asked for, the
//! index that was made beside the other takes its place.

use super::commit::{Commit, Staging, Writer, check_expected, partly_known, taken};
use super::fence::Committed;
use super::prepare::Request;
use super::staged::Staged;
use super::{Inner, Live, Newest};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::Frame;
use crate::ids::Id;
use crate::index::tail::Tail;
use crate::options::{Durability, MAX_SEGMENT_BYTES};
use crate::storage::{VfsFile, write_all_at};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Inner {
    /// Commits a fence of any size.
    pub(super) fn commit_fence(
        &self,
        staged: &Staged,
        durability: Durability,
    ) -> Result<Committed> {
        let writer = self.writer()?;
        // Appends that nobody waits for were accepted before: they come first.
        self.submit(writer, Request::settling(Durability::Buffered)).recycle();
        let committed = {
            let mut commit = writer.commit.lock();
            let guarded =
                AssertUnwindSafe(|| self.append_fence(writer, &mut commit, staged, durability));
            catch_unwind(guarded).unwrap_or_else(|_| {
                let why = "a defect in the library stopped the commit";
                let error = Error::new(ErrorKind::Panic, why);
                writer.poison(error.clone());
                Err(error)
            })
        };
        // Nobody should wait for others for as long as this sync took.
        writer.queue.sync_took.store(0, Ordering::Relaxed);
        self.wake_waiters();
        committed
    }

    fn append_fence(
        &self,
        writer: &Writer,
        commit: &mut Commit,
        staged: &Staged,
        durability: Durability,
    ) -> Result<Committed> {
        // 1. Refuse what cannot be appended at all, before anything is written.
        if self.closed.load(Ordering::Acquire) {
            return Err(self.closed_error());
        }
        writer.check_poison()?;
        let events = u64::from(staged.len());
        if let Some((first_sequence, last_sequence)) = self.known_fence(staged)? {
            self.make_safe(writer, commit, last_sequence, durability)?;
            return Ok(Committed { first_sequence, events, duplicate: true });
        }
        self.check_clocks(staged)?;

        // 2. A segment with room, with everything in the file that comes before.
        let fits = |tail: &Tail| {
            tail.events() == 0 || tail.end + staged.frame_bytes() <= MAX_SEGMENT_BYTES
        };
        if !commit.has_room || !self.live.read().tail.as_ref().is_some_and(fits) {
            self.rotate(writer, commit)?;
        }
        self.write_buffered(writer, commit)?;
        self.close_head(commit)?;

        // 3. Write, piece by piece.
        let (file, tail) = (commit.file.clone(), self.live.read().tail.clone());
        let (Some(file), Some(mut tail)) = (file, tail) else {
            return Err(Error::new(ErrorKind::Panic, "there is no segment to append to"));
        };
        let first_sequence = tail.next_sequence();
        let slots = commit.slots;
        let mut staging = Staging::default();
        let mut fence = FenceWriter { staged, file: &*file, tail: &mut tail, streams: Vec::new() };
        let written = self.write_fence(commit, &mut staging, &mut fence);
        commit.buffer = Vec::new();
        let streams = fence.streams;
        let done = match written {
            Err(error) => {
                let end = commit.written_end;
                commit.file_end = end;
                Self::cut_back(writer, &*file, end, error).and_then(Err)
            }
            // 4. One sync, if asked for.
            Ok(()) => {
                commit.written_end = tail.end;
                commit.file_end = commit.file_end.max(tail.end);
                match durability {
                    Durability::Durable => self.sync_segment(writer, commit),
                    Durability::Written | Durability::Buffered => Ok(()),
                }
            }
        };
        if let Err(error) = done {
            self.live.write().heads.forget_from(slots);
            commit.slots = slots;
            return Err(error);
        }

        // 5. Show all of it.
        self.show_fence(commit, &staging, tail, &file, &streams);
        self.announce(commit, durability == Durability::Durable);
        Ok(Committed { first_sequence, events, duplicate: false })
    }

    fn write_fence(
        &self,
        commit: &mut Commit,
        staging: &mut Staging,
        fence: &mut FenceWriter<'_>,
    ) -> Result<()> {
        let first = fence.tail.next_sequence();
        let now_us = self.now_us(first);
        let mut request = Request::settling(Durability::Buffered);
        let mut ids: Vec<Id> = Vec::new();
        staging.begin(0, first);
        for piece in fence.staged.pieces() {
            request.clear();
            fence.staged.fill(piece, &mut request)?;
            staging.go_on();
            ids.clear();
            for (event, place) in request.events().zip(piece.first..) {
                let id_of = |cause: u32| match cause.checked_sub(piece.first) {
                    Some(at) => ids[at as usize],
                    None => fence.tail.recent_id(first + u64::from(cause)).unwrap_or(Id::NONE),
                };
                let receipt = self
                    .stage_event(commit, staging, &event, id_of, now_us)
                    .map_err(|error| error.of_item(place as usize))?;
                ids.push(receipt.id);
            }
            staging.seal(&mut commit.buffer);
            fence.write(staging, &commit.buffer).map_err(|failure| {
                let path = self.files.segment_path(fence.tail.number);
                let error = Error::io("cannot write the events", &path, &failure);
                let kind = error.kind();
                error
                    .at(fence.tail.number, commit.written_end)
                    .into_kind(kind, "nothing was appended")
            })?;
            commit.buffer.clear();
        }
        request.recycle();
        Ok(())
    }

    fn show_fence(
        &self,
        commit: &mut Commit,
        staging: &Staging,
        tail: Tail,
        file: &Arc<dyn VfsFile>,
        streams: &[u32],
    ) {
        // The segment may be longer now than was to be expected.
        let most = self.options.segment_bytes;
        let newest = Newest::new(&self.files, tail.number, file.clone(), tail.end, most);
        let mut live = self.live.write();
        let live = &mut *live;
        let before = live.tail.replace(tail);
        live.newest = Some(newest);
        for (slot, head) in &staging.heads {
            live.heads.set_at(*slot, *head);
            live.heads.set_in_tail(*slot, streams[*slot as usize]);
        }
        live.written_events = live.visible();
        if commit.durable_end == commit.written_end {
            live.durable_events = live.written_events;
        }
        self.note(commit, live);
        drop(before);
    }

    /// Makes the events up to this one, which were appended before, as safe as asked for now.
    fn make_safe(
        &self,
        writer: &Writer,
        commit: &mut Commit,
        last_sequence: u64,
        durability: Durability,
    ) -> Result<()> {
        let frontier = |live: &Live| match durability {
            Durability::Durable => live.durable_events,
            Durability::Written => live.written_events,
            Durability::Buffered => live.visible(),
        };
        if last_sequence < frontier(&self.live.read()) {
            return Ok(());
        }
        let done = self.write_buffered(writer, commit).and_then(|()| match durability {
            Durability::Durable => self.sync_segment(writer, commit),
            Durability::Written | Durability::Buffered => Ok(()),
        });
        done.map_err(|error| {
            let why = "the events were appended before, but are not as safe as asked for now";
            error.into_kind(ErrorKind::Indeterminate, why)
        })?;
        if durability == Durability::Durable {
            self.live.write().settle(commit.written_end);
            self.announce(commit, true);
        }
        Ok(())
    }

    /// If all events of the fence are in the log: the sequence of the one with the first one's id,
    /// and the highest one.
    fn known_fence(&self, staged: &Staged) -> Result<Option<(u64, u64)>> {
        if !staged.has_given_ids() {
            return Ok(None);
        }
        let (mut found, mut first, mut last) = (0, None, 0);
        let mut request = Request::settling(Durability::Buffered);
        for piece in staged.pieces() {
            request.clear();
            staged.fill(piece, &mut request)?;
            for (event, place) in request.events().zip(piece.first..) {
                let Some(id) = event.id else { continue };
                let Some(known) = self.find(id)? else { continue };
                if !event.made(&known.frame(), known.bytes(), staged.cause(&event)) {
                    return Err(taken(id, known.sequence()).of_item(place as usize));
                }
                found += 1;
                first.get_or_insert(known.sequence());
                last = last.max(known.sequence());
            }
        }
        request.recycle();
        match found {
            0 => Ok(None),
            found if found == staged.len() as usize => Ok(first.map(|first| (first, last))),
            found => Err(partly_known(found, staged.len() as usize)),
        }
    }

    /// Compares expected clocks with the streams, as the earlier events of the fence leave them.
    fn check_clocks(&self, staged: &Staged) -> Result<()> {
        if !staged.expects {
            return Ok(());
        }
        let mut clocks: HashMap<(Box<str>, u32), Option<u32>> = HashMap::new();
        let mut request = Request::settling(Durability::Buffered);
        for piece in staged.pieces() {
            request.clear();
            staged.fill(piece, &mut request)?;
            for (event, place) in request.events().zip(piece.first..) {
                let stream = (Box::from(event.entity()), event.lane);
                let clock = match clocks.get_mut(&stream) {
                    Some(clock) => clock,
                    None => {
                        let head = self.stream_end(event.entity(), event.lane)?;
                        clocks.entry(stream).or_insert(head.map(|head| head.clock))
                    }
                };
                check_expected(&event, *clock).map_err(|error| error.of_item(place as usize))?;
                *clock = Some(clock.map_or(0, |clock| clock.saturating_add(1)));
            }
        }
        request.recycle();
        Ok(())
    }
}

/// A fence being written behind the visible end of the newest segment.
struct FenceWriter<'a> {
    staged: &'a Staged,
    file: &'a dyn VfsFile,
    /// The index of the segment with what is written of the fence.
    tail: &'a mut Tail,
    /// By slot: the number of its stream in the index.
    streams: Vec<u32>,
}

impl FenceWriter<'_> {
    /// Writes the staged frames, and adds them to the index.
    fn write(&mut self, staging: &Staging, frames: &[u8]) -> std::io::Result<()> {
        write_all_at(self.file, frames, self.tail.end)?;
        for staged in &staging.frames {
            let frame = Frame::of_own(&frames[staged.at..]).map_err(std::io::Error::other)?;
            let slot = staged.slot as usize;
            if self.streams.len() <= slot {
                self.streams.resize(slot + 1, u32::MAX);
            }
            self.streams[slot] = self.tail.push(&frame, Some(self.streams[slot]));
        }
        Ok(())
    }
}
