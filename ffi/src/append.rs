//! Appending: what a caller hands in, and the receipt for it.

use crate::argument::{
    self, Growing, MutableArray, batpak_bytes, batpak_text, check_reserved, flag, growing_array,
    no_such,
};
use crate::gate::{batpak_gate, batpak_gate_outcome, gate_mode, gate_outcome, gate_set};
use crate::guard::guard;
use crate::id::{batpak_hash, batpak_id};
use crate::status::{batpak_error, batpak_status};
use crate::store::{append_to_store, batpak_store, durability};
use batpak_core::{
    Causation, Error, ErrorKind, EventKind, Expected, MAX_BATCH_EVENTS, MAX_EXTENSION_BYTES,
    NewEvent, Receipt, Result,
};

/// Where a stream must stand for an append to be accepted.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_expected {
    /// Anywhere.
    BATPAK_EXPECTED_ANY = 0,
    /// The stream has no event yet.
    BATPAK_EXPECTED_NO_STREAM = 1,
    /// The stream's last event has the clock in expected_clock.
    BATPAK_EXPECTED_EXACT = 2,
}

/// What caused an event.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_causation {
    /// Nothing in particular.
    BATPAK_CAUSATION_NONE = 0,
    /// The event with the id in causation_id, in this store or elsewhere.
    BATPAK_CAUSATION_EVENT = 1,
    /// An earlier event of the same batch or fence, by its place in causation_item, from 0.
    BATPAK_CAUSATION_ITEM = 2,
}

/// A key such as "audit.user" with its bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_extension {
    /// The key: `prefix.field` in visible ASCII, at most 256 bytes.
    pub key: batpak_text,
    /// The value.
    pub value: batpak_bytes,
}

/// An event to append. Initialise it with BATPAK_NEW_EVENT_INIT, which holds the default of every
/// field; entity, scope and kind have to be set. In an array, all have the same struct_size, which
/// is the distance between two.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_new_event {
    /// sizeof(batpak_new_event).
    pub struct_size: u32,
    /// What it says: a category (bits 12 to 15) and a type (bits 0 to 11). The categories 0x0 and
    /// 0xD are reserved.
    pub kind: u32,
    /// Whose event it is: 1 to 1,024 bytes of UTF-8 without control characters, `/`, `|`, `=` and
    /// `..`.
    pub entity: batpak_text,
    /// The area it lives in, under the same rules.
    pub scope: batpak_text,
    /// Any bytes, up to the store's payload limit.
    pub payload: batpak_bytes,
    /// The event's id, which makes it idempotent; zeros for a fresh one.
    pub id: batpak_id,
    /// The id shared by all events of one operation; zeros for the event's own id.
    pub correlation: batpak_id,
    /// The id of the event that caused it, when causation is BATPAK_CAUSATION_EVENT.
    pub causation_id: batpak_id,
    /// What caused it, a batpak_causation.
    pub causation: i32,
    /// The place in the batch or fence of the event that caused it, when causation is
    /// BATPAK_CAUSATION_ITEM.
    pub causation_item: u32,
    /// Where the stream must stand, a batpak_expected.
    pub expected: i32,
    /// The clock of the stream's last event, when expected is BATPAK_EXPECTED_EXACT.
    pub expected_clock: u32,
    /// The branch of the entity's stream; 0 is the trunk.
    pub lane: u32,
    /// How deep the branch lies; 0 is the trunk.
    pub depth: u32,
    /// Eight bits that belong to the caller: 0 to 255.
    pub flags: u32,
    /// The version of the payload's schema, 0 to 65535; 0 means "not versioned".
    pub payload_version: u32,
    /// When it happened, in microseconds since 1970, when has_timestamp is 1; otherwise the time
    /// of recording is taken.
    pub timestamp_us: i64,
    /// 1 when timestamp_us counts, otherwise 0.
    pub has_timestamp: i32,
    /// Zero.
    pub reserved: u32,
    /// Extensions in any order, each key once; may be null when extension_count is 0.
    pub extensions: *const batpak_extension,
    /// How many extensions.
    pub extension_count: usize,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_new_event {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            kind: 0,
            entity: batpak_text::EMPTY,
            scope: batpak_text::EMPTY,
            payload: batpak_bytes::EMPTY,
            id: batpak_id::NONE,
            correlation: batpak_id::NONE,
            causation_id: batpak_id::NONE,
            causation: 0,
            causation_item: 0,
            expected: 0,
            expected_clock: 0,
            lane: 0,
            depth: 0,
            flags: 0,
            payload_version: 0,
            timestamp_us: 0,
            has_timestamp: 0,
            reserved: 0,
            extensions: std::ptr::null(),
            extension_count: 0,
        }
    }
}

