//! Where events are: [`tail`] indexes the unsealed segment in memory, [`sealed`] reads the
//! footers of the others in place, [`heads`] knows where the streams end that are appended to.
//!
//! Imports `storage`, `format` and the vocabulary.

pub(crate) mod filter;
pub(crate) mod heads;
pub(crate) mod sealed;
pub(crate) mod tail;

use self::heads::LaneHead;
use crate::error::{Error, Result};
use crate::ids::{Hash, Id};
use crate::region::{Direction, Region};
use crate::storage::blocks::{Place, read_from_file};
use crate::storage::files::Files;
use crate::storage::recovery::{self, Stored};
use std::sync::Arc;

/// A segment that no longer changes.
pub(crate) enum Part {
    /// Found through its footer.
    Sealed(sealed::Sealed),
    /// Indexed in memory: frames that a salvage found, or that are made when they are read.
    Indexed(tail::Tail, Option<Box<dyn Frames>>),
}

/// Frames that no file holds as they are.
pub(crate) trait Frames: Send + Sync {
    /// Makes the frames of `tail` that are so many bytes from `start` on.
    fn read(&self, files: &Files, tail: &tail::Tail, start: u64, bytes: usize) -> Result<Vec<u8>>;
    /// Where in its file stands what the frame of this event is made from.
    fn origin(&self, index: u32) -> u64;
}

impl Part {
    pub(crate) fn sealed(&self) -> Option<&sealed::Sealed> {
        match self {
            Self::Sealed(sealed) => Some(sealed),
            Self::Indexed(..) => None,
        }
    }

    pub(crate) fn indexed(&self) -> Option<&tail::Tail> {
        match self {
            Self::Sealed(_) => None,
            Self::Indexed(tail, _) => Some(tail),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Sealed(sealed) => sealed.entry.number,
            Self::Indexed(tail, _) => tail.number,
        }
    }

    pub(crate) fn first_sequence(&self) -> u64 {
        match self {
            Self::Sealed(sealed) => sealed.entry.first_sequence,
            Self::Indexed(tail, _) => tail.first_sequence,
        }
    }

    pub(crate) fn end_sequence(&self) -> u64 {
        match self {
            Self::Sealed(sealed) => sealed.end_sequence(),
            Self::Indexed(tail, _) => tail.next_sequence(),
        }
    }

    /// How many events it holds that are shown.
    pub(crate) fn events(&self) -> u64 {
        match self {
            Self::Sealed(sealed) => sealed.shown(),
            Self::Indexed(tail, _) => tail.events() - tail.holes(),
        }
    }

    /// Whether there is an event with this index which is shown.
    pub(crate) fn holds(&self, index: u32) -> Result<bool> {
        match self {
            Self::Sealed(sealed) => sealed.holds(index),
            Self::Indexed(tail, _) => Ok(tail.holds(index)),
        }
    }

    /// The first events of `low..high` that are shown, or the last ones, by rising index, at most
    /// so many; and whether there are no more of them.
    pub(crate) fn some_shown(
        &self,
        low: u32,
        high: u32,
        most: usize,
        direction: Direction,
    ) -> Result<(Vec<u32>, bool)> {
        match self {
            Self::Sealed(sealed) => sealed.some_shown(low, high, most, direction),
            Self::Indexed(tail, _) if tail.holes() == 0 => Ok(take(low, high, most, direction)),
            Self::Indexed(tail, _) => {
                let (shown, wanted) = (|index: &u32| tail.holds(*index), most.saturating_add(1));
                let mut found: Vec<u32> = match direction {
                    Direction::Forward => (low..high).filter(shown).take(wanted).collect(),
                    Direction::Backward => (low..high).rev().filter(shown).take(wanted).collect(),
                };
                let all = found.len() <= most;
                found.truncate(most);
                found.sort_unstable();
                Ok((found, all))
            }
        }
    }

    /// The events that may have this id, of which this is the tag.
    pub(crate) fn candidates_for_id(&self, id: Id, tag: u32) -> Result<Vec<u32>> {
        match self {
            Self::Sealed(sealed) => sealed.candidates_for_id(tag),
            Self::Indexed(tail, _) => Ok(tail.candidates_for_id(id)),
        }
    }

    /// Where a stream ends, if it has an event here. `tag` is the entity's name tag.
    pub(crate) fn stream_end(&self, entity: &str, lane: u32, tag: u32) -> Result<Option<LaneHead>> {
        match self {
            Self::Sealed(sealed) => sealed.stream_end(entity, lane, tag),
            Self::Indexed(tail, _) => Ok(tail.stream_end(entity, lane)),
        }
    }

    /// Every stream that has an event here: entity and lane.
    pub(crate) fn for_each_stream(&self, mut each: impl FnMut(&str, u32)) -> Result<()> {
        match self {
            Self::Sealed(sealed) => sealed.for_each_stream(|entity, lane, _, _| each(entity, lane)),
            Self::Indexed(tail, _) => {
                tail.streams().for_each(|(entity, lane)| each(entity, lane));
                Ok(())
            }
        }
    }

    /// The events in `low..high` that may be in the region; `None` means any of them may.
    pub(crate) fn candidates(
        &self,
        region: &Region,
        low: u32,
        high: u32,
    ) -> Result<Option<Vec<u32>>> {
        match self {
            Self::Sealed(sealed) => sealed.candidates(region, low, high),
            Self::Indexed(tail, _) => Ok(tail.candidates(region, low, high)),
        }
    }

