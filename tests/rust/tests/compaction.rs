//! Compaction: what goes, what stays as it was, and who may read meanwhile.

use batpak_core::{
    CompactOptions, CompactReport, Error, ErrorKind, Event, EventKind, Expected, ForkOptions, Head,
    Id, KeyOverflow, Keys, NewEvent, OpenMode, OpenOptions, Query, Receipt, Region, Retention,
    SnapshotOptions, Store, Unwanted,
};
use batpak_tests::scratch::Scratch;
use std::collections::BTreeMap;
use std::path::Path;

const ENTITIES: u64 = 7;

fn options() -> OpenOptions {
    OpenOptions { segment_bytes: 16 << 10, seed: Some(3), ..OpenOptions::default() }
}

fn open(path: &Path) -> Store {
    Store::open(path, &options()).unwrap()
}

fn no_keys() -> Keys {
    Keys { window: 0, ..Keys::default() }
}

fn retention<'a>() -> Retention<'a> {
    Retention { keys: no_keys(), ..Retention::default() }
}

fn compact(store: &Store, retention: Retention<'_>) -> CompactReport {
    store.compact(CompactOptions { retention: Some(retention), ..Default::default() }).unwrap()
}

fn merge(store: &Store) -> CompactReport {
    store.compact(CompactOptions::default()).unwrap()
}

/// Event `i` of a store that is filled: single ones and batches, lanes, a few with ids of their own.
fn append(store: &Store, i: u64) -> Receipt {
    let payload = vec![i as u8; (i * 37 % 400) as usize];
    let mut event = NewEvent::new("x", "s", EventKind(0x1000 + (i % 3) as u16), &payload);
    let entity = format!("entity:{}", i % ENTITIES);
    event.entity = &entity;
    event.lane = u32::from(i.is_multiple_of(11));
    event.id = i.is_multiple_of(5).then(|| Id::for_operation("test", &[&i.to_le_bytes()]));
    event.timestamp_us = Some(1_000_000 * i as i64);
    store.append(&event, None).unwrap()
}

fn fill(store: &Store, events: std::ops::Range<u64>) -> Vec<Receipt> {
    events.map(|i| append(store, i)).collect()
}

/// What is shown, by sequence; the same read in every way.
fn shown(store: &Store) -> BTreeMap<u64, Event> {
    let all: Vec<Event> = store.read(Query::default()).unwrap().map(Result::unwrap).collect();
    let mut backward: Vec<u64> = store
        .read(Query::default().backward())
        .unwrap()
        .map(|event| event.unwrap().sequence())
        .collect();
    backward.reverse();
    assert!(all.iter().map(Event::sequence).eq(backward));
    for region in (0..ENTITIES).map(|i| Region::entity(format!("entity:{i}"))).chain([
        Region::all().with_scope("s"),
        Region::all().with_kind(EventKind(0x1001)),
        Region::all().with_kind(EventKind::TOMBSTONE),
        Region::all().with_lane(1),
        Region::entity("entity:3").with_clocks(5, 40),
    ]) {
        let expected = all.iter().filter(|event| region.matches(event)).map(Event::sequence);
        let found = store.read(Query::new(region.clone())).unwrap();
        let found: Vec<u64> = found.map(|event| event.unwrap().sequence()).collect();
        assert_eq!(found, expected.collect::<Vec<_>>(), "{region:?}");
    }
    for event in &all {
        let (by_id, by_sequence) = (store.get(event.id()), store.at(event.sequence()));
        assert_eq!(by_id.unwrap().unwrap().hash(), event.hash());
        assert_eq!(by_sequence.unwrap().unwrap().hash(), event.hash());
    }
    all.into_iter().map(|event| (event.sequence(), event)).collect()
}

/// Everything of an event but its place in the files.
fn content(event: &Event) -> String {
    format!(
        "{event:?} {} {:?} {:?} {:?} {} {} {}",
        event.kind(),
        event.payload(),
        event.prev_hash(),
        event.correlation(),
        event.timestamp_us(),
        event.wall_us(),
        event.hash()
    )
}

fn heads(store: &Store) -> Vec<Head> {
    (0..=store.head().unwrap().events).map(|n| store.head_at(n).unwrap()).collect()
}

