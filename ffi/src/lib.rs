//! The C interface of batpak: `extern "C"` functions over [`batpak_core`], and nothing else.
//!
//! `include/batpak.h` is generated from this crate (`tests/header.rs`); the page of rules at its
//! top is the contract, and the doc comments here are its text, so they speak to a C reader.
//!
//! - `guard` catches every panic before it reaches the caller;
//! - `handle` gives out numbers instead of addresses and checks each one that comes back;
//! - `exclusive` keeps threads apart without waiting;
//! - `argument` turns pointers into checked values, once, at the start of a call;
//! - the other modules hold one part of the interface each: its types, then its functions.

#![allow(non_camel_case_types, reason = "types and constants carry their C names")]
#![allow(clippy::missing_safety_doc, reason = "the rules at the top of batpak.h are the contract")]

#[cfg(panic = "abort")]
compile_error!("batpak-ffi catches panics, so it must be built with panic = \"unwind\"");
#[cfg(not(target_pointer_width = "64"))]
compile_error!("a handle of batpak-ffi takes 64 bits");

// The functions stand in the header in the order of these modules.

mod version;

mod status;

mod argument;

mod id;

mod store;

mod inspect;

mod append;

mod ticket;

mod gate;

mod view;

mod read;

mod follow;

mod fence;

mod verify;

mod interop;

mod copies;

mod retain;

mod compact;

mod repair;

mod guard;

mod handle;

mod exclusive;

pub use append::{
    batpak_causation, batpak_expected, batpak_extension, batpak_new_event, batpak_receipt,
    batpak_store_append, batpak_store_append_gated, batpak_store_record_denial,
};
pub use argument::{batpak_bytes, batpak_text};
pub use compact::{
    batpak_compact_options, batpak_compact_progress, batpak_compact_report,
    batpak_progress_callback, batpak_store_compact,
};
pub use copies::{
    batpak_copy_report, batpak_diff, batpak_fork_options, batpak_parent, batpak_snapshot_options,
    batpak_store_diff, batpak_store_fork, batpak_store_parent, batpak_store_snapshot,
    batpak_store_verify_snapshot,
};
pub use fence::{
    batpak_committed, batpak_fence, batpak_fence_append, batpak_fence_begin, batpak_fence_cancel,
    batpak_fence_close, batpak_fence_commit, batpak_fence_events, batpak_fence_options,
    batpak_fence_read,
};
pub use follow::{
    batpak_follow, batpak_follow_close, batpak_follow_next, batpak_follow_position,
    batpak_store_follow,
};
pub use gate::{
    BATPAK_REFUSAL_CODE_BYTES, BATPAK_REFUSAL_MESSAGE_BYTES, batpak_gate, batpak_gate_check,
    batpak_gate_mode, batpak_gate_outcome, batpak_refusal, batpak_verdict,
};
pub use id::{batpak_hash, batpak_id, batpak_id_for_operation};
pub use inspect::{
    batpak_directory_state, batpak_inspect, batpak_inspection, batpak_inspection_refusal,
    batpak_inspection_release, batpak_inspection_report, batpak_inspection_report_text,
    batpak_inspection_state, batpak_opening, batpak_opening_name,
};
pub use interop::{
    BATPAK_DROP_REASON_BYTES, BATPAK_MOST_DROPS, batpak_dropped, batpak_export_options,
    batpak_export_report, batpak_import_options, batpak_import_report, batpak_store_export,
    batpak_store_import, batpak_store_receipt_cover_0x,
};
pub use read::{
    batpak_boundary, batpak_direction, batpak_link, batpak_query, batpak_query_part, batpak_scan,
    batpak_scan_close, batpak_scan_next, batpak_scan_open, batpak_scan_read_into,
    batpak_store_ancestors, batpak_store_at, batpak_store_get,
};
pub use repair::{
    BATPAK_LEFT_OUT_REASON_BYTES, batpak_left_out, batpak_lost_events, batpak_repair,
    batpak_repair_options, batpak_repair_report, batpak_repaired, batpak_repaired_damage,
    batpak_repaired_left_out, batpak_repaired_lost, batpak_repaired_release,
    batpak_repaired_report, batpak_repaired_verification,
};
pub use retain::{
    batpak_keep, batpak_keep_callback, batpak_key_overflow, batpak_retention, batpak_unwanted,
};
pub use status::{
    BATPAK_ERROR_MESSAGE_BYTES, batpak_error, batpak_place, batpak_retry, batpak_retry_name,
    batpak_status, batpak_status_code, batpak_status_name, batpak_status_retry,
};
pub use store::{
    batpak_debug_live_handles, batpak_durability, batpak_frontier, batpak_head, batpak_open_mode,
    batpak_open_report, batpak_options, batpak_report_list, batpak_stats, batpak_store,
    batpak_store_close, batpak_store_flush, batpak_store_frontier, batpak_store_head,
    batpak_store_head_at, batpak_store_open, batpak_store_path, batpak_store_refresh,
    batpak_store_report, batpak_store_report_text, batpak_store_stats, batpak_store_stream_head,
    batpak_store_sync, batpak_store_wait, batpak_stream_head,
};
pub use ticket::{
    batpak_append_callback, batpak_destructor, batpak_store_append_then,
    batpak_store_append_ticket, batpak_ticket, batpak_ticket_close, batpak_ticket_is_done,
    batpak_ticket_wait,
};
pub use verify::{
    BATPAK_FINDING_MESSAGE_BYTES, batpak_finding, batpak_finding_kind, batpak_finding_name,
    batpak_store_verify, batpak_verify_report,
};
pub use version::{
    BATPAK_ABI_VERSION, BATPAK_VERSION_MAJOR, BATPAK_VERSION_MINOR, BATPAK_VERSION_PATCH,
    batpak_abi_check, batpak_version_number, batpak_version_text,
};
pub use view::{batpak_event, batpak_extension_next, batpak_view, batpak_view_release};
