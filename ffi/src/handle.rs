//! Handles: what C holds instead of addresses.
//!
//! A handle is a number in the shape of a pointer: the slot of a table, and a serial number that
//! no other handle of this process has. The slot remembers the whole handle, so one that is
//! stale, closed twice, of another type or invented is found by comparing, and never followed.
//!
//! Looking a handle up, giving one out and taking one back wait for nobody: a lock that another
//! thread held at the time of a fork would stay locked in the child for ever.

use arc_swap::ArcSwapOption;
use batpak_core::{Error, ErrorKind, Result};
use std::any::Any;
use std::hash::{BuildHasher, RandomState};
use std::ptr::without_provenance_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const SLOT_BITS: u32 = 18;
/// The most handles at a time.
const SLOTS: usize = 1 << SLOT_BITS;

/// What a handle stands for; `Pointee` is its C type.
pub(crate) trait Handled: Any + Send + Sync {
    type Pointee;
}

struct Entry {
    handle: usize,
    object: Box<dyn Any + Send + Sync>,
}

/// The table. Untouched slots take no memory, since the operating system gives zeros on demand.
static TABLE: [ArcSwapOption<Entry>; SLOTS] = [const { ArcSwapOption::const_empty() }; SLOTS];
/// For a free slot, the slot that was freed before it, plus one; zero when there is none.
static NEXT_FREE: [AtomicU32; SLOTS] = [const { AtomicU32::new(0) }; SLOTS];
/// The slot that was freed last, plus one, and above it a count of changes, so that a slot which
/// was taken and freed again in between is not mistaken for an unchanged one.
static LAST_FREED: AtomicU64 = AtomicU64::new(0);
/// The first slot that was never used.
static UNUSED: AtomicU32 = AtomicU32::new(0);
static SERIAL: AtomicU64 = AtomicU64::new(1);
static LIVE: AtomicU64 = AtomicU64::new(0);
static SALT: AtomicU64 = AtomicU64::new(0);

/// A random number of this process that is not zero, which keeps handles from being guessable.
fn salt() -> u64 {
    match SALT.load(Ordering::Relaxed) {
        0 => {
            let random = RandomState::new().hash_one(0) | 2;
            match SALT.compare_exchange(0, random, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => random,
                Err(earlier) => earlier,
            }
        }
        known => known,
    }
}

/// The handle for a slot. Its lowest bit is set, so it is never null and never an aligned address.
fn encode(slot: u32, serial: u64) -> usize {
    (((serial << SLOT_BITS | u64::from(slot)) << 1) ^ salt() | 1) as usize
}

fn slot_of(handle: usize) -> usize {
    ((handle as u64 ^ salt()) >> 1) as usize & (SLOTS - 1)
}

fn bad_handle() -> Error {
    Error::new(
        ErrorKind::BadHandle,
        "the handle is null, closed, of another type, or was never given out",
    )
}

fn take_slot() -> Result<u32> {
    let mut freed = LAST_FREED.load(Ordering::Acquire);
    while freed as u32 != 0 {
        let slot = freed as u32 - 1;
        let before = NEXT_FREE[slot as usize].load(Ordering::Relaxed);
        let changed = ((freed >> 32) + 1) << 32 | u64::from(before);
        match LAST_FREED.compare_exchange_weak(freed, changed, Ordering::Acquire, Ordering::Acquire)
        {
            Ok(_) => return Ok(slot),
            Err(other) => freed = other,
        }
    }
    let fresh = |unused: u32| (unused < SLOTS as u32).then_some(unused + 1);
    UNUSED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fresh).map_err(|_| {
        Error::new(
            ErrorKind::TooLarge,
            format!("there are {SLOTS} handles, the most at a time; release some"),
        )
    })
}

fn free_slot(slot: usize) {
    let mut freed = LAST_FREED.load(Ordering::Relaxed);
    loop {
        NEXT_FREE[slot].store(freed as u32, Ordering::Relaxed);
        let changed = ((freed >> 32) + 1) << 32 | (slot as u64 + 1);
        match LAST_FREED.compare_exchange_weak(freed, changed, Ordering::Release, Ordering::Relaxed)
        {
            Ok(_) => return,
            Err(other) => freed = other,
        }
    }
}

/// A slot that is kept for a handle, so that giving it out cannot fail.
pub(crate) struct Reservation(Option<u32>);

pub(crate) fn reserve() -> Result<Reservation> {
    take_slot().map(|slot| Reservation(Some(slot)))
}

impl Reservation {
    /// Gives out a handle for `object`; null for a reservation that was used before, which the
    /// signature rules out.
    pub(crate) fn fill<T: Handled>(mut self, object: T) -> *mut T::Pointee {
        let Some(slot) = self.0.take() else { return std::ptr::null_mut() };
        let handle = encode(slot, SERIAL.fetch_add(1, Ordering::Relaxed));
        TABLE[slot as usize].store(Some(Arc::new(Entry { handle, object: Box::new(object) })));
        LIVE.fetch_add(1, Ordering::Relaxed);
        without_provenance_mut(handle)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            free_slot(slot as usize);
        }
    }
}

