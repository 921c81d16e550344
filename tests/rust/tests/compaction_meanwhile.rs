//! What happens beside a compaction: closing, forking, reading, following, importing.

use batpak_core::storage::real::RealVfs;
use batpak_core::{
    CompactOptions, CompactProgress, CompactReport, Durability, Error, ErrorKind, Event, EventKind,
    ImportOptions, Keys, NewEvent, OpenMode, OpenOptions, Query, Region, Result, Retention, Store,
    Unwanted,
};
use batpak_tests::scratch::Scratch;
use batpak_tests::watched::{Call, Fate, Gate, Watched};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

fn options(mode: OpenMode) -> OpenOptions {
    let durability = Durability::Written;
    OpenOptions { segment_bytes: 4096, seed: Some(3), durability, ..OpenOptions::mode(mode) }
}

fn open(path: &Path) -> Store {
    Store::open(path, &options(OpenMode::Create)).unwrap()
}

fn fill(store: &Store, events: u64) {
    for _ in 0..events {
        store.append(&NewEvent::new("e", "s", EventKind::DATA, &[7; 500]), None).unwrap();
    }
}

fn stays(sequence: u64) -> bool {
    sequence.is_multiple_of(4)
}

fn rule<'a>() -> Retention<'a> {
    Retention { keys: Keys { window: 0, ..Keys::default() }, ..Retention::default() }
}

fn compact(store: &Store, retention: Retention<'_>) -> Result<CompactReport> {
    store.compact(CompactOptions { retention: Some(retention), ..Default::default() })
}

/// Drops what does not stay, and tells a function which event comes.
fn drop_most(store: &Store, mut tell: impl FnMut(u64)) -> Result<CompactReport> {
    let mut keep = |event: &Event| {
        tell(event.sequence());
        Ok(stays(event.sequence()))
    };
    compact(store, Retention { keep: Some(&mut keep), ..rule() })
}

fn sequences(scan: impl Iterator<Item = Result<Event>>) -> Vec<u64> {
    scan.map(|event| event.unwrap().sequence()).collect()
}

fn shown(store: &Store) -> Vec<u64> {
    sequences(store.read(Query::default()).unwrap())
}

fn segments(path: &Path) -> Vec<String> {
    let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name.contains(".fbat"));
    names.sort();
    names
}

/// Opens the store of a directory: it shows these events, is intact, and nothing is left over.
fn check_opens(path: &Path, expected: impl Iterator<Item = u64>) {
    let store = open(path);
    assert!(shown(&store).into_iter().eq(expected));
    assert_eq!(store.verify().unwrap().findings, []);
    assert_eq!(segments(path).len() as u64, store.stats().unwrap().segments);
}

/// No other writer gets the directory before the compaction of a closed store has ended.
#[test]
fn a_closed_store_stays_locked_until_its_compaction_has_ended() {
    let in_the_predicate = |_: Call<'_>| false;
    let at_a_new_segment =
        |call: Call<'_>| matches!(call, Call::Create { file } if file.ends_with(".fbat.tmp"));
    let at_its_name =
        |call: Call<'_>| matches!(call, Call::Rename { file } if file.ends_with(".fbat"));
    for held_up in [in_the_predicate, at_a_new_segment, at_its_name] {
        let scratch = Scratch::new().unwrap();
        let path = scratch.join("store");
        let vfs = Watched::new(Arc::new(RealVfs));
        let store =
            Store::open_on(Arc::new(vfs.clone()), &path, &options(OpenMode::Create)).unwrap();
        fill(&store, 60);
        // The newest segment is sealed by a retention of nothing, so that none is made but new ones.
        compact(&store, Retention { before: Some(0), ..rule() }).unwrap();
        let gate = Gate::default();
        let before = gate.clone();
        vfs.rule(move |call| {
            if held_up(call) {
                before.pass();
            }
            Fate::Done
        });
        let (compacting, before) = (store.clone(), gate.clone());
        let thread = thread::spawn(move || {
            drop_most(&compacting, |at| {
                if at == 50 {
                    before.pass();
                }
            })
        });
        gate.reached();
        store.close().unwrap();
        let refused = Store::open(&path, &options(OpenMode::Existing)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Locked);
        let reader = Store::open(&path, &options(OpenMode::ReadOnly)).unwrap();
        assert!(shown(&reader).into_iter().eq(0..60));
        gate.open();
        assert_eq!(thread.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
        let next = open(&path);
        assert_eq!(segments(&path).len() as u64, next.stats().unwrap().segments);
        fill(&next, 60);
        next.close().unwrap();
        check_opens(&path, 0..120);
    }
}

/// A child that is forked inside the predicate comes back with an error, and leaves the files alone.
#[test]
fn a_child_that_is_forked_inside_the_predicate() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    fill(&store, 200);
    let (mut child, mut status) = (0, 0);
    let done = drop_most(&store, |at| {
        if at == 150 {
            // SAFETY: the child only returns from the compaction, whose locks no other thread holds,
            // and ends below with `_exit`; the alarm ends one that hangs. `status` is a valid place.
            unsafe {
                child = libc::fork();
                match child {
                    0 => drop(libc::alarm(60)),
                    child => assert_eq!(libc::waitpid(child, &mut status, 0), child),
                }
            }
        }
    });
    if child == 0 {
        let is_forked = done.is_err_and(|error| error.kind() == ErrorKind::Forked);
        // SAFETY: `_exit` has no preconditions.
        unsafe { libc::_exit(if is_forked { 0 } else { 1 }) };
    }
    assert!(libc::WIFEXITED(status), "the child was killed: it hung or crashed");
    assert_eq!(libc::WEXITSTATUS(status), 0, "the child got no error of its own");
    assert_eq!(done.unwrap().events_dropped, 150);
    store.close().unwrap();
    check_opens(&path, (0..200).filter(|at| stays(*at)));
}

