//! The files of a 0.x store: copying them, finding frames in them, and damaging them.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A new directory, in memory where the system has such a place: some tests write a store for
/// every byte of another.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).expect("a directory")
}

/// The segment files, by rising number.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = files(dir).into_iter().filter(|path| number(path).is_some()).collect();
    found.sort_by_key(|path| number(path));
    found
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".fbat")?.parse().ok()
}

/// All files, by name.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found
}

/// Copies every file into a new directory.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for path in files(from) {
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
    }
}

/// Removes what a crate can rebuild.
pub fn remove_caches(dir: &Path) {
    for name in ["index.fbati", "index.ckpt"] {
        fs::remove_file(dir.join(name)).ok();
    }
}

/// The frames of a segment, up to the first byte that belongs to none.
pub fn frames(segment: &[u8]) -> Vec<Range<usize>> {
    let word = |at: usize| -> Option<usize> {
        let bytes = segment.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes) as usize)
    };
    let mut found = Vec::new();
    let mut start = 8 + word(4).expect("a header");
    while let (Some(length), Some(crc)) = (word(start), word(start + 4)) {
        let Some(body) = segment.get(start + 8..start + 8 + length) else { break };
        if length == 0 || crc32fast::hash(body) as usize != crc {
            break;
        }
        found.push(start..start + 8 + length);
        start += 8 + length;
    }
    found
}

/// Cuts the footer, and anything else behind the last frame, off every segment.
pub fn cut_footers(dir: &Path) {
    for path in segments(dir) {
        let bytes = fs::read(&path).expect("a segment");
        let end = frames(&bytes).last().map_or(bytes.len(), |frame| frame.end);
        fs::write(&path, &bytes[..end]).expect("a segment");
    }
}

/// Shortens a file to `bytes`.
pub fn cut(path: &Path, bytes: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("a file");
    assert!(bytes < file.metadata().expect("a length").len(), "it gets shorter");
    file.set_len(bytes).expect("a file");
}
