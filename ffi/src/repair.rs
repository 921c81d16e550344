//! Repair: a copy of a damaged store that can be opened. The account of it stays behind a handle
//! until it is released, since nothing bounds it and the repair cannot be asked twice.

use crate::argument::{self, Growing, GrowingOutput, MutableArray, Output, TextOutput};
use crate::argument::{check_reserved, flag, growing};
use crate::guard::guard;
use crate::handle::{self, Handled};
use crate::id::batpak_id;
use crate::status::{batpak_error, batpak_status, inline_text};
use crate::store::text_at;
use crate::verify::{batpak_finding, batpak_verify_report};
use batpak_core::{LeftOut, LostEvents, RepairOptions, RepairReport, Result, Store};
use std::ffi::c_char;

/// What a repair did. Made by batpak_repair, released by batpak_repaired_release.
pub struct batpak_repaired;

impl Handled for RepairReport {
    type Pointee = batpak_repaired;
}

/// How to repair. Initialise it with BATPAK_REPAIR_OPTIONS_INIT, which holds the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_repair_options {
    /// sizeof(batpak_repair_options).
    pub struct_size: u32,
    /// 1 to carry over, marked, also events that something speaks against: their hash is not that
    /// of their fields, or what was recorded later names another event in their place.
    pub keep_altered: i32,
    /// The places of so many lost events are held, at the most. With more of them, the repair
    /// gives BATPAK_TOO_LARGE.
    pub max_lost: u64,
    /// The size of segments for what is appended anew, in bytes.
    pub segment_bytes: u64,
    /// For tests and reproductions, when has_seed is 1: the same damage gives the same copy.
    pub seed: u64,
    /// 1 when seed counts, otherwise 0.
    pub has_seed: i32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: `repr(C)`, begins with its size, has 40 bytes, and every bit pattern is a value.
unsafe impl Growing for batpak_repair_options {
    fn initial() -> Self {
        let defaults = RepairOptions::default();
        Self {
            struct_size: size_of::<Self>() as u32,
            keep_altered: defaults.keep_altered.into(),
            max_lost: defaults.max_lost,
            segment_bytes: defaults.segment_bytes,
            seed: 0,
            has_seed: 0,
            reserved: 0,
        }
    }
}

impl batpak_repair_options {
    /// The defaults, as BATPAK_REPAIR_OPTIONS_INIT has them.
    pub fn defaults() -> Self {
        Self::initial()
    }

    fn get(&self) -> Result<RepairOptions> {
        check_reserved("reserved", self.reserved)?;
        Ok(RepairOptions {
            keep_altered: flag("keep_altered", self.keep_altered)?,
            max_lost: self.max_lost,
            segment_bytes: self.segment_bytes,
            seed: flag("has_seed", self.has_seed)?.then_some(self.seed),
        })
    }
}

/// What a repair did, in numbers; kept, appended, dropped and lost add up to the events of the
/// copy. Initialise it with BATPAK_REPAIR_REPORT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_repair_report {
    /// sizeof(batpak_repair_report), set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The damaged store's id; zeros when nothing tells it.
    pub source: batpak_id,
    /// The copy's own id.
    pub store_id: batpak_id,
    /// So many events, from the first on, were kept as they were.
    pub kept: u64,
    /// So many behind those were appended anew: under their sequences, with other hashes.
    pub appended: u64,
    /// So many behind the kept ones had been dropped by a retention. Their places are held.
    pub dropped: u64,
    /// So many behind the kept ones were lost, and have their places held.
    pub lost: u64,
    /// How many runs of lost events batpak_repaired_lost gives.
    pub lost_count: u64,
    /// How many runs of bytes batpak_repaired_left_out gives.
    pub left_out_count: u64,
    /// How many sentences batpak_repaired_damage gives.
    pub damage_count: u64,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_repair_report {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            reserved: 0,
            source: batpak_id::NONE,
            store_id: batpak_id::NONE,
            kept: 0,
            appended: 0,
            dropped: 0,
            lost: 0,
            lost_count: 0,
            left_out_count: 0,
            damage_count: 0,
        }
    }
}

impl batpak_repair_report {
    fn of(report: &RepairReport) -> Self {
        Self {
            source: batpak_id::of(report.source),
            store_id: batpak_id::of(report.store_id),
            kept: report.kept,
            appended: report.appended,
            dropped: report.dropped,
            lost: report.lost,
            lost_count: report.lost_events.len() as u64,
            left_out_count: report.left_out.len() as u64,
            damage_count: report.damage.len() as u64,
            ..Self::initial()
        }
    }
}

/// Lost events that follow each other.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_lost_events {
    /// The sequence of the first.
    pub first_sequence: u64,
    /// How many.
    pub events: u64,
}

impl batpak_lost_events {
    fn of(lost: &LostEvents) -> Self {
        Self { first_sequence: lost.first_sequence, events: lost.events }
    }
}

/// The size of the reason in a batpak_left_out, its NUL included.
pub const BATPAK_LEFT_OUT_REASON_BYTES: usize = 216;

/// Bytes of a segment that are no event of the copy.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_left_out {
    /// In which segment of the damaged store.
    pub segment: u64,
    /// The offset of the first byte.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The sequence of the first event that stood there, as far as that can be told.
    pub first_sequence: u64,
    /// How many events stood there; 0 also when that cannot be told.
    pub events: u64,
    /// Why: UTF-8 that ends with a NUL, cut short when it does not fit.
    pub reason: [c_char; BATPAK_LEFT_OUT_REASON_BYTES],
}