fn check_intact(store: &Store) {
    assert_eq!(store.verify().unwrap().findings, []);
}

/// What must be as before: `kept` says which events stay.
fn check_same(
    store: &Store,
    before: &BTreeMap<u64, Event>,
    roots: &[Head],
    kept: impl Fn(&Event) -> bool,
) {
    let now = shown(store);
    let expected: Vec<String> = before.values().filter(|e| kept(e)).map(content).collect();
    let found: Vec<String> = now.values().map(content).collect();
    assert_eq!(found, expected);
    for event in before.values().filter(|event| !kept(event)) {
        assert!(store.at(event.sequence()).unwrap().is_none());
        assert!(store.get(event.id()).unwrap().is_none());
    }
    assert_eq!(heads(store)[..roots.len()], *roots);
    check_intact(store);
}

#[test]
fn every_rule_drops_what_it_says() {
    type Rule = (&'static str, fn() -> Retention<'static>, fn(&Event) -> bool);
    let rules: [Rule; 6] = [
        ("before", || Retention { before: Some(250), ..retention() }, |e| e.sequence() >= 250),
        (
            "age",
            || Retention { older_than_us: Some(123_000_000), ..retention() },
            |e| e.timestamp_us() >= 123_000_000,
        ),
        (
            "count",
            || Retention { newest_per_entity: Some(4), ..retention() },
            |e| e.sequence() >= 400 - 4 * ENTITIES,
        ),
        (
            "region",
            || Retention { region: Region::entity("entity:2"), ..retention() },
            |e| e.entity() != "entity:2",
        ),
        (
            "region and count",
            || Retention {
                region: Region::entity("entity:2"),
                newest_per_entity: Some(4),
                ..retention()
            },
            |e| e.entity() != "entity:2" || e.sequence() >= 400 - 4 * ENTITIES,
        ),
        (
            "kind and before",
            || Retention {
                region: Region::all().with_kind(EventKind(0x1002)),
                before: Some(300),
                ..retention()
            },
            |e| e.kind() != EventKind(0x1002) || e.sequence() >= 300,
        ),
    ];
    for (name, rule, kept) in rules {
        let scratch = Scratch::new().unwrap();
        let path = scratch.join("store");
        let store = open(&path);
        fill(&store, 0..400);
        let (before, roots) = (shown(&store), heads(&store));
        let report = compact(&store, rule());
        let dropped = before.values().filter(|event| !kept(event)).count() as u64;
        assert_eq!((report.events_dropped, report.tombstones), (dropped, 0), "{name}");
        assert!(report.bytes_after < report.bytes_before, "{name}: {report:?}");
        check_same(&store, &before, &roots, kept);
        // Again, it finds nothing to do.
        let again = compact(&store, rule());
        assert_eq!(again.events_dropped, 0, "{name}");
        store.close().unwrap();
        let store = open(&path);
        assert!(store.open_report().clean && store.open_report().ignored.is_empty());
        check_same(&store, &before, &roots, kept);
        // The streams go on where they were.
        for receipt in fill(&store, 400..430) {
            let entity = format!("entity:{}", receipt.sequence % ENTITIES);
            let on_lane = |i: &u64| u32::from((*i).is_multiple_of(11)) == receipt.lane;
            let clock = (0..receipt.sequence)
                .filter(|i| i % ENTITIES == receipt.sequence % ENTITIES)
                .filter(on_lane)
                .count();
            assert_eq!(receipt.clock as usize, clock, "{name}: {entity}");
        }
        check_intact(&store);
    }
}

#[test]
fn a_predicate_keeps_and_drops() {
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch.join("store"));
    fill(&store, 0..300);
    let (before, roots) = (shown(&store), heads(&store));
    let mut asked = Vec::new();
    let mut keep = |event: &Event| {
        asked.push(event.sequence());
        // It may read and append.
        assert_eq!(store.at(event.sequence()).unwrap().unwrap().hash(), event.hash());
        Ok(event.sequence().is_multiple_of(10))
    };
    let rule = Retention { before: Some(200), keep: Some(&mut keep), ..retention() };
    let report = compact(&store, rule);
    assert_eq!(report.events_dropped, 180);
    assert_eq!(asked, (0..200).collect::<Vec<u64>>());
    check_same(&store, &before, &roots, |e| e.sequence() % 10 == 0 || e.sequence() >= 200);
}

