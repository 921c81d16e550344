//! Closing, and the thread that writes buffered events when their time is up.

use super::commit::{Commit, Writer};
use super::{Inner, Store};
use crate::error::Result;
use crate::format::manifest::{self, ClosedEnd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The name of the newest segment's index at the last clean close.
pub(super) const TAIL_INDEX: &str = "tail.sidx";

impl Store {
    /// Writes and syncs what is buffered, and closes the store; every clone of the handle is
    /// closed with it. Events that were read stay valid. Closing again does nothing.
    ///
    /// The store is closed even if this fails; the error says what may be missing.
    pub fn close(&self) -> Result<()> {
        if std::process::id() != self.0.process {
            return self.0.check_usable();
        }
        self.0.close()
    }
}

impl Inner {
    fn close(&self) -> Result<()> {
        let Some(writer) = &self.writer else {
            self.closed.store(true, Ordering::Release);
            return Ok(());
        };
        let mut commit = writer.commit.lock();
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let result = self.settle_and_note(writer, &mut commit);
        // The locks go last: until then no other writer may come.
        commit.file = None;
        for lock in [commit.head.take(), commit.lock.take()].into_iter().flatten() {
            let _ = lock.unlock();
        }
        drop(commit);
        self.wake_waiters();
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
            live.unwritten.clear();
            live.written_end = commit.written_end;
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

impl Drop for Inner {
    /// A store that was not closed is closed quietly. In a forked child nothing is done: the
    /// files are the parent's.
    fn drop(&mut self) {
        if std::process::id() == self.process && !self.closed.load(Ordering::Acquire) {
            let _ = self.close();
        }
    }
}

/// Starts the thread that writes buffered events `buffer_ms` after the first of them came. No
/// promise but that time limit rests on it. It ends when the store is dropped.
pub(super) fn start_flusher(inner: &Arc<Inner>, buffered: flume::Receiver<()>) {
    let pause = Duration::from_millis(u64::from(inner.options.buffer_ms));
    let store: Weak<Inner> = Arc::downgrade(inner);
    let flusher = move || {
        while buffered.recv().is_ok() {
            std::thread::sleep(pause);
            match store.upgrade() {
                // An error stays with the events: the next written or durable append meets it.
                Some(store) => drop(store.flush()),
                None => break,
            }
        }
    };
    // Without the thread buffered events wait for the next write, flush or close.
    let _ = std::thread::Builder::new().name("batpak-flush".into()).spawn(flusher);
}
