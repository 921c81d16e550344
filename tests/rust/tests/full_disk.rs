//! A full disk refuses the append, leaves the log unchanged, and is forgotten when space returns.

use batpak_core::storage::real::RealVfs;
use batpak_core::{
    Durability, Error, ErrorKind, EventKind, ForkOptions, NewEvent, OpenMode, OpenOptions, Query,
    Receipt, Region, SnapshotOptions, Store,
};
use batpak_tests::scratch::Scratch;
use batpak_tests::watched::{Call, Fate, Watched};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A small file system in memory, mounted below a directory of its own.
struct SmallDisk(Scratch);

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount(bytes: usize) -> Option<Self> {
        let scratch = Scratch::new().unwrap();
        let disk = scratch.join("disk");
        std::fs::create_dir(&disk).unwrap();
        let target = CString::new(disk.as_os_str().as_bytes()).unwrap();
        let options = CString::new(format!("size={bytes}")).unwrap();
        let kind = c"tmpfs".as_ptr();
        // SAFETY: all strings end with a zero byte and live until the call returns.
        let mounted =
            unsafe { libc::mount(kind, target.as_ptr(), kind, 0, options.as_ptr().cast()) };
        (mounted == 0).then_some(Self(scratch))
    }

    fn path(&self) -> PathBuf {
        self.0.join("disk")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Ok(target) = CString::new(self.path().as_os_str().as_bytes()) {
            // SAFETY: the string ends with a zero byte; detaching works while files are open.
            unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
        }
    }
}

fn append(store: &Store, durability: Durability) -> Result<Receipt, Error> {
    store.append(&NewEvent::new("a", "s", EventKind::DATA, &[7; 1000]), Some(durability))
}

/// Appends until the first refusal.
fn append_until_refused(store: &Store) -> Error {
    loop {
        if let Err(error) = append(store, Durability::Durable) {
            return error;
        }
    }
}

fn assert_intact(store: &Store, events: u64) {
    assert_eq!(store.head().unwrap().events, events);
    let read: Result<Vec<_>, _> = store.read(Query::new(Region::all())).unwrap().collect();
    assert_eq!(read.unwrap().len() as u64, events);
    let report = store.verify().unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
}

/// The course of events on a file system that is full until `make_space` is called.
fn survives(path: &Path, options: &OpenOptions, kind: ErrorKind, make_space: impl FnOnce()) {
    let store = Store::open(path, options).unwrap();
    let refused = append_until_refused(&store);
    assert_eq!(refused.kind(), kind, "{refused}");
    let events = store.head().unwrap().events;
    assert!(events > 0);
    for durability in [Durability::Durable, Durability::Written] {
        assert_eq!(append(&store, durability).unwrap_err().kind(), kind);
    }
    assert_intact(&store, events);

    make_space();
    for number in 0..30 {
        let receipt = append(&store, Durability::Durable).unwrap();
        assert_eq!(receipt.sequence, events + number);
    }
    assert_intact(&store, events + 30);
    store.close().unwrap();
    let reopened = Store::open(path, options).unwrap();
    assert_eq!(reopened.open_report().cut_bytes, 0);
    assert_intact(&reopened, events + 30);
}

#[test]
fn a_full_file_system() {
    // Where mounting is not permitted, the limit on the size of a file stands in for the disk.
    let Some(disk) = SmallDisk::mount(1 << 20) else { return a_limit_on_the_size_of_files() };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 400 << 10]).unwrap();
    let make_space = || std::fs::remove_file(&ballast).unwrap();
    let options = OpenOptions { segment_bytes: 64 << 10, ..OpenOptions::default() };
    survives(&disk.path().join("store"), &options, ErrorKind::DiskFull, make_space);
}

