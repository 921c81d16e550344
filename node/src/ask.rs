//! Functions of JavaScript that the core asks while it works.
//!
//! One takes a block of bytes and answers with a number: 0 is no, 1 is yes, and everything else ends
//! the work. It never throws: `lib/compact.cjs` keeps what was thrown, and answers 2.

use batpak_core::{Error, ErrorKind, Result};
use napi::Status;
use napi::bindgen_prelude::{ArrayBuffer, Env, Function, HandleScope};
use napi::threadsafe_function::{
    ThreadsafeCallContext, ThreadsafeFunction, ThreadsafeFunctionCallMode,
};
use napi_derive::napi;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How often a thread that waits for an answer looks whether there is anybody left to give it.
const LOOK: Duration = Duration::from_millis(50);

/// Whether a thread of JavaScript exits. Its event loop answers nothing then, but what works on the
/// pool is waited for.
#[napi]
#[derive(Clone, Default)]
pub struct NativeExit {
    begun: Arc<AtomicBool>,
}

#[napi]
impl NativeExit {
    /// One of a thread that goes on.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends whatever asks, or looks.
    #[napi(catch_unwind)]
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }
}

impl NativeExit {
    /// An error once the thread exits.
    pub(crate) fn check(&self) -> Result<()> {
        if self.begun.load(Ordering::Relaxed) { Err(unanswered()) } else { Ok(()) }
    }
}

/// A function to ask.
pub(crate) type Question<'env> = Function<'env, ArrayBuffer<'static>, u32>;

/// A function that another thread has asked.
type Remote = ThreadsafeFunction<Vec<u8>, u32, ArrayBuffer<'static>, Status, false, true>;

/// What asks.
pub(crate) trait Ask: FnMut(Vec<u8>) -> Result<bool> {}

impl<F: FnMut(Vec<u8>) -> Result<bool>> Ask for F {}

/// Asks on the thread of JavaScript, which is in a call into the native half.
pub(crate) fn from_here<'env>(env: &'env Env, function: Question<'env>) -> impl Ask {
    move |block| {
        // What one question makes is given up before the next: there may be millions.
        let answer = HandleScope::create(env).and_then(|scope| {
            let call =
                |function: Question<'env>| function.call(ArrayBuffer::copy_from(env, block)?);
            // SAFETY: nothing that is made in the scope leaves it but a number.
            unsafe { scope.close(function, call) }
        });
        answer.map_or_else(|_| Err(unanswered()), meant)
    }
}

/// Asks from any other thread, which waits for the answer: the event loop calls the function.
pub(crate) fn from_elsewhere(
    function: Question<'_>,
    exit: NativeExit,
) -> napi::Result<impl Ask + Send + 'static> {
    let remote: Remote = function
        .build_threadsafe_function::<Vec<u8>>()
        .weak::<true>()
        .callee_handled::<false>()
        .build_callback(|asked: ThreadsafeCallContext<Vec<u8>>| {
            ArrayBuffer::copy_from(&asked.env, asked.value)
        })?;
    Ok(move |block| {
        let (sender, receiver) = sync_channel(1);
        let reply = move |answer: napi::Result<u32>, _| {
            // Nobody waits for it any more if this fails.
            let _ = sender.send(answer);
            Ok(())
        };
        let mode = ThreadsafeFunctionCallMode::NonBlocking;
        if remote.call_with_return_value(block, mode, reply) != Status::Ok {
            return Err(unanswered());
        }
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(answer) => return answer.map_or_else(|_| Err(unanswered()), meant),
                // A question that the event loop has not come to when it ends is forgotten.
                Err(RecvTimeoutError::Timeout) if !remote.aborted() => exit.check()?,
                Err(_) => return Err(unanswered()),
            }
        }
    })
}

fn meant(answer: u32) -> Result<bool> {
    match answer {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::new(ErrorKind::Callback, "a function of JavaScript ended the work")),
    }
}

fn unanswered() -> Error {
    Error::new(ErrorKind::Callback, "a function of JavaScript gave no answer")
}
