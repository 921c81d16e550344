//! Looking at a directory without opening it. What is found stays behind a handle until it is
//! released, since its texts have no bound.

use crate::argument::{self, Growing, GrowingOutput, Output, TextOutput};
use crate::guard::{guard, guard_value};
use crate::handle::{self, Handled};
use crate::id::batpak_id;
use crate::status::{batpak_error, batpak_status, terminated};
use crate::store::{batpak_open_report, report_text};
use batpak_core::{Inspection, Opening, Store};
use std::ffi::c_char;

/// What was found in a directory. Made by batpak_inspect, released by batpak_inspection_release.
pub struct batpak_inspection;

impl Handled for Inspection {
    type Pointee = batpak_inspection;
}

/// What opening a directory for appending would do.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_opening {
    /// Create a store: there is none.
    BATPAK_OPENING_CREATES = 0,
    /// Open it as it was closed.
    BATPAK_OPENING_OPENS = 1,
    /// Open it after a crash: the report says what would be cut.
    BATPAK_OPENING_RECOVERS = 2,
    /// Fail, since another writer has it open.
    BATPAK_OPENING_LOCKED = 3,
    /// Fail: it is a store of the batpak crate 0.x, which is opened for reading, or imported.
    BATPAK_OPENING_ONLY_READS = 4,
    /// Fail, since it is damaged or of a later version.
    BATPAK_OPENING_REFUSES = 5,
}

const OPENINGS: [Opening; 6] = [
    Opening::Creates,
    Opening::Opens,
    Opening::Recovers,
    Opening::Locked,
    Opening::OnlyReads,
    Opening::Refuses,
];

static OPENING_NAMES: [[u8; 32]; OPENINGS.len()] = {
    let mut names = [[0; 32]; OPENINGS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = terminated(OPENINGS[at].name());
        at += 1;
    }
    names
};

/// What a directory is. Initialise it with BATPAK_DIRECTORY_STATE_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_directory_state {
    /// sizeof(batpak_directory_state), set by the caller.
    pub struct_size: u32,
    /// What opening it for appending would do: a batpak_opening.
    pub opening: i32,
    /// Bytes of all segments.
    pub bytes: u64,
    /// The store's id; for a 0.x store, one derived from its first event; zeros when nothing can be
    /// read.
    pub store_id: batpak_id,
    /// The id under every event hash; forks share it.
    pub lineage_id: batpak_id,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_directory_state {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            opening: 0,
            bytes: 0,
            store_id: batpak_id::NONE,
            lineage_id: batpak_id::NONE,
        }
    }
}

impl batpak_directory_state {
    fn of(inspection: &Inspection) -> Self {
        Self {
            opening: inspection.opening as i32,
            bytes: inspection.bytes,
            store_id: batpak_id::of(inspection.store_id),
            lineage_id: batpak_id::of(inspection.lineage_id),
            ..Self::initial()
        }
    }
}

/// Looks at a directory: what it holds, its health as far as opening checks it, and what opening it
/// would do. Changes nothing, and does not disturb a live writer. To check every byte, open it with
/// BATPAK_OPEN_READ_ONLY and call batpak_store_verify.
///
/// path: the directory. inspection: gets the handle, which the caller releases with
/// batpak_inspection_release; what was found stays as it was.
///
/// Errors: only when the directory could not be looked at: BATPAK_IO, BATPAK_INVALID_ARGUMENT,
/// BATPAK_TOO_LARGE when there are too many handles. What opening refuses is no error of this call:
/// batpak_inspection_refusal gives it.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_inspect(
    path: *const c_char,
    path_length: usize,
    inspection: *mut *mut batpak_inspection,
    error: *mut batpak_error,
) -> batpak_status {
    // SAFETY: the pointers are as the rules at the top of the header say.
    guard(error, || unsafe {
        let output = Output::new("inspection", inspection)?;
        let path = argument::text("path", path, path_length)?;
        let reservation = handle::reserve()?;
        output.set(reservation.fill(Store::inspect(path)?));
        Ok(())
    })
}

/// What opening the directory would do, and what store it holds.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_inspection_state(
    inspection: *const batpak_inspection,
    state: *mut batpak_directory_state,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { GrowingOutput::new("state", state) }?;
        handle::with::<Inspection>(inspection, |found| {
            output.set(&batpak_directory_state::of(found));
            Ok(())
        })
    })
}

/// Why opening would fail.
///
/// refusal: gets the error that opening gives, or that a reader gets; its kind is BATPAK_OK when
/// readers are not refused, as with BATPAK_OPENING_LOCKED.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_inspection_refusal(
    inspection: *const batpak_inspection,
    refusal: *mut batpak_error,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { GrowingOutput::new("refusal", refusal) }?;
        handle::with::<Inspection>(inspection, |found| {
            let refusal = found.refusal.as_ref().map(batpak_error::of);
            output.set(&refusal.unwrap_or_else(batpak_error::initial));
            Ok(())
        })
    })
}

/// What a reader of the directory finds; if readers are refused, what a salvage finds.
///
/// report: gets it; its format is 0 when there is no store, or nothing that can be read of it.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_inspection_report(
    inspection: *const batpak_inspection,
    report: *mut batpak_open_report,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { GrowingOutput::new("report", report) }?;
        handle::with::<Inspection>(inspection, |found| {
            output.set(&batpak_open_report::of(&found.report));
            Ok(())
        })
    })
}

/// One text of that report.
///
/// list: a batpak_report_list. index: from 0 to the list's count in batpak_open_report.
/// buffer: gets the text, cut to capacity - 1 bytes, and a NUL; may be null when capacity is 0.
/// length: gets the length of the whole text, without the NUL.
///
/// Errors: BATPAK_NOT_FOUND when the list has no such index, BATPAK_BAD_HANDLE,
/// BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_inspection_report_text(
    inspection: *const batpak_inspection,
    list: i32,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { TextOutput::new(buffer, capacity, length) }?;
        handle::with::<Inspection>(inspection, |found| {
            output.set(report_text(&found.report, list, index)?);
            Ok(())
        })
    })
}

/// Forgets what was found.
///
/// inspection: may be null, which does nothing.
///
/// Errors: BATPAK_BAD_HANDLE. Threads: any, also while other calls run on the inspection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_inspection_release(
    inspection: *mut batpak_inspection,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        if inspection.is_null() {
            return Ok(());
        }
        handle::remove::<Inspection>(inspection, |_| Ok(()))
    })
}

/// The stable name of a batpak_opening, such as "RECOVERS"; "UNKNOWN" for any other number. It ends
/// with a NUL and lives as long as the library.
///
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub extern "C" fn batpak_opening_name(opening: i32) -> *const c_char {
    guard_value(c"UNKNOWN".as_ptr(), || {
        let place = OPENINGS.iter().position(|known| *known as i32 == opening);
        place.map_or(c"UNKNOWN".as_ptr(), |at| OPENING_NAMES[at].as_ptr().cast())
    })
}
