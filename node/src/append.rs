//! The two ways to append, each as a JavaScript function of its own that belongs to one store.
//!
//! A method of a class costs a quarter of a microsecond to call; these cost a tenth of that. They
//! take the block of events, how much of it is used, and the number of the durability.

use crate::arguments;
use crate::error;
use crate::inbox::Inbox;
use crate::job;
use crate::slab;
use batpak_core::{Error, ErrorKind, Result, Store};
use napi::bindgen_prelude::{Env, Function, FunctionCallContext};
use std::sync::Arc;

/// A function that appends the events of a block as one batch before it returns. It leaves the
/// receipts where the events were, and gives their number.
pub(crate) fn appender(env: &Env, store: Store) -> napi::Result<Function<'_, (), u32>> {
    env.create_function_from_closure("append", move |call| {
        let block = call.get::<&mut [u8]>(0)?;
        let used = call.get(1)?;
        let durability = call.get(2)?;
        finish(&call, job::guarded(|| append(&store, block, used, durability)))
    })
}

/// A function that starts to append the events of a block as one batch, and returns. The result
/// goes into the inbox under the number that the function takes last.
pub(crate) fn starter<'env>(
    env: &'env Env,
    store: Store,
    inbox: Arc<Inbox>,
) -> napi::Result<Function<'env, (), ()>> {
    env.create_function_from_closure("start", move |call| {
        let block = call.get::<&[u8]>(0)?;
        let used = call.get(1)?;
        let durability = call.get(2)?;
        let token = call.get(3)?;
        finish(&call, job::guarded(|| start(&store, &inbox, token, block, used, durability)))
    })
}

fn finish<T>(call: &FunctionCallContext<'_>, result: Result<T>) -> napi::Result<T> {
    result.map_err(|failure| error::into_js(call.env, &failure))
}

fn append(store: &Store, block: &mut [u8], used: u32, durability: u32) -> Result<u32> {
    let durability = arguments::durability(durability)?;
    let receipts = slab::with_new_events(part(block, used)?, |events| match events {
        // One event alone skips the checks of a batch.
        [event] => Ok(vec![store.append(event, durability)?]),
        events => store.append_batch(events, durability),
    })?;
    // Shorter than the events were: a receipt is smaller than the fixed part of an event.
    slab::write_receipts(&receipts, block);
    Ok(receipts.len() as u32)
}

fn start(
    store: &Store,
    inbox: &Arc<Inbox>,
    token: u32,
    block: &[u8],
    used: u32,
    durability: u32,
) -> Result<()> {
    let durability = arguments::durability(durability)?;
    let inbox = Arc::clone(inbox);
    slab::with_new_events(part(block, used)?, |events| {
        store.append_then(events, durability, Box::new(move |result| inbox.put(token, result)))
    })
}

fn part(block: &[u8], used: u32) -> Result<&[u8]> {
    block
        .get(..used as usize)
        .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "the block is shorter than its use"))
}
