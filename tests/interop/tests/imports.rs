//! Importing from the crates' stores: again, after the source has grown, after a kill, in parts,
//! and what nobody vouches for.

use batpak_core::{
    ErrorKind, Event, ImportOptions, ImportReport, NewEvent, OpenMode, OpenOptions, Query, Region,
    Store,
};
use batpak_interop::cases;
use batpak_interop::directory;
use batpak_interop::handmade;
use batpak_interop::plan::Granularity;
use batpak_interop::version::Version;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_batpak-interop");

struct Stores {
    _root: tempfile::TempDir,
    source: PathBuf,
    own: PathBuf,
}

impl Stores {
    fn new() -> Self {
        let root = directory::scratch();
        let (source, own) = (root.path().join("source"), root.path().join("own"));
        Self { _root: root, source, own }
    }

    /// A source that this version wrote.
    fn written(case: &str, version: Version) -> Self {
        let stores = Self::new();
        cases::named(case).write(Path::new(EXECUTABLE), version, &stores.source);
        stores
    }

    fn open(&self) -> Store {
        Store::open(&self.own, &OpenOptions::default()).unwrap()
    }

    fn import(&self, store: &Store) -> ImportReport {
        store.import_from(&self.source, &Region::all(), &ImportOptions::default()).unwrap()
    }
}

fn events(store: &Store) -> Vec<Event> {
    store.read(Query::new(Region::all())).unwrap().collect::<Result<_, _>>().unwrap()
}

fn value<'a>(event: &'a Event, key: &str) -> Option<&'a [u8]> {
    event.extensions().find(|(found, _)| *found == key).map(|(_, value)| value)
}

#[test]
fn twice_is_once() {
    let _alone = cases::alone();
    for version in Version::ALL {
        let stores = Stores::written("segments", version);
        let store = stores.open();
        let first = stores.import(&store);
        let before = events(&store);
        assert_eq!(first.imported, before.len() as u64);
        assert!(first.sequences_kept);
        let second = stores.import(&store);
        assert_eq!((second.imported, second.already_there), (0, first.imported));
        assert!(second.sequences_kept);
        assert_eq!(events(&store).len(), before.len());
        assert!(store.verify().unwrap().is_intact());
    }
}

#[test]
fn a_source_that_has_grown_brings_what_is_new() {
    let _alone = cases::alone();
    for version in Version::ALL {
        let stores = Stores::new();
        let case = cases::named("reopened");
        let store = stores.open();
        let mut there = 0;
        for session in 0..case.sessions.len() {
            case.write_session(Path::new(EXECUTABLE), version, &stores.source, session);
            let report = stores.import(&store);
            assert_eq!(report.already_there, there);
            there += report.imported;
            assert_eq!(there, events(&store).len() as u64);
            assert!(report.sequences_kept);
        }
        assert_eq!(there as usize, case.expected().len() + case.expected_system(version));
        assert!(store.verify().unwrap().is_intact());
    }
}

#[test]
fn parts_add_up() {
    let _alone = cases::alone();
    let stores = Stores::written("segments", Version::V0_10);
    let store = stores.open();
    let part = Region::entity("order:1");
    let report = store.import_from(&stores.source, &part, &ImportOptions::default()).unwrap();
    assert_eq!((report.imported, report.outside, report.sequences_kept), (7, 15, false));
    assert!(events(&store).iter().all(|event| event.entity() == "order:1"));
    let report = stores.import(&store);
    assert_eq!((report.imported, report.already_there), (15, 7));
    assert!(!report.sequences_kept);
    assert_eq!(events(&store).len(), 22);
}

