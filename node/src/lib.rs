//! The private native half of the Node package: `lib/` is its only caller.
//!
//! Events go in and come out as one block of bytes per call ([`slab`]), so that a batch costs one
//! crossing and JavaScript never holds memory of the store. Appending has functions of its own
//! ([`append`]): one appends before it returns, the other leaves the result in an [`inbox`]. So has
//! reading one event ([`lookup`]). Every other method takes `background`: without it the work is done on the calling thread and its
//! result returned; with it the work is done on the libuv pool and a Promise is returned
//! ([`job`]). Arguments are numbers, strings, bigints and bytes that the JavaScript half has
//! checked; they are checked here once more where a wrong one could do harm.

#[cfg(panic = "abort")]
compile_error!("a panic must unwind, or it would end the whole process instead of one call");

mod append;
// Public, since the macros of napi export what they find public.
pub mod arguments;
pub mod ask;
pub mod error;
pub mod fence;
mod function;
pub mod inbox;
mod job;
mod lookup;
pub mod reply;
pub mod scan;
mod slab;
pub mod store;