impl batpak_new_event {
    /// An event as BATPAK_NEW_EVENT_INIT makes it.
    pub fn defaults() -> Self {
        Self::initial()
    }
}

/// The most extensions of one event: each takes at least the four bytes of its lengths.
const MAX_EXTENSIONS: usize = MAX_EXTENSION_BYTES / 4;

impl batpak_new_event {
    /// SAFETY: the texts and bytes are as the rules at the top of the header say, for `'a`.
    unsafe fn get<'a>(
        &self,
        at: usize,
        extensions: &'a [(&'a str, &'a [u8])],
    ) -> Result<NewEvent<'a>> {
        check_reserved(format_args!("events[{at}].reserved"), self.reserved)?;
        let kind = u16::try_from(self.kind).map_err(|_| {
            let text = format!("events[{at}].kind is {}, above 0xffff", self.kind);
            Error::new(ErrorKind::InvalidKind, text)
        })?;
        // SAFETY: the caller's promise.
        let (entity, scope, payload) = unsafe {
            (
                argument::text_of(format_args!("events[{at}].entity"), self.entity)?,
                argument::text_of(format_args!("events[{at}].scope"), self.scope)?,
                argument::bytes_of(format_args!("events[{at}].payload"), self.payload)?,
            )
        };
        Ok(NewEvent {
            expected: match self.expected {
                0 => Expected::Any,
                1 => Expected::NoStream,
                2 => Expected::Exact(self.expected_clock),
                other => return Err(no_such(format_args!("events[{at}].expected"), other)),
            },
            id: self.id.given(),
            correlation: self.correlation.given(),
            causation: match self.causation {
                0 => Causation::None,
                1 => Causation::Event(self.causation_id.get()),
                2 => Causation::Item(self.causation_item),
                other => return Err(no_such(format_args!("events[{at}].causation"), other)),
            },
            lane: self.lane,
            depth: self.depth,
            flags: within(at, "flags", self.flags)?,
            payload_version: within(at, "payload_version", self.payload_version)?,
            timestamp_us: flag(format_args!("events[{at}].has_timestamp"), self.has_timestamp)?
                .then_some(self.timestamp_us),
            extensions,
            ..NewEvent::new(entity, scope, EventKind(kind), payload)
        })
    }

    /// The C form of an event, for a gate. It is valid as long as `event` and `extensions` are.
    pub(crate) fn of(event: &NewEvent<'_>, extensions: &[batpak_extension]) -> Self {
        let mut given = Self {
            kind: event.kind.0.into(),
            entity: batpak_text::of(event.entity),
            scope: batpak_text::of(event.scope),
            payload: batpak_bytes::of(event.payload),
            id: event.id.map_or(batpak_id::NONE, batpak_id::of),
            correlation: event.correlation.map_or(batpak_id::NONE, batpak_id::of),
            lane: event.lane,
            depth: event.depth,
            flags: event.flags.into(),
            payload_version: event.payload_version.into(),
            timestamp_us: event.timestamp_us.unwrap_or(0),
            has_timestamp: event.timestamp_us.is_some().into(),
            extensions: extensions.as_ptr(),
            extension_count: extensions.len(),
            ..Self::initial()
        };
        match event.expected {
            Expected::Any => {}
            Expected::NoStream => given.expected = 1,
            Expected::Exact(clock) => (given.expected, given.expected_clock) = (2, clock),
        }
        match event.causation {
            Causation::None => {}
            Causation::Event(id) => {
                (given.causation, given.causation_id) = (1, batpak_id::of(id));
            }
            Causation::Item(item) => (given.causation, given.causation_item) = (2, item),
        }
        given
    }
}

