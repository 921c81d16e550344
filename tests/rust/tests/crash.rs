//! Crashes at every change of the file system, in the simulated one: during open, append, batch,
//! rotation and close, with the recovery itself crashing too. After any number of them the store
//! opens by itself, the log is a prefix of what was accepted, and nothing acknowledged is lost.

use batpak_core::{Durability, ErrorKind, EventKind, Hash, NewEvent, OpenOptions, Query, Store};
use batpak_tests::sim::{Fault, Loss, SimVfs};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/store";

fn options() -> OpenOptions {
    OpenOptions { segment_bytes: 4096, seed: Some(1), buffer_ms: 60_000, ..Default::default() }
}

fn open(vfs: &SimVfs) -> batpak_core::Result<Store> {
    Store::open_on(Arc::new(vfs.clone()), Path::new(DIR), &options())
}

/// What the callers know of a log: which events were acknowledged, and how safely.
#[derive(Clone, Default)]
struct Known {
    /// By sequence; an event whose append ended in an error is not here.
    hashes: Vec<Option<Hash>>,
    durable: u64,
    written: u64,
    /// The sequences of each batch, as ranges.
    batches: Vec<std::ops::Range<u64>>,
}

impl Known {
    fn note(&mut self, sequence: u64, hash: Hash) {
        let at = sequence as usize;
        if self.hashes.len() <= at {
            self.hashes.resize(at + 1, None);
        }
        self.hashes[at] = Some(hash);
    }
}

/// Appends in every way until it is done or something fails. The random choices follow the seed.
fn work(store: &Store, known: &mut Known, seed: u64, steps: u64) -> Result<(), batpak_core::Error> {
    let mut state = seed;
    let mut random = move |n: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    for _ in 0..steps {
        let kind = EventKind::new(1, random(3) as u16)?;
        let payload = vec![random(256) as u8; random(700) as usize];
        let names: Vec<String> = (0..5).map(|_| format!("entity:{}", random(6))).collect();
        let durability = match random(4) {
            0 => Durability::Buffered,
            1 => Durability::Written,
            _ => Durability::Durable,
        };
        let count = if random(3) == 0 { 2 + random(4) } else { 1 };
        let events: Vec<_> = (0..count as usize)
            .map(|i| NewEvent::new(&names[i], "scope", kind, &payload))
            .collect();
        let receipts = store.append_batch(&events, Some(durability))?;
        for receipt in &receipts {
            known.note(receipt.sequence, receipt.hash);
        }
        let end = receipts.last().unwrap().sequence + 1;
        known.batches.push(receipts[0].sequence..end);
        match durability {
            Durability::Durable => known.durable = end,
            Durability::Written => known.written = end,
            Durability::Buffered => {}
        }
    }
    store.close()?;
    known.durable = known.hashes.len() as u64;
    Ok(())
}

/// The store holds a prefix that contains everything acknowledged, whole batches only.
fn check(store: &Store, known: &mut Known, loss: Loss, context: &str) {
    let report = store.verify().unwrap();
    assert!(report.is_intact(), "{context}: {:?}", report.findings);
    let events: Vec<_> = store.read(Query::default()).unwrap().collect::<Result<_, _>>().unwrap();
    let count = events.len() as u64;
    let kept = match loss {
        Loss::Process => known.durable.max(known.written),
        Loss::Power(_) => known.durable,
    };
    assert!(count >= kept, "{context}: {count} events, {kept} were acknowledged");
    for (sequence, event) in events.iter().enumerate() {
        assert_eq!(event.sequence(), sequence as u64, "{context}");
        if let Some(Some(hash)) = known.hashes.get(sequence) {
            assert_eq!(event.hash(), *hash, "{context}: event {sequence} is another");
        }
    }
    for batch in &known.batches {
        let whole = batch.end <= count || batch.start >= count;
        assert!(whole, "{context}: half of the batch {batch:?} of {count}");
    }
    // What is there now was recovered, and synced by the recovery.
    known.hashes = events.iter().map(|event| Some(event.hash())).collect();
    known.batches.retain(|batch| batch.end <= count);
    known.durable = count;
    known.written = count;
}

/// One life: open, work, and the fault somewhere; then what is found after it.
fn live(vfs: &SimVfs, known: &mut Known, seed: u64, steps: u64) -> bool {
    match open(vfs) {
        Ok(store) => work(&store, known, seed, steps).is_ok(),
        Err(error) => {
            assert!(vfs.crashed(), "a store must open after any crash: {error:?}");
            false
        }
    }
}

