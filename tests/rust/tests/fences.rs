//! Fences against a model, from many threads, on failing disks, and in the eyes of readers in other
//! processes.

use batpak_core::{
    Causation, Committed, Durability, Error, ErrorKind, EventKind, Expected, Fence, FenceOptions,
    Id, NewEvent, OpenMode, OpenOptions, Query, Store,
};
use batpak_tests::scratch::Scratch;
use batpak_tests::sim::{Fault, Loss, SimVfs};
use batpak_tests::watched::{Call, Fate, Gate, Watched};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

const DIR: &str = "/store";

fn options() -> OpenOptions {
    OpenOptions { segment_bytes: 4096, seed: Some(1), buffer_ms: 600_000, ..Default::default() }
}

fn open(vfs: &SimVfs) -> Store {
    Store::open_on(Arc::new(vfs.clone()), Path::new(DIR), &options()).unwrap()
}

fn read_only(vfs: &SimVfs) -> Store {
    let options = OpenOptions::mode(OpenMode::ReadOnly);
    Store::open_on(Arc::new(vfs.clone()), Path::new(DIR), &options).unwrap()
}

fn in_memory(memory_bytes: usize) -> FenceOptions {
    FenceOptions { memory_bytes }
}

fn event<'a>(entity: &'a str, payload: &'a [u8]) -> NewEvent<'a> {
    NewEvent::new(entity, "s", EventKind::DATA, payload)
}

fn payloads(store: &Store) -> Vec<Vec<u8>> {
    let events = store.read(Query::default()).unwrap();
    events.map(|event| event.unwrap().payload().to_vec()).collect()
}

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// Random numbers that follow a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// An event as a fence of the model holds it.
#[derive(Clone, Debug)]
struct Draft {
    entity: String,
    payload: Vec<u8>,
    id: Option<Id>,
    expected: Expected,
    cause: Option<u32>,
}

impl Draft {
    /// Of a fence that can be repeated if it is `keyed`.
    fn random(random: &mut Random, place: u64, keyed: bool) -> Self {
        let expected = match random.below(12) {
            0 => Expected::NoStream,
            1 => Expected::Exact(random.below(4) as u32),
            _ => Expected::Any,
        };
        Self {
            entity: format!("e:{}", random.below(5)),
            payload: vec![random.below(256) as u8; random.below(300) as usize],
            id: match random.below(3) {
                _ if keyed => Some(Id((random.0 as u128 | 1).to_le_bytes())),
                0 => Some(Id([1 + random.below(250) as u8; 16])),
                _ => None,
            },
            expected,
            cause: (place > 0 && random.below(3) == 0).then(|| random.below(place) as u32),
        }
    }

    fn event(&self) -> NewEvent<'_> {
        NewEvent {
            id: self.id,
            expected: self.expected,
            causation: self.cause.map_or(Causation::None, Causation::Item),
            ..event(&self.entity, &self.payload)
        }
    }
}

/// An event of the model's log.
#[derive(Clone, Debug, PartialEq)]
struct Logged {
    entity: String,
    payload: Vec<u8>,
    id: Id,
    cause: Option<Id>,
    clock: u32,
    batch_continues: bool,
}

impl Logged {
    fn of(event: &batpak_core::Event) -> Self {
        Self {
            entity: event.entity().to_owned(),
            payload: event.payload().to_vec(),
            id: event.id(),
            cause: event.causation(),
            clock: event.clock(),
            batch_continues: event.batch_continues(),
        }
    }
}

#[derive(Default)]
struct Model {
    log: Vec<Logged>,
    /// How often each outcome came about.
    outcomes: BTreeMap<String, u64>,
}

impl Model {
    fn find(&self, id: Option<Id>) -> Option<usize> {
        self.log.iter().position(|logged| Some(logged.id) == id)
    }

    /// What committing this must give.
    fn outcome(&self, drafts: &[Draft]) -> Result<Committed, ErrorKind> {
        let events = drafts.len() as u64;
        let mut known = Vec::new();
        for draft in drafts {
            let Some(at) = self.find(draft.id) else { continue };
            let logged = &self.log[at];
            let cause = draft.cause.and_then(|place| drafts[place as usize].id);
            let same = (&logged.entity, &logged.payload, logged.cause)
                == (&draft.entity, &draft.payload, cause);
            if !same {
                return Err(ErrorKind::IdempotencyConflict);
            }
            known.push(at as u64);
        }
        if !known.is_empty() && known.len() < drafts.len() {
            return Err(ErrorKind::IdempotencyConflict);
        }
        if let Some(first_sequence) = known.first() {
            return Ok(Committed { first_sequence: *first_sequence, events, duplicate: true });
        }
        let mut clocks = BTreeMap::new();
        for logged in &self.log {
            clocks.insert(logged.entity.clone(), logged.clock);
        }
        for draft in drafts {
            let clock = clocks.get(&draft.entity).copied();
            let right = match draft.expected {
                Expected::Any => true,
                Expected::NoStream => clock.is_none(),
                Expected::Exact(expected) => clock == Some(expected),
            };
            if !right {
                return Err(ErrorKind::ClockConflict);
            }
            clocks.insert(draft.entity.clone(), clock.map_or(0, |clock| clock + 1));
        }
        Ok(Committed { first_sequence: self.log.len() as u64, events, duplicate: false })
    }

