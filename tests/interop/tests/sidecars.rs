//! Every length and every byte of the files beside the segments, damaged in turn. Those that only
//! speed the crate up are not asked; of the others, damage is refused, and salvage goes past it.

use batpak_core::{ErrorKind, OpenMode};
use batpak_interop::cases::{self, Case};
use batpak_interop::directory;
use batpak_interop::ours::{self, Ours, Sequences};
use batpak_interop::version::Version;
use std::fs;
use std::path::Path;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_batpak-interop");

/// What is known of an event without its payload.
fn places(ours: &Ours) -> Vec<(u64, batpak_core::Id)> {
    ours.events.iter().map(|event| (event.sequence(), event.id())).collect()
}

/// Calls `check` for every damage of this file of the store, with what the whole store gives.
fn sweep(case: &Case, version: Version, name: &str, check: fn(&Path, &Case, Version, &Ours)) {
    let root = directory::scratch();
    let dir = root.path();
    case.write(Path::new(EXECUTABLE), version, dir);
    let whole = ours::read(dir, OpenMode::ReadOnly).unwrap();
    let path = dir.join(name);
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        check(dir, case, version, &whole);
    }
    let mut damaged = bytes.clone();
    for at in 0..bytes.len() {
        for bits in [1 << (at % 8), 0xFF] {
            damaged[at] ^= bits;
            fs::write(&path, &damaged).unwrap();
            check(dir, case, version, &whole);
            damaged[at] = bytes[at];
        }
    }
}

#[test]
fn cancelled_ranges() {
    let _alone = cases::alone();
    let case = cases::named("fence-cancelled");
    for version in Version::ALL.into_iter().filter(|version| case.fits(*version)) {
        sweep(&case, version, "visibility_ranges.fbv", |dir, case, version, whole| {
            let refused = ours::read(dir, OpenMode::ReadOnly).err().unwrap();
            assert!(matches!(refused.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported));
            assert!(version.read(dir, &case.settings).is_err());
            if refused.kind() == ErrorKind::Corrupt {
                let salvaged = ours::read(dir, OpenMode::Salvage).unwrap();
                // Nobody knows what was hidden; all else is there.
                let all = places(&salvaged);
                assert!(places(whole).iter().all(|place| all.contains(place)));
                assert_eq!(all.len(), whole.events.len() + 2);
            }
        });
    }
}

#[test]
fn keysets() {
    let _alone = cases::alone();
    let case = cases::named("encrypted-by-entity");
    for version in Version::ALL.into_iter().filter(|version| case.fits(*version)) {
        sweep(&case, version, "keyset.fbatk", |dir, case, version, whole| {
            let refused = ours::read(dir, OpenMode::ReadOnly).err().unwrap();
            assert!(matches!(refused.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported));
            assert!(version.read(dir, &case.settings).is_err());
            if refused.kind() == ErrorKind::Corrupt {
                let salvaged = ours::read(dir, OpenMode::Salvage).unwrap();
                assert_eq!(places(&salvaged), places(whole));
                for event in salvaged.user_events() {
                    assert!(event.extensions().any(|(key, _)| key == ours::SHREDDED));
                    assert_eq!(event.payload(), b"");
                }
            }
        });
    }
}

/// What a crate rebuilds is not read.
#[test]
fn accelerators() {
    let _alone = cases::alone();
    let ignored = |dir: &Path, _: &Case, _: Version, whole: &Ours| {
        let damaged = ours::read(dir, OpenMode::ReadOnly).unwrap();
        assert_eq!(places(&damaged), places(whole));
    };
    for version in &Version::ALL[1..] {
        sweep(&cases::named("empty"), *version, "index.fbati", ignored);
        sweep(&cases::named("checkpoint"), *version, "index.ckpt", ignored);
        if *version >= Version::V0_9 {
            sweep(&cases::named("empty"), *version, "index.idemp", ignored);
        }
    }
}

/// The marker of a compaction that has not begun to change anything.
#[test]
fn compaction_markers() {
    let _alone = cases::alone();
    let root = directory::scratch();
    let dir = root.path();
    let case = cases::named("segments-killed");
    let version = Version::V0_10;
    case.write(Path::new(EXECUTABLE), version, dir);
    let whole = ours::read(dir, OpenMode::ReadOnly).unwrap();
    let path = dir.join("compaction.pending.json");
    let bytes = b"{\"merged_id\":1,\"source_segment_ids\":[1,2,3,4]}";
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        assert_eq!(ours::read(dir, OpenMode::ReadOnly).err().unwrap().kind(), ErrorKind::Corrupt);
        assert_eq!(places(&ours::read(dir, OpenMode::Salvage).unwrap()), places(&whole));
    }
    let mut damaged = bytes.to_vec();
    for at in 0..bytes.len() {
        for bits in [1, 2, 8, 0x80, 0xFF] {
            damaged[at] ^= bits;
            fs::write(&path, &damaged).unwrap();
            // Some digits are now others: a compaction of other segments, or one whose sources
            // are gone. What the crate reads, we read as well.
            let read = ours::read(dir, OpenMode::ReadOnly);
            let read = read.or_else(|_| ours::read(dir, OpenMode::Salvage)).unwrap();
            if let Ok(theirs) = version.read(dir, &case.settings) {
                let differences = read.differences(&theirs.events, Sequences::Unrelated);
                assert_eq!(differences, [""; 0], "{}", String::from_utf8_lossy(&damaged));
            }
            damaged[at] = bytes[at];
        }
    }
}
