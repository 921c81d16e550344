//! LMDB: a table of events, and two that find them by id and by stream.

use super::record::{Ledger, kind_of, record, show, sorted, stream_key};
use crate::log::{Log, NewEvent, Result, Safety, Store, Visit, Way};
use heed::byteorder::BigEndian;
use heed::types::{Bytes, U64};
use heed::{Database, Env, EnvFlags, EnvOpenOptions, PutFlags, RoTxn};
use parking_lot::Mutex;
use std::path::Path;

type Sequence = U64<BigEndian>;

pub struct Lmdb {
    env: Env,
    events: Database<Sequence, Bytes>,
    ids: Database<Bytes, Sequence>,
    streams: Database<Bytes, Sequence>,
    ledger: Mutex<Ledger>,
}

/// The flags for a safety; with `WRITE_MAP`, transactions write through a mapping.
pub fn flags(safety: Safety) -> EnvFlags {
    if safety == Safety::Durable { EnvFlags::empty() } else { EnvFlags::NO_SYNC }
}

impl Lmdb {
    pub fn open(path: &Path, flags: EnvFlags) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(4 << 30).max_dbs(3);
        // SAFETY: no other process opens the file, and this one opens it once.
        let env = unsafe { options.flags(flags).open(path)? };
        let mut transaction = env.write_txn()?;
        let events = env.create_database(&mut transaction, Some("events"))?;
        let ids = env.create_database(&mut transaction, Some("ids"))?;
        let streams = env.create_database(&mut transaction, Some("streams"))?;
        transaction.commit()?;
        Ok(Self { env, events, ids, streams, ledger: Mutex::default() })
    }

    fn show(&self, transaction: &RoTxn<'_>, sequence: u64, visit: &mut Visit<'_>) -> Result<()> {
        if let Some(record) = self.events.get(transaction, &sequence)? {
            show(record, visit);
        }
        Ok(())
    }
}

impl Log for Lmdb {
    fn append(&self, events: &[NewEvent<'_>], _: Safety) -> Result<()> {
        // One transaction at a time, so that the places are given in the order of the commits.
        let mut transaction = self.env.write_txn()?;
        let mut ledger = self.ledger.lock();
        for event in events {
            let place = ledger.place(event);
            let new = PutFlags::NO_OVERWRITE;
            let stream = stream_key(event.entity, place.clock);
            let (key, value) = (&place.sequence, &record(event, &place));
            self.events.put_with_flags(&mut transaction, PutFlags::APPEND, key, value)?;
            self.ids.put_with_flags(&mut transaction, new, &place.id, key)?;
            self.streams.put_with_flags(&mut transaction, new, &stream, key)?;
        }
        Ok(transaction.commit()?)
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        let transaction = self.env.read_txn()?;
        for entry in self.events.iter(&transaction)? {
            show(entry?.1, visit);
        }
        Ok(())
    }
}

impl Store for Lmdb {
    fn by_sequence(&self, sequence: u64, visit: &mut Visit<'_>) -> Result<()> {
        let transaction = self.env.read_txn()?;
        self.show(&transaction, sequence, visit)
    }

    fn by_id(&self, id: &[u8; 16], visit: &mut Visit<'_>) -> Result<()> {
        let transaction = self.env.read_txn()?;
        match self.ids.get(&transaction, id)? {
            Some(sequence) => self.show(&transaction, sequence, visit),
            None => Ok(()),
        }
    }

    fn stream(&self, entity: &str, visit: &mut Visit<'_>) -> Result<()> {
        let transaction = self.env.read_txn()?;
        let prefix = [entity.as_bytes(), &[0]].concat();
        for entry in self.streams.prefix_iter(&transaction, &prefix)? {
            self.show(&transaction, entry?.1, visit)?;
        }
        Ok(())
    }

    fn region(&self, prefix: &str, kind: u16, visit: &mut Visit<'_>) -> Result<()> {
        let transaction = self.env.read_txn()?;
        let prefix = [prefix.as_bytes(), b":"].concat();
        let entries = self.streams.prefix_iter(&transaction, &prefix)?;
        let sequences = entries.map(|entry| Ok(entry?.1)).collect::<Result<Vec<_>>>()?;
        for sequence in sorted(sequences) {
            if let Some(record) = self.events.get(&transaction, &sequence)?
                && kind_of(record) == kind
            {
                show(record, visit);
            }
        }
        Ok(())
    }

    fn page(&self, from: u64, count: usize, way: Way, visit: &mut Visit<'_>) -> Result<()> {
        let transaction = self.env.read_txn()?;
        match way {
            Way::Forwards => {
                for entry in self.events.range(&transaction, &(from..))?.take(count) {
                    show(entry?.1, visit);
                }
            }
            Way::Backwards => {
                for entry in self.events.rev_range(&transaction, &(..=from))?.take(count) {
                    show(entry?.1, visit);
                }
            }
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.env.force_sync()?;
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}
