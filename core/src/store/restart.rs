//! Going on after a panic in the middle of a commit.
//!
//! A panic is a defect in this library, or in the file system beneath it. What the commit path then
//! knows of the log may be half-changed; so it is forgotten, and the end of the log is read from the
//! files again, as it is on opening. What was buffered and visible is in memory still, and is kept.

use super::commit::{Commit, Staging, Writer};
use super::open::{OpenReport, Reader, load, no_store, read_manifest};
use super::{Inner, Live};
use crate::error::{Error, Result};
use crate::format::frame::Frame;
use crate::index::tail::Tail;
use std::time::{Duration, Instant};

/// When the commit path was restarted, as far as that still counts.
#[derive(Default)]
pub(super) struct Restarts(Vec<Instant>);

impl Restarts {
    /// Whether there may be another one now; it counts from now on.
    fn allow(&mut self, most: u32, window: Option<Duration>) -> bool {
        if let Some(window) = window {
            self.0.retain(|restart| restart.elapsed() < window);
        }
        let allowed = self.0.len() < most as usize;
        if allowed {
            self.0.push(Instant::now());
        }
        allowed
    }
}

impl Inner {
    /// Reads the end of the log again, if the options allow one more restart.
    pub(super) fn restart(&self, writer: &Writer) -> Result<()> {
        let window = match self.options.restart_window_ms {
            0 => None,
            ms => Some(Duration::from_millis(ms.into())),
        };
        if !writer.restarts.lock().allow(self.options.restarts, window) {
            return Err(Error::corrupt("there were as many restarts as the options allow"));
        }
        let mut commit = writer.commit.lock();
        self.read_end_again(&mut commit)?;
        if !commit.buffer.is_empty() {
            commit.flush_awaited = true;
            self.flush_soon(writer);
        }
        drop(commit);
        self.wake_waiters();
        Ok(())
    }

    fn read_end_again(&self, commit: &mut Commit) -> Result<()> {
        let (parts, unwritten, written_events) = {
            let live = self.live.read();
            (live.parts.clone(), live.unwritten.clone(), live.written_events)
        };
        let manifest = read_manifest(&self.files)?.ok_or_else(|| no_store(&self.files))?;
        let found = load(&self.files, &manifest, &parts, Reader::Writer)?;
        if found.events < written_events {
            let why = format!("the log has {} events; {written_events} were", found.events);
            return Err(Error::corrupt(why).at_path(&self.files.dir));
        }
        let mut report = OpenReport::default();
        found.cut_end(&self.files, &mut report)?;
        self.files
            .vfs
            .sync_dir(&self.files.dir)
            .map_err(|e| Error::io("cannot sync the directory", &self.files.dir, &e))?;
        found.confirm(&self.files)?;

        let written_end = found.tail.as_ref().map_or(0, |tail| tail.end);
        commit.next_number = commit.next_number.max(manifest.next_number());
        commit.manifest = manifest;
        commit.head_writes = commit.head_writes.max(found.head_writes);
        commit.file = found.tail_file.clone();
        commit.buffer.clear();
        commit.in_file = 0;
        commit.written_end = written_end;
        commit.durable_end = written_end;
        commit.file_end = if report.cut_bytes > 0 { written_end } else { found.length };
        commit.open_ended = None;
        commit.flush_awaited = false;
        commit.staging = Staging::default();
        let events = found.events;
        let mut fresh = found.into_live(&self.files, &self.options);
        keep_buffered(&unwritten, events, fresh.tail.as_mut(), &mut commit.buffer)?;
        fresh.unwritten.clone_from(&commit.buffer);
        let mut live = self.live.write();
        *live = Live { written_events: events, durable_events: events, ..fresh };
        self.note(commit, &live);
        drop(live);
        // A head that could not be written is written by the next append.
        let _ = self.publish_head(commit, false);
        Ok(())
    }
}

/// Takes those of the buffered frames that are not in the file to the index, and to `buffer`.
fn keep_buffered(
    mut unwritten: &[u8],
    written_events: u64,
    mut tail: Option<&mut Tail>,
    buffer: &mut Vec<u8>,
) -> Result<()> {
    while let Ok(frame) = Frame::of_own(unwritten) {
        let (bytes, rest) = unwritten.split_at(frame.layout().padded());
        unwritten = rest;
        if frame.sequence() < written_events {
            continue;
        }
        match tail.as_deref_mut().filter(|tail| tail.next_sequence() == frame.sequence()) {
            Some(tail) => tail.push(&frame, None),
            None => return Err(Error::corrupt("buffered events do not continue the log")),
        };
        buffer.extend_from_slice(bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_counted() {
        let mut never = Restarts::default();
        assert!(!never.allow(0, None));
        let mut twice = Restarts::default();
        assert_eq!([(); 4].map(|()| twice.allow(2, None)), [true, true, false, false]);
        let hour = Some(Duration::from_secs(3600));
        let mut bounded = Restarts::default();
        assert_eq!([(); 3].map(|()| bounded.allow(2, hour)), [true, true, false]);
        // All of them are longer ago than no time.
        assert!(bounded.allow(2, Some(Duration::ZERO)));
    }
}
