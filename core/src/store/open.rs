//! Opening: lock, manifest, sealed segments, the end of the newest one, report.

use super::close::TAIL_INDEX;
use super::commit::{Commit, SEEDED_EPOCH_US, Staging, Writer};
use super::old::{self, Locking, Payloads};
use super::{Inner, Live, Newest, Store, follow, salvage, staged, unfinished};
use crate::error::{Error, ErrorKind, Result};
use crate::format::head::{self, HeadFile};
use crate::format::manifest::{self, Entry, Manifest, ManifestError};
use crate::format::segment::{self, HEADER_BYTES, Header, HeaderError};
use crate::format::tree::Tree;
use crate::ids::{Hash, Id, IdSource};
use crate::index::Part;
use crate::index::heads::Heads;
use crate::index::sealed::{Ends, Sealed};
use crate::index::tail::Tail;
use crate::interop::{self, sidecar};
use crate::options::{OpenMode, OpenOptions};
use crate::process;
use crate::storage::files::{Files, read_exact};
use crate::storage::real::{RealVfs, default_open_files};
use crate::storage::recovery::{self, End};
use crate::storage::{Access, Vfs, VfsFile, read_full_at, write_all_at};
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// A manifest of more segments than anybody has.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;
/// A larger index is not read at once: the segment is read frame by frame instead.
const MAX_TAIL_INDEX_BYTES: u64 = 256 << 20;

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The store was created.
    pub created: bool,
    /// The store had been closed cleanly, and nothing was appended since.
    pub clean: bool,
    /// The format: 2, or 1 for a store of the batpak crate 0.x.
    pub format: u32,
    /// Events found.
    pub events: u64,
    /// Events of cancelled fences of a 0.x store, which are not shown.
    pub hidden: u64,
    /// Segments found.
    pub segments: u64,
    /// Bytes cut from the unsynced end of the newest segment; for a reader, bytes passed over.
    pub cut_bytes: u64,
    /// Where they were cut: segment and offset.
    pub cut_at: Option<(u64, u64)>,
    /// Why they were cut; empty when nothing was.
    pub cut_reason: String,
    /// Leftovers of an interrupted operation that were removed.
    pub removed: Vec<String>,
    /// Files that do not belong to the store and were left alone.
    pub ignored: Vec<String>,
    /// What was passed over, a sentence each: in a salvage, everything that was found damaged; in
    /// a 0.x store, also what its crashes left behind. Empty otherwise.
    pub damage: Vec<String>,
}

impl Store {
    /// Opens the store in this directory, and brings it into order after a crash. What was found
    /// and done is in [`open_report`](Store::open_report).
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Store> {
        Self::open_on(Arc::new(RealVfs), path.as_ref(), options)
    }

    /// Opens a store on another file system. For tests of this library.
    #[doc(hidden)]
    pub fn open_on(vfs: Arc<dyn Vfs>, path: &Path, options: &OpenOptions) -> Result<Store> {
        options.check()?;
        if !options.mode.writable() {
            return open_for_reading(vfs, path, options, Payloads::Shown);
        }
        let files = locate(vfs, path, options)?;
        // It is on the directory itself, which nobody can delete while it has files.
        let lock = lock(&files)?;
        open_for_appending(files, options, Some(lock))
    }
}

/// Takes the lock that keeps other writers away.
pub(super) fn lock(files: &Files) -> Result<Arc<dyn VfsFile>> {
    let lock = files
        .vfs
        .lock_dir(&files.dir)
        .map_err(|e| Error::io("cannot lock the store's directory", &files.dir, &e))?;
    lock.ok_or_else(|| {
        Error::new(
            ErrorKind::Locked,
            "another writer has the store open; close it there, or open it read-only",
        )
        .at_path(&files.dir)
    })
}

/// Opens a store of any format for reading. `payloads` is for one of the batpak crate 0.x.
pub(super) fn open_for_reading(
    vfs: Arc<dyn Vfs>,
    path: &Path,
    options: &OpenOptions,
    payloads: Payloads,
) -> Result<Store> {
    let files = locate(vfs, path, options)?;
    let inner = match old_names(&files)? {
        Some(names) => old::open(files, options, &names, payloads, Locking::Shared),
        None if options.mode == OpenMode::Salvage => salvage::open(files, options),
        None => follow::open(files, options),
    };
    Ok(Store(Arc::new(inner?)))
}

