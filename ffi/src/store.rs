//! The store: opening, closing, and what it says of itself.

use crate::argument::{
    self, Growing, GrowingOutput, Output, TextOutput, check_reserved, flag, in_memory, no_such,
};
use crate::guard::{guard, guard_value};
use crate::handle::{self, Handled};
use crate::id::{batpak_hash, batpak_id};
use crate::status::{batpak_error, batpak_status};
use batpak_core::{
    Durability, Error, ErrorKind, Frontier, Head, OpenMode, OpenOptions, OpenReport, Result, Stats,
    Store, StreamHead,
};
use std::ffi::c_char;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A store. Opened by batpak_store_open, closed by batpak_store_close.
pub struct batpak_store;

/// How far an append must have come before it returns.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_durability {
    /// As the store was opened with. Not allowed in batpak_options.
    BATPAK_DURABILITY_DEFAULT = -1,
    /// The operating system confirmed the sync that covers it: it survives a power cut.
    BATPAK_DURABILITY_DURABLE = 0,
    /// Its bytes are in the file: it survives a killed process, but not a power cut.
    BATPAK_DURABILITY_WRITTEN = 1,
    /// It is ordered in memory and written soon; a kill may lose it, but leaves no hole.
    BATPAK_DURABILITY_BUFFERED = 2,
}

pub(crate) fn durability(value: i32) -> Result<Option<Durability>> {
    Ok(Some(match value {
        -1 => return Ok(None),
        0 => Durability::Durable,
        1 => Durability::Written,
        2 => Durability::Buffered,
        _ => return Err(no_such("durability", value)),
    }))
}

/// What may exist before, and what may be done after, opening.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_open_mode {
    /// Open for appending; create the store, and its directory, if there is none.
    BATPAK_OPEN_CREATE = 0,
    /// Open for appending; fail if there is no store.
    BATPAK_OPEN_EXISTING = 1,
    /// Create a store for appending; fail if there is one.
    BATPAK_OPEN_CREATE_NEW = 2,
    /// Open for reading, beside a live writer or without one. Nothing is written. Stores of the
    /// batpak crate 0.x can be opened, too.
    BATPAK_OPEN_READ_ONLY = 3,
    /// Open what can still be read of a damaged store, for reading. The report names every damage.
    BATPAK_OPEN_SALVAGE = 4,
}

fn open_mode(value: i32) -> Result<OpenMode> {
    Ok(match value {
        0 => OpenMode::Create,
        1 => OpenMode::Existing,
        2 => OpenMode::CreateNew,
        3 => OpenMode::ReadOnly,
        4 => OpenMode::Salvage,
        _ => return Err(no_such("mode", value)),
    })
}

/// How to open a store. Initialise it with BATPAK_OPTIONS_INIT, which holds the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_options {
    /// sizeof(batpak_options).
    pub struct_size: u32,
    /// A batpak_open_mode.
    pub mode: i32,
    /// The durability of an append that names none: a batpak_durability.
    pub durability: i32,
    /// The largest payload that an append accepts, in bytes.
    pub max_payload_bytes: u32,
    /// A segment that has reached this size is sealed before the next append. In bytes.
    pub segment_bytes: u64,
    /// Buffered events are written when this many bytes of them have gathered.
    pub buffer_bytes: u64,
    /// Buffered events are written at the latest after this many milliseconds.
    pub buffer_ms: u32,
    /// The most files kept open; 0 takes a quarter of the process limit.
    pub max_open_files: u32,
    /// For tests and reproductions, when has_seed is 1: ids and times become functions of the
    /// seed and the sequence, so that the same appends give the same bytes.
    pub seed: u64,
    /// 1 when seed counts, otherwise 0.
    pub has_seed: i32,
    /// Zero.
    pub reserved: u32,
    /// How many bytes of segments are kept in memory for reading, at the most; 0 keeps none, and
    /// every read goes to the operating system.
    pub cache_bytes: u64,
    /// How often the store goes on by itself after a panic during an append, which a defect of
    /// this library causes: the appends of that group give BATPAK_PANIC, the end of the log is
    /// read from the files again, and the next ones go on. After more of them appends give
    /// BATPAK_POISONED until the store is reopened; reading goes on. 0 never goes on.
    pub restarts: u32,
    /// The panics of how many milliseconds count; 0 counts all since opening.
    pub restart_window_ms: u32,
}

