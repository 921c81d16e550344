//! What everything that is measured can be asked to do.

pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T> = std::result::Result<T, Failure>;

/// How far an append must have come before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// In memory, in order.
    Buffered,
    /// In the file: it survives a killed process.
    Written,
    /// Confirmed by a sync: it survives a power cut.
    Durable,
}

impl Safety {
    pub fn word(self) -> &'static str {
        match self {
            Self::Buffered => "buffered",
            Self::Written => "written",
            Self::Durable => "durable",
        }
    }
}

/// An event to append. All have the scope [`SCOPE`].
#[derive(Clone, Copy)]
pub struct NewEvent<'a> {
    pub entity: &'a str,
    /// Below [`workload::KINDS`](crate::workload::KINDS).
    pub kind: u16,
    pub payload: &'a [u8],
}

pub const SCOPE: &str = "bench";

/// Gets an event's id, zeros where there are none, and its payload.
pub type Visit<'a> = dyn FnMut(&[u8; 16], &[u8]) + 'a;

/// The order of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Forwards,
    Backwards,
}

/// Something that events can be appended to, by any number of threads.
pub trait Log: Sync {
    /// Appends all events or none, with one commit.
    fn append(&self, events: &[NewEvent<'_>], safety: Safety) -> Result<()>;

    /// Writes what is buffered.
    fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// All events that are written, in order.
    fn scan(&self, visit: &mut Visit<'_>) -> Result<()>;
}

/// A log that finds its events again. Sequences count from 0.
pub trait Store: Log {
    fn by_sequence(&self, sequence: u64, visit: &mut Visit<'_>) -> Result<()>;

    /// Whether events have sequences to be found by, in both directions.
    fn has_sequences(&self) -> bool {
        true
    }

    fn by_id(&self, id: &[u8; 16], visit: &mut Visit<'_>) -> Result<()>;

    /// The events of one entity, in order.
    fn stream(&self, entity: &str, visit: &mut Visit<'_>) -> Result<()>;

    /// The events of one kind of all entities below `prefix:`, in order of their sequences.
    fn region(&self, prefix: &str, kind: u16, visit: &mut Visit<'_>) -> Result<()>;

    /// So many events from this sequence on, forwards or backwards.
    fn page(&self, from: u64, count: usize, way: Way, visit: &mut Visit<'_>) -> Result<()>;

    fn close(self: Box<Self>) -> Result<()>;
}