/// The names in the directory, if it is a store of the batpak crate 0.x: one that has a segment of
/// version 1, or the crate's lock, and no manifest.
pub(super) fn old_names(files: &Files) -> Result<Option<Vec<(String, bool)>>> {
    let names = list(files)?;
    let has = |wanted: &str| names.iter().any(|(name, is_file)| *is_file && name == wanted);
    if has(manifest::FILE_NAME) {
        return Ok(None);
    }
    let mut is_old = has(sidecar::LOCK);
    for (name, _) in names.iter().filter(|(name, is_file)| *is_file && name.ends_with(".fbat")) {
        is_old = is_old || interop::segment::is_front(&read_front(files, name)?);
    }
    Ok(is_old.then_some(names))
}

/// The first bytes of a file: enough for the header of a segment that a crate wrote.
fn read_front(files: &Files, name: &str) -> Result<Vec<u8>> {
    let path = files.path(name);
    let file = files.open(name, Access::Read)?;
    let mut bytes = vec![0; HEADER_BYTES];
    let read = read_full_at(&*file, &mut bytes, 0)
        .map_err(|e| Error::io("cannot read the segment", &path, &e))?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Refuses what is the path of no store.
pub(super) fn check_path(path: &Path) -> Result<()> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() || bytes.contains(&0) {
        let why = "the path of the store is empty or contains a NUL";
        return Err(Error::invalid(why).at_path(path));
    }
    Ok(())
}

/// The directory, created if it may be.
pub(super) fn locate(vfs: Arc<dyn Vfs>, path: &Path, options: &OpenOptions) -> Result<Arc<Files>> {
    check_path(path)?;
    if matches!(options.mode, OpenMode::Create | OpenMode::CreateNew) {
        vfs.create_dir(path)
            .map_err(|e| Error::io("cannot create the store's directory", path, &e))?;
    }
    let dir =
        vfs.resolve(path).map_err(|e| Error::io("cannot open the store's directory", path, &e))?;
    let max_open = match options.max_open_files {
        0 => default_open_files(),
        files => files as usize,
    };
    Ok(Arc::new(Files::new(vfs, dir, max_open, options.cache_bytes)))
}

impl Inner {
    pub(super) fn new(
        files: Arc<Files>,
        options: &OpenOptions,
        manifest: &Manifest,
        live: Live,
        report: OpenReport,
    ) -> Self {
        Self {
            files,
            options: options.clone(),
            report,
            store: manifest.store,
            lineage: manifest.lineage,
            created_us: manifest.created_us,
            ancestors: manifest.ancestors.clone(),
            process: process::generation(),
            handles: 1.into(),
            closed: false.into(),
            live: RwLock::new(live),
            grown: (Mutex::new(()), Condvar::new()),
            waiting: 0.into(),
            writer: None,
            follower: None,
            old: None,
        }
    }
}

