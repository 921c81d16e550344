//! How threads wait for events to become visible, with as little of a store as will do.

use crate::locks::{Condvar, Mutex, RwLock};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::time::Duration;

/// What of a store the waiting touches.
#[derive(Default)]
pub struct Inner {
    waiting: AtomicUsize,
    grown: (Mutex<()>, Condvar),
    live: RwLock<Live>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Live(u64);

impl Live {
    fn visible(&self) -> u64 {
        self.0
    }
}

include!(concat!(env!("OUT_DIR"), "/growth.rs"));

impl Inner {
    /// Shows one more event, as a commit does.
    pub fn grow(&self) {
        self.live.write().0 += 1;
        self.wake_waiters();
    }

    /// Ends all waiting, as a close does.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake_waiters();
    }

    /// Waits until there are so many events, or the store is closed; gives how many there are.
    pub fn wait(&self, events: u64) -> Option<u64> {
        loop {
            if self.closed.load(Ordering::Acquire) {
                return None;
            }
            let visible = self.live.read().visible();
            if visible >= events {
                return Some(visible);
            }
            self.wait_for_growth(events, Duration::MAX, || false);
        }
    }
}
