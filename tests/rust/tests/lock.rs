//! One writer: whichever path leads to the store, whichever files are gone, in whichever process.

use batpak_core::{ErrorKind, EventKind, NewEvent, OpenMode, OpenOptions, Store};
use batpak_tests::scratch::Scratch;
use std::path::Path;
use std::process::Command;

fn writer(path: &Path) -> Store {
    let store = Store::open(path, &OpenOptions::default()).unwrap();
    store.append(&NewEvent::new("a", "s", EventKind::DATA, b"x"), None).unwrap();
    store
}

fn assert_locked(path: &Path) {
    for mode in [OpenMode::Create, OpenMode::Existing] {
        let error = Store::open(path, &OpenOptions::mode(mode)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{}", path.display());
    }
}

/// Recovery row 3.
#[test]
fn through_links_and_relative_parts() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    std::os::unix::fs::symlink(&path, scratch.join("link")).unwrap();
    std::os::unix::fs::symlink(scratch.path(), scratch.join("parent")).unwrap();
    let _store = writer(&path);
    assert_locked(&scratch.join("link"));
    assert_locked(&scratch.join("parent/store"));
    assert_locked(&scratch.join("store/."));
    assert_locked(
        &scratch.join("parent/../").join(scratch.path().file_name().unwrap()).join("store"),
    );
}

#[test]
fn opened_through_a_link_and_found_by_its_name() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    writer(&path).close().unwrap();
    std::os::unix::fs::symlink(&path, scratch.join("link")).unwrap();
    let _store = writer(&scratch.join("link"));
    assert_locked(&path);
}

#[test]
fn with_every_file_deleted() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let _store = writer(&path);
    for entry in std::fs::read_dir(&path).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert_locked(&path);
}

/// Recovery row 2.
#[test]
fn in_another_process() {
    let scratch = Scratch::new().unwrap();
    let script = scratch.join("script.txt");
    let other_process = |text: &str| {
        std::fs::write(&script, text).unwrap();
        let runner = env!("CARGO_BIN_EXE_script-runner");
        let mut command = Command::new(runner);
        command.arg("--dir").arg(scratch.path()).args(["--section", "0"]).arg(&script);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    let store = writer(&scratch.join("store"));
    other_process("open\n= error LOCKED\nopen mode=read_only as=r\n= ok\ncount on=r\n= end 1\n");
    store.append(&NewEvent::new("a", "s", EventKind::DATA, b"y"), None).unwrap();
    store.close().unwrap();
    other_process("open mode=existing\n= ok\ncount\n= end 2\n");
}

#[test]
fn taken_again_after_closing_and_after_dropping() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = writer(&path);
    let clone = store.clone();
    drop(store);
    assert_locked(&path);
    clone.close().unwrap();
    drop(writer(&path));
    assert_eq!(writer(&path).head().unwrap().events, 3);
}
