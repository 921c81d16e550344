//! Copies of a store: snapshots, forks, and how another log compares with this one.

use crate::argument::{self, Growing, GrowingOutput, MutableArray, Output, flag, growing};
use crate::argument::{batpak_text, check_reserved};
use crate::guard::guard;
use crate::id::{batpak_hash, batpak_id};
use crate::status::{batpak_error, batpak_status};
use crate::store::{append_to_store, batpak_store, on_store};
use crate::verify::{batpak_finding, batpak_verify_report};
use batpak_core::{CopyReport, Diff, ForkOptions, Parent, Result, SnapshotOptions};
use std::ffi::c_char;

/// How to make a snapshot. Initialise it with BATPAK_SNAPSHOT_OPTIONS_INIT, which holds the
/// defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_snapshot_options {
    /// sizeof(batpak_snapshot_options).
    pub struct_size: u32,
    /// 1 to share no file with this store, so that damage to the files of one is none to the
    /// other. What an earlier snapshot has is shared with that.
    pub independent: i32,
    /// The directory of an earlier snapshot of this store, or of the one that it was forked from:
    /// sealed segments that it has are shared with it, rather than copied. Empty for none.
    pub earlier: batpak_text,
}

// SAFETY: `repr(C)`, begins with its size, has 24 bytes, and every bit pattern is a value.
unsafe impl Growing for batpak_snapshot_options {
    fn initial() -> Self {
        let independent = SnapshotOptions::default().independent.into();
        Self { struct_size: size_of::<Self>() as u32, independent, earlier: batpak_text::EMPTY }
    }
}

impl batpak_snapshot_options {
    /// SAFETY: `earlier` is as the rules at the top of the header say.
    unsafe fn get(&self) -> Result<SnapshotOptions> {
        // SAFETY: the caller's promise.
        let earlier = unsafe { argument::text_of("earlier", self.earlier) }?;
        Ok(SnapshotOptions {
            earlier: (!earlier.is_empty()).then(|| earlier.into()),
            independent: flag("independent", self.independent)?,
        })
    }
}

/// How to fork. Initialise it with BATPAK_FORK_OPTIONS_INIT, which holds the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_fork_options {
    /// sizeof(batpak_fork_options).
    pub struct_size: u32,
    /// 1 to share no file with this store, so that damage to the files of one is none to the
    /// other.
    pub independent: i32,
    /// When has_at is 1: how many events, from the first on, the fork has in common with this
    /// store. A batch cannot be cut.
    pub at: u64,
    /// 1 when at counts; with 0, all visible events are in common.
    pub has_at: i32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: `repr(C)`, begins with its size, has 24 bytes, and every bit pattern is a value.
unsafe impl Growing for batpak_fork_options {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            independent: ForkOptions::default().independent.into(),
            at: 0,
            has_at: 0,
            reserved: 0,
        }
    }
}

impl batpak_fork_options {
    fn get(&self) -> Result<ForkOptions> {
        check_reserved("reserved", self.reserved)?;
        Ok(ForkOptions {
            at: flag("has_at", self.has_at)?.then_some(self.at),
            independent: flag("independent", self.independent)?,
        })
    }
}

/// What a snapshot or a fork holds, and how it came there. Initialise it with
/// BATPAK_COPY_REPORT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_copy_report {
    /// sizeof(batpak_copy_report), set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The store id of the copy: of a snapshot the same, of a fork a new one.
    pub store_id: batpak_id,
    /// The events in it.
    pub events: u64,
    /// The root of the tree over those.
    pub root: batpak_hash,
    /// Its segments.
    pub segments: u64,
    /// Segments that it shares with another store, by hard links.
    pub linked: u64,
    /// Segments that were copied, the newest one included.
    pub copied: u64,
    /// The bytes of those.
    pub bytes_copied: u64,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_copy_report {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            reserved: 0,
            store_id: batpak_id::NONE,
            events: 0,
            root: batpak_hash::ZERO,
            segments: 0,
            linked: 0,
            copied: 0,
            bytes_copied: 0,
        }
    }
}

