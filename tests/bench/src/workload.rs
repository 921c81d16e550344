//! The workloads. Each gives how many events it appended or read in a second.

use crate::log::{Log, NewEvent, Result, Safety, Store};
use std::hint::black_box;
use std::time::Instant;

pub const ENTITIES: usize = 1_000;
pub const BATCH: usize = 1_000;
pub const PAYLOAD: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = at as u8;
        at += 1;
    }
    bytes
};

/// The names of the entities; event i goes to entity i modulo their number.
pub fn entities() -> Vec<String> {
    (0..ENTITIES).map(|number| format!("entity:{number:03}")).collect()
}

pub fn events(entities: &[String]) -> Vec<NewEvent<'_>> {
    entities.iter().map(|entity| NewEvent { entity, payload: &PAYLOAD }).collect()
}

/// Makes the streams exist, so that no measured append is the first of its entity.
pub fn begin_streams(log: &dyn Log) -> Result<()> {
    log.append(&events(&entities()), Safety::Durable)
}

/// Appends one event per call; the threads share the events.
pub fn appends(log: &dyn Log, safety: Safety, threads: usize, count: usize) -> Result<f64> {
    let entities = entities();
    let events = events(&entities);
    let work = |thread: usize| -> Result<()> {
        for number in (thread..count).step_by(threads) {
            log.append(&events[number % ENTITIES..][..1], safety)?;
        }
        Ok(())
    };
    let started = Instant::now();
    if threads == 1 {
        work(0)?;
    } else {
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
            running.into_iter().try_for_each(|thread| match thread.join() {
                Ok(result) => result,
                Err(_) => Err("a thread panicked".into()),
            })
        })?;
    }
    log.flush()?;
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// Appends batches of an event per entity.
pub fn batches(log: &dyn Log, safety: Safety, count: usize) -> Result<f64> {
    let entities = entities();
    let events = events(&entities);
    let started = Instant::now();
    for _ in 0..count {
        log.append(&events, safety)?;
    }
    log.flush()?;
    Ok((count * BATCH) as f64 / started.elapsed().as_secs_f64())
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
pub fn reading(
    expected: usize,
    read: impl FnOnce(&mut crate::log::Visit<'_>) -> Result<()>,
) -> Result<f64> {
    let (mut seen, mut sum) = (0, 0u64);
    let started = Instant::now();
    read(&mut |_, payload| {
        seen += 1;
        sum += u64::from(payload[payload.len() - 1]);
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

/// Reads the streams of `count` entities, which share the events equally.
pub fn streams(store: &dyn Store, events: usize, count: usize) -> Result<f64> {
    let entities = entities();
    let read = count * events / ENTITIES;
    let seconds = reading(read, |visit| {
        scattered(count, ENTITIES).try_for_each(|at| store.stream(&entities[at], visit))
    })?;
    Ok(read as f64 / seconds)
}

/// The id of every event, by sequence.
pub fn ids(store: &dyn Store) -> Result<Vec<[u8; 16]>> {
    let mut ids = Vec::new();
    store.scan(&mut |id, _| ids.push(*id))?;
    Ok(ids)
}
