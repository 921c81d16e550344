//! Appending: the calls, and what they ask of the commit.

use super::commit::Writer;
use super::prepare::Request;
use super::{Inner, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{NewEvent, Receipt};
use crate::gate::GateSet;
use crate::options::Durability;

impl Inner {
    pub(super) fn writer(&self) -> Result<&Writer> {
        self.check_usable()?;
        self.writer.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::ReadOnly, "the store was opened for reading only")
                .at_path(&self.files.dir)
        })
    }

    /// A request for these events, by the store's limits.
    pub(super) fn request(
        &self,
        events: &[NewEvent<'_>],
        durability: Option<Durability>,
    ) -> Result<Box<Request>> {
        let durability = durability.unwrap_or(self.options.durability);
        Request::new(events, durability, self.options.max_payload_bytes)
    }

    /// Has a request without events committed: what is buffered becomes as safe as asked for.
    fn settle(&self, durability: Durability) -> Result<()> {
        self.submit(self.writer()?, Request::settling(durability)).finish().map(drop)
    }

    /// Whether every one of the events has an id that is in the log.
    fn are_known(&self, events: &[NewEvent<'_>]) -> Result<bool> {
        for event in events {
            match event.id {
                Some(id) if self.find(id)?.is_some() => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    pub(super) fn flush(&self) -> Result<()> {
        self.settle(Durability::Written)
    }
}

impl Store {
    /// Appends one event. Without a durability, the one that the store was opened with.
    ///
    /// An error of kind [`ErrorKind::Indeterminate`] or [`ErrorKind::Panic`] means that reopening
    /// decides whether the event is in the log; after any other error it is not, and never will
    /// be.
    pub fn append(&self, event: &NewEvent<'_>, durability: Option<Durability>) -> Result<Receipt> {
        let writer = self.0.writer()?;
        let request = self.0.request(std::slice::from_ref(event), durability)?;
        self.0.submit(writer, request).finish_one()
    }

    /// Appends all events or none, in this order, with nothing between them. The events may be of
    /// any entities. An expected clock is compared with the stream as the earlier events of the
    /// batch leave it.
    ///
    /// Either all events have an id that is known already, with the same content, and the receipts
    /// are those of the first time; or none has; anything else is a conflict.
    pub fn append_batch(
        &self,
        events: &[NewEvent<'_>],
        durability: Option<Durability>,
    ) -> Result<Vec<Receipt>> {
        let writer = self.0.writer()?;
        let request = self.0.request(events, durability)?;
        if events.is_empty() {
            return Ok(Vec::new());
        }
        self.0.submit(writer, request).finish()
    }

    /// Appends all events if every gate permits each of them. If one refuses, the error is of kind
    /// [`ErrorKind::Denied`], nothing is appended, and, if the gates say so, the first refusal is
    /// recorded as an event of kind [`DENIAL`](crate::EventKind::DENIAL).
    ///
    /// Gates are not asked about events that are there already, by their ids: repeating an append
    /// adds nothing.
    pub fn append_gated(
        &self,
        events: &[NewEvent<'_>],
        gates: &GateSet<'_>,
        durability: Option<Durability>,
    ) -> Result<Vec<Receipt>> {
        self.0.writer()?;
        if self.0.are_known(events)? {
            // A repeat adds nothing, so there is nothing to refuse.
            return self.append_batch(events, durability);
        }
        for event in events {
            let Some(outcomes) = gates.evaluate(event) else { continue };
            let error = super::denial::denied(event, &outcomes);
            if !gates.record_denial {
                return Err(error);
            }
            let record = match self.record_denial(event, &outcomes, durability) {
                Ok(receipt) => format!("recorded as event {}", receipt.sequence),
                Err(failure) => format!("the refusal could not be recorded ({failure})"),
            };
            return Err(error.into_kind(ErrorKind::Denied, &record));
        }
        self.append_batch(events, durability)
    }

    /// Writes what is buffered: it survives a killed process from then on.
    pub fn flush(&self) -> Result<()> {
        self.0.flush()
    }

    /// Writes what is buffered and syncs: everything accepted so far survives a power cut.
    pub fn sync(&self) -> Result<()> {
        self.0.settle(Durability::Durable)
    }
}
