//! What batpak shows of a 0.x store, and whether that is what a crate shows.

use crate::event::OldEvent;
use batpak_core::{Error, Event, OpenMode, OpenOptions, OpenReport, Query, Region, Store};
use std::collections::HashMap;
use std::path::Path;

/// Everything that batpak shows of a store.
pub struct Ours {
    pub report: OpenReport,
    /// By rising sequence.
    pub events: Vec<Event>,
}

/// Opens the store, reads all of it forwards, and closes it.
pub fn read(dir: &Path, mode: OpenMode) -> Result<Ours, Error> {
    let store = Store::open(dir, &OpenOptions::mode(mode))?;
    let events = store.read(Query::new(Region::all()))?.collect::<Result<Vec<_>, _>>()?;
    let report = store.open_report().clone();
    store.close()?;
    Ok(Ours { report, events })
}

/// What the sequences of a crate say about those of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequences {
    /// They are the same.
    Same,
    /// They are others, in the same order.
    SameOrder,
    /// Nothing.
    Unrelated,
}

impl Ours {
    /// The user's events.
    pub fn user_events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| event.entity() != crate::event::SYSTEM_ENTITY)
    }

    /// Says where these events of the crate are missing, in another order, or different.
    pub fn differences(&self, theirs: &[OldEvent], sequences: Sequences) -> Vec<String> {
        let places: HashMap<u128, usize> =
            self.events.iter().enumerate().map(|(place, event)| (id(event), place)).collect();
        let mut found = Vec::new();
        let mut last = None;
        for event in theirs {
            let name = format!("event {} of `{}`", event.sequence, event.entity);
            let Some(place) = places.get(&event.id) else {
                found.push(format!("{name} is missing"));
                continue;
            };
            if sequences != Sequences::Unrelated && last.is_some_and(|last| last >= place) {
                found.push(format!("{name} is in another order"));
            }
            last = Some(place);
            for what in differing(&self.events[*place], event, sequences == Sequences::Same) {
                found.push(format!("{name} differs in its {what}"));
            }
        }
        found
    }
}

/// The id as the crate has it.
pub fn id(event: &Event) -> u128 {
    u128::from_be_bytes(event.id().0)
}

/// The names of the fields in which our event is not theirs.
pub fn differing(ours: &Event, theirs: &OldEvent, sequences: bool) -> Vec<&'static str> {
    let stored = |key: &str| key != SHREDDED;
    let extensions = ours.extensions().filter(|(key, _)| stored(key));
    let extensions: Vec<_> =
        extensions.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let shredded = ours.extensions().find(|(key, _)| *key == SHREDDED).map(|(_, scope)| scope);
    let (payload, keyscope): (&[u8], _) = match &theirs.encryption {
        None => (&theirs.payload, None),
        Some(encryption) => match &encryption.plain {
            Some(plain) => (plain, None),
            None => (&[], Some(encryption.keyscope.as_slice())),
        },
    };
    let fields = [
        ("sequence", !sequences || ours.sequence() == theirs.sequence),
        ("id", id(ours) == theirs.id),
        ("correlation", u128::from_be_bytes(ours.correlation().0) == theirs.correlation),
        ("causation", ours.causation().map(|id| u128::from_be_bytes(id.0)) == theirs.causation),
        ("timestamp", ours.timestamp_us() == theirs.timestamp_us),
        ("wall clock", ours.wall_us().div_euclid(1000) == theirs.wall_ms as i64),
        ("clock", ours.clock() == theirs.clock),
        ("lane", ours.lane() == theirs.lane),
        ("depth", ours.depth() == theirs.depth),
        ("kind", ours.kind().0 == theirs.kind),
        ("flags", ours.flags() == theirs.flags),
        ("payload version", ours.payload_version() == theirs.payload_version.unwrap_or(0)),
        ("payload", ours.payload() == payload),
        ("keyscope", shredded == keyscope),
        ("entity", ours.entity() == theirs.entity),
        ("scope", ours.scope() == theirs.scope),
        ("extensions", extensions == theirs.extensions.clone().unwrap_or_default()),
        ("hash", ours.hash().0 == theirs.hash),
        ("previous hash", ours.prev_hash().0 == theirs.prev_hash),
    ];
    fields.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

/// The extension that an event has whose payload needs a key that is not there.
pub const SHREDDED: &str = "batpak.shredded";