// SAFETY: `batpak_options` is `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_options {
    fn initial() -> Self {
        let defaults = OpenOptions::default();
        Self {
            struct_size: size_of::<Self>() as u32,
            mode: defaults.mode as i32,
            durability: defaults.durability as i32,
            max_payload_bytes: defaults.max_payload_bytes,
            segment_bytes: defaults.segment_bytes,
            buffer_bytes: defaults.buffer_bytes as u64,
            buffer_ms: defaults.buffer_ms,
            max_open_files: defaults.max_open_files,
            seed: 0,
            has_seed: 0,
            reserved: 0,
            cache_bytes: defaults.cache_bytes as u64,
            restarts: defaults.restarts,
            restart_window_ms: defaults.restart_window_ms,
        }
    }
}

impl batpak_options {
    /// The defaults, as BATPAK_OPTIONS_INIT has them.
    pub fn defaults() -> Self {
        Self::initial()
    }

    fn get(&self) -> Result<OpenOptions> {
        check_reserved("reserved", self.reserved)?;
        let durability = durability(self.durability)?;
        Ok(OpenOptions {
            mode: open_mode(self.mode)?,
            segment_bytes: self.segment_bytes,
            max_payload_bytes: self.max_payload_bytes,
            durability: durability.ok_or_else(|| no_such("durability", self.durability))?,
            buffer_bytes: in_memory("buffer_bytes", self.buffer_bytes)?,
            buffer_ms: self.buffer_ms,
            max_open_files: self.max_open_files,
            cache_bytes: in_memory("cache_bytes", self.cache_bytes)?,
            restarts: self.restarts,
            restart_window_ms: self.restart_window_ms,
            seed: flag("has_seed", self.has_seed)?.then_some(self.seed),
        })
    }
}

/// What opening found and did, or what an inspection found. Initialise it with
/// BATPAK_OPEN_REPORT_INIT. The texts that belong to it come from batpak_store_report_text, or from
/// batpak_inspection_report_text.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_open_report {
    /// sizeof(batpak_open_report), set by the caller.
    pub struct_size: u32,
    /// 1 when the store was created.
    pub created: i32,
    /// 1 when the store had been closed cleanly.
    pub clean: i32,
    /// 1 when bytes were cut, so that cut_segment and cut_offset count.
    pub was_cut: i32,
    /// Events found.
    pub events: u64,
    /// Segments found.
    pub segments: u64,
    /// Bytes cut from the unsynced end of the newest segment; for a reader, bytes passed over.
    pub cut_bytes: u64,
    /// The segment where they were cut.
    pub cut_segment: u64,
    /// The byte offset where they were cut.
    pub cut_offset: u64,
    /// How many leftovers of an interrupted operation were removed.
    pub removed_count: u64,
    /// How many files do not belong to the store and were left alone.
    pub ignored_count: u64,
    /// How much was passed over, by the count of its sentences: in a salvage, everything damaged;
    /// in a 0.x store, also what its crashes left behind.
    pub damage_count: u64,
    /// The format: 2, or 1 for a store of the batpak crate 0.x.
    pub format: u32,
    /// Zero.
    pub reserved: u32,
    /// Events of cancelled fences of a 0.x store, which are not shown.
    pub hidden: u64,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_open_report {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            created: 0,
            clean: 0,
            was_cut: 0,
            events: 0,
            segments: 0,
            cut_bytes: 0,
            cut_segment: 0,
            cut_offset: 0,
            removed_count: 0,
            ignored_count: 0,
            damage_count: 0,
            format: 0,
            reserved: 0,
            hidden: 0,
        }
    }
}