#[test]
fn a_failing_predicate_or_progress_changes_nothing() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    fill(&store, 0..300);
    let (before, roots) = (shown(&store), heads(&store));
    let failure = || Error::new(ErrorKind::Callback, "enough");
    for stop in [1, 50, 200, 299] {
        let mut keep = |event: &Event| match event.sequence() {
            at if at == stop => Err(failure()),
            at => Ok(at % 2 == 0),
        };
        let rule = Retention { keep: Some(&mut keep), ..retention() };
        let options = CompactOptions { retention: Some(rule), ..Default::default() };
        assert_eq!(store.compact(options).unwrap_err().kind(), ErrorKind::Callback);
        check_same(&store, &before, &roots, |_| true);
    }
    for stop in 0..6 {
        let mut steps = 0;
        let mut progress = |_: &_| {
            steps += 1;
            if steps > stop { Err(failure()) } else { Ok(()) }
        };
        let options = CompactOptions {
            retention: Some(Retention { before: Some(100), ..retention() }),
            progress: Some(&mut progress),
            ..Default::default()
        };
        assert_eq!(store.compact(options).unwrap_err().kind(), ErrorKind::Callback);
    }
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut keep = |_: &Event| panic!("in the predicate");
        compact(&store, Retention { keep: Some(&mut keep), ..retention() })
    }));
    assert!(caught.is_err());
    check_same(&store, &before, &roots, |_| true);
    let names = std::fs::read_dir(&path).unwrap();
    let left =
        names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(left.count(), 0);
    assert!(compact(&store, Retention { before: Some(100), ..retention() }).events_dropped == 100);
}

#[test]
fn a_retention_without_a_rule_is_refused() {
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch.join("store"));
    let options = CompactOptions { retention: Some(retention()), ..Default::default() };
    assert_eq!(store.compact(options).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let reader = Store::open(store.path(), &OpenOptions::mode(OpenMode::ReadOnly)).unwrap();
    let refused = reader.compact(CompactOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly);
    assert_eq!(merge(&store).segments_written, 0);
}

#[test]
fn small_segments_are_joined_and_large_ones_left() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let small = OpenOptions { segment_bytes: 4096, ..options() };
    let store = Store::open(&path, &small).unwrap();
    fill(&store, 0..300);
    let (before, roots) = (shown(&store), heads(&store));
    assert_eq!(merge(&store).segments_written, 0);
    store.close().unwrap();
    let large = OpenOptions { segment_bytes: 40 << 10, ..options() };
    let store = Store::open(&path, &large).unwrap();
    let report = merge(&store);
    assert!(report.segments_after * 4 < report.segments_before, "{report:?}");
    assert_eq!(
        report.segments_before - report.segments_replaced + report.segments_written,
        report.segments_after
    );
    assert!(report.bytes_after < report.bytes_before);
    check_same(&store, &before, &roots, |_| true);
    assert_eq!(merge(&store).segments_replaced, 0);
    store.close().unwrap();
    check_same(&Store::open(&path, &large).unwrap(), &before, &roots, |_| true);
}

#[test]
fn tombstones_stay_and_erased_payloads_go() {
    for unwanted in [Unwanted::Tombstone, Unwanted::Erase] {
        let scratch = Scratch::new().unwrap();
        let path = scratch.join("store");
        let store = open(&path);
        let receipts = fill(&store, 0..300);
        let (before, roots) = (shown(&store), heads(&store));
        let rule = || Retention { before: Some(200), unwanted, ..retention() };
        let report = compact(&store, rule());
        assert_eq!((report.events_dropped, report.tombstones), (0, 200));
        let check = |store: &Store| {
            let now = shown(store);
            assert_eq!(now.len(), 300);
            for (event, receipt) in now.values().zip(&receipts) {
                let old = &before[&event.sequence()];
                assert_eq!((event.hash(), event.id()), (receipt.hash, receipt.id));
                let gone = event.sequence() < 200;
                let erased = gone && unwanted == Unwanted::Erase;
                assert_eq!(event.is_erased(), erased);
                assert_eq!(event.payload(), if erased { b"" } else { old.payload() });
                let kind = if gone { EventKind::TOMBSTONE } else { old.kind() };
                assert_eq!(event.kind(), kind);
            }
            assert_eq!(heads(store)[..roots.len()], *roots);
            check_intact(store);
        };
        check(&store);
        assert_eq!(compact(&store, rule()).tombstones, 0);
        // A repeated append still is one.
        assert!(append(&store, 5).duplicate);
        store.close().unwrap();
        let store = open(&path);
        check(&store);
        // What is a tombstone can be dropped.
        let rule =
            Retention { region: Region::all().with_kind(EventKind::TOMBSTONE), ..retention() };
        assert_eq!(compact(&store, rule).events_dropped, 200);
        check_same(&store, &before, &roots, |event| event.sequence() >= 200);
    }
}

