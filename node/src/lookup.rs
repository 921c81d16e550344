//! The two ways to read one event at once, each as a JavaScript function that belongs to a store.
//!
//! Both take a block and a place in it. There they find what to look for and leave the event, as a
//! block of one or none within the block, and give where it ends. If that is behind the end of the
//! block, nothing was written: so much room is needed.

use crate::function;
use crate::slab;
use batpak_core::{Error, ErrorKind, Event, Id, Result, Store};
use napi::bindgen_prelude::{Env, Unknown};

/// A function that looks for an event by its sequence (u64).
pub(crate) fn by_sequence(env: &Env, store: Store) -> napi::Result<Unknown<'_>> {
    create(env, move |key| store.at(u64::from_le_bytes(key)))
}

/// A function that looks for an event by its id.
pub(crate) fn by_id(env: &Env, store: Store) -> napi::Result<Unknown<'_>> {
    create(env, move |key| store.get(Id(key)))
}

fn create<const N: usize>(
    env: &Env,
    find: impl Fn([u8; N]) -> Result<Option<Event>> + 'static,
) -> napi::Result<Unknown<'_>> {
    function::create(env, move |call| {
        let start = call.number(1)? as usize;
        let block = call.bytes(0)?;
        let key = block.get(start..).and_then(|rest| rest.first_chunk()).ok_or_else(no_key)?;
        let event = find(*key)?;
        let end = match slab::write_events(event.as_slice(), block, start) {
            Some(end) => end,
            None => start + slab::room_for_events(event.as_slice())?,
        };
        Ok(end as u32)
    })
}

fn no_key() -> Error {
    Error::new(ErrorKind::InvalidArgument, "the block ends before what to look for")
}