impl batpak_open_report {
    pub(crate) fn of(report: &OpenReport) -> Self {
        let (cut_segment, cut_offset) = report.cut_at.unwrap_or_default();
        Self {
            created: report.created.into(),
            clean: report.clean.into(),
            was_cut: report.cut_at.is_some().into(),
            events: report.events,
            segments: report.segments,
            cut_bytes: report.cut_bytes,
            cut_segment,
            cut_offset,
            removed_count: report.removed.len() as u64,
            ignored_count: report.ignored.len() as u64,
            damage_count: report.damage.len() as u64,
            format: report.format,
            hidden: report.hidden,
            ..Self::initial()
        }
    }
}

/// The lists of texts in an open report.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_report_list {
    /// One text: why bytes were cut; empty when none were.
    BATPAK_REPORT_CUT_REASON = 0,
    /// The names of the leftovers that were removed.
    BATPAK_REPORT_REMOVED = 1,
    /// The names of the files that were left alone.
    BATPAK_REPORT_IGNORED = 2,
    /// What a salvage found damaged, and what crashes left behind in a 0.x store, a sentence each.
    BATPAK_REPORT_DAMAGE = 3,
}

/// One text of a report.
pub(crate) fn report_text(report: &OpenReport, list: i32, index: usize) -> Result<&str> {
    let texts = match list {
        0 => std::slice::from_ref(&report.cut_reason),
        1 => &report.removed,
        2 => &report.ignored,
        3 => &report.damage,
        _ => return Err(no_such("list", list)),
    };
    text_at(texts, index)
}

/// One text of a list.
pub(crate) fn text_at(texts: &[String], index: usize) -> Result<&str> {
    texts.get(index).map(String::as_str).ok_or_else(|| {
        let count = texts.len();
        Error::new(ErrorKind::NotFound, format!("index is {index}; the list has {count}"))
    })
}

/// The end of a log.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_head {
    /// The number of visible events, which is the sequence of the next one. Where sequences are
    /// missing, as in a 0.x store with cancelled fences, the sequence of the next one.
    pub events: u64,
    /// The hash of the last visible event; zeros when there is none.
    pub last_hash: batpak_hash,
    /// The root of the Merkle tree (SHA-256, RFC 6962) over all visible event hashes.
    pub root: batpak_hash,
}

/// The end of a stream.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_stream_head {
    /// The sequence of its last event.
    pub sequence: u64,
    /// The clock of its last event.
    pub clock: u32,
    /// Zero.
    pub reserved: u32,
    /// The hash of its last event.
    pub hash: batpak_hash,
}

impl batpak_head {
    fn of(head: Head) -> Self {
        Self {
            events: head.events,
            last_hash: batpak_hash::of(head.last_hash),
            root: batpak_hash::of(head.root),
        }
    }
}

impl batpak_stream_head {
    fn of(head: StreamHead) -> Self {
        Self {
            sequence: head.sequence,
            clock: head.clock,
            reserved: 0,
            hash: batpak_hash::of(head.hash),
        }
    }
}

/// How far events have come, each as a number of events from the start of the log. Initialise it
/// with BATPAK_FRONTIER_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_frontier {
    /// sizeof(batpak_frontier), set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Ordered, in memory.
    pub accepted: u64,
    /// Bytes in the file.
    pub written: u64,
    /// Confirmed by a sync.
    pub durable: u64,
    /// Shown to readers of this handle.
    pub visible: u64,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_frontier {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            reserved: 0,
            accepted: 0,
            written: 0,
            durable: 0,
            visible: 0,
        }
    }
}

impl batpak_frontier {
    fn of(frontier: &Frontier) -> Self {
        Self {
            accepted: frontier.accepted,
            written: frontier.written,
            durable: frontier.durable,
            visible: frontier.visible,
            ..Self::initial()
        }
    }
}