/// Recovery rows 80, 82.
#[test]
fn keys_outlive_their_events_in_the_window() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    let receipts = fill(&store, 0..400);
    // The keys of the last 100 sequences before the end, and no others.
    let keys = Keys { window: 100, ..Keys::default() };
    let rule = || Retention { before: Some(390), keys, ..retention() };
    let refused = Keys { most: 17, overflow: KeyOverflow::Refuse, ..keys };
    let refused = Retention { before: Some(390), keys: refused, ..retention() };
    let refused = CompactOptions { retention: Some(refused), ..Default::default() };
    assert_eq!(store.compact(refused).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(shown(&store).len(), 400);
    let warned = Keys { most: 17, ..keys };
    let report = compact(&store, Retention { before: Some(390), keys: warned, ..retention() });
    assert_eq!((report.events_dropped, report.keys_kept, report.keys_over), (390, 18, 1));
    let check = |store: &Store| {
        assert_eq!(shown(store).len() as u64, store.head().unwrap().events - 390);
        for i in (300..390).step_by(5) {
            let again = append(store, i);
            assert_eq!(again, Receipt { duplicate: true, ..receipts[i as usize] });
            // Other content under the same key.
            let mut other = NewEvent::new("entity:1", "s", EventKind::DATA, b"other");
            other.id = Some(receipts[i as usize].id);
            let conflict = store.append(&other, None).unwrap_err();
            assert_eq!(conflict.kind(), ErrorKind::IdempotencyConflict);
        }
        check_intact(store);
    };
    check(&store);
    // Reopened, copied, forked, and compacted again.
    store.close().unwrap();
    let store = open(&path);
    check(&store);
    store.snapshot_to(scratch.join("copy"), &SnapshotOptions::default()).unwrap();
    check(&open(&scratch.join("copy")));
    store.fork_to(scratch.join("fork"), &ForkOptions::default()).unwrap();
    check(&open(&scratch.join("fork")));
    merge(&store);
    check(&store);
    assert_eq!(compact(&store, rule()).keys_kept, 18);
    check(&store);
    // Outside the window, the key begins a new event.
    let again = append(&store, 200);
    assert!(!again.duplicate && again.sequence == 400);
    check_intact(&store);
    // The window moves on with the log.
    fill(&store, 1001..1151);
    let rule = Retention { before: Some(390), keys, ..retention() };
    assert_eq!(compact(&store, rule).keys_kept, 0);
    assert!(!append(&store, 385).duplicate);
}

#[test]
fn a_stream_whose_events_are_all_gone_goes_on() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    let receipts = fill(&store, 0..200);
    let rule = || Retention { region: Region::entity("entity:4"), ..retention() };
    let last = receipts.iter().rfind(|r| r.sequence % ENTITIES == 4 && r.lane == 0).unwrap();
    compact(&store, rule());
    for _ in 0..3 {
        let head = store.stream_head("entity:4", 0).unwrap().unwrap();
        assert_eq!((head.clock, head.sequence, head.hash), (last.clock, last.sequence, last.hash));
        compact(&store, rule());
        merge(&store);
    }
    store.close().unwrap();
    let store = open(&path);
    let mut event = NewEvent::new("entity:4", "s", EventKind::DATA, b"next");
    event.expected = Expected::NoStream;
    assert_eq!(store.append(&event, None).unwrap_err().kind(), ErrorKind::ClockConflict);
    event.expected = Expected::Exact(last.clock);
    let next = store.append(&event, None).unwrap();
    assert_eq!(next.clock, last.clock + 1);
    let stored = store.at(next.sequence).unwrap().unwrap();
    assert_eq!(stored.prev_hash(), last.hash);
    check_intact(&store);
}

