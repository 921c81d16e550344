//! What readers in other processes see while a writer works: at every call that the writer makes to
//! the system, whole batches only, never an event that is rejected later, never one that waits for
//! its sync, and everything that was acknowledged as written.

use batpak_core::{
    Durability, ErrorKind, EventKind, Hash, NewEvent, OpenMode, OpenOptions, Query, Store,
};
use batpak_tests::sim::{Loss, SimVfs};
use batpak_tests::watched::{Call, Fate, Gate, Watched};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const DIR: &str = "/store";

fn read_only(vfs: &SimVfs) -> Store {
    let options = OpenOptions::mode(OpenMode::ReadOnly);
    Store::open_on(Arc::new(vfs.clone()), Path::new(DIR), &options).unwrap()
}

fn hashes_from(store: &Store, from: u64) -> Vec<Hash> {
    let events = store.read(Query::default().from(from)).unwrap();
    events.map(|event| event.unwrap().hash()).collect()
}

/// Two readers: one that follows, and one that opens the store at every look.
struct Observer {
    disk: SimVfs,
    follower: Store,
    looks: Mutex<Looks>,
}

/// What was seen, and what may be.
#[derive(Default)]
struct Looks {
    count: u64,
    seen: Vec<Hash>,
    /// Where batches end.
    ends: Vec<u64>,
    least: u64,
    most: u64,
    /// Since the head could not be written, readers may know less than they could.
    head_failed: bool,
    /// What should not have been seen. A look comes in the middle of the writer's calls, where a
    /// panic would become an error of the writer.
    wrong: Vec<String>,
}

impl Looks {
    fn at(&mut self, reader: &Store) -> Result<(), String> {
        let events = reader.head().map_err(|error| error.to_string())?.events;
        let (least, most) = (self.least, self.most);
        if !(least..=most).contains(&events) || !self.ends.contains(&events) {
            return Err(format!("{events} events are visible: {least}..={most}, {:?}", self.ends));
        }
        let known = self.seen.len().min(events as usize);
        let from = known.saturating_sub(1);
        let found = hashes_from(reader, from as u64);
        if found[..known - from] != self.seen[from..known] {
            return Err(format!("the event before {known} has changed"));
        }
        self.seen.extend_from_slice(&found[known - from..]);
        Ok(())
    }
}

impl Observer {
    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let mut looks = self.looks();
        looks.count += 1;
        let refreshed = self.follower.refresh().map_err(|error| error.to_string());
        let seen = refreshed.and_then(|_| looks.at(&self.follower));
        let seen = seen.and_then(|()| looks.at(&read_only(&self.disk)));
        looks.wrong.extend(seen.err());
    }

    fn head_failed(&self) {
        let mut looks = self.looks();
        looks.head_failed = true;
        looks.least = 0;
    }
}

/// How the chosen call of the writer fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Io,
    DiskFull,
    /// A write takes half of its bytes, and the rest does not fit.
    Half,
}