/// Sizes and identity of a store. Initialise it with BATPAK_STATS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_stats {
    /// sizeof(batpak_stats), set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Visible events; without those that a retention has dropped.
    pub events: u64,
    /// Segments, the one being written included.
    pub segments: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Entities.
    pub entities: u64,
    /// Streams: pairs of entity and lane.
    pub streams: u64,
    /// This directory's id.
    pub store_id: batpak_id,
    /// The id under every event hash; forks share it.
    pub lineage_id: batpak_id,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_stats {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            reserved: 0,
            events: 0,
            segments: 0,
            bytes: 0,
            entities: 0,
            streams: 0,
            store_id: batpak_id::NONE,
            lineage_id: batpak_id::NONE,
        }
    }
}

impl batpak_stats {
    fn of(stats: &Stats) -> Self {
        Self {
            events: stats.events,
            segments: stats.segments,
            bytes: stats.bytes,
            entities: stats.entities,
            streams: stats.streams,
            store_id: batpak_id::of(stats.store_id),
            lineage_id: batpak_id::of(stats.lineage_id),
            ..Self::initial()
        }
    }
}

/// What a store handle stands for. What belongs to the store, such as a fence, has a clone.
#[derive(Clone)]
pub(crate) struct OpenStore {
    store: Store,
    /// Set when a call on this store ended in a panic: what it was about to write is unknown.
    defect: Arc<AtomicBool>,
}

impl Handled for OpenStore {
    type Pointee = batpak_store;
}

/// Stops writes on its store unless the call that it stands for comes to an end.
struct StopWrites<'a>(Option<&'a OpenStore>);

impl Drop for StopWrites<'_> {
    fn drop(&mut self) {
        if let Some(store) = self.0 {
            store.defect.store(true, Ordering::Release);
        }
    }
}

impl OpenStore {
    /// Runs a call that reads or waits.
    pub(crate) fn run(&self, body: impl FnOnce(&Store) -> Result<()>) -> Result<()> {
        let mut stop = StopWrites(Some(self));
        let result = body(&self.store);
        stop.0 = None;
        result
    }

    /// Runs a call that appends, writes or syncs.
    pub(crate) fn run_append(&self, body: impl FnOnce(&Store) -> Result<()>) -> Result<()> {
        match self.defect.load(Ordering::Acquire) {
            true => Err(Error::new(
                ErrorKind::Poisoned,
                "an earlier call on this store ended in a defect of the library; reopen the store",
            )),
            false => self.run(body),
        }
    }
}

/// Runs a call that reads or waits.
pub(crate) fn on_store(
    store: *const batpak_store,
    body: impl FnOnce(&Store) -> Result<()>,
) -> Result<()> {
    handle::with::<OpenStore>(store, |open| open.run(body))
}

/// Runs a call that appends, writes or syncs.
pub(crate) fn append_to_store(
    store: *const batpak_store,
    body: impl FnOnce(&Store) -> Result<()>,
) -> Result<()> {
    handle::with::<OpenStore>(store, |open| open.run_append(body))
}

/// Opens the store in a directory. One of the batpak crate 0.x can be opened for reading.
///
/// path: the directory. options: may be null for the defaults. store: gets the handle, which the
/// caller closes with batpak_store_close.
///
/// Errors: BATPAK_NOT_FOUND, BATPAK_LOCKED, BATPAK_CORRUPT, BATPAK_UNSUPPORTED, also for a 0.x
/// store that is to be written, BATPAK_IO, BATPAK_DISK_FULL, BATPAK_INVALID_ARGUMENT,
/// BATPAK_TOO_LARGE when there are too many handles.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_open(
    path: *const c_char,
    path_length: usize,
    options: *const batpak_options,
    store: *mut *mut batpak_store,
    error: *mut batpak_error,
) -> batpak_status {
    // SAFETY: the pointers are as the rules at the top of the header say.
    guard(error, || unsafe {
        let output = Output::new("store", store)?;
        let path = argument::text("path", path, path_length)?;
        let options = match options.is_null() {
            true => OpenOptions::default(),
            false => argument::growing("options", options)?.get()?,
        };
        let reservation = handle::reserve()?;
        let store = Store::open(path, &options)?;
        output.set(reservation.fill(OpenStore { store, defect: Arc::default() }));
        Ok(())
    })
}

