//! A file system that is watched: a rule sees every read and every change before it is done, on the
//! thread that does it, and may count it, hold it up, or have it fail.

use batpak_core::storage::{Access, Vfs, VfsFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

/// A call on an open file, or on a name. `file` is the file's name, without its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// Bytes are read.
    Read {
        /// The file's name.
        file: &'a str,
        /// Where the first of them stands.
        offset: u64,
        /// How many are asked for.
        bytes: usize,
    },
    /// Bytes are written.
    Write {
        /// The file's name.
        file: &'a str,
        /// Where the first of them goes.
        offset: u64,
        /// How many there are.
        bytes: usize,
    },
    /// The content is synced.
    Sync {
        /// The file's name.
        file: &'a str,
    },
    /// The file is cut or extended.
    SetLength {
        /// The file's name.
        file: &'a str,
        /// The length it gets.
        bytes: u64,
    },
    /// A file is created, or emptied.
    Create {
        /// The file's name.
        file: &'a str,
    },
    /// A file gets a second name.
    Link {
        /// The second name.
        file: &'a str,
    },
    /// A file or a directory gets another name.
    Rename {
        /// The name it gets.
        file: &'a str,
    },
    /// A file is removed.
    Remove {
        /// The file's name.
        file: &'a str,
    },
    /// A directory is created.
    CreateDirectory,
    /// A directory is synced.
    SyncDirectory,
}

impl Call<'_> {
    /// Whether it is a write to a segment.
    pub fn writes_segment(&self) -> bool {
        matches!(self, Self::Write { file, .. } if file.ends_with(".fbat"))
    }

    /// Whether it is a sync of a segment.
    pub fn syncs_segment(&self) -> bool {
        matches!(self, Self::Sync { file } if file.ends_with(".fbat"))
    }

    /// Whether it changes anything, or makes a change last.
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }

    /// Whether it is a read of a segment.
    pub fn reads_segment(&self) -> bool {
        matches!(self, Self::Read { file, .. } if file.ends_with(".fbat"))
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Done,
    /// A write takes only so many bytes and says so.
    Short(usize),
    /// It changes nothing and fails with this number of the system's.
    Fails(i32),
}

type Rule = dyn Fn(Call<'_>) -> Fate + Send + Sync;

/// The file system.
#[derive(Clone)]
pub struct Watched {
    inner: Arc<dyn Vfs>,
    rule: Arc<RwLock<Arc<Rule>>>,
}

impl Watched {
    /// Watches this one. Until there is a rule, every call is done.
    pub fn new(inner: Arc<dyn Vfs>) -> Self {
        let done: Arc<Rule> = Arc::new(|_| Fate::Done);
        Self { inner, rule: Arc::new(RwLock::new(done)) }
    }

    /// Has this rule decide from now on. A call that is held up by the last one stays so.
    pub fn rule(&self, rule: impl Fn(Call<'_>) -> Fate + Send + Sync + 'static) {
        *self.rule.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rule);
    }

    /// Has every call done from now on.
    pub fn no_rule(&self) {
        self.rule(|_| Fate::Done);
    }

    fn fate(&self, call: Call<'_>) -> io::Result<Option<usize>> {
        let rule = self.rule.read().unwrap_or_else(PoisonError::into_inner).clone();
        match rule(call) {
            Fate::Done => Ok(None),
            Fate::Short(bytes) => Ok(Some(bytes)),
            Fate::Fails(number) => Err(io::Error::from_raw_os_error(number)),
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Vfs for Watched {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
        let name = name_of(path);
        if access == Access::Create {
            self.fate(Call::Create { file: &name })?;
        }
        let inner = self.inner.open(path, access)?;
        Ok(Arc::new(WatchedFile { inner, name, watched: self.clone() }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.fate(Call::CreateDirectory)?;
        self.inner.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        self.inner.list(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fate(Call::Link { file: &name_of(to) })?;
        self.inner.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fate(Call::Rename { file: &name_of(to) })?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.fate(Call::Remove { file: &name_of(path) })?;
        self.inner.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.fate(Call::SyncDirectory)?;
        self.inner.sync_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Arc<dyn VfsFile>>> {
        self.inner.lock_dir(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.resolve(path)
    }
}

struct WatchedFile {
    inner: Arc<dyn VfsFile>,
    name: String,
    watched: Watched,
}

impl WatchedFile {
    fn fate(&self, call: Call<'_>) -> io::Result<Option<usize>> {
        self.watched.fate(call)
    }
}

impl VfsFile for WatchedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.fate(Call::Read { file: &self.name, offset, bytes: buffer.len() })?;
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let call = Call::Write { file: &self.name, offset, bytes: bytes.len() };
        match self.fate(call)? {
            Some(0) => Ok(0),
            Some(short) => self.inner.write_at(&bytes[..short.min(bytes.len())], offset),
            None => self.inner.write_at(bytes, offset),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.fate(Call::Sync { file: &self.name })?;
        self.inner.sync()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.fate(Call::SetLength { file: &self.name, bytes })?;
        self.inner.set_len(bytes)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.inner.try_lock()
    }

    fn try_lock_shared(&self) -> io::Result<bool> {
        self.inner.try_lock_shared()
    }

    fn unlock(&self) -> io::Result<()> {
        self.inner.unlock()
    }

    fn is_locked(&self) -> io::Result<bool> {
        self.inner.is_locked()
    }
}

/// A gate for threads: it is shut until it is opened, and tells when the first has come to it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    reached: bool,
    open: bool,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the gate is open.
    pub fn pass(&self) {
        let mut state = self.state();
        state.reached = true;
        self.0.1.notify_all();
        while !state.open {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until a thread stands before the gate or has passed it.
    pub fn reached(&self) {
        let mut state = self.state();
        while !state.reached {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.state().open = true;
        self.0.1.notify_all();
    }
}
