//! The commit queue: callers wait in line, and one of them commits for all who wait.
//!
//! A caller that finds nobody leading leads at once, on its own thread. While it writes and syncs,
//! others queue up; when it is done, one of them takes the lead and everybody in line with it. No
//! thread of the library's own is on this path, so nothing is handed over when nobody else waits,
//! and one write and one sync serve all who came meanwhile. Only appends that nobody waits for
//! ([`Then`]) have a thread, the committer, which leads when no caller does.
//!
//! Who has just been answered will often ask again. So where groups end with a sync, the next
//! leader gives those of the last group a moment to come back, at most half as long as a sync takes,
//! rather than sync for the few who came meanwhile.
//!
//! How a result gets to its caller: the leader stores it in the caller's [`Caller`] and raises
//! `done`. A caller looks for that, and for a free lead, a few times; then it sleeps on one of two
//! [`Bell`]s, by turns of the groups, so that one call wakes everybody of a group that is done and
//! nobody else. A sleeper counts itself and looks again under the bell's lock, and a ringer stores
//! the news before it reads the count, so no ring is missed.

use super::Inner;
use super::background::Background;
use super::commit::Writer;
use super::prepare::Request;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Receipt;
use parking_lot::{Mutex, MutexGuard};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A group takes no further requests once its frames may take so many bytes.
const GROUP_BYTES: usize = 64 << 20;
/// How often a caller looks for its result before it sleeps. A write takes a few microseconds; a
/// sync takes so long that nobody looks on.
const SPINS: u32 = 20;
const YIELDS: u32 = 40;

/// Memory for groups of more requests is not kept.
const KEPT_PLACES: usize = 4096;

/// What is called with the result of an append that nobody waits for.
pub type Then = Box<dyn FnOnce(Result<Vec<Receipt>>) + Send>;

#[derive(Default)]
pub(super) struct Queue {
    line: Mutex<Line>,
    /// Somebody leads. Changed only under the line's lock.
    led: AtomicBool,
    /// The leader is waiting for a sync.
    pub(super) syncing: AtomicBool,
    /// How long the sync of the last group took, in nanoseconds; 0 if it had none.
    pub(super) sync_took: AtomicU64,
    bells: [Bell; 2],
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Place>,
    /// How many of those are callers who wait.
    callers: usize,
    /// How many callers were in the last group, or in line behind it.
    crowd: usize,
    /// How many groups were led.
    groups: usize,
    /// Memory for the next groups: one is led while another's results are handed out.
    spare: Vec<Vec<Place>>,
    /// Some requests did not fit into the group for which they came.
    left_over: bool,
    committer: Option<Background>,
}

/// Somebody in line, with what is asked for.
pub(super) struct Place {
    pub(super) request: Box<Request>,
    answer: Answer,
}

enum Answer {
    /// The leader's own.
    Leader,
    Caller(Arc<Caller>),
    Then(Then),
}

/// Where a waiting caller finds what became of it. Each thread has one.
#[derive(Default)]
struct Caller {
    done: AtomicBool,
    result: Mutex<Option<Box<Request>>>,
}

thread_local! {
    /// Taken while it is in use: a [`Then`] that runs on a leader's thread may append, too.
    static CALLER: Cell<Option<Arc<Caller>>> = const { Cell::new(None) };
}

thread_local! {
    /// What this thread still has to call, while it is calling.
    static CALLS: RefCell<Option<VecDeque<Call>>> = const { RefCell::new(None) };
}

/// What is to be called, and with what.
type Call = (Then, Box<Request>);

/// Calls each with its result. One that appends may make this thread lead another group: what is to
/// be called for that one waits until this one returns, so that calls never nest.
fn call_all(thens: Vec<Call>) {
    if thens.is_empty() {
        return;
    }
    let call = |(then, request): Call| {
        // A caller's function that panics is no matter of whoever runs it.
        let call = std::panic::AssertUnwindSafe(|| then(request.finish()));
        let _ = std::panic::catch_unwind(call);
    };
    let next = |calls: &RefCell<Option<VecDeque<_>>>| {
        let mut calls = calls.borrow_mut();
        let next = calls.as_mut().and_then(VecDeque::pop_front);
        if next.is_none() {
            *calls = None;
        }
        next
    };
    let mut thens = Some(thens);
    let outermost = CALLS.try_with(|calls| {
        let mut calls = calls.borrow_mut();
        let outermost = calls.is_none();
        calls.get_or_insert_default().extend(thens.take().into_iter().flatten());
        outermost
    });
    match outermost {
        Ok(true) => {
            while let Some(then) = CALLS.try_with(next).ok().flatten() {
                call(then);
            }
        }
        Ok(false) => {}
        // The thread is ending.
        Err(_) => thens.into_iter().flatten().for_each(call),
    }
}

