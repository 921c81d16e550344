//! What one thread at a time may use, such as a scan.

use crate::argument::invalid;
use batpak_core::{Error, ErrorKind, Result};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// A value for one thread at a time. That another thread has it is reported, not waited for: the
/// other may be a thread that a fork left behind.
pub(crate) struct Exclusive<T> {
    value: Mutex<T>,
    /// The process that made it.
    process: u32,
}

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), process: std::process::id() }
    }

    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, T>> {
        match self.value.try_lock() {
            Ok(value) => Ok(value),
            Err(TryLockError::WouldBlock) if self.process != std::process::id() => Err(forked()),
            Err(TryLockError::WouldBlock) => {
                Err(invalid("another thread is in a call on this handle; use one per thread"))
            }
            Err(TryLockError::Poisoned(_)) => Err(Error::new(
                ErrorKind::Panic,
                "an earlier call on this handle ended in a defect of the library; open another",
            )),
        }
    }
}

/// What a handle says in a forked child.
pub(crate) fn forked() -> Error {
    let text = "the store was opened before a fork; open it again in this process";
    Error::new(ErrorKind::Forked, text)
}