/// Writes and syncs what is buffered, and closes. Whatever is returned, the handle is gone
/// afterwards, and buffered events that could not be written with it: where that matters, call
/// batpak_store_sync first, which can be tried again. Calls that run on other threads end with
/// their result or with BATPAK_CLOSED, and so do appends that were started; views and tickets stay
/// valid; scans, follows and fences of the store answer BATPAK_CLOSED and still have to be closed.
///
/// store: may be null, which does nothing.
///
/// Errors: BATPAK_BAD_HANDLE, and those of the last write and sync: BATPAK_IO, BATPAK_DISK_FULL,
/// BATPAK_INDETERMINATE. In a forked child it gives up the handle and touches no file.
/// Threads: any, also while other calls run on the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_close(
    store: *mut batpak_store,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        if store.is_null() {
            return Ok(());
        }
        handle::remove::<OpenStore>(store, |open| open.store.close())
    })
}

/// The directory of a store.
///
/// buffer: gets the text, cut to capacity - 1 bytes, and a NUL; may be null when capacity is 0.
/// length: gets the length of the whole text, without the NUL.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_path(
    store: *const batpak_store,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { TextOutput::new(buffer, capacity, length) }?;
        on_store(store, |store| {
            output.set(&store.path().to_string_lossy());
            Ok(())
        })
    })
}

/// What opening found and did.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_report(
    store: *const batpak_store,
    report: *mut batpak_open_report,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { GrowingOutput::new("report", report) }?;
        on_store(store, |store| {
            output.set(&batpak_open_report::of(store.open_report()));
            Ok(())
        })
    })
}

/// One text of the open report.
///
/// list: a batpak_report_list. index: from 0 to the list's count in batpak_open_report.
/// buffer: gets the text, cut to capacity - 1 bytes, and a NUL; may be null when capacity is 0.
/// length: gets the length of the whole text, without the NUL.
///
/// Errors: BATPAK_NOT_FOUND when the list has no such index, BATPAK_BAD_HANDLE,
/// BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_report_text(
    store: *const batpak_store,
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
        on_store(store, |store| {
            output.set(report_text(store.open_report(), list, index)?);
            Ok(())
        })
    })
}

/// Writes what is buffered.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_READ_ONLY, BATPAK_IO, BATPAK_DISK_FULL,
/// BATPAK_POISONED, BATPAK_INDETERMINATE, BATPAK_FORKED. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_flush(
    store: *const batpak_store,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || append_to_store(store, Store::flush))
}

/// Writes what is buffered and syncs: when it returns, every event accepted before is durable.
///
/// Errors: as for batpak_store_flush. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_sync(
    store: *const batpak_store,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || append_to_store(store, Store::sync))
}

/// In a store opened for reading, looks for what its writer has made visible meanwhile.
///
/// visible: gets the number of visible events.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_refresh(
    store: *const batpak_store,
    visible: *mut u64,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { Output::new("visible", visible) }?;
        on_store(store, |store| {
            output.set(store.refresh()?);
            Ok(())
        })
    })
}

/// Waits until at least so many events are visible, the time is up, or the store is closed.
///
/// events: how many. timeout_ms: the longest wait, in milliseconds. visible: gets the number of
/// visible events, which is smaller than events when the time was up.
///
/// Errors: as for batpak_store_refresh. Threads: any, also at once; a close on another thread
/// ends the wait with BATPAK_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_wait(
    store: *const batpak_store,
    events: u64,
    timeout_ms: u64,
    visible: *mut u64,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { Output::new("visible", visible) }?;
        on_store(store, |store| {
            output.set(store.wait(events, Duration::from_millis(timeout_ms))?);
            Ok(())
        })
    })
}

