//! Fences: events that are staged, seen by nobody, and then committed together or cancelled.

use crate::append::{batpak_new_event, with_events};
use crate::argument::{
    Growing, GrowingOutput, MutableArray, Output, check_reserved, growing, in_memory,
};
use crate::guard::guard;
use crate::handle::{self, Handled};
use crate::read::check_max_events;
use crate::status::{batpak_error, batpak_status};
use crate::store::{OpenStore, batpak_store, durability};
use crate::view::{ViewOutput, batpak_event, batpak_view};
use batpak_core::{Committed, Fence, FenceOptions, Result};

/// Events that are staged: nobody sees them until they are committed, and then everybody sees all of
/// them, as one batch. Until then, a crash, closing the fence and closing the store leave nothing of
/// it behind. Begun by batpak_fence_begin, closed by batpak_fence_close.
pub struct batpak_fence;

/// How a fence is kept. Initialise it with BATPAK_FENCE_OPTIONS_INIT, which holds the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_fence_options {
    /// sizeof(batpak_fence_options).
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// How many bytes of its events are kept in memory, at about the most; those beyond go to a file
    /// in the store's directory, which nobody else can see. An event with an id of the caller's
    /// takes some thirty bytes of memory besides, wherever it is kept.
    pub memory_bytes: u64,
}

// SAFETY: `repr(C)`, begins with its size, has 16 bytes, and every bit pattern is a value.
unsafe impl Growing for batpak_fence_options {
    fn initial() -> Self {
        let memory_bytes = FenceOptions::default().memory_bytes as u64;
        Self { struct_size: size_of::<Self>() as u32, reserved: 0, memory_bytes }
    }
}

impl batpak_fence_options {
    /// The defaults, as BATPAK_FENCE_OPTIONS_INIT has them.
    pub fn defaults() -> Self {
        Self::initial()
    }

    fn get(&self) -> Result<FenceOptions> {
        check_reserved("reserved", self.reserved)?;
        Ok(FenceOptions { memory_bytes: in_memory("memory_bytes", self.memory_bytes)? })
    }
}

/// What committing a fence has done. Initialise it with BATPAK_COMMITTED_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_committed {
    /// sizeof(batpak_committed), set by the caller.
    pub struct_size: u32,
    /// 1 when its events were there before: the fence repeated an earlier one.
    pub duplicate: i32,
    /// The sequence of its first event; the others follow it. Of a repeated fence, that of the event
    /// with the first one's id. Of a fence without events, how many events are visible.
    pub first_sequence: u64,
    /// How many events it has.
    pub events: u64,
}

// SAFETY: `repr(C)`, begins with its size, has 24 bytes, and every bit pattern is a value.
unsafe impl Growing for batpak_committed {
    fn initial() -> Self {
        Self { struct_size: size_of::<Self>() as u32, duplicate: 0, first_sequence: 0, events: 0 }
    }
}

impl batpak_committed {
    fn of(committed: &Committed) -> Self {
        Self {
            duplicate: committed.duplicate.into(),
            first_sequence: committed.first_sequence,
            events: committed.events,
            ..Self::initial()
        }
    }
}

/// What a fence handle stands for. Dropping the fence cancels it.
struct OpenFence {
    fence: Fence,
    store: OpenStore,
}

impl Handled for OpenFence {
    type Pointee = batpak_fence;
}

/// Runs a call that reads or ends a fence.
fn on_fence(fence: *const batpak_fence, body: impl FnOnce(&Fence) -> Result<()>) -> Result<()> {
    handle::with::<OpenFence>(fence, |open| open.store.run(|_| body(&open.fence)))
}

/// Runs a call that adds to a fence or commits it. After a defect of the library neither the log
/// nor the fence is sure to be whole.
fn append_to_fence(
    fence: *const batpak_fence,
    body: impl FnOnce(&Fence) -> Result<()>,
) -> Result<()> {
    handle::with::<OpenFence>(fence, |open| open.store.run_append(|_| body(&open.fence)))
}

