//! Takes the commit queue, and how threads wait for events, as they are in core, and puts loom's
//! locks, atomics and threads in place of the system's. Each exchange must find its place: what has
//! changed is not checked by halves.

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

/// The two sides of waiting for events, by file and first line.
const GROWTH: [(&str, &str); 2] = [
    ("../../core/src/store/follow.rs", "    fn wait_for_growth("),
    ("../../core/src/store/mod.rs", "    fn wake_waiters("),
];
const WAITER_COUNTED: &str = "self.waiting.fetch_add(1, Ordering::SeqCst);";

fn read(path: &str) -> String {
    println!("cargo::rerun-if-changed={path}");
    std::fs::read_to_string(path).expect("a file of core")
}

fn exchange(text: &str, system: &str, loom: &str) -> String {
    assert!(text.contains(system), "core has no `{system}`");
    text.replace(system, loom)
}

fn main() {
    let source = read(QUEUE);
    let lines = source.lines().filter(|line| !line.starts_with("//!"));
    let mut queue = lines.collect::<Vec<_>>().join("\n");
    for (system, loom) in EXCHANGES {
        queue = exchange(&queue, system, loom);
    }
    let small = exchange(&queue, GROUP_BYTES, "const GROUP_BYTES: usize = 1;");

    let functions = GROWTH.map(|(file, first)| {
        let source = read(file);
        let start = source.find(first).unwrap_or_else(|| panic!("{file} has no `{first}`"));
        let end = source[start..].find("\n    }\n").expect("the end of a function");
        source[start..start + end + 7].to_owned()
    });
    let growth = format!("impl Inner {{\n{}}}\n", functions.join("\n"));
    let fenced = format!("{WAITER_COUNTED}\nfence(Ordering::SeqCst);");
    let growth = exchange(&growth, WAITER_COUNTED, &fenced);

    let out = std::env::var_os("OUT_DIR").expect("cargo names a folder");
    let files = [("queue.rs", queue), ("small_groups.rs", small), ("growth.rs", growth)];
    for (name, text) in files {
        std::fs::write(Path::new(&out).join(name), text).expect("a file in cargo's folder");
    }
}
