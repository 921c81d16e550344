//! The two ways to append, each as a JavaScript function of its own that belongs to one store.
//!
//! Both take the block of events, how much of it is used, and the number of the durability.

use crate::arguments;
use crate::function::{self, Call};
use crate::inbox::Inbox;
use crate::slab;
use batpak_core::{Error, ErrorKind, Receipt, Result, Store};
use napi::bindgen_prelude::{Env, Unknown};
use std::sync::Arc;

/// What an append gives; one receipt alone needs no list.
enum Receipts {
    One(Receipt),
    Many(Vec<Receipt>),
}

/// A function that appends the events of a block as one batch before it returns. It leaves the
/// receipts where the events were, and gives their number.
pub(crate) fn appender(env: &Env, store: Store) -> napi::Result<Unknown<'_>> {
    function::create(env, move |call| {
        let (used, durability) = (call.number(1)?, arguments::durability(call.number(2)?)?);
        let block = call.bytes(0)?;
        let receipts = slab::with_new_events(part(block, used)?, |events| match events {
            // One event alone skips the checks of a batch.
            [event] => store.append(event, durability).map(Receipts::One),
            events => store.append_batch(events, durability).map(Receipts::Many),
        })?;
        let receipts = match &receipts {
            Receipts::One(receipt) => std::slice::from_ref(receipt),
            Receipts::Many(receipts) => receipts,
        };
        // There is room: a receipt is smaller than the fixed part of an event.
        slab::write_receipts(receipts, block);
        Ok(receipts.len() as u32)
    })
}

/// A function that starts to append the events of a block as one batch, and returns. The result
/// goes into the inbox under the number that the function takes last.
pub(crate) fn starter(env: &Env, store: Store, inbox: Arc<Inbox>) -> napi::Result<Unknown<'_>> {
    function::create(env, move |call: &mut Call| {
        let (used, durability) = (call.number(1)?, arguments::durability(call.number(2)?)?);
        let token = call.number(3)?;
        let inbox = Arc::clone(&inbox);
        slab::with_new_events(part(call.bytes(0)?, used)?, |events| {
            store.append_then(events, durability, Box::new(move |result| inbox.put(token, result)))
        })?;
        Ok(token)
    })
}

/// The used part of a block.
pub(crate) fn part(block: &[u8], used: u32) -> Result<&[u8]> {
    block
        .get(..used as usize)
        .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "the block is shorter than its use"))
}
