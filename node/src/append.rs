//! The two ways to append, each as a JavaScript function of its own that belongs to one store.
//!
//! Both take the block of events, how much of it is used, and the number of the durability.

use crate::arguments;
use crate::function::{self, Call};
use crate::inbox::Inbox;
use crate::slab;
use batpak_core::{Error, ErrorKind, Result, Store};
use napi::bindgen_prelude::{Env, Unknown};
use std::sync::Arc;

/// A function that appends the events of a block as one batch before it returns. It leaves the
/// receipts where the events were, and gives their number.
pub(crate) fn appender(env: &Env, store: Store) -> napi::Result<Unknown<'_>> {
    function::create(env, move |call| {
        let (used, durability) = (call.number(1)?, arguments::durability(call.number(2)?)?);
        let block = call.bytes(0)?;
        slab::with_new_events(part(block, used)?, |events| match events {
            // One event alone skips the checks of a batch.
            [event] => Ok(vec![store.append(event, durability)?]),
            events => store.append_batch(events, durability),
        })
        .map(|receipts| {
            // There is room: a receipt is smaller than the fixed part of an event.
            slab::write_receipts(&receipts, block);
            receipts.len() as u32
        })
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

fn part(block: &[u8], used: u32) -> Result<&[u8]> {
    block
        .get(..used as usize)
        .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "the block is shorter than its use"))
}