fn within<T: TryFrom<u32>>(at: usize, field: &str, value: u32) -> Result<T> {
    T::try_from(value).map_err(|_| {
        argument::invalid(format!("events[{at}].{field} is {value}, more than it can hold"))
    })
}

/// Runs `body` with the events of an array.
///
/// SAFETY: the array and all it points to are as the rules at the top of the header say.
pub(crate) unsafe fn with_events(
    events: *const batpak_new_event,
    count: usize,
    body: impl FnOnce(&[NewEvent<'_>]) -> Result<()>,
) -> Result<()> {
    // SAFETY: the caller's promise, here and below.
    let given = unsafe { growing_array("events", events, count, MAX_BATCH_EVENTS) }?;
    let mut extensions = Vec::new();
    for (at, event) in given.iter().enumerate() {
        if event.extension_count > MAX_EXTENSIONS && !event.extensions.is_null() {
            let text = format!("events[{at}] has {} extensions", event.extension_count);
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        let field = format_args!("events[{at}].extensions");
        // SAFETY: as above.
        unsafe {
            for own in argument::array(field, event.extensions, event.extension_count)? {
                let key = argument::text_of(field, own.key)?;
                extensions.push((key, argument::bytes_of(field, own.value)?));
            }
        }
    }
    if let [event] = &*given {
        // SAFETY: as above.
        return body(&[unsafe { event.get(0, &extensions) }?]);
    }
    let mut rest = extensions.as_slice();
    let mut new_events = Vec::with_capacity(given.len());
    for (at, event) in given.iter().enumerate() {
        let (own, others) = rest.split_at(event.extension_count);
        rest = others;
        // SAFETY: as above.
        new_events.push(unsafe { event.get(at, own) }?);
    }
    body(&new_events)
}

/// Proof that an event was accepted, and where.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_receipt {
    /// The event's id.
    pub id: batpak_id,
    /// Its place in the whole log, from 0.
    pub sequence: u64,
    /// Its place in its stream, from 0.
    pub clock: u32,
    /// Its lane.
    pub lane: u32,
    /// When it happened, in microseconds since 1970.
    pub timestamp_us: i64,
    /// When it was recorded, in microseconds since 1970; never falls within a stream.
    pub wall_us: i64,
    /// The hash over the event and its stream up to it.
    pub hash: batpak_hash,
    /// 1 when the event was there before: the append repeated an earlier one.
    pub duplicate: i32,
    /// Zeros.
    pub reserved: [u32; 7],
}

impl batpak_receipt {
    pub(crate) fn of(receipt: &Receipt) -> Self {
        Self {
            id: batpak_id::of(receipt.id),
            sequence: receipt.sequence,
            clock: receipt.clock,
            lane: receipt.lane,
            timestamp_us: receipt.timestamp_us,
            wall_us: receipt.wall_us,
            hash: batpak_hash::of(receipt.hash),
            duplicate: receipt.duplicate.into(),
            reserved: [0; 7],
        }
    }
}

/// A place for as many receipts as there are events; null means that they are not wanted.
///
/// SAFETY: `receipts` is null or can be written for `count` receipts.
unsafe fn receipt_output(
    receipts: *mut batpak_receipt,
    count: usize,
) -> Result<MutableArray<batpak_receipt>> {
    let wanted = if receipts.is_null() { 0 } else { count };
    // SAFETY: the caller's promise.
    unsafe { MutableArray::new("receipts", receipts, wanted) }
}

/// Appends all events or none, in this order, with nothing between them. One event is a batch of
/// one; none is a call that does nothing.
///
/// events: count events. durability: a batpak_durability. receipts: gets count receipts in the
/// order of the events; may be null.
///
/// Errors: BATPAK_INVALID_ARGUMENT, BATPAK_INVALID_COORDINATE, BATPAK_INVALID_KIND,
/// BATPAK_TOO_LARGE, BATPAK_CLOCK_CONFLICT, BATPAK_IDEMPOTENCY_CONFLICT, BATPAK_DISK_FULL and
/// BATPAK_READ_ONLY mean that nothing was appended; BATPAK_INDETERMINATE that reopening decides;
/// BATPAK_POISONED that the store has to be reopened; also BATPAK_BAD_HANDLE, BATPAK_CLOSED,
/// BATPAK_IO, BATPAK_FORKED. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_append(
    store: *const batpak_store,
    events: *const batpak_new_event,
    count: usize,
    durability: i32,
    receipts: *mut batpak_receipt,
    error: *mut batpak_error,
) -> batpak_status {
    // SAFETY: the pointers are as the rules at the top of the header say.
    guard(error, || unsafe {
        let output = receipt_output(receipts, count)?;
        let durability = self::durability(durability)?;
        with_events(events, count, |events| {
            append_to_store(store, |store| {
                if let [event] = events {
                    let receipt = store.append(event, durability)?;
                    output.set(std::iter::once(batpak_receipt::of(&receipt)));
                } else {
                    let receipts = store.append_batch(events, durability)?;
                    output.set(receipts.iter().map(batpak_receipt::of));
                }
                Ok(())
            })
        })
    })
}

/// Appends all events if every gate permits every one of them. The gates are asked in their order,
/// on the calling thread, before this call returns, and are not kept. They may call functions that
/// read the same store. Gates are not asked about events that are all there already, by their ids:
/// repeating an append adds nothing.
///
/// gates: gate_count gates. mode: a batpak_gate_mode. record_denial: 1 to record a refusal in the
/// log, otherwise 0. The rest as for batpak_store_append.
///
/// Errors: BATPAK_DENIED when a gate refused, with its name, code and message in the error's
/// message; BATPAK_CALLBACK when a gate returned something that is no verdict; otherwise as for
/// batpak_store_append. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_append_gated(
    store: *const batpak_store,
    events: *const batpak_new_event,
    count: usize,
    gates: *const batpak_gate,
    gate_count: usize,
    mode: i32,
    record_denial: i32,
    durability: i32,
    receipts: *mut batpak_receipt,
    error: *mut batpak_error,
) -> batpak_status {
    // SAFETY: the pointers are as the rules at the top of the header say.
    guard(error, || unsafe {
        let output = receipt_output(receipts, count)?;
        let durability = self::durability(durability)?;
        let mut gates = gate_set(gates, gate_count)?;
        gates.set.mode = gate_mode(mode)?;
        gates.set.record_denial = flag("record_denial", record_denial)?;
        with_events(events, count, |events| {
            append_to_store(store, |store| {
                let appended = store.append_gated(events, &gates.set, durability);
                let receipts = gates.result_of(appended)?;
                output.set(receipts.iter().map(batpak_receipt::of));
                Ok(())
            })
        })
    })
}

