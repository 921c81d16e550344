//! What a crate says about an event, about a store, and about an append.

/// An event as a crate reports it. What the version's interface cannot tell is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldEvent {
    /// Its place in the whole log.
    pub sequence: u64,
    pub id: u128,
    pub correlation: u128,
    pub causation: Option<u128>,
    pub timestamp_us: i64,
    pub wall_ms: u64,
    pub clock: u32,
    pub lane: u32,
    pub depth: u32,
    /// As the frame has it: category << 12 | type.
    pub kind: u16,
    pub flags: u8,
    /// Since 0.9.
    pub payload_version: Option<u16>,
    /// The bytes as stored: the ciphertext of an encrypted payload.
    pub payload: Vec<u8>,
    pub entity: String,
    pub scope: String,
    /// By rising key. Since 0.8.
    pub extensions: Option<Vec<(String, Vec<u8>)>>,
    pub hash: [u8; 32],
    pub prev_hash: [u8; 32],
    /// Set for an encrypted payload. Since 0.9.
    pub encryption: Option<Encryption>,
}

/// What a crate says about an encrypted payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// Which key it needs.
    pub keyscope: Vec<u8>,
    /// What the key makes of it; `None` after the key was shredded.
    pub plain: Option<Vec<u8>>,
}

/// Everything that a crate shows of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// By rising sequence.
    pub events: Vec<OldEvent>,
    /// The sequence and id of those that are listed but cannot be read, and why.
    pub unreadable: Vec<(u64, u128, String)>,
}

impl Reading {
    /// The events that a user appended, in order.
    pub fn user_events(&self) -> impl Iterator<Item = &OldEvent> {
        self.events.iter().filter(|event| event.entity != SYSTEM_ENTITY)
    }
}

/// Where the crates since 0.7 record that a store was opened and closed.
pub const SYSTEM_ENTITY: &str = "batpak:store";

/// What `verify_chain` of 0.9 and 0.10 counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    pub checked: usize,
    /// Payloads that do not have the hash that is stored with them.
    pub mismatches: usize,
    /// Links to a hash that no visible event has.
    pub dangling: usize,
}

/// What an append returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub id: u128,
    pub sequence: u64,
    /// Since 0.7; zeros without a signature.
    pub key_id: [u8; 32],
    /// Since 0.7.
    pub signature: Option<[u8; 64]>,
}

impl Receipt {
    /// One line for [`parse`](Self::parse).
    pub fn line(&self) -> String {
        let signature = self.signature.map(|bytes| hex(&bytes)).unwrap_or_default();
        format!("{:032x} {} {} {signature}", self.id, self.sequence, hex(&self.key_id))
    }

    /// Reads what [`line`](Self::line) wrote.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        Some(Self {
            id: u128::from_str_radix(words.next()?, 16).ok()?,
            sequence: words.next()?.parse().ok()?,
            key_id: unhex(words.next()?)?.try_into().ok()?,
            signature: match words.next()? {
                "" => None,
                text => Some(unhex(text)?.try_into().ok()?),
            },
        })
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