/// At a byte per second it would take hours. While it waits, it is told to end.
#[test]
fn a_slow_compaction_ends_when_it_is_told() {
    for by_close in [false, true] {
        let scratch = Scratch::new().unwrap();
        let path = scratch.join("store");
        let store = open(&path);
        fill(&store, 60);
        let mut last = CompactProgress::default();
        let mut end_when_it_waits = |now: &CompactProgress| {
            let waits = *now == last && now.bytes_read > 0;
            last = *now;
            match (waits, by_close) {
                (false, _) => Ok(()),
                (true, false) => Err(Error::new(ErrorKind::Callback, "enough")),
                (true, true) => store.close(),
            }
        };
        let options = CompactOptions {
            retention: Some(Retention { before: Some(30), ..rule() }),
            bytes_per_second: 1,
            progress: Some(&mut end_when_it_waits),
        };
        let expected = if by_close { ErrorKind::Closed } else { ErrorKind::Callback };
        assert_eq!(store.compact(options).unwrap_err().kind(), expected);
        store.close().unwrap();
        check_opens(&path, 0..60);
    }
}

/// Files that are replaced stay for as long as somebody in the process reads them, as leftovers.
#[test]
fn replaced_files_go_when_nobody_reads_them() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let vfs = Watched::new(Arc::new(RealVfs));
    let uncached = OpenOptions { cache_bytes: 0, ..options(OpenMode::Create) };
    let store = Store::open_on(Arc::new(vfs.clone()), &path, &uncached).unwrap();
    fill(&store, 60);
    let gate = Gate::default();
    let before = gate.clone();
    vfs.rule(move |call| {
        if call.reads_segment() && thread::current().name() == Some("reading") {
            before.pass();
        }
        Fate::Done
    });
    let reading = store.clone();
    let thread = thread::Builder::new().name("reading".into());
    let thread = thread.spawn(move || shown(&reading)).unwrap();
    gate.reached();
    drop_most(&store, |_| {}).unwrap();
    let listed = store.stats().unwrap().segments;
    assert!(segments(&path).len() as u64 > listed);
    let kept = || (0..60).filter(|at| stays(*at));
    let reader = Store::open(&path, &options(OpenMode::ReadOnly)).unwrap();
    assert!(shown(&reader).into_iter().eq(kept()));
    // The store of a process that is killed now.
    let killed = scratch.join("killed");
    std::fs::create_dir(&killed).unwrap();
    for entry in std::fs::read_dir(&path).unwrap() {
        let name = entry.unwrap().file_name();
        std::fs::copy(path.join(&name), killed.join(&name)).unwrap();
    }
    check_opens(&killed, kept());
    gate.open();
    // It sees events from before and from behind the compaction, but misses none that stays.
    let seen = thread.join().unwrap();
    assert!(seen.is_sorted_by(|a, b| a < b));
    assert!(kept().all(|at| seen.contains(&at)));
    assert_eq!(segments(&path).len() as u64, listed);
    store.close().unwrap();
    check_opens(&path, kept());
}

