//! The floor: a file, and nothing that a log needs besides.

use crate::log::{Log, NewEvent, Result, Safety};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What is buffered is written once it has this size, as batpak does by default.
const BUFFER_BYTES: usize = 1 << 20;

/// Appends bytes without meaning. An event takes as many as batpak's frame of it.
pub struct PlainFile {
    file: File,
    frame_bytes: usize,
    end: Mutex<End>,
}

struct End {
    written: u64,
    buffer: Vec<u8>,
}

impl PlainFile {
    /// With `reserved` bytes of space allocated ahead, so that a sync need not change the file's
    /// size.
    pub fn create(path: &Path, frame_bytes: usize, reserved: u64) -> Result<Self> {
        let file = File::create_new(path)?;
        if reserved > 0 {
            fallocate(&file, FallocateFlags::empty(), 0, reserved)?;
            file.sync_all()?;
        }
        let end = Mutex::new(End { written: 0, buffer: Vec::with_capacity(2 * BUFFER_BYTES) });
        Ok(Self { file, frame_bytes, end })
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
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let frame = end.buffer.len() + self.frame_bytes;
            end.buffer.extend_from_slice(event.payload);
            end.buffer.resize(frame, 1);
        }
        if safety != Safety::Buffered || end.buffer.len() >= BUFFER_BYTES {
            self.write(&mut end)?;
        }
        if safety == Safety::Durable {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.write(&mut self.end.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
