//! Import and export: the events of other stores, and stores of the batpak crate 0.x.

use crate::argument::{self, Growing, GrowingOutput, MutableArray, Output, flag, growing};
use crate::guard::guard;
use crate::id::batpak_id;
use crate::read::batpak_query;
use crate::status::{batpak_error, batpak_status, inline_text};
use crate::store::{append_to_store, batpak_store, on_store};
use batpak_core::{Dropped, ExportOptions, ExportReport, ImportOptions, ImportReport, Result};
use std::ffi::c_char;

/// The most drops that an import or an export tells of.
pub const BATPAK_MOST_DROPS: usize = 1000;
const _: () = assert!(BATPAK_MOST_DROPS == batpak_core::MOST_DROPS);

/// The size of the reason in a batpak_dropped, its NUL included.
pub const BATPAK_DROP_REASON_BYTES: usize = 224;

/// An event that was left out, or bytes that may have been events.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_dropped {
    /// In which segment of the store that was read; 0 when it is none in particular.
    pub segment: u64,
    /// At which byte offset.
    pub offset: u64,
    /// The event's sequence in that store, when has_sequence is 1.
    pub sequence: u64,
    /// 1 when sequence counts.
    pub has_sequence: i32,
    /// 1 when it is an event, 0 when it is bytes that may have been events.
    pub is_event: i32,
    /// Why: UTF-8 that ends with a NUL, cut short when it does not fit.
    pub reason: [c_char; BATPAK_DROP_REASON_BYTES],
}

impl batpak_dropped {
    fn of(dropped: &Dropped) -> Self {
        Self {
            segment: dropped.segment,
            offset: dropped.offset,
            sequence: dropped.sequence.unwrap_or(0),
            has_sequence: dropped.sequence.is_some().into(),
            is_event: dropped.is_event.into(),
            reason: inline_text(&dropped.reason),
        }
    }
}

/// How to import. Initialise it with BATPAK_IMPORT_OPTIONS_INIT, which holds the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_import_options {
    /// sizeof(batpak_import_options).
    pub struct_size: u32,
    /// 1 to go past damage in the source and import what can still be read; with 0, a damaged
    /// source gives BATPAK_CORRUPT.
    pub salvage: i32,
    /// 1 to import also the events of a 0.x store that nothing vouches for, since their payload is
    /// not what their hash says, their predecessor is another than their link says, or their key
    /// does not open them. They are marked. With 0 they are dropped.
    pub unvouched: i32,
    /// 1 to import the plaintext of encrypted payloads of a 0.x store whose key is there; with 0,
    /// the ciphertext is imported, with what is needed to decrypt it.
    pub decrypt: i32,
}

// SAFETY: `repr(C)`, begins with its size, has 16 bytes, and every bit pattern is a value.
unsafe impl Growing for batpak_import_options {
    fn initial() -> Self {
        let defaults = ImportOptions::default();
        Self {
            struct_size: size_of::<Self>() as u32,
            salvage: defaults.salvage.into(),
            unvouched: defaults.unvouched.into(),
            decrypt: defaults.decrypt.into(),
        }
    }
}

impl batpak_import_options {
    fn get(&self) -> Result<ImportOptions> {
        Ok(ImportOptions {
            salvage: flag("salvage", self.salvage)?,
            unvouched: flag("unvouched", self.unvouched)?,
            decrypt: flag("decrypt", self.decrypt)?,
        })
    }
}

/// What an import did. The counts from imported to dropped add up to the events of the source.
/// Initialise it with BATPAK_IMPORT_REPORT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_import_report {
    /// sizeof(batpak_import_report), set by the caller.
    pub struct_size: u32,
    /// The format of the source: 2, or 1 for a store of the batpak crate 0.x.
    pub format: u32,
    /// The source's id: its store id, or for a 0.x store one derived from its first event.
    pub source: batpak_id,
    /// Events that were appended.
    pub imported: u64,
    /// Events that were there already, from an earlier import.
    pub already_there: u64,
    /// Events of cancelled fences of a 0.x store, which nobody may see. Where sequences are kept,
    /// an empty event of the kind 0x0FFE holds the place of each.
    pub hidden: u64,
    /// Events that the query does not ask for.
    pub outside: u64,
    /// Events that were left out for a reason.
    pub dropped: u64,
    /// Idempotency keys of a 0.x store whose events a compaction has removed: they cannot be kept.
    pub keys_without_events: u64,
    /// How many drops there are to tell of, which may be more than fit the caller's array; at most
    /// BATPAK_MOST_DROPS.
    pub drop_count: u64,
    /// 1 when every event of the source that is in this store has the sequence that it has there.
    pub sequences_kept: i32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_import_report {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            format: 0,
            source: batpak_id::NONE,
            imported: 0,
            already_there: 0,
            hidden: 0,
            outside: 0,
            dropped: 0,
            keys_without_events: 0,
            drop_count: 0,
            sequences_kept: 0,
            reserved: 0,
        }
    }
}

