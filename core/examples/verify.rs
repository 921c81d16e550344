//! Checks every byte, hash and link of a store, which another process may be writing.
//!
//!     cargo run --release --package batpak-core --example verify -- STORE

use batpak_core::{Error, OpenMode, OpenOptions, Store};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: verify STORE");
        return ExitCode::FAILURE;
    };
    match verify(path.as_ref()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the store is intact.
fn verify(path: &std::path::Path) -> Result<bool, Error> {
    let store = Store::open(path, &OpenOptions::mode(OpenMode::ReadOnly))?;
    let report = store.verify()?;
    for finding in &report.findings {
        println!("{finding:?}");
    }
    if report.is_intact() {
        println!("verified Rust {} {} {}", report.events, report.last_hash, report.root);
    }
    store.close()?;
    Ok(report.is_intact())
}
