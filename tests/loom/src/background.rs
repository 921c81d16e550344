//! A thread that sleeps until it is woken, with loom's threads: a channel of one word. And none,
//! where the system gives no more threads.

use loom::sync::{Condvar, Mutex};
use std::sync::Arc;

#[derive(Default)]
struct Channel {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    woken: bool,
    stopped: bool,
}

pub struct Receiver(Arc<Channel>);

impl Receiver {
    /// Waits for a word; an error once there is none and none will come.
    pub fn recv(&self) -> Result<(), ()> {
        let mut state = self.0.state.lock().unwrap();
        loop {
            if std::mem::take(&mut state.woken) {
                return Ok(());
            }
            if state.stopped {
                return Err(());
            }
            state = self.0.changed.wait(state).unwrap();
        }
    }
}

pub struct Background {
    channel: Arc<Channel>,
    thread: Option<loom::thread::JoinHandle<()>>,
}

impl Background {
    pub fn start(_name: &str, work: impl FnOnce(Receiver, Receiver) + Send + 'static) -> Self {
        let channel = Arc::<Channel>::default();
        let (woken, stopped) = (Receiver(channel.clone()), Receiver(channel.clone()));
        let thread = Some(loom::thread::spawn(move || work(woken, stopped)));
        Self { channel, thread }
    }

    pub fn wake(&self) -> bool {
        let mut state = self.channel.state.lock().unwrap();
        state.woken = true;
        self.channel.changed.notify_one();
        !state.stopped
    }

    pub fn stop(mut self) {
        let mut state = self.channel.state.lock().unwrap();
        state.stopped = true;
        self.channel.changed.notify_one();
        drop(state);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

pub struct NoBackground;

impl NoBackground {
    pub fn start(_name: &str, _work: impl FnOnce(Receiver, Receiver) + Send + 'static) -> Self {
        Self
    }

    pub fn wake(&self) -> bool {
        false
    }

    pub fn stop(self) {}
}
