//! Closing, and the thread that writes buffered events when their time is up.

use super::background::Background;
use super::commit::{Commit, Writer};
use super::prepare::Request;
use super::{Inner, Store};
use crate::error::Result;
use crate::format::manifest::{self, ClosedEnd};
use crate::options::Durability;
use crate::process;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The name of the newest segment's index at the last clean close.
pub(super) const TAIL_INDEX: &str = "tail.sidx";

impl Store {
    /// Writes and syncs what is buffered, and closes the store; every clone of the handle is
    /// closed with it. Events that were read stay valid. Closing again does nothing.
    ///
    /// If buffered events cannot be written, for want of space, say, the store stays open, so that
    /// closing can be tried again. After any other error it is closed all the same.
    pub fn close(&self) -> Result<()> {
        if process::generation() != self.0.process {
            return self.0.check_usable();
        }
        self.0.close()
    }
}

impl Inner {
    pub(super) fn close(&self) -> Result<()> {
        let Some(writer) = &self.writer else {
            self.closed.store(true, Ordering::SeqCst);
            self.wake_waiters();
            if let Some(follower) = &self.follower {
                follower.wake();
            }
            if let Some(old) = &self.old {
                old.close();
            }
            return Ok(());
        };
        if !self.closed.load(Ordering::Acquire) {
            // Appends that nobody waits for were accepted before: they come first.
            let last = Request::settling(Durability::Buffered);
            self.submit(writer, last).recycle();
        }
        let mut commit = writer.commit.lock();
        if self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        let result = self.settle_and_note(writer, &mut commit);
        if let Err(error) = &result
            && writer.check_poison().is_ok()
            && !commit.buffer.is_empty()
        {
            let why = "the store stays open, since buffered events could not be written";
            return Err(error.clone().into_kind(error.kind(), why));
        }
        self.closed.store(true, Ordering::Release);
        // The locks go last: until then no other writer may come.
        commit.file = None;
        for lock in [commit.head.take(), commit.lock.take()].into_iter().flatten() {
            let _ = lock.unlock();
        }
        drop(commit);
        self.wake_waiters();
        self.stop_committer(writer);
        // After the commit lock is free: the flusher may be waiting for it.
        let flusher = writer.flusher.lock().take();
        if let Some(flusher) = flusher {
            flusher.stop();
        }
        result
    }

    fn settle_and_note(&self, writer: &Writer, commit: &mut Commit) -> Result<()> {
        writer.check_poison()?;
        self.write_buffered(writer, commit)?;
        if let Some(file) = &commit.file
            && commit.file_end > commit.written_end
            && file.set_len(commit.written_end).is_ok()
        {
            // Reserved space need not be given back for good: zeros behind the end mean nothing.
            commit.file_end = commit.written_end;
        }
        self.sync_segment(writer, commit)?;
        let note = {
            let mut live = self.live.write();
            let live = &mut *live;
            live.settle(commit.written_end);
            let Some(tail) = live.tail.as_ref().filter(|tail| tail.next_sequence() > 0) else {
                return Ok(());
            };
            let end = ClosedEnd {
                segment: tail.number,
                offset: tail.end,
                events: tail.next_sequence(),
                root: tail.tree.root(),
            };
            let index = (tail.events() > 0).then(|| tail.footer());
            (commit.manifest.closed != Some(end)).then_some((end, index))
        };
        let _ = self.publish_head(commit, false);
        // Nothing was appended since the last close: its note still stands.
        let Some((end, index)) = note else { return Ok(()) };
        if let Some(index) = index {
            self.files.replace(TAIL_INDEX, &index)?;
        }
        commit.manifest.closed = Some(end);
        commit.manifest.retired = self.files.retired();
        self.files.replace(manifest::FILE_NAME, &commit.manifest.encode())
    }
}

impl Inner {
    /// Has what was just buffered written in time, by a thread that starts with the first buffered
    /// append and ends with the store. Without it, buffered events wait for the next write, flush
    /// or close.
    pub(super) fn flush_soon(&self, writer: &Writer) {
        let mut flusher = writer.flusher.lock();
        let flusher = flusher.get_or_insert_with(|| {
            let pause = Duration::from_millis(u64::from(self.options.buffer_ms));
            start_flusher(writer.store.clone(), pause)
        });
        flusher.wake();
    }
}

fn start_flusher(store: Weak<Inner>, pause: Duration) -> Background {
    Background::start("batpak-flush", move |woken, stopped| {
        while woken.recv().is_ok() {
            if stopped.recv_timeout(pause) != Err(flume::RecvTimeoutError::Timeout) {
                return;
            }
            // Events that could not be written are tried again while that may help.
            while let Some(store) = store.upgrade()
                && store.flush().is_err()
                && store.writer().is_ok_and(|writer| writer.check_poison().is_ok())
            {
                drop(store);
                if stopped.recv_timeout(pause) != Err(flume::RecvTimeoutError::Timeout) {
                    return;
                }
            }
        }
    })
}
