//! Whether this process is a forked child.
//!
//! Every call asks, so asking must not take a system call: the C library tells the child when it is
//! made. This is the only unsafe code of the crate.

#![allow(unsafe_code, reason = "there is no safe way to be told of a fork")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// A number that a forked child does not share with its parent: whoever remembers it knows whether
/// it was inherited.
pub(crate) fn generation() -> u64 {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| {
        // SAFETY: `in_child` stays loaded for as long as its registration, which ends with the
        // library; it does nothing but an atomic addition, which is allowed in a forked child, and
        // never unwinds.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) == 0 }
    });
    match registered {
        true => FORKS.load(Ordering::Relaxed),
        // Memory was short: ask the system each time.
        false => std::process::id().into(),
    }
}
