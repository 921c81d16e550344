//! A request, as far as the queue knows it.

use crate::error::{Error, Result};
use crate::event::Receipt;

/// What one call asks for, and what became of it.
#[derive(Default)]
pub struct Request {
    name: u32,
    receipts: Vec<Receipt>,
    pub failure: Option<Error>,
}

impl Request {
    pub fn new(name: u32) -> Box<Self> {
        Box::new(Self { name, ..Self::default() })
    }

    /// More than a small group takes.
    pub fn frame_bytes(&self) -> usize {
        2
    }

    pub fn commit(&mut self, sequence: u32) {
        assert_eq!(self.receipts, [], "committed twice");
        self.receipts.push(Receipt { name: self.name, sequence });
    }

    #[allow(clippy::boxed_local, reason = "core's is boxed, too")]
    pub fn finish(self: Box<Self>) -> Result<Vec<Receipt>> {
        match self.failure {
            Some(error) => Err(error),
            None => Ok(self.receipts),
        }
    }

    /// Where it was committed, which it must have been, once, and as itself.
    pub fn sequence_of(self: Box<Self>, name: u32) -> u32 {
        let receipts = self.finish().unwrap();
        assert_eq!((receipts.len(), receipts[0].name), (1, name));
        receipts[0].sequence
    }
}
