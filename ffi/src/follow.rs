//! Following a query: what is there first, then what is appended.

use crate::argument::Output;
use crate::exclusive::Exclusive;
use crate::guard::guard;
use crate::handle::{self, Handled};
use crate::read::{batpak_query, check_max_events};
use crate::status::{batpak_error, batpak_status};
use crate::store::{batpak_store, on_store};
use crate::view::{ViewOutput, batpak_event, batpak_view};
use batpak_core::{Error, ErrorKind, Follow};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A query that goes on. Opened by batpak_store_follow, closed by batpak_follow_close.
pub struct batpak_follow;

/// What a follow handle stands for.
struct OpenFollow {
    follow: Exclusive<Follow>,
    /// The position after the last call, which can be asked for while the next one waits.
    position: AtomicU64,
    closed: AtomicBool,
}

impl Handled for OpenFollow {
    type Pointee = batpak_follow;
}

/// A call that waits looks this often whether its handle was closed.
const LOOK: Duration = Duration::from_millis(100);

/// Starts to follow a query: it gives what is there, then what is appended, as it becomes visible,
/// in order and without loss. In a store opened for reading it follows a writer in another process.
///
/// query: may be null for everything; its direction is forward, and it has no limit. follow: gets
/// the handle, which the caller closes with batpak_follow_close.
///
/// Errors: BATPAK_INVALID_ARGUMENT, BATPAK_INVALID_COORDINATE, BATPAK_INVALID_KIND,
/// BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_FORKED, BATPAK_TOO_LARGE when there are too many
/// handles. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_follow(
    store: *const batpak_store,
    query: *const batpak_query,
    follow: *mut *mut batpak_follow,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, query) = unsafe { (Output::new("follow", follow)?, batpak_query::of(query)?) };
        let reservation = handle::reserve()?;
        on_store(store, |store| {
            let follow = store.follow(query)?;
            let position = follow.position().into();
            let follow = Exclusive::new(follow);
            output.set(reservation.fill(OpenFollow { follow, position, closed: false.into() }));
            Ok(())
        })
    })
}

/// The next events, without copying them. When there are none yet, waits until there are.
///
/// max_events: at most so many, from 1. max_bytes: no more events once their payloads have so many
/// bytes; one event is given in any case. timeout_ms: the longest wait, in milliseconds. view: gets
/// a view, which the caller releases, or null when the time was up. events: gets the events, valid
/// until the view is released. count: gets how many; 0 when the time was up.
///
/// Errors: BATPAK_CLOSED when the store was closed, or another thread closed the follow during the
/// wait; BATPAK_BAD_HANDLE, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED, BATPAK_TOO_LARGE when there
/// are too many handles, BATPAK_INVALID_ARGUMENT also when another thread is in a call on this
/// follow. Threads: any, one at a time. Closing the store ends a wait at once, closing the follow
/// within a tenth of a second.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_follow_next(
    follow: *mut batpak_follow,
    max_events: usize,
    max_bytes: usize,
    timeout_ms: u64,
    view: *mut *mut batpak_view,
    events: *mut *const batpak_event,
    count: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { ViewOutput::new(view, events, count) }?;
        check_max_events(max_events)?;
        handle::with::<OpenFollow>(follow, |open| {
            let mut follow = open.follow.lock()?;
            let started = Instant::now();
            let timeout = Duration::from_millis(timeout_ms);
            loop {
                let left = timeout.saturating_sub(started.elapsed());
                let page = follow.next_page(max_events, max_bytes, left.min(LOOK))?;
                open.position.store(follow.position(), Ordering::Release);
                if !page.is_empty() || left <= LOOK {
                    output.set(page);
                    return Ok(());
                }
                if open.closed.load(Ordering::Acquire) {
                    return Err(Error::new(ErrorKind::Closed, "the follow is closed"));
                }
            }
        })
    })
}

/// The next sequence to be looked at: what to put into from of a query that goes on after a
/// restart.
///
/// position: gets the sequence. Every event that matched before it was given.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once, and while
/// another waits in batpak_follow_next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_follow_position(
    follow: *const batpak_follow,
    position: *mut u64,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { Output::new("position", position) }?;
        handle::with::<OpenFollow>(follow, |open| {
            output.set(open.position.load(Ordering::Acquire));
            Ok(())
        })
    })
}

/// Ends a follow. Views that it gave stay valid.
///
/// follow: may be null, which does nothing.
///
/// Errors: BATPAK_BAD_HANDLE. Threads: any, also while a call runs on the follow, which ends with
/// BATPAK_CLOSED if it waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_follow_close(
    follow: *mut batpak_follow,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        if follow.is_null() {
            return Ok(());
        }
        handle::remove::<OpenFollow>(follow, |open| {
            open.closed.store(true, Ordering::Release);
            Ok(())
        })
    })
}