/// Runs `body` with what `handle` stands for, which lives at least until `body` returns, also
/// when another thread takes the handle back meanwhile.
pub(crate) fn with<T: Handled>(
    handle: *const T::Pointee,
    body: impl FnOnce(&T) -> Result<()>,
) -> Result<()> {
    let entry = TABLE[slot_of(handle.addr())].load();
    let entry = entry.as_ref().filter(|entry| entry.handle == handle.addr());
    match entry.and_then(|entry| entry.object.downcast_ref()) {
        Some(object) => body(object),
        None => Err(bad_handle()),
    }
}

/// Takes a handle back and gives what it stood for to `body`, which other threads may still be
/// using. Of several threads that take the same handle back, one succeeds.
pub(crate) fn remove<T: Handled>(
    handle: *mut T::Pointee,
    body: impl FnOnce(&T) -> Result<()>,
) -> Result<()> {
    let slot = slot_of(handle.addr());
    let entry = TABLE[slot].load_full().filter(|entry| entry.handle == handle.addr());
    let Some(object) = entry.as_ref().and_then(|entry| entry.object.downcast_ref()) else {
        return Err(bad_handle());
    };
    let found = TABLE[slot].compare_and_swap(&entry, None);
    if !found.as_ref().zip(entry.as_ref()).is_some_and(|(a, b)| Arc::ptr_eq(a, b)) {
        return Err(bad_handle());
    }
    free_slot(slot);
    LIVE.fetch_sub(1, Ordering::Relaxed);
    body(object)
}

/// How many handles are given out and not taken back.
pub(crate) fn live() -> u64 {
    LIVE.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    struct Apple(u32);
    struct Pear;
    struct AppleHandle;
    struct PearHandle;

    impl Handled for Apple {
        type Pointee = AppleHandle;
    }
    impl Handled for Pear {
        type Pointee = PearHandle;
    }

    fn value(handle: *const AppleHandle) -> Option<u32> {
        let mut value = None;
        let read = with::<Apple>(handle, |apple| {
            value = Some(apple.0);
            Ok(())
        });
        assert_eq!(read.is_ok(), value.is_some());
        value
    }

    fn kind(result: Result<()>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn a_handle_lives_until_it_is_taken_back() {
        let apple = reserve().unwrap().fill(Apple(7));
        assert_eq!(apple.addr() & 1, 1);
        assert_eq!(value(apple), Some(7));
        remove::<Apple>(apple, |apple| {
            assert_eq!(apple.0, 7);
            Ok(())
        })
        .unwrap();
        assert_eq!(value(apple), None);
        assert_eq!(kind(remove::<Apple>(apple, |_| Ok(()))), ErrorKind::BadHandle);
    }

    #[test]
    fn another_type_is_refused() {
        let pear = reserve().unwrap().fill(Pear);
        assert_eq!(value(pear.cast()), None);
        assert_eq!(kind(remove::<Apple>(pear.cast(), |_| Ok(()))), ErrorKind::BadHandle);
        remove::<Pear>(pear, |_| Ok(())).unwrap();
    }

    #[test]
    fn a_reused_slot_does_not_revive_old_handles() {
        let mut old = Vec::new();
        for number in 0..1000 {
            let apple = reserve().unwrap().fill(Apple(number));
            assert!(old.iter().all(|old| value(*old).is_none()));
            old.push(apple);
            remove::<Apple>(apple, |_| Ok(())).unwrap();
        }
        let slots: std::collections::HashSet<_> = old.iter().map(|h| slot_of(h.addr())).collect();
        assert!(slots.len() < old.len());
    }

    #[test]
    fn an_error_of_the_body_comes_after_the_handle_is_gone() {
        let apple = reserve().unwrap().fill(Apple(1));
        let failed = remove::<Apple>(apple, |_| Err(Error::new(ErrorKind::Io, "full")));
        assert_eq!(kind(failed), ErrorKind::Io);
        assert_eq!(value(apple), None);
    }

    #[test]
    fn an_object_outlives_its_handle_while_a_call_uses_it() {
        let apple = reserve().unwrap().fill(Apple(3));
        with::<Apple>(apple, |held| {
            remove::<Apple>(apple, |_| Ok(())).unwrap();
            assert_eq!(held.0, 3);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn threads_share_the_table() {
        let threads = 4;
        let rounds = if cfg!(miri) { 20 } else { 5000 };
        let taken = AtomicUsize::new(0);
        let barrier = Barrier::new(threads);
        let contested: Vec<usize> =
            (0..100).map(|number| reserve().unwrap().fill(Apple(number)).addr()).collect();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    barrier.wait();
                    for number in 0..rounds {
                        let own = reserve().unwrap().fill(Apple(number));
                        assert_eq!(value(own), Some(number));
                        remove::<Apple>(own, |_| Ok(())).unwrap();
                        assert_eq!(value(own), None);
                    }
                    for handle in &contested {
                        let handle = without_provenance_mut(*handle);
                        let removed = remove::<Apple>(handle, |_| Ok(()));
                        taken.fetch_add(usize::from(removed.is_ok()), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), contested.len());
    }
}
