//! Statuses, retry classes, and the error struct that the caller owns.

use crate::argument::Growing;
use crate::guard::guard_value;
use batpak_core::{Error, ErrorKind, Retry};
use std::ffi::c_char;

/// What every call returns: BATPAK_OK, or one of the other numbers of batpak_status_code.
pub type batpak_status = i32;

/// The statuses. The numbers are the same in every language, and none is ever given to another
/// meaning; a later library may return numbers that are not in this list.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_status_code {
    /// The call did what was asked.
    BATPAK_OK = 0,
    /// An argument is out of range, malformed or contradicts another one.
    BATPAK_INVALID_ARGUMENT = 1,
    /// An entity or a scope breaks the rules for coordinates.
    BATPAK_INVALID_COORDINATE = 2,
    /// A kind is reserved for the library or out of range.
    BATPAK_INVALID_KIND = 3,
    /// A payload, a batch, an extension or the number of handles is larger than its limit.
    BATPAK_TOO_LARGE = 4,
    /// The stream is not at the clock that the caller expected.
    BATPAK_CLOCK_CONFLICT = 5,
    /// The event id is taken by an event with other content.
    BATPAK_IDEMPOTENCY_CONFLICT = 6,
    /// A gate refused the append.
    BATPAK_DENIED = 7,
    /// There is no such store, event or file.
    BATPAK_NOT_FOUND = 8,
    /// The store was closed while the call ran.
    BATPAK_CLOSED = 9,
    /// Another writer has the store open.
    BATPAK_LOCKED = 10,
    /// The store was opened for reading only.
    BATPAK_READ_ONLY = 11,
    /// The operating system refused an operation.
    BATPAK_IO = 12,
    /// There is no space left; nothing was appended, and appends go on when space returns.
    BATPAK_DISK_FULL = 13,
    /// Bytes on disk are not what was written.
    BATPAK_CORRUPT = 14,
    /// A format or a struct is of a kind that this library does not know.
    BATPAK_UNSUPPORTED = 15,
    /// An earlier failure stopped all appends until the store is reopened.
    BATPAK_POISONED = 16,
    /// It is not known whether the events were appended; reopening the store decides.
    BATPAK_INDETERMINATE = 17,
    /// The handle was inherited over a fork; open the store again in the child.
    BATPAK_FORKED = 18,
    /// The handle is null, closed, of another type, or was never given out.
    BATPAK_BAD_HANDLE = 19,
    /// A defect in the library was caught before it could reach the caller.
    BATPAK_PANIC = 20,
    /// A function that the caller supplied failed.
    BATPAK_CALLBACK = 21,
    /// A payload is not the MessagePack that was asked for.
    BATPAK_DECODE = 22,
}

/// Whether, and after what, the same call can succeed.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_retry {
    /// The status is not known to this library.
    BATPAK_RETRY_UNKNOWN = -1,
    /// The same call fails again.
    BATPAK_RETRY_NEVER = 0,
    /// The same call can succeed later, unchanged.
    BATPAK_RETRY_LATER = 1,
    /// Read the stream again, decide again, then call.
    BATPAK_RETRY_AFTER_READING = 2,
    /// Reopen the store first; an event id makes the repeated append safe.
    BATPAK_RETRY_AFTER_REOPENING = 3,
}

/// Which place fields of a batpak_error are set: bits of has_place.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_place {
    /// segment is set.
    BATPAK_PLACE_SEGMENT = 1,
    /// offset is set.
    BATPAK_PLACE_OFFSET = 2,
}

/// The size of the message in a batpak_error, its NUL included.
pub const BATPAK_ERROR_MESSAGE_BYTES: usize = 472;

/// What went wrong. The caller owns it, and there is nothing to free: initialise it with
/// BATPAK_ERROR_INIT and use it for any number of calls. It is written only by calls that do not
/// return BATPAK_OK.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_error {
    /// sizeof(batpak_error), set by the caller.
    pub struct_size: u32,
    /// The status that the call returned.
    pub kind: i32,
    /// What can be done about it, a batpak_retry.
    pub retry: i32,
    /// The operating system's error number; 0 when there is none.
    pub os_code: i32,
    /// Which of segment and offset are set: bits of batpak_place.
    pub has_place: u32,
    /// Zero.
    pub reserved: u32,
    /// The number of the segment where it happened.
    pub segment: u64,
    /// The byte offset in that segment.
    pub offset: u64,
    /// What happened, where, and what to do about it: UTF-8 that ends with a NUL, cut short when
    /// it does not fit.
    pub message: [c_char; BATPAK_ERROR_MESSAGE_BYTES],
}

// SAFETY: `batpak_error` is `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_error {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            kind: 0,
            retry: 0,
            os_code: 0,
            has_place: 0,
            reserved: 0,
            segment: 0,
            offset: 0,
            message: [0; BATPAK_ERROR_MESSAGE_BYTES],
        }
    }
}

impl batpak_error {
    pub(crate) fn of(error: &Error) -> Self {
        let mut place = 0;
        if error.segment().is_some() {
            place |= batpak_place::BATPAK_PLACE_SEGMENT as u32;
        }
        if error.offset().is_some() {
            place |= batpak_place::BATPAK_PLACE_OFFSET as u32;
        }
        Self {
            kind: error.kind().code(),
            retry: error.retry() as i32,
            os_code: error.os_code().unwrap_or(0),
            has_place: place,
            segment: error.segment().unwrap_or(0),
            offset: error.offset().unwrap_or(0),
            message: inline_text(&error.to_string()),
            ..Self::initial()
        }
    }
}

