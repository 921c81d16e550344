//! A directory of files that has its name only when all of them are there, whole and synced: what
//! exports, snapshots, forks and repaired copies are written to.

use super::close::TAIL_INDEX;
use super::open::{is_own_temporary, sync_parents};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{head, manifest, segment};
use crate::interop::sidecar;
use crate::storage::{Access, Vfs, VfsFile, write_all_at};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Says that a directory was begun here, so that nobody's store of such a name is cleared away. Goes
/// when the directory has its name; one that a crash has left there is removed by the next writer.
pub(super) const MARKER: &str = "unfinished.tmp";

/// What is added to the name of the final place.
const SUFFIX: &str = ".unfinished";

/// Whether a directory of this name can be one that is being written.
pub(super) fn is_place(directory: &Path) -> bool {
    directory.as_os_str().as_encoded_bytes().ends_with(SUFFIX.as_bytes())
}

/// A directory being written, beside its final place. Removed when it is dropped without a name.
pub(super) struct Unfinished {
    vfs: Arc<dyn Vfs>,
    /// Where it is written.
    pub(super) directory: PathBuf,
    destination: PathBuf,
    /// Keeps others from writing to the same place.
    lock: Arc<dyn VfsFile>,
    /// The directory that the destination is in was made for it.
    parent_is_new: bool,
    has_name: bool,
}

impl Unfinished {
    /// Begins. The destination must not exist, or be an empty directory; it must not be a link, nor
    /// lie in the store's `own` directory.
    pub(super) fn begin(vfs: Arc<dyn Vfs>, destination: &Path, own: &Path) -> Result<Self> {
        let invalid = |why: &str| Error::invalid(why).at_path(destination);
        if destination.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(invalid("the path contains a NUL"));
        }
        let name = destination.file_name().ok_or_else(|| invalid("the directory has no name"))?;
        let above = destination.parent().filter(|parent| !parent.as_os_str().is_empty());
        let above = above.unwrap_or(Path::new("."));
        let failed = |e: &io::Error| Error::io("cannot make the directory", destination, e);
        let parent_is_new = vfs.resolve(above).is_err();
        vfs.create_dir(above).map_err(|e| failed(&e))?;
        let parent = vfs.resolve(above).map_err(|e| failed(&e))?;

        let place = parent.join(name);
        let mut unfinished = name.to_owned();
        unfinished.push(SUFFIX);
        let directory = parent.join(unfinished);
        if place.starts_with(own) || directory.starts_with(own) {
            return Err(invalid("a store cannot be copied into itself"));
        }
        let shown = name.to_string_lossy();
        let names = vfs.list(&parent).map_err(|e| failed(&e))?;
        if let Some((_, is_file)) = names.iter().find(|(name, _)| *name == shown) {
            if *is_file {
                return Err(invalid("there is a file of this name"));
            }
            if vfs.resolve(&place).ok().as_ref() != Some(&place) {
                return Err(invalid("it is a link, which is not followed"));
            }
            if !vfs.list(&place).map_err(|e| failed(&e))?.is_empty() {
                return Err(invalid("the directory is not empty; name a new one"));
            }
        }

        let failed = |e: &io::Error| Error::io("cannot make the directory", &directory, e);
        vfs.create_dir(&directory).map_err(|e| failed(&e))?;
        if vfs.resolve(&directory).map_err(|e| failed(&e))? != directory {
            return Err(Error::invalid("it is a link, which is not followed").at_path(&directory));
        }
        let lock = vfs.lock_dir(&directory).map_err(|e| failed(&e))?.ok_or_else(|| {
            let why = "somebody is writing to the same place; wait until that is done";
            Error::new(ErrorKind::Locked, why).at_path(&directory)
        })?;
        // Left by one that was interrupted.
        let leftovers = vfs.list(&directory).map_err(|e| failed(&e))?;
        if let Some((name, _)) = leftovers.iter().find(|(name, is_file)| !is_file || !is_own(name))
        {
            let why = format!("there is `{name}`, which no copy has written; move it away");
            return Err(Error::invalid(why).at_path(&directory));
        }
        if !leftovers.is_empty() && !leftovers.iter().any(|(name, _)| name == MARKER) {
            let why = "there is something that no copy has left there; move it away";
            return Err(Error::invalid(why).at_path(&directory));
        }
        for (name, _) in leftovers.iter().filter(|(name, _)| name != MARKER) {
            vfs.remove(&directory.join(name)).map_err(|e| failed(&e))?;
        }
        let has_name = false;
        let begun = Self { vfs, directory, destination: place, lock, parent_is_new, has_name };
        begun.write(MARKER, &[])?;
        let synced = begun.vfs.sync_dir(&begun.directory);
        synced.map_err(|e| Error::io("cannot sync the directory", &begun.directory, &e))?;
        Ok(begun)
    }

    /// Creates a file.
    pub(super) fn create(&self, name: &str) -> Result<(PathBuf, Arc<dyn VfsFile>)> {
        let path = self.directory.join(name);
        let file = self.vfs.open(&path, Access::Create);
        let file = file.map_err(|e| Error::io("cannot create the file", &path, &e))?;
        Ok((path, file))
    }

    /// Writes a small file and syncs it.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (path, file) = self.create(name)?;
        write_all_at(&*file, bytes, 0)
            .and_then(|()| file.sync())
            .map_err(|e| Error::io("cannot write the file", &path, &e))
    }

    /// Gives the directory its name, for good. Every file in it is synced.
    pub(super) fn finish(mut self) -> Result<()> {
        let place = self.destination.clone();
        let failed = |e: &io::Error| Error::io("cannot finish the directory", &place, e);
        self.vfs.sync_dir(&self.directory).map_err(|e| failed(&e))?;
        // An empty directory gives way; any other one does not.
        self.vfs.rename(&self.directory, &place).map_err(|e| match e.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                failed(&e).into_kind(ErrorKind::InvalidArgument, "it is not empty")
            }
            _ => failed(&e),
        })?;
        self.has_name = true;
        match place.parent() {
            _ if self.parent_is_new => sync_parents(&*self.vfs, &place)?,
            Some(parent) => self.vfs.sync_dir(parent).map_err(|e| failed(&e))?,
            None => {}
        }
        let _ = self.vfs.remove(&place.join(MARKER));
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.has_name {
            // What stays behind is removed by the next one.
            for (name, _) in self.vfs.list(&self.directory).unwrap_or_default() {
                if is_own(&name) {
                    let _ = self.vfs.remove(&self.directory.join(name));
                }
            }
            let _ = self.vfs.remove_dir(&self.directory);
        }
        // By hand: a forked child may share the open file.
        let _ = self.lock.unlock();
    }
}

fn is_own(name: &str) -> bool {
    [manifest::FILE_NAME, TAIL_INDEX, head::FILE_NAME, sidecar::HIDDEN].contains(&name)
        || segment::number_of(name).is_some()
        || is_own_temporary(name)
}
