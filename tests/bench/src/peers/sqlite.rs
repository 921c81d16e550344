//! SQLite in WAL mode: one table with everything that makes it an event log.

use super::record::Ledger;
use crate::log::{Log, NewEvent, Result, Safety, Store, Visit};
use parking_lot::Mutex;
use rusqlite::{Connection, Params, params};
use std::path::Path;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS events (
        sequence INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        stream TEXT NOT NULL,
        clock INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        hash BLOB NOT NULL,
        payload BLOB NOT NULL,
        UNIQUE (stream, clock)
    ) STRICT";

pub struct Sqlite(Mutex<(Connection, Ledger)>);

impl Sqlite {
    /// `synchronous` is FULL, NORMAL or OFF: durable, and twice written.
    pub fn open(path: &Path, synchronous: &str) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let connection = Connection::open(path.join("events.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "cache_size", -65_536)?;
        connection.pragma_update(None, "mmap_size", 1i64 << 32)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Mutex::new((connection, Ledger::default()))))
    }

    fn read(&self, sql: &str, parameters: impl Params, visit: &mut Visit<'_>) -> Result<()> {
        let state = self.0.lock();
        let mut statement = state.0.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            let id = row.get_ref(0)?.as_blob()?.try_into()?;
            visit(id, row.get_ref(1)?.as_blob()?);
        }
        Ok(())
    }
}

impl Log for Sqlite {
    fn append(&self, events: &[NewEvent<'_>], _: Safety) -> Result<()> {
        let mut state = self.0.lock();
        let (connection, ledger) = &mut *state;
        let transaction = connection.transaction()?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)")?;
            for event in events {
                let place = ledger.place(event);
                let hash = blake3::hash(event.payload);
                insert.execute(params![
                    place.sequence as i64,
                    place.id,
                    event.entity,
                    place.clock,
                    event.kind,
                    hash.as_bytes(),
                    event.payload
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        self.read("SELECT id, payload FROM events ORDER BY sequence", [], visit)
    }
}

impl Store for Sqlite {
    fn by_sequence(&self, sequence: u64, visit: &mut Visit<'_>) -> Result<()> {
        self.read("SELECT id, payload FROM events WHERE sequence = ?", [sequence as i64], visit)
    }

    fn by_id(&self, id: &[u8; 16], visit: &mut Visit<'_>) -> Result<()> {
        self.read("SELECT id, payload FROM events WHERE id = ?", [id], visit)
    }

    fn stream(&self, entity: &str, visit: &mut Visit<'_>) -> Result<()> {
        self.read("SELECT id, payload FROM events WHERE stream = ? ORDER BY clock", [entity], visit)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.0.into_inner().0.close().map_err(|(_, error)| error)?)
    }
}
