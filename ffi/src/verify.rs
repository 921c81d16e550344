//! Verification: every byte, hash and link, and what is wrong with them.

use crate::argument::{Growing, GrowingOutput, MutableArray};
use crate::guard::{guard, guard_value};
use crate::id::batpak_hash;
use crate::status::{batpak_error, batpak_status, inline_text, terminated};
use crate::store::{batpak_store, on_store};
use batpak_core::{Finding, FindingKind, VerifyReport};
use std::ffi::c_char;

/// What kind of damage a finding is.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_finding_kind {
    /// A segment is missing, foreign, renamed, or has a bad header.
    BATPAK_FINDING_SEGMENT = 1,
    /// A frame cannot be read.
    BATPAK_FINDING_FRAME = 2,
    /// An event's hash is not the hash of its fields.
    BATPAK_FINDING_HASH = 3,
    /// An event does not follow the one before it in its stream.
    BATPAK_FINDING_LINK = 4,
    /// An event is not at its place in the whole log.
    BATPAK_FINDING_SEQUENCE = 5,
    /// A footer does not say what its frames say.
    BATPAK_FINDING_FOOTER = 6,
    /// The tree over the events does not have the recorded root.
    BATPAK_FINDING_ROOT = 7,
}

const FINDINGS: [FindingKind; 7] = [
    FindingKind::Segment,
    FindingKind::Frame,
    FindingKind::Hash,
    FindingKind::Link,
    FindingKind::Sequence,
    FindingKind::Footer,
    FindingKind::Root,
];

static FINDING_NAMES: [[u8; 32]; FINDINGS.len()] = {
    let mut names = [[0; 32]; FINDINGS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = terminated(FINDINGS[at].name());
        at += 1;
    }
    names
};

/// The size of the message in a batpak_finding, its NUL included.
pub const BATPAK_FINDING_MESSAGE_BYTES: usize = 232;

/// One damage.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_finding {
    /// A batpak_finding_kind.
    pub kind: i32,
    /// Zero.
    pub reserved: u32,
    /// In which segment.
    pub segment: u64,
    /// At which byte offset.
    pub offset: u64,
    /// What was expected and what was found: UTF-8 that ends with a NUL, cut short when it does
    /// not fit.
    pub message: [c_char; BATPAK_FINDING_MESSAGE_BYTES],
}

impl batpak_finding {
    pub(crate) fn of(finding: &Finding) -> Self {
        Self {
            kind: finding.kind as i32,
            reserved: 0,
            segment: finding.segment,
            offset: finding.offset,
            message: inline_text(&finding.message),
        }
    }
}

/// What a verification found. Initialise it with BATPAK_VERIFY_REPORT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_verify_report {
    /// sizeof(batpak_verify_report), set by the caller.
    pub struct_size: u32,
    /// 1 when nothing is damaged.
    pub intact: i32,
    /// Events that were checked.
    pub events: u64,
    /// Segments that were checked.
    pub segments: u64,
    /// How many damages there are, which may be more than fit the caller's array.
    pub finding_count: u64,
    /// The hash of the last event, recomputed.
    pub last_hash: batpak_hash,
    /// The root of the tree, recomputed.
    pub root: batpak_hash,
    /// Of the events, those that a retention has dropped: what is left of them is their hash, so
    /// that they are told from events that never were.
    pub dropped: u64,
    /// Events that a compaction has made tombstones.
    pub tombstones: u64,
    /// Tombstones whose payload was erased.
    pub erased: u64,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_verify_report {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            intact: 0,
            events: 0,
            segments: 0,
            finding_count: 0,
            last_hash: batpak_hash::ZERO,
            root: batpak_hash::ZERO,
            dropped: 0,
            tombstones: 0,
            erased: 0,
        }
    }
}

impl batpak_verify_report {
    pub(crate) fn of(report: &VerifyReport) -> Self {
        Self {
            intact: report.is_intact().into(),
            events: report.events,
            segments: report.segments,
            finding_count: report.findings.len() as u64,
            last_hash: batpak_hash::of(report.last_hash),
            root: batpak_hash::of(report.root),
            dropped: report.dropped,
            tombstones: report.tombstones,
            erased: report.erased,
            ..Self::initial()
        }
    }
}

/// Checks every byte, hash and link of a store. Damage is not an error of this call: it is in the
/// report.
///
/// report: gets the result. findings: gets the first capacity damages, in log order; may be null
/// when capacity is 0.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_IO, BATPAK_FORKED, BATPAK_INVALID_ARGUMENT.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_verify(
    store: *const batpak_store,
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
        on_store(store, |store| {
            let report = store.verify()?;
            output.set(&batpak_verify_report::of(&report));
            findings.set(report.findings.iter().map(batpak_finding::of));
            Ok(())
        })
    })
}

/// The stable name of a batpak_finding_kind, such as "HASH"; "UNKNOWN" for any other number. It
/// ends with a NUL and lives as long as the library.
///
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub extern "C" fn batpak_finding_name(kind: i32) -> *const c_char {
    guard_value(c"UNKNOWN".as_ptr(), || {
        let place = FINDINGS.iter().position(|known| *known as i32 == kind);
        place.map_or(c"UNKNOWN".as_ptr(), |at| FINDING_NAMES[at].as_ptr().cast())
    })
}
