//! Exports in the crate's hands: of events that no crate wrote, of parts, and stores that go back
//! and forth.

use batpak_core::{
    Causation, ErrorKind, Event, EventKind, ExportOptions, Id, ImportOptions, NewEvent, OpenMode,
    OpenOptions, Region, Store,
};
use batpak_interop::cases;
use batpak_interop::directory;
use batpak_interop::event::OldEvent;
use batpak_interop::ours;
use batpak_interop::plan::{End, Settings, Step, draft};
use batpak_interop::version::Version;
use std::fs;
use std::path::Path;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_batpak-interop");

fn portable() -> ExportOptions {
    ExportOptions::default()
}

fn plain() -> ExportOptions {
    ExportOptions { plain: true, ..portable() }
}

fn new_store(dir: &Path) -> Store {
    Store::open(dir, &OpenOptions::mode(OpenMode::CreateNew)).unwrap()
}

/// Events of our own, with every field set, over lanes and in batches.
fn own_events(store: &Store) {
    let kind = EventKind::new(3, 9).unwrap();
    let all: Vec<u8> = (0..=255).collect();
    for number in 0..40u32 {
        let payload = &all[..number as usize * 6];
        let cause = if number % 5 == 0 { Causation::None } else { Causation::Event(Id([5; 16])) };
        let event = NewEvent {
            lane: number % 3,
            depth: number % 3,
            flags: number as u8,
            payload_version: number as u16,
            timestamp_us: Some(1_600_000_000_000_000 - i64::from(number)),
            correlation: (number % 2 == 0).then_some(Id([9; 16])),
            causation: cause,
            id: (number % 4 == 0).then(|| Id([number as u8 + 1; 16])),
            extensions: &[("app.trace", b"\x00\xFF"), ("zz.empty", b"")],
            ..NewEvent::new("käufer:1", "größe 店", kind, payload)
        };
        store.append(&event, None).unwrap();
    }
    let batch: Vec<_> = (0..5).map(|_| NewEvent::new("order:2", "shop", kind, b"x")).collect();
    store.append_batch(&batch, None).unwrap();
}

#[test]
fn events_of_our_own_reach_every_version() {
    let _alone = cases::alone();
    let root = directory::scratch();
    let store = new_store(&root.path().join("own"));
    own_events(&store);
    let settings = Settings::default();
    for (name, options, readers) in [
        ("portable", portable(), &Version::ALL[1..]),
        ("plain", plain(), &Version::ALL[..]),
        ("segments", ExportOptions { segment_bytes: 4096, ..portable() }, &Version::ALL[1..]),
    ] {
        let dir = root.path().join(name);
        let report = store.export_to(&dir, &Region::all(), &options).unwrap();
        assert_eq!((report.exported, report.dropped, report.hidden), (45, 0, 0), "{name}");
        assert_eq!(report.segments, directory::segments(&dir).len() as u64, "{name}");
        assert_eq!(report.segments > 1, name == "segments", "{name}");
        let bytes: u64 =
            directory::segments(&dir).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert_eq!(report.bytes, bytes, "{name}");
        let back = ours::read(&dir, OpenMode::ReadOnly).unwrap();
        assert!(back.report.damage.is_empty(), "{name}: {:?}", back.report);
        for reader in readers {
            let name = format!("{name} to {}", reader.name());
            let theirs = reader.read(&dir, &settings).unwrap();
            assert_eq!((theirs.events.len(), theirs.unreadable.len()), (45, 0), "{name}");
            for (event, theirs) in back.events.iter().zip(&theirs.events) {
                assert_eq!(differing(event, theirs), [""; 0], "{name}, event {}", theirs.sequence);
            }
            check_against_store(&store, &theirs.events, options.plain, &name);
            if *reader >= Version::V0_9 {
                let chain = reader.verify_chain(&dir, &settings).unwrap();
                assert_eq!((chain.checked, chain.mismatches, chain.dangling), (45, 0, 0), "{name}");
            }
        }
    }
}

/// The fields that the version knows, and shows otherwise.
fn differing(ours: &Event, theirs: &OldEvent) -> Vec<&'static str> {
    let mut differing = ours::differing(ours, theirs, true);
    differing.retain(|field| match *field {
        "extensions" => theirs.extensions.is_some(),
        "payload version" => theirs.payload_version.is_some(),
        _ => true,
    });
    differing
}

/// Everything but links and hashes is as it was appended; and clocks, which 0.1 counts by entity,
/// not by lane.
fn check_against_store(store: &Store, theirs: &[OldEvent], plain: bool, name: &str) {
    for theirs in theirs {
        let ours = store.at(theirs.sequence).unwrap().unwrap();
        let mut differing = ours::differing(&ours, theirs, true);
        differing.retain(|field| match *field {
            "hash" | "previous hash" => false,
            "clock" => !plain,
            "extensions" => theirs.extensions.as_ref().is_some_and(|known| !known.is_empty()),
            "payload version" => theirs.payload_version.is_some_and(|version| version != 0),
            _ => true,
        });
        assert_eq!(differing, Vec::<&str>::new(), "{name}, event {}", theirs.sequence);
    }
}

