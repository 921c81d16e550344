//! What a worker does: each operation of each life is a function of the seed. The workers in the
//! other languages have the same function; README.md says it in words.

use batpak_core::{Durability, EventKind, Id, NewEvent};
use std::time::Duration;

/// The scope of every event.
pub const SCOPE: &str = "kill";

/// How long a worker rests after a flush, so that kills hit the quiet behind it: with more appends
/// at once, these would write what the flush should have written.
pub const REST: Duration = Duration::from_millis(1);

/// Numbers that are the same in every language.
pub struct Draws(u32);

impl Draws {
    /// The draws that belong to these numbers.
    pub fn of(numbers: [u32; 3]) -> Self {
        Self(numbers.iter().fold(0, |state, number| mix(state.wrapping_add(*number))))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9);
        mix(self.0) % bound
    }
}

fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 13;
    x = x.wrapping_mul(0xc2b2_ae35);
    x ^ x >> 16
}

/// One step of a worker.
pub enum Operation {
    /// Append a single event or a batch.
    Append(Append),
    /// Flush the store, then rest for [`REST`].
    Flush,
    /// Sync the store.
    Sync,
    /// Close the store and open it again.
    Reopen,
    /// Do nothing, but say so.
    Nothing,
}

/// An append, or the repetition of one.
pub struct Append {
    /// The operation that first made this append, in the same life.
    pub operation: u32,
    /// How safe it must be before it is acknowledged.
    pub durability: Durability,
    /// Whether the worker chose the ids, so that it may be repeated.
    pub with_ids: bool,
    /// Its events.
    pub items: Vec<Item>,
}

/// One event of an append.
pub struct Item {
    /// Whose event it is.
    pub entity: String,
    /// Its lane.
    pub lane: u32,
    /// Its kind.
    pub kind: EventKind,
    /// Its id, if the worker chose it.
    pub id: Option<Id>,
    /// Names the life, the operation, the item and the number of items; then a filler.
    pub payload: Vec<u8>,
}

impl Item {
    /// The event to hand in.
    pub fn event(&self) -> NewEvent<'_> {
        let event = NewEvent::new(&self.entity, SCOPE, self.kind, &self.payload);
        NewEvent { lane: self.lane, id: self.id, ..event }
    }
}

/// The operation with this number, from 1, in this life, from 1.
pub fn operation(seed: u32, life: u32, operation: u32) -> Operation {
    let mut draws = Draws::of([seed, life, operation]);
    match draws.below(100) {
        0..4 => Operation::Reopen,
        4..8 => Operation::Sync,
        8..14 => Operation::Flush,
        14..20 => match draws.below(operation) {
            0 => Operation::Nothing,
            earlier => again(seed, life, earlier),
        },
        _ => Operation::Append(append(&mut draws, seed, life, operation)),
    }
}

/// An earlier append that can be repeated, or nothing.
fn again(seed: u32, life: u32, earlier: u32) -> Operation {
    let mut draws = Draws::of([seed, life, earlier]);
    if draws.below(100) < 20 {
        return Operation::Nothing;
    }
    let append = append(&mut draws, seed, life, earlier);
    if append.with_ids { Operation::Append(append) } else { Operation::Nothing }
}

fn append(draws: &mut Draws, seed: u32, life: u32, operation: u32) -> Append {
    let count = if draws.below(5) < 2 { 2 + draws.below(39) } else { 1 };
    let durability = match draws.below(4) {
        0 => Durability::Durable,
        1 => Durability::Written,
        _ => Durability::Buffered,
    };
    let with_ids = draws.below(2) == 1;
    // Large enough that a kill can hit the middle of a write.
    let large = draws.below(12) == 0;
    let items = (0..count).map(|item| {
        let entity = format!("order:{}", draws.below(6));
        let lane = u32::from(draws.below(3) == 0);
        let kind = EventKind(0x1001 + draws.below(3) as u16);
        let longest = match large {
            true => 60_000,
            false if draws.below(8) == 0 => 3000,
            false => 200,
        };
        let filler = draws.below(longest) as usize;
        let mut payload = format!("{life} {operation} {item} {count} ").into_bytes();
        payload.resize(payload.len() + filler, b'x');
        let id = with_ids.then(|| id([seed, life, operation, item]));
        Item { entity, lane, kind, id, payload }
    });
    Append { operation, durability, with_ids, items: items.collect() }
}

fn id(numbers: [u32; 4]) -> Id {
    let mut id = Id::NONE;
    for (bytes, number) in id.0.chunks_exact_mut(4).zip(numbers) {
        bytes.copy_from_slice(&number.to_be_bytes());
    }
    id
}
