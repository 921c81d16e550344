//! The files of one store: paths, whole-file reads, atomic replacement, and a bounded set of
//! open segments.

use super::blocks::Cache;
use super::{Access, Vfs, VfsFile, read_full_at, write_all_at};
use crate::error::{Error, ErrorKind, Result};
use crate::format::segment;
use crate::process;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A store's directory.
pub(crate) struct Files {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    /// Open sealed segments, the most recently used last.
    open: Mutex<Vec<(u64, Arc<dyn VfsFile>)>>,
    max_open: usize,
    pub(crate) cache: Arc<Cache>,
    /// The segments that are no longer part of the store, and whether their files were removed. A
    /// number stays here until the removal is known to survive a power cut.
    retired: Mutex<Vec<(u64, bool)>>,
    /// The generation of the process that may remove them.
    process: u64,
}

impl Files {
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        dir: PathBuf,
        max_open: usize,
        cache_bytes: usize,
    ) -> Self {
        let cache = Cache::new(cache_bytes);
        let max_open = max_open.max(1);
        let (open, retired) = (Mutex::default(), Mutex::default());
        Self { vfs, dir, open, max_open, cache, retired, process: process::generation() }
    }

    /// The segments that are no longer part of the store, and whose files may still be there, or come
    /// back.
    pub(crate) fn retired(&self) -> Vec<u64> {
        self.retired.lock().iter().map(|(number, _)| *number).collect()
    }

    /// Notes that a segment is no longer part of the store.
    pub(crate) fn retire(&self, number: u64) {
        self.retired.lock().push((number, false));
    }

    /// Removes a segment that never became part of the store.
    pub(crate) fn discard(&self, number: u64) {
        self.forget(number);
        if self.vfs.remove(&self.segment_path(number)).is_err() {
            self.retire(number);
        }
    }

    /// Lets go of a segment's file: another one may get its name.
    pub(crate) fn forget(&self, number: u64) {
        self.open.lock().retain(|(open, _)| *open != number);
    }

    /// Removes the file of a segment that was retired, now that nobody reads it any more. One that
    /// cannot be removed is left to the next writer.
    pub(crate) fn remove_retired(&self, number: u64) {
        // In a forked child the files are the parent's.
        if process::generation() != self.process {
            return;
        }
        self.forget(number);
        if self.vfs.remove(&self.segment_path(number)).is_ok() {
            let mut retired = self.retired.lock();
            retired.iter_mut().filter(|(n, _)| *n == number).for_each(|(_, gone)| *gone = true);
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn segment_path(&self, number: u64) -> PathBuf {
        self.path(&segment::file_name(number))
    }

    pub(crate) fn open(&self, name: &str, access: Access) -> Result<Arc<dyn VfsFile>> {
        let path = self.path(name);
        self.vfs.open(&path, access).map_err(|e| Error::io("cannot open the file", &path, &e))
    }

    /// A sealed segment's file, from the bounded set of open ones.
    pub(crate) fn segment(&self, number: u64) -> Result<Arc<dyn VfsFile>> {
        let mut open = self.open.lock();
        if let Some(at) = open.iter().rposition(|(n, _)| *n == number) {
            let file = open[at].1.clone();
            // Their order matters only where one of them must make room.
            if open.len() >= self.max_open {
                let entry = open.remove(at);
                open.push(entry);
            }
            return Ok(file);
        }
        let file =
            self.open(&segment::file_name(number), Access::Read).map_err(|e| match e.kind() {
                ErrorKind::NotFound => e.into_kind(ErrorKind::Corrupt, "a segment is missing"),
                _ => e,
            })?;
        if open.len() >= self.max_open {
            open.remove(0);
        }
        open.push((number, file.clone()));
        Ok(file)
    }

    /// The whole content of a small file; `None` if there is none. Longer than `limit`: an error.
    pub(crate) fn read_small(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        let wrap = |e: &std::io::Error| Error::io("cannot read the file", &path, e);
        let file = match self.vfs.open(&path, Access::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(wrap(&e)),
        };
        let length = file.size().map_err(|e| wrap(&e))?;
        if length > limit {
            return Err(Error::corrupt(format!(
                "the file has {length} bytes; at most {limit} are \
                 possible"
            ))
            .at_path(&path));
        }
        let mut bytes = vec![0; length as usize];
        let read = read_full_at(&*file, &mut bytes, 0).map_err(|e| wrap(&e))?;
        bytes.truncate(read);
        Ok(Some(bytes))
    }

    /// Writes a new file under `name` so that a crash leaves the old one or the new one, whole.
    /// A full disk is reported as such only while nothing has changed and trying again is safe.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(name);
        let temporary = self.path(&format!("{name}.tmp"));
        let failed = |e: &std::io::Error| Error::io("cannot replace the file", &path, e);
        let file = self.vfs.open(&temporary, Access::Create).map_err(|e| failed(&e))?;
        write_all_at(&*file, bytes, 0).map_err(|e| failed(&e))?;
        file.sync().map_err(|e| failed_sync(failed(&e)))?;
        self.vfs.rename(&temporary, &path).map_err(|e| failed(&e))?;
        let removed: Vec<_> =
            self.retired.lock().iter().filter(|(_, gone)| *gone).copied().collect();
        self.vfs.sync_dir(&self.dir).map_err(|e| failed_sync(failed(&e)))?;
        self.retired.lock().retain(|retired| !removed.contains(retired));
        Ok(())
    }
}

/// A sync that failed for want of space is not tried again: what it covered may be gone.
pub(crate) fn failed_sync(error: Error) -> Error {
    error.into_kind(ErrorKind::Io, "a sync failed")
}

/// Exactly so many bytes, or an error that names the place.
pub(crate) fn read_exact(
    file: &dyn VfsFile,
    path: &Path,
    number: u64,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let read = read_full_at(file, &mut bytes, offset)
        .map_err(|e| Error::io("cannot read the segment", path, &e).at(number, offset))?;
    if read < length {
        return Err(Error::corrupt(format!(
            "the segment ends {} bytes before the end of what is listed",
            length - read
        ))
        .at_path(path)
        .at(number, offset));
    }
    Ok(bytes)
}