/// Opens a store whose directory is locked. Without the lock, it is the caller who keeps it.
pub(super) fn open_for_appending(
    files: Arc<Files>,
    options: &OpenOptions,
    lock: Option<Arc<dyn VfsFile>>,
) -> Result<Store> {
    // 1. The manifest, or a new store.
    let mut report = OpenReport { format: 2, ..OpenReport::default() };
    let mut ids = match options.seed {
        Some(seed) => IdSource::seeded(seed),
        None => IdSource::random()?,
    };
    let manifest = match read_manifest(&files)? {
        Some(_) if options.mode == OpenMode::CreateNew => {
            return Err(Error::invalid("there is a store already").at_path(&files.dir));
        }
        Some(manifest) => manifest,
        None => {
            refuse_other_stores(&files, &list(&files)?)?;
            if options.mode == OpenMode::Existing {
                return Err(no_store(&files));
            }
            report.created = true;
            create(&files, options, &mut ids)?
        }
    };

    // 2. Files that do not belong. They are removed once everything else has been found sound.
    let names = list(&files)?;
    refuse_other_than_files(&files, &names)?;
    let mut leftovers = sort_files(&files, &names, &manifest, &mut report)?;
    // A copy that is being filled keeps saying that it is one.
    leftovers.retain(|name| name != unfinished::MARKER || !unfinished::is_place(&files.dir));

    // 3. Sealed segments, then the newest one up to where the log ends.
    let found = load(&files, &manifest, &[], Reader::Writer)?;
    // 4. Behind the end nothing was ever confirmed.
    found.cut_end(&files, &mut report)?;
    let sync_names = || {
        let synced = files.vfs.sync_dir(&files.dir);
        synced.map_err(|e| Error::io("cannot sync the directory", &files.dir, &e))
    };
    if !leftovers.is_empty() {
        // The manifest that makes them leftovers comes first, and no later one forgets them before
        // they are gone.
        sync_names()?;
        for name in leftovers {
            segment::number_of(&name).into_iter().for_each(|number| files.forget(number));
            match files.vfs.remove(&files.path(&name)) {
                Ok(()) => report.removed.push(name),
                // The last reader of a closed store has removed what a compaction replaced.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => {
                    return Err(Error::io("cannot remove a leftover", &files.path(&name), &e));
                }
            }
        }
        sync_names()?;
    }

    // 5. What was found may never have been synced: the names by a process that was killed between
    // a rename and its sync, the events by one that wrote them, or whose sync failed. After
    // a failed sync the system may take its copy for clean, so the bytes are written once more. Only
    // then is it true what later frames say of them.
    // A clean close came behind every sync of names, and said up to where the events were synced.
    if manifest.segments.is_empty() {
        sync_parents(&*files.vfs, &files.dir)?;
    }
    if !found.clean {
        sync_names()?;
    }
    found.confirm(&files)?;
    report.events = found.events;
    report.segments = manifest.segments.len() as u64;
    report.clean = found.clean && report.cut_bytes == 0;

    // 6. The head: locked, which tells readers that a writer lives.
    let head = files.open(head::FILE_NAME, Access::Keep)?;
    lock_head(&files, &*head)?;

    let written_end = found.tail.as_ref().map_or(0, |tail| tail.end);
    let mut commit = Commit {
        manifest: manifest.clone(),
        ids,
        lock,
        head: Some(head),
        head_writes: found.head_writes,
        file: found.tail_file.clone(),
        buffer: Vec::new(),
        in_file: 0,
        written_end,
        next_number: manifest.next_number(),
        next_sequence: 0,
        slots: 0,
        has_room: false,
        flush_awaited: false,
        durable_end: written_end,
        file_end: if report.cut_bytes > 0 { written_end } else { found.length },
        open_ended: Some(found.open_ended),
        announced: (0, 0),
        staging: Staging::default(),
    };
    let live = found.into_live(&files, options);
    let mut inner = Inner::new(files, options, &manifest, live, report);
    inner.note(&mut commit, &inner.live.read());
    let _ = inner.publish_head(&mut commit, false);
    Ok(Store(Arc::new_cyclic(|store| {
        inner.writer = Some(Writer::new(commit, store.clone()));
        inner
    })))
}

