//! Damage of any kind, several at once, drawn by a generator that always draws the same: whatever
//! batpak gives, the crate has written; what the crate still reads, batpak gives as well.

use batpak_core::{ErrorKind, Event, Id, OpenMode};
use batpak_interop::cases;
use batpak_interop::directory;
use batpak_interop::ours::{self, Sequences};
use batpak_interop::version::Version;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_batpak-interop");
const ROUNDS: u64 = 400;

/// xorshift64*, from a seed other than 0.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        let longest = if self.below(4) == 0 { length } else { 64 };
        start..(start + 1 + self.below(longest)).min(length)
    }
}

type Essence = (Vec<u8>, Vec<u8>, u16, u32, Vec<u8>, batpak_core::Hash);

fn essence(event: &Event) -> Essence {
    (
        event.entity_bytes().to_vec(),
        event.scope_bytes().to_vec(),
        event.kind().0,
        event.clock(),
        event.payload().to_vec(),
        event.hash(),
    )
}

#[test]
fn wild_damage() {
    let _alone = cases::alone();
    let root = directory::scratch();
    let mut failures = Vec::new();
    for case in ["segments", "batches-segments-killed", "reopened", "merge", "extensions-killed"] {
        let case = cases::named(case);
        for version in Version::ALL.into_iter().filter(|version| case.fits(*version)) {
            let whole = root.path().join(case.name).join(version.name());
            case.write(Path::new(EXECUTABLE), version, &whole);
            let events = ours::read(&whole, OpenMode::ReadOnly).unwrap().events;
            let events: HashMap<Id, Essence> =
                events.iter().map(|event| (event.id(), essence(event))).collect();
            for seed in 1..=ROUNDS {
                let dir = root.path().join("damaged");
                directory::copy(&whole, &dir);
                let done = damage(&dir, &mut Draw(seed));
                let name = format!("{} by {}, seed {seed}: {done:?}", case.name, version.name());
                let theirs = version.read(&dir, &case.settings);
                let read = ours::read(&dir, OpenMode::ReadOnly)
                    .or_else(|_| ours::read(&dir, OpenMode::Salvage));
                match read {
                    Ok(read) => {
                        for event in &read.events {
                            if events.get(&event.id()) != Some(&essence(event)) {
                                failures.push(format!("{name}: an event that never was"));
                            }
                        }
                        let theirs = theirs.map(|theirs| theirs.events).unwrap_or_default();
                        let mut differences = read.differences(&theirs, Sequences::Unrelated);
                        differences.retain(|what| !what.ends_with("differs in its extensions"));
                        // A footer without a checksum is no witness any more once it is damaged,
                        // too; the crate takes it for one.
                        let is_witness = version >= Version::V0_9 || done.len() == 1;
                        if let (true, Some(first)) = (is_witness, differences.first()) {
                            failures.push(format!("{name}: {first}"));
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::Unsupported => {}
                    Err(error) => failures.push(format!("{name}: {error}")),
                }
                fs::remove_dir_all(&dir).unwrap();
            }
        }
    }
    for failure in &failures {
        println!("{failure}");
    }
    assert_eq!(failures.len(), 0);
}

/// One to three changes of the segments.
fn damage(dir: &Path, draw: &mut Draw) -> Vec<String> {
    let segments = directory::segments(dir);
    (0..1 + draw.below(3)).map(|_| change(&segments, draw)).collect()
}

fn change(segments: &[PathBuf], draw: &mut Draw) -> String {
    let path = &segments[draw.below(segments.len())];
    let Ok(mut bytes) = fs::read(path) else { return "nothing".to_owned() };
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    let place = draw.range(bytes.len());
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let what = match draw.below(8) {
        0 => {
            bytes[place.clone()].fill(0);
            "zeros"
        }
        1 => {
            bytes[place.clone()].fill_with(|| draw.next() as u8);
            "garbage"
        }
        2 => {
            bytes.drain(place.clone());
            "gone"
        }
        3 => {
            let again = bytes[place.clone()].to_vec();
            bytes.splice(place.start..place.start, again);
            "twice"
        }
        4 => {
            bytes.truncate(place.start);
            "cut"
        }
        5 => {
            bytes.truncate(place.start);
            bytes.resize(place.start + 4096, 0);
            "cut and zeros"
        }
        6 => {
            let other = fs::read(&segments[draw.below(segments.len())]).unwrap_or_default();
            let end = place.end.min(other.len());
            let start = place.start.min(end);
            bytes.extend_from_slice(&other[start..end]);
            "a part of another behind it"
        }
        _ => {
            bytes[place.start] ^= 1 << draw.below(8);
            "a bit"
        }
    };
    fs::write(path, bytes).unwrap();
    format!("{name} {place:?} {what}")
}