#[test]
fn a_store_with_events_of_its_own_takes_others() {
    let _alone = cases::alone();
    let stores = Stores::written("plain", Version::V0_10);
    let store = stores.open();
    let own = NewEvent::new("order:1", "shop", batpak_core::EventKind::DATA, b"own");
    store.append(&own, None).unwrap();
    let report = stores.import(&store);
    assert_eq!((report.imported, report.sequences_kept), (14, false));
    let all = events(&store);
    assert_eq!(all.len(), 15);
    // Clocks are those of this store; the old ones are in the extension.
    let first =
        all.iter().find(|event| event.entity() == "order:1" && event.sequence() > 0).unwrap();
    assert_eq!(first.clock(), 1);
    let origin = value(first, "batpak.import").unwrap();
    assert_eq!(origin.len(), 30);
    assert_eq!(origin[..2], [1, 0]);
    assert_eq!(origin[2..18], report.source.0);
    assert_eq!(origin[18..26], 2u64.to_le_bytes(), "OPEN and one other stand before it");
    assert_eq!(origin[26..], 0u32.to_le_bytes());
}

#[test]
fn two_sources_keep_apart() {
    let _alone = cases::alone();
    let (one, other) =
        (Stores::written("plain", Version::V0_10), Stores::written("plain", Version::V0_7));
    let store = one.open();
    let first = one.import(&store);
    let second = other.import(&store);
    assert_eq!((first.imported, second.imported), (14, 14));
    assert_ne!(first.source, second.source);
    assert!(first.sequences_kept && !second.sequences_kept);
}

#[test]
fn a_killed_import_goes_on() {
    let _alone = cases::alone();
    let stores = Stores::written("segments", Version::V0_10);
    // Enough for several groups.
    let many: Vec<_> = (0u32..20_000).map(|number| numbered(number, 200)).collect();
    fs::write(stores.source.join("000099.fbat"), handmade::segment(99, &many)).unwrap();
    let all = 22 + many.len() as u64;
    for bytes in [1, 1 << 20, 4 << 20] {
        fs::remove_dir_all(&stores.own).ok();
        let mut child = Command::new(EXECUTABLE)
            .args(["import".as_ref(), stores.source.as_os_str(), stores.own.as_os_str()])
            .spawn()
            .unwrap();
        while size(&stores.own) < bytes && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = stores.open();
        let there = events(&store).len() as u64;
        let report = stores.import(&store);
        assert_eq!((report.already_there, report.imported), (there, all - there));
        assert!(report.sequences_kept);
        assert!(store.verify().unwrap().is_intact());
    }
}

