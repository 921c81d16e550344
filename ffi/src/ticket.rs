//! Appending without waiting: tickets, and functions that get the result.

use crate::append::{batpak_new_event, batpak_receipt, with_events};
use crate::argument::{MutableArray, Output, invalid};
use crate::exclusive::forked;
use crate::guard::{guard, guard_value};
use crate::handle::{self, Handled};
use crate::status::{batpak_error, batpak_status, batpak_status_code};
use crate::store::{append_to_store, batpak_store, durability};
use batpak_core::{Error, ErrorKind, Receipt, Result};
use parking_lot::{Condvar, Mutex};
use std::ffi::c_void;
use std::ptr::null;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// An append under way. Started by batpak_store_append_ticket, closed by batpak_ticket_close.
pub struct batpak_ticket;

/// What becomes of an append.
struct Answer {
    /// Set once. In a forked child it is only looked at, and the lock is not touched.
    result: OnceLock<Result<Vec<Receipt>>>,
    waiting: Mutex<()>,
    told: Condvar,
    process: u32,
}

impl Answer {
    fn tell(&self, result: Result<Vec<Receipt>>) {
        // Within the lock, so that a waiter that saw no result is already asleep.
        let _lock = self.waiting.lock();
        let _earlier_counts = self.result.set(result);
        self.told.notify_all();
    }

    /// Waits until there is a result or the time is up.
    fn wait(&self, timeout: Duration) -> Result<Option<&Result<Vec<Receipt>>>> {
        if self.result.get().is_none() {
            if std::process::id() != self.process {
                return Err(forked());
            }
            let deadline = Instant::now().checked_add(timeout);
            let mut lock = self.waiting.lock();
            let mut in_time = !timeout.is_zero();
            while in_time && self.result.get().is_none() {
                match deadline {
                    Some(at) => in_time = !self.told.wait_until(&mut lock, at).timed_out(),
                    None => self.told.wait(&mut lock),
                }
            }
        }
        Ok(self.result.get())
    }
}

/// What a ticket handle stands for.
struct OpenTicket(Arc<Answer>);

impl Handled for OpenTicket {
    type Pointee = batpak_ticket;
}

/// The append's end of an answer, which never stays silent.
struct Teller(Arc<Answer>);

impl Drop for Teller {
    fn drop(&mut self) {
        if self.0.result.get().is_none() {
            self.0.tell(Err(Error::new(ErrorKind::Panic, "the append gave no answer")));
        }
    }
}

/// Starts to append all events or none, as batpak_store_append does, and returns at once. Appends
/// are committed in the order in which a thread starts them, also before later ones that wait;
/// thousands under way share writes and syncs. What is under way takes memory and handles: wait
/// for the oldest before starting ever more.
///
/// events: count events, which are copied. durability: a batpak_durability. ticket: gets the
/// handle, which the caller closes with batpak_ticket_close.
///
/// Errors: as for batpak_store_append, as far as they are seen at once: then nothing was started.
/// Those that come later are reported by batpak_ticket_wait. BATPAK_TOO_LARGE also when there are
/// too many handles. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_append_ticket(
    store: *const batpak_store,
    events: *const batpak_new_event,
    count: usize,
    durability: i32,
    ticket: *mut *mut batpak_ticket,
    error: *mut batpak_error,
) -> batpak_status {
    // SAFETY: the pointers are as the rules at the top of the header say.
    guard(error, || unsafe {
        let output = Output::new("ticket", ticket)?;
        let durability = self::durability(durability)?;
        let reservation = handle::reserve()?;
        with_events(events, count, |events| {
            append_to_store(store, |store| {
                let answer = Arc::new(Answer {
                    result: OnceLock::new(),
                    waiting: Mutex::default(),
                    told: Condvar::new(),
                    process: std::process::id(),
                });
                let teller = Teller(answer.clone());
                let then = Box::new(move |result| teller.0.tell(result));
                store.append_then(events, durability, then)?;
                output.set(reservation.fill(OpenTicket(answer)));
                Ok(())
            })
        })
    })
}