    /// Takes in what was appended, and compares everything.
    fn compare(&mut self, store: &Store, appended: &[Draft], context: &str) {
        let events: Vec<_> =
            store.read(Query::default()).unwrap().map(|event| event.unwrap()).collect();
        let before = self.log.len();
        assert_eq!(events.len(), before + appended.len(), "{context}");
        let ids: Vec<Id> = events.iter().map(|event| event.id()).collect();
        for (place, draft) in appended.iter().enumerate() {
            let id = ids[before + place];
            assert_eq!(draft.id.unwrap_or(id), id, "{context}");
            let of_entity = |logged: &&Logged| logged.entity == draft.entity;
            let logged = Logged {
                entity: draft.entity.clone(),
                payload: draft.payload.clone(),
                id,
                cause: draft.cause.map(|place| ids[before + place as usize]),
                clock: self.log.iter().filter(of_entity).count() as u32,
                batch_continues: place + 1 < appended.len(),
            };
            self.log.push(logged);
        }
        for (sequence, (event, logged)) in events.iter().zip(&self.log).enumerate() {
            assert_eq!(event.sequence(), sequence as u64, "{context}");
            assert_eq!(Logged::of(event), *logged, "{context}: event {sequence}");
        }
    }
}

/// What a fence reads back is what was staged.
fn check_staged(fence: &Fence, drafts: &[Draft], random: &mut Random) {
    assert_eq!(fence.events().unwrap(), drafts.len() as u64);
    let from = random.below(drafts.len() as u64 + 2);
    let (most, bytes) = (1 + random.below(8) as usize, 1 + random.below(2000) as usize);
    let (mut place, mut found) = (from, 0);
    loop {
        let page = fence.read(place, most, bytes).unwrap();
        assert!(page.len() <= most);
        if page.is_empty() {
            break;
        }
        for event in page {
            let draft = &drafts[place as usize];
            assert_eq!((event.sequence(), event.clock()), (place, 0));
            assert_eq!((event.entity(), event.payload()), (&*draft.entity, &*draft.payload));
            assert_eq!(event.id(), draft.id.unwrap_or(Id::NONE));
            let cause = draft.cause.and_then(|place| drafts[place as usize].id);
            assert_eq!(event.causation(), cause);
            assert_eq!((event.hash().0, event.prev_hash().0), ([0; 32], [0; 32]));
            place += 1;
            found += 1;
        }
    }
    assert_eq!(found, (drafts.len() as u64).saturating_sub(from));
}

