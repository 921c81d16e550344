//! RocksDB: a column family of events, and two that find them by id and by stream. It does not
//! check that ids and clocks are new, which favours it.

use super::record::{Ledger, kind_of, record, show, sorted, stream_key};
use crate::log::{Log, NewEvent, Result, Safety, Store, Visit, Way};
use parking_lot::Mutex;
use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, Options, WriteBatch, WriteOptions};
use std::path::Path;

pub struct Rocksdb {
    database: DB,
    ledger: Mutex<Ledger>,
}

impl Rocksdb {
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let database = DB::open_cf(&options, path, ["events", "ids", "streams"])?;
        Ok(Self { database, ledger: Mutex::default() })
    }

    fn family(&self, name: &str) -> Result<&ColumnFamily> {
        self.database.cf_handle(name).ok_or_else(|| format!("no column family {name}").into())
    }

    fn show(&self, sequence: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        if let Some(record) = self.database.get_pinned_cf(self.family("events")?, sequence)? {
            show(&record, visit);
        }
        Ok(())
    }
}

impl Log for Rocksdb {
    fn append(&self, events: &[NewEvent<'_>], safety: Safety) -> Result<()> {
        let (table, ids) = (self.family("events")?, self.family("ids")?);
        let streams = self.family("streams")?;
        let mut batch = WriteBatch::default();
        for event in events {
            let place = self.ledger.lock().place(event);
            let key = place.sequence.to_be_bytes();
            batch.put_cf(table, key, record(event, &place));
            batch.put_cf(ids, place.id, key);
            batch.put_cf(streams, stream_key(event.entity, place.clock), key);
        }
        let mut options = WriteOptions::default();
        options.set_sync(safety == Safety::Durable);
        Ok(self.database.write_opt(batch, &options)?)
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        for entry in self.database.iterator_cf(self.family("events")?, IteratorMode::Start) {
            show(&entry?.1, visit);
        }
        Ok(())
    }
}

impl Store for Rocksdb {
    fn by_sequence(&self, sequence: u64, visit: &mut Visit<'_>) -> Result<()> {
        self.show(&sequence.to_be_bytes(), visit)
    }

    fn by_id(&self, id: &[u8; 16], visit: &mut Visit<'_>) -> Result<()> {
        match self.database.get_pinned_cf(self.family("ids")?, id)? {
            Some(sequence) => self.show(&sequence, visit),
            None => Ok(()),
        }
    }

    fn stream(&self, entity: &str, visit: &mut Visit<'_>) -> Result<()> {
        let (first, last) = (stream_key(entity, 0), stream_key(entity, u32::MAX));
        let mode = IteratorMode::From(&first, Direction::Forward);
        for entry in self.database.iterator_cf(self.family("streams")?, mode) {
            let (key, sequence) = entry?;
            if *key > *last {
                break;
            }
            self.show(&sequence, visit)?;
        }
        Ok(())
    }

    fn region(&self, prefix: &str, kind: u16, visit: &mut Visit<'_>) -> Result<()> {
        let (first, end) = (format!("{prefix}:"), format!("{prefix};"));
        let mode = IteratorMode::From(first.as_bytes(), Direction::Forward);
        let mut sequences = Vec::new();
        for entry in self.database.iterator_cf(self.family("streams")?, mode) {
            let (key, sequence) = entry?;
            if *key >= *end.as_bytes() {
                break;
            }
            sequences.push(sequence);
        }
        let events = self.family("events")?;
        for sequence in sorted(sequences) {
            if let Some(record) = self.database.get_pinned_cf(events, sequence)?
                && kind_of(&record) == kind
            {
                show(&record, visit);
            }
        }
        Ok(())
    }

    fn page(&self, from: u64, count: usize, way: Way, visit: &mut Visit<'_>) -> Result<()> {
        let direction = match way {
            Way::Forwards => Direction::Forward,
            Way::Backwards => Direction::Reverse,
        };
        let from = from.to_be_bytes();
        let mode = IteratorMode::From(&from, direction);
        for entry in self.database.iterator_cf(self.family("events")?, mode).take(count) {
            show(&entry?.1, visit);
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.database.flush_wal(true)?)
    }
}
