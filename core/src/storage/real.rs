//! The operating system's file system.

use super::watch::DirectoryWatch;
use super::{Access, Vfs, VfsFile, Watch};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealVfs;

impl Vfs for RealVfs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(access != Access::Read).mode(0o600);
        // Without blocking, a fifo in place of a file is an error and not a hang.
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC);
        match access {
            Access::Create => options.create(true).truncate(true),
            Access::Keep => options.create(true),
            Access::Read | Access::Write => &mut options,
        };
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(Arc::new(RealFile(file)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let is_file = entry.file_type()?.is_file();
            names.push((entry.file_name().to_string_lossy().into_owned(), is_file));
        }
        names.sort();
        Ok(names)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Arc<dyn VfsFile>>> {
        let file = RealFile(File::open(path)?);
        Ok(if file.try_lock()? { Some(Arc::new(file)) } else { None })
    }

    fn watch(&self, path: &Path) -> io::Result<Box<dyn Watch>> {
        Ok(Box::new(DirectoryWatch::new(path)?))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let resolved = std::fs::canonicalize(path)?;
        if std::fs::metadata(&resolved)?.is_dir() {
            Ok(resolved)
        } else {
            Err(io::Error::from(io::ErrorKind::NotADirectory))
        }
    }
}

struct RealFile(File);

impl VfsFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn try_lock_shared(&self) -> io::Result<bool> {
        match self.0.try_lock_shared() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }

    fn is_locked(&self) -> io::Result<bool> {
        if self.try_lock_shared()? { self.0.unlock().map(|()| false) } else { Ok(true) }
    }
}

/// How many files the store may keep open when the caller names no number: a quarter of the
/// process limit, at least 8.
pub(crate) fn default_open_files() -> usize {
    let limit = std::fs::read_to_string("/proc/self/limits").ok().and_then(|limits| {
        let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
        line.split_whitespace().nth(3)?.parse::<usize>().ok()
    });
    (limit.unwrap_or(256) / 4).clamp(8, 4096)
}
