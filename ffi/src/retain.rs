//! Retentions: which events a compaction no longer wants, and what must be kept of those.

use crate::argument::{Growing, flag, no_such};
use crate::read::batpak_query;
use crate::view::batpak_event;
use batpak_core::{Error, ErrorKind, Event, Keep, KeyOverflow, Keys, Result, Retention, Unwanted};
use std::ffi::c_void;

/// What becomes of an event that is no longer wanted.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_unwanted {
    /// It is no longer shown. Its hash is kept, so that roots and proofs stay what they were.
    BATPAK_UNWANTED_DROP = 0,
    /// It is shown with the kind 0x0FFE, that of a tombstone; its payload stays.
    BATPAK_UNWANTED_TOMBSTONE = 1,
    /// The same, and its payload is erased, but for its hash.
    BATPAK_UNWANTED_ERASE = 2,
}

/// What happens when more keys lie in the window than are to be kept.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_key_overflow {
    /// They are kept all the same, and the report says how many too many there are.
    BATPAK_KEY_OVERFLOW_WARN = 0,
    /// The compaction fails with BATPAK_TOO_LARGE, and nothing is changed.
    BATPAK_KEY_OVERFLOW_REFUSE = 1,
}

/// Whether an event stays.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_keep {
    /// It goes, as the other rules say.
    BATPAK_KEEP_NO = 0,
    /// It stays.
    BATPAK_KEEP_YES = 1,
}

/// Says whether an event stays: it returns BATPAK_KEEP_NO or BATPAK_KEEP_YES. Any other number says
/// that it failed: the compaction ends with BATPAK_CALLBACK, and nothing is changed. The event is
/// valid until it returns. No lock is held meanwhile, so that it may call the library, also on the
/// same store. It must return: it may neither jump out (longjmp) nor let a C++ exception through.
pub type batpak_keep_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const batpak_event) -> i32>;

/// Which events are no longer wanted: those that every rule which is set calls unwanted. The rules
/// are region, before, older_than_us, newest_per_entity and keep; at least one must be set. The
/// library's own events, such as denials, stay. Initialise it with BATPAK_RETENTION_INIT, which
/// holds the defaults.
///
/// Of dropped events, the idempotency keys (the ids that callers gave) are kept for a while. As
/// long as its key is kept, repeating an append gives the receipt of the first time, or a conflict
/// if the content is another; later, the same id begins a new event. The key of an event that is
/// not dropped is never forgotten.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_retention {
    /// sizeof(batpak_retention).
    pub struct_size: u32,
    /// What becomes of unwanted events, a batpak_unwanted.
    pub unwanted: i32,
    /// Events that do not match stay: a query without a direction, a from and a limit. May be null
    /// for everything.
    pub region: *const batpak_query,
    /// When has_before is 1: events from this sequence on stay.
    pub before: u64,
    /// When has_older_than is 1: events of this timestamp or later stay; microseconds since 1970.
    pub older_than_us: i64,
    /// When has_newest_per_entity is 1: so many newest events of each entity stay, on all its lanes
    /// together.
    pub newest_per_entity: u64,
    /// 1 when before counts, otherwise 0.
    pub has_before: i32,
    /// 1 when older_than_us counts, otherwise 0.
    pub has_older_than: i32,
    /// 1 when newest_per_entity counts, otherwise 0.
    pub has_newest_per_entity: i32,
    /// What happens when there are more than key_most keys in the window, a batpak_key_overflow.
    pub key_overflow: i32,
    /// Asked, in the order of the log, about each event that the other rules call unwanted; may be
    /// null.
    pub keep: batpak_keep_callback,
    /// Handed to keep.
    pub keep_user_data: *mut c_void,
    /// Keys of this many sequences up to the newest event are kept, always.
    pub key_window: u64,
    /// So many keys are to be kept at the most.
    pub key_most: u64,
}

// SAFETY: `repr(C)`, begins with its size, has 88 bytes, and every bit pattern of its numbers and
// pointers is a value; one that a caller sets to a function is that function.
unsafe impl Growing for batpak_retention {
    fn initial() -> Self {
        let (unwanted, keys) = (Unwanted::default(), Keys::default());
        Self {
            struct_size: size_of::<Self>() as u32,
            unwanted: unwanted as i32,
            region: std::ptr::null(),
            before: 0,
            older_than_us: 0,
            newest_per_entity: 0,
            has_before: 0,
            has_older_than: 0,
            has_newest_per_entity: 0,
            key_overflow: keys.overflow as i32,
            keep: None,
            keep_user_data: std::ptr::null_mut(),
            key_window: keys.window,
            key_most: keys.most,
        }
    }
}

impl batpak_retention {
    /// The defaults, as BATPAK_RETENTION_INIT has them.
    pub fn defaults() -> Self {
        Self::initial()
    }

    /// The retention, with what `asks` gave in the place of `keep`.
    ///
    /// SAFETY: `region` is as the rules at the top of the header say.
    pub(crate) unsafe fn get<'a>(&self, keep: Option<Keep<'a>>) -> Result<Retention<'a>> {
        Ok(Retention {
            // SAFETY: the caller's promise.
            region: unsafe { batpak_query::region_of(self.region) }?,
            before: flag("has_before", self.has_before)?.then_some(self.before),
            older_than_us: flag("has_older_than", self.has_older_than)?
                .then_some(self.older_than_us),
            newest_per_entity: flag("has_newest_per_entity", self.has_newest_per_entity)?
                .then_some(self.newest_per_entity),
            keep,
            unwanted: match self.unwanted {
                0 => Unwanted::Drop,
                1 => Unwanted::Tombstone,
                2 => Unwanted::Erase,
                other => return Err(no_such("unwanted", other)),
            },
            keys: Keys {
                window: self.key_window,
                most: self.key_most,
                overflow: match self.key_overflow {
                    0 => KeyOverflow::Warn,
                    1 => KeyOverflow::Refuse,
                    other => return Err(no_such("key_overflow", other)),
                },
            },
        })
    }

    /// What asks `keep`, if it is set.
    ///
    /// SAFETY: `keep` may be called as long as the result is there.
    pub(crate) unsafe fn asks(&self) -> Option<impl FnMut(&Event) -> Result<bool> + use<>> {
        let (keep, user_data) = (self.keep?, self.keep_user_data);
        Some(move |event: &Event| {
            let shown = batpak_event::of(event);
            // SAFETY: the caller promised that it may be called; what is shown outlives the call.
            match unsafe { keep(user_data, &shown) } {
                0 => Ok(false),
                1 => Ok(true),
                other => {
                    let at = event.sequence();
                    let why = format!(
                        "keep returned {other} for the event at {at}; it returns 0 or 1 unless it \
                         failed; nothing was changed"
                    );
                    Err(Error::new(ErrorKind::Callback, why))
                }
            }
        })
    }
}
