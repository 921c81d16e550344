//! Appending without waiting, for callers that have an event loop of their own.

use super::Store;
use super::queue::Then;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{NewEvent, Receipt};
use crate::options::Durability;
use std::time::Duration;

/// An append that is under way. Dropping it changes nothing about the append.
#[derive(Debug)]
pub struct Ticket {
    answer: flume::Receiver<Result<Vec<Receipt>>>,
    /// What was received before somebody asked for it.
    received: Option<Result<Vec<Receipt>>>,
}

impl Ticket {
    /// Whether the append has ended, well or not.
    pub fn is_done(&mut self) -> bool {
        self.wait_for(Duration::ZERO)
    }

    /// Waits until the append has ended or the time is up; says whether it has ended.
    pub fn wait_for(&mut self, timeout: Duration) -> bool {
        if self.received.is_none() {
            self.received = match self.answer.recv_timeout(timeout) {
                Ok(result) => Some(result),
                Err(flume::RecvTimeoutError::Timeout) => None,
                Err(flume::RecvTimeoutError::Disconnected) => Some(Err(lost())),
            };
        }
        self.received.is_some()
    }

    /// Waits until the append has ended; gives what [`Store::append_batch`] would have given.
    pub fn wait(self) -> Result<Vec<Receipt>> {
        match self.received {
            Some(result) => result,
            None => self.answer.recv().unwrap_or_else(|_| Err(lost())),
        }
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Panic, "the append gave no answer")
}

impl Store {
    /// Starts to append all events or none, like [`append_batch`](Self::append_batch), and returns
    /// at once. Appends are committed in the order in which a thread starts them, also before later
    /// ones that wait; thousands under way share writes and syncs. What is under way takes memory:
    /// wait for the oldest before starting ever more.
    pub fn append_ticket(
        &self,
        events: &[NewEvent<'_>],
        durability: Option<Durability>,
    ) -> Result<Ticket> {
        let (sender, answer) = flume::bounded(1);
        self.append_then(events, durability, Box::new(move |result| drop(sender.send(result))))?;
        Ok(Ticket { answer, received: None })
    }

    /// Like [`append_ticket`](Self::append_ticket), with a function that gets the result. It is
    /// called once, on a thread of the library's or of another appender, and should be short, since
    /// later appends may wait for it. If this returns an error, nothing was started, and it is not
    /// called.
    pub fn append_then(
        &self,
        events: &[NewEvent<'_>],
        durability: Option<Durability>,
        then: Then,
    ) -> Result<()> {
        let writer = self.0.writer()?;
        let request = self.0.request(events, durability)?;
        self.0.submit_then(writer, request, then);
        Ok(())
    }
}
