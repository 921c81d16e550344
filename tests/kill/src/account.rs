//! What a worker's log proves, and whether the store agrees.

use crate::Failure;
use batpak_core::{Durability, Event, Hash, Id};
use batpak_kill::plan::{self, Append, Operation};
use std::str::SplitWhitespace;

/// An append: the life and the operation that made it first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) life: u32,
    pub(crate) operation: u32,
}

/// An event that is, or may be, in the store.
#[derive(PartialEq, Eq)]
pub(crate) struct Known {
    attempt: Attempt,
    item: usize,
    id: Id,
    hash: Hash,
}

/// What is known of a store between two lives.
pub(crate) struct History {
    pub(crate) seed: u32,
    /// Some life has opened it.
    pub(crate) exists: bool,
    /// Every event, by its sequence.
    pub(crate) events: Vec<Known>,
    /// The append during which the last life was killed, if it can be repeated.
    pub(crate) retry: Option<Attempt>,
}

impl History {
    /// Before the first life.
    pub(crate) fn new(seed: u32) -> Self {
        Self { seed, exists: false, events: Vec::new(), retry: None }
    }
}

/// A history with one life more, as far as its log goes.
pub(crate) struct Account {
    seed: u32,
    pub(crate) exists: bool,
    /// The events before this life, and those that it acknowledged.
    events: Vec<Known>,
    /// How many events there were before.
    pub(crate) before: usize,
    /// How many of the events cannot be missing: written or durable, and all before them.
    safe: usize,
    /// The append that was not acknowledged.
    in_flight: Option<Attempt>,
    /// What the worker was doing.
    pub(crate) during: &'static str,
}

/// Why there is no further line to account for.
enum Stop {
    /// The worker was killed here.
    Killed,
    /// The log is not what the plan says, or contradicts the store.
    Wrong(Failure),
}

impl From<Failure> for Stop {
    fn from(why: Failure) -> Self {
        Self::Wrong(why)
    }
}

impl Account {
    /// Accounts for a life by its log.
    pub(crate) fn of(history: History, life: u32, log: &str) -> Result<Self, Failure> {
        let mut account = Self {
            seed: history.seed,
            exists: history.exists,
            before: history.events.len(),
            safe: history.events.len(),
            events: history.events,
            in_flight: None,
            during: "open",
        };
        match account.follow(life, history.retry, &mut Lines(log)) {
            Stop::Killed => Ok(account),
            Stop::Wrong(why) => Err(why),
        }
    }

    fn follow(&mut self, life: u32, retry: Option<Attempt>, lines: &mut Lines<'_>) -> Stop {
        if let Err(stop) = self.begin(retry, lines) {
            return stop;
        }
        let mut worked = (1..).map(|operation| self.work(life, operation, lines));
        worked.find_map(Result::err).unwrap_or(Stop::Killed)
    }

    fn begin(&mut self, retry: Option<Attempt>, lines: &mut Lines<'_>) -> Result<(), Stop> {
        self.open(0, lines)?;
        let Some(attempt) = retry else { return Ok(()) };
        match self.planned(attempt) {
            Some(append) => self.append(0, attempt.life, &append, lines),
            None => Err(Stop::Wrong("what was to be repeated is no append".to_owned())),
        }
    }

    fn work(&mut self, life: u32, operation: u32, lines: &mut Lines<'_>) -> Result<(), Stop> {
        match plan::operation(self.seed, life, operation) {
            Operation::Append(append) => self.append(operation, life, &append, lines),
            Operation::Flush => self.settle("flush", operation, "flushed", lines),
            Operation::Sync => self.settle("sync", operation, "synced", lines),
            Operation::Reopen => {
                self.settle("close", operation, "closed", lines)?;
                self.open(operation, lines)
            }
            Operation::Nothing => lines.next(operation, "nothing").map(drop),
        }
    }

    fn open(&mut self, operation: u32, lines: &mut Lines<'_>) -> Result<(), Stop> {
        self.during = "open";
        let mut words = lines.next(operation, "open")?;
        let events: usize = word(&mut words)?;
        self.exists = true;
        if events != self.events.len() {
            let expected = self.events.len();
            return Err(
                format!("operation {operation} opened {events} of {expected} events").into()
            );
        }
        Ok(())
    }

    fn settle(
        &mut self,
        during: &'static str,
        operation: u32,
        done: &str,
        lines: &mut Lines<'_>,
    ) -> Result<(), Stop> {
        self.during = during;
        lines.next(operation, done)?;
        self.safe = self.events.len();
        Ok(())
    }

