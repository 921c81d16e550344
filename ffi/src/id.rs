//! Ids and hashes.

use crate::argument::{self, Output, batpak_bytes};
use crate::guard::guard;
use crate::status::{batpak_error, batpak_status};
use batpak_core::{Hash, Id};
use std::ffi::c_char;

/// The id of an event, of a correlation or of a store. All zeros means "none".
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_id {
    /// The bytes, in the order in which their hex digits are shown.
    pub bytes: [u8; 16],
}

/// A 32-byte hash.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_hash {
    /// The bytes, in the order in which their hex digits are shown.
    pub bytes: [u8; 32],
}

impl batpak_id {
    pub(crate) const NONE: Self = Self { bytes: [0; 16] };

    pub(crate) fn of(id: Id) -> Self {
        Self { bytes: id.0 }
    }

    pub(crate) fn get(self) -> Id {
        Id(self.bytes)
    }

    /// The id, where all zeros means that there is none.
    pub(crate) fn given(self) -> Option<Id> {
        Some(self.get()).filter(|id| !id.is_none())
    }
}

impl batpak_hash {
    pub(crate) const ZERO: Self = Self { bytes: [0; 32] };

    pub(crate) fn of(hash: Hash) -> Self {
        Self { bytes: hash.0 }
    }
}

/// The id that makes an operation idempotent: the first 16 bytes of BLAKE3 over the domain and
/// the components, each preceded by its length.
///
/// domain: a text such as "billing". components: may be null when component_count is 0.
/// id: gets the id.
///
/// Errors: BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_id_for_operation(
    domain: *const c_char,
    domain_length: usize,
    components: *const batpak_bytes,
    component_count: usize,
    id: *mut batpak_id,
    error: *mut batpak_error,
) -> batpak_status {
    // SAFETY: the pointers are as the rules at the top of the header say, here and below.
    guard(error, || unsafe {
        let id = Output::new("id", id)?;
        let domain = argument::text("domain", domain, domain_length)?;
        let components = argument::array("components", components, component_count)?;
        let components = components
            .iter()
            .enumerate()
            .map(|(at, bytes)| argument::bytes_of(format_args!("components[{at}]"), *bytes))
            .collect::<Result<Vec<_>, _>>()?;
        id.set(batpak_id::of(Id::for_operation(domain, &components)));
        Ok(())
    })
}