    /// Shows the sequence and the hash of every event, dropped ones included. Not of frames that no file
    /// holds.
    pub(crate) fn hashes(&self, files: &Files, mut each: impl FnMut(u64, Hash)) -> Result<()> {
        let mut show = |stored: &Stored<'_>, _| {
            let mut sequence = stored.first_sequence();
            stored.hashes(|hash| {
                each(sequence, hash);
                sequence += 1;
            });
            Ok(())
        };
        match self {
            Self::Sealed(sealed) => sealed.for_each_stored(show),
            Self::Indexed(tail, _) => {
                let (number, first) = (tail.number, tail.first_sequence);
                let (file, path) = (files.segment(number)?, files.segment_path(number));
                let frames = recovery::Frames::new(&*file, &path, number, tail.start(), tail.end);
                frames.for_each(first, &mut show)
            }
        }
    }

    /// Where the frame of this event starts and ends.
    pub(crate) fn span(&self, index: u32) -> Result<(u64, u64)> {
        match self {
            Self::Sealed(sealed) => sealed.span(index),
            Self::Indexed(tail, _) => {
                tail.span(index).ok_or_else(|| Error::corrupt("an event beyond the last is named"))
            }
        }
    }

    /// Where in its file the frame of this event is, which starts at `offset` here.
    pub(crate) fn offset_in_file(&self, index: u32, offset: u64) -> u64 {
        match self {
            Self::Indexed(_, Some(frames)) => frames.origin(index),
            Self::Sealed(_) | Self::Indexed(_, None) => offset,
        }
    }

    /// A copy of frames that follow each other.
    pub(crate) fn copy_frames(&self, files: &Files, start: u64, bytes: usize) -> Result<Arc<[u8]>> {
        match self {
            Self::Sealed(sealed) => sealed.copy_frames(start, bytes),
            Self::Indexed(tail, Some(frames)) => {
                frames.read(files, tail, start, bytes).map(Arc::from)
            }
            Self::Indexed(tail, None) => {
                let (number, settled) = (tail.number, tail.end);
                let place = Place { files, number, file: None, settled, keep: false };
                let mut copy: Arc<[u8]> = std::iter::repeat_n(0, bytes).collect();
                if let Some(buffer) = Arc::get_mut(&mut copy) {
                    read_from_file(&place, buffer, start)?;
                }
                Ok(copy)
            }
        }
    }

    /// The same, if the event has a frame, also one that is not shown.
    pub(crate) fn span_if_any(&self, index: u32) -> Result<Option<(u64, u64)>> {
        match self {
            Self::Sealed(sealed) => sealed.span_if_any(index),
            Self::Indexed(tail, _) => Ok(tail.span(index)),
        }
    }

    /// Where the frames of these rising events start and end.
    pub(crate) fn spans(&self, indexes: &[u32]) -> Result<Vec<(u64, u64)>> {
        match self {
            Self::Sealed(sealed) => sealed.spans(indexes),
            Self::Indexed(tail, _) => Ok(tail.spans(indexes)),
        }
    }
}

/// The first indexes of `low..high`, or the last ones, at most so many; and whether that is all.
pub(crate) fn take(low: u32, high: u32, most: usize, direction: Direction) -> (Vec<u32>, bool) {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let taken = match direction {
        Direction::Forward => low..high.min(low.saturating_add(most)),
        Direction::Backward => low.max(high.saturating_sub(most))..high,
    };
    (taken.collect(), high.saturating_sub(low) <= most)
}

/// Joins rising lists into one rising list.
pub(crate) fn merge(mut lists: Vec<Vec<u32>>) -> Vec<u32> {
    if lists.len() == 1 {
        return lists.swap_remove(0);
    }
    let mut merged = lists.concat();
    merged.sort_unstable();
    merged
}

/// The part of a rising list that lies in `low..high`.
pub(crate) fn between(indexes: &[u32], low: u32, high: u32) -> &[u32] {
    let start = indexes.partition_point(|index| *index < low);
    let end = indexes.partition_point(|index| *index < high);
    &indexes[start..end.max(start)]
}

/// Which of a stream's `events` events, whose clocks go from the first to the last of `clocks`,
/// can have a clock in the wanted range. All of them, unless the clocks are without gaps.
pub(crate) fn clock_window(
    clocks: (u32, u32),
    events: u32,
    wanted: Option<(u32, u32)>,
) -> Option<std::ops::Range<u32>> {
    let (first, last) = clocks;
    let Some((low, high)) = wanted else { return Some(0..events) };
    if high < first || low > last {
        return None;
    }
    if u64::from(last) + 1 != u64::from(first) + u64::from(events) {
        return Some(0..events);
    }
    Some(low.max(first) - first..(high.min(last) - first).saturating_add(1).min(events))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_clocks() {
        assert_eq!(clock_window((5, 9), 5, None), Some(0..5));
        assert_eq!(clock_window((5, 9), 5, Some((6, 7))), Some(1..3));
        assert_eq!(clock_window((5, 9), 5, Some((0, 5))), Some(0..1));
        assert_eq!(clock_window((5, 9), 5, Some((10, 20))), None);
        assert_eq!(clock_window((5, 9), 3, Some((6, 7))), Some(0..3));
    }

    #[test]
    fn merging_and_cutting() {
        assert_eq!(merge(vec![vec![1, 5], vec![2], vec![]]), [1, 2, 5]);
        assert_eq!(merge(vec![]), [0u32; 0]);
        assert_eq!(between(&[1, 3, 5, 7], 3, 7), [3, 5]);
        assert_eq!(between(&[1, 3], 9, 2), [0u32; 0]);
    }
}
