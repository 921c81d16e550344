//! The other stores, each doing the same work in its own way.

pub mod commitlog;
pub mod crate_0x;
mod fjall;
pub mod grouped;
mod lmdb;
pub mod okaywal;
mod record;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sqlite;

use crate::log::{Result, Safety, Store};
use sqlite::{ALL, FEW, Sqlite};
use std::path::Path;

/// Everything that is compared, in the order of the tables.
pub const STORES: &[&str] = &[
    "batpak",
    "batpak 0.10",
    "SQLite",
    "LMDB",
    "redb",
    "fjall",
    #[cfg(feature = "rocksdb")]
    "RocksDB",
];

/// Whether what is written, but not durable, survives a killed process.
pub fn survives_kill(name: &str) -> bool {
    name != "redb"
}

/// SQLite with every field and index that batpak has.
pub const ALL_FIELDS: &str = "SQLite, all fields";

/// batpak with a cache that holds all that is read.
pub const LARGE_CACHE: &str = "batpak, 1 GiB cache";

/// Opens a store for appends of this safety, which some have to know beforehand.
pub fn open(name: &str, path: &Path, safety: Safety) -> Result<Box<dyn Store>> {
    Ok(match name {
        "batpak" => Box::new(crate::batpak::Batpak::open(path)?),
        LARGE_CACHE => Box::new(crate::batpak::Batpak::open_with_cache(path, 1 << 30)?),
        "batpak 0.10" => Box::new(crate_0x::Crate0x::open(path)?),
        "SQLite" if safety == Safety::Durable => Box::new(Sqlite::open(path, &FEW, "FULL")?),
        "SQLite" => Box::new(Sqlite::open(path, &FEW, "NORMAL")?),
        "SQLite, OFF" => Box::new(Sqlite::open(path, &FEW, "OFF")?),
        ALL_FIELDS => Box::new(Sqlite::open(path, &ALL, "NORMAL")?),
        "LMDB" => Box::new(lmdb::Lmdb::open(path, lmdb::flags(safety))?),
        "LMDB, writemap" => {
            Box::new(lmdb::Lmdb::open(path, lmdb::flags(safety) | heed::EnvFlags::WRITE_MAP)?)
        }
        "redb" => Box::new(redb::Redb::open(path)?),
        "fjall" => Box::new(fjall::Fjall::open(path)?),
        #[cfg(feature = "rocksdb")]
        "RocksDB" => Box::new(rocksdb::Rocksdb::open(path)?),
        _ => return Err(format!("there is no store called `{name}`").into()),
    })
}
