//! The panic firewall: every exported function runs its body inside one of these.

use crate::argument::write_error;
use crate::status::{batpak_error, batpak_status, batpak_status_code};
use batpak_core::{Error, ErrorKind, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a call. Its error, or the panic that it ended in, becomes a status and fills `error`.
pub(crate) fn guard(error: *mut batpak_error, body: impl FnOnce() -> Result<()>) -> batpak_status {
    // The body's captures are dropped by the unwinding; nothing of them is looked at afterwards.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller hands in null or a `batpak_error` of its own, as the rules say.
        unsafe { crate::argument::check_error(error) }?;
        injected_panic();
        body()
    }));
    let failure = match outcome {
        Ok(Ok(())) => return batpak_status_code::BATPAK_OK as batpak_status,
        Ok(Err(failure)) => failure,
        Err(panic) => {
            let failure = Error::new(ErrorKind::Panic, format!("a defect: {}", text_of(&*panic)));
            discard(panic);
            failure
        }
    };
    let status = failure.kind().code();
    let report = || {
        // SAFETY: as above; `write_error` checks the struct again and leaves a bad one alone.
        unsafe { write_error(error, &failure) }
    };
    catch_unwind(AssertUnwindSafe(report)).unwrap_or_else(discard);
    status
}

/// Runs a call that returns a value and cannot fail; a panic gives `instead`.
pub(crate) fn guard_value<T>(instead: T, body: impl FnOnce() -> T) -> T {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        injected_panic();
        body()
    }));
    match outcome {
        Ok(value) => value,
        Err(panic) => {
            discard(panic);
            instead
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "a panic without a message",
    }
}

/// Drops what a panic carried. Dropping can panic too; what that second panic carried is leaked,
/// since nothing is left that could be trusted to drop it.
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(second);
    }
}

#[cfg(not(test))]
fn injected_panic() {}

