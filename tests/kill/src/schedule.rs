//! Which languages live in which store, how long, and how each store ends: all from the seed.

use crate::ending::Ending;
use crate::life::{LifePlan, Moment, Worker};
use batpak_kill::plan::Draws;
use std::time::Duration;

/// The lives of a store; the last store may have more.
const LIVES: u32 = 5;

/// Small, so that segments are sealed all the time; the largest leaves time for long writes.
const SEGMENT_BYTES: [u32; 4] = [4 << 10, 8 << 10, 16 << 10, 256 << 10];

/// One store.
pub(crate) struct StorePlan<'a> {
    pub(crate) seed: u32,
    pub(crate) lives: Vec<LifePlan<'a>>,
    pub(crate) ending: Ending,
}

/// Every store. One half belongs to one language each, in the other half languages take turns.
pub(crate) fn plan(seed: u32, lives: u32, workers: &[Worker]) -> Vec<StorePlan<'_>> {
    let mut draws = Draws::of([seed, 0, 0]);
    let mut owners = Deck::new(workers);
    let mut guests = Deck::new(workers);
    let stores = (lives / LIVES).max(1);
    let plan_store = |number| {
        let own = owners_turn(number).then(|| owners.deal(&mut draws));
        let last = number + 1 == stores;
        let count = if last { lives - number * LIVES } else { LIVES };
        let lives = (1..=count).map(|life| LifePlan {
            worker: own.unwrap_or_else(|| guests.deal(&mut draws)),
            segment_bytes: SEGMENT_BYTES[draws.below(4) as usize],
            // Written soon behind the worker's back, or only when the worker says so.
            buffer_ms: if draws.below(2) == 0 { 1 + draws.below(20) } else { 60_000 },
            // The last life appends, so that there is an end for the store's ending.
            moment: if life < count && draws.below(4) == 0 {
                Moment::Opening(Duration::from_micros(draws.below(3000).into()))
            } else {
                Moment::Appending(Duration::from_micros((1000 + draws.below(59_000)).into()))
            },
        });
        StorePlan {
            seed: draws_seed(seed, number),
            lives: lives.collect(),
            ending: Ending::ALL[number as usize % Ending::ALL.len()],
        }
    };
    (0..stores).map(plan_store).collect()
}

fn owners_turn(store: u32) -> bool {
    store % 2 == 1
}

fn draws_seed(seed: u32, store: u32) -> u32 {
    Draws::of([seed, store, 1]).below(u32::MAX)
}

/// Workers in random order, but over a while in fixed shares: the languages that start slowly have
/// two cards, the others three.
struct Deck<'a> {
    workers: &'a [Worker],
    cards: Vec<&'a Worker>,
}

impl<'a> Deck<'a> {
    fn new(workers: &'a [Worker]) -> Self {
        Self { workers, cards: Vec::new() }
    }

    fn deal(&mut self, draws: &mut Draws) -> &'a Worker {
        if self.cards.is_empty() {
            let share = |worker: &'a Worker| {
                std::iter::repeat_n(worker, if worker.starts_slowly() { 2 } else { 3 })
            };
            self.cards = self.workers.iter().flat_map(share).collect();
        }
        self.cards.swap_remove(draws.below(self.cards.len() as u32) as usize)
    }
}