/// The longest prefix of `text` that fits `N` bytes with a NUL and ends between two characters.
/// A NUL within it, such as one in a path, becomes a question mark.
pub(crate) fn inline_text<const N: usize>(text: &str) -> [c_char; N] {
    let mut inline = [0; N];
    for (target, byte) in inline.iter_mut().zip(cut(text, N - 1).as_bytes()) {
        *target = if *byte == 0 { b'?' } else { *byte } as c_char;
    }
    inline
}

/// The longest prefix of `text` that has at most so many bytes and ends between two characters.
pub(crate) fn cut(text: &str, most_bytes: usize) -> &str {
    let mut end = text.len().min(most_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The longest name of a status, a retry class, a finding or an opening, its NUL included.
const NAME_BYTES: usize = 32;

/// `name` with a NUL behind it.
pub(crate) const fn terminated(name: &str) -> [u8; NAME_BYTES] {
    let mut text = [0; NAME_BYTES];
    let mut at = 0;
    // Indexing keeps a name that is too long from compiling.
    while at < name.len() {
        assert!(at + 1 < NAME_BYTES);
        text[at] = name.as_bytes()[at];
        at += 1;
    }
    text
}

static STATUS_NAMES: [[u8; NAME_BYTES]; ErrorKind::ALL.len()] = {
    let mut names = [[0; NAME_BYTES]; ErrorKind::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = terminated(ErrorKind::ALL[at].name());
        at += 1;
    }
    names
};

const RETRIES: [Retry; 4] =
    [Retry::Never, Retry::Later, Retry::AfterReading, Retry::AfterReopening];

static RETRY_NAMES: [[u8; NAME_BYTES]; RETRIES.len()] = {
    let mut names = [[0; NAME_BYTES]; RETRIES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = terminated(RETRIES[at].name());
        at += 1;
    }
    names
};

fn kind_of(status: i32) -> Option<ErrorKind> {
    ErrorKind::ALL.into_iter().find(|kind| kind.code() == status)
}

/// The stable name of a status, such as "CLOCK_CONFLICT"; "OK" for BATPAK_OK, and "UNKNOWN" for a
/// number that this library does not know. It ends with a NUL and lives as long as the library.
///
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub extern "C" fn batpak_status_name(status: i32) -> *const c_char {
    guard_value(c"UNKNOWN".as_ptr(), || match kind_of(status) {
        Some(kind) => STATUS_NAMES[kind.code() as usize - 1].as_ptr().cast(),
        None if status == 0 => c"OK".as_ptr(),
        None => c"UNKNOWN".as_ptr(),
    })
}

/// What can be done about a status, a batpak_retry: BATPAK_RETRY_NEVER for BATPAK_OK, and
/// BATPAK_RETRY_UNKNOWN for a number that this library does not know. The statuses are numbered
/// from 1 without a gap, so a loop up to the first unknown one lists them all.
///
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub extern "C" fn batpak_status_retry(status: i32) -> i32 {
    guard_value(batpak_retry::BATPAK_RETRY_UNKNOWN as i32, || match kind_of(status) {
        Some(kind) => kind.retry() as i32,
        None if status == 0 => batpak_retry::BATPAK_RETRY_NEVER as i32,
        None => batpak_retry::BATPAK_RETRY_UNKNOWN as i32,
    })
}

/// The stable name of a retry class, such as "AFTER_READING"; "UNKNOWN" for any other number. It
/// ends with a NUL and lives as long as the library.
///
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub extern "C" fn batpak_retry_name(retry: i32) -> *const c_char {
    guard_value(c"UNKNOWN".as_ptr(), || {
        let name = usize::try_from(retry).ok().and_then(|at| RETRY_NAMES.get(at));
        name.map_or(c"UNKNOWN".as_ptr(), |name| name.as_ptr().cast())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: *const c_char) -> &'static str {
        // SAFETY: the names end with a NUL and live as long as the library.
        unsafe { std::ffi::CStr::from_ptr(text) }.to_str().unwrap()
    }

    #[test]
    fn the_numbers_are_those_of_the_core() {
        for kind in ErrorKind::ALL {
            assert_eq!(name(batpak_status_name(kind.code())), kind.name());
            assert_eq!(batpak_status_retry(kind.code()), kind.retry() as i32);
        }
        for retry in RETRIES {
            assert_eq!(name(batpak_retry_name(retry as i32)), retry.name());
        }
        assert_eq!(name(batpak_status_name(0)), "OK");
        assert_eq!(name(batpak_status_name(ErrorKind::ALL.len() as i32 + 1)), "UNKNOWN");
    }

    /// The names in the header are those of the kinds, with `BATPAK_` before them.
    #[test]
    fn the_constants_are_named_after_the_kinds() {
        let source = include_str!("status.rs");
        for kind in ErrorKind::ALL {
            let constant = format!("    BATPAK_{} = {},\n", kind.name(), kind.code());
            assert!(source.contains(&constant), "{constant}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("é", 1), "");
        let inline: [c_char; 4] = inline_text("a\0éé");
        assert_eq!(inline, [b'a' as c_char, b'?' as c_char, 0, 0]);
    }
}