#[test]
fn a_full_file_system_at_creation() {
    let Some(disk) = SmallDisk::mount(64 << 10) else { return a_limit_on_the_size_of_files() };
    let ballast = disk.path().join("ballast");
    let full = std::fs::write(&ballast, vec![0; 128 << 10]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let path = disk.path().join("store");
    let refused = Store::open(&path, &OpenOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DiskFull, "{refused}");
    std::fs::remove_file(&ballast).unwrap();
    let store = Store::open(&path, &OpenOptions::default()).unwrap();
    assert!(store.open_report().created);
    append(&store, Durability::Durable).unwrap();
    assert_intact(&store, 1);
}

/// A copy that finds no room leaves nothing behind, and works when there is some. On another file system
/// than the store's, the first one is copied, and the next one shares what that has.
/// Recovery row 112.
#[test]
fn a_full_file_system_for_copies() {
    let scratch = Scratch::new().unwrap();
    let Some(disk) = SmallDisk::mount(1 << 20) else {
        return no_room_for_a_file_of_a_copy();
    };
    let options = OpenOptions { segment_bytes: 64 << 10, ..OpenOptions::default() };
    let store = Store::open(scratch.join("store"), &options).unwrap();
    for _ in 0..500 {
        append(&store, Durability::Written).unwrap();
    }
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 900 << 10]).unwrap();
    let first = disk.path().join("first");
    let snapshot = SnapshotOptions::default();
    let refused = store.snapshot_to(&first, &snapshot).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DiskFull, "{refused}");
    let refused = store.fork_to(&first, &ForkOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DiskFull, "{refused}");
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 1);
    append(&store, Durability::Durable).unwrap();

    std::fs::remove_file(&ballast).unwrap();
    let report = store.snapshot_to(&first, &snapshot).unwrap();
    assert_eq!((report.linked, report.copied, report.events), (0, report.segments, 501));
    let second = disk.path().join("second");
    let earlier = Some(first);
    let snapshot = SnapshotOptions { earlier, ..SnapshotOptions::default() };
    let report = store.snapshot_to(&second, &snapshot).unwrap();
    assert_eq!((report.linked, report.copied), (report.segments - 1, 1));
    let check = store.verify_snapshot(&second).unwrap();
    assert!(check.is_prefix());
    assert_intact(&Store::open(&second, &OpenOptions::mode(OpenMode::ReadOnly)).unwrap(), 501);
}

/// The same with any file of the copy being the one that there is no room for.
#[test]
fn no_room_for_a_file_of_a_copy() {
    let scratch = Scratch::new().unwrap();
    let watched = Watched::new(Arc::new(RealVfs));
    let options = OpenOptions { segment_bytes: 4096, ..OpenOptions::default() };
    let vfs = Arc::new(watched.clone());
    let store = Store::open_on(vfs, &scratch.join("store"), &options).unwrap();
    for _ in 0..10 {
        append(&store, Durability::Written).unwrap();
    }
    let copy = scratch.join("copy");
    for full in ["000001.fbat", "000002.fbat", "000003.fbat", "tail.sidx", "manifest"] {
        let beginning = std::sync::atomic::AtomicUsize::new(0);
        watched.rule(move |call| match call {
            // The first half of it fits.
            Call::Write { file, bytes, .. } if file == full => {
                match beginning.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                    0 => Fate::Short(bytes / 2),
                    _ => Fate::Fails(libc::ENOSPC),
                }
            }
            _ => Fate::Done,
        });
        let snapshot = SnapshotOptions { earlier: None, independent: true };
        let refused = store.snapshot_to(&copy, &snapshot).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::DiskFull, "{full}: {refused}");
        let fork = ForkOptions { at: None, independent: true };
        let refused = store.fork_to(&copy, &fork).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::DiskFull, "{full}: {refused}");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1, "{full}");
    }
    watched.no_rule();
    store.snapshot_to(&copy, &SnapshotOptions::default()).unwrap();
    assert_intact(&Store::open(&copy, &OpenOptions::mode(OpenMode::ReadOnly)).unwrap(), 10);
}

/// The limit holds for a whole process, so this test runs itself again in one of its own.
#[test]
fn a_limit_on_the_size_of_files() {
    const CHILD: &str = "BATPAK_TEST_FILE_SIZE_LIMIT";
    if std::env::var_os(CHILD).is_none() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_limit_on_the_size_of_files", "--nocapture"]).env(CHILD, "1");
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    set_file_size_limit(100 << 10);
    let scratch = Scratch::new().unwrap();
    let make_space = || set_file_size_limit(libc::RLIM_INFINITY);
    survives(&scratch.join("store"), &OpenOptions::default(), ErrorKind::Io, make_space);
}

fn set_file_size_limit(bytes: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the limits. Without the signal's default action, a
    // write beyond the limit is an error instead of the end of the process.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit), 0);
        limit.rlim_cur = bytes.min(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
}
