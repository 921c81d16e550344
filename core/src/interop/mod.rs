//! The formats of the batpak crate 0.1 to 0.10, which are FBAT version 1: pure readers and writers,
//! and [`recover`], which decides what a directory holds. Used by open, import and export alone.
//!
//! Imports `storage`, `format` and the vocabulary.

pub(crate) mod frame;
pub(crate) mod links;
pub(crate) mod message;
pub(crate) mod payload;
pub(crate) mod receipt;
pub(crate) mod recover;
mod scan;
pub(crate) mod segment;
pub(crate) mod sidecar;
pub(crate) mod translate;

/// The extension of an event whose payload has no key: the name of the key.
pub(crate) const SHREDDED: &str = "batpak.shredded";
/// The extension of an event whose payload its key does not open: the name of the key.
pub(crate) const UNDECRYPTABLE: &str = "batpak.undecryptable";
/// The extension of an event whose payload is ciphertext: the nonce, then the name of the key.
pub(crate) const ENCRYPTION: &str = "batpak.encryption";
