//! Event kinds: four bits of category, twelve bits of type.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;

/// What an event says: the high four bits are a category, the low twelve a type within it.
///
/// Category 0x0 (system) and 0xD (effects) belong to the library; the other fourteen are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKind(pub u16);

impl EventKind {
    /// A general-purpose kind for data without a vocabulary of its own.
    pub const DATA: EventKind = EventKind(0x1000);
    /// A gate's refusal, recorded by the library.
    pub const DENIAL: EventKind = EventKind(0x000F);
    /// In the place of an event that is not to be seen any more.
    pub const TOMBSTONE: EventKind = EventKind(0x0FFE);

    /// The kind of this category (0 to 15) and type (0 to 4,095), if it is free for users.
    pub fn new(category: u8, type_id: u16) -> Result<Self> {
        if category > 0xF || type_id > 0xFFF {
            return Err(Error::new(
                ErrorKind::InvalidKind,
                format!("category {category} or type {type_id} is out of range (0..=15, 0..=4095)"),
            ));
        }
        let kind = Self(u16::from(category) << 12 | type_id);
        kind.check_user()?;
        Ok(kind)
    }

    /// The category, 0 to 15.
    pub const fn category(self) -> u8 {
        (self.0 >> 12) as u8
    }

    /// The type within the category, 0 to 4,095.
    pub const fn type_id(self) -> u16 {
        self.0 & 0x0FFF
    }

    /// Whether the library keeps this kind for itself.
    pub const fn is_reserved(self) -> bool {
        matches!(self.category(), 0x0 | 0xD)
    }

    pub(crate) fn check_user(self) -> Result<()> {
        if self.is_reserved() {
            return Err(Error::new(
                ErrorKind::InvalidKind,
                format!("kind {self} is reserved; use a category other than 0x0 and 0xD"),
            ));
        }
        Ok(())
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_and_guards() {
        assert_eq!(EventKind::new(0xF, 0xA01).unwrap(), EventKind(0xFA01));
        assert_eq!(EventKind(0xFA01).category(), 0xF);
        assert_eq!(EventKind(0xFA01).type_id(), 0xA01);
        for (category, type_id) in [(0, 1), (0xD, 1), (16, 0), (1, 0x1000)] {
            let error = EventKind::new(category, type_id).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidKind);
        }
    }
}