/// Begins a fence. It holds nothing of the log: any number of them may be open, and nobody who
/// appends waits for one.
///
/// options: may be null for the defaults. fence: gets the handle, which the caller closes with
/// batpak_fence_close.
///
/// Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_READ_ONLY, BATPAK_FORKED,
/// BATPAK_INVALID_ARGUMENT, BATPAK_POISONED, BATPAK_TOO_LARGE when there are too many handles.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_fence_begin(
    store: *const batpak_store,
    options: *const batpak_fence_options,
    fence: *mut *mut batpak_fence,
    error: *mut batpak_error,
) -> batpak_status {
    // SAFETY: the pointers are as the rules at the top of the header say.
    guard(error, || unsafe {
        let output = Output::new("fence", fence)?;
        let options = match options.is_null() {
            true => FenceOptions::default(),
            false => growing("options", options)?.get()?,
        };
        let reservation = handle::reserve()?;
        handle::with::<OpenStore>(store, |open| {
            open.run_append(|store| {
                let fence = store.begin_fence(&options)?;
                output.set(reservation.fill(OpenFence { fence, store: open.clone() }));
                Ok(())
            })
        })
    })
}

/// Adds events behind those that the fence has, all of them or none. All that does not depend on
/// the log is checked here; ids and expected clocks are compared with it when the fence is
/// committed.
///
/// events: count events, as many and as large as batpak_store_append takes; causation_item is a
/// place in the fence. place: gets the place of the first of them within the fence, from 0; may be
/// null.
///
/// Errors: BATPAK_INVALID_ARGUMENT, BATPAK_INVALID_COORDINATE, BATPAK_INVALID_KIND,
/// BATPAK_TOO_LARGE; BATPAK_DISK_FULL and BATPAK_IO when the fence's file cannot be written: after
/// any of them the fence has what it had before. BATPAK_CLOSED when it was committed or cancelled,
/// while another thread commits it, and when the store was closed; also BATPAK_BAD_HANDLE,
/// BATPAK_POISONED, BATPAK_FORKED. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_fence_append(
    fence: *const batpak_fence,
    events: *const batpak_new_event,
    count: usize,
    place: *mut u64,
    error: *mut batpak_error,
) -> batpak_status {
    // SAFETY: the pointers are as the rules at the top of the header say.
    guard(error, || unsafe {
        let output = MutableArray::new("place", place, usize::from(!place.is_null()))?;
        with_events(events, count, |events| {
            append_to_fence(fence, |fence| {
                output.set(std::iter::once(fence.append(events)?));
                Ok(())
            })
        })
    })
}

/// How many events a fence has.
///
/// events: gets the number.
///
/// Errors: BATPAK_CLOSED as for batpak_fence_append; BATPAK_BAD_HANDLE, BATPAK_FORKED,
/// BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_fence_events(
    fence: *const batpak_fence,
    events: *mut u64,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { Output::new("events", events) }?;
        on_fence(fence, |fence| {
            output.set(fence.events()?);
            Ok(())
        })
    })
}

/// Reads a fence's own events back, from a place on. What an event gets from the log is missing: its
/// sequence is its place in the fence; its clock, segment, offset and hashes are zero. Its id and
/// times are, too, if the caller gave none, and so is a cause whose id is not given.
///
/// from_place: the place of the first; there is nothing behind the last. max_events: at most so
/// many, from 1. max_bytes: no more events once their frames have about so many bytes; one event is
/// given in any case. view: gets a view, which the caller releases, or null at the end. events:
/// gets the events, valid until the view is released, also after the fence has ended. count: gets
/// how many; 0 at the end.
///
/// Errors: BATPAK_CLOSED as for batpak_fence_append; BATPAK_BAD_HANDLE, BATPAK_CORRUPT and BATPAK_IO
/// for the fence's file, BATPAK_FORKED, BATPAK_INVALID_ARGUMENT, BATPAK_TOO_LARGE when there are too
/// many handles. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_fence_read(
    fence: *const batpak_fence,
    from_place: u64,
    max_events: usize,
    max_bytes: usize,
    view: *mut *mut batpak_view,
    events: *mut *const batpak_event,
    count: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        // SAFETY: the pointers are as the rules at the top of the header say.
        let output = unsafe { ViewOutput::new(view, events, count) }?;
        check_max_events(max_events)?;
        on_fence(fence, |fence| {
            output.set(fence.read(from_place, max_events, max_bytes)?);
            Ok(())
        })
    })
}

