//! fjall: a keyspace of events, and two that find them by id and by stream. It does not check that
//! ids and clocks are new, which favours it.

use super::record::{Ledger, kind_of, record, show, sorted, stream_key};
use crate::log::{Log, NewEvent, Result, Safety, Store, Visit, Way};
use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};
use parking_lot::Mutex;
use std::path::Path;

pub struct Fjall {
    database: Database,
    events: Keyspace,
    ids: Keyspace,
    streams: Keyspace,
    ledger: Mutex<Ledger>,
}

impl Fjall {
    pub fn open(path: &Path) -> Result<Self> {
        let database = Database::builder(path).open()?;
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        let (events, ids, streams) = (keyspace("events")?, keyspace("ids")?, keyspace("streams")?);
        Ok(Self { database, events, ids, streams, ledger: Mutex::default() })
    }

    fn show(&self, sequence: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        if let Some(record) = self.events.get(sequence)? {
            show(&record, visit);
        }
        Ok(())
    }
}

impl Log for Fjall {
    fn append(&self, events: &[NewEvent<'_>], safety: Safety) -> Result<()> {
        let mode =
            if safety == Safety::Durable { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut batch = self.database.batch().durability(Some(mode));
        for event in events {
            let place = self.ledger.lock().place(event);
            let key = place.sequence.to_be_bytes();
            batch.insert(&self.events, key, record(event, &place));
            batch.insert(&self.ids, place.id, key);
            batch.insert(&self.streams, stream_key(event.entity, place.clock), key);
        }
        Ok(batch.commit()?)
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        self.events.iter().try_for_each(|entry| {
            show(&entry.value()?, visit);
            Ok(())
        })
    }
}

impl Store for Fjall {
    fn by_sequence(&self, sequence: u64, visit: &mut Visit<'_>) -> Result<()> {
        self.show(&sequence.to_be_bytes(), visit)
    }

    fn by_id(&self, id: &[u8; 16], visit: &mut Visit<'_>) -> Result<()> {
        match self.ids.get(id)? {
            Some(sequence) => self.show(&sequence, visit),
            None => Ok(()),
        }
    }

    fn stream(&self, entity: &str, visit: &mut Visit<'_>) -> Result<()> {
        self.streams
            .range(stream_key(entity, 0)..=stream_key(entity, u32::MAX))
            .try_for_each(|entry| self.show(&entry.value()?, visit))
    }

    fn region(&self, prefix: &str, kind: u16, visit: &mut Visit<'_>) -> Result<()> {
        let entries = self.streams.prefix(format!("{prefix}:"));
        let sequences = entries.map(|entry| Ok(entry.value()?)).collect::<Result<Vec<_>>>()?;
        for sequence in sorted(sequences) {
            if let Some(record) = self.events.get(sequence)?
                && kind_of(&record) == kind
            {
                show(&record, visit);
            }
        }
        Ok(())
    }

    fn page(&self, from: u64, count: usize, way: Way, visit: &mut Visit<'_>) -> Result<()> {
        let from = from.to_be_bytes();
        let mut entries: Box<dyn Iterator<Item = Guard>> = match way {
            Way::Forwards => Box::new(self.events.range(from..)),
            Way::Backwards => Box::new(self.events.range(..=from).rev()),
        };
        entries.by_ref().take(count).try_for_each(|entry| {
            show(&entry.value()?, visit);
            Ok(())
        })
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}
