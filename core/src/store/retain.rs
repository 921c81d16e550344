//! Retention: which events are no longer wanted, and what must be kept of those.

use super::Inner;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::format::frame::{Frame, state};
use crate::index::Part;
use crate::kind::EventKind;
use crate::region::Region;
use crate::storage::recovery::Stored;
use std::collections::HashMap;
use std::sync::Arc;

/// What becomes of an event that is no longer wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Unwanted {
    /// It is no longer shown. Its hash is kept, so that roots and proofs stay what they were. Of the last
    /// event of each stream, and of those whose key is kept, everything but the payload stays in the
    /// files, names included. Copies that were made before keep everything.
    #[default]
    Drop = 0,
    /// It is shown with the kind [`EventKind::TOMBSTONE`]; its payload stays.
    Tombstone = 1,
    /// The same, and its payload is erased, but for its hash.
    Erase = 2,
}

/// What happens when more keys lie in the window than are to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum KeyOverflow {
    /// They are kept all the same, and the report says how many too many there are.
    #[default]
    Warn = 0,
    /// The compaction fails with [`ErrorKind::TooLarge`], and nothing is changed.
    Refuse = 1,
}

/// The idempotency window: for how long the keys of dropped events are kept, that is, the ids that
/// callers gave. As long as its key is kept, repeating an append gives the receipt of the first time, or
/// a conflict if the content is another; later, the same id begins a new event.
///
/// The key of an event that is not dropped is never forgotten, whatever the window. The window of a
/// compaction holds for all dropped events of the store, whichever compaction dropped them: give the
/// same one to all. A batch of which some events are still known, and others not, is a conflict when it
/// is repeated. Nothing outside the window is kept, so that there is nothing there to be trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Keys of this many sequences up to the newest event are kept, always.
    pub window: u64,
    /// So many keys are to be kept at the most.
    pub most: u64,
    /// What happens when there are more of them in the window.
    pub overflow: KeyOverflow,
}

impl Default for Keys {
    /// A window of 2^20 sequences, and as many keys.
    fn default() -> Self {
        Self { window: 1 << 20, most: 1 << 20, overflow: KeyOverflow::Warn }
    }
}

/// Says whether an event stays, or ends the compaction by an error.
pub type Keep<'a> = &'a mut dyn FnMut(&Event) -> Result<bool>;

/// Which events are no longer wanted: those that every rule which is set calls unwanted. At least one
/// must be set. The library's own events, such as denials, stay.
#[derive(Default)]
pub struct Retention<'a> {
    /// Events outside this region stay.
    pub region: Region,
    /// Events from this sequence on stay.
    pub before: Option<u64>,
    /// Events of this timestamp or later stay: microseconds since 1970.
    pub older_than_us: Option<i64>,
    /// So many newest events of each entity stay, on all its lanes together.
    pub newest_per_entity: Option<u64>,
    /// Asked, in the order of the log, about each event that the other rules call unwanted: whether
    /// it stays. An error ends the compaction, and nothing is changed. No lock is held meanwhile, so
    /// that it may read and append.
    pub keep: Option<Keep<'a>>,
    /// What becomes of the others.
    pub unwanted: Unwanted,
    /// Which keys of dropped events are kept.
    pub keys: Keys,
}

impl Retention<'_> {
    pub(super) fn check(&self) -> Result<()> {
        self.region.check()?;
        let is_set = self.region != Region::default()
            || self.before.is_some()
            || self.older_than_us.is_some()
            || self.newest_per_entity.is_some()
            || self.keep.is_some();
        if is_set {
            return Ok(());
        }
        Err(Error::invalid("the retention has no rule, so that no event would stay"))
    }
}

impl std::fmt::Debug for Retention<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retention")
            .field("region", &self.region)
            .field("before", &self.before)
            .field("older_than_us", &self.older_than_us)
            .field("newest_per_entity", &self.newest_per_entity)
            .field("unwanted", &self.unwanted)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// What a segment that is written again holds of what one of the old ones has at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The frame, with these bits of its state set, too.
    Kept(u8),
    /// The hash.
    Gone,
}

/// A stream, by a hash of its name and lane: memory is needed for each of them.
type StreamKey = [u8; 16];

fn stream_key(entity: &str, lane: u32) -> StreamKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&lane.to_le_bytes()).update(entity.as_bytes());
    crate::format::array(hasher.finalize().as_bytes(), 0)
}

/// What is decided about the events of a log, asked in its order.
pub(super) struct Decisions<'a, 'b> {
    retention: &'a mut Retention<'b>,
    /// How many of each entity's next events are not among its newest.
    surplus: HashMap<Box<str>, u64>,
    /// The sequence of each stream's last event in a sealed segment.
    last: HashMap<StreamKey, u64>,
    /// Keys from this sequence on are kept.
    keys_from: u64,
    pub(super) keys: u64,
    pub(super) dropped: u64,
    pub(super) tombstones: u64,
}