/// Appends a fence's events as one batch, of any size: ids and expected clocks are checked,
/// sequences and clocks assigned, and when all is as safe as asked for, all events become visible
/// at once. Other appends wait while a large fence is written. The fence has ended then, and its
/// handle still has to be closed.
///
/// If all its events have an id that is known already, with the same content, nothing is appended,
/// and committed says so. As for a batch, anything else with known ids is a conflict.
///
/// durability: a batpak_durability. committed: gets what was done; may be null.
///
/// Errors: as for batpak_store_append. A commit that fails leaves the fence open: it can be tried
/// again, or cancelled. BATPAK_CLOSED as for batpak_fence_append. Threads: any; of several at once,
/// one commits, and the others get BATPAK_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_fence_commit(
    fence: *const batpak_fence,
    durability: i32,
    committed: *mut batpak_committed,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        let output = match committed.is_null() {
            true => None,
            // SAFETY: the pointers are as the rules at the top of the header say.
            false => Some(unsafe { GrowingOutput::new("committed", committed) }?),
        };
        let durability = self::durability(durability)?;
        append_to_fence(fence, |fence| {
            let committed = fence.commit(durability)?;
            if let Some(output) = output {
                output.set(&batpak_committed::of(&committed));
            }
            Ok(())
        })
    })
}

/// Ends a fence without appending anything. Its handle still has to be closed.
///
/// Errors: BATPAK_CLOSED as for batpak_fence_append; BATPAK_BAD_HANDLE, BATPAK_FORKED.
/// Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_fence_cancel(
    fence: *const batpak_fence,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || on_fence(fence, Fence::cancel))
}

/// Gives a fence up. One that was not committed is cancelled. Views that it gave stay valid.
///
/// fence: may be null, which does nothing.
///
/// Errors: BATPAK_BAD_HANDLE. Threads: any, also while calls run on the fence, which go on to their
/// end, also a commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_fence_close(
    fence: *mut batpak_fence,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        if fence.is_null() {
            return Ok(());
        }
        handle::remove::<OpenFence>(fence, |_| Ok(()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{batpak_store_close, batpak_store_open};
    use batpak_core::ErrorKind;
    use std::ptr::{null, null_mut};

    #[test]
    fn a_defect_during_a_call_stops_commits_until_the_store_is_reopened() {
        let directory = std::env::temp_dir().join(format!("batpak-fence-{}", std::process::id()));
        let path = directory.to_str().unwrap();
        let (mut store, mut fence, mut other) = (null_mut(), null_mut(), null_mut());
        let mut events = 77;
        let event = batpak_new_event::defaults();
        // SAFETY: every pointer is to a value of this function, or null where allowed.
        unsafe {
            let begin = |fence| batpak_fence_begin(store, null(), fence, null_mut());
            assert_eq!(begin(&mut fence), ErrorKind::BadHandle.code());
            let open = (path.as_ptr().cast(), path.len());
            assert_eq!(batpak_store_open(open.0, open.1, null(), &mut store, null_mut()), 0);
            let begin = |fence| batpak_fence_begin(store, null(), fence, null_mut());
            assert_eq!((begin(&mut fence), begin(&mut other)), (0, 0));
            let panicking = guard(null_mut(), || append_to_fence(fence, |_| panic!("a defect")));
            assert_eq!(panicking, ErrorKind::Panic.code());
            let poisoned = ErrorKind::Poisoned.code();
            for fence in [fence, other] {
                assert_eq!(batpak_fence_append(fence, &event, 1, null_mut(), null_mut()), poisoned);
                assert_eq!(batpak_fence_commit(fence, -1, null_mut(), null_mut()), poisoned);
                assert_eq!(batpak_fence_events(fence, &mut events, null_mut()), 0);
                assert_eq!(events, 0);
                assert_eq!(batpak_fence_cancel(fence, null_mut()), 0);
                assert_eq!(batpak_fence_close(fence, null_mut()), 0);
            }
            assert_eq!(begin(&mut fence), poisoned);
            assert_eq!(batpak_store_close(store, null_mut()), 0);
        }
        std::fs::remove_dir_all(directory).unwrap();
    }
}