/// Takes the lock on the head. A reader holds it for a moment when it looks whether a writer lives.
fn lock_head(files: &Files, head: &dyn VfsFile) -> Result<()> {
    let path = files.path(head::FILE_NAME);
    for _ in 0..1000 {
        let taken = head.try_lock().map_err(|e| Error::io("cannot lock the head", &path, &e))?;
        if taken {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let why = "another process holds the lock on the head, which only readers take, and briefly";
    Err(Error::new(ErrorKind::Locked, why).at_path(&path))
}

/// Writes what a file holds between two offsets over itself.
fn write_again(file: &dyn VfsFile, from: u64, to: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; (1 << 20).min(to.saturating_sub(from)) as usize];
    let mut at = from;
    while at < to {
        let bytes = buffer.len().min((to - at) as usize);
        let read = read_full_at(file, &mut buffer[..bytes], at)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        write_all_at(file, &buffer[..read], at)?;
        at += read as u64;
    }
    Ok(())
}

pub(super) fn list(files: &Files) -> Result<Vec<(String, bool)>> {
    files
        .vfs
        .list(&files.dir)
        .map_err(|e| Error::io("cannot list the store's directory", &files.dir, &e))
}

pub(super) fn no_store(files: &Files) -> Error {
    Error::new(ErrorKind::NotFound, "there is no store here").at_path(&files.dir)
}

pub(super) fn read_manifest(files: &Files) -> Result<Option<Manifest>> {
    let Some(bytes) = files.read_small(manifest::FILE_NAME, MAX_MANIFEST_BYTES)? else {
        return Ok(None);
    };
    let path = files.path(manifest::FILE_NAME);
    Manifest::decode(&bytes).map(Some).map_err(|e| match e {
        ManifestError::Newer => Error::new(
            ErrorKind::Unsupported,
            "the store was written by a newer version of batpak; upgrade to read it",
        )
        .at_path(&path),
        ManifestError::Damaged(why) => {
            Error::corrupt(format!("the manifest is damaged: {why}")).at_path(&path)
        }
    })
}

/// A directory without a manifest must not hold segments: of version 1, or of a store that has
/// lost its manifest.
pub(super) fn refuse_other_stores(files: &Files, names: &[(String, bool)]) -> Result<()> {
    let is_segment = |(name, is_file): &&(String, bool)| *is_file && name.ends_with(".fbat");
    let Some((name, _)) = names.iter().find(is_segment) else { return Ok(()) };
    Err(match Header::decode(&read_front(files, name)?) {
        Err(HeaderError::Version(1)) => Error::new(
            ErrorKind::Unsupported,
            "the directory holds a store of the batpak crate 0.x (FBAT version 1); open it \
             read-only, or import it into a new store",
        ),
        Err(HeaderError::Version(version)) => Error::new(
            ErrorKind::Unsupported,
            format!("the directory holds segments of FBAT version {version}; upgrade to read"),
        ),
        _ => Error::corrupt(
            "the directory holds segments but no manifest; restore the manifest, or open the \
             store for salvage",
        ),
    }
    .at_path(&files.path(name)))
}

fn create(files: &Files, options: &OpenOptions, ids: &mut IdSource) -> Result<Manifest> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let created_us = match options.seed {
        Some(_) => SEEDED_EPOCH_US,
        None => now.map_or(0, |after| after.as_micros() as i64),
    };
    let manifest = Manifest::new(ids.store_id(b"store"), ids.store_id(b"lineage"), created_us);
    files.replace(manifest::FILE_NAME, &manifest.encode())?;
    Ok(manifest)
}

