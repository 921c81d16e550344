//! Looking at a directory without opening it for anything: what it holds, and what opening would do.

use super::follow::{self, Reader};
use super::old::{self, Locking, Payloads};
use super::open::{self, OpenReport, list, locate, old_names};
use super::{Inner, Store, salvage};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Id;
use crate::options::{OpenMode, OpenOptions};
use crate::storage::Vfs;
use crate::storage::files::Files;
use crate::storage::real::RealVfs;
use std::path::Path;
use std::sync::Arc;

/// What opening a directory for appending would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Opening {
    /// Create a store: there is none.
    Creates = 0,
    /// Open it as it was closed.
    Opens = 1,
    /// Open it after a crash: the report says what would be cut.
    Recovers = 2,
    /// Fail, since another writer has it open.
    Locked = 3,
    /// Fail: it is a store of the batpak crate 0.x, which is opened for reading, or imported.
    OnlyReads = 4,
    /// Fail, since it is damaged or of a later version.
    Refuses = 5,
}

impl Opening {
    /// The stable name, such as `RECOVERS`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creates => "CREATES",
            Self::Opens => "OPENS",
            Self::Recovers => "RECOVERS",
            Self::Locked => "LOCKED",
            Self::OnlyReads => "ONLY_READS",
            Self::Refuses => "REFUSES",
        }
    }
}

/// What a directory holds.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What opening it for appending would do.
    pub opening: Opening,
    /// Why, if it would fail: the error that opening gives, or that a reader gets.
    pub refusal: Option<Error>,
    /// This store's id; for a 0.x store, one derived from its first event.
    pub store_id: Id,
    /// The id under every event hash.
    pub lineage_id: Id,
    /// Bytes of all segments.
    pub bytes: u64,
    /// What a reader finds; if readers are refused, what a salvage finds. Its `format` is 0 if there
    /// is no store, or nothing that can be read of it.
    pub report: OpenReport,
}

impl Store {
    /// Looks at a directory: what it holds, its health as far as opening checks it, and what
    /// opening it would do. Changes nothing, and does not disturb a live writer: no lock is taken
    /// but, for a moment, a shared one on the head, to see whether a writer lives. To check every
    /// byte, open it read-only and [`verify`](Store::verify) it.
    ///
    /// An error means that the directory could not be looked at.
    pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection> {
        Self::inspect_on(Arc::new(RealVfs), path.as_ref())
    }

    /// Looks at a directory of another file system. For tests of this library.
    #[doc(hidden)]
    pub fn inspect_on(vfs: Arc<dyn Vfs>, path: &Path) -> Result<Inspection> {
        let mut options = OpenOptions::mode(OpenMode::ReadOnly);
        let files = match locate(vfs, path, &options) {
            Ok(files) => files,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(nothing()),
            Err(error) => return Err(error),
        };
        let old = old_names(&files)?;
        let is_old = old.is_some();
        let read = |options: &OpenOptions| match (&old, options.mode) {
            (Some(names), _) => {
                old::open(files.clone(), options, names, Payloads::Kept, Locking::None)
            }
            (None, OpenMode::Salvage) => salvage::open(files.clone(), options),
            (None, _) => follow::open(files.clone(), options),
        };
        match read(&options) {
            Ok(inner) => {
                let refusal = match is_old {
                    true => None,
                    false => open::refuse_other_than_files(&files, &list(&files)?).err(),
                };
                let opening = match &refusal {
                    _ if is_old => Opening::OnlyReads,
                    Some(_) => Opening::Refuses,
                    None => opening_of(&files, &inner)?,
                };
                Ok(found(&inner, opening, refusal))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(nothing()),
            Err(error) => {
                options.mode = OpenMode::Salvage;
                let opening = if is_old { Opening::OnlyReads } else { Opening::Refuses };
                match read(&options) {
                    Ok(inner) => Ok(found(&inner, opening, Some(error))),
                    Err(_) => Ok(Inspection { opening, refusal: Some(error), ..nothing() }),
                }
            }
        }
    }
}

fn nothing() -> Inspection {
    Inspection {
        opening: Opening::Creates,
        refusal: None,
        store_id: Id::NONE,
        lineage_id: Id::NONE,
        bytes: 0,
        report: OpenReport::default(),
    }
}

/// What opening a store that can be read would do.
fn opening_of(files: &Arc<Files>, inner: &Inner) -> Result<Opening> {
    if !matches!(follow::reader_of(files)?, Reader::Alone) {
        return Ok(Opening::Locked);
    }
    let (report, names) = (&inner.report, list(files)?);
    let has_leftovers = match open::read_manifest(files)? {
        Some(manifest) => {
            !open::sort_files(files, &names, &manifest, &mut OpenReport::default())?.is_empty()
        }
        None => names.iter().any(|(name, _)| open::is_own_temporary(name)),
    };
    let is_clean = report.clean && report.cut_bytes == 0 && !has_leftovers;
    Ok(if is_clean { Opening::Opens } else { Opening::Recovers })
}

fn found(inner: &Inner, opening: Opening, refusal: Option<Error>) -> Inspection {
    Inspection {
        opening,
        refusal,
        store_id: inner.store,
        lineage_id: inner.lineage,
        bytes: inner.bytes_of(&inner.live.read()),
        report: inner.report.clone(),
    }
}
