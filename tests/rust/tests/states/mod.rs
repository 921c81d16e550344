//! All that can be seen of a store, so that two moments of it can be compared; and events to fill one with.

use batpak_core::{
    ErrorKind, EventKind, Expected, Hash, Head, Id, NewEvent, Query, Result, Store, StreamHead,
};

/// How many events a store is filled with.
pub const EVENTS: u64 = 64;
const ENTITIES: [&str; 4] = ["a", "b", "c", "gone"];

/// All that a reader sees.
#[derive(PartialEq, Debug)]
pub struct Seen {
    /// Id, sequence, hash, kind and payload of each event that is shown.
    pub events: Vec<(Id, u64, Hash, EventKind, Vec<u8>)>,
    streams: Vec<Option<StreamHead>>,
    heads: Vec<Head>,
}

impl Seen {
    /// What is seen of a store, which must be intact.
    pub fn of(store: &Store) -> Self {
        assert_eq!(store.verify().unwrap().findings, []);
        let events = store.read(Query::default()).unwrap().map(|event| {
            let event = event.unwrap();
            let payload = event.payload().to_vec();
            (event.id(), event.sequence(), event.hash(), event.kind(), payload)
        });
        let events = events.collect();
        let lanes = ENTITIES.into_iter().flat_map(|entity| [(entity, 0), (entity, 1)]);
        let streams = lanes.map(|(entity, lane)| store.stream_head(entity, lane).unwrap());
        let head = store.head().unwrap();
        let points = (0..head.events).step_by(7).map(|point| store.head_at(point).unwrap());
        Self { events, streams: streams.collect(), heads: points.chain([head]).collect() }
    }

    /// How many events the log has, shown or not.
    pub fn end(&self) -> u64 {
        self.heads.last().map_or(0, |head| head.events)
    }
}

/// What a key is answered: the sequence and the hash of its event, if it is known.
pub type Answer = Option<(u64, Hash)>;

/// What every key is answered. Nothing is appended, since a key is looked up before the clock.
pub fn answers(store: &Store) -> Vec<Answer> {
    let keys = (0..EVENTS).filter(|number| key(*number).is_some());
    keys.map(|number| {
        let payload = payload(number);
        let never = Expected::Exact(u32::MAX - 1);
        match store.append(&NewEvent { expected: never, ..event(number, &payload) }, None) {
            Ok(receipt) => {
                assert!(receipt.duplicate);
                Some((receipt.sequence, receipt.hash))
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ClockConflict, "{error:?}");
                None
            }
        }
    })
    .collect()
}

fn key(number: u64) -> Option<Id> {
    number.is_multiple_of(3).then(|| Id::for_operation("states", &[&number.to_le_bytes()]))
}

fn payload(number: u64) -> Vec<u8> {
    vec![number as u8; (number * 37 % 300) as usize]
}

/// Event `number`. The last of the streams of `gone` are early ones.
fn event(number: u64, payload: &[u8]) -> NewEvent<'_> {
    let gone = number < EVENTS / 2 && number % 4 == 3;
    let entity = if gone { ENTITIES[3] } else { ENTITIES[(number % 3) as usize] };
    let kind = EventKind(0x1000 + (number % 3) as u16);
    NewEvent {
        id: key(number),
        lane: u32::from(number.is_multiple_of(11)),
        ..NewEvent::new(entity, "s", kind, payload)
    }
}

/// Appends these events, durably, some of them in batches of two.
pub fn fill(store: &Store, events: std::ops::Range<u64>) -> Result<()> {
    let mut next = events.start;
    while next < events.end {
        let payloads = [payload(next), payload(next + 1)];
        let pair = [event(next, &payloads[0]), event(next + 1, &payloads[1])];
        let count = if next % 10 == 8 && next + 1 < events.end { 2 } else { 1 };
        store.append_batch(&pair[..count], None)?;
        next += count as u64;
    }
    Ok(())
}

/// Checks that the directory of a store that nobody reads has its segments, and nothing else that is
/// a segment or half of a file.
pub fn check_tidy(names: impl Iterator<Item = String>, segments: u64, context: &str) {
    let names: Vec<String> = names.collect();
    assert!(!names.iter().any(|name| name.ends_with(".tmp")), "{context}: {names:?}");
    let found = names.iter().filter(|name| name.ends_with(".fbat")).count() as u64;
    assert_eq!(found, segments, "{context}: {names:?}");
}