fn crash_everywhere(fault: Fault, loss: impl Fn(u64) -> Loss, seeds: std::ops::Range<u64>) -> u64 {
    let mut crashes = 0;
    for seed in seeds {
        let mut point = 0;
        loop {
            // Skip ahead at random, so that many seeds together cover every point.
            point += 1 + (seed * 7 + point * 13) % 5;
            let mut vfs = SimVfs::default();
            let mut known = Known::default();
            vfs.fail_at(point, fault);
            if live(&vfs, &mut known, seed, 12) {
                break;
            }
            crashes += 1;
            // Further lives, each crashing early: in the recovery of the one before.
            // A power cut since the last check takes what was only written, whatever came after.
            let mut worst = Loss::Process;
            let worse = |so_far: Loss, now: Loss| if now == Loss::Process { so_far } else { now };
            for life in 0..4u64 {
                let loss = loss(seed * 1000 + point * 10 + life);
                worst = worse(worst, loss);
                vfs = vfs.after_crash(loss);
                let context = format!("seed {seed}, point {point}, life {life}");
                vfs.fail_at(1 + (point + life * 3 + seed) % 9, fault);
                let opened = open(&vfs).map(drop);
                if opened.is_ok() {
                    // It opened in spite of the fault to come: let it meet it.
                    let survivor = vfs.after_crash(Loss::Process);
                    check(&open(&survivor).unwrap(), &mut known, worst, &context);
                    worst = Loss::Process;
                    vfs = survivor;
                    vfs.fail_at(3 + (point * 5 + life) % 40, fault);
                    live(&vfs, &mut known, seed + life, 4);
                } else {
                    assert!(vfs.crashed(), "{context}: {opened:?}");
                }
                crashes += 1;
            }
            let loss = loss(seed + point);
            let vfs = vfs.after_crash(loss);
            let context = format!("seed {seed}, point {point}, at the end");
            let store = open(&vfs).unwrap_or_else(|error| panic!("{context}: {error:?}"));
            check(&store, &mut known, worse(worst, loss), &context);
            work(&store, &mut known, seed, 3).unwrap();
            check(&open(&vfs).unwrap(), &mut known, Loss::Process, &context);
        }
    }
    println!("{crashes} crashes");
    crashes
}

/// Twelve seeds from this one on, or as many as `BATPAK_CRASH_SEEDS` says.
fn seeds(first: u64) -> std::ops::Range<u64> {
    let count = std::env::var("BATPAK_CRASH_SEEDS").map_or(12, |count| count.parse().unwrap());
    first..first + count
}

/// Recovery rows 50, 63, 117.
#[test]
fn killed_before_any_change() {
    assert!(crash_everywhere(Fault::Crash, |_| Loss::Process, seeds(0)) > 500);
}

/// Recovery rows 63, 117.
#[test]
fn killed_in_the_middle_of_any_change() {
    assert!(crash_everywhere(Fault::CrashMidway, |_| Loss::Process, seeds(1 << 20)) > 500);
}

/// Recovery rows 63, 117.
#[test]
fn power_cut_before_any_change() {
    assert!(crash_everywhere(Fault::Crash, Loss::Power, seeds(2 << 20)) > 500);
}

/// Recovery rows 63, 117.
#[test]
fn power_cut_in_the_middle_of_any_change() {
    assert!(crash_everywhere(Fault::CrashMidway, Loss::Power, seeds(3 << 20)) > 500);
}

/// A kill leaves names and bytes that no sync has covered; a power cut after the next life must not
/// take away what that life was built on.
/// Recovery row 117.
#[test]
fn killed_then_power_cut() {
    let mixed = |n: u64| if n.is_multiple_of(2) { Loss::Process } else { Loss::Power(n) };
    for fault in [Fault::Crash, Fault::CrashMidway] {
        assert!(crash_everywhere(fault, mixed, seeds(4 << 20)) > 500);
    }
    // The same with every change as the place of the kill, and a life of durable appends behind it.
    let event = NewEvent::new("e", "s", EventKind::DATA, &[7; 900]);
    for point in 1.. {
        let vfs = SimVfs::default();
        vfs.fail_at(point, Fault::Crash);
        let appended = open(&vfs).and_then(|store| {
            (0..12).try_for_each(|_| store.append(&event, None).map(|_| ()))?;
            store.close()
        });
        if appended.is_ok() {
            break;
        }
        let killed = vfs.after_crash(Loss::Process);
        let store = open(&killed).unwrap();
        let last = store.append(&event, None).unwrap().sequence;
        for seed in 0..20 {
            let store = open(&killed.after_crash(Loss::Power(seed)))
                .unwrap_or_else(|error| panic!("point {point}, seed {seed}: {error:?}"));
            assert!(store.at(last).unwrap().is_some(), "point {point}, seed {seed}");
        }
    }
}

/// Nothing of a write that failed and was taken back can come back after a power cut.
#[test]
fn a_write_taken_back_stays_so() {
    let event = NewEvent::new("e", "s", EventKind::DATA, &[7; 3000]);
    let segment = Path::new("/store/000001.fbat");
    let mut taken_back = 0;
    for point in 1..40 {
        let vfs = SimVfs::default();
        let store = open(&vfs).unwrap();
        store.append(&event, None).unwrap();
        vfs.fail_at(vfs.changes() + point, Fault::DiskFull);
        let Err(error) = store.append(&event, Some(Durability::Written)) else { break };
        if !error.message().contains("cannot write the events") {
            continue;
        }
        assert_eq!(error.kind(), ErrorKind::DiskFull);
        taken_back += 1;
        let settled = vfs.content(segment).unwrap();
        for seed in 0..50 {
            let found = vfs.after_crash(Loss::Power(seed)).content(segment).unwrap();
            assert!(found == settled, "seed {seed}: {} bytes", found.len());
        }
    }
    assert_eq!(taken_back, 1);
}

