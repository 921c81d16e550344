//! Forking: the child gets an error from every call, never a hang, and leaves the parent's store
//! alone.

use batpak_core::{
    ErrorKind, EventKind, FenceOptions, ForkOptions, GateSet, Id, Link, NewEvent, OpenMode,
    OpenOptions, Query, Region, SnapshotOptions, Store,
};
use batpak_tests::scratch::Scratch;
use std::time::Duration;

/// Runs `check` in a forked child and waits for it. The child is killed if it takes a minute.
fn in_child(check: impl FnOnce() -> bool) {
    // SAFETY: the child calls only `check`, which takes no lock that another thread of this
    // process could have held at the fork, and ends with `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: `alarm` and `_exit` have no preconditions. The alarm ends a child that hangs.
        unsafe {
            libc::alarm(60);
            libc::_exit(if check() { 0 } else { 1 });
        }
    }
    let mut status = 0;
    // SAFETY: `child` is a child of this process, and `status` is a valid place for its status.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(waited, child);
    assert!(libc::WIFEXITED(status), "the child was killed: it hung or crashed");
    assert_eq!(libc::WEXITSTATUS(status), 0, "a call in the child did not give FORKED");
}

fn event() -> NewEvent<'static> {
    NewEvent::new("a", "s", EventKind::DATA, b"x")
}

fn forked<T>(result: Result<T, batpak_core::Error>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::Forked)
}

#[test]
fn every_call_in_a_forked_child_says_so() {
    let scratch = Scratch::new().unwrap();
    let store = Store::open(scratch.join("store"), &OpenOptions::default()).unwrap();
    let id = store.append(&event(), None).unwrap().id;
    let mut scan = store.read(Query::new(Region::all())).unwrap();
    let copy = scratch.join("copy");
    let fences = [0, 1 << 20].map(|memory_bytes| {
        let fence = store.begin_fence(&FenceOptions { memory_bytes }).unwrap();
        fence.append(&[event()]).unwrap();
        fence
    });
    in_child(|| {
        forked(store.append(&event(), None))
            && forked(store.append_batch(&[event(), event()], None))
            && forked(store.append_gated(&[event()], &GateSet::default(), None))
            && forked(store.record_denial(&event(), &[], None))
            && forked(store.begin_fence(&FenceOptions::default()))
            && fences.iter().all(|fence| {
                forked(fence.append(&[event()]))
                    && forked(fence.events())
                    && forked(fence.read(0, 1, 1))
                    && forked(fence.commit(None))
                    && forked(fence.cancel())
            })
            && forked(store.flush())
            && forked(store.sync())
            && forked(store.get(id))
            && forked(store.at(0))
            && forked(store.read(Query::new(Region::all())))
            && forked(scan.next_page(1, 1))
            && forked(store.ancestors(id, Link::Stream, 1))
            && forked(store.stream_head("a", 0))
            && forked(store.head())
            && forked(store.frontier())
            && forked(store.stats())
            && forked(store.verify())
            && forked(store.snapshot_to(&copy, &SnapshotOptions::default()))
            && forked(store.verify_snapshot(&copy))
            && forked(store.fork_to(&copy, &ForkOptions::default()))
            && forked(store.diff(&copy))
            && forked(store.refresh())
            && forked(store.wait(2, Duration::from_secs(60)))
            && forked(store.close())
    });
    assert_eq!(store.append(&event(), None).unwrap().sequence, 1);
    store.close().unwrap();
    let reopened = Store::open(scratch.join("store"), &OpenOptions::default()).unwrap();
    assert!(reopened.open_report().clean);
    assert_eq!(reopened.head().unwrap().events, 2);
}

#[test]
fn dropping_the_handle_in_a_child_leaves_the_parent_its_lock() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = Store::open(&path, &OpenOptions::default()).unwrap();
    store.append(&event(), None).unwrap();
    let mut in_the_child = Some(store.clone());
    in_child(|| {
        drop(in_the_child.take());
        true
    });
    let error = Store::open(&path, &OpenOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(store.append(&event(), None).unwrap().sequence, 1);
}

#[test]
fn a_child_may_open_the_store_itself_for_reading() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = Store::open(&path, &OpenOptions::default()).unwrap();
    let id: Id = store.append(&event(), None).unwrap().id;
    in_child(|| {
        let locked = Store::open(&path, &OpenOptions::default());
        let reader = Store::open(&path, &OpenOptions::mode(OpenMode::ReadOnly));
        locked.is_err_and(|error| error.kind() == ErrorKind::Locked)
            && reader.is_ok_and(|reader| reader.get(id).is_ok_and(|found| found.is_some()))
    });
}

#[test]
fn closing_gives_the_lock_back_while_a_child_lives() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = Store::open(&path, &OpenOptions::default()).unwrap();
    store.append(&event(), None).unwrap();
    // SAFETY: the child calls only `pause`, and the parent ends it below.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: neither call has preconditions; the alarm ends the child if the parent died.
        unsafe {
            libc::alarm(60);
            libc::pause();
            libc::_exit(0);
        }
    }
    let reopened = store.close().and_then(|()| Store::open(&path, &OpenOptions::default()));
    // SAFETY: `child` is a child of this process that nobody has waited for.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    assert_eq!(reopened.unwrap().head().unwrap().events, 1);
}
