//! 128-bit ids and 256-bit hashes.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// The id of an event, of a correlation, or of a store: 16 bytes, shown as 32 hex digits.
///
/// An id that the caller gives to an event is its idempotency key. All zeros means "none".
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

/// A 32-byte hash, shown as 64 hex digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Id {
    /// The absent id.
    pub const NONE: Id = Id([0; 16]);

    /// Whether this is the absent id.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// The idempotency key of an operation: the first 16 bytes of BLAKE3 over the domain, the
    /// number of components and the components, each preceded by its length (u64, little-endian).
    ///
    /// ```
    /// use batpak_core::Id;
    /// let key = Id::for_operation("billing", &[b"invoice-7", b"paid"]);
    /// assert_eq!(key, Id::for_operation("billing", &[b"invoice-7", b"paid"]));
    /// assert_ne!(key, Id::for_operation("billing", &[b"invoice-7p", b"aid"]));
    /// ```
    pub fn for_operation(domain: &str, components: &[&[u8]]) -> Id {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(domain.len() as u64).to_le_bytes());
        hasher.update(domain.as_bytes());
        hasher.update(&(components.len() as u64).to_le_bytes());
        for component in components {
            hasher.update(&(component.len() as u64).to_le_bytes());
            hasher.update(component);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Id(id)
    }
}

impl Hash {
    /// Thirty-two zero bytes: the predecessor of a stream's first event.
    pub const ZERO: Hash = Hash([0; 32]);
}

macro_rules! hex_text {
    ($type:ident, $digits:literal, $what:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let refuse = || Error::invalid(concat!($what, " is not ", $digits, " hex digits"));
                let mut value = Self::default();
                if text.len() != value.0.len() * 2 || !text.is_ascii() {
                    return Err(refuse());
                }
                for (byte, pair) in value.0.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    let high = (pair[0] as char).to_digit(16).ok_or_else(refuse)?;
                    let low = (pair[1] as char).to_digit(16).ok_or_else(refuse)?;
                    *byte = (high << 4 | low) as u8;
                }
                Ok(value)
            }
        }
    };
}

hex_text!(Id, "32", "the id");
hex_text!(Hash, "64", "the hash");

/// Makes event ids: UUID version 7 (milliseconds, then random bits) from a buffered generator,
/// so that an id costs no system call; or, with a seed, ids that depend on the sequence alone.
pub(crate) struct IdSource {
    key: [u8; 32],
    counter: u64,
    seeded: bool,
    block: [u8; 64],
    used: usize,
}

impl IdSource {
    pub(crate) fn random() -> Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|e| Error::new(crate::ErrorKind::Io, format!("no random numbers: {e}")))?;
        Ok(Self { key, counter: 0, seeded: false, block: [0; 64], used: 64 })
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        let key = *blake3::hash(&seed.to_le_bytes()).as_bytes();
        Self { key, counter: 0, seeded: true, block: [0; 64], used: 64 }
    }

    /// The id for the event at `sequence`, recorded at `wall_us`.
    pub(crate) fn event_id(&mut self, sequence: u64, wall_us: i64) -> Id {
        if self.seeded {
            return self.derived(b"event", sequence);
        }
        let mut id = self.random_bytes();
        let milliseconds = (wall_us.max(0) as u64 / 1000).to_be_bytes();
        id[..6].copy_from_slice(&milliseconds[2..]);
        id[6] = 0x70 | (id[6] & 0x0F);
        id[8] = 0x80 | (id[8] & 0x3F);
        Id(id)
    }

    /// An id for a new store or lineage.
    pub(crate) fn store_id(&mut self, purpose: &[u8]) -> Id {
        if self.seeded { self.derived(purpose, 0) } else { Id(self.random_bytes()) }
    }

    /// An id for a fork of a store that is made at this event.
    pub(crate) fn fork_id(&mut self, parent: Id, at: u64) -> Id {
        if self.seeded { self.derived(&parent.0, at) } else { Id(self.random_bytes()) }
    }

    fn derived(&self, purpose: &[u8], number: u64) -> Id {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(purpose);
        hasher.update(&number.to_le_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Id(id)
    }

    fn random_bytes(&mut self) -> [u8; 16] {
        if self.used == self.block.len() {
            let mut hasher = blake3::Hasher::new_keyed(&self.key);
            hasher.update(&self.counter.to_le_bytes());
            hasher.finalize_xof().fill(&mut self.block);
            self.counter += 1;
            self.used = 0;
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.block[self.used..self.used + 16]);
        self.used += 16;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        let text = "000102030405060708090a0b0c0d0e0f";
        assert_eq!(text.parse::<Id>().unwrap().to_string(), text);
        for bad in ["", "00", "g00102030405060708090a0b0c0d0e0f", "éé0102030405060708090a0b0c0d0e"]
        {
            assert!(bad.parse::<Id>().is_err(), "{bad}");
        }
    }

    #[test]
    fn random_ids_are_version_7_and_distinct() {
        let mut ids = IdSource::random().unwrap();
        let made: std::collections::HashSet<_> =
            (0..1000).map(|s| ids.event_id(s, 1_700_000_000_000_000)).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| id.0[6] >> 4 == 7 && id.0[8] >> 6 == 2));
        let milliseconds = 1_700_000_000_000u64.to_be_bytes();
        assert!(made.iter().all(|id| id.0[..6] == milliseconds[2..]));
    }

    #[test]
    fn seeded_ids_depend_on_the_sequence_alone() {
        let first = IdSource::seeded(7).event_id(3, 0);
        let mut again = IdSource::seeded(7);
        again.event_id(1, 5);
        assert_eq!(first, again.event_id(3, 99));
        assert_ne!(first, IdSource::seeded(8).event_id(3, 0));
    }
}