/// Records in the log that gates refused an event, for a caller that asked its gates itself.
///
/// refused: the one event. outcomes: outcome_count outcomes, of which one at least refuses.
/// receipt: gets the receipt of the record; may be null. The rest as for batpak_store_append.
///
/// Errors: as for batpak_store_append. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_record_denial(
    store: *const batpak_store,
    refused: *const batpak_new_event,
    outcomes: *const batpak_gate_outcome,
    outcome_count: usize,
    durability: i32,
    receipt: *mut batpak_receipt,
    error: *mut batpak_error,
) -> batpak_status {
    // SAFETY: the pointers are as the rules at the top of the header say.
    guard(error, || unsafe {
        let output = receipt_output(receipt, 1)?;
        let durability = self::durability(durability)?;
        let given = growing_array("outcomes", outcomes, outcome_count, MAX_BATCH_EVENTS)?;
        let outcomes = given
            .iter()
            .enumerate()
            .map(|(at, outcome)| gate_outcome(at, outcome))
            .collect::<Result<Vec<_>>>()?;
        with_events(refused, 1, |events| {
            append_to_store(store, |store| {
                let receipt = store.record_denial(&events[0], &outcomes, durability)?;
                output.set(std::iter::once(batpak_receipt::of(&receipt)));
                Ok(())
            })
        })
    })
}
