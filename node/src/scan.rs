//! A query being read, page by page.

use crate::job;
use crate::reply::Block;
use batpak_core::{Result, Scan};
use napi::bindgen_prelude::{Env, Unknown};
use napi_derive::napi;
use std::sync::{Arc, Mutex, PoisonError};

/// A scan; `None` once it was closed, so that nothing stays pinned until the garbage collector
/// comes by.
#[napi]
pub struct NativeScan {
    scan: Arc<Mutex<Option<Scan>>>,
}

impl NativeScan {
    pub(crate) fn new(scan: Scan) -> Self {
        Self { scan: Arc::new(Mutex::new(Some(scan))) }
    }
}

#[napi]
impl NativeScan {
    /// The next events as a block; at the end, a block of none.
    #[napi(catch_unwind)]
    pub fn next_page<'env>(
        &self,
        env: &'env Env,
        background: bool,
        max_events: u32,
        max_bytes: u32,
    ) -> napi::Result<Unknown<'env>> {
        let scan = Arc::clone(&self.scan);
        job::start(env, background, move || next(&scan, max_events as usize, max_bytes as usize))
    }

    /// Gives up what the scan holds.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        lock(&self.scan).take();
    }
}

fn next(scan: &Mutex<Option<Scan>>, max_events: usize, max_bytes: usize) -> Result<Block> {
    let page = match lock(scan).as_mut() {
        Some(scan) => scan.next_page(max_events, max_bytes)?,
        None => Vec::new(),
    };
    Block::of_events(&page)
}

/// After a panic the scan may have lost its place, never its memory safety, and the caller was
/// told of the panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
