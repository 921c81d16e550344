//! A file system in memory that can crash, forget and fail: for tests of this library.
//!
//! Every change is counted. A [`Fault`] strikes at one of them; after a crash nothing works any
//! more, and [`SimVfs::after_crash`] gives what a machine would find when it comes back: after a
//! killed process all that was written, after a power cut what was synced and, of the rest, any
//! part in any order, down to single sectors.

use batpak_core::storage::{Access, Vfs, VfsFile};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECTOR_BYTES: usize = 512;

/// What happens at the change with the chosen number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the change.
    Crash,
    /// The process dies in the middle of it: a write is cut off.
    CrashMidway,
    /// The change fails once with "no space left", a write after its first half.
    DiskFull,
    /// The change fails once with an input/output error.
    Io,
}

/// What a crash takes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the process was killed, the system lives.
    Process,
    /// Power: whatever was not synced is kept or lost piece by piece, as the seed decides.
    Power(u64),
}

/// The file system.
#[derive(Clone, Default)]
pub struct SimVfs(Arc<Mutex<Disk>>);

#[derive(Default)]
struct Disk {
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<NameChange>,
    files: Vec<Content>,
    locks: BTreeMap<PathBuf, usize>,
    changes: u64,
    fault: Option<(u64, Fault)>,
    crashed: bool,
}

#[derive(Clone)]
enum NameChange {
    Set(PathBuf, usize),
    Remove(PathBuf),
    /// A directory got another name.
    Move(PathBuf, PathBuf),
}

impl NameChange {
    /// The directory whose sync makes it last.
    fn directory(&self) -> Option<&Path> {
        let (Self::Set(path, _) | Self::Remove(path) | Self::Move(_, path)) = self;
        path.parent()
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Set(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Move(from, to) => {
                *names = std::mem::take(names)
                    .into_iter()
                    .map(|(path, file)| match path.strip_prefix(from) {
                        Ok(below) => (to.join(below), file),
                        Err(_) => (path, file),
                    })
                    .collect();
            }
        }
    }
}

#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, written) => {
                if bytes.len() < at + written.len() {
                    bytes.resize(at + written.len(), 0);
                }
                bytes[*at..at + written.len()].copy_from_slice(written);
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }
}

fn dead() -> io::Error {
    io::Error::other("the simulated machine has crashed")
}

impl Disk {
    fn alive(&self) -> io::Result<()> {
        if self.crashed { Err(dead()) } else { Ok(()) }
    }

    /// Counts a change and lets the fault strike. `Some` if it is to be done by half.
    fn change(&mut self) -> io::Result<Option<Fault>> {
        self.alive()?;
        self.changes += 1;
        match self.fault {
            Some((at, fault)) if at == self.changes => {
                match fault {
                    Fault::Crash => {
                        self.crashed = true;
                        return Err(dead());
                    }
                    Fault::Io => return Err(io::Error::from_raw_os_error(libc::EIO)),
                    Fault::CrashMidway => self.crashed = true,
                    Fault::DiskFull => {}
                }
                Ok(Some(fault))
            }
            _ => Ok(None),
        }
    }

    /// A change that cannot be done by half.
    fn whole_change(&mut self) -> io::Result<()> {
        match self.change()? {
            None => Ok(()),
            Some(Fault::DiskFull) => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            Some(_) => Err(dead()),
        }
    }

    fn rename(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    fn set_name(&mut self, path: &Path, file: usize) {
        self.rename(NameChange::Set(path.to_path_buf(), file));
    }
}

/// A small generator of pseudo-random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

impl SimVfs {
    /// Lets the fault strike at the change with this number, from 1, of those since the start.
    pub fn fail_at(&self, change: u64, fault: Fault) {
        self.0.lock().fault = Some((change, fault));
    }

    /// How many changes there have been.
    pub fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// Whether the fault crashed the machine.
    pub fn crashed(&self) -> bool {
        self.0.lock().crashed
    }

