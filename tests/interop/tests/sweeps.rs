//! Every length and every byte of a small store of each version is damaged, in turn. batpak gives
//! back at least what the crate can still read, never anything else, and never panics.

use batpak_core::{ErrorKind, Event, Hash, Id, OpenMode};
use batpak_interop::cases::{self, Case};
use batpak_interop::directory;
use batpak_interop::ours::{self, Ours, Sequences};
use batpak_interop::plan::End;
use batpak_interop::version::Version;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_batpak-interop");

// One test for each version, so that they run beside each other.

#[test]
fn version_0_1() {
    sweep(Version::V0_1);
}

#[test]
fn version_0_7() {
    sweep(Version::V0_7);
}

#[test]
fn version_0_8() {
    sweep(Version::V0_8);
}

#[test]
fn version_0_9() {
    sweep(Version::V0_9);
}

#[test]
fn version_0_10() {
    sweep(Version::V0_10);
}

fn sweep(version: Version) {
    let root = directory::scratch();
    let mut failures = BTreeMap::new();
    for store in stores().iter().filter(|store| store.version == version) {
        let dir = root.path().join(store.case.name);
        fs::create_dir(&dir).unwrap();
        for (name, content) in &store.files {
            fs::write(dir.join(name), content).unwrap();
        }
        let cold = dir.with_extension("cold");
        directory::copy(&dir, &cold);
        directory::remove_caches(&cold);
        if directory::files(&cold).len() < directory::files(&dir).len() {
            failures.extend(Job::new(&store.case, version, dir, true).run());
        }
        failures.extend(Job::new(&store.case, version, cold, false).run());
    }
    for (what, (count, first)) in &failures {
        println!("{what}: {count} times, first {first}");
    }
    assert!(failures.is_empty(), "{} kinds of failures", failures.len());
}

/// A store that a crate wrote.
struct Written {
    case: Case,
    version: Version,
    files: Vec<(OsString, Vec<u8>)>,
}

/// All stores, written before any test reads one: see [`cases::alone`].
fn stores() -> &'static [Written] {
    static STORES: OnceLock<Vec<Written>> = OnceLock::new();
    STORES.get_or_init(|| {
        let root = directory::scratch();
        let mut stores = Vec::new();
        for case in ["small-singles", "small", "small-killed"].map(cases::named) {
            for version in Version::ALL.into_iter().filter(|version| case.fits(*version)) {
                let dir = root.path().join(version.name()).join(case.name);
                case.write(Path::new(EXECUTABLE), version, &dir);
                let file =
                    |path: PathBuf| (path.file_name().unwrap().into(), fs::read(path).unwrap());
                let files = directory::files(&dir).into_iter().map(file).collect();
                stores.push(Written { case: case.clone(), version, files });
            }
        }
        stores
    })
}

/// One store to damage.
struct Job {
    name: String,
    case: Case,
    version: Version,
    dir: PathBuf,
    caches: bool,
    /// Of the segment that is being damaged.
    length: usize,
    /// Where its header and its frames end.
    ends: Vec<usize>,
    whole: HashMap<Id, (u64, Facts)>,
    failures: BTreeMap<String, (usize, String)>,
}

/// All that an event says but its sequence.
type Facts = (Id, Id, Option<Id>, [i64; 2], [u32; 3], [u16; 3], [Vec<u8>; 4], Hash, Hash);

fn facts(event: &Event) -> Facts {
    (
        event.id(),
        event.correlation(),
        event.causation(),
        [event.timestamp_us(), event.wall_us()],
        [event.clock(), event.lane(), event.depth()],
        [event.kind().0, event.payload_version(), event.flags().into()],
        [event.entity_bytes(), event.scope_bytes(), event.payload(), event.extension_bytes()]
            .map(<[u8]>::to_vec),
        event.hash(),
        event.prev_hash(),
    )
}

/// What was done to a file.
#[derive(Clone, Copy)]
enum Change {
    /// It was cut to this length.
    Cut(usize),
    /// These bits of this byte were turned over.
    Flip(usize, u8),
}

impl Job {
    fn new(case: &Case, version: Version, dir: PathBuf, caches: bool) -> Self {
        let ours = ours::read(&dir, OpenMode::ReadOnly).unwrap();
        assert_eq!(ours.events.len(), case.expected().len() + case.expected_system(version));
        let one = |event: &Event| (event.id(), (event.sequence(), facts(event)));
        Self {
            name: format!("{} by {}, caches: {caches}", case.name, version.name()),
            case: case.clone(),
            version,
            whole: ours.events.iter().map(one).collect(),
            dir,
            caches,
            length: 0,
            ends: Vec::new(),
            failures: BTreeMap::new(),
        }
    }

