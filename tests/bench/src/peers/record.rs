//! What the stores need that have no sequences, clocks, ids and hashes of their own.

use crate::log::{NewEvent, Visit};
use std::collections::HashMap;

/// The places that the next events get. It begins with an empty store and is not rebuilt from a
/// full one, which no measurement appends to.
#[derive(Default)]
pub struct Ledger {
    next: u64,
    clocks: HashMap<String, u32>,
}

/// Where an event stands.
pub struct Place {
    pub sequence: u64,
    pub id: [u8; 16],
    pub clock: u32,
}

impl Ledger {
    pub fn place(&mut self, event: &NewEvent<'_>) -> Place {
        let clock = match self.clocks.get_mut(event.entity) {
            Some(clock) => {
                *clock += 1;
                *clock
            }
            None => *self.clocks.entry(event.entity.to_owned()).or_insert(0),
        };
        let sequence = self.next;
        self.next += 1;
        Place { sequence, id: id(sequence), clock }
    }
}

/// Like random ones: spread over the whole range, and never the same twice.
fn id(sequence: u64) -> [u8; 16] {
    let mix = |number: u64| {
        let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let mut id = [0; 16];
    id[..8].copy_from_slice(&mix(2 * sequence + 1).to_le_bytes());
    id[8..].copy_from_slice(&mix(2 * sequence + 2).to_le_bytes());
    id
}

/// The key of an event in its stream: the entity, a zero, the clock.
pub fn stream_key(entity: &str, clock: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(entity.len() + 5);
    key.extend_from_slice(entity.as_bytes());
    key.push(0);
    key.extend_from_slice(&clock.to_be_bytes());
    key
}

/// Where the entity's length stands in a record; the entity and the payload follow.
const ENTITY_AT: usize = 16 + 32 + 4 + 2;

/// The event as one value: id, hash of the payload, clock, kind, length of the entity, entity,
/// payload.
pub fn record(event: &NewEvent<'_>, place: &Place) -> Vec<u8> {
    let mut record = Vec::with_capacity(ENTITY_AT + 1 + event.entity.len() + event.payload.len());
    record.extend_from_slice(&place.id);
    record.extend_from_slice(blake3::hash(event.payload).as_bytes());
    record.extend_from_slice(&place.clock.to_le_bytes());
    record.extend_from_slice(&event.kind.to_le_bytes());
    record.push(event.entity.len() as u8);
    record.extend_from_slice(event.entity.as_bytes());
    record.extend_from_slice(event.payload);
    record
}

/// Shows a record.
pub fn show(record: &[u8], visit: &mut Visit<'_>) {
    if let Some(id) = record.first_chunk() {
        visit(id, &record[ENTITY_AT + 1 + usize::from(record[ENTITY_AT])..]);
    }
}

pub fn kind_of(record: &[u8]) -> u16 {
    u16::from_le_bytes([record[ENTITY_AT - 2], record[ENTITY_AT - 1]])
}

/// The places of a region's events, which come by entity, in the order of the log.
pub fn sorted<T: Ord>(mut sequences: Vec<T>) -> Vec<T> {
    sequences.sort_unstable();
    sequences
}

/// The event as a message of a log without ids, clocks and hashes: length of the entity, entity,
/// payload.
pub fn message(event: &NewEvent<'_>) -> Vec<u8> {
    let mut message = Vec::with_capacity(1 + event.entity.len() + event.payload.len());
    message.push(event.entity.len() as u8);
    message.extend_from_slice(event.entity.as_bytes());
    message.extend_from_slice(event.payload);
    message
}

/// Shows a message.
pub fn show_message(message: &[u8], visit: &mut Visit<'_>) {
    visit(&[0; 16], &message[1 + usize::from(message[0])..]);
}