impl<'a, 'b> Decisions<'a, 'b> {
    /// `parts` are the segments to decide about; behind them come those of the store's tail.
    pub(super) fn new(
        store: &Inner,
        parts: &[Arc<Part>],
        retention: &'a mut Retention<'b>,
    ) -> Result<Self> {
        let (mut surplus, mut last) = (HashMap::<Box<str>, u64>::new(), HashMap::new());
        let (visible, in_tail) = {
            let live = store.live.read();
            (live.visible(), live.tail.as_ref().map(|tail| tail.stream_events()))
        };
        let counts = retention.newest_per_entity.is_some();
        let mut count = |entity: &str, events: u64| {
            if !counts {
            } else if let Some(known) = surplus.get_mut(entity) {
                *known += events;
            } else {
                surplus.insert(entity.into(), events);
            }
        };
        for sealed in parts.iter().filter_map(|part| part.sealed()) {
            sealed.for_each_stream(|entity, lane, events, last_index| {
                count(entity, events.into());
                if retention.unwanted == Unwanted::Drop {
                    let sequence = sealed.entry.first_sequence + u64::from(last_index);
                    last.insert(stream_key(entity, lane), sequence);
                }
            })?;
        }
        in_tail.iter().flatten().for_each(|(entity, events)| count(entity, *events));
        if let Some(newest) = retention.newest_per_entity {
            surplus.retain(|_, events| {
                *events = events.saturating_sub(newest);
                *events > 0
            });
        }
        let keys_from = visible.saturating_sub(retention.keys.window);
        Ok(Self { retention, surplus, last, keys_from, keys: 0, dropped: 0, tombstones: 0 })
    }

    /// Whether nothing in this segment can be unwanted, as far as can be told without reading it.
    /// Then none of its events may be asked about.
    pub(super) fn skips(&mut self, part: &Part) -> Result<bool> {
        let Some(sealed) = part.sealed() else { return Ok(true) };
        if sealed.shown() < sealed.entry.events {
            // Keys of dropped events must be counted.
            return Ok(false);
        }
        let (retention, summary) = (&*self.retention, &sealed.footer.summary);
        let events = u32::try_from(sealed.entry.events).unwrap_or(u32::MAX);
        let stays = retention.before.is_some_and(|before| before <= summary.first_sequence)
            || retention.older_than_us.is_some_and(|time| time <= summary.lowest_timestamp_us)
            || part.candidates(&retention.region, 0, events)?.is_some_and(|found| found.is_empty());
        if retention.newest_per_entity.is_none() {
            return Ok(stays);
        }
        let mut any = false;
        sealed.for_each_stream(|entity, _, _, _| any |= self.surplus.contains_key(entity))?;
        if any && stays {
            sealed.for_each_stream(|entity, _, events, _| {
                self.pass(entity, events.into());
            })?;
        }
        Ok(!any || stays)
    }

    /// Passes over so many of the entity's events. Whether the first one is not among its newest.
    fn pass(&mut self, entity: &str, events: u64) -> bool {
        if self.retention.newest_per_entity.is_none() {
            return true;
        }
        let Some(left) = self.surplus.get_mut(entity) else { return false };
        *left = left.saturating_sub(events);
        if *left == 0 {
            self.surplus.remove(entity);
        }
        true
    }

    fn is_unwanted(&mut self, frame: &Frame<'_>, event: impl FnOnce() -> Event) -> Result<bool> {
        // Its place among the entity's events counts, whatever the other rules say.
        let is_surplus = self.pass(frame.entity(), 1);
        let kind = EventKind(frame.kind());
        let retention = &mut *self.retention;
        let unwanted = is_surplus
            && (!kind.is_reserved() || kind == EventKind::TOMBSTONE)
            && retention.before.is_none_or(|before| frame.sequence() < before)
            && retention.older_than_us.is_none_or(|time| frame.timestamp_us() < time)
            && retention.region.matches_frame(frame);
        match &mut retention.keep {
            Some(keep) if unwanted => Ok(!keep(&event())?),
            _ => Ok(unwanted),
        }
    }

    /// Decides about what stands in a segment; `event` is the event, if it is one.
    pub(super) fn fate(
        &mut self,
        stored: &Stored<'_>,
        event: impl FnOnce(&Frame<'_>) -> Event,
    ) -> Result<Fate> {
        let frame = match stored {
            Stored::Gap(_) => return Ok(Fate::Gone),
            Stored::Event(frame) => frame,
        };
        if !frame.is_dropped() {
            if !self.is_unwanted(frame, || event(frame))? {
                return Ok(Fate::Kept(0));
            }
            let (erase, is_erased) = (state::TOMBSTONE | state::ERASED, frame.is_erased());
            let set = match self.retention.unwanted {
                Unwanted::Drop => {
                    self.dropped += 1;
                    return Ok(self.fate_of_dropped(frame));
                }
                Unwanted::Tombstone if frame.is_tombstone() => 0,
                Unwanted::Erase if frame.is_tombstone() && is_erased => 0,
                Unwanted::Tombstone => state::TOMBSTONE,
                Unwanted::Erase => erase,
            };
            self.tombstones += u64::from(set != 0);
            return Ok(Fate::Kept(set));
        }
        if self.retention.unwanted == Unwanted::Drop {
            return Ok(self.fate_of_dropped(frame));
        }
        self.keys += u64::from(frame.is_keyed());
        Ok(Fate::Kept(0))
    }

    fn fate_of_dropped(&mut self, frame: &Frame<'_>) -> Fate {
        let key = frame.is_keyed() && frame.sequence() >= self.keys_from;
        self.keys += u64::from(key);
        let last = self.last.get(&stream_key(frame.entity(), frame.lane()));
        match key || last == Some(&frame.sequence()) {
            true => Fate::Kept(state::DROPPED | state::ERASED),
            false => Fate::Gone,
        }
    }

    /// How many more keys are kept than may be; an error if that is to be one.
    pub(super) fn check_keys(&self) -> Result<u64> {
        let keys = &self.retention.keys;
        let over = self.keys.saturating_sub(keys.most);
        if over > 0 && keys.overflow == KeyOverflow::Refuse {
            let why = format!(
                "{} keys of dropped events are in the window of {} sequences; the limit is {}; \
                 nothing was changed",
                self.keys, keys.window, keys.most
            );
            return Err(Error::new(ErrorKind::TooLarge, why));
        }
        Ok(over)
    }
}
