//! The commit queue: callers wait in line, and the front one commits for all who wait.
//!
//! A caller that finds nobody leading leads at once, on its own thread. While it writes and syncs,
//! others queue up; when it is done it hands the lead to the first of them, who takes everybody
//! with it. There is no thread of the library's own on this path, so nothing is handed over when
//! nobody else waits, and one write and one sync serve all who came meanwhile.

use super::Inner;
use super::commit::{Outcome, Writer};
use super::prepare::Request;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Receipt;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;

/// A group takes no further requests once its frames may take so many bytes.
const GROUP_BYTES: usize = 64 << 20;

/// What is called with the result of an append that nobody waits for.
pub type Then = Box<dyn FnOnce(Result<Vec<Receipt>>) + Send>;

#[derive(Default)]
pub(super) struct Queue(Mutex<Line>);

#[derive(Default)]
struct Line {
    /// Somebody commits right now.
    led: bool,
    waiting: std::collections::VecDeque<Place>,
}

/// A caller in line, with what it asks for.
struct Place {
    request: Request,
    caller: Arc<Caller>,
}

/// Where a waiting caller learns what became of it.
#[derive(Default)]
struct Caller {
    news: Mutex<Option<News>>,
    told: Condvar,
}

enum News {
    Done(Result<Vec<Receipt>>),
    /// Nobody has committed it yet: lead now.
    Lead(Request),
}

impl Caller {
    fn tell(&self, news: News) {
        *self.news.lock() = Some(news);
        self.told.notify_one();
    }

    fn wait(&self) -> News {
        let mut news = self.news.lock();
        loop {
            if let Some(news) = news.take() {
                return news;
            }
            self.told.wait(&mut news);
        }
    }
}

impl Inner {
    /// Has the request committed, by this thread or by another.
    pub(super) fn submit(&self, writer: &Writer, request: Request) -> Result<Vec<Receipt>> {
        let mut line = writer.queue.0.lock();
        if !line.led {
            line.led = true;
            drop(line);
            return self.lead(writer, request);
        }
        let caller = Arc::new(Caller::default());
        line.waiting.push_back(Place { request, caller: caller.clone() });
        drop(line);
        match caller.wait() {
            News::Done(result) => result,
            News::Lead(request) => self.lead(writer, request),
        }
    }

    /// Commits this request and those of all who wait, then hands the lead on.
    fn lead(&self, writer: &Writer, own: Request) -> Result<Vec<Receipt>> {
        let mut requests = vec![own];
        let mut callers = Vec::new();
        let mut bytes = requests[0].frame_bytes();
        {
            let mut line = writer.queue.0.lock();
            while let Some(place) = line.waiting.front() {
                bytes += place.request.frame_bytes();
                if bytes > GROUP_BYTES {
                    break;
                }
                if let Some(place) = line.waiting.pop_front() {
                    requests.push(place.request);
                    callers.push(place.caller);
                }
            }
        }

        // A panic must not leave the others waiting for ever.
        let guarded = std::panic::AssertUnwindSafe(|| self.commit(writer, &requests));
        let outcome = std::panic::catch_unwind(guarded).unwrap_or_else(|_| {
            let error = Error::new(ErrorKind::Panic, "a defect in the library stopped the commit");
            writer.poison(error.clone());
            Outcome::failed(requests.len(), &error)
        });

        let mut results = outcome.results.into_iter();
        let own = results.next();
        for (caller, result) in callers.iter().zip(results) {
            caller.tell(News::Done(result));
        }
        let mut line = writer.queue.0.lock();
        match line.waiting.pop_front() {
            Some(place) => place.caller.tell(News::Lead(place.request)),
            None => line.led = false,
        }
        drop(line);
        own.unwrap_or_else(|| Err(Error::new(ErrorKind::Panic, "the commit gave no result")))
    }
}
