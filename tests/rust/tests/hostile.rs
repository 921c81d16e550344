//! Directories made to harm: links, fifos, directories in place of files, and lengths that lie.
//! Each is refused with an error, at once and without reading what is not the store's.

use batpak_core::{ErrorKind, EventKind, NewEvent, OpenMode, OpenOptions, Store};
use batpak_tests::scratch::Scratch;
use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const MODES: [OpenMode; 3] = [OpenMode::Existing, OpenMode::ReadOnly, OpenMode::Create];

/// A closed store of four segments, the last of them unsealed.
fn closed_store(path: &Path) {
    let options = OpenOptions { segment_bytes: 4096, ..OpenOptions::default() };
    let store = Store::open(path, &options).unwrap();
    for _ in 0..60 {
        store.append(&NewEvent::new("a", "s", EventKind::DATA, &[7; 100]), None).unwrap();
    }
    assert_eq!(store.stats().unwrap().segments, 4);
    store.close().unwrap();
}

fn open_kinds(path: &Path) -> Vec<ErrorKind> {
    let open = |mode| Store::open(path, &OpenOptions::mode(mode)).unwrap_err().kind();
    MODES.into_iter().map(open).collect()
}

/// Puts something in the place of one file of a store, and opens it.
fn with_replaced(name: &str, replace: impl Fn(&Path)) -> Vec<ErrorKind> {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    closed_store(&path);
    std::fs::rename(path.join(name), scratch.join("original")).unwrap();
    replace(&path.join(name));
    open_kinds(&path)
}

/// Recovery row 3.
#[test]
fn links_are_not_followed() {
    for name in ["manifest", "000001.fbat", "000004.fbat"] {
        let kinds = with_replaced(name, |path| {
            let original = path.parent().unwrap().parent().unwrap().join("original");
            std::os::unix::fs::symlink(original, path).unwrap();
        });
        assert_eq!(kinds, [ErrorKind::Io; 3], "{name}");
    }
}

#[test]
fn fifos_do_not_hang() {
    for name in ["manifest", "000001.fbat", "000004.fbat"] {
        let kinds = with_replaced(name, |path| {
            let path = CString::new(path.as_os_str().as_bytes()).unwrap();
            // SAFETY: the path ends with a zero byte.
            assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        });
        assert_eq!(kinds, [ErrorKind::Io; 3], "{name}");
    }
}

#[test]
fn directories_are_no_files() {
    for name in ["manifest", "000001.fbat", "000004.fbat"] {
        let kinds = with_replaced(name, |path| std::fs::create_dir(path).unwrap());
        assert_eq!(kinds, [ErrorKind::Io; 3], "{name}");
    }
}

#[test]
fn sparse_terabytes_are_not_read() {
    for name in ["manifest", "000001.fbat", "000004.fbat"] {
        let scratch = Scratch::new().unwrap();
        let path = scratch.join("store");
        closed_store(&path);
        let file = File::options().write(true).open(path.join(name)).unwrap();
        file.set_len(1 << 42).unwrap();
        let kinds = open_kinds(&path);
        assert_eq!(kinds, [ErrorKind::Corrupt; 3], "{name}");
    }
}

#[test]
fn accelerators_that_are_no_files_can_be_salvaged_around() {
    for name in ["head", "tail.sidx"] {
        let scratch = Scratch::new().unwrap();
        let path = scratch.join("store");
        closed_store(&path);
        std::fs::remove_file(path.join(name)).unwrap();
        std::fs::create_dir(path.join(name)).unwrap();
        assert_eq!(open_kinds(&path), [ErrorKind::Io; 3], "{name}");
        let salvaged = Store::open(&path, &OpenOptions::mode(OpenMode::Salvage)).unwrap();
        assert_eq!(salvaged.head().unwrap().events, 60, "{name}");
    }
}

/// A manifest that names four billion segments is refused for its length, before room is made.
/// Recovery row 118.
#[test]
fn a_manifest_that_counts_too_many_segments() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    closed_store(&path);
    let mut manifest = std::fs::read(path.join("manifest")).unwrap();
    manifest[128..132].copy_from_slice(&u32::MAX.to_le_bytes());
    let end = manifest.len() - 4;
    let crc = crc32fast::hash(&manifest[..end]);
    manifest[end..].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(path.join("manifest"), manifest).unwrap();
    assert_eq!(open_kinds(&path), [ErrorKind::Corrupt; 3]);
}

/// A tail in which every eight bytes look like the start of a frame as long as the rest. Trying
/// each in full would take time quadratic in the file's size.
#[test]
fn a_tail_that_looks_like_frames_everywhere() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = Store::open(&path, &OpenOptions::default()).unwrap();
    store.append(&NewEvent::new("a", "s", EventKind::DATA, b"x"), None).unwrap();
    store.close().unwrap();
    let mut header = [0; 16];
    let length: u32 = 60 << 20;
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[8] = 0xB7;
    let checked: Vec<u8> = [&header[0..4], &header[8..10], &header[12..16]].concat();
    let check = crc32fast::hash(&checked) as u16;
    header[10..12].copy_from_slice(&check.to_le_bytes());
    let whole = std::fs::read(path.join("000001.fbat")).unwrap();
    let tail = header.repeat((64 << 20) / header.len());
    let write = |between: &[u8]| {
        std::fs::write(path.join("000001.fbat"), [&whole, between, &tail].concat()).unwrap();
    };
    // Behind something that is no header, each of them has to be looked at.
    write(&[0xff; 8]);
    assert_eq!(open_kinds(&path), [ErrorKind::Corrupt; 3]);
    // As the payload of a frame that a kill has cut off, they are data, and cut with it.
    write(&[]);
    let store = Store::open(&path, &OpenOptions::default()).unwrap();
    assert_eq!(store.open_report().cut_bytes, tail.len() as u64);
    assert_eq!(store.head().unwrap().events, 1);
}
