//! A fence's methods: events are staged, and then committed together or cancelled.

use crate::append;
use crate::arguments::{self, u64_of};
use crate::function;
use crate::job;
use crate::scan::Source;
use crate::slab;
use batpak_core::Fence;
use napi::bindgen_prelude::{BigInt, Env, Unknown};
use napi_derive::napi;
use std::sync::Arc;

/// A fence. It is cancelled with the last of it: this object, the functions that it gave, and the
/// reads and commits that are under way.
#[napi]
pub struct NativeFence {
    fence: Arc<Fence>,
}

impl NativeFence {
    pub(crate) fn new(fence: Fence) -> Self {
        Self { fence: Arc::new(fence) }
    }
}

#[napi]
impl NativeFence {
    /// The function that stages the events of a block, of which so much is used, before it returns.
    /// It gives the place of the first in the fence.
    #[napi(catch_unwind)]
    pub fn stager<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        let fence = Arc::clone(&self.fence);
        function::create(env, move |call| {
            let used = call.number(1)?;
            let block = append::part(call.bytes(0)?, used)?;
            // A place in a fence fits 32 bits.
            slab::with_new_events(block, |events| fence.append(events)).map(|place| place as u32)
        })
    }

    /// How many events it has.
    #[napi(catch_unwind)]
    pub fn events<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        job::now(env, || self.fence.events())
    }

    /// Starts reading its events from a place on.
    #[napi(catch_unwind)]
    pub fn read<'env>(
        &self,
        env: &'env Env,
        background: bool,
        from: BigInt,
    ) -> napi::Result<Unknown<'env>> {
        let fence = Arc::clone(&self.fence);
        job::start(env, background, move || Ok(Source::Fence(fence, u64_of(&from)?)))
    }

    /// Appends its events as one batch.
    #[napi(catch_unwind)]
    pub fn commit<'env>(
        &self,
        env: &'env Env,
        background: bool,
        durability: u32,
    ) -> napi::Result<Unknown<'env>> {
        let fence = Arc::clone(&self.fence);
        job::start(env, background, move || fence.commit(arguments::durability(durability)?))
    }

    /// Ends it without appending anything.
    #[napi(catch_unwind)]
    pub fn cancel<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        job::now(env, || self.fence.cancel())
    }
}