#[cfg(test)]
fn injected_panic() {
    if tests::ARMED.get() {
        panic!("injected");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argument::Growing;
    use std::cell::Cell;
    use std::ptr::{null, null_mut};

    thread_local! {
        /// Whether every guarded body on this thread panics.
        pub(super) static ARMED: Cell<bool> = const { Cell::new(false) };
    }

    struct PanicsWhenDropped;

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    fn message(error: &batpak_error) -> String {
        error.message.iter().take_while(|c| **c != 0).map(|c| *c as u8 as char).collect()
    }

    #[test]
    fn a_panic_becomes_a_status_with_its_text() {
        let mut error = batpak_error::initial();
        let status = guard(&mut error, || panic!("number {}", 7));
        assert_eq!((status, error.kind, error.retry), (20, 20, 0));
        assert_eq!(message(&error), "a defect: number 7");
    }

    #[test]
    fn a_panic_that_panics_when_dropped_is_contained() {
        let status = guard(null_mut(), || std::panic::panic_any(PanicsWhenDropped));
        assert_eq!(status, 20);
        assert_eq!(guard_value(5, || std::panic::panic_any(PanicsWhenDropped)), 5);
    }

    /// Calls every exported function with the panic armed. The names are compared with the
    /// sources by `tests/exports.rs`, so a function that is missing here fails there.
    #[test]
    fn every_export_contains_a_panic() {
        use crate::*;
        ARMED.set(true);
        let mut error = batpak_error::initial();
        let e = &raw mut error;
        let text = "batpak".as_ptr().cast();
        // SAFETY: the armed panic ends every call before an argument but `error` is looked at.
        let statuses = unsafe {
            [
                batpak_abi_check(0, e),
                batpak_id_for_operation(text, 6, null(), 0, null_mut(), e),
                batpak_store_open(text, 6, null(), null_mut(), e),
                batpak_store_close(null_mut(), e),
                batpak_store_path(null(), null_mut(), 0, null_mut(), e),
                batpak_store_report(null(), null_mut(), e),
                batpak_store_report_text(null(), 0, 0, null_mut(), 0, null_mut(), e),
                batpak_inspect(text, 6, null_mut(), e),
                batpak_inspection_state(null(), null_mut(), e),
                batpak_inspection_refusal(null(), null_mut(), e),
                batpak_inspection_report(null(), null_mut(), e),
                batpak_inspection_report_text(null(), 0, 0, null_mut(), 0, null_mut(), e),
                batpak_inspection_release(null_mut(), e),
                batpak_store_flush(null(), e),
                batpak_store_sync(null(), e),
                batpak_store_refresh(null(), null_mut(), e),
                batpak_store_wait(null(), 0, 0, null_mut(), e),
                batpak_store_head(null(), null_mut(), e),
                batpak_store_head_at(null(), 0, null_mut(), e),
                batpak_store_stream_head(null(), text, 6, 0, null_mut(), null_mut(), e),
                batpak_store_frontier(null(), null_mut(), e),
                batpak_store_stats(null(), null_mut(), e),
                batpak_store_verify(null(), null_mut(), null_mut(), 0, e),
                batpak_store_import(null(), text, 6, null(), null(), null_mut(), null_mut(), 0, e),
                batpak_store_export(null(), text, 6, null(), null(), null_mut(), null_mut(), 0, e),
                batpak_store_receipt_cover_0x(null(), 0, null_mut(), 0, null_mut(), e),
                batpak_store_append(null(), null(), 0, 0, null_mut(), e),
                batpak_store_append_ticket(null(), null(), 0, 0, null_mut(), e),
                batpak_store_append_then(null(), null(), 0, 0, None, null_mut(), None, e),
                batpak_ticket_wait(null(), 0, null_mut(), null_mut(), 0, null_mut(), e),
                batpak_ticket_is_done(null(), null_mut(), e),
                batpak_ticket_close(null_mut(), e),
                batpak_store_append_gated(null(), null(), 0, null(), 0, 0, 0, 0, null_mut(), e),
                batpak_store_record_denial(null(), null(), null(), 0, 0, null_mut(), e),
                batpak_store_get(null(), null(), null_mut(), null_mut(), null_mut(), e),
                batpak_store_at(null(), 0, null_mut(), null_mut(), null_mut(), e),
                batpak_store_ancestors(
                    null(),
                    null(),
                    0,
                    0,
                    null_mut(),
                    null_mut(),
                    null_mut(),
                    null_mut(),
                    e,
                ),
                batpak_scan_open(null(), null(), null_mut(), e),
                batpak_scan_next(null_mut(), 0, 0, null_mut(), null_mut(), null_mut(), e),
                batpak_scan_read_into(null_mut(), 0, null_mut(), 0, null_mut(), null_mut(), e),
                batpak_scan_close(null_mut(), e),
                batpak_store_follow(null(), null(), null_mut(), e),
                batpak_follow_next(null_mut(), 0, 0, 0, null_mut(), null_mut(), null_mut(), e),
                batpak_follow_position(null(), null_mut(), e),
                batpak_follow_close(null_mut(), e),
                batpak_fence_begin(null(), null(), null_mut(), e),
                batpak_fence_append(null(), null(), 0, null_mut(), e),
                batpak_fence_events(null(), null_mut(), e),
                batpak_fence_read(null(), 0, 0, 0, null_mut(), null_mut(), null_mut(), e),
                batpak_fence_commit(null(), 0, null_mut(), e),
                batpak_fence_cancel(null(), e),
                batpak_fence_close(null_mut(), e),
                batpak_view_release(null_mut(), e),
                batpak_extension_next(null(), 0, null_mut(), null_mut(), null_mut(), e),
                batpak_store_snapshot(null(), text, 6, null(), null_mut(), e),
                batpak_store_verify_snapshot(
                    null(),
                    text,
                    6,
                    null_mut(),
                    null_mut(),
                    0,
                    null_mut(),
                    null_mut(),
                    e,
                ),
                batpak_store_fork(null(), text, 6, null(), null_mut(), e),
                batpak_store_diff(null(), text, 6, null_mut(), e),
                batpak_store_parent(null(), null_mut(), null_mut(), e),
                batpak_store_compact(null(), null(), null_mut(), e),
                batpak_repair(text, 6, text, 6, null(), null_mut(), e),
                batpak_repaired_report(null(), null_mut(), e),
                batpak_repaired_lost(null(), null_mut(), 0, e),
                batpak_repaired_left_out(null(), null_mut(), 0, e),
                batpak_repaired_damage(null(), 0, null_mut(), 0, null_mut(), e),
                batpak_repaired_verification(null(), null_mut(), null_mut(), 0, e),
                batpak_repaired_release(null_mut(), e),
            ]
        };
        assert_eq!(statuses, [ErrorKind::Panic.code(); 67]);
        assert_eq!(message(&error), "a defect: injected");
        let number = |text: *const std::ffi::c_char| {
            // SAFETY: the functions below return texts that live as long as the library.
            unsafe { std::ffi::CStr::from_ptr(text) }.to_str().unwrap()
        };
        assert_eq!(batpak_version_number(), 0);
        assert_eq!(number(batpak_version_text()), "");
        assert_eq!(number(batpak_status_name(1)), "UNKNOWN");
        assert_eq!(batpak_status_retry(1), -1);
        assert_eq!(number(batpak_retry_name(1)), "UNKNOWN");
        assert_eq!(number(batpak_finding_name(1)), "UNKNOWN");
        assert_eq!(number(batpak_opening_name(1)), "UNKNOWN");
        assert_eq!(batpak_debug_live_handles(), 0);
        ARMED.set(false);
    }
}
