//! The private native module `batpak._batpak`: classes over core, re-exported by `batpak`.
//!
//! Three rules hold in all files. Every call into core goes through `errors::call`, which releases
//! the GIL and stops panics. No lock is held while waiting for the GIL. No memory that Python can
//! change is read without the GIL: payloads are immutable `bytes`, everything else is copied first.

#![deny(unsafe_code)]

#[cfg(panic = "abort")]
compile_error!("a panic must unwind to become an exception: build with panic = \"unwind\"");

mod append_async;
mod arguments;
mod compact;
mod errors;
mod event;
mod fence;
mod follow_async;
mod gates;
mod inspect;
mod new_event;
mod outbox;
mod payload;
mod reading;
mod receipt;
mod repair;
mod store;
mod values;

#[pyo3::pymodule]
mod _batpak {
    #[pymodule_export]
    use crate::errors::error_kinds;
    #[pymodule_export]
    use crate::event::Event;
    #[pymodule_export]
    use crate::fence::Fence;
    #[pymodule_export]
    use crate::follow_async::AsyncFollowIterator;
    #[pymodule_export]
    use crate::gates::evaluate;
    #[pymodule_export]
    use crate::inspect::inspect;
    #[pymodule_export]
    use crate::new_event::{Item, NewEvent, operation_id};
    #[pymodule_export]
    use crate::reading::{EventIterator, FollowIterator, PackedIterator, PageIterator};
    #[pymodule_export]
    use crate::receipt::{Receipt, Receipts};
    #[pymodule_export]
    use crate::repair::repair;
    #[pymodule_export]
    use crate::store::Store;

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "it is the name in Python")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
