//! Every behaviour script, run by the Rust interpreter; those in `tests/rust/scripts` use words that
//! the other languages do not know.

use batpak_tests::script::Script;
use std::path::{Path, PathBuf};

fn scripts() -> Vec<PathBuf> {
    let folders = ["../scripts", "scripts"].map(|f| Path::new(env!("CARGO_MANIFEST_DIR")).join(f));
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let entries = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    files
}

#[test]
fn every_script_passes() {
    let files = scripts();
    assert!(files.len() >= 60, "only {} scripts were found", files.len());
    let run = |file: &PathBuf| Script::load(file).and_then(|script| script.run()).err();
    let failures: Vec<String> = files.iter().filter_map(run).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
