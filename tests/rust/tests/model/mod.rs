//! What a store is to hold and to answer while it is compacted, and what is done to it, at random.

use batpak_core::{
    CompactOptions, EntityFilter, ErrorKind, Event, EventKind, Hash, Head, Id, Keys, KindFilter,
    NewEvent, Query, Receipt, Region, Retention, Store, Unwanted,
};
use std::collections::HashMap;

/// SplitMix64: the same course for the same seed.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    pub fn maybe<T>(&mut self, one_in: u64, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.one_in(one_in) { Some(make(self)) } else { None }
    }

    fn region(&mut self) -> Region {
        let mut region = match self.below(6) {
            0 | 1 => Region::all(),
            2 => Region::prefix("p"),
            3 => Region::entity(format!("p:{}", self.below(4))),
            _ => Region::entity(format!("q{}", self.below(12))),
        };
        region.scope = self.maybe(4, |r| format!("s{}", r.below(2)));
        if self.one_in(4) {
            let kind = EventKind(0x1000 + self.below(3) as u16);
            region = region.with_kind(self.pick(&[kind, EventKind::TOMBSTONE]));
        }
        region.lane = self.maybe(5, |r| r.below(2) as u32);
        region.clocks = self.maybe(5, |r| {
            let low = r.below(10) as u32;
            (low, low + r.below(12) as u32)
        });
        region
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Shown,
    Tombstone,
    Erased,
    /// Whether the store must still know its key; otherwise it may.
    Dropped {
        knows_key: bool,
    },
}

#[derive(Clone, Debug)]
struct Known {
    receipt: Receipt,
    entity: String,
    scope: String,
    kind: EventKind,
    payload: Vec<u8>,
    prev_hash: Hash,
    has_key: bool,
    batch_continues: bool,
    state: State,
}

impl Known {
    fn is_shown(&self) -> bool {
        !matches!(self.state, State::Dropped { .. })
    }

    fn shown_kind(&self) -> EventKind {
        if self.state == State::Shown { self.kind } else { EventKind::TOMBSTONE }
    }

    fn is_in(&self, region: &Region) -> bool {
        let Receipt { lane, clock, .. } = self.receipt;
        let is_named = match &region.entity {
            EntityFilter::Any => true,
            EntityFilter::Exact(name) => self.entity == *name,
            EntityFilter::Prefix(name) => {
                self.entity == *name || self.entity.starts_with(&format!("{name}:"))
            }
        };
        let is_of_kind = match region.kind {
            KindFilter::Any => true,
            KindFilter::Exact(kind) => kind == self.shown_kind(),
            KindFilter::Category(category) => category == self.shown_kind().category(),
        };
        is_named
            && is_of_kind
            && region.scope.as_ref().is_none_or(|scope| *scope == self.scope)
            && region.lane.is_none_or(|wanted| wanted == lane)
            && region.clocks.is_none_or(|(first, last)| (first..=last).contains(&clock))
    }

    /// The append that made it.
    fn again(&self) -> NewEvent<'_> {
        let mut event = NewEvent::new(&self.entity, &self.scope, self.kind, &self.payload);
        event.lane = self.receipt.lane;
        event.id = self.has_key.then_some(self.receipt.id);
        event.timestamp_us = Some(self.receipt.timestamp_us);
        event
    }
}

/// What a store is to hold.
#[derive(Clone, Default)]
pub struct Model {
    events: Vec<Known>,
    /// The head behind each batch, as the store gave it then.
    heads: Vec<Head>,
    /// The last event of each stream.
    streams: HashMap<(String, u32), Receipt>,
}

impl Model {
    pub fn end(&self) -> u64 {
        self.events.len() as u64
    }

    fn shown(&self) -> impl DoubleEndedIterator<Item = &Known> {
        self.events.iter().filter(|known| known.is_shown())
    }

