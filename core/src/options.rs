//! How a store is opened, and how safe an append must be before it returns.

use crate::error::{Error, Result};

/// How far an append must have come before it returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Durability {
    /// The operating system confirmed the sync that covers it: it survives a power cut.
    #[default]
    Durable = 0,
    /// Its bytes are in the file: it survives a killed process, but not a power cut.
    Written = 1,
    /// It is ordered in memory and written soon; a kill may lose it, but leaves no hole.
    Buffered = 2,
}

/// What may exist before, and what may be done after, opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum OpenMode {
    /// Open for appending; create the store, and its directory, if there is none.
    #[default]
    Create = 0,
    /// Open for appending; fail if there is no store.
    Existing = 1,
    /// Create a store for appending; fail if there is one.
    CreateNew = 2,
    /// Open for reading, beside a live writer or without one. Nothing is written. No lock is taken
    /// but, for a moment, a shared one on the head, to see whether a writer lives.
    ReadOnly = 3,
    /// Open what can still be read of a damaged store, for reading. The report names every
    /// damage. It is not for a store that somebody writes to: what is being written looks like damage.
    Salvage = 4,
}

impl OpenMode {
    /// Whether the store can be appended to.
    pub const fn writable(self) -> bool {
        matches!(self, Self::Create | Self::Existing | Self::CreateNew)
    }
}

/// The smallest segment size, in bytes.
pub const MIN_SEGMENT_BYTES: u64 = 4096;
/// The largest segment size, in bytes.
pub const MAX_SEGMENT_BYTES: u64 = 4 << 30;
/// The largest payload limit that a store can be opened with, in bytes.
pub const MAX_PAYLOAD_BYTES: u32 = 64 << 20;
/// The most events in one batch.
pub const MAX_BATCH_EVENTS: usize = 65_536;
/// The most bytes of frames in one batch.
pub const MAX_BATCH_BYTES: usize = 256 << 20;
/// The most bytes of frames in one fence.
pub const MAX_FENCE_BYTES: u64 = 4 << 30;

/// How to open a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// What may exist before, and what may be done after.
    pub mode: OpenMode,
    /// A segment that has reached this size is sealed before the next append. In bytes.
    pub segment_bytes: u64,
    /// The largest payload that an append accepts, in bytes.
    pub max_payload_bytes: u32,
    /// The durability of an append that names none.
    pub durability: Durability,
    /// Buffered events are written when this many bytes of them have gathered.
    pub buffer_bytes: usize,
    /// Buffered events are written at the latest after this many milliseconds.
    pub buffer_ms: u32,
    /// The most files kept open; 0 takes a quarter of the process limit.
    pub max_open_files: u32,
    /// How many bytes of segments are kept in memory for reading, at the most; 0 keeps none, and
    /// every read goes to the operating system. Filters of ids and names take up to a quarter of
    /// this besides.
    pub cache_bytes: usize,
    /// How often the store goes on by itself after a panic during an append, which a defect of this
    /// library causes: the appends of that group fail, the end of the log is read from the files
    /// again, and the next ones go on. After more of them the store takes no further appends until
    /// it is reopened; reading goes on. 0 never goes on.
    pub restarts: u32,
    /// The panics of how many milliseconds count; 0 counts all since opening.
    pub restart_window_ms: u32,
    /// For tests and reproductions: ids and times become functions of the seed and the sequence,
    /// so that the same appends give the same bytes.
    pub seed: Option<u64>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            mode: OpenMode::Create,
            segment_bytes: 64 << 20,
            max_payload_bytes: 16 << 20,
            durability: Durability::Durable,
            buffer_bytes: 1 << 20,
            buffer_ms: 100,
            max_open_files: 0,
            cache_bytes: 64 << 20,
            restarts: 1,
            restart_window_ms: 0,
            seed: None,
        }
    }
}

impl OpenOptions {
    /// The defaults in this mode.
    pub fn mode(mode: OpenMode) -> Self {
        Self { mode, ..Self::default() }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&self.segment_bytes) {
            return Err(Error::invalid(format!(
                "segment_bytes is {}; it must be {MIN_SEGMENT_BYTES}..={MAX_SEGMENT_BYTES}",
                self.segment_bytes
            )));
        }
        if self.max_payload_bytes > MAX_PAYLOAD_BYTES {
            return Err(Error::invalid(format!(
                "max_payload_bytes is {}; it must be at most {MAX_PAYLOAD_BYTES}",
                self.max_payload_bytes
            )));
        }
        if self.buffer_bytes > MAX_BATCH_BYTES {
            return Err(Error::invalid(format!(
                "buffer_bytes is {}; it must be at most {MAX_BATCH_BYTES}",
                self.buffer_bytes
            )));
        }
        Ok(())
    }
}
