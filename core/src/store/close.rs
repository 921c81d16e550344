//! Closing, and the thread that writes buffered events when their time is up.

use super::commit::{Commit, Writer};
use super::{Inner, Store};
use crate::error::{Result, Retry};
use crate::format::manifest::{self, ClosedEnd};
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
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
        if std::process::id() != self.0.process {
            return self.0.check_usable();
        }
        self.0.close()
    }
}

impl Inner {
    pub(super) fn close(&self) -> Result<()> {
        let Some(writer) = &self.writer else {
            self.closed.store(true, Ordering::Release);
            return Ok(());
        };
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
        // After the commit lock is free: the flusher may be waiting for it.
        let flusher = writer.flusher.lock().take();
        if let Some(flusher) = flusher {
            flusher.stop();
        }
        result
    }

    fn settle_and_note(&self, writer: &Writer, commit: &mut Commit) -> Result<()> {
        writer.check_poison()?;
        let staged = commit.buffer.len();
        self.write_buffer(writer, commit, staged)?;
        self.sync_segment(writer, commit)?;
        commit.buffer.clear();
        let note = {
            let mut live = self.live.write();
            let live = &mut *live;
            live.settle(commit.written_end);
            let Some(tail) = live.tail.as_ref().filter(|tail| tail.events() > 0) else {
                return Ok(());
            };
            let end = ClosedEnd {
                segment: tail.number,
                offset: tail.end,
                events: tail.next_sequence(),
                root: tail.tree.root(),
            };
            (commit.manifest.closed != Some(end)).then(|| (end, tail.footer()))
        };
        self.publish_head(commit);
        // Nothing was appended since the last close: its note still stands.
        let Some((end, index)) = note else { return Ok(()) };
        self.files.replace(TAIL_INDEX, &index)?;
        commit.manifest.closed = Some(end);
        self.files.replace(manifest::FILE_NAME, &commit.manifest.encode())
    }
}

/// The thread that writes buffered events when their time is up. No promise but that time limit
/// rests on it. It starts with the first buffered append and ends with the store.
pub(super) struct Flusher {
    process: u32,
    /// `None` once it was told to stop.
    handles: Option<Handles>,
}

struct Handles {
    /// Says that something was buffered.
    buffered: flume::Sender<()>,
    /// Dropped to end a pause.
    _stop: flume::Sender<()>,
    thread: JoinHandle<()>,
}

impl Drop for Flusher {
    /// In a forked child the thread does not exist, and may have left a lock of its channels behind
    /// locked: they are not touched.
    fn drop(&mut self) {
        if std::process::id() != self.process {
            std::mem::forget(self.handles.take());
        }
    }
}

impl Flusher {
    fn start(store: Weak<Inner>, pause: Duration) -> Option<Self> {
        let (buffered, wake) = flume::bounded(1);
        let (stop, stopped) = flume::bounded::<()>(0);
        let flusher = move || {
            while wake.recv().is_ok() {
                if stopped.recv_timeout(pause) != Err(flume::RecvTimeoutError::Timeout) {
                    break;
                }
                // Events that could not be written for want of space are tried again.
                while let Some(store) = store.upgrade()
                    && store.flush().is_err_and(|e| e.retry() == Retry::Later)
                {
                    drop(store);
                    if stopped.recv_timeout(pause) != Err(flume::RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            }
        };
        // Without a thread buffered events wait for the next write, flush or close.
        let thread = std::thread::Builder::new().name("batpak-flush".into()).spawn(flusher).ok()?;
        let handles = Some(Handles { buffered, _stop: stop, thread });
        Some(Self { process: std::process::id(), handles })
    }

    /// Ends the thread and waits for it, so that none of the library's code runs after a close.
    fn stop(mut self) {
        let Some(Handles { buffered, _stop, thread }) = self.handles.take() else { return };
        drop((buffered, _stop));
        // The flusher itself may hold the last handle.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}

impl Inner {
    /// Has what was just buffered written in time.
    pub(super) fn flush_soon(&self, writer: &Writer) {
        let mut flusher = writer.flusher.lock();
        if flusher.is_none() {
            let pause = Duration::from_millis(u64::from(self.options.buffer_ms));
            *flusher = Flusher::start(writer.store.clone(), pause);
        }
        if let Some(handles) = flusher.as_ref().and_then(|flusher| flusher.handles.as_ref()) {
            let _ = handles.buffered.try_send(());
        }
    }
}