impl batpak_copy_report {
    fn of(report: &CopyReport) -> Self {
        Self {
            store_id: batpak_id::of(report.store_id),
            events: report.events,
            root: batpak_hash::of(report.root),
            segments: report.segments,
            linked: report.linked,
            copied: report.copied,
            bytes_copied: report.bytes_copied,
            ..Self::initial()
        }
    }
}

/// How two logs compare. The sequences from common to before ours are those that only this store
/// has, or has with other events; likewise for theirs. Initialise it with BATPAK_DIFF_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_diff {
    /// sizeof(batpak_diff), set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// So many events, from the first on, are the same in both.
    pub common: u64,
    /// The number of events of this store.
    pub ours: u64,
    /// The number of events of the other store.
    pub theirs: u64,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_diff {
    fn initial() -> Self {
        Self { struct_size: size_of::<Self>() as u32, reserved: 0, common: 0, ours: 0, theirs: 0 }
    }
}

impl batpak_diff {
    fn of(diff: Diff) -> Self {
        let Diff { common, ours, theirs } = diff;
        Self { common, ours, theirs, ..Self::initial() }
    }
}

/// What a store was forked from.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_parent {
    /// The store.
    pub store_id: batpak_id,
    /// So many events, from the first on, are common.
    pub events: u64,
    /// The root of the tree over those.
    pub root: batpak_hash,
}

impl batpak_parent {
    fn of(parent: Parent) -> Self {
        Self {
            store_id: batpak_id::of(parent.store_id),
            events: parent.events,
            root: batpak_hash::of(parent.root),
        }
    }
}

/// Makes a snapshot in a new directory, while appends go on: all events that are visible now, and
/// what the library needs to open them as a store, with the same store id. To restore it is to open
/// it. Nothing of a snapshot that failed is left under its name; one that has its name is whole,
/// and survives a power cut.
///
/// Sealed segments are shared with this store by hard links where the file system can do that, and
/// copied otherwise. Only while everything is written and synced, as by batpak_store_sync, appends
/// wait.
///
/// destination: the directory, which must not exist or be empty; directories above it are made, and
/// meanwhile there is one beside it whose name ends with `.unfinished`. options: may be null for
/// the defaults. report: gets the result.
///
/// Errors: BATPAK_INVALID_ARGUMENT, also when the directory holds something, or options.earlier is
/// no snapshot of this store; BATPAK_NOT_FOUND and BATPAK_UNSUPPORTED for options.earlier;
/// BATPAK_UNSUPPORTED also for a store opened for salvage and for one of the batpak crate 0.x;
/// BATPAK_LOCKED while something else is copied to the directory; BATPAK_BAD_HANDLE,
/// BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_DISK_FULL, BATPAK_POISONED,
/// BATPAK_INDETERMINATE, BATPAK_FORKED.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_snapshot(
    store: *const batpak_store,
    destination: *const c_char,
    destination_length: usize,
    options: *const batpak_snapshot_options,
    report: *mut batpak_copy_report,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, destination) = unsafe {
            let output = GrowingOutput::new("report", report)?;
            (output, argument::text("destination", destination, destination_length)?)
        };
        let options = match options.is_null() {
            true => SnapshotOptions::default(),
            // SAFETY: as above.
            false => unsafe { growing("options", options)?.get() }?,
        };
        append_to_store(store, |store| {
            output.set(&batpak_copy_report::of(&store.snapshot_to(destination, &options)?));
            Ok(())
        })
    })
}

