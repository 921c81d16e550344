//! batpak reads every store that a version of the crate wrote, and shows what the crate shows; where
//! the crate shows less than the store holds, it shows that too.

use batpak_core::{ErrorKind, OpenMode, OpenOptions, Store};
use batpak_interop::cases::{self, Case};
use batpak_interop::defects::{self, Effect};
use batpak_interop::directory;
use batpak_interop::ours::{self, Ours, Sequences};
use batpak_interop::version::Version;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_batpak-interop");

#[test]
fn every_store_is_read_as_the_crate_reads_it() {
    let _alone = cases::alone();
    let root = directory::scratch();
    let mut failed = 0;
    for case in &cases::all() {
        for version in Version::ALL.into_iter().filter(|version| case.fits(*version)) {
            let dir = root.path().join(version.name()).join(case.name);
            // All failures of one run are worth seeing.
            failed += usize::from(catch_unwind(|| check(case, version, &dir)).is_err());
        }
    }
    assert_eq!(failed, 0);
}

#[test]
fn closing_lets_the_crate_in() {
    let _alone = cases::alone();
    let root = directory::scratch();
    let (case, version) = (cases::named("plain"), Version::V0_10);
    case.write(Path::new(EXECUTABLE), version, root.path());
    let store = Store::open(root.path(), &OpenOptions::mode(OpenMode::ReadOnly)).unwrap();
    store.close().unwrap();
    version.read(root.path(), &case.settings).unwrap();
    drop(store);
}

fn check(case: &Case, version: Version, dir: &Path) {
    let name = format!("{} by {}", case.name, version.name());
    case.write(Path::new(EXECUTABLE), version, dir);

    let before = state(dir);
    let warm = read(case, dir, &name);
    let store = Store::open(dir, &OpenOptions::mode(warm.mode)).unwrap();
    let findings = store.verify().unwrap().findings;
    drop(store);
    assert_eq!(state(dir), before, "{name}: reading changed the directory");
    if warm.mode == OpenMode::ReadOnly {
        assert_eq!(findings, [], "{name}");
    }
    compare(case, version, dir, true, &warm.ours, &name);

    directory::remove_caches(dir);
    let cold = read(case, dir, &name);
    let place = |ours: &Ours| -> Vec<_> {
        ours.events.iter().map(|event| (event.sequence(), event.id())).collect()
    };
    assert_eq!(place(&warm.ours), place(&cold.ours), "{name}: caches make a difference");
    compare(case, version, dir, false, &cold.ours, &name);
}

struct Read {
    ours: Ours,
    mode: OpenMode,
}

fn read(case: &Case, dir: &Path, name: &str) -> Read {
    let refused = defects::REFUSED_HERE.contains(&case.name);
    match ours::read(dir, OpenMode::ReadOnly) {
        Ok(ours) => {
            assert!(!refused, "{name}");
            Read { ours, mode: OpenMode::ReadOnly }
        }
        Err(error) => {
            assert!(refused, "{name}: {error}");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
            let ours = ours::read(dir, OpenMode::Salvage).unwrap();
            assert!(!ours.report.damage.is_empty(), "{name}");
            Read { ours, mode: OpenMode::Salvage }
        }
    }
}

fn compare(case: &Case, version: Version, dir: &Path, caches: bool, ours: &Ours, name: &str) {
    let name = format!("{name}, caches: {caches}");
    assert_eq!(ours.report.format, 1, "{name}");
    assert!(ours.events.is_sorted_by(|a, b| a.sequence() < b.sequence()), "{name}");
    if defects::REFUSED_HERE.contains(&case.name) {
        let theirs = version.read(dir, &case.settings).unwrap().events;
        let differences = ours.differences(&theirs, Sequences::Unrelated);
        assert_eq!(differences, Vec::<String>::new(), "{name}");
        return;
    }
    let expected = case.expected();
    let user: Vec<_> = ours.user_events().collect();
    assert_eq!(user.len(), expected.len(), "{name}: {:?}", ours.report);
    let system = ours.events.len() - user.len();
    assert_eq!(system, case.expected_system(version), "{name}: {:?}", ours.report);
    for (event, draft) in user.iter().zip(&expected) {
        assert_eq!((event.entity(), event.scope()), (&*draft.entity, &*draft.scope), "{name}");
        assert_eq!(event.kind().0, draft.kind, "{name}");
        let shredded = event.extensions().any(|(key, _)| key == ours::SHREDDED);
        let payload = if shredded { Vec::new() } else { draft.payload.encoded() };
        assert_eq!(event.payload(), payload, "{name}, event {}", event.sequence());
    }

    let effect = defects::known(case.name, version, caches).map(|defect| defect.effect);
    let theirs = match (version.read(dir, &case.settings), effect) {
        (Err(_), Some(Effect::Refuses)) => return,
        (theirs, _) => theirs.unwrap(),
    };
    // Where the crate leaves out events or numbers them anew, its sequences are not the log's.
    let sequences = match effect {
        _ if case.evicts() && !caches => Sequences::Unrelated,
        _ if case.evicts() => Sequences::SameOrder,
        Some(Effect::Hides { .. }) => Sequences::SameOrder,
        _ => Sequences::Same,
    };
    let mut theirs = theirs.events;
    if effect == Some(Effect::LosesExtensions) {
        for event in &mut theirs {
            let ours = ours.events.iter().find(|ours| ours::id(ours) == event.id).unwrap();
            let own = |(key, value): (&str, &[u8])| (key.to_owned(), value.to_owned());
            event.extensions = Some(ours.extensions().map(own).collect());
        }
    }
    assert_eq!(ours.differences(&theirs, sequences), Vec::<String>::new(), "{name}");
}

/// Everything about the files that reading could change.
fn state(dir: &Path) -> Vec<(PathBuf, Vec<u8>, SystemTime)> {
    let one = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        (path, bytes, changed)
    };
    let mut all: Vec<_> = directory::files(dir).into_iter().map(one).collect();
    all.push((dir.to_owned(), Vec::new(), fs::metadata(dir).unwrap().modified().unwrap()));
    all
}