#[test]
fn a_part_is_a_store() {
    let _alone = cases::alone();
    let root = directory::scratch();
    let store = new_store(&root.path().join("own"));
    own_events(&store);
    let dir = root.path().join("part");
    let report = store.export_to(&dir, &Region::all().with_lane(1), &portable()).unwrap();
    assert_eq!(report.exported, 13);
    for reader in &Version::ALL[1..] {
        let theirs = reader.read(&dir, &Settings::default()).unwrap();
        assert_eq!(theirs.events.len(), 13);
        assert!(theirs.events.iter().all(|event| event.lane == 1));
        if *reader >= Version::V0_9 {
            let chain = reader.verify_chain(&dir, &Settings::default()).unwrap();
            assert_eq!((chain.checked, chain.mismatches, chain.dangling), (13, 0, 0));
        }
    }
}

#[test]
fn the_crate_goes_on_and_so_do_we() {
    let _alone = cases::alone();
    for version in &Version::ALL[1..] {
        let root = directory::scratch();
        let store = new_store(&root.path().join("own"));
        own_events(&store);
        let dir = root.path().join("theirs");
        store.export_to(&dir, &Region::all(), &portable()).unwrap();
        let settings = Settings::default();
        let mut more = draft("order:2", 1);
        more.key = Some(u128::from_be_bytes([1; 16]));
        let steps = [
            Step::Append(draft("order:2", 0)),
            // The key is the id of an event that we wrote: the crate appends nothing.
            Step::Append(more),
            Step::Batch(vec![draft("order:2", 2), draft("order:3", 3)]),
        ];
        let mut receipts = Vec::new();
        version
            .session(&dir, &settings, &steps, End::Close, &mut |receipt| receipts.push(receipt))
            .unwrap();
        // OPEN stands between ours and theirs.
        let sequences: Vec<u64> = receipts.iter().map(|receipt| receipt.sequence).collect();
        assert_eq!(sequences, [46, 0, 47, 48], "{}", version.name());

        let theirs = version.read(&dir, &settings).unwrap();
        let ours = ours::read(&dir, OpenMode::ReadOnly).unwrap();
        assert_eq!((theirs.events.len(), ours.events.len()), (50, 50));
        for (ours, theirs) in ours.events.iter().zip(&theirs.events) {
            assert_eq!(differing(ours, theirs), [""; 0], "{}", version.name());
        }
        let clock = theirs.events.iter().find(|event| event.sequence == 46).unwrap().clock;
        assert_eq!(clock, 5, "the crate goes on in our stream");
        if *version >= Version::V0_9 {
            let chain = version.verify_chain(&dir, &settings).unwrap();
            assert_eq!((chain.mismatches, chain.dangling), (0, 0));
        }

        // Ours come back as what they are, and only what the crate has added is new.
        let report = store.import_from(&dir, &Region::all(), &ImportOptions::default()).unwrap();
        assert_eq!((report.already_there, report.imported, report.dropped), (45, 5, 0));
        assert!(report.sequences_kept);
        assert!(store.verify().unwrap().is_intact());
    }
}

#[test]
fn a_store_of_the_crate_is_exported_as_it_is() {
    let _alone = cases::alone();
    let root = directory::scratch();
    for version in Version::ALL {
        let case = cases::named("segments");
        let dir = root.path().join(version.name());
        case.write(Path::new(EXECUTABLE), version, &dir);
        let store = Store::open(&dir, &OpenOptions::mode(OpenMode::ReadOnly)).unwrap();
        let back = dir.with_extension("back");
        let report = store.export_to(&back, &Region::all(), &plain()).unwrap();
        drop(store);
        let before = version.read(&dir, &case.settings).unwrap();
        assert_eq!(report.exported, before.events.len() as u64);
        assert_eq!(version.read(&back, &case.settings).unwrap(), before);
    }
}

#[test]
fn what_is_in_the_way_stays() {
    let _alone = cases::alone();
    let root = directory::scratch();
    let store = new_store(&root.path().join("own"));
    own_events(&store);
    let full = root.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("mine"), b"mine").unwrap();
    for destination in [full.clone(), full.join("mine"), root.path().join("own")] {
        let refused = store.export_to(&destination, &Region::all(), &portable()).unwrap_err();
        assert!(
            matches!(refused.kind(), ErrorKind::InvalidArgument | ErrorKind::Io),
            "{destination:?}: {refused}"
        );
    }
    assert_eq!(fs::read(full.join("mine")).unwrap(), b"mine");
    assert_eq!(directory::files(root.path()), Vec::<std::path::PathBuf>::new());
    assert!(store.verify().unwrap().is_intact());
    let empty = root.path().join("empty");
    fs::create_dir(&empty).unwrap();
    store.export_to(&empty, &Region::all(), &portable()).unwrap();
    assert_eq!(ours::read(&empty, OpenMode::ReadOnly).unwrap().events.len(), 45);
}
