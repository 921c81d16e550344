//! A panic at any call of the commit path: the group fails, and the store goes on, or stops, as the
//! options say. Nothing that was acknowledged is lost, and reading goes on.

use batpak_core::{
    Durability, Error, ErrorKind, Event, EventKind, NewEvent, OpenOptions, Query, Receipt, Store,
};
use batpak_tests::sim::SimVfs;
use batpak_tests::watched::{Fate, Watched};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const PATH: &str = "/store";

fn options() -> OpenOptions {
    OpenOptions { segment_bytes: 4096, buffer_ms: u32::MAX, ..OpenOptions::default() }
}

fn open(vfs: &Watched, options: &OpenOptions) -> Store {
    Store::open_on(Arc::new(vfs.clone()), Path::new(PATH), options).unwrap()
}

/// Panics at the call with this number, from 0.
fn panic_at(vfs: &Watched, wanted: u64) -> Arc<AtomicU64> {
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_injected = info.payload().downcast_ref() == Some(&"injected");
            if !is_injected {
                usual(info);
            }
        }));
    });
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    vfs.rule(move |_| {
        if counted.fetch_add(1, Ordering::Relaxed) == wanted {
            panic!("injected");
        }
        Fate::Done
    });
    calls
}

fn all(store: &Store) -> Vec<Event> {
    store.read(Query::default()).unwrap().map(Result::unwrap).collect()
}

/// Appends of every kind, over several segments: calls `done` with the result of each.
fn work(store: &Store, mut done: impl FnMut(Durability, Result<Vec<Receipt>, Error>)) {
    let payload = [7; 300];
    for number in 0..40u32 {
        let durability = match number % 3 {
            0 => Durability::Durable,
            1 => Durability::Buffered,
            _ => Durability::Written,
        };
        let entity = format!("entity:{}", number % 4);
        let event = NewEvent::new(&entity, "s", EventKind::DATA, &payload);
        let batch = vec![event; 1 + (number % 3) as usize];
        done(durability, store.append_batch(&batch, Some(durability)));
    }
}

#[test]
fn a_panic_at_any_call() {
    let mut calls = 0;
    loop {
        let vfs = Watched::new(Arc::new(SimVfs::default()));
        let store = open(&vfs, &options());
        let counted = panic_at(&vfs, calls);
        let mut acknowledged: BTreeMap<u64, Receipt> = BTreeMap::new();
        let mut panics = 0;
        work(&store, |_, result| match result {
            Ok(receipts) => {
                acknowledged
                    .extend(receipts.into_iter().map(|receipt| (receipt.sequence, receipt)));
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Panic, "call {calls}: {error}");
                panics += 1;
            }
        });
        if counted.load(Ordering::Relaxed) <= calls {
            assert_eq!(panics, 0);
            break;
        }
        assert_eq!(panics, 1, "call {calls}");
        vfs.no_rule();
        let check = |store: &Store| {
            let events = all(store);
            for (sequence, receipt) in &acknowledged {
                let event = &events[*sequence as usize];
                assert_eq!((event.id(), event.hash()), (receipt.id, receipt.hash), "call {calls}");
            }
            // Of the group that failed there may be all or nothing.
            assert!(events.len() - acknowledged.len() <= 3);
            assert!(store.verify().unwrap().is_intact(), "call {calls}");
            events.len()
        };
        let events = check(&store);
        store.close().unwrap();
        let reopened = open(&vfs, &options());
        assert!(reopened.open_report().clean);
        assert_eq!(check(&reopened), events);
        calls += 1;
    }
    println!("a panic at each of {calls} calls");
    assert!(calls > 100);
}

/// Appends an event while the next call panics.
fn append_in_panic(vfs: &Watched, store: &Store) -> ErrorKind {
    panic_at(vfs, 0);
    let result = store.append(&NewEvent::new("a", "s", EventKind::DATA, b"x"), None);
    vfs.no_rule();
    result.unwrap_err().kind()
}

#[test]
fn the_options_say_how_often() {
    for (restarts, window_ms, expected) in [
        (0, 0, [ErrorKind::Panic, ErrorKind::Poisoned, ErrorKind::Poisoned]),
        (1, 0, [ErrorKind::Panic, ErrorKind::Panic, ErrorKind::Poisoned]),
        (2, 3_600_000, [ErrorKind::Panic, ErrorKind::Panic, ErrorKind::Panic]),
    ] {
        let vfs = Watched::new(Arc::new(SimVfs::default()));
        let options = OpenOptions { restarts, restart_window_ms: window_ms, ..options() };
        let store = open(&vfs, &options);
        let event = NewEvent::new("a", "s", EventKind::DATA, b"first");
        store.append(&event, None).unwrap();
        let kinds = [(); 3].map(|()| append_in_panic(&vfs, &store));
        assert_eq!(kinds, expected);
        // Reading goes on; appends do not, until the store is opened again.
        assert!(!all(&store).is_empty());
        assert_eq!(store.append(&event, None).unwrap_err().kind(), ErrorKind::Poisoned);
        drop(store);
        assert!(open(&vfs, &options).append(&event, None).is_ok());
    }
}

#[test]
fn a_defect_that_passes_leaves_no_trace() {
    let vfs = Watched::new(Arc::new(SimVfs::default()));
    let store = open(&vfs, &OpenOptions { restarts: 5, ..options() });
    for number in 0..5u64 {
        assert_eq!(append_in_panic(&vfs, &store), ErrorKind::Panic);
        let before = all(&store).len() as u64;
        let receipt = store.append(&NewEvent::new("a", "s", EventKind::DATA, b"x"), None).unwrap();
        assert_eq!(receipt.sequence, before);
        assert!(receipt.clock as u64 >= number);
    }
    assert!(store.verify().unwrap().is_intact());
}