    fn append(
        &mut self,
        operation: u32,
        life: u32,
        append: &Append,
        lines: &mut Lines<'_>,
    ) -> Result<(), Stop> {
        let attempt = Attempt { life, operation: append.operation };
        self.during = if append.items.len() == 1 { "append" } else { "batch" };
        self.in_flight = Some(attempt);
        let mut words = lines.next(operation, "ack")?;
        self.in_flight = None;
        for item in 0..append.items.len() {
            let sequence: usize = word(&mut words)?;
            let known = Known { attempt, item, id: word(&mut words)?, hash: word(&mut words)? };
            let duplicate = word::<u8>(&mut words)? == 1;
            let right = match self.events.get(sequence) {
                Some(earlier) => duplicate && *earlier == known,
                None => !duplicate && sequence == self.events.len(),
            };
            if !right {
                return Err(format!(
                    "operation {operation}, item {item} was acknowledged as event {sequence} \
                     (duplicate: {duplicate}) when there were {}",
                    self.events.len()
                )
                .into());
            }
            if !duplicate {
                self.events.push(known);
            }
        }
        if append.durability != Durability::Buffered {
            self.safe = self.events.len();
        }
        Ok(())
    }

    /// Compares with the events of the store. What is there is the history from now on.
    pub(crate) fn settle_with(mut self, found: &[Event]) -> Result<History, Failure> {
        let count = found.len();
        if count < self.safe {
            let safe = self.safe;
            return Err(format!("{count} events are there; {safe} were written or durable"));
        }
        let append = self.in_flight.and_then(|attempt| self.planned(attempt));
        let beyond = found.get(self.events.len()..).unwrap_or_default();
        if !beyond.is_empty() {
            self.add_in_flight(beyond, append.as_ref())?;
        }
        if let (Some(next), Some(last)) = (self.events.get(count), count.checked_sub(1))
            && self.events[last].attempt == next.attempt
        {
            return Err(format!("event {last} is there, but not all of its batch"));
        }
        self.events.truncate(count);
        self.compare(found)?;
        let retry = self.in_flight.filter(|_| append.is_some_and(|append| append.with_ids));
        Ok(History { seed: self.seed, exists: self.exists, events: self.events, retry })
    }

    fn planned(&self, attempt: Attempt) -> Option<Append> {
        match plan::operation(self.seed, attempt.life, attempt.operation) {
            Operation::Append(append) => Some(append),
            _ => None,
        }
    }

    /// Events that nobody acknowledged: they can only be those of the append that was under way.
    fn add_in_flight(&mut self, beyond: &[Event], append: Option<&Append>) -> Result<(), Failure> {
        let items = append.map_or(0, |append| append.items.len());
        let fresh = |attempt: &Attempt| self.events.iter().all(|known| known.attempt != *attempt);
        match self.in_flight.filter(fresh) {
            Some(attempt) if items == beyond.len() => {
                self.events.extend(beyond.iter().enumerate().map(|(item, event)| Known {
                    attempt,
                    item,
                    id: event.id(),
                    hash: event.hash(),
                }));
                Ok(())
            }
            attempt => Err(format!(
                "{} events are there that were not acknowledged; {} could be",
                beyond.len(),
                if attempt.is_some() { items } else { 0 }
            )),
        }
    }

    /// Compares every event with its acknowledgement and with the plan.
    fn compare(&self, found: &[Event]) -> Result<(), Failure> {
        let mut planned: Option<(Attempt, Append)> = None;
        for (sequence, (event, known)) in found.iter().zip(&self.events).enumerate() {
            let attempt = known.attempt;
            if planned.as_ref().is_none_or(|(of, _)| *of != attempt) {
                planned = self.planned(attempt).map(|append| (attempt, append));
            }
            let item = planned.as_ref().and_then(|(_, append)| append.items.get(known.item));
            let as_planned = item.is_some_and(|item| {
                item.id.is_none_or(|id| id == known.id)
                    && (event.entity(), event.scope()) == (&item.entity, plan::SCOPE)
                    && (event.lane(), event.kind()) == (item.lane, item.kind)
                    && event.payload() == item.payload
            });
            if !as_planned {
                return Err(format!("event {sequence} is not what was handed in: {event:?}"));
            }
            let batch_ends =
                found.len() == sequence + 1 || self.events[sequence + 1].attempt != attempt;
            let as_stored = (event.sequence(), event.id(), event.hash(), event.batch_continues())
                == (sequence as u64, known.id, known.hash, !batch_ends);
            if !as_stored {
                return Err(format!("event {sequence} is not what was acknowledged: {event:?}"));
            }
        }
        Ok(())
    }
}

/// The lines of a log: a number of an operation, a word, and more words.
struct Lines<'a>(&'a str);

impl<'a> Lines<'a> {
    /// The words of the next line, which is about this operation and says that this was done. A
    /// line that the kill cut short does not count.
    fn next(&mut self, operation: u32, done: &str) -> Result<SplitWhitespace<'a>, Stop> {
        let (line, rest) = self.0.split_once('\n').ok_or(Stop::Killed)?;
        self.0 = rest;
        let mut words = line.split_whitespace();
        let right = words.next().and_then(|number| number.parse().ok()) == Some(operation)
            && words.next() == Some(done);
        if right {
            return Ok(words);
        }
        Err(format!("operation {operation} was to be {done}; the log has: {line:.80}").into())
    }
}

fn word<T: std::str::FromStr>(words: &mut SplitWhitespace<'_>) -> Result<T, Stop> {
    let parsed = words.next().and_then(|word| word.parse().ok());
    parsed.ok_or_else(|| Stop::Wrong("a line of the log cannot be understood".to_owned()))
}