#[test]
fn batches_and_gaps() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    let event = NewEvent::new("e", "s", EventKind::DATA, b"payload");
    for size in [1, 5, 2, 9, 3, 1, 40] {
        store.append_batch(&vec![event; size], None).unwrap();
    }
    let (before, roots) = (shown(&store), heads(&store));
    for drop in [[0, 6, 9, 17], [1, 5, 8, 18], [2, 7, 16, 20], [3, 4, 10, 60]] {
        let mut keep = |event: &Event| Ok(!drop.contains(&event.sequence()));
        compact(&store, Retention { keep: Some(&mut keep), ..retention() });
        check_intact(&store);
    }
    let gone = [0, 6, 9, 17, 1, 5, 8, 18, 2, 7, 16, 20, 3, 4, 10, 60];
    check_same(&store, &before, &roots, |event| !gone.contains(&event.sequence()));
}

#[test]
fn a_salvage_has_what_was_dropped_in_its_roots() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    fill(&store, 0..200);
    let (before, roots) = (shown(&store), heads(&store));
    let mut keep = |event: &Event| Ok(event.sequence().is_multiple_of(5));
    compact(&store, Retention { keep: Some(&mut keep), ..retention() });
    store.close().unwrap();
    let salvaged = Store::open(&path, &OpenOptions::mode(OpenMode::Salvage)).unwrap();
    assert!(salvaged.open_report().damage.is_empty());
    check_same(&salvaged, &before, &roots, |event| event.sequence().is_multiple_of(5));
    let report = salvaged.verify().unwrap();
    assert_eq!((report.events, report.dropped, report.tombstones, report.erased), (200, 160, 0, 0));
}

#[test]
fn copies_of_a_compacted_store() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    fill(&store, 0..300);
    store.snapshot_to(scratch.join("earlier"), &SnapshotOptions::default()).unwrap();
    let (before, roots) = (shown(&store), heads(&store));
    let kept = |event: &Event| event.sequence() >= 150;
    compact(&store, Retention { before: Some(150), ..retention() });
    fill(&store, 300..340);
    // An earlier snapshot is still a prefix.
    assert!(store.verify_snapshot(scratch.join("earlier")).unwrap().is_prefix());
    let diff = store.diff(scratch.join("earlier")).unwrap();
    assert_eq!((diff.common, diff.ours, diff.theirs), (300, 340, 300));
    let earlier = SnapshotOptions { earlier: Some(scratch.join("earlier")), independent: false };
    store.snapshot_to(scratch.join("copy"), &earlier).unwrap();
    assert!(store.verify_snapshot(scratch.join("copy")).unwrap().is_prefix());
    let copy = open(&scratch.join("copy"));
    assert_eq!(heads(&copy)[..roots.len()], *roots);
    check_intact(&copy);
    // A fork begins where nothing was decided yet, or behind.
    let at = |at: u64| ForkOptions { at: Some(at), independent: false };
    let refused = store.fork_to(scratch.join("f"), &at(299)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    for point in [300, 317, 340] {
        let place = scratch.join(&format!("fork-{point}"));
        store.fork_to(&place, &at(point)).unwrap();
        let fork = open(&place);
        assert_eq!(fork.head().unwrap().root, store.head_at(point).unwrap().root);
        for i in 0..ENTITIES {
            let name = format!("entity:{i}");
            let (ours, theirs) = (store.stream_head(&name, 0), fork.stream_head(&name, 0));
            let same = point == 340;
            assert!(!same || ours.unwrap() == *theirs.as_ref().unwrap());
            assert!(theirs.unwrap().is_some());
        }
        // It can be compacted on its own, and its parent is still proved.
        let mut keep = |event: &Event| Ok(event.sequence().is_multiple_of(4));
        compact(&fork, Retention { keep: Some(&mut keep), ..retention() });
        fill(&fork, 2000..2040);
        check_intact(&fork);
        fork.close().unwrap();
        check_intact(&open(&place));
        assert_eq!(store.diff(&place).unwrap().common, point);
    }
    drop(copy);
    let now = shown(&store);
    assert!(
        now.values().take(150).map(content).eq(before.values().filter(|e| kept(e)).map(content))
    );
}