/// Verifies a snapshot, all of it, and compares it with this store. Damage to the snapshot is not
/// an error of this call: it is in the report. An error means that it cannot be opened.
///
/// snapshot: its directory. report: gets what verifying the snapshot found. findings: gets the
/// first capacity damages, in log order; may be null when capacity is 0. is_prefix: gets 1 when the
/// snapshot is intact and this store's log begins with it, otherwise 0. diff: gets how it compares
/// with this store, theirs being the events of the snapshot; when the snapshot is damaged, it is
/// left alone.
///
/// Errors: BATPAK_NOT_FOUND, BATPAK_CORRUPT and BATPAK_UNSUPPORTED for the snapshot;
/// BATPAK_UNSUPPORTED also for a store opened for salvage and for one of the batpak crate 0.x;
/// BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_IO, BATPAK_FORKED, BATPAK_INVALID_ARGUMENT.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_verify_snapshot(
    store: *const batpak_store,
    snapshot: *const c_char,
    snapshot_length: usize,
    report: *mut batpak_verify_report,
    findings: *mut batpak_finding,
    capacity: usize,
    is_prefix: *mut i32,
    diff: *mut batpak_diff,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (snapshot, output, findings, is_prefix, compared) = unsafe {
            let snapshot = argument::text("snapshot", snapshot, snapshot_length)?;
            let output = GrowingOutput::new("report", report)?;
            let findings = MutableArray::new("findings", findings, capacity)?;
            let is_prefix = Output::new("is_prefix", is_prefix)?;
            (snapshot, output, findings, is_prefix, GrowingOutput::new("diff", diff)?)
        };
        on_store(store, |store| {
            let check = store.verify_snapshot(snapshot)?;
            output.set(&batpak_verify_report::of(&check.report));
            findings.set(check.report.findings.iter().map(batpak_finding::of));
            is_prefix.set(check.is_prefix().into());
            if let Some(diff) = check.diff {
                compared.set(&batpak_diff::of(diff));
            }
            Ok(())
        })
    })
}

/// Makes a fork in a new directory, while appends go on: a store of its own, with its own id, that
/// begins with events of this one and can be appended to. Nothing of a fork that failed is left
/// under its name; one that has its name is whole, and survives a power cut. Events keep their ids,
/// hashes and places; receipts stay valid. Sealed segments are shared as those of a snapshot are.
///
/// destination: as for batpak_store_snapshot. options: may be null for the defaults. report: gets
/// the result.
///
/// Errors: BATPAK_INVALID_ARGUMENT, also when the directory holds something, and when options.at is
/// more than there are events or in the middle of a batch; BATPAK_TOO_LARGE when the store has too
/// many ancestors; otherwise as for batpak_store_snapshot.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_fork(
    store: *const batpak_store,
    destination: *const c_char,
    destination_length: usize,
    options: *const batpak_fork_options,
    report: *mut batpak_copy_report,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, destination) = unsafe {
            let output = GrowingOutput::new("report", report)?;
            (output, argument::text("destination", destination, destination_length)?)
        };
        let options = match options.is_null() {
            true => ForkOptions::default(),
            // SAFETY: as above.
            false => unsafe { growing("options", options) }?.get()?,
        };
        append_to_store(store, |store| {
            output.set(&batpak_copy_report::of(&store.fork_to(destination, &options)?));
            Ok(())
        })
    })
}

/// Compares this store with another one: a fork of it, its parent, or a snapshot. Stores that are
/// no relatives have nothing in common, whatever is in them. What is compared are the hashes and
/// roots that are recorded; that they are those of the events is shown by batpak_store_verify.
///
/// other: the directory of the other store, which is opened for reading. diff: gets the result.
///
/// Errors: BATPAK_NOT_FOUND, BATPAK_CORRUPT and BATPAK_UNSUPPORTED for the other store;
/// BATPAK_UNSUPPORTED also for a store opened for salvage and for one of the batpak crate 0.x;
/// BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_IO, BATPAK_FORKED, BATPAK_INVALID_ARGUMENT.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_diff(
    store: *const batpak_store,
    other: *const c_char,
    other_length: usize,
    diff: *mut batpak_diff,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, other) = unsafe {
            let output = GrowingOutput::new("diff", diff)?;
            (output, argument::text("other", other, other_length)?)
        };
        on_store(store, |store| {
            output.set(&batpak_diff::of(store.diff(other)?));
            Ok(())
        })
    })
}

/// The store that this one was forked from.
///
/// parent: gets it, and is left alone when there is none. count: gets 1, or 0 when the store is no
/// fork.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_parent(
    store: *const batpak_store,
    parent: *mut batpak_parent,
    count: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, count) =
            unsafe { (Output::new("parent", parent)?, Output::new("count", count)?) };
        on_store(store, |store| {
            let found = store.parent();
            count.set(found.is_some().into());
            if let Some(parent) = found {
                output.set(batpak_parent::of(parent));
            }
            Ok(())
        })
    })
}
