//! Work done here and now, or on the libuv pool behind a Promise.

use crate::error;
use crate::reply::Reply;
use batpak_core::{Error, ErrorKind, Result};
use napi::ScopedTask;
use napi::bindgen_prelude::{Env, JsValue, Unknown};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does the work now, or on the pool if `background` says so.
pub(crate) fn start<'env, T: Reply>(
    env: &'env Env,
    background: bool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> napi::Result<Unknown<'env>> {
    if background { later(env, work) } else { now(env, work) }
}

/// Does the work on the calling thread.
pub(crate) fn now<'env, T: Reply>(
    env: &'env Env,
    work: impl FnOnce() -> Result<T>,
) -> napi::Result<Unknown<'env>> {
    finish(env, guarded(work))
}

/// Does the work on the pool; the value is a Promise.
pub(crate) fn later<'env, T: Reply>(
    env: &'env Env,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> napi::Result<Unknown<'env>> {
    let job = Job { work: Some(Box::new(work)) };
    Ok(env.spawn(job)?.promise_object().to_unknown())
}

struct Job<T> {
    work: Option<Box<dyn FnOnce() -> Result<T> + Send>>,
}

impl<'env, T: Reply> ScopedTask<'env> for Job<T> {
    type Output = Result<T>;
    type JsValue = Unknown<'env>;

    fn compute(&mut self) -> napi::Result<Result<T>> {
        // Node runs a task once; `None` cannot be met, and would only leave the call unanswered.
        let work = self.work.take();
        Ok(guarded(|| work.map_or_else(|| Err(defect("the task ran twice")), |work| work())))
    }

    fn resolve(&mut self, env: &'env Env, output: Result<T>) -> napi::Result<Unknown<'env>> {
        // A panic here would leave through a C frame and end the process.
        catch_unwind(AssertUnwindSafe(|| finish(env, output)))
            .unwrap_or_else(|payload| Err(error::into_js(env, &panicked(&*payload))))
    }
}

fn finish<T: Reply>(env: &Env, result: Result<T>) -> napi::Result<Unknown<'_>> {
    match result {
        Ok(value) => value.into_js(env),
        Err(failure) => Err(error::into_js(env, &failure)),
    }
}

/// Turns a panic of the work into an error. What it may leave half-done is behind locks of the
/// core, which a panic poisons or which guard themselves.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(panicked(&*payload)))
}

fn panicked(payload: &(dyn Any + Send)) -> Error {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    defect(text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic"))
}

fn defect(what: &str) -> Error {
    Error::new(ErrorKind::Panic, format!("a defect in batpak: {what}"))
}