/// After a failed sync the system takes its pages for clean, and a second sync would not write them:
/// what a reopening finds and builds on must be written again.
/// Recovery row 12.
#[test]
fn reopened_after_a_failed_sync() {
    let event = NewEvent::new("e", "s", EventKind::DATA, &[7; 900]);
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    store.append(&event, None).unwrap();
    // The write, then the sync.
    vfs.fail_at(vfs.changes() + 2, Fault::Io);
    assert_eq!(store.append(&event, None).unwrap_err().kind(), ErrorKind::Indeterminate);
    assert_eq!(store.append(&event, None).unwrap_err().kind(), ErrorKind::Poisoned);
    drop(store);
    let again = vfs.after_crash(Loss::Process);
    let store = open(&again).unwrap();
    assert_eq!(store.frontier().unwrap().durable, 2);
    assert_eq!(store.append(&event, None).unwrap().sequence, 2);
    for seed in 0..50 {
        let store = open(&again.after_crash(Loss::Power(seed))).unwrap();
        assert_eq!(store.head().unwrap().events, 3);
    }
}

/// A failed change, anywhere: the log goes on, or says that it does not, and keeps its promises.
fn fail_everywhere(fault: Fault) {
    let mut rejected = 0;
    let mut poisoned = 0;
    for point in 1.. {
        let vfs = SimVfs::default();
        let mut known = Known::default();
        vfs.fail_at(point, fault);
        let store = match open(&vfs) {
            Ok(store) => store,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::DiskFull | ErrorKind::Io), "{error:?}");
                open(&vfs).unwrap()
            }
        };
        let result = work(&store, &mut known, 5, 12);
        let context = format!("point {point}");
        if let Err(error) = &result {
            // Reads go on, and show nothing but acknowledged events.
            let visible = store.read(Query::default());
            if let Ok(scan) = visible {
                for event in scan {
                    let event = event.unwrap();
                    let expected = known.hashes.get(event.sequence() as usize).copied().flatten();
                    assert_eq!(Some(event.hash()), expected, "{context}");
                }
            }
            match error.kind() {
                ErrorKind::DiskFull => {
                    // Space is back: appends go on where they stopped.
                    rejected += 1;
                    let events = store.frontier().map_or(0, |frontier| frontier.visible);
                    if store.frontier().is_ok() {
                        assert_eq!(events, known.hashes.len() as u64, "{context}");
                        work(&store, &mut known, 6, 6).unwrap();
                    }
                }
                ErrorKind::Indeterminate | ErrorKind::Io => {
                    let event = NewEvent::new("e", "s", EventKind::DATA, b"");
                    match store.append(&event, None) {
                        Ok(receipt) => {
                            // Only a write that was taken back leaves the store as it was.
                            assert_eq!(error.kind(), ErrorKind::Io, "{context}");
                            rejected += 1;
                            known.note(receipt.sequence, receipt.hash);
                            known.durable = receipt.sequence + 1;
                        }
                        Err(refused) => {
                            let kinds = [ErrorKind::Poisoned, ErrorKind::Closed];
                            assert!(kinds.contains(&refused.kind()), "{context}: {refused:?}");
                            poisoned += 1;
                        }
                    }
                }
                kind => panic!("{context}: {kind:?} {error:?}"),
            }
        }
        drop(store);
        let unharmed = vfs.changes() < point;
        for loss in [Loss::Process, Loss::Power(point), Loss::Power(!point)] {
            // What was refused does not come back, whatever a crash brings back.
            let store = open(&vfs.after_crash(loss)).unwrap();
            let refused = matches!(&result, Err(e) if e.kind() == ErrorKind::DiskFull);
            if result.is_ok() || refused {
                assert!(store.head().unwrap().events <= known.hashes.len() as u64, "{context}");
            }
            check(&store, &mut known.clone(), loss, &context);
        }
        let vfs = vfs.after_crash(Loss::Process);
        check(&open(&vfs).unwrap(), &mut known, Loss::Process, &context);
        if unharmed {
            break;
        }
    }
    match fault {
        Fault::DiskFull => assert!(rejected > 20, "{rejected} rejected, {poisoned} poisoned"),
        _ => assert!(poisoned > 10 && rejected > 5, "{rejected} rejected, {poisoned} poisoned"),
    }
}

#[test]
fn no_space_at_any_change() {
    fail_everywhere(Fault::DiskFull);
}

#[test]
fn an_input_output_error_at_any_change() {
    fail_everywhere(Fault::Io);
}
