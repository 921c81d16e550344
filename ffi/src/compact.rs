//! Compaction: smaller and fewer segments, without the events that are no longer wanted.

use crate::argument::{Growing, GrowingOutput, check_reserved, growing};
use crate::guard::guard;
use crate::retain::batpak_retention;
use crate::status::{batpak_error, batpak_status};
use crate::store::{append_to_store, batpak_store};
use batpak_core::{CompactOptions, CompactProgress, CompactReport, Error, ErrorKind, Result};
use std::ffi::c_void;

/// How far a compaction is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_compact_progress {
    /// sizeof(batpak_compact_progress) in the library: what there is to read.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Sealed segments that were looked at, and written again if need be.
    pub segments_done: u64,
    /// Sealed segments there are.
    pub segments: u64,
    /// Bytes read so far; what is written again is read twice.
    pub bytes_read: u64,
    /// Bytes written so far.
    pub bytes_written: u64,
}

impl batpak_compact_progress {
    fn of(progress: &CompactProgress) -> Self {
        let &CompactProgress { segments_done, segments, bytes_read, bytes_written } = progress;
        Self {
            struct_size: size_of::<Self>() as u32,
            reserved: 0,
            segments_done,
            segments,
            bytes_read,
            bytes_written,
        }
    }
}

/// Is told how far a compaction is. It returns 0 to go on. Any other number cancels: the compaction
/// ends with BATPAK_CALLBACK, and nothing is changed. The progress is valid until it returns. No
/// lock is held meanwhile, so that it may call the library, also on the same store. It must return:
/// it may neither jump out (longjmp) nor let a C++ exception through.
pub type batpak_progress_callback = Option<
    unsafe extern "C" fn(user_data: *mut c_void, progress: *const batpak_compact_progress) -> i32,
>;

/// What a compaction does. Initialise it with BATPAK_COMPACT_OPTIONS_INIT, which holds the
/// defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_compact_options {
    /// sizeof(batpak_compact_options).
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Which events go. Null for none: small segments are joined, and nothing else.
    pub retention: *const batpak_retention,
    /// How many bytes are read and written in a second at the most; 0 for as many as can be.
    pub bytes_per_second: u64,
    /// Told, about once per MiB and at each segment, how far the compaction is; may be null.
    pub progress: batpak_progress_callback,
    /// Handed to progress.
    pub progress_user_data: *mut c_void,
}

// SAFETY: `repr(C)`, begins with its size, has 40 bytes, and every bit pattern of its numbers and
// pointers is a value; one that a caller sets to a function is that function.
unsafe impl Growing for batpak_compact_options {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            reserved: 0,
            retention: std::ptr::null(),
            bytes_per_second: CompactOptions::default().bytes_per_second,
            progress: None,
            progress_user_data: std::ptr::null_mut(),
        }
    }
}

impl batpak_compact_options {
    /// What tells `progress`, if it is set.
    ///
    /// SAFETY: `progress` may be called as long as the result is there.
    unsafe fn tells(&self) -> Option<impl FnMut(&CompactProgress) -> Result<()> + use<>> {
        let (told, user_data) = (self.progress?, self.progress_user_data);
        Some(move |progress: &CompactProgress| {
            let progress = batpak_compact_progress::of(progress);
            // SAFETY: the caller promised that it may be called; what it is told outlives the call.
            match unsafe { told(user_data, &progress) } {
                0 => Ok(()),
                other => {
                    let why = format!("cancelled: progress returned {other}; nothing was changed");
                    Err(Error::new(ErrorKind::Callback, why))
                }
            }
        })
    }
}

/// What a compaction did. Initialise it with BATPAK_COMPACT_REPORT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_compact_report {
    /// sizeof(batpak_compact_report), set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Segments of the store before, the newest one included.
    pub segments_before: u64,
    /// Segments of the store afterwards.
    pub segments_after: u64,
    /// Segments that others took the place of.
    pub segments_replaced: u64,
    /// Segments that took their place.
    pub segments_written: u64,
    /// Bytes of all segments before.
    pub bytes_before: u64,
    /// Bytes of all segments afterwards.
    pub bytes_after: u64,
    /// Events that were dropped.
    pub events_dropped: u64,
    /// Events that became tombstones, or whose payload was erased.
    pub tombstones: u64,
    /// Keys of dropped events in the window, from earlier compactions, too; all of these are kept.
    /// 0 without a retention, since they are not counted then.
    pub keys_kept: u64,
    /// How many of those are more than there should be.
    pub keys_over: u64,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_compact_report {
    fn initial() -> Self {
        Self::of(&CompactReport::default())
    }
}

impl batpak_compact_report {
    fn of(report: &CompactReport) -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            reserved: 0,
            segments_before: report.segments_before,
            segments_after: report.segments_after,
            segments_replaced: report.segments_replaced,
            segments_written: report.segments_written,
            bytes_before: report.bytes_before,
            bytes_after: report.bytes_after,
            events_dropped: report.events_dropped,
            tombstones: report.tombstones,
            keys_kept: report.keys_kept,
            keys_over: report.keys_over,
        }
    }
}