    /// The file system as it is found after a crash now.
    pub fn after_crash(&self, loss: Loss) -> SimVfs {
        let disk = self.0.lock();
        let Loss::Power(seed) = loss else {
            // The system lives on: what was not synced is there, and still not synced.
            return Self(Arc::new(Mutex::new(Disk {
                names: disk.names.clone(),
                synced_names: disk.synced_names.clone(),
                unsynced_names: disk.unsynced_names.clone(),
                files: disk.files.clone(),
                ..Disk::default()
            })));
        };
        let mut random = Random(seed);
        let mut names = disk.synced_names.clone();
        for change in &disk.unsynced_names {
            if random.one_in(2) {
                continue;
            }
            change.apply(&mut names);
        }
        let files = disk.files.iter().map(|file| settled(survive(file, &mut random))).collect();
        Self::with(names, files)
    }

    fn with(names: BTreeMap<PathBuf, usize>, files: Vec<Content>) -> Self {
        let disk = Disk { synced_names: names.clone(), names, files, ..Disk::default() };
        Self(Arc::new(Mutex::new(disk)))
    }

    /// A file's content, for tests that damage it.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.0.lock();
        disk.names.get(path).map(|file| disk.files[*file].now.clone())
    }

    /// Replaces a file's content behind the store's back.
    pub fn set_content(&self, path: &Path, bytes: Vec<u8>) {
        let mut disk = self.0.lock();
        let file = disk.files.len();
        disk.files.push(settled(bytes));
        disk.names.insert(path.to_path_buf(), file);
        disk.synced_names.insert(path.to_path_buf(), file);
    }

    /// The paths of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }
}

fn settled(bytes: Vec<u8>) -> Content {
    Content { now: bytes.clone(), synced: bytes, unsynced: Vec::new() }
}

/// What is left of a file after a power cut: each unsynced sector old, new, or zero.
fn survive(file: &Content, random: &mut Random) -> Vec<u8> {
    let mut bytes = file.synced.clone();
    for change in &file.unsynced {
        match change {
            Change::Length(_) if random.one_in(2) => {}
            Change::Length(_) => change.apply(&mut bytes),
            Change::Write(at, written) => {
                // All of it, nothing of it, or some of its sectors.
                let fate = random.next() % 3;
                let mut from = 0;
                while from < written.len() {
                    let sector_end = (at + from) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES - at;
                    let to = sector_end.min(written.len());
                    let kept = match fate {
                        0 => true,
                        1 => false,
                        _ => random.one_in(2),
                    };
                    if kept {
                        Change::Write(at + from, written[from..to].to_vec()).apply(&mut bytes);
                    } else if bytes.len() < at + to && random.one_in(2) {
                        // The length grew, the content did not come.
                        bytes.resize(at + to, 0);
                    }
                    from = to;
                }
            }
        }
    }
    bytes
}

