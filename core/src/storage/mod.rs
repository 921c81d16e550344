//! The only code that touches the operating system.
//!
//! [`Vfs`] is the seam: the store reaches files through it alone. [`real`] is the operating
//! system; tests put others in its place. `recovery` answers one question: where does the valid log
//! end?
//!
//! Imports `format` and the vocabulary.

use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) mod blocks;
pub(crate) mod files;
pub mod real;
pub(crate) mod recovery;
mod watch;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; created empty, or emptied if it exists.
    Create,
    /// For reading and writing; created if it is missing, kept as it is otherwise.
    Keep,
}

/// The file system, as far as a store needs it. Links are never followed and only regular files
/// are opened. Every method is one system call or a short, fixed sequence of them.
pub trait Vfs: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>>;
    /// Creates a directory and those above it; an existing one is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, with whether each is a regular file.
    fn list(&self, path: &Path) -> io::Result<Vec<(String, bool)>>;
    /// Gives a file a second name, which must be free.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames a file over another, or a directory over an empty one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in a directory survive a power cut.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Takes the exclusive lock on a directory, until the file is dropped. `None` if it is taken.
    fn lock_dir(&self, path: &Path) -> io::Result<Option<Arc<dyn VfsFile>>>;
    /// The directory's path without links and relative parts.
    fn resolve(&self, path: &Path) -> io::Result<std::path::PathBuf>;
    /// Watches the files in a directory, from now on. An error where that cannot be done.
    fn watch(&self, _path: &Path) -> io::Result<Box<dyn Watch>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A directory being watched, by one thread at a time.
pub trait Watch: Send + Sync {
    /// Waits until something has changed since the last wait, or for as long as this.
    fn wait(&self, timeout: std::time::Duration) -> io::Result<()>;
    /// Ends the wait under way and all later ones at once.
    fn wake(&self);
}

/// An open file.
pub trait VfsFile: Send + Sync {
    /// Reads at an offset; fewer bytes than asked for, or none, at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes at an offset; may write fewer bytes than given.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes the content survive a power cut.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// The file's length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Takes the exclusive lock on the file if it is free.
    fn try_lock(&self) -> io::Result<bool>;
    /// Takes a shared lock on the file unless somebody holds the exclusive one.
    fn try_lock_shared(&self) -> io::Result<bool>;
    /// Gives a lock back. Closing alone would not do: a forked child may share the open file.
    fn unlock(&self) -> io::Result<()>;
    /// Whether somebody holds the exclusive lock on the file.
    fn is_locked(&self) -> io::Result<bool>;
}

/// Writes everything, going on after short writes and interruptions.
pub(crate) fn write_all_at(file: &dyn VfsFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    match write_progress_at(file, bytes, offset) {
        (_, None) => Ok(()),
        (_, Some(failure)) => Err(failure),
    }
}

/// Writes as much as can be written, going on after short writes and interruptions: gives how much
/// that was, and what stopped it.
pub(crate) fn write_progress_at(
    file: &dyn VfsFile,
    bytes: &[u8],
    offset: u64,
) -> (usize, Option<io::Error>) {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => return (done, Some(io::ErrorKind::WriteZero.into())),
            Ok(written) => done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

/// What the disk cannot read is passed over up to the next multiple of this.
const PAGE_BYTES: u64 = 4096;

/// Whether the disk cannot read what is there.
fn is_unreadable(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO)
}

/// As [`read_full_at`], but where the disk cannot read a page, the buffer gets bytes that begin nothing.
/// Shows from where to where that is.
pub(crate) fn read_past_errors(
    file: &dyn VfsFile,
    buffer: &mut [u8],
    offset: u64,
    mut unreadable: impl FnMut(std::ops::Range<u64>),
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let at = offset + filled as u64;
        match file.read_at(&mut buffer[filled..], at) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_unreadable(&error) => {
                let bytes = (at / PAGE_BYTES + 1) * PAGE_BYTES - at;
                let bytes = (bytes as usize).min(buffer.len() - filled);
                buffer[filled..filled + bytes].fill(0xff);
                unreadable(at..at + bytes as u64);
                filled += bytes;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads until the buffer is full or the file ends; gives the number of bytes.
pub(crate) fn read_full_at(
    file: &dyn VfsFile,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
