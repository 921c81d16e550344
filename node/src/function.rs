//! JavaScript functions that cost little to call.
//!
//! What napi makes of a Rust method costs a quarter of a microsecond per call, mostly for finding
//! and checking the object; appending would double that cost in ceremony. These functions carry what
//! they work on, take numbers and one array of bytes, and give a number.

use crate::error;
use crate::job;
use batpak_core::{Error, ErrorKind, Result};
use napi::bindgen_prelude::{Env, Unknown};
use napi::sys;
use std::ffi::c_void;
use std::ptr;

const MOST_ARGUMENTS: usize = 4;

/// The arguments of a call.
pub(crate) struct Call {
    env: sys::napi_env,
    arguments: [sys::napi_value; MOST_ARGUMENTS],
}

/// A function that JavaScript can call for as long as it holds it.
pub(crate) fn create<'env, F>(env: &'env Env, body: F) -> napi::Result<Unknown<'env>>
where
    F: Fn(&mut Call) -> Result<u32> + 'static,
{
    let data: *mut c_void = Box::into_raw(Box::new(body)).cast();
    let mut function = ptr::null_mut();
    // SAFETY: `env` is that of the call that is under way; the name is empty and so needs no bytes.
    let status = unsafe {
        sys::napi_create_function(env.raw(), ptr::null(), 0, Some(enter::<F>), data, &mut function)
    };
    let status = match status {
        // SAFETY: `function` was just made; `data` is a box of an `F`, which `leave` takes over.
        sys::Status::napi_ok => unsafe {
            let (hint, no_reference) = (ptr::null_mut(), ptr::null_mut());
            sys::napi_add_finalizer(env.raw(), function, data, Some(leave::<F>), hint, no_reference)
        },
        failed => failed,
    };
    if status != sys::Status::napi_ok {
        // SAFETY: the box was made above, and no finalizer has it. Nobody calls the function, which
        // is given to nobody.
        drop(unsafe { Box::<F>::from_raw(data.cast()) });
    }
    napi::check_status!(status)?;
    // SAFETY: `function` is a value of this environment and of the call that is under way.
    Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), function) })
}

/// What JavaScript calls.
unsafe extern "C" fn enter<F>(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value
where
    F: Fn(&mut Call) -> Result<u32> + 'static,
{
    let mut call = Call { env, arguments: [ptr::null_mut(); MOST_ARGUMENTS] };
    let mut count = MOST_ARGUMENTS;
    let mut data = ptr::null_mut();
    // SAFETY: Node-API hands in both values for this call, and writes at most `count` arguments,
    // with `undefined` for those that are missing.
    let status = unsafe {
        let arguments = call.arguments.as_mut_ptr();
        sys::napi_get_cb_info(env, info, &mut count, arguments, ptr::null_mut(), &mut data)
    };
    if status != sys::Status::napi_ok {
        return ptr::null_mut();
    }
    // SAFETY: `data` is the box of an `F` that `create` made; it goes with the function, which is
    // there while it is called. It is only ever borrowed shared.
    let body = unsafe { &*data.cast_const().cast::<F>() };
    let result = job::guarded(|| body(&mut call));
    let mut answer = ptr::null_mut();
    match result {
        // SAFETY: `env` is that of this call. If it fails, `answer` stays null: `undefined`.
        Ok(number) => unsafe {
            sys::napi_create_uint32(env, number, &mut answer);
        },
        Err(failure) => {
            let failure = error::into_js(&Env::from_raw(env), &failure);
            // SAFETY: `env` is that of this call, in which no exception is pending.
            unsafe { napi::JsError::from(failure).throw_into(env) };
        }
    }
    answer
}

/// Drops what a function carried, once nobody can call it.
unsafe extern "C" fn leave<F>(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
    // SAFETY: `data` is the box of an `F` that `create` made, and Node-API finalizes once.
    let body = unsafe { Box::<F>::from_raw(data.cast()) };
    // A panic must not unwind into Node.
    let _ = job::guarded(|| {
        drop(body);
        Ok(())
    });
}

impl Call {
    /// An argument that must be a number without sign.
    pub(crate) fn number(&self, index: usize) -> Result<u32> {
        let mut number = 0;
        // SAFETY: the argument is a value of this call.
        let status =
            unsafe { sys::napi_get_value_uint32(self.env, self.arguments[index], &mut number) };
        accept(status)?;
        Ok(number)
    }

    /// An argument that must be a Uint8Array. Its bytes are those of JavaScript, which does not
    /// run while they are borrowed.
    pub(crate) fn bytes(&mut self, index: usize) -> Result<&mut [u8]> {
        let (mut kind, mut length, mut data) = (0, 0, ptr::null_mut());
        let (buffer, offset) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the argument is a value of this call; what is not wanted may be null.
        let status = unsafe {
            let array = self.arguments[index];
            sys::napi_get_typedarray_info(
                self.env,
                array,
                &mut kind,
                &mut length,
                &mut data,
                buffer,
                offset,
            )
        };
        accept(status)?;
        if kind != sys::TypedarrayType::uint8_array {
            return Err(misused());
        }
        if data.is_null() || length == 0 {
            return Ok(&mut []);
        }
        // SAFETY: the array has `length` bytes at `data`. They stay while the call holds the array
        // and JavaScript does not run; the borrow of `self` keeps a second slice away.
        Ok(unsafe { std::slice::from_raw_parts_mut(data.cast(), length) })
    }
}

fn accept(status: sys::napi_status) -> Result<()> {
    if status == sys::Status::napi_ok { Ok(()) } else { Err(misused()) }
}

fn misused() -> Error {
    Error::new(ErrorKind::InvalidArgument, "an argument of the native half has the wrong type")
}