/// The end of the log: how many events, the last one's hash, the root of the tree over all.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_head(
    store: *const batpak_store,
    head: *mut batpak_head,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { Output::new("head", head) }?;
        on_store(store, |store| {
            output.set(batpak_head::of(store.head()?));
            Ok(())
        })
    })
}

/// The end of the log as it was when it had so many events: to be compared with a head that was
/// noted down then.
///
/// events: how many; more than there are is BATPAK_INVALID_ARGUMENT.
///
/// Errors: as for batpak_store_head. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_head_at(
    store: *const batpak_store,
    events: u64,
    head: *mut batpak_head,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { Output::new("head", head) }?;
        on_store(store, |store| {
            output.set(batpak_head::of(store.head_at(events)?));
            Ok(())
        })
    })
}

/// The end of a stream: one lane of an entity.
///
/// entity: whose. lane: which; 0 is the trunk. head: gets the end of the stream, and is left alone
/// when there is none. count: gets 1, or 0 when the stream has no event.
///
/// Errors: as for batpak_store_head. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_stream_head(
    store: *const batpak_store,
    entity: *const c_char,
    entity_length: usize,
    lane: u32,
    head: *mut batpak_stream_head,
    count: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (output, count, entity) = unsafe {
            let entity = argument::text("entity", entity, entity_length)?;
            (Output::new("head", head)?, Output::new("count", count)?, entity)
        };
        on_store(store, |store| {
            let found = store.stream_head(entity, lane)?;
            count.set(found.is_some().into());
            if let Some(head) = found {
                output.set(batpak_stream_head::of(head));
            }
            Ok(())
        })
    })
}

/// How far events have come.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_FORKED. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_frontier(
    store: *const batpak_store,
    frontier: *mut batpak_frontier,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { GrowingOutput::new("frontier", frontier) }?;
        on_store(store, |store| {
            output.set(&batpak_frontier::of(&store.frontier()?));
            Ok(())
        })
    })
}

/// Sizes and identity of a store.
///
/// Errors: as for batpak_store_head. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_stats(
    store: *const batpak_store,
    stats: *mut batpak_stats,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { GrowingOutput::new("stats", stats) }?;
        on_store(store, |store| {
            output.set(&batpak_stats::of(&store.stats()?));
            Ok(())
        })
    })
}

/// How many handles of this process are open: stores, tickets, fences, scans, follows, views and
/// inspections. For tests that look for leaks.
///
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub extern "C" fn batpak_debug_live_handles() -> u64 {
    guard_value(0, handle::live)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::{null, null_mut};

    #[test]
    fn a_defect_during_a_call_stops_appends_until_the_store_is_reopened() {
        let directory = std::env::temp_dir().join(format!("batpak-defect-{}", std::process::id()));
        let path = directory.to_str().unwrap();
        let open = || {
            let (mut store, mut error) = (null_mut(), batpak_error::initial());
            // SAFETY: every pointer is to a value of this function, or null where allowed.
            let status = unsafe {
                batpak_store_open(path.as_ptr().cast(), path.len(), null(), &mut store, &mut error)
            };
            assert_eq!((status, error.kind), (0, 0));
            store
        };
        let store = open();
        let append = |store| guard(null_mut(), || append_to_store(store, |_| Ok(())));
        assert_eq!(append(store), 0);
        let panicking = guard(null_mut(), || on_store(store, |_| panic!("a defect")));
        assert_eq!(panicking, ErrorKind::Panic.code());
        assert_eq!(append(store), ErrorKind::Poisoned.code());
        assert_eq!(guard(null_mut(), || on_store(store, |_| Ok(()))), 0);
        // SAFETY: handles and null are always allowed.
        assert_eq!(unsafe { batpak_store_close(store, null_mut()) }, 0);
        let store = open();
        assert_eq!(append(store), 0);
        // SAFETY: as above.
        assert_eq!(unsafe { batpak_store_close(store, null_mut()) }, 0);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