/// Waits until an append has ended or the time is up. It may be called any number of times, also
/// after the append ended, and after the store was closed, which ends every append under way.
///
/// timeout_ms: the longest wait, in milliseconds. done: gets 1 when the append has succeeded, or 0
/// when the time was up. receipts: gets the first capacity receipts in the order of the events;
/// may be null when capacity is 0. count: gets how many receipts there are, which is the number of
/// events; 0 when the time was up.
///
/// Errors: those of batpak_store_append when the append has failed; BATPAK_BAD_HANDLE,
/// BATPAK_INVALID_ARGUMENT; in a forked child BATPAK_FORKED, unless the append had ended before.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_ticket_wait(
    ticket: *const batpak_ticket,
    timeout_ms: u64,
    done: *mut i32,
    receipts: *mut batpak_receipt,
    capacity: usize,
    count: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let (done, receipts, count) = unsafe {
            let receipts = MutableArray::new("receipts", receipts, capacity)?;
            (Output::new("done", done)?, receipts, Output::new("count", count)?)
        };
        handle::with::<OpenTicket>(ticket, |ticket| {
            let result = ticket.0.wait(Duration::from_millis(timeout_ms))?;
            let known: &[Receipt] = match result {
                Some(Ok(receipts)) => receipts,
                Some(Err(failure)) => return Err(failure.clone()),
                None => &[],
            };
            done.set(result.is_some().into());
            receipts.set(known.iter().map(batpak_receipt::of));
            count.set(known.len());
            Ok(())
        })
    })
}

/// Whether an append has ended, well or not.
///
/// done: gets 1 when it has, otherwise 0.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_ticket_is_done(
    ticket: *const batpak_ticket,
    done: *mut i32,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let done = unsafe { Output::new("done", done) }?;
        handle::with::<OpenTicket>(ticket, |ticket| {
            done.set(ticket.0.result.get().is_some().into());
            Ok(())
        })
    })
}

/// Gives up a ticket. It changes nothing about the append, which goes on if it has not ended.
///
/// ticket: may be null, which does nothing.
///
/// Errors: BATPAK_BAD_HANDLE. Threads: any, also while other calls run on the ticket, which go on
/// to their end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_ticket_close(
    ticket: *mut batpak_ticket,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        if ticket.is_null() {
            return Ok(());
        }
        handle::remove::<OpenTicket>(ticket, |_| Ok(()))
    })
}

/// What batpak_store_append_then calls when its append has ended. status: that of the append.
/// receipts: count receipts in the order of the events; null when the append failed. error: null
/// when it succeeded. Both are valid until it returns. It runs on a thread of the library or on one
/// that is in a call of this store, and should be short, since later appends may wait for it. It
/// may read, append and close the store, but not wait for a ticket, whose append may come after
/// it. It must return: it may neither jump out (longjmp) nor let a C++ exception through.
pub type batpak_append_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: batpak_status,
        receipts: *const batpak_receipt,
        count: usize,
        error: *const batpak_error,
    ),
>;

/// What ends the life of user data.
pub type batpak_destructor = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// A function of the caller's with its data, which is destroyed with this value, so exactly once.
struct Callback {
    function: batpak_append_callback,
    user_data: *mut c_void,
    destructor: batpak_destructor,
}

// SAFETY: by the contract of `batpak_store_append_then` both functions may run on any thread.
unsafe impl Send for Callback {}

impl Drop for Callback {
    fn drop(&mut self) {
        if let Some(destructor) = self.destructor {
            // SAFETY: the caller promised that it may be called once with its data.
            unsafe { destructor(self.user_data) }
        }
    }
}