/// Appends in every way, looks at every call, and lets the call with this number fail. Gives
/// whether there was such a call.
fn watch_a_writer(failure: Failure, fails_at: u64) -> bool {
    let disk = SimVfs::default();
    let watched = Watched::new(Arc::new(disk.clone()));
    let options = OpenOptions { segment_bytes: 4096, buffer_ms: 600_000, ..OpenOptions::default() };
    let store = Store::open_on(Arc::new(watched.clone()), Path::new(DIR), &options).unwrap();
    store.append(&NewEvent::new("e", "s", EventKind::DATA, b""), None).unwrap();
    let ends = vec![0, 1];
    let looks = Mutex::new(Looks { ends, least: 1, most: 1, ..Looks::default() });
    let observer = Arc::new(Observer { disk: disk.clone(), follower: read_only(&disk), looks });

    let (looking, calls) = (observer.clone(), Mutex::new(0));
    watched.rule(move |call| {
        if matches!(call, Call::Read { .. }) {
            return Fate::Done;
        }
        looking.look();
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls += 1;
        let fate = match (failure, call) {
            (Failure::Half, Call::Write { bytes, .. }) if *calls == fails_at => {
                Fate::Short(bytes / 2)
            }
            (Failure::Half, _) if *calls == fails_at + 1 => Fate::Fails(libc::ENOSPC),
            (Failure::Io, _) if *calls == fails_at => Fate::Fails(libc::EIO),
            (Failure::DiskFull, _) if *calls == fails_at => Fate::Fails(libc::ENOSPC),
            _ => Fate::Done,
        };
        if fate != Fate::Done && matches!(call, Call::Write { file: "head", .. }) {
            looking.head_failed();
        }
        fate
    });

    let mut poisoned = false;
    for step in 0..40u64 {
        let durability = [Durability::Written, Durability::Durable, Durability::Buffered]
            [(step * step + step / 5) as usize % 3];
        let payload = vec![step as u8; (step * 97 % 700) as usize];
        let event = NewEvent::new("e", "s", EventKind::DATA, &payload);
        let batch = vec![event; 1 + (step % 3) as usize];
        let before = store.head().unwrap().events;
        let after = before + batch.len() as u64;
        {
            let mut looks = observer.looks();
            looks.ends.push(after);
            looks.head_failed &= durability == Durability::Buffered;
            looks.most = if durability == Durability::Written { after } else { before };
        }
        let appended = store.append_batch(&batch, Some(durability));
        let mut looks = observer.looks();
        looks.most = store.frontier().unwrap().written;
        match appended {
            Ok(_) if durability == Durability::Buffered => {}
            Ok(_) => {
                looks.least = if looks.head_failed { 0 } else { looks.most };
            }
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::Panic, "{failure:?} at {fails_at}");
                looks.ends.pop();
                poisoned |= matches!(error.kind(), ErrorKind::Poisoned | ErrorKind::Indeterminate);
            }
        }
        drop(looks);
        observer.look();
        if poisoned {
            break;
        }
    }
    watched.no_rule();
    drop(store);
    let survivor = disk.after_crash(Loss::Process);
    let store = Store::open_on(Arc::new(survivor), Path::new(DIR), &options).unwrap();
    let looks = observer.looks();
    assert_eq!(looks.wrong, [""; 0], "{failure:?} at {fails_at}");
    let kept = hashes_from(&store, 0);
    assert!(kept.starts_with(&looks.seen), "{failure:?} at {fails_at}: a visible event has gone");
    looks.count >= fails_at
}

#[test]
fn at_every_call_and_every_failure() {
    for failure in [Failure::Io, Failure::DiskFull, Failure::Half] {
        let failed = (1..).find(|fails_at| !watch_a_writer(failure, *fails_at)).unwrap();
        assert!(failed > 60, "{failure:?}: {failed}");
    }
}

/// A reader that was told by the head to take in what is written, and is held up before it reads:
/// what comes meanwhile is to be synced, and the sync fails.
#[test]
fn a_slow_reader_sees_no_event_that_waits_for_its_sync() {
    let event = NewEvent::new("e", "s", EventKind::DATA, b"");
    let disk = SimVfs::default();
    let of_writer = Watched::new(Arc::new(disk.clone()));
    let of_reader = Watched::new(Arc::new(disk.clone()));
    let options = OpenOptions::default();
    let store = Store::open_on(Arc::new(of_writer.clone()), Path::new(DIR), &options).unwrap();
    store.append(&event, Some(Durability::Written)).unwrap();
    let options = OpenOptions::mode(OpenMode::ReadOnly);
    let reader = Store::open_on(Arc::new(of_reader.clone()), Path::new(DIR), &options).unwrap();
    assert_eq!(reader.refresh().unwrap(), 1);

    let (read, synced) = (Gate::default(), Gate::default());
    let at_read = read.clone();
    of_reader.rule(move |call| {
        if call.reads_segment() {
            at_read.pass();
        }
        Fate::Done
    });
    let at_sync = synced.clone();
    of_writer.rule(move |call| {
        if call.syncs_segment() {
            at_sync.pass();
            return Fate::Fails(libc::EIO);
        }
        Fate::Done
    });
    std::thread::scope(|scope| {
        let refreshed = scope.spawn(|| reader.refresh().unwrap());
        read.reached();
        let appended = scope.spawn(|| store.append(&event, Some(Durability::Durable)));
        synced.reached();
        read.open();
        let visible = refreshed.join();
        synced.open();
        assert_eq!(visible.unwrap(), 1, "an event is visible before it is synced");
        let error = appended.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate);
    });
    assert_eq!(reader.refresh().unwrap(), 1);
}
