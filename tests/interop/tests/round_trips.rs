//! From the crate into batpak and back: the same events, by the crate's own reading, and a chain
//! that its own verification finds intact.

use batpak_core::{Event, ExportOptions, ImportOptions, OpenMode, OpenOptions, Region, Store};
use batpak_interop::cases::{self, Case};
use batpak_interop::defects;
use batpak_interop::directory;
use batpak_interop::event::Chain;
use batpak_interop::ours::{self, Ours, Sequences};
use batpak_interop::version::Version;
use std::collections::HashMap;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_batpak-interop");

#[test]
fn what_the_crate_wrote_comes_back_to_it() {
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

fn check(case: &Case, version: Version, dir: &Path) {
    let name = format!("{} by {}", case.name, version.name());
    case.write(Path::new(EXECUTABLE), version, dir);
    let salvage = defects::REFUSED_HERE.contains(&case.name);
    let mode = if salvage { OpenMode::Salvage } else { OpenMode::ReadOnly };
    let original = ours::read(dir, mode).unwrap();

    let (own, back) = (dir.with_extension("own"), dir.with_extension("back"));
    let store = Store::open(&own, &OpenOptions::mode(OpenMode::CreateNew)).unwrap();
    let options = ImportOptions { salvage, ..ImportOptions::default() };
    let report = store.import_from(dir, &Region::all(), &options).unwrap();
    assert_eq!(report.format, 1, "{name}");
    let not_taken = not_taken(case);
    let expected = original.events.len() as u64 - not_taken;
    let dropped = not_taken + never_committed(case);
    assert_eq!((report.imported, report.dropped), (expected, dropped), "{name}: {report:?}");
    let imported = ours::read(&own, OpenMode::ReadOnly).unwrap();
    let places: HashMap<_, _> =
        imported.events.iter().map(|event| (event.id(), event.sequence())).collect();
    let kept = |event: &Event| places.get(&event.id()) == Some(&event.sequence());
    let kept = expected > 0 && original.events.iter().all(kept);
    assert_eq!(report.sequences_kept, kept, "{name}: {report:?}");
    assert!(kept || expected == 0 || not_taken > 0 || case.evicts(), "{name}: {report:?}");
    assert!(store.verify().unwrap().is_intact(), "{name}");

    let options = ExportOptions { plain: version == Version::V0_1, ..ExportOptions::default() };
    let report = store.export_to(&back, &Region::all(), &options).unwrap();
    assert_eq!((report.exported, report.dropped), (expected, 0), "{name}: {report:?}");
    let keyset = dir.join("keyset.fbatk");
    if keyset.exists() {
        fs::copy(keyset, back.join("keyset.fbatk")).unwrap();
    }
    for reader in Version::ALL {
        compare(case, version, reader, &original, &back, &name);
    }
}

fn compare(
    case: &Case,
    version: Version,
    reader: Version,
    original: &Ours,
    back: &Path,
    name: &str,
) {
    let name = format!("{name}, back to {}", reader.name());
    // The fields that an event of this version can have, its reader knows.
    let knows = reader >= version.min(Version::V0_9);
    let takes_names = not_taken(case) == 0 || reader == Version::V0_1;
    if !knows || !takes_names {
        return;
    }
    let theirs = reader.read(back, &case.settings).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(theirs.unreadable, [], "{name}");
    let expected = original.events.len() - not_taken(case) as usize;
    assert_eq!(theirs.events.len(), expected, "{name}");
    // The places of dropped events are not kept.
    let sequences = if case.evicts() || expected < original.events.len() {
        Sequences::SameOrder
    } else {
        Sequences::Same
    };
    let mut differences = original.differences(&theirs.events, sequences);
    differences.retain(|difference| !is_remade(case, version, difference));
    assert_eq!(differences, Vec::<String>::new(), "{name}");
    if reader >= Version::V0_9 {
        let chain = reader.verify_chain(back, &case.settings).unwrap();
        let intact = Chain { checked: expected, mismatches: 0, dangling: 0 };
        assert_eq!(chain, intact, "{name}");
    }
}

/// Events that batpak and the later crates do not take: one has a name of 5,000 bytes.
fn not_taken(case: &Case) -> u64 {
    u64::from(case.name == "names-forbidden-later")
}

/// Events that are there, but in a batch that has no end.
fn never_committed(case: &Case) -> u64 {
    match case.name {
        name if name.starts_with("batch-without-commit") => 3,
        name if name.starts_with("batch-torn") => 2,
        _ => 0,
    }
}

/// Whether the export makes anew what differs, because in the original it leads nowhere.
fn is_remade(case: &Case, version: Version, difference: &str) -> bool {
    let until_0_8 = version <= Version::V0_8;
    let link = difference.ends_with("previous hash");
    let clock = difference.ends_with("clock");
    let fence = case.name.starts_with("fence-cancelled");
    // Until 0.8 a link names the event before it on any lane.
    (until_0_8 && link && case.name.starts_with("lanes"))
        // A link to a hidden or dropped event becomes one to the event before that. Until 0.8, a
        // stream whose newest event was hidden begins anew.
        || (link && (case.evicts() || fence))
        || (until_0_8 && clock && fence)
}