fn random_life(seed: u64, outcomes: &mut BTreeMap<String, u64>) {
    let mut random = Random(seed);
    let vfs = SimVfs::default();
    let mut store = open(&vfs);
    let mut model = Model::default();
    let mut fences: Vec<(Fence, Vec<Draft>, bool)> = Vec::new();
    let mut committed: Vec<Vec<Draft>> = Vec::new();
    for step in 0..120 {
        let context = format!("seed {seed}, step {step}");
        let durability = [Durability::Durable, Durability::Written, Durability::Buffered]
            [random.below(3) as usize];
        let chosen = random.below(fences.len().max(1) as u64) as usize;
        let mut appended = Vec::new();
        match random.below(16) {
            0..=2 => {
                let memory = [0, 500, 3000, 1 << 20][random.below(4) as usize];
                let fence = store.begin_fence(&in_memory(memory)).unwrap();
                fences.push((fence, Vec::new(), random.below(3) == 0));
            }
            3..=8 if !fences.is_empty() => {
                let (fence, drafts, keyed) = &mut fences[chosen];
                let place = drafts.len() as u64;
                let more: Vec<_> = (place..place + random.below(5))
                    .map(|place| Draft::random(&mut random, place, *keyed))
                    .collect();
                let given: Vec<_> =
                    drafts.iter().chain(&more).filter_map(|draft| draft.id).collect();
                let twice = (1..given.len()).any(|at| given[..at].contains(&given[at]));
                let events: Vec<_> = more.iter().map(Draft::event).collect();
                let staged = fence.append(&events);
                if twice {
                    assert_eq!(kind(staged), ErrorKind::InvalidArgument, "{context}");
                } else {
                    assert_eq!(staged.unwrap(), place, "{context}");
                    drafts.extend(more);
                }
                check_staged(fence, drafts, &mut random);
            }
            9..=11 if !fences.is_empty() => {
                let (fence, drafts, keyed) = &fences[chosen];
                let keyed = *keyed;
                let expected = model.outcome(drafts);
                let result = fence.commit(Some(durability));
                let said = match &expected {
                    Ok(Committed { duplicate: true, .. }) => "duplicate".to_owned(),
                    Ok(_) => "committed".to_owned(),
                    Err(kind) => kind.name().to_owned(),
                };
                *model.outcomes.entry(said).or_default() += 1;
                assert_eq!(result.map_err(|error| error.kind()), expected, "{context}");
                match expected {
                    Ok(Committed { duplicate, .. }) => {
                        assert_eq!(kind(fence.commit(None)), ErrorKind::Closed, "{context}");
                        let (_, drafts, _) = fences.swap_remove(chosen);
                        if !duplicate {
                            appended = drafts.clone();
                        }
                        if keyed {
                            committed.push(drafts);
                        }
                    }
                    Err(_) => check_staged(fence, drafts, &mut random),
                }
            }
            12 if !fences.is_empty() => {
                let (fence, ..) = fences.swap_remove(chosen);
                if random.below(2) == 0 {
                    fence.cancel().unwrap();
                    assert_eq!(kind(fence.append(&[])), ErrorKind::Closed, "{context}");
                    assert_eq!(kind(fence.events()), ErrorKind::Closed, "{context}");
                    assert_eq!(kind(fence.cancel()), ErrorKind::Closed, "{context}");
                }
            }
            13 if !committed.is_empty() => {
                // What was committed once, again.
                let drafts = committed[random.below(committed.len() as u64) as usize].clone();
                let memory = [0, 1 << 20][random.below(2) as usize];
                let fence = store.begin_fence(&in_memory(memory)).unwrap();
                fence.append(&drafts.iter().map(Draft::event).collect::<Vec<_>>()).unwrap();
                fences.push((fence, drafts, true));
            }
            14 => {
                store.close().unwrap();
                for (fence, ..) in fences.drain(..) {
                    assert_eq!(kind(fence.commit(None)), ErrorKind::Closed, "{context}");
                    assert_eq!(kind(fence.read(0, 1, 1)), ErrorKind::Closed, "{context}");
                }
                drop(store);
                store = open(&vfs);
            }
            _ => {
                let draft = Draft { cause: None, ..Draft::random(&mut random, 0, false) };
                let expected = model.outcome(std::slice::from_ref(&draft));
                let result = store.append(&draft.event(), Some(durability));
                match expected {
                    Ok(Committed { first_sequence, duplicate, .. }) => {
                        let receipt = result.unwrap();
                        assert_eq!(receipt.sequence, first_sequence, "{context}");
                        if !duplicate {
                            appended = vec![draft];
                        }
                    }
                    Err(expected) => assert_eq!(kind(result), expected, "{context}"),
                }
            }
        }
        model.compare(&store, &appended, &context);
        let is_of_fence = |path: &std::path::PathBuf| path.to_string_lossy().contains("fence");
        assert_eq!(vfs.paths().iter().find(|path| is_of_fence(path)), None, "{context}");
    }
    drop(fences);
    assert_eq!(store.verify().unwrap().findings, []);
    store.close().unwrap();
    let store = open(&vfs);
    model.compare(&store, &[], &format!("seed {seed}, reopened"));
    assert_eq!(store.verify().unwrap().findings, []);
    for (outcome, count) in model.outcomes {
        *outcomes.entry(outcome).or_default() += count;
    }
}

/// Recovery row 65.
#[test]
fn as_the_model_says() {
    let mut outcomes = BTreeMap::new();
    for seed in 0..60 {
        random_life(seed, &mut outcomes);
    }
    println!("{outcomes:?}");
    for outcome in ["committed", "duplicate", "IDEMPOTENCY_CONFLICT", "CLOCK_CONFLICT"] {
        assert!(outcomes.get(outcome).is_some_and(|count| *count > 20), "{outcomes:?}");
    }
}

/// The payloads of a fence that is written in many pieces.
fn large() -> Vec<Vec<u8>> {
    (0..24).map(|number: u8| vec![number; 60 + usize::from(number) * 37]).collect()
}

/// Durable events, then a fence beside other appends, then a close. Notes what was acknowledged.
#[derive(Default)]
struct Life {
    /// The size of the events before the fence: if they fill the segment, it is sealed by the commit.
    before_bytes: usize,
    /// How many events before the fence are durable.
    before: usize,
    committed: bool,
    /// How many events behind the fence are durable.
    behind: usize,
}

impl Life {
    fn live(&mut self, store: &Store) -> Result<(), Error> {
        for number in 0..3 {
            store.append(&event("before", &vec![number; self.before_bytes]), None)?;
            self.before += 1;
        }
        let fence = store.begin_fence(&in_memory(400))?;
        for (number, payload) in large().iter().enumerate() {
            fence.append(&[event(["a", "b"][number % 2], payload)])?;
            if number == 12 {
                store.append(&event("before", b"beside"), None)?;
                self.before += 1;
            }
        }
        let committed = fence.commit(None)?;
        assert_eq!(committed.first_sequence, self.before as u64);
        self.committed = true;
        for number in 0..2 {
            store.append(&event("behind", &[number; 200]), None)?;
            self.behind += 1;
        }
        store.close()
    }

