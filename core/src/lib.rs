//! An embedded, append-only, tamper-evident event log.
//!
//! A store is one directory with one writing process and any number of reading threads and
//! processes. Events are appended, alone or in atomic batches, to streams (an entity and a lane)
//! and to the whole log at once; every event is covered by a hash chain and by a Merkle tree.
//!
//! ```
//! # let dir = std::env::temp_dir().join(format!("batpak-lib-{}", std::process::id()));
//! # let _ = std::fs::remove_dir_all(&dir);
//! use batpak_core::{EventKind, NewEvent, OpenOptions, Query, Region, Store};
//!
//! let store = Store::open(&dir, &OpenOptions::default())?;
//! let placed = EventKind::new(1, 1)?;
//! let receipt = store.append(&NewEvent::new("order:42", "shop", placed, b"2 apples"), None)?;
//! assert_eq!((receipt.sequence, receipt.clock), (0, 0));
//!
//! for event in store.read(Query::new(Region::prefix("order:42")))? {
//!     let event = event?;
//!     println!("{} {} {:?}", event.sequence(), event.entity(), event.payload());
//! }
//! assert!(store.verify()?.is_intact());
//! store.close()?;
//! # std::fs::remove_dir_all(&dir).ok();
//! # Ok::<(), batpak_core::Error>(())
//! ```
//!
//! The modules form a ladder, each importing only from those below it: `store` (one file per
//! operation), `index` (where events are), `interop` (the stores of the batpak crate 0.x),
//! `storage` (the operating system), `format` (bytes),
//! and the vocabulary at the crate's root.

#![deny(unsafe_code)]

mod coordinate;
mod error;
mod event;
mod format;
mod gate;
mod ids;
mod index;
mod interop;
mod kind;
mod options;
pub mod payload;
mod process;
mod region;
#[doc(hidden)]
pub mod storage;
mod store;

pub use coordinate::{MAX_COORDINATE_BYTES, check_coordinate};
pub use error::{Error, ErrorKind, Result, Retry};
pub use event::{
    Causation, Event, Expected, Extensions, MAX_EXTENSION_BYTES, MAX_EXTENSION_KEY_BYTES, NewEvent,
    Receipt,
};
pub use gate::{GateMode, GateOutcome, GateSet, Refusal, Verdict};
pub use ids::{Hash, Id};
pub use kind::EventKind;
pub use options::{
    Durability, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_FENCE_BYTES, MAX_PAYLOAD_BYTES,
    MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES, OpenMode, OpenOptions,
};
pub use region::{Direction, EntityFilter, KindFilter, Query, Region};
pub use store::{
    Ancestry, Boundary, Committed, CompactOptions, CompactProgress, CompactReport, CopyReport,
    Diff, Dropped, ExportOptions, ExportReport, Fence, FenceOptions, Finding, FindingKind, Follow,
    ForkOptions, Frontier, Head, ImportOptions, ImportReport, Inspection, Keep, KeyOverflow, Keys,
    LeftOut, Link, LostEvents, MOST_DROPS, OpenReport, Opening, Parent, Progress, RepairOptions,
    RepairReport, Retention, Scan, SnapshotCheck, SnapshotOptions, Stats, Store, StreamHead, Then,
    Ticket, Unwanted, VerifyReport,
};
