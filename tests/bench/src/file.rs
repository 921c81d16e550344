//! The floor: a file, and nothing that a log needs besides.

use crate::log::{Log, NewEvent, Result, Safety, Visit};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is buffered is written once it has this size, as batpak does by default.
const BUFFER_BYTES: usize = 1 << 20;

/// What a sync finds of the space that an event is written to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Nothing: the file grows with each write.
    Grows,
    /// So many bytes are allocated, so that a sync need not change the file's size.
    Allocated(u64),
    /// So many bytes hold zeros, so that a sync need not change any metadata.
    Filled(u64),
}

/// What an event takes.
#[derive(Clone, Copy)]
pub struct Frame {
    pub payload_bytes: usize,
    /// As many as batpak's frame of it.
    pub frame_bytes: usize,
    /// Whether the BLAKE3 hash of the payload stands behind it.
    pub hashed: bool,
}

/// Appends payloads, each in a frame that says nothing more.
pub struct PlainFile {
    file: File,
    frame: Frame,
    end: Mutex<End>,
}

struct End {
    written: u64,
    buffer: Vec<u8>,
}

impl PlainFile {
    pub fn create(path: &Path, frame: Frame, space: Space) -> Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        match space {
            Space::Grows => {}
            Space::Allocated(bytes) => fallocate(&file, FallocateFlags::empty(), 0, bytes)?,
            Space::Filled(bytes) => file.write_all_at(&vec![0; bytes as usize], 0)?,
        }
        file.sync_all()?;
        let end = Mutex::new(End { written: 0, buffer: Vec::with_capacity(2 * BUFFER_BYTES) });
        Ok(Self { file, frame, end })
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, end: &mut End, payload: &[u8], hash: Option<blake3::Hash>) {
        let frame_end = end.buffer.len() + self.frame.frame_bytes;
        end.buffer.extend_from_slice(payload);
        if let Some(hash) = hash {
            end.buffer.extend_from_slice(hash.as_bytes());
        }
        end.buffer.resize(frame_end, 1);
    }

    fn write(&self, end: &mut End) -> Result<()> {
        self.file.write_all_at(&end.buffer, end.written)?;
        end.written += end.buffer.len() as u64;
        end.buffer.clear();
        Ok(())
    }
}

impl Log for PlainFile {
    fn append(&self, events: &[NewEvent<'_>], safety: Safety) -> Result<()> {
        let hash = |event: &NewEvent<'_>| self.frame.hashed.then(|| blake3::hash(event.payload));
        let mut end = if let [event] = events {
            // What needs no order needs no lock.
            let hash = hash(event);
            let mut end = self.end();
            self.push(&mut end, event.payload, hash);
            end
        } else {
            let mut end = self.end();
            for event in events {
                self.push(&mut end, event.payload, hash(event));
            }
            end
        };
        if safety != Safety::Buffered || end.buffer.len() >= BUFFER_BYTES {
            self.write(&mut end)?;
        }
        if safety == Safety::Durable {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.write(&mut self.end())
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        let mut bytes = vec![0; self.end().written as usize];
        self.file.read_exact_at(&mut bytes, 0)?;
        for frame in bytes.chunks(self.frame.frame_bytes) {
            visit(&[0; 16], &frame[..self.frame.payload_bytes]);
        }
        Ok(())
    }
}