/// A reader that came while a compaction was under way, which was then cancelled, may have looked at its
/// segment; another one gets the same number later.
#[test]
fn a_reader_that_has_seen_a_segment_that_never_was() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    fill(&store, 40);
    let (mut reader, mut listed) = (None, Vec::new());
    let mut progress = |_: &CompactProgress| {
        if listed.is_empty() {
            listed = segments(&path);
        }
        let is_new = |name: &String| name.ends_with(".fbat") && !listed.contains(name);
        if reader.is_some() || !segments(&path).iter().any(is_new) {
            return Ok(());
        }
        reader = Some(Store::open(&path, &options(OpenMode::ReadOnly)).unwrap());
        Err(Error::new(ErrorKind::Callback, "cancelled"))
    };
    let retention = Retention { before: Some(30), ..rule() };
    let options = CompactOptions {
        retention: Some(retention),
        progress: Some(&mut progress),
        ..CompactOptions::default()
    };
    assert_eq!(store.compact(options).unwrap_err().kind(), ErrorKind::Callback);
    let reader = reader.unwrap();
    store.close().unwrap();
    let store = open(&path);
    fill(&store, 40);
    assert_eq!(reader.refresh().unwrap(), 80);
    assert_eq!(shown(&reader), Vec::from_iter(0..80));
    assert_eq!(reader.verify().unwrap().findings, []);
}

/// An event that a retention has changed or dropped is still the one that was imported.
#[test]
fn an_import_is_repeated_after_a_compaction() {
    for unwanted in [Unwanted::Drop, Unwanted::Tombstone, Unwanted::Erase] {
        let scratch = Scratch::new().unwrap();
        let (from, to) = (open(&scratch.join("from")), open(&scratch.join("to")));
        fill(&from, 20);
        from.sync().unwrap();
        let import = |to: &Store| {
            let report =
                to.import_from(from.path(), &Region::all(), &ImportOptions::default()).unwrap();
            assert_eq!((report.outside, report.dropped, report.drops), (0, 0, vec![]));
            (report.imported, report.already_there)
        };
        assert_eq!(import(&to), (20, 0));
        // With the default window, so that the keys of imported events are kept.
        let before = |before| Retention { before: Some(before), unwanted, ..Retention::default() };
        compact(&to, before(10)).unwrap();
        assert_eq!(import(&to), (0, 20));
        // So it is if the source has changed it since; what it drops is no longer there to be imported.
        for unwanted in [Unwanted::Tombstone, Unwanted::Erase] {
            compact(&from, Retention { before: Some(15), unwanted, ..rule() }).unwrap();
            assert_eq!(import(&to), (0, 20));
        }
        compact(&from, Retention { before: Some(15), ..rule() }).unwrap();
        assert_eq!(import(&to), (0, 5));
        assert_eq!(import(&open(&scratch.join("other"))), (5, 0));
        let (late, last) = (open(&scratch.join("late")), Retention { before: Some(18), ..rule() });
        compact(&from, Retention { unwanted: Unwanted::Erase, ..last }).unwrap();
        assert_eq!((import(&late), import(&late)), ((5, 0), (0, 5)));
    }
}

/// What is followed goes on behind its position, wherever that is, whatever was dropped there; also from
/// a position that was noted down before the store was compacted and opened again.
#[test]
fn a_follow_goes_on_over_a_compaction() {
    for position in (1..40).step_by(3) {
        let scratch = Scratch::new().unwrap();
        let path = scratch.join("store");
        let store = open(&path);
        fill(&store, 40);
        let mut here = store.follow(Query::default()).unwrap();
        let reader = Store::open(&path, &options(OpenMode::ReadOnly)).unwrap();
        let mut elsewhere = reader.follow(Query::default()).unwrap();
        let follows = [&mut here, &mut elsewhere];
        let mut seen = follows.map(|follow| {
            while follow.position() < position {
                assert_eq!(follow.next_page(1, 1, Duration::ZERO).unwrap().len(), 1);
            }
            (follow, Vec::new())
        });
        // The last events go, too.
        assert_eq!(drop_most(&store, |_| {}).unwrap().events_dropped, 30);
        fill(&store, 3);
        for (follow, seen) in &mut seen {
            while follow.position() < 43 {
                let page = follow.next_page(4, 1 << 20, Duration::from_secs(60)).unwrap();
                seen.extend(page.iter().map(Event::sequence));
            }
            // One who reads meanwhile may see what goes, but misses nothing, and sees nothing twice.
            let left = (position..43).filter(|at| stays(*at) || *at >= 40);
            assert!(seen.is_sorted_by(|a, b| a < b) && seen[0] >= position);
            assert!(left.clone().all(|at| seen.contains(&at)), "{position}: {seen:?}");
        }
        store.close().unwrap();
        let store = open(&path);
        let left = (position..43).filter(|at| stays(*at) || *at >= 40);
        let mut follow = store.follow(Query::default().from(position)).unwrap();
        let page = follow.next_page(100, 1 << 20, Duration::ZERO).unwrap();
        assert!(page.iter().map(Event::sequence).eq(left), "{position}");
        assert!(follow.next_page(1, 1, Duration::ZERO).unwrap().is_empty());
        assert_eq!(follow.position(), 43);
    }
}