    fn check(&self, store: &Store, context: &str) -> Vec<Vec<u8>> {
        let found = payloads(store);
        let mut expected: Vec<Vec<u8>> =
            (0..3).map(|number| vec![number; self.before_bytes]).collect();
        expected.push(b"beside".to_vec());
        let first = expected.len();
        expected.extend(large());
        let last = expected.len();
        expected.extend((0..2).map(|number| vec![number; 200]));
        assert_eq!(found[..], expected[..found.len()], "{context}");
        let whole = found.len() <= first || found.len() >= last;
        assert!(whole, "{context}: {} events, half of the fence", found.len());
        let durable = if self.committed { last + self.behind } else { self.before };
        assert!(found.len() >= durable, "{context}: {} of {durable} events", found.len());
        assert_eq!(store.verify().unwrap().findings, [], "{context}");
        found
    }
}

fn has_fence_file(vfs: &SimVfs) -> bool {
    vfs.paths().iter().any(|path| path.to_string_lossy().contains("fence"))
}

fn crash_everywhere(fault: Fault, losses: &[Loss], before_bytes: usize) {
    let (mut points, mut leftovers) = (0, 0);
    loop {
        points += 1;
        let vfs = SimVfs::default();
        vfs.fail_at(points, fault);
        let mut life = Life { before_bytes, ..Life::default() };
        let opened = Store::open_on(Arc::new(vfs.clone()), Path::new(DIR), &options());
        let lived = opened.and_then(|store| life.live(&store));
        if lived.is_ok() {
            break;
        }
        assert!(vfs.crashed(), "point {points}: {lived:?}");
        for loss in losses {
            let context = format!("{fault:?} at {points}, {loss:?}");
            let found = vfs.after_crash(*loss);
            leftovers += u64::from(has_fence_file(&found));
            // What the next one finds, and the one after it.
            let store = open(&found);
            assert!(!has_fence_file(&found), "{context}");
            let events = life.check(&store, &context);
            drop(store);
            let again = open(&found.after_crash(Loss::Power(points)));
            assert_eq!(life.check(&again, &context), events, "{context}: opened again");
        }
    }
    println!("{fault:?}: {} points", points - 1);
    assert!(points > 60, "{points}");
    assert!(leftovers > 0, "a fence's file has no name but for a moment, which was not met");
}

/// Recovery rows 63, 66.
#[test]
fn a_crash_at_any_change_leaves_all_or_nothing() {
    let losses = [Loss::Process, Loss::Power(1), Loss::Power(2), Loss::Power(3)];
    for fault in [Fault::Crash, Fault::CrashMidway] {
        for before_bytes in [300, 1500] {
            crash_everywhere(fault, &losses, before_bytes);
        }
    }
}

/// A change that fails, anywhere: all of the fence or nothing is there, and if nothing is and the
/// store goes on, the same fence can be committed still.
#[test]
fn a_failure_at_any_change_leaves_all_or_nothing() {
    for (fault, before_bytes) in
        [(Fault::DiskFull, 300), (Fault::Io, 300), (Fault::DiskFull, 5000), (Fault::Io, 5000)]
    {
        let (mut tried_again, mut poisoned, mut refused) = (0, 0, 0);
        for point in 1.. {
            let context = format!("{fault:?} at {point}");
            let vfs = SimVfs::default();
            let store = open(&vfs);
            let before = vec![7; before_bytes];
            store.append(&event("before", &before), Some(Durability::Written)).unwrap();
            let reader = read_only(&vfs);
            let fence = store.begin_fence(&in_memory(400)).unwrap();
            let target = vfs.changes() + point;
            vfs.fail_at(target, fault);
            for payload in large() {
                if let Err(error) = fence.append(&[event("a", &payload)]) {
                    refused += 1;
                    let kinds = [ErrorKind::DiskFull, ErrorKind::Io];
                    assert!(kinds.contains(&error.kind()), "{context}: {error:?}");
                    fence.append(&[event("a", &payload)]).unwrap();
                }
            }
            let committed = fence.commit(None);
            // A head that could not be written is written by the next append.
            let seen = reader.refresh().unwrap();
            assert!(seen == 1 || committed.is_ok() && seen == 25, "{context}: {seen}");
            let events = match committed {
                Ok(_) => 25,
                Err(error) => match fence.commit(None) {
                    Ok(committed) => {
                        assert!([ErrorKind::DiskFull, ErrorKind::Io].contains(&error.kind()));
                        assert_eq!(committed.first_sequence, 1, "{context}");
                        tried_again += 1;
                        25
                    }
                    Err(second) => {
                        assert_eq!(second.kind(), ErrorKind::Poisoned, "{context}: {error:?}");
                        poisoned += 1;
                        1
                    }
                },
            };
            let unharmed = vfs.changes() < target;
            vfs.fail_at(u64::MAX, fault);
            assert_eq!(payloads(&store).len(), events, "{context}");
            if events == 25 {
                assert_eq!(store.append(&event("a", b"x"), None).unwrap().clock, 24, "{context}");
                assert_eq!(reader.refresh().unwrap(), 26, "{context}");
            }
            drop(fence);
            drop(store);
            for loss in [Loss::Process, Loss::Power(point), Loss::Power(!point)] {
                let store = open(&vfs.after_crash(loss));
                let found = payloads(&store).len();
                if events == 25 {
                    assert_eq!(found, 26, "{context}, {loss:?}");
                } else {
                    assert!([0, 1, 25].contains(&found), "{context}, {loss:?}: {found}");
                }
                assert_eq!(store.verify().unwrap().findings, [], "{context}");
            }
            if unharmed {
                break;
            }
        }
        println!("{fault:?}: {tried_again} tried again, {poisoned} poisoned, {refused} not staged");
        assert!(refused > 10, "{fault:?}: {refused}");
        assert!(if fault == Fault::DiskFull { tried_again } else { poisoned } > 0, "{fault:?}");
        assert!(tried_again > 10 || fault == Fault::Io, "{tried_again}");
    }
}

