//! batpak 0.1.0: no batches, fences, lanes, lock, footers, caches or read-only open.

use crate::directory;
use crate::event::{OldEvent, Reading, Receipt};
use crate::plan::{self, Compaction, Draft, End, Settings, Step};
use batpak_0_1::coordinate::{Coordinate, Region};
use batpak_0_1::event::{EventKind, StoredEvent};
use batpak_0_1::store::{
    AppendOptions, AppendReceipt, CompactionConfig, CompactionStrategy, Store, StoreConfig,
    StoreError,
};
use std::path::Path;
use std::sync::Arc;

/// One process's work on a store.
pub fn session(
    dir: &Path,
    settings: &Settings,
    steps: &[Step],
    end: End,
    report: &mut dyn FnMut(Receipt),
) -> Result<(), StoreError> {
    let mut store = Store::open(config(dir, settings))?;
    for step in steps {
        match step {
            Step::Append(draft) => report(receipt(append(&store, draft)?)),
            Step::Compact(how) => {
                assert!(store.compact(&strategy(*how))?.segments_removed > 0);
            }
            Step::Reopen => {
                store.close()?;
                store = Store::open(config(dir, settings))?;
            }
            step => panic!("0.1 has no {step:?}"),
        }
    }
    match end {
        End::Close => store.close(),
        End::Kill => std::process::abort(),
    }
}

fn config(dir: &Path, settings: &Settings) -> StoreConfig {
    let mut config = StoreConfig::new(dir);
    config.segment_max_bytes = settings.segment_max_bytes;
    config.clock = Some(Arc::new(plan::clock(dir)));
    config
}

fn append(store: &Store, draft: &Draft) -> Result<AppendReceipt, StoreError> {
    let at = Coordinate::new(&draft.entity, &draft.scope)?;
    let kind = match draft.kind {
        0x0000 => EventKind::DATA,
        0x0003 => EventKind::SYSTEM_HEARTBEAT,
        0x0FFE => EventKind::TOMBSTONE,
        0xD001 => EventKind::EFFECT_ERROR,
        kind => EventKind::custom((kind >> 12) as u8, kind & 0xFFF),
    };
    let mut options = AppendOptions::new().with_flags(draft.flags);
    options.idempotency_key = draft.key;
    options.correlation_id = draft.correlation;
    options.causation_id = draft.causation;
    store.append_with_options(&at, kind, &draft.payload, options)
}

fn receipt(receipt: AppendReceipt) -> Receipt {
    Receipt { id: receipt.event_id, sequence: receipt.sequence, key_id: [0; 32], signature: None }
}

fn strategy(how: Compaction) -> CompactionConfig {
    let keep = |stored: &StoredEvent<serde_json::Value>| {
        raw(stored.event.header.event_kind) != plan::DROPPED
    };
    let strategy = match how {
        Compaction::Merge => CompactionStrategy::Merge,
        Compaction::Retention => CompactionStrategy::Retention(Box::new(keep)),
        Compaction::Tombstone => CompactionStrategy::Tombstone(Box::new(keep)),
    };
    CompactionConfig { strategy, min_segments: 2 }
}

fn raw(kind: EventKind) -> u16 {
    u16::from(kind.category()) << 12 | kind.type_id()
}

/// What the crate shows of a store. Opening adds a segment file, which is removed again.
pub fn read(dir: &Path, settings: &Settings) -> Result<Reading, StoreError> {
    let before = directory::segments(dir);
    let reading = read_and_add_segment(dir, settings);
    for added in directory::segments(dir) {
        if !before.contains(&added) {
            std::fs::remove_file(added)?;
        }
    }
    reading
}

fn read_and_add_segment(dir: &Path, settings: &Settings) -> Result<Reading, StoreError> {
    let store = Store::open(config(dir, settings))?;
    let mut entries = store.query(&Region::all());
    entries.sort_by_key(|entry| entry.global_sequence);
    let mut reading = Reading::default();
    for entry in &entries {
        match store.get(entry.event_id) {
            Ok(stored) => reading.events.push(event(entry.global_sequence, &stored)),
            Err(error) => {
                let listed = (entry.global_sequence, entry.event_id, error.to_string());
                reading.unreadable.push(listed);
            }
        }
    }
    store.close()?;
    Ok(reading)
}

fn event(sequence: u64, stored: &StoredEvent<serde_json::Value>) -> OldEvent {
    let header = &stored.event.header;
    let chain = stored.event.hash_chain.clone().unwrap_or_default();
    // This version decodes the array of integers that holds the payload, not the payload.
    let numbers = stored.event.payload.as_array().expect("an array of integers");
    let byte = |number: &serde_json::Value| number.as_u64().expect("a byte") as u8;
    OldEvent {
        sequence,
        id: header.event_id,
        correlation: header.correlation_id,
        causation: header.causation_id,
        timestamp_us: header.timestamp_us,
        wall_ms: header.position.wall_ms,
        clock: header.position.sequence,
        lane: header.position.lane,
        depth: header.position.depth,
        kind: raw(header.event_kind),
        flags: header.flags,
        payload_version: None,
        payload: numbers.iter().map(byte).collect(),
        entity: stored.coordinate.entity().to_owned(),
        scope: stored.coordinate.scope().to_owned(),
        extensions: None,
        hash: chain.event_hash,
        prev_hash: chain.prev_hash,
        encryption: None,
    }
}
