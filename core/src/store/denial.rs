//! Recording that gates refused an event.

use super::Store;
use super::prepare::Request;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{NewEvent, Receipt};
use crate::format::hash::payload_hash;
use crate::gate::{GateOutcome, Verdict};
use crate::kind::EventKind;
use crate::options::{Durability, MAX_PAYLOAD_BYTES};
use crate::payload;
use serde::Serialize;

/// The payload of a denial event, as named MessagePack.
#[derive(Serialize)]
struct Denial<'a> {
    /// The kind of the refused event.
    kind: u16,
    /// BLAKE3 of its payload, as 64 hex digits.
    payload_hash: String,
    gates: Vec<GateRecord<'a>>,
}

#[derive(Serialize)]
struct GateRecord<'a> {
    gate: &'a str,
    /// `permit`, `deny` or `skipped`.
    verdict: &'static str,
    /// Empty unless the gate refused.
    code: &'a str,
    message: &'a str,
}

impl<'a> GateRecord<'a> {
    fn new(outcome: &'a GateOutcome) -> Self {
        let (verdict, code, message) = match &outcome.verdict {
            Verdict::Permit => ("permit", "", ""),
            Verdict::Deny(refusal) => ("deny", &*refusal.code, &*refusal.message),
            Verdict::Skipped => ("skipped", "", ""),
        };
        Self { gate: &outcome.gate, verdict, code, message }
    }
}

impl Store {
    /// Records that gates refused an event: appends an event of kind
    /// [`DENIAL`](EventKind::DENIAL) to the stream that the refused event was meant for, with the
    /// kind and payload hash of the refused event and each gate's verdict as MessagePack.
    pub fn record_denial(
        &self,
        refused: &NewEvent<'_>,
        outcomes: &[GateOutcome],
        durability: Option<Durability>,
    ) -> Result<Receipt> {
        let writer = self.0.writer()?;
        let denial = payload::encode(&Denial {
            kind: refused.kind.0,
            payload_hash: payload_hash(refused.payload).to_string(),
            gates: outcomes.iter().map(GateRecord::new).collect(),
        })?;
        let mut event = NewEvent::new(refused.entity, refused.scope, EventKind::DENIAL, &denial);
        event.lane = refused.lane;
        event.depth = refused.depth;
        event.correlation = refused.correlation;
        // The record is the library's: the limit that the caller chose is not about it.
        let durability = durability.unwrap_or(self.0.options.durability);
        let request = Request::of_own(&event, durability, MAX_PAYLOAD_BYTES)?;
        self.0.submit(writer, request).finish_one()
    }
}

/// The error for an event that these gates refused.
pub(super) fn denied(event: &NewEvent<'_>, outcomes: &[GateOutcome]) -> Error {
    let refusals: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Deny(refusal) => {
                Some(format!("{} ({}: {})", outcome.gate, refusal.code, refusal.message))
            }
            Verdict::Permit | Verdict::Skipped => None,
        })
        .collect();
    let gates = refusals.join(", ");
    Error::new(ErrorKind::Denied, format!("an event of {} was refused by {gates}", event.entity))
}
