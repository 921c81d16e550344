//! The workloads. Each gives how many events it appended or read in a second.

use crate::log::{Log, NewEvent, Result, Safety, Store, Visit, Way};
use std::hint::black_box;
use std::time::Instant;

/// How many entities there are, unless said otherwise.
pub const ENTITIES: usize = 1_000;
/// How many kinds there are.
pub const KINDS: usize = 4;
/// The size of a payload, unless said otherwise.
pub const PAYLOAD_BYTES: usize = 256;
/// When to stop if something takes ages.
const LONGEST_SECONDS: f64 = 0.5;
/// The largest batch.
pub const BATCH: usize = 1_000;

pub fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| at as u8).collect()
}

/// The name of an entity; ten have a prefix in common.
pub fn entity(number: usize) -> String {
    format!("entity:{:02}:{}", number / 10, number % 10)
}

pub fn entities(count: usize) -> Vec<String> {
    (0..count).map(entity).collect()
}

/// Event i goes to entity i modulo their number; every entity gets every kind in turn. After these
/// events all begins again.
pub fn cycle<'a>(entities: &'a [String], payload: &'a [u8]) -> Vec<NewEvent<'a>> {
    let event = |number: usize| {
        let at = number % entities.len();
        let kind = (at + number / entities.len()) % KINDS;
        NewEvent { entity: entities[at].as_str(), kind: kind as u16, payload }
    };
    (0..KINDS * entities.len()).map(event).collect()
}

/// How many events are appended, and how.
#[derive(Clone, Copy)]
pub struct Appends {
    pub safety: Safety,
    pub threads: usize,
    /// How many events an append has; `BATCH` is a multiple.
    pub batch: usize,
    pub payload_bytes: usize,
    /// A multiple of `batch`.
    pub events: usize,
}

impl Appends {
    pub fn name(&self) -> String {
        let safety = self.safety.word();
        let calls = match (self.batch, self.threads) {
            (1, 1) => format!("{safety} append, 1 thread"),
            (1, threads) => format!("{safety} append, {threads} threads"),
            (1_000, _) => format!("{safety} batches of 1,000"),
            (batch, _) => format!("{safety} batches of {batch}"),
        };
        match self.payload_bytes {
            PAYLOAD_BYTES => calls,
            bytes if bytes >= 1024 => format!("{calls}, {} KiB", bytes / 1024),
            bytes => format!("{calls}, {bytes} B"),
        }
    }

    /// How many events the log holds afterwards.
    pub fn total(&self) -> usize {
        ENTITIES + self.events
    }

    /// Does the work on an empty log, and checks that the log holds it then.
    pub fn run(&self, log: &dyn Log) -> Result<f64> {
        let (entities, payload) = (entities(ENTITIES), payload(self.payload_bytes));
        let events = cycle(&entities, &payload);
        // No measured append is the first of its entity.
        for batch in events[..ENTITIES].chunks(100) {
            log.append(batch, Safety::Durable)?;
        }
        let seconds = self.time(log, &events)?;
        check(log, &payload, self.total())?;
        Ok(self.events as f64 / seconds)
    }

    fn time(&self, log: &dyn Log, events: &[NewEvent<'_>]) -> Result<f64> {
        let work = |thread: usize| -> Result<()> {
            for at in (thread * self.batch..self.events).step_by(self.threads * self.batch) {
                log.append(&events[at % events.len()..][..self.batch], self.safety)?;
            }
            Ok(())
        };
        let started = Instant::now();
        if self.threads == 1 {
            work(0)?;
        } else {
            in_threads(self.threads, work)?;
        }
        log.flush()?;
        Ok(started.elapsed().as_secs_f64())
    }
}

/// Calls `work` with 0, 1, … at the same time.
fn in_threads(threads: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let work = &work;
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => Err("a thread panicked".into()),
        })
    })
}

/// Checks that a log holds so many events, and nothing else, with this payload.
pub fn check(log: &dyn Log, payload: &[u8], events: usize) -> Result<()> {
    let (mut whole, mut seen) = (0, 0);
    log.scan(&mut |_, found| {
        seen += 1;
        whole += usize::from(found == payload);
    })?;
    if (whole, seen) == (events, events) {
        Ok(())
    } else {
        Err(format!("{seen} events, {whole} of them whole, were found of {events}").into())
    }
}

