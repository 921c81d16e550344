//! Appending without waiting, for callers that have an event loop of their own.

use super::Store;
use super::queue::Then;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{NewEvent, Receipt};
use crate::options::Durability;
use crate::process;
use std::time::Duration;

/// An append that is under way. Dropping it changes nothing about the append.
#[derive(Debug)]
pub struct Ticket {
    /// The generation of the process that started it: no answer comes to a forked child, and a
    /// lock of the channel may have been taken by a thread that does not exist there.
    process: u64,
    /// `None` only while it is dropped.
    answer: Option<flume::Receiver<Result<Vec<Receipt>>>>,
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
            let Some(answer) = self.answer() else {
                self.received = Some(Err(forked()));
                return true;
            };
            self.received = match answer.recv_timeout(timeout) {
                Ok(result) => Some(result),
                Err(flume::RecvTimeoutError::Timeout) => None,
                Err(flume::RecvTimeoutError::Disconnected) => Some(Err(lost())),
            };
        }
        self.received.is_some()
    }

    /// Waits until the append has ended; gives what [`Store::append_batch`] would have given.
    pub fn wait(mut self) -> Result<Vec<Receipt>> {
        match (self.received.take(), self.answer()) {
            (Some(result), _) => result,
            (None, Some(answer)) => answer.recv().unwrap_or_else(|_| Err(lost())),
            (None, None) => Err(forked()),
        }
    }

    fn answer(&self) -> Option<&flume::Receiver<Result<Vec<Receipt>>>> {
        self.answer.as_ref().filter(|_| process::generation() == self.process)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if process::generation() != self.process {
            std::mem::forget(self.answer.take());
        }
    }
}

fn forked() -> Error {
    Error::new(ErrorKind::Forked, "the append was started before a fork, in another process")
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
        let process = process::generation();
        Ok(Ticket { process, answer: Some(answer), received: None })
    }

    /// Like [`append_ticket`](Self::append_ticket), with a function that gets the result. It is
    /// called once, on a thread of the library's or of another appender, and should be short, since
    /// later appends may wait for it. It may append and read, but must not wait for a ticket. If
    /// this returns an error, nothing was started, and it is not called.
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
