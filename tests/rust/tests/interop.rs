//! Exporting to, reading and importing stores of the batpak crate 0.x, without the crate. What the
//! published crates write and read is in `tests/interop`.

use batpak_core::{
    Causation, ErrorKind, Event, EventKind, ExportOptions, Id, ImportOptions, NewEvent, OpenMode,
    OpenOptions, Query, Region, Store,
};
use batpak_tests::scratch::Scratch;
use std::collections::BTreeMap;
use std::path::Path;

fn open(path: &Path) -> Store {
    Store::open(path, &OpenOptions::default()).unwrap()
}

fn read_only(path: &Path) -> Store {
    Store::open(path, &OpenOptions::mode(OpenMode::ReadOnly)).unwrap()
}

fn all(store: &Store) -> Vec<Event> {
    store.read(Query::default()).unwrap().map(Result::unwrap).collect()
}

/// Everything of an event but its hashes and where it is.
fn facts(event: &Event) -> String {
    let extensions: BTreeMap<&str, &[u8]> =
        event.extensions().filter(|(key, _)| *key != "batpak.import").collect();
    format!(
        "{} {} {} {:?} {} {} {} {} {} {} {} {} {} {} {:?} {extensions:?}",
        event.sequence(),
        event.id(),
        event.correlation(),
        event.causation(),
        event.timestamp_us(),
        event.wall_us() / 1000,
        event.clock(),
        event.lane(),
        event.depth(),
        event.kind(),
        event.payload_version(),
        event.flags(),
        event.entity(),
        event.scope(),
        event.payload(),
    )
}

fn all_but_sequence(event: &Event) -> String {
    facts(event).split_once(' ').unwrap().1.to_owned()
}

fn all_facts(store: &Store) -> Vec<String> {
    all(store).iter().map(facts).collect()
}

/// A store with an event of every shape.
fn fill(path: &Path) -> Store {
    let store = open(path);
    let kind = EventKind::new(1, 7).unwrap();
    let plain = NewEvent::new("order:1", "shop", kind, b"first");
    let first = store.append(&plain, None).unwrap();
    let every_byte: Vec<u8> = (0..=255).collect();
    let full = NewEvent {
        id: Some(Id([9; 16])),
        correlation: Some(Id([8; 16])),
        causation: Causation::Event(first.id),
        lane: 3,
        depth: 2,
        flags: 0x81,
        payload_version: 5,
        timestamp_us: Some(-5_000_001),
        extensions: &[("app.trace", b"\x00\xff"), ("zz.empty", b"")],
        ..NewEvent::new("Zoë Müller", "日本", kind, &every_byte)
    };
    store.append(&full, None).unwrap();
    let batch: Vec<_> = (0..20).map(|_| NewEvent::new("order:1", "shop", kind, b"")).collect();
    store.append_batch(&batch, None).unwrap();
    let large = vec![0xa5; 300_000];
    store.append(&NewEvent::new("order:2", "shop", EventKind::DATA, &large), None).unwrap();
    store
}

#[test]
fn a_store_goes_out_and_comes_back() {
    let scratch = Scratch::new().unwrap();
    let store = fill(&scratch.join("store"));
    let options = [
        ExportOptions::default(),
        ExportOptions { segment_bytes: 1000, ..ExportOptions::default() },
        ExportOptions { plain: true, ..ExportOptions::default() },
    ];
    for (number, options) in options.iter().enumerate() {
        let old = scratch.join(&format!("old-{number}"));
        let report = store.export_to(&old, &Region::all(), options).unwrap();
        assert_eq!((report.exported, report.hidden, report.dropped), (23, 0, 0));
        assert_eq!(report.segments, if options.segment_bytes == 1000 { 8 } else { 1 });
        let mut names: Vec<_> =
            std::fs::read_dir(&old).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names.len() as u64, report.segments);
        assert_eq!(names[0], "000001.fbat");

        let reader = read_only(&old);
        let opened = reader.open_report();
        assert_eq!((opened.format, opened.events, opened.clean), (1, 23, true));
        assert_eq!(opened.damage, [""; 0]);
        assert!(reader.verify().unwrap().is_intact());
        if !options.plain {
            assert_eq!(all_facts(&reader), all_facts(&store));
        }
        let event = reader.get(Id([9; 16])).unwrap().unwrap();
        assert_eq!((event.entity(), event.sequence(), event.lane()), ("Zoë Müller", 1, 3));
        let stream = Query::new(Region::entity("order:1")).backward().limit(3);
        let clocks: Vec<_> = reader.read(stream).unwrap().map(|e| e.unwrap().clock()).collect();
        assert_eq!(clocks, [20, 19, 18]);
        let one = Query::new(Region::entity("order:1").with_clocks(7, 7));
        assert_eq!(reader.read(one).unwrap().count(), 1);
        assert_eq!(reader.stream_head("order:1", 0).unwrap().unwrap().clock, 20);
        let stats = reader.stats().unwrap();
        assert_eq!((stats.events, stats.entities, stats.segments), (23, 3, report.segments));
        assert_eq!(stats.bytes, report.bytes);

        let again = open(&scratch.join(&format!("again-{number}")));
        let report = again.import_from(&old, &Region::all(), &ImportOptions::default()).unwrap();
        assert_eq!((report.format, report.imported, report.dropped), (1, 23, 0));
        assert!(report.sequences_kept);
        assert_eq!(all_facts(&again), all_facts(&reader));
        assert!(again.verify().unwrap().is_intact());
        let report = again.import_from(&old, &Region::all(), &ImportOptions::default()).unwrap();
        assert_eq!((report.imported, report.already_there), (0, 23));
        assert!(report.sequences_kept);
        again.close().unwrap();
    }
}

