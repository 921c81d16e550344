//! A front that commits the appends of many threads together: what somebody would put before a
//! store that syncs for each transaction.

use crate::log::{Failure, Log, NewEvent, Result, Safety, Visit};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;

/// A thread that finds nobody committing takes what is queued, its own events among it, and commits
/// it with the safety that it wants, which is everybody's, while the next group gathers.
pub struct Grouped {
    log: Box<dyn Log>,
    queue: Mutex<Queue>,
    /// For the members of groups with even and with odd numbers, so that the end of a group wakes
    /// its own members and of the next group only one, who leads it.
    ended: [Condvar; 2],
}

#[derive(Default)]
struct Queue {
    /// The group that gathers.
    group: u64,
    events: Vec<Queued>,
    /// Whether the group before is being committed.
    committing: bool,
    /// A failed commit fails the log: nobody measures what comes after.
    failure: Option<Arc<Failure>>,
}

struct Queued {
    entity: String,
    kind: u16,
    payload: Vec<u8>,
}

impl Grouped {
    pub fn new(log: Box<dyn Log>) -> Self {
        Self { log, queue: Mutex::default(), ended: Default::default() }
    }
}

impl Log for Grouped {
    fn append(&self, events: &[NewEvent<'_>], safety: Safety) -> Result<()> {
        let queued = events.iter().map(|event| Queued {
            entity: event.entity.to_owned(),
            kind: event.kind,
            payload: event.payload.to_owned(),
        });
        let queued: Vec<Queued> = queued.collect();

        let mut queue = self.queue.lock();
        let own = queue.group;
        let ended = |group: u64| &self.ended[group as usize % 2];
        queue.events.extend(queued);
        // While somebody commits, it is the group before the one that gathers.
        while queue.committing && queue.group <= own + 1 {
            ended(own).wait(&mut queue);
        }
        if queue.group == own {
            queue.committing = true;
            queue.group += 1;
            let group = std::mem::take(&mut queue.events);
            drop(queue);
            let events: Vec<_> = group
                .iter()
                .map(|event| NewEvent {
                    entity: &event.entity,
                    kind: event.kind,
                    payload: &event.payload,
                })
                .collect();
            let result = self.log.append(&events, safety);
            queue = self.queue.lock();
            queue.committing = false;
            queue.failure = result.err().map(Arc::new).or(queue.failure.take());
            ended(own).notify_all();
            ended(own + 1).notify_one();
        }
        match &queue.failure {
            None => Ok(()),
            Some(failure) => Err(failure.to_string().into()),
        }
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        self.log.scan(visit)
    }
}
