//! Every behaviour script, run by the Rust interpreter.

use batpak_tests::script::Script;
use std::path::{Path, PathBuf};

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
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
