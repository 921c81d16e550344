//! Which library this is, and whether a caller was compiled for it.

use crate::argument::invalid;
use crate::guard::{guard, guard_value};
use crate::status::{batpak_error, batpak_status};
use batpak_core::{Error, ErrorKind};
use std::ffi::c_char;

/// The version of this header: major.
pub const BATPAK_VERSION_MAJOR: u32 = 0;
/// The version of this header: minor.
pub const BATPAK_VERSION_MINOR: u32 = 1;
/// The version of this header: patch.
pub const BATPAK_VERSION_PATCH: u32 = 0;
/// The number of the binary interface. It changes when, and only when, a program compiled with an
/// earlier header stops working.
pub const BATPAK_ABI_VERSION: u32 = 0;

/// The version of the loaded library as one number: major * 65536 + minor * 256 + patch. It
/// compares with BATPAK_VERSION_NUMBER of the header.
///
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub extern "C" fn batpak_version_number() -> u32 {
    guard_value(0, || BATPAK_VERSION_MAJOR << 16 | BATPAK_VERSION_MINOR << 8 | BATPAK_VERSION_PATCH)
}

/// The version of the loaded library as text, such as "0.1.0". It ends with a NUL and lives as
/// long as the library.
///
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub extern "C" fn batpak_version_text() -> *const c_char {
    guard_value(c"".as_ptr(), || concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast())
}

/// Checks that the loaded library has the binary interface that the caller was compiled for: pass
/// BATPAK_ABI_VERSION. Call it once before anything else when the library is loaded dynamically.
///
/// Errors: BATPAK_UNSUPPORTED when they differ; BATPAK_INVALID_ARGUMENT for a number above 65535.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_abi_check(
    abi_version: u32,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        if abi_version > 0xFFFF {
            return Err(invalid(format!("abi_version {abi_version} is not a version")));
        }
        if abi_version == BATPAK_ABI_VERSION {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the caller was compiled for binary interface {abi_version}, this library has \
                 {BATPAK_ABI_VERSION}; use the header that came with the library"
            ),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_crate() {
        let text = format!("{BATPAK_VERSION_MAJOR}.{BATPAK_VERSION_MINOR}.{BATPAK_VERSION_PATCH}");
        assert_eq!(text, env!("CARGO_PKG_VERSION"));
    }
}
