//! redb: a table of events, and two that find them by id and by stream.

use super::record::{Ledger, kind_of, record, show, sorted, stream_key};
use crate::log::{Log, NewEvent, Result, Safety, Store, Visit, Way};
use parking_lot::Mutex;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;

const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
const IDS: TableDefinition<&[u8; 16], u64> = TableDefinition::new("ids");
const STREAMS: TableDefinition<&[u8], u64> = TableDefinition::new("streams");

pub struct Redb {
    database: Database,
    ledger: Mutex<Ledger>,
}

impl Redb {
    pub fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let database = Database::create(path.join("events.redb"))?;
        Ok(Self { database, ledger: Mutex::default() })
    }
}

impl Log for Redb {
    fn append(&self, events: &[NewEvent<'_>], safety: Safety) -> Result<()> {
        // One transaction at a time, so that the places are given in the order of the commits.
        let mut transaction = self.database.begin_write()?;
        // There is nothing between memory and disk.
        transaction.set_durability(match safety {
            Safety::Durable => Durability::Immediate,
            Safety::Written | Safety::Buffered => Durability::None,
        })?;
        {
            let mut ledger = self.ledger.lock();
            let mut table = transaction.open_table(EVENTS)?;
            let mut ids = transaction.open_table(IDS)?;
            let mut streams = transaction.open_table(STREAMS)?;
            for event in events {
                let place = ledger.place(event);
                let stream = stream_key(event.entity, place.clock);
                table.insert(place.sequence, &record(event, &place)[..])?;
                let taken = ids.insert(&place.id, place.sequence)?.is_some();
                if taken || streams.insert(&stream[..], place.sequence)?.is_some() {
                    return Err("the id or the clock is taken".into());
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        for entry in self.database.begin_read()?.open_table(EVENTS)?.iter()? {
            show(entry?.1.value(), visit);
        }
        Ok(())
    }
}

impl Store for Redb {
    fn by_sequence(&self, sequence: u64, visit: &mut Visit<'_>) -> Result<()> {
        let transaction = self.database.begin_read()?;
        if let Some(record) = transaction.open_table(EVENTS)?.get(sequence)? {
            show(record.value(), visit);
        }
        Ok(())
    }

    fn by_id(&self, id: &[u8; 16], visit: &mut Visit<'_>) -> Result<()> {
        let transaction = self.database.begin_read()?;
        if let Some(sequence) = transaction.open_table(IDS)?.get(id)?
            && let Some(record) = transaction.open_table(EVENTS)?.get(sequence.value())?
        {
            show(record.value(), visit);
        }
        Ok(())
    }

    fn stream(&self, entity: &str, visit: &mut Visit<'_>) -> Result<()> {
        let transaction = self.database.begin_read()?;
        let (streams, events) = (transaction.open_table(STREAMS)?, transaction.open_table(EVENTS)?);
        let (first, last) = (stream_key(entity, 0), stream_key(entity, u32::MAX));
        for entry in streams.range(&first[..]..=&last[..])? {
            if let Some(record) = events.get(entry?.1.value())? {
                show(record.value(), visit);
            }
        }
        Ok(())
    }

    fn region(&self, prefix: &str, kind: u16, visit: &mut Visit<'_>) -> Result<()> {
        let transaction = self.database.begin_read()?;
        let (streams, events) = (transaction.open_table(STREAMS)?, transaction.open_table(EVENTS)?);
        let (first, end) = (format!("{prefix}:"), format!("{prefix};"));
        let entries = streams.range(first.as_bytes()..end.as_bytes())?;
        let sequences = entries.map(|entry| Ok(entry?.1.value())).collect::<Result<Vec<_>>>()?;
        for sequence in sorted(sequences) {
            if let Some(record) = events.get(sequence)?
                && kind_of(record.value()) == kind
            {
                show(record.value(), visit);
            }
        }
        Ok(())
    }

    fn page(&self, from: u64, count: usize, way: Way, visit: &mut Visit<'_>) -> Result<()> {
        let events = self.database.begin_read()?.open_table(EVENTS)?;
        match way {
            Way::Forwards => {
                for entry in events.range(from..)?.take(count) {
                    show(entry?.1.value(), visit);
                }
            }
            Way::Backwards => {
                for entry in events.range(..=from)?.rev().take(count) {
                    show(entry?.1.value(), visit);
                }
            }
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
