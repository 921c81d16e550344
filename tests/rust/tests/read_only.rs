//! Reading changes nothing on disk and needs no right to write.

use batpak_core::{ErrorKind, EventKind, NewEvent, OpenMode, OpenOptions, Query, Region, Store};
use batpak_tests::scratch::Scratch;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

fn fill(path: &Path, events: usize) -> Store {
    let options = OpenOptions { segment_bytes: 4096, ..OpenOptions::default() };
    let store = Store::open(path, &options).unwrap();
    for number in 0..events {
        let entity = format!("entity:{}", number % 3);
        let event = NewEvent::new(&entity, "test", EventKind::DATA, &[7; 100]);
        store.append(&event, None).unwrap();
    }
    store
}

/// Everything that a change of a file would change: its size, times and content.
fn state(directory: &Path) -> BTreeMap<String, (u64, i64, i64, Vec<u8>)> {
    let mut state = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        let content = std::fs::read(entry.path()).unwrap();
        let name = entry.file_name().into_string().unwrap();
        state.insert(name, (metadata.size(), metadata.mtime(), metadata.mtime_nsec(), content));
    }
    let own = std::fs::metadata(directory).unwrap();
    state.insert(".".into(), (0, own.mtime(), own.mtime_nsec(), Vec::new()));
    state
}

/// Recovery row 5.
#[test]
fn reading_changes_no_file() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let writer = fill(&path, 60);
    writer.close().unwrap();
    // A leftover and a torn end, which a writer would remove.
    std::fs::write(path.join("manifest.tmp"), b"leftover").unwrap();
    let newest = state(&path).into_keys().filter(|name| name.ends_with(".fbat")).max().unwrap();
    let mut bytes = std::fs::read(path.join(&newest)).unwrap();
    bytes.extend_from_slice(b"torn");
    std::fs::write(path.join(&newest), bytes).unwrap();

    let before = state(&path);
    for mode in [OpenMode::ReadOnly, OpenMode::Salvage] {
        let reader = Store::open(&path, &OpenOptions::mode(mode)).unwrap();
        assert_eq!(reader.read(Query::new(Region::all())).unwrap().count(), 60);
        assert!(reader.verify().unwrap().is_intact());
        let event = NewEvent::new("a", "s", EventKind::DATA, b"");
        assert_eq!(reader.append(&event, None).unwrap_err().kind(), ErrorKind::ReadOnly);
        reader.refresh().unwrap();
        reader.close().unwrap();
    }
    assert_eq!(state(&path), before);
}

/// Recovery row 4.
#[test]
fn a_directory_without_the_right_to_write() {
    let scratch = Scratch::new().unwrap();
    fill(&scratch.join("store"), 60).close().unwrap();
    let set_mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for entry in std::fs::read_dir(scratch.join("store")).unwrap() {
        set_mode(&entry.unwrap().path(), 0o444);
    }
    set_mode(&scratch.join("store"), 0o555);
    set_mode(scratch.path(), 0o755);

    // For root no permission is missing, so another user runs the check.
    let runner = scratch.join("script-runner");
    std::fs::copy(env!("CARGO_BIN_EXE_script-runner"), &runner).unwrap();
    set_mode(&runner, 0o755);
    let script = scratch.join("script.txt");
    let text = "open mode=read_only\n= ok\ncount\n= end 60\ncount entity=entity:1\n= end 20\n\
                append a s 0x1000 -\n= error READ_ONLY\nclose\n= ok\nopen\n= error IO\n\
                open mode=read_only\n= ok\ncount\n= end 60\n";
    std::fs::write(&script, text).unwrap();
    set_mode(&script, 0o644);
    let mut command = Command::new(&runner);
    command.arg("--dir").arg(scratch.path()).args(["--section", "0"]).arg(&script);
    // SAFETY: `geteuid` has no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        const NOBODY: u32 = 65534;
        command.uid(NOBODY).gid(NOBODY);
    }
    let before = state(&scratch.join("store"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(state(&scratch.join("store")), before);
    set_mode(&scratch.join("store"), 0o755);
}