impl Callback {
    fn run(self, result: Result<Vec<Receipt>>) {
        let Some(function) = self.function else { return };
        match result {
            Ok(receipts) => {
                let receipts: Vec<_> = receipts.iter().map(batpak_receipt::of).collect();
                let ok = batpak_status_code::BATPAK_OK as batpak_status;
                // SAFETY: the caller promised that it may be called; the receipts outlive it.
                unsafe { function(self.user_data, ok, receipts.as_ptr(), receipts.len(), null()) }
            }
            Err(failure) => {
                let error = batpak_error::of(&failure);
                // SAFETY: as above, for the error.
                unsafe { function(self.user_data, error.kind, null(), 0, &error) }
            }
        }
    }
}

/// Starts to append all events or none, as batpak_store_append_ticket does, and calls a function
/// of the caller's when the append has ended: exactly once when this returns BATPAK_OK, possibly
/// before it does, and otherwise never. The appends are committed in the order in which a thread
/// starts them; their functions may be called in another order, and several at once.
///
/// events: count events, which are copied. durability: a batpak_durability. callback: the function.
/// user_data: handed to it. destructor: called exactly once with user_data, whatever this returns:
/// after the callback on its thread, or before this returns an error; may be null. In a forked
/// child neither is called for an append that the parent started.
///
/// Errors: as for batpak_store_append, as far as they are seen at once: then nothing was started.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_store_append_then(
    store: *const batpak_store,
    events: *const batpak_new_event,
    count: usize,
    durability: i32,
    callback: batpak_append_callback,
    user_data: *mut c_void,
    destructor: batpak_destructor,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, {
        // Made before anything can fail, so that the destructor runs whatever fails.
        let callback = Callback { function: callback, user_data, destructor };
        // SAFETY: the pointers are as the rules at the top of the header say.
        move || unsafe {
            if callback.function.is_none() {
                return Err(invalid("callback is null"));
            }
            let durability = self::durability(durability)?;
            with_events(events, count, |events| {
                append_to_store(store, |store| {
                    let then = move |result| guard_value((), || callback.run(result));
                    store.append_then(events, durability, Box::new(then))
                })
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(process: u32) -> Arc<Answer> {
        let (waiting, told) = (Mutex::default(), Condvar::new());
        Arc::new(Answer { result: OnceLock::new(), waiting, told, process })
    }

    fn failure(answer: &Answer) -> ErrorKind {
        match answer.wait(Duration::ZERO) {
            Err(error) => error.kind(),
            Ok(result) => result.unwrap().as_ref().unwrap_err().kind(),
        }
    }

    #[test]
    fn an_append_that_vanishes_is_answered() {
        let answer = answer(std::process::id());
        let teller = Teller(answer.clone());
        assert!(answer.wait(Duration::ZERO).unwrap().is_none());
        let waiting = std::thread::spawn({
            let answer = answer.clone();
            move || answer.wait(Duration::MAX).unwrap().is_some()
        });
        drop(teller);
        assert!(waiting.join().unwrap());
        assert_eq!(failure(&answer), ErrorKind::Panic);
    }

    #[test]
    fn the_first_answer_counts() {
        let answer = answer(std::process::id());
        let teller = Teller(answer.clone());
        teller.0.tell(Err(Error::new(ErrorKind::DiskFull, "full")));
        teller.0.tell(Ok(Vec::new()));
        drop(teller);
        assert_eq!(failure(&answer), ErrorKind::DiskFull);
    }

    #[test]
    fn in_a_forked_child_only_an_answer_that_was_there_is_given() {
        let inherited = answer(std::process::id() + 1);
        // The lock may be held by a thread that the child does not have.
        let lock = inherited.waiting.lock();
        assert_eq!(failure(&inherited), ErrorKind::Forked);
        assert!(inherited.result.set(Ok(Vec::new())).is_ok());
        assert!(matches!(inherited.wait(Duration::MAX), Ok(Some(Ok(_)))));
        drop(lock);
    }
}
