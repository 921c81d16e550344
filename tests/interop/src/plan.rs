//! What a crate is asked to write: sessions of steps, the same for every version.

use crate::version::Version;
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use std::path::Path;

/// An event to append.
#[derive(Clone, Debug)]
pub struct Draft {
    pub entity: String,
    pub scope: String,
    /// Category << 12 | type.
    pub kind: u16,
    pub payload: Payload,
    /// The idempotency key, which becomes the event's id.
    pub key: Option<u128>,
    pub correlation: Option<u128>,
    pub causation: Option<u128>,
    pub lane: u32,
    pub depth: u32,
    pub flags: u8,
    /// 0, 1 or 3. Since 0.9.
    pub payload_version: u16,
    /// Since 0.8.
    pub extensions: Vec<(&'static str, Vec<u8>)>,
}

/// What an event carries; every crate encodes it as MessagePack.
#[derive(Clone, Debug)]
pub enum Payload {
    Json(serde_json::Value),
    /// A map with its keys in this order.
    Map(Vec<(&'static str, u64)>),
    /// MessagePack's own byte string, which JSON does not have.
    Bytes(Vec<u8>),
    /// Any bytes, stored as they are. Only batches take them.
    Raw(Vec<u8>),
}

impl Payload {
    /// The bytes that every version stores.
    pub fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.clone(),
            payload => rmp_serde::to_vec_named(payload).expect("a payload that can be encoded"),
        }
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(value) => value.serialize(serializer),
            Self::Map(pairs) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Raw(_) => Err(S::Error::custom("only a batch takes raw bytes")),
        }
    }
}

/// The kind whose events the compactions of the cases drop.
pub const DROPPED: u16 = 0x1002;

/// An event of `entity` that tells its number.
pub fn draft(entity: &str, number: u64) -> Draft {
    Draft {
        entity: entity.to_owned(),
        scope: "shop".to_owned(),
        kind: 0x1001,
        payload: Payload::Json(serde_json::json!({ "n": number, "text": "ünï\u{7f}\u{0}" })),
        key: None,
        correlation: None,
        causation: None,
        lane: 0,
        depth: 0,
        flags: 0,
        payload_version: 0,
        extensions: Vec::new(),
    }
}

/// `count` events over three entities; every third is of the kind that compaction drops.
pub fn drafts(first: u64, count: u64) -> Vec<Draft> {
    let one = |n: u64| {
        let mut draft = draft(&format!("order:{}", n % 3), n);
        if n % 3 == 1 {
            draft.kind = DROPPED;
        }
        draft
    };
    (first..first + count).map(one).collect()
}

/// One thing to do with an open store.
#[derive(Clone, Debug)]
pub enum Step {
    Append(Draft),
    Batch(Vec<Draft>),
    Fence(Vec<Draft>, FenceEnd),
    Compact(Compaction),
    /// Forgets the key of an entity.
    Shred(&'static str),
    /// Closes and opens.
    Reopen,
}

/// How a visibility fence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceEnd {
    Commit,
    Cancel,
    /// It never does: the process dies before.
    Open,
}

/// Merge keeps every event, retention drops those of kind [`DROPPED`], tombstone marks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compaction {
    Merge,
    Retention,
    Tombstone,
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Close,
    /// The process dies without closing the store.
    Kill,
}

/// What one process does with the store, and what happens to the files afterwards.
#[derive(Clone, Debug)]
pub struct Session {
    pub steps: Vec<Step>,
    pub end: End,
    pub damage: Option<Damage>,
    /// The version of the crate that does it, if not the one that writes the rest.
    pub by: Option<Version>,
}

/// A change of the files behind the crate's back, such as a crash leaves.
#[derive(Clone, Copy, Debug)]
pub struct Damage {
    pub change: fn(&Path),
    /// How many of the newest user events are gone with it.
    pub lost: usize,
}

/// How the store is configured.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub segment_max_bytes: u64,
    pub signing: bool,
    pub encryption: Option<Granularity>,
    /// Whether a clean close writes index.ckpt in place of index.fbati.
    pub checkpoint: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let segment_max_bytes = 256 << 20;
        Self { segment_max_bytes, signing: false, encryption: None, checkpoint: false }
    }
}

/// How many payloads share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    Entity,
    Category,
    Kind,
    Event,
}

/// The secret half of the key that signs the receipts of the cases.
pub const SIGNING_SEED: [u8; 32] = *b"a seed that everybody may know..";

/// Time as the stores of the cases see it: every look at the clock takes 250 µs, and every process
/// starts well after the one before it.
pub fn clock(dir: &Path) -> impl Fn() -> i64 + Send + Sync + 'static {
    use std::sync::atomic::{AtomicI64, Ordering};
    let segments = crate::directory::segments(dir).len() as i64;
    let now = AtomicI64::new(1_700_000_000_000_000 + segments * 1_000_000_000);
    move || now.fetch_add(250, Ordering::Relaxed)
}