impl batpak_left_out {
    fn of(left: &LeftOut) -> Self {
        Self {
            segment: left.segment,
            offset: left.offset,
            bytes: left.bytes,
            first_sequence: left.first_sequence,
            events: left.events,
            reason: inline_text(&left.why),
        }
    }
}

/// Writes a copy of a damaged store to a new directory: with all events that can be read and that
/// nothing speaks against, each under its sequence. The damaged store is not changed; no writer may
/// have it open. Nothing of a copy that failed is left under its name; one that has its name is
/// whole, and survives a power cut.
///
/// The events before the first damage are the same, hashes included: the copy is a fork of the
/// damaged store, with its own id. Those behind it have new hashes, links and clocks, and say where
/// they come from in their extension "batpak.import". An empty event of the kind 0x0FFE holds the
/// place of each that was lost.
///
/// damaged: the directory of the damaged store. destination: the directory of the copy, which must
/// not exist or be empty; directories above it are made, and meanwhile there is one beside it whose
/// name ends with `.unfinished`. options: may be null for the defaults. repaired: gets the handle
/// of the account, which the caller releases with batpak_repaired_release.
///
/// Errors: BATPAK_NOT_FOUND when there is no store; BATPAK_LOCKED while a writer has it open, and
/// while something else is copied to the destination; BATPAK_UNSUPPORTED for a store of the batpak
/// crate 0.x, which is imported instead, and for one of a later version; BATPAK_TOO_LARGE when more
/// events are lost than max_lost says, and when there are too many handles;
/// BATPAK_INVALID_ARGUMENT, also when the destination holds something; BATPAK_CORRUPT,
/// BATPAK_IO, BATPAK_DISK_FULL.
/// Threads: any, also at once; of two repairs of one store at a time, one gives BATPAK_LOCKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_repair(
    damaged: *const c_char,
    damaged_length: usize,
    destination: *const c_char,
    destination_length: usize,
    options: *const batpak_repair_options,
    repaired: *mut *mut batpak_repaired,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, damaged, destination) = unsafe {
            let output = Output::new("repaired", repaired)?;
            let damaged = argument::text("damaged", damaged, damaged_length)?;
            (output, damaged, argument::text("destination", destination, destination_length)?)
        };
        let options = match options.is_null() {
            true => RepairOptions::default(),
            // SAFETY: as above.
            false => unsafe { growing("options", options) }?.get()?,
        };
        let reservation = handle::reserve()?;
        output.set(reservation.fill(Store::repair(damaged, destination, &options)?));
        Ok(())
    })
}

/// What the repair did, in numbers.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_repaired_report(
    repaired: *const batpak_repaired,
    report: *mut batpak_repair_report,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { GrowingOutput::new("report", report) }?;
        handle::with::<RepairReport>(repaired, |done| {
            output.set(&batpak_repair_report::of(done));
            Ok(())
        })
    })
}

/// Which events were lost.
///
/// lost: gets the first capacity runs, by sequence; may be null when capacity is 0.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_repaired_lost(
    repaired: *const batpak_repaired,
    lost: *mut batpak_lost_events,
    capacity: usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { MutableArray::new("lost", lost, capacity) }?;
        handle::with::<RepairReport>(repaired, |done| {
            output.set(done.lost_events.iter().map(batpak_lost_events::of));
            Ok(())
        })
    })
}

/// Every run of bytes in a segment that is no event of the copy, and no header, footer or reserved
/// space.
///
/// left_out: gets the first capacity runs, by segment and offset; may be null when capacity is 0.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_repaired_left_out(
    repaired: *const batpak_repaired,
    left_out: *mut batpak_left_out,
    capacity: usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { MutableArray::new("left_out", left_out, capacity) }?;
        handle::with::<RepairReport>(repaired, |done| {
            output.set(done.left_out.iter().map(batpak_left_out::of));
            Ok(())
        })
    })
}

/// One sentence of what was found damaged.
///
/// index: from 0 to damage_count in batpak_repair_report. buffer: gets the text, cut to
/// capacity - 1 bytes, and a NUL; may be null when capacity is 0. length: gets the length of the
/// whole text, without the NUL.
///
/// Errors: BATPAK_NOT_FOUND when there is no such index, BATPAK_BAD_HANDLE,
/// BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_repaired_damage(
    repaired: *const batpak_repaired,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { TextOutput::new(buffer, capacity, length) }?;
        handle::with::<RepairReport>(repaired, |done| {
            output.set(text_at(&done.damage, index)?);
            Ok(())
        })
    })
}

/// What verifying the copy found, before it got its name.
///
/// report: gets the result. findings: gets the first capacity damages, in log order; may be null
/// when capacity is 0.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_repaired_verification(
    repaired: *const batpak_repaired,
    report: *mut batpak_verify_report,
    findings: *mut batpak_finding,
    capacity: usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, findings) = unsafe {
            let output = GrowingOutput::new("report", report)?;
            (output, MutableArray::new("findings", findings, capacity)?)
        };
        handle::with::<RepairReport>(repaired, |done| {
            output.set(&batpak_verify_report::of(&done.verify));
            findings.set(done.verify.findings.iter().map(batpak_finding::of));
            Ok(())
        })
    })
}

/// Forgets what the repair did.
///
/// repaired: may be null, which does nothing.
///
/// Errors: BATPAK_BAD_HANDLE. Threads: any, also while other calls run on it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_repaired_release(
    repaired: *mut batpak_repaired,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        if repaired.is_null() {
            return Ok(());
        }
        handle::remove::<RepairReport>(repaired, |_| Ok(()))
    })
}