/// What callers of a group sleep on.
#[derive(Default)]
struct Bell {
    sleepers: AtomicUsize,
    lock: std::sync::Mutex<()>,
    rung: Condvar,
}

impl Bell {
    /// Sleeps until the bell rings, unless there is news already. May wake for no reason.
    fn sleep_unless(&self, news: impl Fn() -> bool) {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !news() {
            drop(self.rung.wait(guard).unwrap_or_else(PoisonError::into_inner));
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Wakes those who sleep, or one of them. What they look for was stored before.
    fn ring(&self, all: bool) {
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) == 0 {
            return;
        }
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
        if all {
            self.rung.notify_all();
        } else {
            self.rung.notify_one();
        }
    }
}

impl Queue {
    /// Gives those who were just answered a moment to come back.
    fn gather<'a>(
        &'a self,
        mut line: MutexGuard<'a, Line>,
        own_callers: usize,
    ) -> MutexGuard<'a, Line> {
        let moment = self.sync_took.load(Ordering::Relaxed) / 2;
        if moment == 0 {
            return line;
        }
        let begun = Instant::now();
        while line.callers + own_callers < line.crowd
            && begun.elapsed() < Duration::from_nanos(moment)
        {
            drop(line);
            std::thread::yield_now();
            line = self.line.lock();
        }
        line
    }
}

