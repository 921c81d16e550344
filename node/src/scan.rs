//! Events of a store or of a fence being read, page by page.

use crate::function;
use crate::job;
use crate::reply::Block;
use crate::slab;
use batpak_core::{Event, Fence, Result, Scan};
use napi::bindgen_prelude::{Env, Unknown};
use napi_derive::napi;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A scan; `None` once it was closed, so that nothing stays pinned until the garbage collector
/// comes by.
#[napi]
pub struct NativeScan {
    scan: Arc<Mutex<Option<Pages>>>,
}

/// Where pages come from.
pub(crate) enum Source {
    Store(Box<Scan>),
    /// The staged events from a place on.
    Fence(Arc<Fence>, u64),
}

impl Source {
    fn next_page(&mut self, max_events: usize, max_bytes: usize) -> Result<Vec<Event>> {
        match self {
            Self::Store(scan) => scan.next_page(max_events, max_bytes),
            Self::Fence(fence, place) => {
                let page = fence.read(*place, max_events, max_bytes)?;
                *place += page.len() as u64;
                Ok(page)
            }
        }
    }
}

struct Pages {
    source: Source,
    /// Events that were read, and found no room.
    waiting: Vec<Event>,
}

impl NativeScan {
    pub(crate) fn new(source: Source) -> Self {
        Self { scan: Arc::new(Mutex::new(Some(Pages { source, waiting: Vec::new() }))) }
    }
}

#[napi]
impl NativeScan {
    /// A Promise of the next events as a block; at the end, of a block of none.
    #[napi(catch_unwind)]
    pub fn next_page<'env>(
        &self,
        env: &'env Env,
        max_events: u32,
        max_bytes: u32,
    ) -> napi::Result<Unknown<'env>> {
        let scan = Arc::clone(&self.scan);
        job::later(env, move || Block::of_events(&next(&mut lock(&scan), max_events, max_bytes)?))
    }

    /// The function that writes the next events to the array that it takes before the same limits,
    /// and gives the length of the block. If that is more than the array has, nothing is written,
    /// and the same events come with the next call.
    #[napi(catch_unwind)]
    pub fn pager<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        let scan = Arc::clone(&self.scan);
        function::create(env, move |call| {
            let (max_events, max_bytes) = (call.number(1)?, call.number(2)?);
            let bytes = call.bytes(0)?;
            let mut scan = lock(&scan);
            let events = next(&mut scan, max_events, max_bytes)?;
            if let Some(length) = slab::write_events(&events, bytes, 0) {
                return Ok(length as u32);
            }
            let room = slab::room_for_events(&events)?;
            if let Some(pages) = scan.as_mut() {
                pages.waiting = events;
            }
            Ok(room as u32)
        })
    }

    /// Gives up what the scan holds.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        lock(&self.scan).take();
    }
}

fn next(pages: &mut Option<Pages>, max_events: u32, max_bytes: u32) -> Result<Vec<Event>> {
    let Some(pages) = pages else { return Ok(Vec::new()) };
    if !pages.waiting.is_empty() {
        return Ok(std::mem::take(&mut pages.waiting));
    }
    pages.source.next_page(max_events as usize, max_bytes as usize)
}

/// After a panic the scan may have lost its place, never its memory safety, and the caller was
/// told of the panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
