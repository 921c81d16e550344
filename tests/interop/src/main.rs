//! Does one session of a case: `batpak-interop <version> <case> <session> <directory>`. It is a
//! process of its own because some sessions end with a crash. Every append's receipt is a line of
//! the output.

use batpak_interop::cases;
use batpak_interop::version::Version;
use std::io::Write;
use std::path::Path;

fn main() -> Result<(), String> {
    let words: Vec<String> = std::env::args().collect();
    let [_, version, case, session, dir] = &words[..] else {
        return Err("usage: batpak-interop <version> <case> <session> <directory>".to_owned());
    };
    let version = Version::ALL
        .into_iter()
        .find(|known| known.name() == version)
        .ok_or_else(|| format!("no version {version}"))?;
    let case = cases::named(case);
    let session: usize = session.parse().map_err(|_| "a session is a number".to_owned())?;
    let session = &case.sessions[session];
    let mut output = std::io::stdout();
    version.session(Path::new(dir), &case.settings, &session.steps, session.end, &mut |receipt| {
        writeln!(output, "{}", receipt.line()).expect("somebody reads the output");
    })
}