impl Inner {
    /// Has the request committed, by this thread or by another, and gives it back with what became
    /// of it.
    pub(super) fn submit(&self, writer: &Writer, request: Box<Request>) -> Box<Request> {
        let queue = &writer.queue;
        let mut line = queue.line.lock();
        if line.waiting.is_empty() && !queue.led.load(Ordering::Relaxed) {
            queue.led.store(true, Ordering::Relaxed);
            let (own, leaderless) = self.lead(writer, line, Some(request));
            if leaderless {
                self.lead_for_all(writer);
            }
            return own.unwrap_or_default();
        }
        let bell = &queue.bells[(line.groups + 1) % 2];
        let caller = CALLER.try_with(Cell::take).ok().flatten().unwrap_or_default();
        caller.done.store(false, Ordering::Relaxed);
        line.waiting.push_back(Place { request, answer: Answer::Caller(caller.clone()) });
        line.callers += 1;
        drop(line);
        let mut looks = 0;
        while !caller.done.load(Ordering::Acquire) {
            if !queue.led.load(Ordering::Relaxed) {
                let line = queue.line.lock();
                // Without anybody in line this request is committed, and its result on the way.
                if !line.waiting.is_empty() && !queue.led.load(Ordering::Relaxed) {
                    queue.led.store(true, Ordering::Relaxed);
                    if self.lead(writer, line, None).1 {
                        self.lead_for_all(writer);
                    }
                    continue;
                }
                drop(line);
                std::thread::yield_now();
                continue;
            }
            looks += 1;
            if looks > SPINS + YIELDS || queue.syncing.load(Ordering::Relaxed) {
                let news =
                    || caller.done.load(Ordering::SeqCst) || !queue.led.load(Ordering::SeqCst);
                bell.sleep_unless(news);
            } else if looks > SPINS {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        let request = caller.result.lock().take().unwrap_or_default();
        let _ = CALLER.try_with(|own| own.set(Some(caller)));
        request
    }

    /// Puts the request in line and returns; `then` gets what becomes of it.
    pub(super) fn submit_then(&self, writer: &Writer, request: Box<Request>, then: Then) {
        let queue = &writer.queue;
        let mut line = queue.line.lock();
        line.waiting.push_back(Place { request, answer: Answer::Then(then) });
        let led = queue.led.load(Ordering::Relaxed) || self.wake_committer(writer, &mut line);
        drop(line);
        if !led {
            self.lead_for_all(writer);
        }
    }

    /// Has the committer lead, if there is one or one can be started.
    fn wake_committer(&self, writer: &Writer, line: &mut Line) -> bool {
        // A store that is being closed starts no thread any more.
        if self.closed.load(Ordering::Acquire) {
            return line.committer.as_ref().is_some_and(Background::wake);
        }
        let start = || Self::start_committer(writer.store.clone());
        line.committer.get_or_insert_with(start).wake()
    }

    fn start_committer(store: Weak<Inner>) -> Background {
        Background::start("batpak-commit", move |woken, _| {
            while woken.recv().is_ok() {
                let Some(store) = store.upgrade() else { return };
                if let Some(writer) = &store.writer {
                    store.lead_for_all(writer);
                }
            }
        })
    }

    /// Commits what is in line until nobody is, or somebody else leads.
    pub(super) fn lead_for_all(&self, writer: &Writer) {
        loop {
            let line = writer.queue.line.lock();
            if line.waiting.is_empty() || writer.queue.led.load(Ordering::Relaxed) {
                return;
            }
            writer.queue.led.store(true, Ordering::Relaxed);
            self.lead(writer, line, None);
        }
    }

    /// Ends the committer's thread; what is in line still is led by others.
    pub(super) fn stop_committer(&self, writer: &Writer) {
        let committer = writer.queue.line.lock().committer.take();
        if let Some(committer) = committer {
            committer.stop();
        }
    }

    /// Commits those who are in line and this thread's own request, if it has one that is not in
    /// line; then somebody else may lead. Gives the own request back, and says whether there are
    /// others in line whom nobody but this thread will lead.
    fn lead<'a>(
        &self,
        writer: &'a Writer,
        mut line: MutexGuard<'a, Line>,
        own: Option<Box<Request>>,
    ) -> (Option<Box<Request>>, bool) {
        let queue = &writer.queue;
        let own_callers = usize::from(own.is_some());
        if line.callers + own_callers < line.crowd {
            line = queue.gather(line, own_callers);
        }
        let mut group = line.spare.pop().unwrap_or_default();
        if let Some(request) = own {
            group.push(Place { request, answer: Answer::Leader });
        }
        let mut bytes = 0;
        let mut callers = own_callers;
        while bytes <= GROUP_BYTES
            && let Some(place) = line.waiting.pop_front()
        {
            bytes += place.request.frame_bytes();
            if matches!(place.answer, Answer::Caller(_)) {
                callers += 1;
                line.callers -= 1;
            }
            group.push(place);
        }
        line.groups += 1;
        let bell = line.groups % 2;
        let leaves = !line.waiting.is_empty();
        let left_over = std::mem::replace(&mut line.left_over, leaves);
        drop(line);

        // A panic must not leave the others waiting for ever.
        let guarded = std::panic::AssertUnwindSafe(|| self.commit(writer, &mut group));
        if std::panic::catch_unwind(guarded).is_err() {
            let why = "a defect in the library stopped the commit; read the log to see whether the \
                       events are in it";
            let error = Error::new(ErrorKind::Panic, why);
            let restart = std::panic::AssertUnwindSafe(|| self.restart(writer));
            if !matches!(std::panic::catch_unwind(restart), Ok(Ok(()))) {
                writer.poison(error.clone());
            }
            for place in &mut group {
                place.request.failure.get_or_insert_with(|| error.clone());
            }
        }
        queue.syncing.store(false, Ordering::Relaxed);

        // Nobody else in the group: its memory goes back with the lead.
        let alone = match group.as_slice() {
            [Place { answer: Answer::Leader, .. }] => group.pop(),
            _ => None,
        };
        // The next leader first: it can begin while results are handed out.
        let mut line = queue.line.lock();
        line.crowd = callers + line.callers;
        let in_line = !line.waiting.is_empty();
        let left_over = left_over || line.left_over;
        let by_committer =
            matches!(line.waiting.front(), Some(Place { answer: Answer::Then(_), .. }));
        let leaderless = by_committer && !self.wake_committer(writer, &mut line);
        queue.led.store(false, Ordering::SeqCst);
        if alone.is_some() {
            line.spare.push(std::mem::take(&mut group));
        }
        drop(line);
        if in_line {
            // Who came during this group sleeps on the other bell.
            queue.bells[1 - bell].ring(false);
        }

        if let Some(place) = alone {
            if left_over {
                queue.bells.iter().for_each(|bell| bell.ring(true));
            }
            return (Some(place.request), leaderless);
        }

        let mut own = None;
        let mut thens = Vec::new();
        for Place { request, answer } in group.drain(..) {
            match answer {
                Answer::Leader => own = Some(request),
                Answer::Caller(caller) => {
                    *caller.result.lock() = Some(request);
                    caller.done.store(true, Ordering::Release);
                }
                Answer::Then(then) => thens.push((then, request)),
            }
        }
        queue.bells[bell].ring(true);
        if left_over {
            queue.bells[1 - bell].ring(true);
        }
        if group.capacity() <= KEPT_PLACES {
            queue.line.lock().spare.push(group);
        }
        call_all(thens);
        (own, leaderless)
    }
}
