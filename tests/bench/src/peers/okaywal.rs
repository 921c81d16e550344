//! okaywal: chunks in entries, whose positions it gives. No ids, no hash and no index: the
//! positions are kept in memory only.

use super::record::{message, show_message};
use crate::log::{Log, NewEvent, Result, Safety, Visit};
use okaywal::{Configuration, LogPosition, LogVoid, WriteAheadLog};
use parking_lot::Mutex;
use std::io::Read;
use std::path::Path;

/// What it allocates ahead. It throws away what is behind it, which no measurement reaches.
const SEGMENT_BYTES: u32 = 256 << 20;

pub struct OkayWal {
    log: WriteAheadLog,
    positions: Mutex<Vec<LogPosition>>,
}

impl OkayWal {
    pub fn open(path: &Path) -> Result<Self> {
        let configuration = Configuration::default_for(path)
            .preallocate_bytes(SEGMENT_BYTES)
            .checkpoint_after_bytes(SEGMENT_BYTES.into());
        Ok(Self { log: configuration.open(LogVoid)?, positions: Mutex::default() })
    }
}

impl Log for OkayWal {
    /// Durable in any case.
    fn append(&self, events: &[NewEvent<'_>], _: Safety) -> Result<()> {
        let mut entry = self.log.begin_entry()?;
        let mut positions = Vec::with_capacity(events.len());
        for event in events {
            positions.push(entry.write_chunk(&message(event))?.position);
        }
        entry.commit()?;
        self.positions.lock().append(&mut positions);
        Ok(())
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        for position in &*self.positions.lock() {
            let mut message = Vec::new();
            self.log.read_at(*position)?.read_to_end(&mut message)?;
            show_message(&message, visit);
        }
        Ok(())
    }
}
