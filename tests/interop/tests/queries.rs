//! What can be asked of a store of the crate, once it is open: everything that can be asked of one
//! of our own.

use batpak_core::{
    ErrorKind, Event, EventKind, NewEvent, OpenMode, OpenOptions, Query, Region, Store,
};
use batpak_interop::cases::{self, Case};
use batpak_interop::directory;
use batpak_interop::ours;
use batpak_interop::version::Version;
use std::path::Path;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_batpak-interop");

fn open(case: &Case, version: Version, dir: &Path) -> Store {
    case.write(Path::new(EXECUTABLE), version, dir);
    Store::open(dir, &OpenOptions::mode(OpenMode::ReadOnly)).unwrap()
}

fn read(store: &Store, query: Query) -> Vec<u64> {
    store.read(query).unwrap().map(|event| event.unwrap().sequence()).collect()
}

/// Every region gives what a filter over all events gives, forwards, backwards and in part.
#[test]
fn regions() {
    let _alone = cases::alone();
    let root = directory::scratch();
    for name in ["segments", "lanes", "fence-cancelled-segments", "retention", "batches-segments"] {
        let case = cases::named(name);
        for version in Version::ALL.into_iter().filter(|version| case.fits(*version)) {
            let store = open(&case, version, &root.path().join(name).join(version.name()));
            let all: Vec<Event> =
                store.read(Query::default()).unwrap().collect::<Result<_, _>>().unwrap();
            for region in [
                Region::all(),
                Region::entity("order:1"),
                Region::entity("order:none"),
                Region::prefix("order"),
                Region::prefix("batpak"),
                Region::all().with_scope("shop"),
                Region::all().with_kind(EventKind(0x1002)),
                Region::all().with_category(0),
                Region::all().with_lane(1),
                Region::entity("order:1").with_lane(0),
                Region::entity("order:1").with_clocks(1, 2),
            ] {
                let name = format!("{name} by {}, {region:?}", version.name());
                let inside = all.iter().filter(|event| region.matches(event));
                let expected: Vec<u64> = inside.map(Event::sequence).collect();
                assert_eq!(read(&store, Query::new(region.clone())), expected, "{name}");
                let backward: Vec<u64> = expected.iter().rev().copied().collect();
                let query = Query::new(region.clone()).backward();
                assert_eq!(read(&store, query), backward, "{name}");
                for from in 0..all.last().unwrap().sequence() + 2 {
                    let query = Query::new(region.clone()).from(from).limit(2);
                    let behind = expected.iter().filter(|sequence| **sequence >= from);
                    let behind: Vec<u64> = behind.take(2).copied().collect();
                    assert_eq!(read(&store, query), behind, "{name} from {from}");
                }
            }
            for event in &all {
                let found = store.get(event.id()).unwrap().unwrap();
                assert_eq!(found.sequence(), event.sequence());
                let found = store.at(event.sequence()).unwrap().unwrap();
                assert_eq!((found.id(), found.payload()), (event.id(), event.payload()));
            }
        }
    }
}

#[test]
fn nothing_is_appended() {
    let _alone = cases::alone();
    let root = directory::scratch();
    let store = open(&cases::named("plain"), Version::V0_10, root.path());
    let event = NewEvent::new("order:1", "shop", EventKind::DATA, b"");
    assert_eq!(store.append(&event, None).unwrap_err().kind(), ErrorKind::ReadOnly);
}

/// Two readers share the store; the crate finds it locked, and does not compact it under them.
#[test]
fn readers_share_and_keep_the_crate_out() {
    let _alone = cases::alone();
    let root = directory::scratch();
    let case = cases::named("plain");
    let one = open(&case, Version::V0_10, root.path());
    let other = Store::open(root.path(), &OpenOptions::mode(OpenMode::ReadOnly)).unwrap();
    assert_eq!(read(&one, Query::default()), read(&other, Query::default()));
    assert!(Version::V0_10.read(root.path(), &case.settings).unwrap_err().contains("locked"));
    drop((one, other));
    Version::V0_10.read(root.path(), &case.settings).unwrap();
}

/// A store that the crate has open is locked to us, and nothing waits for it.
#[test]
fn the_crate_keeps_readers_out() {
    let _alone = cases::alone();
    let root = directory::scratch();
    let config = batpak_0_10::store::StoreConfig::new(root.path());
    let theirs = batpak_0_10::store::Store::open(config).unwrap();
    for mode in [OpenMode::ReadOnly, OpenMode::Salvage] {
        assert_eq!(ours::read(root.path(), mode).err().unwrap().kind(), ErrorKind::Locked);
    }
    theirs.close().unwrap();
    assert_eq!(ours::read(root.path(), OpenMode::ReadOnly).unwrap().events.len(), 2);
}