    pub fn append_batch(&mut self, store: &Store, random: &mut Random) {
        let size = random.maybe(4, |r| 1 + r.below(6)).unwrap_or(1);
        let mut batch: Vec<Known> = Vec::new();
        for place in 0..size {
            let entity = match random.below(5) {
                0 => "p".to_owned(),
                1 | 2 => format!("p:{}", random.below(4)),
                3 => format!("q{}", random.below(12)),
                _ => format!("once{}", random.below(100_000)),
            };
            let receipt = Receipt {
                id: Id::for_operation("model", &[&random.next().to_le_bytes()]),
                sequence: self.end() + place,
                clock: 0,
                lane: u32::from(random.one_in(4)),
                timestamp_us: random.below(1000) as i64 - 200,
                wall_us: 0,
                hash: Hash::ZERO,
                duplicate: false,
            };
            batch.push(Known {
                receipt,
                entity,
                scope: format!("s{}", random.below(2)),
                kind: EventKind(0x1000 + random.below(3) as u16),
                payload: vec![random.next() as u8; random.below(300) as usize],
                prev_hash: Hash::ZERO,
                has_key: random.one_in(3),
                batch_continues: place + 1 < size,
                state: State::Shown,
            });
        }
        let events: Vec<NewEvent<'_>> = batch.iter().map(Known::again).collect();
        let receipts = store.append_batch(&events, None).unwrap();
        assert_eq!(receipts.len() as u64, size);
        for (mut known, receipt) in batch.into_iter().zip(receipts) {
            let stream = (known.entity.clone(), known.receipt.lane);
            let last = self.streams.insert(stream, receipt.clone());
            let clock = last.as_ref().map_or(0, |last| last.clock + 1);
            let (id, wall_us, hash) = (receipt.id, receipt.wall_us, receipt.hash);
            assert_eq!(receipt, Receipt { id, clock, wall_us, hash, ..known.receipt });
            assert!(!known.has_key || id == known.receipt.id);
            known.receipt = receipt;
            known.prev_hash = last.map_or(Hash::ZERO, |last| last.hash);
            self.events.push(known);
        }
        self.heads.push(store.head().unwrap());
    }

