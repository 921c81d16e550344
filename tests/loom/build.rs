//! Takes the commit queue as it is in core, and puts loom's locks, atomics and threads in place of the
//! system's. Each exchange must find its place: a queue that has changed is not checked by halves.

use std::path::Path;

const QUEUE: &str = "../../core/src/store/queue.rs";

const EXCHANGES: [(&str, &str); 11] = [
    ("use parking_lot::", "use crate::locks::"),
    ("use std::sync::atomic::", "use loom::sync::atomic::"),
    (
        "use std::sync::{Arc, Condvar, PoisonError, Weak};",
        "use loom::sync::Condvar;\nuse std::sync::{Arc, PoisonError, Weak};",
    ),
    ("std::sync::Mutex", "loom::sync::Mutex"),
    ("std::thread::yield_now", "loom::thread::yield_now"),
    ("std::hint::spin_loop", "loom::hint::spin_loop"),
    ("thread_local!", "loom::thread_local!"),
    ("= const {", "= {"),
    // loom keeps the one order of all sequentially consistent operations for fences only.
    (
        "self.sleepers.fetch_add(1, Ordering::SeqCst);",
        "self.sleepers.fetch_add(1, Ordering::SeqCst);\nfence(Ordering::SeqCst);",
    ),
    // A look more is an interleaving more, and no other outcome.
    ("const SPINS: u32 = 20;", "const SPINS: u32 = 0;"),
    ("const YIELDS: u32 = 40;", "const YIELDS: u32 = 0;"),
];

/// The size of a group decides who is left over.
const GROUP_BYTES: &str = "const GROUP_BYTES: usize = 64 << 20;";

fn main() {
    println!("cargo::rerun-if-changed={QUEUE}");
    let source = std::fs::read_to_string(QUEUE).expect("the commit queue of core");
    let lines = source.lines().filter(|line| !line.starts_with("//!"));
    let mut queue = lines.collect::<Vec<_>>().join("\n");
    for (system, loom) in EXCHANGES {
        assert!(queue.contains(system), "the commit queue has no `{system}`");
        queue = queue.replace(system, loom);
    }
    assert!(queue.contains(GROUP_BYTES), "the commit queue has no `{GROUP_BYTES}`");
    let small = queue.replace(GROUP_BYTES, "const GROUP_BYTES: usize = 1;");
    let out = std::env::var_os("OUT_DIR").expect("cargo names a folder");
    for (name, text) in [("queue.rs", queue), ("small_groups.rs", small)] {
        std::fs::write(Path::new(&out).join(name), text).expect("a file in cargo's folder");
    }
}
