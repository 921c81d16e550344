//! SQLite in WAL mode: one table with everything that makes it an event log.

use super::record::Ledger;
use crate::log::{Log, NewEvent, Result, Safety, Store, Visit, Way};
use parking_lot::Mutex;
use rusqlite::{Connection, Params, ToSql, params};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A table, and how an event gets into it. The parameters are the sequence, the id, the entity,
/// the clock, the kind, the payload, its hash, the hash of the event before in the entity, and the
/// microseconds since 1970.
pub struct Table {
    schema: &'static str,
    insert: &'static str,
}

/// What the other stores keep too.
pub const FEW: Table = Table {
    schema: "
        CREATE TABLE IF NOT EXISTS events (
            sequence INTEGER PRIMARY KEY,
            id BLOB NOT NULL UNIQUE,
            entity TEXT NOT NULL,
            clock INTEGER NOT NULL,
            kind INTEGER NOT NULL,
            payload_hash BLOB NOT NULL,
            payload BLOB NOT NULL,
            UNIQUE (entity, clock)
        ) STRICT",
    insert: "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?7, ?6)",
};

/// Everything that batpak keeps of such an event, and finds it by.
pub const ALL: Table = Table {
    schema: "
        CREATE TABLE IF NOT EXISTS events (
            sequence INTEGER PRIMARY KEY,
            id BLOB NOT NULL UNIQUE,
            correlation BLOB,
            causation BLOB,
            entity TEXT NOT NULL,
            scope TEXT NOT NULL,
            lane INTEGER NOT NULL,
            clock INTEGER NOT NULL,
            kind INTEGER NOT NULL,
            version INTEGER NOT NULL,
            depth INTEGER NOT NULL,
            flags INTEGER NOT NULL,
            timestamp_us INTEGER NOT NULL,
            wall_us INTEGER NOT NULL,
            payload_hash BLOB NOT NULL,
            previous_hash BLOB NOT NULL,
            payload BLOB NOT NULL,
            UNIQUE (entity, lane, clock)
        ) STRICT;
        CREATE INDEX IF NOT EXISTS scopes ON events (scope);
        CREATE INDEX IF NOT EXISTS kinds ON events (kind)",
    insert: "INSERT INTO events VALUES
        (?1, ?2, NULL, NULL, ?3, 'bench', 0, ?4, ?5, 0, 0, 0, ?9, ?9, ?7, ?8, ?6)",
};

pub struct Sqlite {
    path: PathBuf,
    insert: &'static str,
    writer: Mutex<(Connection, Ledger)>,
    /// The connections that nobody reads with at the moment: readers wait for nobody.
    readers: Mutex<Vec<Connection>>,
}

impl Sqlite {
    /// `synchronous` is FULL, NORMAL or OFF: durable, and twice written.
    pub fn open(path: &Path, table: &Table, synchronous: &str) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let path = path.join("events.sqlite");
        let connection = connect(&path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.execute_batch(table.schema)?;
        let writer = Mutex::new((connection, Ledger::default()));
        Ok(Self { path, insert: table.insert, writer, readers: Mutex::default() })
    }

    fn read(&self, sql: &str, parameters: impl Params, visit: &mut Visit<'_>) -> Result<()> {
        let idle = self.readers.lock().pop();
        let connection = idle.map_or_else(|| connect(&self.path), Ok)?;
        {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(parameters)?;
            while let Some(row) = rows.next()? {
                let id = row.get_ref(0)?.as_blob()?.try_into()?;
                visit(id, row.get_ref(1)?.as_blob()?);
            }
        }
        self.readers.lock().push(connection);
        Ok(())
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "mmap_size", 1i64 << 32)?;
    Ok(connection)
}

impl Log for Sqlite {
    fn append(&self, events: &[NewEvent<'_>], _: Safety) -> Result<()> {
        let mut state = self.writer.lock();
        let (connection, ledger) = &mut *state;
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(self.insert)?;
            // A table of few fields leaves out the last ones.
            let used = insert.parameter_count();
            for event in events {
                let place = ledger.place(event);
                let hash = blake3::hash(event.payload);
                let now = UNIX_EPOCH.elapsed()?.as_micros() as i64;
                // The hash before is as random as this one, and takes as much space.
                let values: [&dyn ToSql; 9] = [
                    &(place.sequence as i64),
                    &place.id,
                    &event.entity,
                    &place.clock,
                    &event.kind,
                    &event.payload,
                    hash.as_bytes(),
                    hash.as_bytes(),
                    &now,
                ];
                insert.execute(&values[..used])?;
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
        self.read("SELECT id, payload FROM events WHERE entity = ? ORDER BY clock", [entity], visit)
    }

    fn region(&self, prefix: &str, kind: u16, visit: &mut Visit<'_>) -> Result<()> {
        self.read(
            "SELECT id, payload FROM events WHERE entity >= ? || ':' AND entity < ? || ';'
             AND kind = ? ORDER BY sequence",
            params![prefix, prefix, kind],
            visit,
        )
    }

    fn page(&self, from: u64, count: usize, way: Way, visit: &mut Visit<'_>) -> Result<()> {
        let sql = match way {
            Way::Forwards => {
                "SELECT id, payload FROM events WHERE sequence >= ? ORDER BY sequence LIMIT ?"
            }
            Way::Backwards => {
                "SELECT id, payload FROM events WHERE sequence <= ? ORDER BY sequence DESC LIMIT ?"
            }
        };
        self.read(sql, [from as i64, count as i64], visit)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.readers.lock().clear();
        Ok(self.writer.into_inner().0.close().map_err(|(_, error)| error)?)
    }
}