/// Readers in other processes look at every call of the writer: one that follows, one that opens the
/// store anew.
#[test]
fn other_processes_see_all_or_nothing() {
    for durability in [Durability::Durable, Durability::Written] {
        let disk = SimVfs::default();
        let watched = Watched::new(Arc::new(disk.clone()));
        let store = Store::open_on(Arc::new(watched.clone()), Path::new(DIR), &options()).unwrap();
        // The head is left open-ended.
        store.append(&event("before", b"x"), Some(Durability::Written)).unwrap();
        let follower = read_only(&disk);
        let (looks, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let fence = store.begin_fence(&in_memory(400)).unwrap();
        for payload in large() {
            fence.append(&[event("a", &payload)]).unwrap();
        }
        {
            let (looks, done, disk) = (looks.clone(), done.clone(), disk.clone());
            let follower = follower.clone();
            watched.rule(move |call| {
                if !call.is_change() {
                    return Fate::Done;
                }
                looks.fetch_add(1, Ordering::SeqCst);
                let seen = [follower.refresh().unwrap(), read_only(&disk).head().unwrap().events];
                if seen != [1, 1] {
                    done.store(true, Ordering::SeqCst);
                }
                Fate::Done
            });
        }
        fence.commit(Some(durability)).unwrap();
        watched.no_rule();
        assert!(looks.load(Ordering::SeqCst) > 20, "{looks:?}");
        assert!(!done.load(Ordering::SeqCst), "something was seen before the commit");
        assert_eq!(follower.refresh().unwrap(), 25);
        assert_eq!(payloads(&follower), payloads(&store));
        assert_eq!(follower.verify().unwrap().findings, []);
        assert_eq!(payloads(&read_only(&disk)), payloads(&store));
        // And so does the next append.
        store.append(&event("a", b"y"), Some(durability)).unwrap();
        assert_eq!(follower.refresh().unwrap(), 26);
    }
}

/// A reader that was told by the head to take in what is written, and is held up before it reads: a
/// fence is in the file meanwhile, and waits for its sync.
#[test]
fn a_slow_reader_sees_nothing_of_a_fence_that_waits_for_its_sync() {
    for events in [3, 200] {
        let disk = SimVfs::default();
        let of_writer = Watched::new(Arc::new(disk.clone()));
        let of_reader = Watched::new(Arc::new(disk.clone()));
        let options = OpenOptions::default();
        let store = Store::open_on(Arc::new(of_writer.clone()), Path::new(DIR), &options).unwrap();
        store.append(&event("before", b"x"), Some(Durability::Written)).unwrap();
        let options = OpenOptions::mode(OpenMode::ReadOnly);
        let reader = Store::open_on(Arc::new(of_reader.clone()), Path::new(DIR), &options).unwrap();
        let fence = store.begin_fence(&in_memory(0)).unwrap();
        fence.append(&vec![event("a", &[1; 900]); events]).unwrap();

        let (read, synced) = (Gate::default(), Gate::default());
        let bytes_read = Arc::new(AtomicU64::new(0));
        let (at_read, counted) = (read.clone(), bytes_read.clone());
        of_reader.rule(move |call| {
            if let Call::Read { file, bytes, .. } = call
                && file.ends_with(".fbat")
            {
                counted.fetch_add(bytes as u64, Ordering::SeqCst);
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
            let committed = scope.spawn(|| fence.commit(None));
            synced.reached();
            read.open();
            let visible = refreshed.join();
            synced.open();
            assert_eq!(visible.unwrap(), 1, "the fence is visible before it is synced");
            assert_eq!(kind(committed.join().unwrap()), ErrorKind::Indeterminate);
        });
        // It gives up at once, however large what it came upon is.
        let bytes = bytes_read.load(Ordering::SeqCst);
        assert!(bytes <= 8 << 10, "{bytes} bytes were read");
        assert_eq!(reader.refresh().unwrap(), 1);
        assert_eq!(kind(fence.commit(None)), ErrorKind::Poisoned);
    }
}

/// A batch that no reader holds as a whole, across its reads, recovery and every kind of copy.
#[test]
fn larger_than_what_is_read_at_once() {
    let scratch = Scratch::new().unwrap();
    let options = OpenOptions { segment_bytes: 1 << 20, ..OpenOptions::default() };
    let store = Store::open(scratch.join("store"), &options).unwrap();
    store.append(&event("before", b"x"), None).unwrap();
    let reader = OpenOptions::mode(OpenMode::ReadOnly);
    let follower = Store::open(scratch.join("store"), &reader).unwrap();
    let fence = store.begin_fence(&in_memory(64 << 10)).unwrap();
    let payload = vec![7; 3000];
    for _ in 0..5 {
        fence.append(&vec![event("a", &payload); 1000]).unwrap();
    }
    assert_eq!(follower.refresh().unwrap(), 1);
    fence.commit(None).unwrap();
    assert_eq!(follower.refresh().unwrap(), 5001);
    let last = store.at(5000).unwrap().unwrap();
    assert_eq!(follower.at(5000).unwrap().unwrap().hash(), last.hash());
    assert_eq!((last.clock(), last.batch_continues(), last.segment()), (4999, false, 1));
    assert_eq!(store.head().unwrap(), follower.head().unwrap());

    // The segment is over its size; the next append goes to another one.
    assert_eq!(store.append(&event("a", b"y"), None).unwrap().clock, 5000);
    assert_eq!(store.at(5001).unwrap().unwrap().segment(), 2);
    let again = store.begin_fence(&in_memory(0)).unwrap();
    again.append(&vec![event("b", &payload); 3000]).unwrap();
    again.commit(Some(Durability::Written)).unwrap();
    assert_eq!(follower.refresh().unwrap(), 8002);

    store.snapshot_to(scratch.join("snapshot"), &Default::default()).unwrap();
    let error = store.fork_to(
        scratch.join("fork"),
        &batpak_core::ForkOptions { at: Some(2000), ..Default::default() },
    );
    let error = error.unwrap_err();
    assert!(error.message().contains("fork at 1 or at 5001"), "{error}");
    // Not closed: the newest segment is recovered frame by frame.
    std::fs::create_dir(scratch.join("killed")).unwrap();
    for entry in std::fs::read_dir(scratch.join("store")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), scratch.join("killed").join(entry.file_name())).unwrap();
    }
    let head = store.head().unwrap();
    for copy in ["snapshot", "killed"] {
        for mode in [OpenMode::Salvage, OpenMode::ReadOnly, OpenMode::Existing] {
            let options = OpenOptions { mode, ..options.clone() };
            let copy = Store::open(scratch.join(copy), &options).unwrap();
            assert_eq!(copy.head().unwrap(), head, "{mode:?}");
            assert_eq!(copy.verify().unwrap().findings, [], "{mode:?}");
        }
    }
    let into = Store::open(scratch.join("into"), &options).unwrap();
    let report = into.import_from(
        scratch.join("store"),
        &batpak_core::Region::all(),
        &batpak_core::ImportOptions::default(),
    );
    assert!(report.unwrap().sequences_kept);
}

