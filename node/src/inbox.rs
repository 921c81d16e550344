//! Appends that have ended, on their way to the event loop.
//!
//! Every JavaScript environment has one inbox for all its stores. Whoever commits an append puts
//! its result here; the first result in an empty inbox wakes the event loop, which takes all that
//! have gathered meanwhile. So a group of appends costs one wake, however many they are.

use crate::error;
use crate::slab;
use batpak_core::{Receipt, Result};
use napi::bindgen_prelude::{ArrayBuffer, Env, Function, Object, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Status, sys};
use napi_derive::napi;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Receipts in one answer are about as many as this: those of an answer share its memory, which
/// lives as long as any of them.
const ANSWER_RECEIPTS: usize = 512;

/// Calls a function without arguments on the thread of its environment, and by itself keeps no
/// process alive.
type Wake = ThreadsafeFunction<(), Unknown<'static>, (), Status, false, true>;

/// The inbox of an environment.
#[napi]
pub struct NativeInbox {
    inbox: Arc<Inbox>,
}

pub(crate) struct Inbox {
    content: Mutex<Content>,
    wake: Wake,
}

#[derive(Default)]
struct Content {
    ended: VecDeque<Ended>,
    /// The event loop was woken and has not yet found the inbox empty.
    awake: bool,
}

/// An append that has ended.
pub(crate) struct Ended {
    /// Its number in its environment.
    pub(crate) token: u32,
    pub(crate) result: Result<Vec<Receipt>>,
}

#[napi]
impl NativeInbox {
    /// An inbox that calls a function when it is no longer empty.
    #[napi(constructor, catch_unwind)]
    pub fn new(wake: Function<'_, (), Unknown<'static>>) -> napi::Result<Self> {
        let wake = wake.build_threadsafe_function().weak::<true>().callee_handled::<false>();
        let inbox = Inbox { content: Mutex::default(), wake: wake.build()? };
        Ok(Self { inbox: Arc::new(inbox) })
    }

    /// Takes the oldest results: a block of receipts, and an array of errors if there are any.
    /// `null` if there are none; only after that is the event loop woken again.
    #[napi(catch_unwind)]
    pub fn take<'env>(&self, env: &'env Env) -> napi::Result<Option<Object<'env>>> {
        let taken = self.inbox.take();
        if taken.is_empty() {
            return Ok(None);
        }
        let mut answer = Object::new(env)?;
        answer.set("block", ArrayBuffer::copy_from(env, slab::ended(&taken))?)?;
        let failures = taken.iter().filter_map(|ended| ended.result.as_ref().err());
        let errors = failures.map(|failure| error::describe(env, failure));
        let errors = errors.collect::<napi::Result<Vec<_>>>()?;
        if !errors.is_empty() {
            answer.set("errors", errors)?;
        }
        Ok(Some(answer))
    }

    /// Whether the inbox keeps the process alive: while appends are under way.
    #[napi(catch_unwind)]
    pub fn keep_alive(&self, env: &Env, alive: bool) -> napi::Result<()> {
        let wake = &self.inbox.wake;
        if wake.aborted() {
            return Ok(());
        }
        // SAFETY: this is the thread of the environment, which is in a call and so has not begun
        // to end; hence the function, which ends with it or with `wake`, is there.
        let status = unsafe {
            if alive {
                sys::napi_ref_threadsafe_function(env.raw(), wake.raw())
            } else {
                sys::napi_unref_threadsafe_function(env.raw(), wake.raw())
            }
        };
        napi::check_status!(status)
    }
}

impl NativeInbox {
    pub(crate) fn share(&self) -> Arc<Inbox> {
        Arc::clone(&self.inbox)
    }
}

impl Inbox {
    /// Puts in the result of the append that has this number in its environment.
    pub(crate) fn put(&self, token: u32, result: Result<Vec<Receipt>>) {
        let mut content = self.lock();
        content.ended.push_back(Ended { token, result });
        if !std::mem::replace(&mut content.awake, true) {
            drop(content);
            // Fails only when the environment is ending: nobody is left to be told.
            self.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// The oldest that have ended, with their results in the order in which they came.
    fn take(&self) -> Vec<Ended> {
        let mut content = self.lock();
        let mut taken = Vec::new();
        let mut receipts = 0;
        while receipts < ANSWER_RECEIPTS
            && let Some(ended) = content.ended.pop_front()
        {
            receipts += ended.result.as_ref().map_or(1, |receipts| receipts.len().max(1));
            taken.push(ended);
        }
        content.awake = !taken.is_empty();
        taken
    }

    /// Nothing that can panic is done under the lock.
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