#[test]
fn a_store_of_this_format_is_imported_with_its_batches() {
    let scratch = Scratch::new().unwrap();
    let store = fill(&scratch.join("store"));
    let copy = open(&scratch.join("copy"));
    let report = copy.import_from(store.path(), &Region::all(), &ImportOptions::default()).unwrap();
    assert_eq!((report.format, report.imported, report.sequences_kept), (2, 23, true));
    assert_eq!(report.source, store.stats().unwrap().store_id);
    assert_eq!(all_facts(&copy), all_facts(&store));
    let batches =
        |store: &Store| -> Vec<bool> { all(store).iter().map(Event::batch_continues).collect() };
    assert_eq!(batches(&copy), batches(&store));
    assert!(copy.verify().unwrap().is_intact());

    // Another copy of the copy keeps where the events first came from.
    let third = open(&scratch.join("third"));
    third.import_from(copy.path(), &Region::all(), &ImportOptions::default()).unwrap();
    let origin = |event: &Event| event.extensions().map(|(_, value)| value.to_vec()).next();
    assert_eq!(origin(&all(&third)[0]), origin(&all(&copy)[0]));

    let part = open(&scratch.join("part"));
    let region = Region::entity("order:1");
    let report = part.import_from(store.path(), &region, &ImportOptions::default()).unwrap();
    assert_eq!((report.imported, report.outside, report.sequences_kept), (21, 2, false));
    let report = part.import_from(store.path(), &Region::all(), &ImportOptions::default()).unwrap();
    assert_eq!((report.imported, report.already_there, report.outside), (2, 21, 0));
    assert!(!report.sequences_kept);

    let own = part.import_from(part.path(), &Region::all(), &ImportOptions::default());
    assert_eq!(own.unwrap_err().kind(), ErrorKind::InvalidArgument);
    let none = part.import_from(scratch.join("none"), &Region::all(), &ImportOptions::default());
    assert_eq!(none.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_id_that_is_taken_is_told() {
    let scratch = Scratch::new().unwrap();
    let store = fill(&scratch.join("store"));
    let other = open(&scratch.join("other"));
    let taken = NewEvent { id: Some(Id([9; 16])), ..NewEvent::new("a", "s", EventKind::DATA, b"") };
    other.append(&taken, None).unwrap();
    let report =
        other.import_from(store.path(), &Region::all(), &ImportOptions::default()).unwrap();
    assert_eq!((report.imported, report.dropped, report.sequences_kept), (22, 1, false));
    assert_eq!(report.drops[0].sequence, Some(1));
    assert!(report.drops[0].reason.contains("is taken by event 0"), "{}", report.drops[0].reason);
}

#[test]
fn an_export_does_not_touch_what_is_there() {
    let scratch = Scratch::new().unwrap();
    let store = fill(&scratch.join("store"));
    let kind = |path: &Path| {
        let options = ExportOptions::default();
        store.export_to(path, &Region::all(), &options).unwrap_err().kind()
    };
    let taken = scratch.join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("mine"), b"x").unwrap();
    assert_eq!(kind(&taken), ErrorKind::InvalidArgument);
    assert_eq!(kind(store.path()), ErrorKind::InvalidArgument);
    assert_eq!(kind(Path::new("/")), ErrorKind::InvalidArgument);
    let strange = scratch.join("strange.unfinished");
    std::fs::create_dir(&strange).unwrap();
    std::fs::write(strange.join("mine"), b"x").unwrap();
    assert_eq!(kind(&scratch.join("strange")), ErrorKind::InvalidArgument);

    // What an interrupted export left gives way, and an empty directory, too.
    let empty = scratch.join("empty");
    std::fs::create_dir(&empty).unwrap();
    std::fs::create_dir(scratch.join("empty.unfinished")).unwrap();
    std::fs::write(scratch.join("empty.unfinished").join("000007.fbat"), b"half").unwrap();
    // Only what says so was left by one.
    assert_eq!(kind(&empty), ErrorKind::InvalidArgument);
    std::fs::write(scratch.join("empty.unfinished").join("unfinished.tmp"), b"").unwrap();
    store.export_to(&empty, &Region::all(), &ExportOptions::default()).unwrap();
    assert_eq!(read_only(&empty).open_report().events, 23);
    assert!(!scratch.join("empty.unfinished").exists());
}

#[test]
fn an_old_store_is_not_written() {
    let scratch = Scratch::new().unwrap();
    let store = fill(&scratch.join("store"));
    let old = scratch.join("old");
    store.export_to(&old, &Region::all(), &ExportOptions::default()).unwrap();
    for mode in [OpenMode::Create, OpenMode::Existing, OpenMode::CreateNew] {
        let error = Store::open(&old, &OpenOptions::mode(mode)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("import it into a new store"), "{error}");
    }
    let reader = read_only(&old);
    let event = NewEvent::new("a", "s", EventKind::DATA, b"");
    assert_eq!(reader.append(&event, None).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(reader.refresh().unwrap(), 23);
    assert_eq!(reader.wait(24, std::time::Duration::from_millis(1)).unwrap(), 23);
    let into = reader.import_from(store.path(), &Region::all(), &ImportOptions::default());
    assert_eq!(into.unwrap_err().kind(), ErrorKind::ReadOnly);
}

/// An exported store of two segments, the first of which is given.
fn exported(scratch: &Scratch, name: &str) -> std::path::PathBuf {
    let store = open(&scratch.join(&format!("{name}-store")));
    for number in 0..20u8 {
        let payload = [number; 100];
        store.append(&NewEvent::new("a", "s", EventKind::DATA, &payload), None).unwrap();
    }
    let path = scratch.join(name);
    let options = ExportOptions { segment_bytes: 5000, ..ExportOptions::default() };
    assert_eq!(store.export_to(&path, &Region::all(), &options).unwrap().segments, 2);
    path
}

fn open_as(path: &Path, mode: OpenMode) -> Result<u64, ErrorKind> {
    let opened = Store::open(path, &OpenOptions::mode(mode));
    opened.map(|store| store.open_report().events).map_err(|error| error.kind())
}

/// What a reader and a salvage make of a directory.
fn both(path: &Path) -> [Result<u64, ErrorKind>; 2] {
    [OpenMode::ReadOnly, OpenMode::Salvage].map(|mode| open_as(path, mode))
}

/// Recovery rows 30, 38, 108.
#[test]
fn directories_made_to_harm_end_in_an_error_and_soon() {
    use std::os::unix::fs::{FileExt, symlink};
    let scratch = Scratch::new().unwrap();
    let file = |path: &Path| std::fs::File::options().write(true).open(path).unwrap();
    let corrupt = Err(ErrorKind::Corrupt);

    let path = exported(&scratch, "sparse");
    file(&path.join("000002.fbat")).set_len(1 << 40).unwrap();
    assert_eq!(both(&path), [corrupt, Ok(20)]);

    // A length of four gigabytes, of a frame and of a header.
    let path = exported(&scratch, "length");
    file(&path.join("000001.fbat")).write_all_at(&[0xff; 4], 57).unwrap();
    assert_eq!(both(&path), [Ok(20), Ok(20)]);
    file(&path.join("000001.fbat")).write_all_at(&[0xff; 4], 4).unwrap();
    assert_eq!(both(&path), [corrupt, Ok(19)]);

    // What looks like a frame everywhere, and says that it reaches to the end.
    let path = exported(&scratch, "lookalikes");
    let one = b"\0\x80\0\0crc!\x84\xa5event\x83\xa6header";
    let segment = file(&path.join("000001.fbat"));
    let end = segment.metadata().unwrap().len();
    let many: Vec<u8> = one.iter().copied().cycle().take(24 << 20).collect();
    segment.write_all_at(&many, end).unwrap();
    assert_eq!(both(&path), [corrupt, Ok(20)]);

    // Links, pipes and directories in the place of a segment.
    let path = exported(&scratch, "link");
    std::fs::rename(path.join("000002.fbat"), scratch.join("elsewhere")).unwrap();
    symlink(scratch.join("elsewhere"), path.join("000002.fbat")).unwrap();
    let first = both(&path)[1];
    assert!(matches!(first, Ok(1..20)));
    assert_eq!(both(&path), [corrupt, first]);
    std::fs::remove_file(path.join("000002.fbat")).unwrap();
    std::fs::create_dir(path.join("000002.fbat")).unwrap();
    assert_eq!(both(&path), [corrupt, first]);
    std::fs::remove_dir(path.join("000002.fbat")).unwrap();
    let pipe =
        std::ffi::CString::new(path.join("000002.fbat").into_os_string().into_encoded_bytes());
    // SAFETY: the path ends with a zero byte.
    assert_eq!(unsafe { libc::mkfifo(pipe.unwrap().as_ptr(), 0o600) }, 0);
    assert_eq!(both(&path), [corrupt, first]);

    // Sidecars of any content.
    let path = exported(&scratch, "sidecars");
    for name in ["visibility_ranges.fbv", "keyset.fbatk", "compaction.pending.json"] {
        for content in [&b""[..], b"{", &[0xff; 1000], b"FBATVR\x01\0\0\0\0\0\xdf\xff\xff\xff\xff"]
        {
            std::fs::write(path.join(name), content).unwrap();
            assert_eq!(both(&path), [corrupt, Ok(20)], "{name}");
        }
        std::fs::remove_file(path.join(name)).unwrap();
    }
    for name in ["index.fbati", "index.ckpt", "index.idemp", "anything"] {
        std::fs::write(path.join(name), b"junk").unwrap();
    }
    assert_eq!(both(&path), [Ok(20), Ok(20)]);
    assert_eq!(read_only(&path).open_report().ignored, ["anything"]);

    // Later versions are not guessed at.
    let newer = exported(&scratch, "newer");
    file(&newer.join("000002.fbat")).write_all_at(&[2], 17).unwrap();
    assert_eq!(both(&newer), [Err(ErrorKind::Unsupported); 2]);
    std::fs::write(newer.join("compaction.pending"), b"").unwrap();
    assert_eq!(both(&newer), [Err(ErrorKind::Unsupported); 2]);
    let segment = file(&path.join("000002.fbat"));
    segment.write_all_at(b"SDX4", segment.metadata().unwrap().len()).unwrap();
    assert_eq!(both(&path), [Err(ErrorKind::Unsupported); 2]);
}

#[test]
fn any_change_of_any_byte_ends_well() {
    let scratch = Scratch::new().unwrap();
    let path = exported(&scratch, "store");
    let sound: BTreeMap<Id, String> =
        all(&read_only(&path)).iter().map(|event| (event.id(), all_but_sequence(event))).collect();
    let copy = scratch.join("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(path.join("000002.fbat"), copy.join("000002.fbat")).unwrap();
    let original = std::fs::read(path.join("000001.fbat")).unwrap();
    let check = |bytes: &[u8], what: &str| {
        std::fs::write(copy.join("000001.fbat"), bytes).unwrap();
        for mode in [OpenMode::ReadOnly, OpenMode::Salvage] {
            match Store::open(&copy, &OpenOptions::mode(mode)) {
                Err(error) => assert!(
                    error.kind() == ErrorKind::Corrupt && mode == OpenMode::ReadOnly
                        || error.kind() == ErrorKind::Unsupported,
                    "{what}: {error}"
                ),
                Ok(store) => {
                    let events = all(&store);
                    // One event at most is lost to one byte, and none is another one.
                    assert!(events.len() + 1 >= sound.len() || bytes.len() < original.len());
                    for event in &events {
                        assert_eq!(sound[&event.id()], all_but_sequence(event), "{what}");
                    }
                    let _ = store.verify().unwrap();
                }
            }
        }
    };
    for at in 0..original.len() {
        let mut bytes = original.clone();
        bytes[at] ^= 0x41;
        check(&bytes, &format!("byte {at}"));
    }
    for length in 0..original.len() {
        check(&original[..length], &format!("length {length}"));
    }
}

/// Hides the events of these sequences as a cancelled fence does.
fn hide(path: &Path, ranges: &[(u8, u8)]) {
    let mut body = vec![0x81, 0xa6];
    body.extend_from_slice(b"ranges");
    body.push(0x90 | ranges.len() as u8);
    for (start, end) in ranges {
        body.extend_from_slice(b"\x82\xa5start");
        body.push(*start);
        body.extend_from_slice(b"\xa3end");
        body.push(*end);
    }
    let mut bytes = b"FBATVR\x01\x00".to_vec();
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    std::fs::write(path.join("visibility_ranges.fbv"), bytes).unwrap();
}

/// Recovery row 65.
#[test]
fn what_a_fence_hides_stays_hidden_and_keeps_its_place() {
    let scratch = Scratch::new().unwrap();
    let store = fill(&scratch.join("store"));
    let old = scratch.join("old");
    store.export_to(&old, &Region::all(), &ExportOptions::default()).unwrap();
    hide(&old, &[(1, 2), (4, 7)]);
    let reader = read_only(&old);
    let report = reader.open_report();
    assert_eq!((report.events, report.hidden, report.clean), (19, 4, true));
    let sequences =
        |store: &Store| -> Vec<u64> { all(store).iter().map(Event::sequence).collect() };
    let visible: Vec<u64> = [0, 2, 3].into_iter().chain(7..23).collect();
    assert_eq!(sequences(&reader), visible);
    assert_eq!(reader.at(5).unwrap().map(|event| event.id()), None);
    assert_eq!(reader.get(Id([9; 16])).unwrap().map(|event| event.sequence()), None);
    assert_eq!(reader.stats().unwrap().events, 19);
    assert!(reader.verify().unwrap().is_intact());
    let head = reader.head().unwrap();
    assert_eq!((head.events, head.root), (23, reader.verify().unwrap().root));
    assert_eq!(reader.head_at(23).unwrap(), head);
    // Sequences that nobody sees change nothing.
    let (three, four, seven) = [4, 5, 7].map(|events| reader.head_at(events).unwrap().root).into();
    assert!(three == four && four == seven);
    assert_ne!(reader.head_at(8).unwrap().root, seven);
    drop(reader);

    let copy = open(&scratch.join("copy"));
    let report = copy.import_from(&old, &Region::all(), &ImportOptions::default()).unwrap();
    assert_eq!((report.imported, report.hidden, report.sequences_kept), (19, 4, true));
    let own: Vec<Event> = all(&copy);
    assert_eq!(own.len(), 23);
    for event in &own {
        let is_place = event.kind() == EventKind::TOMBSTONE;
        assert_eq!(is_place, !visible.contains(&event.sequence()));
        if is_place {
            assert_eq!((event.entity(), event.payload().len()), ("batpak:import", 0));
        }
    }
    let again = copy.import_from(&old, &Region::all(), &ImportOptions::default()).unwrap();
    assert_eq!((again.imported, again.already_there, again.sequences_kept), (0, 19, true));
    assert_eq!(copy.stats().unwrap().events, 23);

    let back = scratch.join("back");
    let report = copy.export_to(&back, &Region::all(), &ExportOptions::default()).unwrap();
    assert_eq!((report.exported, report.hidden), (19, 4));
    assert_eq!(all_facts(&read_only(&back)), all_facts(&read_only(&old)));
}

#[test]
fn an_event_is_known_again_whatever_way_it_comes() {
    let scratch = Scratch::new().unwrap();
    let store = fill(&scratch.join("store"));
    let old = scratch.join("old");
    store.export_to(&old, &Region::all(), &ExportOptions::default()).unwrap();
    let report = store.import_from(&old, &Region::all(), &ImportOptions::default()).unwrap();
    assert_eq!((report.imported, report.already_there, report.dropped), (0, 23, 0));

    // A damaged copy first, which counts other sequences, then the whole one.
    let damaged = scratch.join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    let mut bytes = std::fs::read(old.join("000001.fbat")).unwrap();
    bytes[200] ^= 1;
    std::fs::write(damaged.join("000001.fbat"), bytes).unwrap();
    let refused = Store::open(&damaged, &OpenOptions::mode(OpenMode::ReadOnly)).unwrap_err();
    assert_eq!((refused.kind(), refused.offset()), (ErrorKind::Corrupt, Some(57)));
    let copy = open(&scratch.join("copy"));
    let refused = copy.import_from(&damaged, &Region::all(), &ImportOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(all(&copy).len(), 0);
    let salvage = ImportOptions { salvage: true, ..ImportOptions::default() };
    let report = copy.import_from(&damaged, &Region::all(), &salvage).unwrap();
    assert_eq!((report.imported, report.drops.len()), (22, 1));
    let report = copy.import_from(&old, &Region::all(), &ImportOptions::default()).unwrap();
    assert_eq!((report.imported, report.already_there, report.dropped), (1, 22, 0));
    assert!(!report.sequences_kept);
}

#[test]
fn ancestors_of_an_old_store_go_through_all_lanes_that_it_linked() {
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch.join("store"));
    let kind = EventKind::DATA;
    for (payload, lane) in [(b"1", 0), (b"2", 7), (b"3", 0)] {
        store.append(&NewEvent { lane, ..NewEvent::new("a", "s", kind, payload) }, None).unwrap();
    }
    let ancestors = |plain: bool, name: &str, sequence: u64| -> (Vec<u64>, batpak_core::Boundary) {
        let path = scratch.join(name);
        let options = ExportOptions { plain, ..ExportOptions::default() };
        store.export_to(&path, &Region::all(), &options).unwrap();
        let old = read_only(&path);
        let id = old.at(sequence).unwrap().unwrap().id();
        let found = old.ancestors(id, batpak_core::Link::Stream, 10).unwrap();
        (found.events.iter().map(Event::sequence).collect(), found.boundary)
    };
    use batpak_core::Boundary::Genesis;
    assert_eq!(ancestors(true, "plain-2", 2), (vec![2, 1, 0], Genesis));
    assert_eq!(ancestors(true, "plain-1", 1), (vec![1, 0], Genesis));
    assert_eq!(ancestors(false, "lean-2", 2), (vec![2, 0], Genesis));
    assert_eq!(ancestors(false, "lean-1", 1), (vec![1], Genesis));
}

#[test]
fn a_caller_repeats_an_imported_append() {
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch.join("store"));
    let event = NewEvent {
        id: Some(Id([4; 16])),
        extensions: &[("app.x", b"1")],
        ..NewEvent::new("a", "s", EventKind::DATA, b"once")
    };
    store.append(&event, None).unwrap();
    let old = scratch.join("old");
    store.export_to(&old, &Region::all(), &ExportOptions::default()).unwrap();
    let copy = open(&scratch.join("copy"));
    copy.import_from(&old, &Region::all(), &ImportOptions::default()).unwrap();
    let receipt = copy.append(&event, None).unwrap();
    assert_eq!((receipt.sequence, receipt.duplicate), (0, true));
    let other = NewEvent { extensions: &[("app.x", b"2")], ..event };
    assert_eq!(copy.append(&other, None).unwrap_err().kind(), ErrorKind::IdempotencyConflict);
}

#[test]
fn imports_at_once_share_the_work() {
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch.join("store"));
    let batch: Vec<_> =
        (0..5000).map(|_| NewEvent::new("a", "s", EventKind::DATA, b"event")).collect();
    store.append_batch(&batch, None).unwrap();
    for number in 0..5000 {
        let entity = format!("b:{number}");
        let durability = Some(batpak_core::Durability::Buffered);
        store.append(&NewEvent::new(&entity, "s", EventKind::DATA, b"e"), durability).unwrap();
    }
    let old = scratch.join("old");
    store.export_to(&old, &Region::all(), &ExportOptions::default()).unwrap();
    let copy = open(&scratch.join("copy"));
    let reports: Vec<_> = std::thread::scope(|scope| {
        let regions = [Region::all(), Region::prefix("b"), Region::all()];
        let (copy, old) = (&copy, &old);
        let imports: Vec<_> = regions
            .into_iter()
            .map(|region| {
                scope.spawn(move || {
                    copy.import_from(old, &region, &ImportOptions::default()).unwrap()
                })
            })
            .collect();
        imports.into_iter().map(|import| import.join().unwrap()).collect()
    });
    assert_eq!(reports.iter().map(|report| report.imported).sum::<u64>(), 10_000);
    for report in &reports {
        assert_eq!(report.imported + report.already_there + report.outside, 10_000);
        assert_eq!(report.dropped, 0);
    }
    assert_eq!(copy.stats().unwrap().events, 10_000);
    assert!(copy.verify().unwrap().is_intact());
}

#[test]
fn the_last_event_of_an_older_segment_is_missed() {
    let scratch = Scratch::new().unwrap();
    let path = exported(&scratch, "store");
    let mut bytes = std::fs::read(path.join("000001.fbat")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path.join("000001.fbat"), &bytes).unwrap();
    assert_eq!(both(&path), [Err(ErrorKind::Corrupt), Ok(19)]);
    // At the end of the newest segment it is what a crash leaves.
    std::fs::remove_file(path.join("000002.fbat")).unwrap();
    let reader = read_only(&path);
    assert_eq!(reader.open_report().damage.len(), 1);
    assert!(reader.verify().unwrap().is_intact());
    // Where an event is, is where it is in the old file.
    let second = reader.at(1).unwrap().unwrap();
    assert_eq!(&bytes[second.offset() as usize + 9..][..6], b"\xa5event");
}

#[test]
fn a_store_without_events_goes_out_and_comes_back() {
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch.join("store"));
    let inside = store.export_to(store.path().join("x"), &Region::all(), &ExportOptions::default());
    assert_eq!(inside.unwrap_err().kind(), ErrorKind::InvalidArgument);
    let old = scratch.join("old");
    let inverted = Region::all().with_clocks(2, 1);
    let refused = store.export_to(&old, &inverted, &ExportOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(!scratch.join("old.unfinished").exists());
    let report = store.export_to(&old, &Region::all(), &ExportOptions::default()).unwrap();
    assert_eq!((report.exported, report.segments), (0, 1));
    assert_eq!(read_only(&old).head().unwrap().events, 0);
    let report = store.import_from(&old, &Region::all(), &ImportOptions::default()).unwrap();
    assert_eq!((report.imported, report.source), (0, Id::NONE));
}

#[test]
fn exports_to_one_place_do_not_mix() {
    let scratch = Scratch::new().unwrap();
    let stores: Vec<Store> = ["a", "b"]
        .map(|entity| {
            let store = open(&scratch.join(entity));
            let event = NewEvent::new(entity, "s", EventKind::DATA, b"event");
            store.append_batch(&[event; 10_000], None).unwrap();
            store
        })
        .into();
    let old = scratch.join("old");
    let options = ExportOptions { segment_bytes: 10_000, ..ExportOptions::default() };
    let results: Vec<_> = std::thread::scope(|scope| {
        let exports: Vec<_> = stores
            .iter()
            .map(|store| scope.spawn(|| store.export_to(&old, &Region::all(), &options)))
            .collect();
        exports.into_iter().map(|export| export.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    let entities: std::collections::BTreeSet<String> =
        all(&read_only(&old)).iter().map(|event| event.entity().to_owned()).collect();
    assert_eq!(entities.len(), 1);
    assert_eq!(read_only(&old).open_report().events, 10_000);
}

#[test]
fn a_copy_of_a_copy_needs_no_more_room() {
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch.join("store"));
    // As much as leaves room for where the event comes from, once.
    let value = vec![0; batpak_core::MAX_EXTENSION_BYTES - 54];
    let event = NewEvent {
        extensions: &[("a.b", &value)],
        ..NewEvent::new("a", "s", EventKind::DATA, b"")
    };
    store.append(&event, None).unwrap();
    let mut from = store.path().to_owned();
    for name in ["second", "third"] {
        let copy = open(&scratch.join(name));
        let report = copy.import_from(&from, &Region::all(), &ImportOptions::default()).unwrap();
        assert_eq!((report.imported, report.dropped), (1, 0), "{name}");
        from = copy.path().to_owned();
    }
    let larger = vec![0; value.len() + 1];
    let event = NewEvent { extensions: &[("a.b", &larger)], ..event };
    store.append(&event, None).unwrap();
    let copy = open(&scratch.join("fourth"));
    let report = copy.import_from(store.path(), &Region::all(), &ImportOptions::default()).unwrap();
    assert_eq!((report.imported, report.dropped), (1, 1));
}

#[test]
fn a_missing_segment_is_missed() {
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch.join("store"));
    for number in 0..40u8 {
        let payload = [number; 100];
        store.append(&NewEvent::new("a", "s", EventKind::DATA, &payload), None).unwrap();
    }
    let options = ExportOptions { segment_bytes: 5000, ..ExportOptions::default() };
    let path = scratch.join("old");
    assert_eq!(store.export_to(&path, &Region::all(), &options).unwrap().segments, 4);
    let all_of = |name: &str| {
        let copy = scratch.join(name);
        std::fs::create_dir(&copy).unwrap();
        for entry in std::fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        copy
    };
    let taken = |number: u64| {
        let copy = all_of(&format!("without-{number}"));
        std::fs::remove_file(copy.join(format!("{number:06}.fbat"))).unwrap();
        both(&copy)
    };
    let refused = Err(ErrorKind::Corrupt);
    assert!(matches!(taken(1), [r, Ok(20..40)] if r == refused));
    assert!(matches!(taken(3), [r, Ok(20..40)] if r == refused));
    // Behind the first there may have been a compaction; that nothing is behind the last, nobody
    // can tell.
    assert!(matches!(taken(2), [Ok(20..40), Ok(20..40)]));
    assert!(matches!(taken(4), [Ok(20..40), Ok(20..40)]));
    // One that held nothing, and was taken away.
    let renamed = all_of("renamed");
    std::fs::rename(renamed.join("000004.fbat"), renamed.join("000005.fbat")).unwrap();
    assert_eq!(both(&renamed), [Ok(40), Ok(40)]);
    assert_eq!(read_only(&renamed).open_report().damage.len(), 1);
}

/// An old frame whose payload is given as bytes.
fn old_frame(number: u8, clock: u32, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let text = |body: &mut Vec<u8>, text: &str| {
        body.push(0xa0 | text.len() as u8);
        body.extend_from_slice(text.as_bytes());
    };
    let binary = |body: &mut Vec<u8>, bytes: &[u8]| {
        body.push(0xc6);
        body.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        body.extend_from_slice(bytes);
    };
    let hash = *blake3::hash(payload).as_bytes();
    body.push(0x83);
    text(&mut body, "event");
    body.push(0x83);
    text(&mut body, "header");
    body.push(0x88);
    for name in ["event_id", "correlation_id"] {
        text(&mut body, name);
        binary(&mut body, &[number; 16]);
    }
    text(&mut body, "causation_id");
    body.push(0xc0);
    text(&mut body, "timestamp_us");
    body.push(1);
    text(&mut body, "position");
    body.push(0x84);
    for (name, value) in [("wall_ms", 0), ("depth", 0), ("lane", 0), ("sequence", clock)] {
        text(&mut body, name);
        body.push(value as u8);
    }
    for (name, value) in [("payload_size", 1), ("event_kind", 7), ("flags", 0)] {
        text(&mut body, name);
        body.push(value);
    }
    text(&mut body, "payload");
    binary(&mut body, payload);
    text(&mut body, "hash_chain");
    body.push(0x82);
    text(&mut body, "prev_hash");
    binary(&mut body, &[0; 32]);
    text(&mut body, "event_hash");
    binary(&mut body, &hash);
    text(&mut body, "entity");
    text(&mut body, "a");
    text(&mut body, "scope");
    text(&mut body, "s");
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    frame.extend_from_slice(&body);
    frame
}

#[test]
fn nothing_is_taken_from_within_a_payload() {
    let scratch = Scratch::new().unwrap();
    let path = exported(&scratch, "store");
    std::fs::remove_file(path.join("000002.fbat")).unwrap();
    let whole = std::fs::read(path.join("000001.fbat")).unwrap();
    let events = read_only(&path).open_report().events;
    let shipped = old_frame(0xaa, 9, b"x");
    let outer = old_frame(0xbb, 99, &[&shipped[..], &shipped].concat());
    let next = old_frame(0xcc, 100, b"y");
    let with = |bytes: &[u8]| {
        std::fs::write(path.join("000001.fbat"), [&whole, bytes].concat()).unwrap();
        both(&path)
    };
    assert_eq!(with(&[&outer[..], &next].concat()), [Ok(events + 2); 2]);
    // Torn anywhere, it is the end, whatever it carries.
    for length in 0..outer.len() {
        assert_eq!(with(&outer[..length]), [Ok(events); 2], "{length}");
    }
    // Damaged, it is lost, and what it carries is no event.
    let mut damaged = outer.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(with(&[&damaged[..], &next].concat()), [Err(ErrorKind::Corrupt), Ok(events + 1)]);
    let salvaged = Store::open(&path, &OpenOptions::mode(OpenMode::Salvage)).unwrap();
    assert!(salvaged.get(Id([0xaa; 16])).unwrap().is_none());
    assert!(salvaged.get(Id([0xcc; 16])).unwrap().is_some());
}

#[test]
fn clocks_that_go_back_are_found_all_the_same() {
    let scratch = Scratch::new().unwrap();
    let path = exported(&scratch, "store");
    std::fs::remove_file(path.join("000002.fbat")).unwrap();
    let mut bytes = std::fs::read(path.join("000001.fbat")).unwrap();
    let events = read_only(&path).open_report().events as usize;
    bytes.extend(old_frame(0xaa, 3, b"x"));
    bytes.extend(old_frame(0xbb, 4, b"y"));
    std::fs::write(path.join("000001.fbat"), bytes).unwrap();
    let old = read_only(&path);
    let count = |low, high| {
        let region = Region::entity("a").with_clocks(low, high);
        old.read(Query::new(region)).unwrap().count()
    };
    assert_eq!((count(0, 100), count(5, 6), count(3, 4)), (events + 2, 2, 4));
}
