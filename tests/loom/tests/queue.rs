//! In every interleaving: each append is committed once and gets its own result, nobody leads beside
//! another, and nobody sleeps for ever (which loom calls a deadlock).

use batpak_loom::{small_groups, store, without_threads};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::sync::Arc;

/// With more than this many interruptions of threads that could have gone on, the interleavings become
/// too many to try.
fn model(interruptions: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.max_branches = 10_000;
    builder.check(check);
}

macro_rules! callers {
    ($store:ident, $($appends:expr),+) => {{
        let store = $store::Store::new();
        let all: u32 = [$($appends),+].iter().sum();
        let mut first = 0;
        let mut threads = Vec::new();
        for appends in [$($appends),+] {
            let (store, names) = (store.clone(), first..first + appends);
            threads.push((names.clone(), move || names.map(|n| store.append(n)).collect::<Vec<_>>()));
            first += appends;
        }
        let (_, own) = threads.remove(0);
        let others: Vec<_> = threads.into_iter().map(|(_, work)| thread::spawn(work)).collect();
        let mut sequences = vec![own()];
        sequences.extend(others.into_iter().map(|thread| thread.join().unwrap()));
        assert!(sequences.iter().all(|own| own.is_sorted()));
        let mut sequences = sequences.concat();
        sequences.sort_unstable();
        assert_eq!(sequences, (0..all).collect::<Vec<_>>());
    }};
}

#[test]
fn two_callers() {
    model(4, || callers!(store, 2, 2));
}

#[test]
fn three_callers() {
    model(3, || callers!(store, 1, 1, 1));
}

/// Enough groups for both bells to be used again.
#[test]
fn three_callers_again_and_again() {
    model(2, || callers!(store, 2, 2, 1));
}

/// Groups of one, so that some are left over and wait on the other bell.
#[test]
fn three_callers_in_small_groups() {
    model(3, || callers!(small_groups, 1, 1, 1));
    model(2, || callers!(small_groups, 2, 1, 1));
}

/// How many appends that nobody waits for have ended.
#[derive(Clone, Default)]
struct Ended(Arc<(Mutex<u32>, Condvar)>);

impl Ended {
    fn one_more(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_all();
    }

    fn wait_for(&self, count: u32) {
        let mut ended = self.0.0.lock().unwrap();
        while *ended < count {
            ended = self.0.1.wait(ended).unwrap();
        }
    }
}

macro_rules! ticket {
    ($store:expr, $name:expr, $ended:expr) => {{
        let (name, ended) = ($name, $ended.clone());
        $store.append_then(name, move |result| {
            let receipts = result.unwrap();
            assert_eq!((receipts.len(), receipts[0].name), (1, name));
            ended.one_more();
        })
    }};
}

macro_rules! tickets_beside_a_caller {
    ($store:ident, $tickets:literal) => {{
        let store = $store::Store::new();
        let ended = Ended::default();
        let caller = {
            let store = store.clone();
            thread::spawn(move || store.append(0))
        };
        for name in 1..=$tickets {
            ticket!(store, name, ended);
        }
        // Whatever the others do, and before anybody closes the store.
        ended.wait_for($tickets);
        caller.join().unwrap();
        store.close();
    }};
}

/// Appends that nobody waits for, beside one that somebody does: they need no more than themselves
/// to be committed, by the committer, or where there is none, by callers.
#[test]
fn tickets_beside_a_caller() {
    model(2, || tickets_beside_a_caller!(store, 2));
    model(3, || tickets_beside_a_caller!(without_threads, 2));
    model(2, || tickets_beside_a_caller!(small_groups, 2));
}

/// A ticket that is started while the store is closed: it ends, and whoever closes does so, too.
#[test]
fn a_ticket_beside_the_close() {
    model(3, || {
        let store = store::Store::new();
        let ended = Ended::default();
        let starter = {
            let (store, ended) = (store.clone(), ended.clone());
            thread::spawn(move || ticket!(store, 0, ended))
        };
        store.close();
        starter.join().unwrap();
        ended.wait_for(1);
        // A committer that was started meanwhile is stopped by this.
        store.close();
    });
}