    /// Repeats an append whose key the store must know, then uses the key for other content.
    pub fn repeat(&self, store: &Store, random: &mut Random) {
        let must_know = |known: &&Known| {
            known.has_key && !matches!(known.state, State::Dropped { knows_key: false })
        };
        let keyed: Vec<&Known> = self.events.iter().filter(must_know).collect();
        if keyed.is_empty() {
            return;
        }
        let known = random.pick(&keyed);
        let again = store.append(&known.again(), None).unwrap();
        assert_eq!(again, Receipt { duplicate: true, ..known.receipt.clone() });
        let other = NewEvent { payload: b"other content", ..known.again() };
        let refused = store.append(&other, None).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::IdempotencyConflict);
    }

    /// A retention of random rules, or a merge.
    pub fn compact(&mut self, store: &Store, random: &mut Random) {
        if random.one_in(3) {
            store.compact(CompactOptions::default()).unwrap();
            return;
        }
        let drop = [Unwanted::Drop; 3];
        let unwanted = random.pick(&[&drop[..], &[Unwanted::Tombstone, Unwanted::Erase]].concat());
        let window = random.pick(&[0, 0, 10, 40, 1 << 20, u64::MAX]);
        let (modulus, salt) = (random.pick(&[0, 2, 3, 5, 8]), random.below(8));
        let mut keep = |event: &Event| Ok((event.sequence() + salt).is_multiple_of(modulus));
        let mut retention = Retention {
            region: random.region(),
            before: random.maybe(2, |r| r.below(self.end() + 5)),
            older_than_us: random.maybe(4, |r| r.below(1000) as i64 - 200),
            newest_per_entity: random.maybe(4, |r| r.below(6)),
            unwanted,
            keys: Keys { window, ..Keys::default() },
            keep: None,
        };
        if modulus == 0 {
            // At least one rule must be set.
            retention.before = retention.before.or(Some(self.end() / 2));
        }
        let keeps = |sequence: u64| modulus > 0 && (sequence + salt).is_multiple_of(modulus);
        let rules = format!("{retention:?}, kept {modulus} {salt}");
        let changed = self.retain(&retention, keeps);
        retention.keep = if modulus > 0 { Some(&mut keep) } else { None };
        let options = CompactOptions { retention: Some(retention), ..Default::default() };
        let report = store.compact(options).unwrap();
        assert_eq!((report.events_dropped, report.tombstones), changed, "{rules}");
    }

    /// What a retention changes: how many events are dropped, and how many become tombstones or are
    /// erased.
    fn retain(&mut self, rules: &Retention<'_>, keeps: impl Fn(u64) -> bool) -> (u64, u64) {
        let keys_from = self.end().saturating_sub(rules.keys.window);
        let mut left: HashMap<String, u64> = HashMap::new();
        for known in self.shown() {
            *left.entry(known.entity.clone()).or_default() += 1;
        }
        let (mut dropped, mut tombstones) = (0, 0);
        for known in &mut self.events {
            let sequence = known.receipt.sequence;
            let is_recent = sequence >= keys_from;
            if let State::Dropped { knows_key } = &mut known.state {
                *knows_key &= rules.unwanted != Unwanted::Drop || is_recent;
                continue;
            }
            let Some(left) = left.get_mut(&known.entity) else { unreachable!() };
            let is_surplus = rules.newest_per_entity.is_none_or(|newest| *left > newest);
            *left -= 1;
            let is_unwanted = is_surplus
                && rules.before.is_none_or(|before| sequence < before)
                && rules.older_than_us.is_none_or(|time| known.receipt.timestamp_us < time)
                && known.is_in(&rules.region)
                && !keeps(sequence);
            let state = match rules.unwanted {
                _ if !is_unwanted => continue,
                Unwanted::Drop => State::Dropped { knows_key: known.has_key && is_recent },
                Unwanted::Tombstone if known.state == State::Shown => State::Tombstone,
                Unwanted::Tombstone => known.state,
                Unwanted::Erase => State::Erased,
            };
            dropped += u64::from(rules.unwanted == Unwanted::Drop);
            tombstones += u64::from(rules.unwanted != Unwanted::Drop && state != known.state);
            known.state = state;
        }
        (dropped, tombstones)
    }

    /// The log's first events, as a fork has them.
    pub fn first(&self, events: u64) -> Self {
        let mut fork = self.clone();
        fork.events.truncate(events as usize);
        fork.heads.retain(|head| head.events <= events);
        let streams = fork.events.iter();
        fork.streams =
            streams.map(|k| ((k.entity.clone(), k.receipt.lane), k.receipt.clone())).collect();
        fork
    }

    /// Compares every event, in both directions, and some queries and lookups.
    pub fn check(&self, store: &Store, random: &mut Random) {
        let all = pages(store, Query::default(), random);
        assert!(sequences(&all).eq(self.shown().map(|known| known.receipt.sequence)));
        for (event, known) in all.iter().zip(self.shown()) {
            let Receipt { id, hash, clock, lane, .. } = known.receipt;
            assert_eq!((event.id(), event.hash()), (id, hash));
            assert_eq!((event.clock(), event.lane()), (clock, lane));
            assert_eq!((event.entity(), event.scope()), (&*known.entity, &*known.scope));
            assert_eq!(event.timestamp_us(), known.receipt.timestamp_us);
            assert_eq!(event.prev_hash(), known.prev_hash);
            assert_eq!(event.batch_continues(), known.batch_continues);
            assert_eq!(event.kind(), known.shown_kind());
            let is_erased = known.state == State::Erased;
            assert_eq!(event.is_erased(), is_erased);
            assert_eq!(event.payload(), if is_erased { b"" } else { &known.payload[..] });
        }
        for _ in 0..4 {
            self.check_query(store, random);
        }
        for _ in 0..self.end().min(10) {
            let known = &self.events[random.below(self.end()) as usize];
            let Receipt { id, sequence, .. } = known.receipt;
            let found = known.is_shown().then_some(sequence);
            assert_eq!(store.at(sequence).unwrap().map(|event| event.sequence()), found);
            assert_eq!(store.get(id).unwrap().map(|event| event.sequence()), found);
        }
        assert_eq!(store.head().unwrap().events, self.end());
    }

    fn check_query(&self, store: &Store, random: &mut Random) {
        let mut query = Query::new(random.region());
        query.from = random.maybe(2, |r| r.below(self.end() + 3));
        query.limit = random.maybe(3, |r| r.below(20));
        let is_backward = random.one_in(2);
        if is_backward {
            query = query.backward();
        }
        let matching = self.shown().filter(|known| known.is_in(&query.region));
        let mut expected: Vec<u64> = matching.map(|known| known.receipt.sequence).collect();
        expected.retain(|at| {
            query.from.is_none_or(|from| if is_backward { *at <= from } else { *at >= from })
        });
        if is_backward {
            expected.reverse();
        }
        expected.truncate(query.limit.map_or(usize::MAX, |limit| limit as usize));
        let found = pages(store, query.clone(), random);
        assert!(sequences(&found).eq(expected), "{query:?}");
    }

    /// Compares the streams and every head there ever was, and verifies the store.
    pub fn check_proofs(&self, store: &Store) {
        for head in &self.heads {
            assert_eq!(store.head_at(head.events).unwrap(), *head);
        }
        for ((entity, lane), last) in &self.streams {
            let head = store.stream_head(entity, *lane).unwrap().unwrap();
            assert_eq!(
                (head.clock, head.sequence, head.hash),
                (last.clock, last.sequence, last.hash)
            );
        }
        let report = store.verify().unwrap();
        assert_eq!(report.findings, []);
        let shown = self.shown().count() as u64;
        let of = |state| self.events.iter().filter(|known| known.state == state).count() as u64;
        let erased = of(State::Erased);
        assert_eq!((report.events, report.dropped), (self.end(), self.end() - shown));
        assert_eq!((report.tombstones, report.erased), (of(State::Tombstone) + erased, erased));
        assert_eq!(store.stats().unwrap().events, shown);
    }
}

fn sequences(events: &[Event]) -> impl Iterator<Item = u64> {
    events.iter().map(Event::sequence)
}

/// A query, read in pages of random sizes.
fn pages(store: &Store, query: Query, random: &mut Random) -> Vec<Event> {
    let mut scan = store.read(query).unwrap();
    let mut events = Vec::new();
    loop {
        let (most, bytes) = (1 + random.below(40), 1 + random.below(4000));
        let page = scan.next_page(most as usize, bytes as usize).unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}