/// An event whose id is its number, with so many bytes of payload.
fn numbered(number: u32, bytes: usize) -> handmade::Frame {
    let mut frame = handmade::event(1);
    let mut id = [7; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    frame.event.header.event_id = handmade::Bytes(id);
    frame.event.header.correlation_id = handmade::Bytes(id);
    frame.entity = format!("many:{number}");
    frame.with_payload(vec![number as u8; bytes])
}

fn size(dir: &Path) -> u64 {
    let length = |path: PathBuf| fs::metadata(path).map_or(0, |found| found.len());
    directory::files(dir).into_iter().map(length).sum()
}

#[test]
fn what_nobody_vouches_for_comes_only_on_request_and_marked() {
    let _alone = cases::alone();
    let stores = Stores::new();
    fs::create_dir(&stores.source).unwrap();
    let mut changed = handmade::event(2);
    changed.event.payload = vec![99];
    let mut unlinked = handmade::event(3);
    unlinked.event.hash_chain.as_mut().unwrap().prev_hash = [9; 32];
    let frames = [handmade::event(1), changed, unlinked];
    fs::write(stores.source.join("000001.fbat"), handmade::segment(1, &frames)).unwrap();

    let store = stores.open();
    let report = stores.import(&store);
    assert_eq!((report.imported, report.dropped), (1, 2), "{report:?}");
    assert_eq!(report.drops.len(), 2);
    assert_eq!(report.drops[0].sequence, Some(1));
    assert!(report.drops.iter().all(|dropped| dropped.segment == 1 && !dropped.reason.is_empty()));

    let options = ImportOptions { unvouched: true, ..ImportOptions::default() };
    let report = store.import_from(&stores.source, &Region::all(), &options).unwrap();
    assert_eq!((report.imported, report.already_there, report.dropped), (2, 1, 0), "{report:?}");
    let doubts: Vec<_> =
        events(&store).iter().map(|event| value(event, "batpak.import").unwrap()[1]).collect();
    assert_eq!(doubts, [0, 1, 2]);
}

#[test]
fn damage_is_gone_past_only_on_request() {
    let _alone = cases::alone();
    let stores = Stores::written("segments", Version::V0_10);
    let first = &directory::segments(&stores.source)[0];
    let mut bytes = fs::read(first).unwrap();
    let frame = directory::frames(&bytes)[1].clone();
    bytes[frame.end - 1] ^= 1;
    fs::write(first, bytes).unwrap();
    let store = stores.open();
    let refused = store.import_from(&stores.source, &Region::all(), &ImportOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(events(&store).len(), 0);
    let options = ImportOptions { salvage: true, unvouched: true, ..ImportOptions::default() };
    let report = store.import_from(&stores.source, &Region::all(), &options).unwrap();
    assert_eq!((report.imported, report.dropped), (21, 1), "{report:?}");
    assert!(!report.sequences_kept);
    let place = (report.drops[0].segment, report.drops[0].offset);
    assert_eq!(place, (1, frame.start as u64));
    assert!(store.verify().unwrap().is_intact());
}

#[test]
fn keys_go_on_protecting() {
    let _alone = cases::alone();
    let stores = Stores::written("keys", Version::V0_10);
    let store = stores.open();
    stores.import(&store);
    let all = events(&store);
    let keyed = all.iter().find(|event| event.entity() == "order:1").unwrap();
    let again = NewEvent {
        id: Some(keyed.id()),
        ..NewEvent::new(keyed.entity(), keyed.scope(), keyed.kind(), keyed.payload())
    };
    let receipt = store.append(&again, None);
    let other = NewEvent { payload: b"other", ..again };
    assert_eq!(store.append(&other, None).unwrap_err().kind(), ErrorKind::IdempotencyConflict);
    assert_eq!(receipt.unwrap().sequence, keyed.sequence());

    let stores = Stores::written("keys-evicted", Version::V0_10);
    let report = stores.import(&stores.open());
    assert_eq!(report.keys_without_events, 1);
}

#[test]
fn encrypted_payloads_stay_so_unless_asked_for() {
    let _alone = cases::alone();
    for version in [Version::V0_9, Version::V0_10] {
        let stores = Stores::written("encrypted-by-entity", version);
        let case = cases::named("encrypted-by-entity");
        assert_eq!(case.settings.encryption, Some(Granularity::Entity));
        let theirs = version.read(&stores.source, &case.settings).unwrap();

        let store = stores.open();
        stores.import(&store);
        let mut compared = 0;
        for (ours, theirs) in events(&store).iter().zip(&theirs.events) {
            assert_eq!(ours.payload(), theirs.payload);
            let encryption = value(ours, "batpak.encryption");
            assert_eq!(encryption.is_some(), theirs.encryption.is_some());
            if let Some(known) = &theirs.encryption {
                assert_eq!(encryption.unwrap()[24..], known.keyscope);
                compared += 1;
            }
        }
        assert_eq!(compared, 8);

        let decrypted = Store::open(stores.own.with_extension("plain"), &OpenOptions::default());
        let decrypted = decrypted.unwrap();
        let options = ImportOptions { decrypt: true, ..ImportOptions::default() };
        decrypted.import_from(&stores.source, &Region::all(), &options).unwrap();
        for (ours, theirs) in events(&decrypted).iter().zip(&theirs.events) {
            let plain = theirs.encryption.as_ref().and_then(|known| known.plain.as_ref());
            assert_eq!(ours.payload(), plain.unwrap_or(&theirs.payload));
            assert_eq!(value(ours, "batpak.encryption"), None);
        }
    }
}

#[test]
fn a_source_is_only_read() {
    let _alone = cases::alone();
    let stores = Stores::written("plain", Version::V0_10);
    for mode in [OpenMode::Create, OpenMode::Existing, OpenMode::CreateNew] {
        let refused = Store::open(&stores.source, &OpenOptions::mode(mode)).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{mode:?}: {refused}");
    }
    let read = Store::open(&stores.source, &OpenOptions::mode(OpenMode::ReadOnly)).unwrap();
    let refused = read.import_from(&stores.source, &Region::all(), &ImportOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ReadOnly);
}
