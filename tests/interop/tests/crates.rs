//! Every version of the crate writes every case that it can, and reads it back as expected. What
//! does not hold here would make every comparison with batpak worthless.

use batpak_interop::cases::{self, Case};
use batpak_interop::defects::{self, Effect};
use batpak_interop::directory;
use batpak_interop::event::{OldEvent, Reading};
use batpak_interop::plan::Draft;
use batpak_interop::version::Version;
use std::collections::HashSet;
use std::panic::catch_unwind;
use std::path::Path;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_batpak-interop");

#[test]
fn every_version_reads_what_it_wrote() {
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
    for receipt in case.write(Path::new(EXECUTABLE), version, dir) {
        assert_eq!(receipt.signature.is_some(), case.settings.signing, "{}", case.name);
    }
    check_reading(case, version, dir, true);
    directory::remove_caches(dir);
    check_reading(case, version, dir, false);
}

fn check_reading(case: &Case, version: Version, dir: &Path, caches: bool) {
    let name = format!("{} by {}, caches: {caches}", case.name, version.name());
    let effect = defects::known(case.name, version, caches).map(|defect| defect.effect);
    let reading = match (version.read(dir, &case.settings), effect) {
        (Err(_), Some(Effect::Refuses)) => return,
        (reading, _) => reading.unwrap_or_else(|error| panic!("{name}: {error}")),
    };
    assert_ne!(effect, Some(Effect::Refuses), "{name}");

    let (user, system) = match effect {
        Some(Effect::Hides { user, system }) => (user, system),
        Some(Effect::LosesPayloadsAndOne) => (1, 0),
        _ => (0, 0),
    };
    let expected = case.expected();
    let all = expected.len() + case.expected_system(version);
    let listed = reading.events.len() + reading.unreadable.len();
    assert_eq!(listed, all - user - system, "{name}");
    if matches!(effect, Some(Effect::LosesPayloads | Effect::LosesPayloadsAndOne)) {
        assert!(!reading.unreadable.is_empty(), "{name}");
    } else {
        assert_eq!(reading.unreadable, [], "{name}");
        let events: Vec<_> = reading.user_events().collect();
        assert_eq!(events.len(), expected.len() - user, "{name}");
        for (event, draft) in events.iter().zip(&expected).filter(|_| user == 0) {
            let extensions = effect != Some(Effect::LosesExtensions);
            check_event(event, draft, version, extensions, &name);
        }
    }
    if version >= Version::V0_9 {
        let chain = version.verify_chain(dir, &case.settings).unwrap();
        assert_eq!(chain.checked, reading.events.len(), "{name}");
        assert_eq!(chain.mismatches, 0, "{name}");
        assert_eq!(chain.dangling, dangling(&reading), "{name}");
    }
}

fn check_event(event: &OldEvent, draft: &Draft, version: Version, extensions: bool, name: &str) {
    let name = format!("{name}, event {}", event.sequence);
    assert_eq!(event.entity, draft.entity, "{name}");
    assert_eq!(event.scope, draft.scope, "{name}");
    assert_eq!(event.kind, draft.kind, "{name}");
    assert_eq!((event.lane, event.depth), (draft.lane, draft.depth), "{name}");
    assert_eq!(event.flags, draft.flags, "{name}");
    assert_eq!(event.causation, draft.causation, "{name}");
    assert_eq!(event.correlation, draft.correlation.unwrap_or(event.id), "{name}");
    if let Some(key) = draft.key {
        assert_eq!(event.id, key, "{name}");
    }
    if version >= Version::V0_8 && extensions {
        let extensions =
            draft.extensions.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        assert_eq!(event.extensions, Some(extensions.collect()), "{name}");
    }
    if version >= Version::V0_9 {
        assert_eq!(event.payload_version, Some(draft.payload_version), "{name}");
    }
    if event.encryption.is_none() {
        assert_eq!(event.payload, draft.payload.encoded(), "{name}");
    }
}

/// How many links lead to no visible event: to a dropped one, or to one of a cancelled fence.
fn dangling(reading: &Reading) -> usize {
    let hashes: HashSet<_> = reading.events.iter().map(|event| event.hash).collect();
    let leads_nowhere =
        |event: &&OldEvent| event.prev_hash != [0; 32] && !hashes.contains(&event.prev_hash);
    reading.events.iter().filter(leads_nowhere).count()
}