/// In memory, and still too large for a group of appends.
#[test]
fn held_and_large() {
    let vfs = SimVfs::default();
    let store = Store::open_on(Arc::new(vfs.clone()), Path::new(DIR), &OpenOptions::default());
    let store = store.unwrap();
    let follower = read_only(&vfs);
    let fence = store.begin_fence(&in_memory(1 << 30)).unwrap();
    let payload = vec![7; 3000];
    for _ in 0..6 {
        fence.append(&vec![event("a", &payload); 1000]).unwrap();
    }
    let expected = NewEvent { expected: Expected::Exact(5999), ..event("a", b"last") };
    let cause = NewEvent { causation: Causation::Item(17), ..expected };
    fence.append(&[cause]).unwrap();
    assert_eq!(fence.commit(None).unwrap().events, 6001);
    let last = store.at(6000).unwrap().unwrap();
    assert_eq!(last.causation(), Some(store.at(17).unwrap().unwrap().id()));
    assert_eq!(follower.refresh().unwrap(), 6001);
    assert_eq!(follower.verify().unwrap().findings, []);
}

/// A crash in the middle of a batch that no reader holds as a whole: all of it is cut.
#[test]
fn a_torn_batch_larger_than_what_is_read_at_once() {
    let vfs = SimVfs::default();
    let options = OpenOptions::default();
    let open = |vfs: &SimVfs| Store::open_on(Arc::new(vfs.clone()), Path::new(DIR), &options);
    let store = open(&vfs).unwrap();
    store.append(&event("before", b"x"), None).unwrap();
    let fence = store.begin_fence(&in_memory(0)).unwrap();
    let payload = vec![7; 3000];
    for _ in 0..4 {
        fence.append(&vec![event("a", &payload); 1000]).unwrap();
    }
    let follower = read_only(&vfs);
    vfs.fail_at(vfs.changes() + 10, Fault::CrashMidway);
    fence.commit(None).unwrap_err();
    drop((store, follower));
    for loss in [Loss::Process, Loss::Power(4), Loss::Power(5)] {
        let found = vfs.after_crash(loss);
        let segment = Path::new("/store/000001.fbat");
        let length = found.content(segment).unwrap().len();
        assert!(loss != Loss::Process || length > 8 << 20, "{length}");
        assert_eq!(read_only(&found).refresh().unwrap(), 1);
        let store = open(&found).unwrap();
        assert_eq!(payloads(&store), [b"x"]);
        let report = store.open_report();
        if loss == Loss::Process {
            assert_eq!(report.cut_reason, "the last batch is not whole");
        }
        assert_eq!(store.append(&event("a", b"y"), None).unwrap().clock, 0);
    }
}

