//! Errors on their way to JavaScript.

use batpak_core::{Error, ErrorKind, Id};
use napi::bindgen_prelude::*;
use napi_derive::napi;

/// A JavaScript `Error` with the code, and beside it all that `lib/errors.cjs` needs for a
/// `BatpakError`.
pub(crate) fn into_js(env: &Env, error: &Error) -> napi::Error {
    describe(env, error).map_or_else(|failure| failure, |object| object.to_unknown().into())
}

/// A JavaScript `Error` object, not thrown.
pub(crate) fn describe<'env>(env: &'env Env, error: &Error) -> Result<Object<'env>> {
    let plain = napi::Error::new(Status::GenericFailure, error.to_string());
    let mut object = env.create_error(plain)?;
    object.set("code", format!("BATPAK_{}", error.kind().name()))?;
    object.set("number", error.kind().code())?;
    object.set("path", error.path().map(|path| path.to_string_lossy().into_owned()))?;
    object.set("segment", error.segment().map(BigInt::from))?;
    object.set("offset", error.offset().map(BigInt::from))?;
    object.set("osCode", error.os_code())?;
    Ok(object)
}

/// One row of the table of error kinds.
#[napi(object)]
pub struct ErrorKindRow {
    /// The stable number.
    pub number: i32,
    /// The stable name, without `BATPAK_`.
    pub name: String,
    /// The name of the retry class.
    pub retry: String,
}

/// Every error kind, in the order of its number.
#[napi(catch_unwind)]
pub fn error_kinds() -> Vec<ErrorKindRow> {
    let row = |kind: &ErrorKind| ErrorKindRow {
        number: kind.code(),
        name: kind.name().to_owned(),
        retry: kind.retry().name().to_owned(),
    };
    ErrorKind::ALL.iter().map(row).collect()
}

/// The idempotency key of an operation, as hex digits.
#[napi(catch_unwind)]
pub fn operation_id(domain: String, components: Vec<&[u8]>) -> String {
    Id::for_operation(&domain, &components).to_string()
}