impl Vfs for SimVfs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
        let mut disk = self.0.lock();
        disk.alive()?;
        let file = match (disk.names.get(path).copied(), access) {
            (None, Access::Read | Access::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, Access::Create | Access::Keep) => {
                disk.whole_change()?;
                let file = disk.files.len();
                disk.files.push(Content::default());
                disk.set_name(path, file);
                file
            }
            (Some(file), Access::Create) => {
                disk.whole_change()?;
                disk.files[file].now.clear();
                disk.files[file].unsynced.push(Change::Length(0));
                file
            }
            (Some(file), _) => file,
        };
        let path = path.to_path_buf();
        Ok(Arc::new(SimFile { vfs: self.clone(), file, path, locked: Mutex::new(false) }))
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        self.0.lock().alive()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        let disk = self.0.lock();
        disk.alive()?;
        let inside = disk.names.keys().filter_map(|name| name.strip_prefix(path).ok());
        let mut names: Vec<_> = inside
            .filter_map(|below| {
                let name = below.iter().next()?.to_string_lossy().into_owned();
                Some((name, below.iter().count() == 1))
            })
            .collect();
        names.dedup();
        Ok(names)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.whole_change()?;
        let file = *disk.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        if disk.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.set_name(to, file);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.whole_change()?;
        let holds = |directory: &Path| disk.names.keys().any(|name| name.starts_with(directory));
        match disk.names.get(from).copied() {
            // One change: a crash leaves the old names or the new ones. The old name may stay.
            Some(file) => {
                disk.set_name(to, file);
                disk.rename(NameChange::Remove(from.to_path_buf()));
            }
            None if !holds(from) => return Err(io::ErrorKind::NotFound.into()),
            None if holds(to) => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
            None => disk.rename(NameChange::Move(from.to_path_buf(), to.to_path_buf())),
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.whole_change()?;
        if !disk.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.rename(NameChange::Remove(path.to_path_buf()));
        Ok(())
    }

    /// There are no empty directories here.
    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        self.0.lock().alive()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.whole_change()?;
        let changes = std::mem::take(&mut disk.unsynced_names);
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| change.directory() == Some(path));
        here.iter().for_each(|change| change.apply(&mut disk.synced_names));
        disk.unsynced_names = elsewhere;
        Ok(())
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Arc<dyn VfsFile>>> {
        self.0.lock().alive()?;
        let path = path.to_path_buf();
        let locked = Mutex::new(false);
        let file = SimFile { vfs: self.clone(), file: usize::MAX, path, locked };
        Ok(if file.try_lock()? { Some(Arc::new(file)) } else { None })
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_path_buf())
    }
}

struct SimFile {
    vfs: SimVfs,
    /// The file's number; none for a directory.
    file: usize,
    path: PathBuf,
    locked: Mutex<bool>,
}

impl VfsFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.vfs.0.lock();
        disk.alive()?;
        let bytes = disk.files[self.file].now.get(offset as usize..).unwrap_or_default();
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.vfs.0.lock();
        let fault = disk.change()?;
        let written = if fault.is_some() { &bytes[..bytes.len() / 2] } else { bytes };
        let change = Change::Write(offset as usize, written.to_vec());
        let content = &mut disk.files[self.file];
        change.apply(&mut content.now);
        content.unsynced.push(change);
        match fault {
            None => Ok(bytes.len()),
            Some(Fault::DiskFull) => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            Some(_) => Err(dead()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.vfs.0.lock();
        disk.alive()?;
        let outcome = disk.whole_change();
        let alive = !disk.crashed;
        let content = &mut disk.files[self.file];
        if alive {
            // Also after a failure the system takes the pages for clean: they are not written, and
            // a second sync would not write them either.
            let changes = std::mem::take(&mut content.unsynced);
            if outcome.is_ok() {
                changes.iter().for_each(|change| change.apply(&mut content.synced));
            }
        }
        outcome
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut disk = self.vfs.0.lock();
        disk.whole_change()?;
        let change = Change::Length(bytes as usize);
        let content = &mut disk.files[self.file];
        change.apply(&mut content.now);
        content.unsynced.push(change);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let disk = self.vfs.0.lock();
        disk.alive()?;
        Ok(disk.files[self.file].now.len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut disk = self.vfs.0.lock();
        disk.alive()?;
        let holders = disk.locks.entry(self.path.clone()).or_default();
        if *holders > 0 {
            return Ok(false);
        }
        *holders = 1;
        *self.locked.lock() = true;
        Ok(true)
    }

    /// As exclusive as the other one: one reader is enough here.
    fn try_lock_shared(&self) -> io::Result<bool> {
        self.try_lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.vfs.0.lock().locks.remove(&self.path);
        *self.locked.lock() = false;
        Ok(())
    }

    fn is_locked(&self) -> io::Result<bool> {
        let disk = self.vfs.0.lock();
        disk.alive()?;
        Ok(disk.locks.get(&self.path).is_some_and(|holders| *holders > 0))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if *self.locked.lock() {
            self.vfs.0.lock().locks.remove(&self.path);
        }
    }
}
