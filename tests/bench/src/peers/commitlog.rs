//! commitlog: messages that are found by their offset. No ids, no hash, and no sync: nothing is
//! ever durable.

use super::record::{message, show_message};
use crate::log::{Log, NewEvent, Result, Safety, Visit};
use commitlog::message::{MessageBuf, MessageSet};
use commitlog::{CommitLog, LogOptions, ReadLimit};
use parking_lot::Mutex;
use std::path::Path;

pub struct Commitlog(Mutex<CommitLog>);

impl Commitlog {
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = LogOptions::new(path);
        options.segment_max_bytes(64 << 20).message_max_bytes(32 << 20);
        Ok(Self(Mutex::new(CommitLog::new(options)?)))
    }
}

impl Log for Commitlog {
    fn append(&self, events: &[NewEvent<'_>], _: Safety) -> Result<()> {
        let mut messages = MessageBuf::default();
        for event in events {
            messages.push(message(event)).map_err(|error| format!("{error:?}"))?;
        }
        self.0.lock().append(&mut messages)?;
        Ok(())
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        let log = self.0.lock();
        let mut next = 0;
        while next < log.next_offset() {
            let messages = log.read(next, ReadLimit::max_bytes(1 << 20))?;
            for message in messages.iter() {
                show_message(message.payload(), visit);
                next = message.offset() + 1;
            }
        }
        Ok(())
    }
}
