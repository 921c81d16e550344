//! Runs behaviour scripts: `script-runner [--dir DIR --section K] FILE...`. With `BATPAK_BLESS=1`
//! in the environment the files' expected lines are rewritten with what was found.

use batpak_tests::script::Script;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut files = Vec::new();
    let mut directory = None;
    let mut section = 0;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--dir" => directory = arguments.next().map(PathBuf::from),
            "--section" => match arguments.next().map(|text| text.parse()) {
                Some(Ok(number)) => section = number,
                _ => return usage("--section needs a number"),
            },
            option if option.starts_with("--") => return usage("unknown option"),
            file => files.push(PathBuf::from(file)),
        }
    }
    if files.is_empty() {
        return usage("no file given");
    }

    let bless = std::env::var_os("BATPAK_BLESS").is_some_and(|value| value == "1");
    let mut failed = 0;
    for file in &files {
        let outcome = Script::load(file).and_then(|script| match &directory {
            Some(directory) => script.run_section(directory, section),
            None if bless => rewrite(file, &script),
            None => script.run(),
        });
        if let Err(report) = outcome {
            failed += 1;
            println!("{}", report.trim_end());
        }
    }
    println!("{} passed, {failed} failed", files.len() - failed);
    ExitCode::from(u8::from(failed > 0))
}

fn rewrite(file: &Path, script: &Script) -> Result<(), String> {
    let text = script.bless()?;
    std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}

fn usage(why: &str) -> ExitCode {
    eprintln!("{why}\nusage: script-runner [--dir DIR --section K] FILE...");
    ExitCode::from(2)
}
