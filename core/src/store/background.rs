//! A thread of the store's own, which sleeps until it is woken. No promise rests on there being
//! one: where none can be started, appends do its work.

use crate::process;
use std::thread::JoinHandle;

pub(super) struct Background {
    process: u64,
    /// `None` if there is no thread, or once it was told to stop.
    handles: Option<Handles>,
}

struct Handles {
    wake: flume::Sender<()>,
    /// Dropped to tell the thread to end.
    stop: flume::Sender<()>,
    thread: JoinHandle<()>,
}

impl Background {
    /// Starts a thread with this work. It gets what wakes it, and what is disconnected when it is
    /// to end; `wake` is disconnected then, too.
    pub(super) fn start(
        name: &str,
        work: impl FnOnce(flume::Receiver<()>, flume::Receiver<()>) + Send + 'static,
    ) -> Self {
        let (wake, woken) = flume::bounded(1);
        let (stop, stopped) = flume::bounded(0);
        let thread = std::thread::Builder::new().name(name.into());
        let thread = thread.spawn(move || work(woken, stopped)).ok();
        let handles = thread.map(|thread| Handles { wake, stop, thread });
        Self { process: process::generation(), handles }
    }

    /// Wakes the thread, now or when it next sleeps. `false` if there is none.
    pub(super) fn wake(&self) -> bool {
        let Some(handles) = &self.handles else { return false };
        !matches!(handles.wake.try_send(()), Err(flume::TrySendError::Disconnected(())))
    }

    /// Ends the thread and waits for it, so that none of the library's code runs after a close.
    pub(super) fn stop(mut self) {
        let Some(Handles { wake, stop, thread }) = self.handles.take() else { return };
        drop((wake, stop));
        // The thread itself may hold the last handle of the store.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}

impl Drop for Background {
    /// In a forked child the thread does not exist, and may have left a lock of its channels
    /// behind locked: they are not touched.
    fn drop(&mut self) {
        if process::generation() != self.process {
            std::mem::forget(self.handles.take());
        }
    }
}