/// Appends batches of `BATCH` to an empty log, with so many entities.
pub fn fill(log: &dyn Log, entity_count: usize, events: usize) -> Result<f64> {
    let (entities, payload) = (entities(entity_count), payload(PAYLOAD_BYTES));
    let cycle = cycle(&entities, &payload);
    let started = Instant::now();
    for at in (0..events).step_by(BATCH) {
        log.append(&cycle[at % cycle.len()..][..BATCH], Safety::Written)?;
    }
    log.flush()?;
    Ok(events as f64 / started.elapsed().as_secs_f64())
}

/// Numbers below `bound` in an order that no cache foresees; always the same.
fn scattered(count: usize, bound: usize) -> impl Iterator<Item = usize> {
    let mut state = 1u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        ((state >> 32) as usize * bound) >> 32
    })
    .take(count)
}

/// Runs `read` with something that looks at each payload, and checks that `expected` were seen.
/// Gives the seconds it took.
pub fn reading(expected: usize, read: impl FnOnce(&mut Visit<'_>) -> Result<()>) -> Result<f64> {
    let (mut seen, mut sum) = (0, 0u64);
    let started = Instant::now();
    read(&mut |_, payload| {
        seen += 1;
        // A byte of each cache line.
        sum += payload.iter().step_by(64).map(|byte| u64::from(*byte)).sum::<u64>();
    })?;
    let seconds = started.elapsed().as_secs_f64();
    black_box(sum);
    if seen != expected {
        return Err(format!("{seen} events were read where {expected} are").into());
    }
    Ok(seconds)
}

pub fn reads_by_sequence(store: &dyn Store, events: usize, count: usize) -> Result<f64> {
    let seconds = reading(count, |visit| {
        scattered(count, events).try_for_each(|at| store.by_sequence(at as u64, visit))
    })?;
    Ok(count as f64 / seconds)
}

pub fn reads_by_id(store: &dyn Store, ids: &[[u8; 16]], count: usize) -> Result<f64> {
    let seconds = reading(count, |visit| {
        scattered(count, ids.len()).try_for_each(|at| store.by_id(&ids[at], visit))
    })?;
    Ok(count as f64 / seconds)
}

pub fn scan(store: &dyn Store, events: usize) -> Result<f64> {
    Ok(events as f64 / reading(events, |visit| store.scan(visit))?)
}

/// Reads the streams of `count` of `ENTITIES` entities, which share the events equally.
pub fn streams(store: &dyn Store, events: usize, count: usize) -> Result<f64> {
    let entities = entities(ENTITIES);
    let read = count * events / ENTITIES;
    let seconds = reading(read, |visit| {
        scattered(count, ENTITIES).try_for_each(|at| store.stream(&entities[at], visit))
    })?;
    Ok(read as f64 / seconds)
}

/// Reads the events of one kind below ten entities, of different ones each time.
pub fn regions(store: &dyn Store, events: usize, count: usize) -> Result<f64> {
    let read = count * events / ENTITIES * 10 / KINDS;
    let seconds = reading(read, |visit| {
        scattered(count, ENTITIES / 10).try_for_each(|number| {
            let prefix = format!("entity:{number:02}");
            store.region(&prefix, (number % KINDS) as u16, visit)
        })
    })?;
    Ok(read as f64 / seconds)
}

/// Reads pages anywhere, until there are `count` or the time is up; gives the microseconds that
/// one takes.
pub fn pages(store: &dyn Store, events: usize, page: usize, way: Way, count: usize) -> Result<f64> {
    let (mut read, mut seconds) = (0, 0.0);
    for at in scattered(count, events - 2 * page) {
        seconds += reading(page, |visit| store.page((at + page) as u64, page, way, visit))?;
        read += 1;
        if seconds > LONGEST_SECONDS {
            break;
        }
    }
    Ok(1e6 * seconds / f64::from(read))
}

/// The id of every event, by sequence.
pub fn ids(store: &dyn Store) -> Result<Vec<[u8; 16]>> {
    let mut ids = Vec::new();
    store.scan(&mut |id, _| ids.push(*id))?;
    Ok(ids)
}
