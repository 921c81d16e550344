//! What must be done in a process of its own, because it may end with a crash:
//!
//!     batpak-interop <version> <case> <session> <directory>
//!
//! does one session of a case; every append's receipt is a line of the output. And
//!
//!     batpak-interop import <source> <destination>
//!
//! imports a store into a new one.

use batpak_core::{ImportOptions, OpenOptions, Region, Store};
use batpak_interop::cases;
use batpak_interop::version::Version;
use std::io::Write;
use std::path::Path;

fn main() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["import", source, destination] => import(source, destination).map_err(|e| e.to_string()),
        [version, case, session, dir] => write(version, case, session, Path::new(dir)),
        _ => Err("usage: batpak-interop <version> <case> <session> <directory>".to_owned()),
    }
}

fn write(version: &str, case: &str, session: &str, dir: &Path) -> Result<(), String> {
    let version = Version::ALL
        .into_iter()
        .find(|known| known.name() == version)
        .ok_or_else(|| format!("no version {version}"))?;
    let case = cases::named(case);
    let session: usize = session.parse().map_err(|_| "a session is a number".to_owned())?;
    let session = &case.sessions[session];
    let mut output = std::io::stdout();
    version.session(dir, &case.settings, &session.steps, session.end, &mut |receipt| {
        writeln!(output, "{}", receipt.line()).expect("somebody reads the output");
    })
}

fn import(source: &str, destination: &str) -> Result<(), batpak_core::Error> {
    let store = Store::open(destination, &OpenOptions::default())?;
    store.import_from(source, &Region::all(), &ImportOptions::default())?;
    store.close()
}