/// Makes the directory's own name survive too, and those above it, which may be new. A parent that
/// may not be read was not made here; further up, some file systems refuse to sync.
pub(super) fn sync_parents(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    for (distance, parent) in dir.ancestors().skip(1).enumerate() {
        match vfs.sync_dir(parent) {
            Err(e) if distance == 0 && e.kind() != std::io::ErrorKind::PermissionDenied => {
                return Err(Error::io("cannot sync the directory", parent, &e));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Refuses a directory, a link or a pipe under a name that is the store's to write. It would keep a
/// later rotation or close from replacing it, when events have been accepted already.
pub(super) fn refuse_other_than_files(files: &Files, names: &[(String, bool)]) -> Result<()> {
    let is_own = |name: &str| {
        segment::number_of(name).is_some() || name == TAIL_INDEX || is_own_temporary(name)
    };
    match names.iter().find(|(name, is_file)| !is_file && is_own(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let why = "a name that is the store's is not a regular file; move it away";
            Err(Error::new(ErrorKind::Io, why).at_path(&files.path(name)))
        }
    }
}

/// Sorts the directory's names: gives the leftovers that may be removed, notes strangers, and
/// refuses segments that are not in the manifest.
pub(super) fn sort_files(
    files: &Arc<Files>,
    names: &[(String, bool)],
    manifest: &Manifest,
    report: &mut OpenReport,
) -> Result<Vec<String>> {
    let highest = manifest.next_number() - 1;
    let listed: HashSet<u64> = manifest.segments.iter().map(|entry| entry.number).collect();
    let retired: HashSet<u64> = manifest.retired.iter().copied().collect();
    let mut leftovers = Vec::new();
    for (name, is_file) in names {
        let own = [manifest::FILE_NAME, head::FILE_NAME, TAIL_INDEX];
        match segment::number_of(name) {
            Some(number) if listed.contains(&number) => {}
            Some(number) if *is_file => {
                let path = files.path(name);
                let file = match files.open(name, Access::Read) {
                    Ok(file) => file,
                    // A compaction of a live writer has removed it meanwhile.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                let length = file
                    .size()
                    .map_err(|e| Error::io("cannot read the segment's length", &path, &e))?;
                let header = own_header(&*file, manifest).filter(|header| header.number == number);
                let is_empty = length <= HEADER_BYTES as u64;
                let is_left = is_empty && (number > highest || header.is_some())
                    || retired.contains(&number)
                    || header.is_some_and(|header| header.generation > manifest.generation)
                        && is_redundant(files, manifest, &*file, (number, length))?;
                if !is_left {
                    return Err(Error::corrupt(
                        "a segment is not listed in the manifest: it is foreign, or was renamed or \
                         duplicated; move it away",
                    )
                    .at_path(&path)
                    .at(number, 0));
                }
                leftovers.push(name.clone());
            }
            _ if *is_file && is_own_temporary(name) => leftovers.push(name.clone()),
            _ if own.contains(&name.as_str()) => {}
            _ => report.ignored.push(name.clone()),
        }
    }
    Ok(leftovers)
}

/// Whether listed segments hold the events of this one, which a compaction wrote to take their place.
/// Its file is not kept open: another segment may get its number.
fn is_redundant(
    files: &Arc<Files>,
    manifest: &Manifest,
    file: &dyn VfsFile,
    (number, length): (u64, u64),
) -> Result<bool> {
    let found = match Ends::read(file, &files.segment_path(number), number, length) {
        Ok(ends) => ends.footer.summary,
        Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(false),
        Err(error) => return Err(error),
    };
    let (listed, end) = (&manifest.segments, found.first_sequence.checked_add(found.events));
    let first = listed.binary_search_by_key(&found.first_sequence, |entry| entry.first_sequence);
    let last = listed.partition_point(|entry| Some(entry.end_sequence()) < end);
    match (first, listed.get(last)) {
        (Ok(_), Some(last)) if Some(last.end_sequence()) == end && last.length > 0 => {
            let last = Sealed::open(files, *last, None)?;
            Ok(last.footer.summary.root == found.root)
        }
        _ => Ok(false),
    }
}

/// The header of a segment that this store wrote.
fn own_header(file: &dyn VfsFile, manifest: &Manifest) -> Option<Header> {
    let mut header = [0; HEADER_BYTES];
    read_full_at(file, &mut header, 0).ok()?;
    let header = Header::decode(&header).ok()?;
    let is_own = (header.store, header.lineage) == (manifest.store, manifest.lineage);
    is_own.then_some(header)
}

/// Whether it is the name under which a file of the store is written before it gets its own.
pub(super) fn is_own_temporary(name: &str) -> bool {
    name.strip_suffix(".tmp").is_some_and(|name| {
        name == manifest::FILE_NAME
            || unfinished::MARKER.strip_suffix(".tmp") == Some(name)
            || name == TAIL_INDEX
            || staged::is_file_name(name)
            || segment::number_of(name).is_some()
    })
}

/// What the directory holds.
pub(super) struct Found {
    pub(super) parts: Vec<Arc<Part>>,
    pub(super) tail: Option<Tail>,
    pub(super) tail_file: Option<Arc<dyn VfsFile>>,
    /// Where the log ends in the newest segment.
    pub(super) end: Option<End>,
    /// The newest segment's length.
    pub(super) length: u64,
    pub(super) events: u64,
    /// The log ends where the last clean close left it.
    pub(super) clean: bool,
    pub(super) head_writes: u64,
    /// The head says that it is open-ended.
    pub(super) open_ended: bool,
    /// Up to where the newest segment is known to have been synced.
    pub(super) confirmed: u64,
    /// How many events are known to be durable.
    pub(super) durable_events: u64,
    /// How many compactions the log has gone through.
    pub(super) generation: u64,
    /// A retention has decided about the events before this sequence.
    pub(super) horizon: u64,
}

impl Found {
    /// Cuts what lies behind the end of the log, and makes the cut last, before anything new is
    /// accepted.
    pub(super) fn cut_end(&self, files: &Files, report: &mut OpenReport) -> Result<()> {
        let (Some(file), Some(End { offset, reason: Some(reason), .. })) =
            (&self.tail_file, &self.end)
        else {
            return Ok(());
        };
        let number = self.tail.as_ref().map_or(0, |tail| tail.number);
        let path = files.segment_path(number);
        let cut = file.set_len(*offset).and_then(|()| file.sync());
        cut.map_err(|e| Error::io("cannot cut the unfinished end", &path, &e))?;
        report.cut_bytes = self.length - offset;
        report.cut_at = Some((number, *offset));
        report.cut_reason = reason.clone();
        Ok(())
    }

    /// Makes the events last that no sync is known to cover.
    pub(super) fn confirm(&self, files: &Files) -> Result<()> {
        let (Some(file), Some(tail)) = (&self.tail_file, &self.tail) else { return Ok(()) };
        if self.confirmed == tail.end {
            return Ok(());
        }
        write_again(&**file, self.confirmed, tail.end)
            .and_then(|()| file.sync())
            .map_err(|e| Error::io("cannot sync the segment", &files.segment_path(tail.number), &e))
    }

    pub(super) fn into_live(self, files: &Files, options: &OpenOptions) -> Live {
        let newest = self.tail.as_ref().zip(self.tail_file);
        let newest = newest.map(|(tail, file)| {
            Newest::new(files, tail.number, file, tail.end, options.segment_bytes)
        });
        Live {
            parts: Arc::new(self.parts),
            generation: self.generation,
            horizon: self.horizon,
            tail: self.tail,
            newest,
            unwritten: Vec::new(),
            heads: Heads::default(),
            written_events: self.events,
            durable_events: self.durable_events,
        }
    }
}

/// On whose behalf a store is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The one writer.
    Writer,
    /// A reader, with no writer alive: the log ends where recovery would end it.
    Alone,
    /// A reader beside a live writer: the log ends where the head says.
    Beside(HeadFile),
}

/// Reads the sealed segments' footers and the newest segment's frames. Changes nothing. Sealed
/// segments that are in `known` are taken from there.
pub(super) fn load(
    files: &Arc<Files>,
    manifest: &Manifest,
    known: &[Arc<Part>],
    reader: Reader,
) -> Result<Found> {
    let mut found = Found {
        parts: Vec::new(),
        tail: None,
        tail_file: None,
        end: None,
        length: 0,
        events: 0,
        clean: true,
        head_writes: 0,
        open_ended: false,
        confirmed: HEADER_BYTES as u64,
        durable_events: 0,
        generation: manifest.generation,
        horizon: manifest.horizon,
    };
    // A reader beside a writer goes by one head from start to end: a newer one may be ahead of
    // what was read by the older.
    let head = match reader {
        Reader::Beside(head) => Some(head),
        Reader::Writer | Reader::Alone => read_head(files)?,
    };
    let head = head.filter(|head| head.store == manifest.store);
    found.head_writes = head.map_or(0, |head| head.writes);
    found.open_ended = head.is_some_and(|head| head.open_ended);
    let Some((newest, sealed)) = manifest.segments.split_last() else {
        return Ok(found);
    };
    let (tree, last_hash) = load_sealed(files, manifest, sealed, known, &mut found)?;
    load_newest(files, manifest, newest, head, reader, (tree, last_hash), &mut found)?;
    Ok(found)
}

fn load_sealed(
    files: &Arc<Files>,
    manifest: &Manifest,
    entries: &[Entry],
    known: &[Arc<Part>],
    found: &mut Found,
) -> Result<(Tree, Hash)> {
    let mut root = Tree::default().root();
    let mut end = (Tree::default(), Hash::ZERO);
    for (index, entry) in entries.iter().enumerate() {
        let part = match known.iter().find(|part| part.number() == entry.number) {
            Some(part) => part.clone(),
            None => Arc::new(Part::Sealed(Sealed::open(files, *entry, None)?)),
        };
        if let Part::Sealed(sealed) = &*part {
            check_header(files, manifest, entry, &sealed.header, root)?;
            root = sealed.footer.summary.root;
            if index + 1 == entries.len() {
                end = (sealed.tree()?, sealed.footer.summary.last_hash);
            }
        }
        found.parts.push(part);
    }
    Ok(end)
}

pub(super) fn check_header(
    files: &Files,
    manifest: &Manifest,
    entry: &Entry,
    header: &Header,
    root_before: Hash,
) -> Result<()> {
    let why = if header.number != entry.number {
        "it is another segment under this name"
    } else if header.lineage != manifest.lineage || !manifest.accepts(header.store, entry) {
        "it belongs to another store"
    } else if header.first_sequence != entry.first_sequence {
        "it does not continue the segment before it"
    } else if header.root_before != root_before {
        "the events before it are not those it was written after"
    } else {
        return Ok(());
    };
    Err(Error::corrupt(format!("the segment does not belong here: {why}"))
        .at_path(&files.segment_path(entry.number))
        .at(entry.number, 0))
}

fn load_newest(
    files: &Arc<Files>,
    manifest: &Manifest,
    entry: &Entry,
    head: Option<HeadFile>,
    reader: Reader,
    (tree, last_hash): (Tree, Hash),
    found: &mut Found,
) -> Result<()> {
    let number = entry.number;
    let path = files.segment_path(number);
    let refuse = |why: String, offset: u64| Error::corrupt(why).at_path(&path).at(number, offset);
    let access = if reader == Reader::Writer { Access::Write } else { Access::Read };
    let file = open_newest(files, number, access)?;
    let header = read_exact(&*file, &path, number, 0, HEADER_BYTES)?;
    let header = Header::decode(&header).map_err(|e| match e {
        HeaderError::Version(v) => {
            Error::new(ErrorKind::Unsupported, format!("the segment is of FBAT version {v}"))
                .at_path(&path)
        }
        HeaderError::Damaged(why) => refuse(format!("the segment cannot be used: {why}"), 0),
    })?;
    check_header(files, manifest, entry, &header, tree.root())?;
    found.length =
        file.size().map_err(|e| Error::io("cannot read the segment's length", &path, &e))?;

    // Start at the closed end if the index of that moment is at hand, else at the first frame.
    let closed = manifest.closed.filter(|closed| closed.segment == number);
    let mut tail = Tail::new(manifest.lineage, number, entry.first_sequence, tree, last_hash);
    if let Some(closed) = closed
        && closed.offset <= found.length
        && let Some(index) = tail_index(files, manifest.lineage, found.length)?
        && (index.number, index.end, index.next_sequence(), index.tree.root())
            == (number, closed.offset, closed.events, closed.root)
    {
        tail = index;
    }

    let mut end = match reader {
        Reader::Beside(head) if head.segment == number => {
            let offset = head.visible_offset.max(tail.end);
            let events = head.visible_events.saturating_sub(tail.next_sequence());
            End { offset, events, reason: None }
        }
        // The writer has started this segment, and shown nothing of it yet.
        Reader::Beside(head) if head.segment < number => {
            End { offset: tail.end, events: 0, reason: None }
        }
        _ => {
            let lineage = manifest.lineage;
            let log = recovery::Log { file: &*file, path: &path, number, lineage };
            recovery::find_end(&log, tail.end, tail.next_sequence())?
        }
    };
    if let Some(closed) = closed {
        recovery::require_end(&end, closed.offset, "the last clean close", &path, number)?;
        let events = tail.next_sequence() + end.events;
        if events < closed.events {
            let why = format!("the log has {events} events; {} were closed", closed.events);
            return Err(refuse(why, end.offset));
        }
    } else if let Some(closed) = manifest.closed
        && (closed.segment > number || closed.events > entry.first_sequence)
    {
        return Err(refuse("the log is shorter than at its last clean close".to_owned(), 0));
    }
    if let Some(head) = head {
        if head.segment > number {
            let why = format!("events went to segment {}, which the manifest lacks", head.segment);
            return Err(refuse(why, end.offset));
        }
        if head.segment == number {
            recovery::require_end(&end, head.durable_offset, "the head", &path, number)?;
            if end.reason.is_none() && end.offset < head.visible_offset.min(found.length) {
                end.reason = Some("zeros stand where events were visible".to_owned());
            }
        }
    }

    let mut root_at_close = None;
    let closed_events = closed.map_or(u64::MAX, |closed| closed.events);
    if closed_events > tail.next_sequence() && closed_events != u64::MAX {
        let to = closed.map_or(tail.end, |closed| closed.offset);
        tail.extend(&*file, &path, to, |_| {})?;
        root_at_close = Some((tail.next_sequence(), tail.tree.root()));
    }
    tail.extend(&*file, &path, end.offset, |_| {})?;
    if let (Some(closed), Some(at_close)) = (closed, root_at_close)
        && (closed.events, closed.root) != at_close
    {
        return Err(refuse(
            "the events are not those of the last clean close: the tree over them has another \
             root"
                .to_owned(),
            HEADER_BYTES as u64,
        ));
    }
    let own_head = head.filter(|head| head.segment == number);
    found.confirmed =
        [closed.map(|closed| closed.offset), own_head.map(|head| head.durable_offset)]
            .into_iter()
            .flatten()
            .fold(HEADER_BYTES as u64, u64::max)
            .min(tail.end);
    found.clean = closed.is_some_and(|closed| closed.offset == tail.end);
    found.events = tail.next_sequence();
    found.durable_events = match reader {
        // Everything is synced before a writer goes on.
        Reader::Writer => found.events,
        Reader::Alone | Reader::Beside(_) => [
            Some(entry.first_sequence),
            closed.map(|c| c.events),
            own_head.map(|h| h.durable_events),
        ]
        .into_iter()
        .flatten()
        .fold(0, u64::max)
        .min(found.events),
    };
    found.tail = Some(tail);
    found.tail_file = Some(file);
    found.end = Some(end);
    Ok(())
}

fn open_newest(files: &Files, number: u64, access: Access) -> Result<Arc<dyn VfsFile>> {
    files.open(&segment::file_name(number), access).map_err(|e| match e.kind() {
        ErrorKind::NotFound => {
            let why = "the newest segment is missing";
            Error::corrupt(why).at_path(&files.segment_path(number)).at(number, 0)
        }
        _ => e,
    })
}

/// The index of the last clean close; `None` if it cannot be used, since it can be rebuilt. It is
/// smaller than the segment that it is about.
fn tail_index(files: &Files, lineage: Id, segment_bytes: u64) -> Result<Option<Tail>> {
    match files.read_small(TAIL_INDEX, segment_bytes.saturating_add(4096).min(MAX_TAIL_INDEX_BYTES))
    {
        Ok(Some(bytes)) => Ok(Tail::from_footer(lineage, &bytes).ok()),
        Ok(None) => Ok(None),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        Err(error) => Err(error),
    }
}

/// The head as it is right now; `None` if there is none that can be used.
pub(super) fn read_head(files: &Files) -> Result<Option<HeadFile>> {
    // The writer may be overwriting it: look again before giving up.
    for _ in 0..8 {
        match files.read_small(head::FILE_NAME, head::HEAD_BYTES as u64) {
            Ok(Some(bytes)) if !bytes.is_empty() => {
                if let Some(head) = HeadFile::decode(&bytes) {
                    return Ok(Some(head));
                }
            }
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