/// Fences and appends from many threads: each fence is there whole and in order.
#[test]
fn many_threads() {
    const THREADS: u64 = 6;
    const FENCES: u64 = 12;
    let scratch = Scratch::new().unwrap();
    let options = OpenOptions { segment_bytes: 32 << 10, ..OpenOptions::default() };
    let store = Store::open(scratch.join("store"), &options).unwrap();
    let barrier = Barrier::new(THREADS as usize);
    let shared = store.begin_fence(&in_memory(100)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (store, barrier, shared, done) = (&store, &barrier, &shared, &done);
        let reader = scope.spawn(move || {
            while !done.load(Ordering::SeqCst) {
                let last = store.read(Query::default().backward().limit(1)).unwrap().next();
                if let Some(last) = last {
                    assert!(!last.unwrap().batch_continues(), "half of a batch is visible");
                }
            }
        });
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    barrier.wait();
                    for number in 0..FENCES {
                        let name = format!("{thread}:{number}");
                        let fence = store.begin_fence(&in_memory(200)).unwrap();
                        for _ in 0..10 {
                            fence.append(&vec![event(&name, &[thread as u8; 40]); 3]).unwrap();
                            shared.append(&[event("shared", name.as_bytes())]).unwrap();
                        }
                        store.append(&event("alone", b""), None).unwrap();
                        match number % 3 {
                            0 => drop(fence),
                            1 => drop(fence.commit(Some(Durability::Written)).unwrap()),
                            _ => drop(fence.commit(None).unwrap()),
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
        assert!(ended.iter().all(Result::is_ok));
    });
    // One commits, the others are told so.
    let results: Vec<_> = std::thread::scope(|scope| {
        let commit = || scope.spawn(|| shared.commit(None).map_err(|error| error.kind()));
        let threads: Vec<_> = (0..4).map(|_| commit()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|r| **r == Err(ErrorKind::Closed)).count(), 3);

    let in_shared = THREADS * FENCES * 10;
    let in_fences = THREADS * (FENCES - FENCES / 3) * 30;
    assert_eq!(store.head().unwrap().events, in_shared + in_fences + THREADS * FENCES);
    for thread in 0..THREADS {
        for number in 0..FENCES {
            let query = Query::new(batpak_core::Region::entity(format!("{thread}:{number}")));
            let sequences: Vec<u64> =
                store.read(query).unwrap().map(|event| event.unwrap().sequence()).collect();
            assert_eq!(sequences.len(), if number % 3 == 0 { 0 } else { 30 });
            assert!(sequences.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{sequences:?}");
        }
    }
    assert_eq!(store.verify().unwrap().findings, []);
}

/// An open fence holds up nobody; a large one that is being written, only appends.
#[test]
fn nobody_reads_later_for_a_fence() {
    let watched = Watched::new(Arc::new(SimVfs::default()));
    let store = Store::open_on(Arc::new(watched.clone()), Path::new(DIR), &options()).unwrap();
    store.append(&event("before", b"x"), None).unwrap();
    let fence = store.begin_fence(&in_memory(0)).unwrap();
    fence.append(&vec![event("a", &[1; 500]); 20]).unwrap();
    assert_eq!(store.append(&event("before", b"y"), None).unwrap().sequence, 1);

    let gate = Gate::default();
    let at_sync = gate.clone();
    watched.rule(move |call| {
        if call.syncs_segment() {
            at_sync.pass();
        }
        Fate::Done
    });
    std::thread::scope(|scope| {
        let committed = scope.spawn(|| fence.commit(None).unwrap());
        gate.reached();
        assert_eq!(payloads(&store), [b"x", b"y"]);
        assert_eq!(store.stream_head("a", 0).unwrap(), None);
        assert_eq!(kind(fence.append(&[])), ErrorKind::Closed);
        // Another fence is staged meanwhile.
        let other = store.begin_fence(&in_memory(0)).unwrap();
        other.append(&[event("b", b"z")]).unwrap();
        assert_eq!(other.events().unwrap(), 1);
        gate.open();
        assert_eq!(committed.join().unwrap().first_sequence, 2);
        assert_eq!(other.commit(None).unwrap().first_sequence, 22);
    });
}

/// Appends that nobody waits for, started before by the same thread, come first.
#[test]
fn tickets_come_first() {
    let store = open(&SimVfs::default());
    for memory in [0, 1 << 20] {
        let fence = store.begin_fence(&in_memory(memory)).unwrap();
        fence.append(&[event("a", b"in the fence")]).unwrap();
        let tickets: Vec<_> =
            (0..50).map(|_| store.append_ticket(&[event("a", b"t")], None).unwrap()).collect();
        let first = fence.commit(None).unwrap().first_sequence;
        for ticket in tickets {
            assert!(ticket.wait().unwrap()[0].sequence < first);
        }
    }
}

#[test]
fn a_defect_while_a_fence_is_written_stops_appends_and_not_reads() {
    let vfs = SimVfs::default();
    let watched = Watched::new(Arc::new(vfs.clone()));
    let store = Store::open_on(Arc::new(watched.clone()), Path::new(DIR), &options()).unwrap();
    store.append(&event("before", b"x"), None).unwrap();
    let fence = store.begin_fence(&in_memory(0)).unwrap();
    for payload in large() {
        fence.append(&[event("a", &payload)]).unwrap();
    }
    let writes = AtomicU64::new(0);
    watched.rule(move |call| {
        let is_fifth = call.writes_segment() && writes.fetch_add(1, Ordering::SeqCst) == 4;
        assert!(!is_fifth, "a defect of the test's own");
        Fate::Done
    });
    assert_eq!(kind(fence.commit(None)), ErrorKind::Panic);
    watched.no_rule();
    assert_eq!(kind(store.append(&event("a", b""), None)), ErrorKind::Poisoned);
    assert_eq!(kind(fence.commit(None)), ErrorKind::Poisoned);
    assert_eq!(fence.events().unwrap(), 24);
    assert_eq!(payloads(&store), [b"x"]);
    drop((fence, store));
    assert_eq!(payloads(&open(&vfs.after_crash(Loss::Process))), [b"x"]);
}

/// A disk that stays full while a fence is staged: it keeps what it has, and can be committed when
/// there is space for the log.
#[test]
fn a_full_disk_while_a_fence_is_staged() {
    let watched = Watched::new(Arc::new(SimVfs::default()));
    let store = Store::open_on(Arc::new(watched.clone()), Path::new(DIR), &options()).unwrap();
    let fence = store.begin_fence(&in_memory(1000)).unwrap();
    watched.rule(|call| match call {
        Call::Write { file, .. } if file.starts_with("fence-") => Fate::Fails(libc::ENOSPC),
        _ => Fate::Done,
    });
    let staged = (0..100u8).find(|number| {
        let added = fence.append(&[event("a", &[*number; 100])]);
        added.is_err_and(|error| error.kind() == ErrorKind::DiskFull)
    });
    let staged = u64::from(staged.unwrap());
    assert!(staged > 2, "{staged}");
    assert_eq!(fence.events().unwrap(), staged);
    let page = fence.read(0, 1000, 1 << 20).unwrap();
    assert!(page.iter().enumerate().all(|(at, event)| event.payload() == [at as u8; 100]));
    assert_eq!(page.len() as u64, staged);
    assert_eq!(fence.commit(None).unwrap().events, staged);
    assert_eq!(store.head().unwrap().events, staged);
}

#[test]
fn what_is_refused_before_the_commit() {
    let store = open(&SimVfs::default());
    let fence = store.begin_fence(&FenceOptions::default()).unwrap();
    fence.append(&[NewEvent { id: Some(Id([1; 16])), ..event("a", b"") }]).unwrap();
    let refused = |event: NewEvent<'_>| kind(fence.append(&[event]));
    assert_eq!(refused(event("", b"")), ErrorKind::InvalidCoordinate);
    assert_eq!(
        refused(NewEvent { kind: EventKind(0x0001), ..event("a", b"") }),
        ErrorKind::InvalidKind
    );
    assert_eq!(refused(event("a", &vec![0; (16 << 20) + 1])), ErrorKind::TooLarge);
    let same = NewEvent { id: Some(Id([1; 16])), ..event("a", b"") };
    assert_eq!(refused(same), ErrorKind::InvalidArgument);
    let itself = NewEvent { causation: Causation::Item(1), ..event("a", b"") };
    assert_eq!(refused(itself), ErrorKind::InvalidArgument);
    let earlier = NewEvent { causation: Causation::Item(0), ..event("a", b"") };
    assert_eq!(fence.append(&[earlier]).unwrap(), 1);
    assert_eq!(fence.events().unwrap(), 2);
    let empty = store.begin_fence(&FenceOptions::default()).unwrap();
    let nothing = Committed { first_sequence: 0, events: 0, duplicate: false };
    assert_eq!(empty.commit(None).unwrap(), nothing);

    let vfs = SimVfs::default();
    drop(open(&vfs));
    let begun = read_only(&vfs).begin_fence(&FenceOptions::default());
    assert_eq!(kind(begun), ErrorKind::ReadOnly);
}

/// A store that is dropped while a fence is open stays open with it.
#[test]
fn an_open_fence_keeps_the_store_open() {
    let vfs = SimVfs::default();
    let store = open(&vfs);
    let fence = store.begin_fence(&in_memory(0)).unwrap();
    fence.append(&[event("a", b"1")]).unwrap();
    drop(store);
    fence.commit(None).unwrap();
    drop(fence);
    let store = open(&vfs);
    assert!(store.open_report().clean);
    assert_eq!(payloads(&store), [b"1"]);
}
