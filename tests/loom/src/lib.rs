//! What the commit queue needs around it, as little as will do: requests that know what became of
//! them, a commit that takes its turn, and a committer.
//!
//! `store`, `small_groups` and `without_threads` are the same but for how many requests fit into a
//! group, and for whether a committer can be started. Everything that threads share in the queue is
//! loom's.

pub mod growth;
pub mod locks;

mod error {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Error(pub String);

    pub enum ErrorKind {
        Panic,
    }

    pub type Result<T> = std::result::Result<T, Error>;

    impl Error {
        pub fn new(_kind: ErrorKind, message: &str) -> Self {
            Self(message.to_owned())
        }
    }
}

mod event {
    /// Who asked, and the place in the log.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Receipt {
        pub name: u32,
        pub sequence: u32,
    }
}

macro_rules! store {
    ($store:ident, $queue:literal, $background:ident) => {
        #[allow(unused_braces, reason = "loom's thread_local takes no `const` blocks")]
        pub mod $store {
            use crate::error::{Error, Result};
            use loom::sync::atomic::AtomicBool;
            use std::sync::{Arc, Weak};

            mod queue {
                include!(concat!(env!("OUT_DIR"), "/", $queue));
            }

            mod background {
                pub use crate::background::$background as Background;
            }

            mod prepare {
                pub use crate::request::Request;
            }

            mod commit {
                use super::queue::Queue;
                use super::*;

                pub(super) struct Writer {
                    pub(super) queue: Queue,
                    pub(super) store: Weak<Inner>,
                    /// The next place in the log, which only a leader touches.
                    pub(super) next: loom::cell::UnsafeCell<u32>,
                }

                impl Writer {
                    pub(super) fn poison(&self, error: Error) {
                        panic!("poisoned: {error:?}");
                    }
                }
            }

            use crate::event::Receipt;
            use crate::request::Request;
            use commit::Writer;
            use queue::Place;

            struct Inner {
                closed: AtomicBool,
                writer: Option<Writer>,
            }

            impl Inner {
                /// No commit here panics but by a failed assertion.
                fn restart(&self, _: &Writer) -> Result<()> {
                    Err(Error("a commit panicked".to_owned()))
                }

                /// Gives places in the order of the line. loom finds two leaders at once, and one that
                /// does not see what the one before it did.
                fn commit(&self, writer: &Writer, group: &mut [Place]) {
                    writer.next.with_mut(|next| {
                        for place in group {
                            // SAFETY: loom checks that nobody else is here.
                            let sequence = unsafe { &mut *next };
                            place.request.commit(*sequence);
                            *sequence += 1;
                        }
                    });
                }
            }

            // SAFETY: the cell is the only thing in it that is not shared safely anyway, and loom
            // checks how that is shared.
            unsafe impl Send for Inner {}
            // SAFETY: as above.
            unsafe impl Sync for Inner {}

            /// A store, as far as the queue knows it.
            #[derive(Clone)]
            pub struct Store(Arc<Inner>);

            impl Store {
                pub fn new() -> Self {
                    Self(Arc::new_cyclic(|store| Inner {
                        closed: AtomicBool::new(false),
                        writer: Some(Writer {
                            queue: Default::default(),
                            store: store.clone(),
                            next: loom::cell::UnsafeCell::new(0),
                        }),
                    }))
                }

                fn writer(&self) -> &Writer {
                    self.0.writer.as_ref().unwrap()
                }

                /// Appends and waits; gives the place in the log.
                pub fn append(&self, name: u32) -> u32 {
                    let request = self.0.submit(self.writer(), Request::new(name));
                    request.sequence_of(name)
                }

                /// Appends without waiting.
                pub fn append_then(
                    &self,
                    name: u32,
                    then: impl FnOnce(Result<Vec<Receipt>>) + Send + 'static,
                ) {
                    self.0.submit_then(self.writer(), Request::new(name), Box::new(then));
                }

                /// What close does to the queue.
                pub fn close(&self) {
                    self.0.submit(self.writer(), Request::new(u32::MAX));
                    self.0.closed.store(true, loom::sync::atomic::Ordering::Release);
                    self.0.stop_committer(self.writer());
                }
            }

            impl Default for Store {
                fn default() -> Self {
                    Self::new()
                }
            }
        }
    };
}

mod background;
mod request;

store!(store, "queue.rs", Background);
store!(small_groups, "small_groups.rs", Background);
store!(without_threads, "queue.rs", NoBackground);