impl batpak_import_report {
    fn of(report: &ImportReport) -> Self {
        Self {
            format: report.format,
            source: batpak_id::of(report.source),
            imported: report.imported,
            already_there: report.already_there,
            hidden: report.hidden,
            outside: report.outside,
            dropped: report.dropped,
            keys_without_events: report.keys_without_events,
            drop_count: report.drops.len() as u64,
            sequences_kept: report.sequences_kept.into(),
            ..Self::initial()
        }
    }
}

/// How to export. Initialise it with BATPAK_EXPORT_OPTIONS_INIT, which holds the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_export_options {
    /// sizeof(batpak_export_options).
    pub struct_size: u32,
    /// 1 to write what the batpak crate 0.1 reads, too: without extensions and payload versions,
    /// and nearly twice as large. With 0, what 0.7 to 0.10 read.
    pub plain: i32,
    /// A segment that has reached this size is ended before the next event. In bytes.
    pub segment_bytes: u64,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_export_options {
    fn initial() -> Self {
        let defaults = ExportOptions::default();
        Self {
            struct_size: size_of::<Self>() as u32,
            plain: defaults.plain.into(),
            segment_bytes: defaults.segment_bytes,
        }
    }
}

impl batpak_export_options {
    /// The defaults, as BATPAK_EXPORT_OPTIONS_INIT has them.
    pub fn defaults() -> Self {
        Self::initial()
    }

    fn get(&self) -> Result<ExportOptions> {
        Ok(ExportOptions { plain: flag("plain", self.plain)?, segment_bytes: self.segment_bytes })
    }
}

/// What an export did. Initialise it with BATPAK_EXPORT_REPORT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_export_report {
    /// sizeof(batpak_export_report), set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Events that were written.
    pub exported: u64,
    /// Places of hidden events that were written, so that sequences stay the same; they are hidden
    /// there, too.
    pub hidden: u64,
    /// Events that were left out for a reason.
    pub dropped: u64,
    /// Segments that were written.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many drops there are to tell of, which may be more than fit the caller's array; at most
    /// BATPAK_MOST_DROPS.
    pub drop_count: u64,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_export_report {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            reserved: 0,
            exported: 0,
            hidden: 0,
            dropped: 0,
            segments: 0,
            bytes: 0,
            drop_count: 0,
        }
    }
}

impl batpak_export_report {
    fn of(report: &ExportReport) -> Self {
        Self {
            exported: report.exported,
            hidden: report.hidden,
            dropped: report.dropped,
            segments: report.segments,
            bytes: report.bytes,
            drop_count: report.drops.len() as u64,
            ..Self::initial()
        }
    }
}

