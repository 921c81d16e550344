//! The commands that look at a script's files and damage them behind the store's back.

use crate::words::{self, Failure, Words};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Changes one file or directory below the script's own.
pub(crate) fn change(directory: &Path, words: &Words) -> Result<Vec<String>, Failure> {
    let path = |place| words.name(place).map(|name| directory.join(name));
    let target = path(1)?;
    // Negative offsets count from the end.
    let offset = |place| {
        let offset: i64 = words.number(place)?;
        let place = u64::try_from(offset).map_or(SeekFrom::End(offset), SeekFrom::Start);
        Ok::<_, Failure>(place)
    };
    match words.word(0)? {
        "damage" => {
            let mut file = File::options().write(true).open(target)?;
            file.seek(offset(2)?)?;
            file.write_all(&words::bytes(words.word(3)?)?)?;
        }
        "cut" => {
            let mut file = File::options().write(true).open(target)?;
            let length = file.seek(offset(2)?)?;
            file.set_len(length)?;
        }
        "extend" => {
            let mut file = File::options().append(true).open(target)?;
            file.write_all(&words::bytes(words.word(2)?)?)?;
        }
        "remove" if target.is_dir() => fs::remove_dir_all(target)?,
        "remove" => fs::remove_file(target)?,
        "copy" => copy(&target, &path(2)?)?,
        "rename" => fs::rename(target, path(2)?)?,
        "mkdir" => fs::create_dir(target)?,
        _ => fs::write(target, words::bytes(words.word(2)?)?)?,
    }
    Ok(vec![])
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// The names in a directory, sorted, without those of interrupted writes.
pub(crate) fn list(directory: &Path) -> Result<Vec<String>, Failure> {
    let names = fs::read_dir(directory)?.map(|entry| entry.map(|e| e.file_name()));
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    names.sort();
    let shown = names.iter().map(|name| name.to_string_lossy());
    Ok(shown
        .filter(|n| !n.ends_with(".tmp"))
        .map(|n| format!("file {}", words::escape(&n)))
        .collect())
}
