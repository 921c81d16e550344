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

    /// Has a request without events committed: what is buffered becomes as safe as asked for.
    fn settle(&self, durability: Durability) -> Result<()> {
        let request = Request { events: Vec::new(), durability };
        self.submit(self.writer()?, request).map(|_| ())
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
        let mut receipts = self.append_batch(std::slice::from_ref(event), durability)?;
        receipts.pop().ok_or_else(|| Error::new(ErrorKind::Panic, "the append gave no receipt"))
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
        let durability = durability.unwrap_or(self.0.options.durability);
        let request = Request::new(events, durability, self.0.options.max_payload_bytes)?;
        if request.events.is_empty() {
            return Ok(Vec::new());
        }
        self.0.submit(writer, request)
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