/// Imports the events of another store: of this format, or of the batpak crate 0.1 to 0.10. The
/// source is opened for reading and not changed. All that was imported is durable on return.
///
/// Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
/// versions, payloads and batches; and sequences, when everything is imported into an empty store
/// and nobody appends meanwhile. Clocks and hashes are those of this store. Where an event comes
/// from is in its extension "batpak.import".
///
/// An event whose id is here already with the same content is counted and left alone: an import
/// that ended with an error, or was interrupted, goes on when it is called again.
///
/// source: the directory of the other store. query: which of its events; may be null for all of
/// them; it has no direction, from and limit. options: may be null for the defaults. report: gets
/// the result. drops: gets the first capacity drops; may be null when capacity is 0.
///
/// Errors: BATPAK_NOT_FOUND, BATPAK_CORRUPT, BATPAK_UNSUPPORTED and BATPAK_LOCKED for the source;
/// BATPAK_INVALID_ARGUMENT, also when the source is this store; BATPAK_INVALID_COORDINATE,
/// BATPAK_INVALID_KIND; those of batpak_store_append.
/// Threads: any, also at once, and imports of the same share the work; a close on another thread
/// ends the import.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_import(
    store: *const batpak_store,
    source: *const c_char,
    source_length: usize,
    query: *const batpak_query,
    options: *const batpak_import_options,
    report: *mut batpak_import_report,
    drops: *mut batpak_dropped,
    capacity: usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, drops, source, region) = unsafe {
            let output = GrowingOutput::new("report", report)?;
            let drops = MutableArray::new("drops", drops, capacity)?;
            let source = argument::text("source", source, source_length)?;
            (output, drops, source, batpak_query::region_of(query)?)
        };
        let options = match options.is_null() {
            true => ImportOptions::default(),
            // SAFETY: as above.
            false => unsafe { growing("options", options) }?.get()?,
        };
        append_to_store(store, |store| {
            let report = store.import_from(source, &region, &options)?;
            output.set(&batpak_import_report::of(&report));
            drops.set(report.drops.iter().map(batpak_dropped::of));
            Ok(())
        })
    })
}

/// Writes events to a new directory, as a store of the batpak crate 0.x. Nothing of an export that
/// fails is left under the directory's name.
///
/// Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
/// versions and payloads; an imported event gets its old clock, and its ciphertext if it was
/// encrypted; the key file is not part of the copy. Links and hashes are made as the crate makes
/// them. Sequences there are the places of the events in the export.
///
/// destination: the directory, which must not exist or be empty; directories above it are made, and
/// meanwhile there is one beside it whose name ends with `.unfinished`. query: which events; may be
/// null for all of them; it has no direction, from and limit. options: may be null for the
/// defaults. report: gets the result. drops: gets the first capacity drops; may be null when
/// capacity is 0.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_INVALID_ARGUMENT, also when the directory holds
/// something; BATPAK_INVALID_COORDINATE, BATPAK_INVALID_KIND, BATPAK_CORRUPT, BATPAK_IO,
/// BATPAK_DISK_FULL, BATPAK_FORKED, BATPAK_LOCKED while another export to the directory is under
/// way.
/// Threads: any, also at once; a close on another thread ends the export.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_export(
    store: *const batpak_store,
    destination: *const c_char,
    destination_length: usize,
    query: *const batpak_query,
    options: *const batpak_export_options,
    report: *mut batpak_export_report,
    drops: *mut batpak_dropped,
    capacity: usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, drops, destination, region) = unsafe {
            let output = GrowingOutput::new("report", report)?;
            let drops = MutableArray::new("drops", drops, capacity)?;
            let destination = argument::text("destination", destination, destination_length)?;
            (output, drops, destination, batpak_query::region_of(query)?)
        };
        let options = match options.is_null() {
            true => ExportOptions::default(),
            // SAFETY: as above.
            false => unsafe { growing("options", options) }?.get()?,
        };
        on_store(store, |store| {
            let report = store.export_to(destination, &region, &options)?;
            output.set(&batpak_export_report::of(&report));
            drops.set(report.drops.iter().map(batpak_dropped::of));
            Ok(())
        })
    })
}

/// The bytes that a receipt of the batpak crate 0.7 to 0.10 vouches for, for an event of a 0.x
/// store that is open for reading: the receipt's signature is Ed25519 over the BLAKE3 of these
/// bytes.
///
/// sequence: the event's. buffer: gets as many of the bytes as it has room for; may be null when
/// capacity is 0. length: gets how many there are.
///
/// Errors: BATPAK_NOT_FOUND when there is no such event, BATPAK_UNSUPPORTED for a store of another
/// format, BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED,
/// BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_receipt_cover_0x(
    store: *const batpak_store,
    sequence: u64,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, length) = unsafe {
            let output = MutableArray::new("buffer", buffer, capacity)?;
            (output, Output::new("length", length)?)
        };
        on_store(store, |store| {
            let cover = store.receipt_cover_0x(sequence)?;
            length.set(cover.len());
            output.set(cover.into_iter());
            Ok(())
        })
    })
}
