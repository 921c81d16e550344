//! Fences: events that are staged, seen by nobody, and then committed together or cancelled.
//!
//! An open fence holds nothing of the log: no sequence, no id, no lock. So any number of them may
//! be open, and nobody who appends waits for one. Its events get their places when it is committed,
//! as one batch.

use super::Store;
use super::prepare::Request;
use super::staged::Staged;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, NewEvent, Receipt};
use crate::options::Durability;
use parking_lot::{Mutex, MutexGuard};

/// A fence that takes no more than this is committed in a group with other appends.
const SMALL_BYTES: u64 = 16 << 20;

/// How a fence is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceOptions {
    /// How many bytes of its events are kept in memory, at about the most; those beyond go to a file
    /// in the store's directory, which nobody else can see. An event with an id of the caller's
    /// takes some thirty bytes of memory besides, wherever it is kept.
    pub memory_bytes: usize,
}

impl Default for FenceOptions {
    fn default() -> Self {
        Self { memory_bytes: 16 << 20 }
    }
}

/// What committing a fence has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The sequence of its first event; the others follow it. Of a repeated fence, that of the event
    /// with the first one's id. Of a fence without events, how many events are visible.
    pub first_sequence: u64,
    /// How many events it has.
    pub events: u64,
    /// Whether its events were there before: the fence repeated an earlier one.
    pub duplicate: bool,
}

/// Events that are staged: nobody sees them until [`commit`](Fence::commit), and then everybody sees
/// all of them, as one batch. Until then, a crash, [`cancel`](Fence::cancel), dropping the fence and
/// closing the store leave nothing of it behind.
///
/// Every method may be called from any thread. Once the fence was committed or cancelled, every
/// method gives an error of kind [`ErrorKind::Closed`], and so while another thread commits it. An
/// open fence keeps the store open unless it is closed by [`close`](Store::close).
pub struct Fence {
    store: Store,
    state: Mutex<State>,
}

enum State {
    Open(Box<Staged>),
    /// Why there is nothing to be done with it.
    Ended(&'static str),
}

impl Store {
    /// Begins a fence.
    pub fn begin_fence(&self, options: &FenceOptions) -> Result<Fence> {
        self.0.writer()?;
        let staged = Staged::new(self.0.files.clone(), options.memory_bytes);
        let state = Mutex::new(State::Open(Box::new(staged)));
        Ok(Fence { store: self.clone(), state })
    }
}

impl Fence {
    /// Adds events behind those that the fence has, all of them or none, as many and as large as a
    /// batch may be. Gives the place of the first of them within the fence, from 0.
    ///
    /// All that does not depend on the log is checked here; ids and expected clocks are compared with
    /// it when the fence is committed. [`Causation::Item`](crate::Causation::Item) is a place in the
    /// fence. After an error of kind [`ErrorKind::DiskFull`], since there was no room for the fence's
    /// file, the fence has what it had before.
    pub fn append(&self, events: &[NewEvent<'_>]) -> Result<u64> {
        let mut state = self.state()?;
        let staged = staged(&mut state)?;
        let most = self.store.0.options.max_payload_bytes;
        let place = staged.len();
        let request = Request::of_fence(events, place, most)?;
        let added = staged.add(&request);
        request.recycle();
        added.map(|()| place.into())
    }

    /// How many events it has.
    pub fn events(&self) -> Result<u64> {
        Ok(staged(&mut *self.state()?)?.len().into())
    }

    /// Reads its own events back, from a place on: at most `max_events`, and about `max_bytes` of
    /// frames, but at least one if there is one. Empty at the end.
    ///
    /// What an event gets from the log is missing: its sequence is its place in the fence, its clock,
    /// segment, offset and hashes are zero. Its id and timestamp are, too, if the caller gave none, and
    /// so is a cause whose id is not given.
    pub fn read(&self, from_place: u64, max_events: usize, max_bytes: usize) -> Result<Vec<Event>> {
        staged(&mut *self.state()?)?.read(from_place, max_events, max_bytes)
    }

    /// Appends its events as one batch, of any size: ids and expected clocks are checked, sequences and
    /// clocks assigned, and when all is as safe as asked for, all events become visible at once. Other
    /// appends wait while a large fence is written.
    ///
    /// If all its events have an id that is known already, with the same content, nothing is
    /// appended, and the result says so. As for a batch, anything else with known ids is a conflict.
    ///
    /// A commit that fails leaves the fence open: it can be tried again, or cancelled. The kinds of
    /// errors mean the same as those of [`append`](Store::append).
    pub fn commit(&self, durability: Option<Durability>) -> Result<Committed> {
        let inner = &self.store.0;
        let taken = {
            let mut state = self.state()?;
            staged(&mut state)?;
            std::mem::replace(&mut *state, State::Ended("the fence is being committed"))
        };
        // Without the fence's lock: this thread may come to call functions of other callers.
        let State::Open(staged) = &taken else { return Err(ended("the fence has ended")) };
        let durability = durability.unwrap_or(inner.options.durability);
        let committed = match staged {
            staged if staged.len() == 0 => {
                let first_sequence = inner.live.read().visible();
                Ok(Committed { first_sequence, ..Committed::default() })
            }
            staged if staged.is_held() && staged.frame_bytes() <= SMALL_BYTES => {
                self.commit_small(staged, durability)
            }
            staged => inner.commit_fence(staged, durability),
        };
        *self.state.lock() = match committed {
            Ok(_) => State::Ended("the fence was committed"),
            Err(_) => taken,
        };
        committed
    }

    fn commit_small(&self, staged: &Staged, durability: Durability) -> Result<Committed> {
        let writer = self.store.0.writer()?;
        let mut request = Request::settling(durability);
        for piece in staged.pieces() {
            staged.fill(piece, &mut request)?;
        }
        let receipts = self.store.0.submit(writer, request).finish()?;
        let first = receipts.first().map_or(0, |receipt: &Receipt| receipt.sequence);
        let duplicate = receipts.iter().any(|receipt| receipt.duplicate);
        Ok(Committed { first_sequence: first, events: receipts.len() as u64, duplicate })
    }

    /// Ends the fence without appending anything. So does dropping it.
    pub fn cancel(&self) -> Result<()> {
        let mut state = self.state()?;
        staged(&mut state)?;
        *state = State::Ended("the fence was cancelled");
        Ok(())
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        if let Err(error) = self.store.0.writer() {
            if error.kind() == ErrorKind::Closed {
                // What it holds is of no use any more.
                *self.state.lock() = State::Ended("the store was closed");
            }
            return Err(error);
        }
        Ok(self.state.lock())
    }
}

fn staged(state: &mut State) -> Result<&mut Staged> {
    match state {
        State::Open(staged) => Ok(staged),
        State::Ended(why) => Err(ended(why)),
    }
}

fn ended(why: &str) -> Error {
    Error::new(ErrorKind::Closed, why)
}

impl std::fmt::Debug for Fence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fence").field("store", &self.store).finish_non_exhaustive()
    }
}