/// Puts new segments in the place of sealed ones, while appends and reads go on: drops events that
/// are no longer wanted, or makes tombstones of them, and joins small segments. With a retention,
/// the newest segment is sealed first, so that it holds for every event that is visible. After an
/// error, and after a crash, the store has the events that it had before.
///
/// What stays keeps its sequence, clock, hash and receipt; roots that were noted down still hold.
/// One who reads meanwhile may or may not see an event that goes. Views keep what they show.
///
/// It runs on the calling thread, and so do the functions of options, which it waits for. Closing
/// the store, on another thread or by one of them, ends it.
///
/// options: may be null to join small segments. report: gets the result.
///
/// Errors: BATPAK_INVALID_ARGUMENT, also for a retention without a rule; BATPAK_INVALID_COORDINATE
/// and BATPAK_INVALID_KIND for its region; BATPAK_CALLBACK when a function of options failed or
/// cancelled; BATPAK_LOCKED while another compaction of the store is under way; BATPAK_TOO_LARGE
/// when there are more keys than key_most and those are to be refused; BATPAK_READ_ONLY,
/// BATPAK_UNSUPPORTED, BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO,
/// BATPAK_DISK_FULL, BATPAK_POISONED, BATPAK_INDETERMINATE, BATPAK_FORKED.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_compact(
    store: *const batpak_store,
    options: *const batpak_compact_options,
    report: *mut batpak_compact_report,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { GrowingOutput::new("report", report) }?;
        let options = match options.is_null() {
            true => batpak_compact_options::initial(),
            // SAFETY: as above.
            false => unsafe { growing("options", options) }?,
        };
        check_reserved("reserved", options.reserved)?;
        let given = match options.retention.is_null() {
            true => None,
            // SAFETY: as above.
            false => Some(unsafe { growing("retention", options.retention) }?),
        };
        // SAFETY: as above; the functions are called by this call alone.
        let (mut keep, mut progress) =
            unsafe { (given.as_ref().and_then(|given| given.asks()), options.tells()) };
        let retention = match &given {
            None => None,
            // SAFETY: as above.
            Some(given) => Some(unsafe { given.get(keep.as_mut().map(|keep| keep as _)) }?),
        };
        append_to_store(store, |store| {
            let report = store.compact(CompactOptions {
                retention,
                bytes_per_second: options.bytes_per_second,
                progress: progress.as_mut().map(|progress| progress as _),
            })?;
            output.set(&batpak_compact_report::of(&report));
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::append::{batpak_new_event, batpak_store_append};
    use crate::argument::batpak_text;
    use crate::store::{batpak_store_close, batpak_store_open, on_store};
    use std::ptr::{null, null_mut};

    /// Counts its calls, and goes on.
    unsafe extern "C" fn count(calls: *mut c_void, _: *const batpak_compact_progress) -> i32 {
        // SAFETY: the test hands in a number of its own.
        unsafe { *calls.cast::<u32>() += 1 };
        0
    }

    #[test]
    fn a_defect_during_a_call_stops_compactions_until_the_store_is_reopened() {
        let directory = std::env::temp_dir().join(format!("batpak-compact-{}", std::process::id()));
        let path = directory.to_str().unwrap();
        let event = batpak_new_event {
            kind: 0x1000,
            entity: batpak_text::of("e"),
            scope: batpak_text::of("s"),
            ..batpak_new_event::defaults()
        };
        let (mut store, mut calls) = (null_mut(), 0u32);
        let retention =
            batpak_retention { before: 1, has_before: 1, ..batpak_retention::defaults() };
        let options = batpak_compact_options {
            retention: &retention,
            progress: Some(count),
            progress_user_data: (&raw mut calls).cast(),
            ..batpak_compact_options::initial()
        };
        let mut report = batpak_compact_report::initial();
        // SAFETY: every pointer is to a value of this function, or null where allowed.
        unsafe {
            let open = |store| {
                batpak_store_open(path.as_ptr().cast(), path.len(), null(), store, null_mut())
            };
            assert_eq!(open(&mut store), 0);
            assert_eq!(batpak_store_append(store, &event, 1, -1, null_mut(), null_mut()), 0);
            let panicking = guard(null_mut(), || on_store(store, |_| panic!("a defect")));
            assert_eq!(panicking, ErrorKind::Panic.code());
            let compact = |store, report| batpak_store_compact(store, &options, report, null_mut());
            assert_eq!(compact(store, &mut report), ErrorKind::Poisoned.code());
            assert_eq!((calls, report.segments_before), (0, 0));
            assert_eq!(batpak_store_close(store, null_mut()), 0);
            assert_eq!(open(&mut store), 0);
            assert_eq!(compact(store, &mut report), 0);
            assert_eq!((calls, report.events_dropped), (2, 1));
            assert_eq!(batpak_store_close(store, null_mut()), 0);
        }
        std::fs::remove_dir_all(directory).unwrap();
    }
}