    fn run(mut self) -> BTreeMap<String, (usize, String)> {
        let segments = directory::segments(&self.dir);
        for (index, path) in segments.iter().enumerate() {
            let newest = index + 1 == segments.len();
            let bytes = fs::read(path).unwrap();
            self.length = bytes.len();
            let frames = directory::frames(&bytes);
            self.ends = frames.iter().flat_map(|frame| [frame.start, frame.end]).collect();
            for length in 0..bytes.len() {
                fs::write(path, &bytes[..length]).unwrap();
                self.check(index, newest, Change::Cut(length));
            }
            let mut damaged = bytes.clone();
            for at in 0..bytes.len() {
                for bits in [1 << (at % 8), 0xFF] {
                    damaged[at] ^= bits;
                    fs::write(path, &damaged).unwrap();
                    self.check(index, newest, Change::Flip(at, bits));
                    damaged[at] = bytes[at];
                }
            }
            fs::write(path, &bytes).unwrap();
        }
        self.failures
    }

    fn fail(&mut self, segment: usize, change: Change, what: impl std::fmt::Display) {
        let (kind, place) = match change {
            Change::Cut(length) => ("cut", format!("to {length} bytes")),
            Change::Flip(at, bits) => ("flipped", format!("byte {at} by {bits:#x}")),
        };
        let place = format!("segment {} {place}", segment + 1);
        let entry = self.failures.entry(format!("{}, {kind}: {what}", self.name));
        entry.or_insert((0, place)).0 += 1;
    }

    fn check(&mut self, segment: usize, newest: bool, change: Change) {
        let theirs = self.version.read(&self.dir, &self.case.settings);
        let dir = self.dir.clone();
        let read = |mode| {
            catch_unwind(AssertUnwindSafe(|| ours::read(&dir, mode)))
                .map_err(|_| "batpak panicked".to_owned())
        };
        let opened = match read(OpenMode::ReadOnly) {
            Err(panic) => return self.fail(segment, change, panic),
            Ok(Ok(ours)) => {
                self.check_unrefused(segment, newest, change, &ours);
                ours
            }
            Ok(Err(error)) if error.kind() == ErrorKind::Unsupported => {
                // A version that nobody knows is refused, though a crate that reads the footers
                // alone does not see it.
                if !self.tells_version(change) {
                    self.fail(segment, change, "it is called unsupported");
                }
                return;
            }
            Ok(Err(error)) => {
                if error.kind() != ErrorKind::Corrupt {
                    self.fail(segment, change, format!("refused with {:?}", error.kind()));
                }
                match read(OpenMode::Salvage) {
                    Err(panic) => return self.fail(segment, change, panic),
                    Ok(Ok(ours)) => ours,
                    Ok(Err(error)) => {
                        return self.fail(
                            segment,
                            change,
                            format!("no salvage: {:?}", error.kind()),
                        );
                    }
                }
            }
        };
        for event in &opened.events {
            match self.whole.get(&event.id()) {
                None => self.fail(segment, change, "an event that never was"),
                Some((_, whole)) if *whole != facts(event) => {
                    self.fail(segment, change, "an event that was another");
                }
                Some(_) => {}
            }
        }
        if let Ok(theirs) = theirs {
            let mut differences = opened.differences(&theirs.events, Sequences::Unrelated);
            if let (true, Change::Cut(_)) = (self.caches, change) {
                // The crate's cache names the events of a batch whose end is gone.
                differences.retain(|what| !what.ends_with("is missing"));
            }
            if let Some(first) = differences.first() {
                let what = first.split_once(" of ").map_or(first.as_str(), |(_, rest)| rest);
                self.fail(segment, change, format!("the crate has more: {what}"));
            }
        }
    }

    /// Whether this byte is the version in a segment's header, or the last of a footer's magic.
    fn tells_version(&self, change: Change) -> bool {
        matches!(change, Change::Flip(at, _) if at == 17 || at + 1 == self.length)
    }

    /// What is opened without salvage has lost nothing but an end that no one can know of.
    fn check_unrefused(&mut self, segment: usize, newest: bool, change: Change, ours: &Ours) {
        let whole = |event: &Event| self.whole.get(&event.id()).map(|(sequence, _)| *sequence);
        let moved = ours.events.iter().any(|event| whole(event) != Some(event.sequence()));
        let lost = self.whole.len() - ours.events.len();
        let killed = self.case.sessions.iter().any(|session| session.end == End::Kill);
        let is_end = match change {
            // Without footers and opening events, a bad end may be one that a crash tore, before
            // the crate went on in the next segment.
            _ if self.version == Version::V0_1 => true,
            // The end of a log that was never closed may be one that was never synced.
            _ if newest => killed || matches!(change, Change::Cut(_)),
            // A segment that ends with a frame and has no footer is what a compaction writes.
            Change::Cut(length) => self.ends.contains(&length),
            Change::Flip(..) => false,
        };
        if !is_end && moved {
            self.fail(segment, change, "opened with other sequences");
        }
        if !is_end && lost > 0 {
            self.fail(segment, change, format!("opened with {lost} events lost"));
        }
        if newest && moved {
            self.fail(segment, change, "opened with other sequences before the end");
        }
    }
}