/// Recovery row 106.
#[test]
fn a_leftover_under_a_temporary_name_is_removed() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    fill(&store, 0..100);
    store.close().unwrap();
    std::fs::write(path.join("000099.fbat.tmp"), b"half").unwrap();
    let store = open(&path);
    assert_eq!(store.open_report().removed, ["000099.fbat.tmp"]);
    compact(&store, Retention { before: Some(50), ..retention() });
    check_intact(&store);
}

#[test]
fn who_reads_meanwhile_reads_on() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    fill(&store, 0..600);
    let kept = |sequence: u64| sequence >= 500 || sequence.is_multiple_of(50);
    // A reader of the same process, and one as another process would be.
    let options =
        OpenOptions { max_open_files: 1, cache_bytes: 0, ..OpenOptions::mode(OpenMode::ReadOnly) };
    let reader = Store::open(&path, &options).unwrap();
    for from in [0u64, 3, 200] {
        let mut scans: Vec<_> = [&store, &reader]
            .map(|store| store.read(Query::default().from(from)).unwrap())
            .into_iter()
            .collect();
        let mut seen = vec![Vec::new(); 2];
        for (scan, seen) in scans.iter_mut().zip(&mut seen) {
            let page = scan.next_page(20, 1 << 20).unwrap();
            seen.extend(page.iter().map(Event::sequence));
        }
        let mut keep = |event: &Event| Ok(kept(event.sequence()));
        compact(&store, Retention { keep: Some(&mut keep), ..retention() });
        for (scan, seen) in scans.iter_mut().zip(&mut seen) {
            seen.extend(scan.map(|event| event.unwrap().sequence()));
            assert!(seen.is_sorted_by(|a, b| a < b));
            let must = (from..600).filter(|sequence| kept(*sequence));
            assert!(must.into_iter().all(|sequence| seen.contains(&sequence)));
        }
        assert_eq!(reader.refresh().unwrap(), 600);
        assert!(reader.at(1).unwrap().is_none());
        assert_eq!(shown(&reader).len(), shown(&store).len());
        check_intact(&reader);
    }
    // The files of what was replaced are gone.
    let segments = std::fs::read_dir(&path)
        .unwrap()
        .filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().ends_with(".fbat"));
    assert_eq!(segments.count() as u64, store.stats().unwrap().segments);
}

/// Recovery row 104.
#[test]
fn one_at_a_time_and_none_of_a_closed_store() {
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch.join("store"));
    fill(&store, 0..200);
    let mut keep = |_: &Event| {
        let second = store.compact(CompactOptions::default()).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::Locked);
        Ok(true)
    };
    compact(&store, Retention { keep: Some(&mut keep), ..retention() });
    let mut keep = |event: &Event| {
        if event.sequence() == 100 {
            store.close().unwrap();
        }
        Ok(false)
    };
    let rule = Retention { keep: Some(&mut keep), ..retention() };
    let options = CompactOptions { retention: Some(rule), ..Default::default() };
    assert_eq!(store.compact(options).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(shown(&open(&scratch.join("store"))).len(), 200);
}

#[test]
fn appends_go_on_meanwhile() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    fill(&store, 0..500);
    std::thread::scope(|scope| {
        let appending = store.clone();
        let appender = scope.spawn(move || fill(&appending, 10_000..10_600).len());
        for round in 1..6 {
            let mut keep = |event: &Event| Ok(!event.sequence().is_multiple_of(round + 1));
            compact(&store, Retention { before: Some(500), keep: Some(&mut keep), ..retention() });
        }
        assert_eq!(appender.join().unwrap(), 600);
    });
    let count = (0..500u64).filter(|i| (2..7).all(|round| i % round != 0)).count() + 600;
    assert_eq!(shown(&store).len(), count);
    check_intact(&store);
    store.close().unwrap();
    let store = open(&path);
    assert_eq!(shown(&store).len(), count);
    check_intact(&store);
}
