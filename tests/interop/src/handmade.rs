//! Segments made by hand: what no crate would write, next to what it would.

use serde::{Serialize, Serializer};

/// An event's frame, in the crate's words and order.
#[derive(Clone, Debug, Serialize)]
pub struct Frame {
    pub event: Inner,
    pub entity: String,
    pub scope: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Inner {
    pub header: Header,
    pub payload: Vec<u8>,
    pub hash_chain: Option<Links>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Header {
    pub event_id: Bytes,
    pub correlation_id: Bytes,
    pub causation_id: Option<Bytes>,
    pub timestamp_us: i64,
    pub position: Position,
    pub payload_size: u32,
    pub event_kind: u16,
    pub flags: u8,
    pub content_hash: [u8; 32],
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Position {
    pub wall_ms: u64,
    pub counter: u16,
    pub depth: u32,
    pub lane: u32,
    pub sequence: u32,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Links {
    pub prev_hash: [u8; 32],
    pub event_hash: [u8; 32],
}

/// MessagePack's byte string.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub [u8; 16]);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

/// The first event of a stream of its own: event `number`, with the payload `[number]`.
pub fn event(number: u8) -> Frame {
    let id = Bytes([number; 16]);
    let payload = vec![number];
    let event_hash = *blake3::hash(&payload).as_bytes();
    let position =
        Position { wall_ms: 1_700_000_000_000, counter: 0, depth: 0, lane: 0, sequence: 0 };
    Frame {
        event: Inner {
            header: Header {
                event_id: id,
                correlation_id: id,
                causation_id: None,
                timestamp_us: 1_700_000_000_000_000,
                position,
                payload_size: 1,
                event_kind: 0x1001,
                flags: 0,
                content_hash: event_hash,
            },
            payload,
            hash_chain: Some(Links { prev_hash: [0; 32], event_hash }),
        },
        entity: format!("order:{number}"),
        scope: "shop".to_owned(),
    }
}

/// The frame before a batch that says it has `items` events, or with none the one behind it.
pub fn marker(items: Option<u32>) -> Frame {
    let mut frame = event(0);
    frame.event.header.event_kind = if items.is_some() { 6 } else { 7 };
    frame.event.header.payload_size = items.unwrap_or(0);
    frame.event.payload.clear();
    frame.event.hash_chain = None;
    frame.entity = "_batch".to_owned();
    frame.scope = "_system".to_owned();
    frame
}

impl Frame {
    /// The same event with another payload, and the hash of that.
    #[must_use]
    pub fn with_payload(mut self, payload: Vec<u8>) -> Self {
        let event_hash = *blake3::hash(&payload).as_bytes();
        self.event.header.payload_size = payload.len() as u32;
        self.event.header.content_hash = event_hash;
        if let Some(links) = &mut self.event.hash_chain {
            links.event_hash = event_hash;
        }
        self.event.payload = payload;
        self
    }

    /// As it stands in a file.
    pub fn bytes(&self) -> Vec<u8> {
        framed(&self.body())
    }

    /// Without length and checksum.
    pub fn body(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("a frame that can be encoded")
    }
}

/// A body behind its length and checksum.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
    bytes.extend(crc32fast::hash(body).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

#[derive(Serialize)]
struct SegmentHeader {
    version: u16,
    flags: u16,
    created_ns: i64,
    segment_id: u64,
}

/// The beginning of segment `number`, of this version of the format.
pub fn header(version: u16, number: u64) -> Vec<u8> {
    let header = SegmentHeader {
        version,
        flags: 0,
        created_ns: 1_700_000_000_000_000_000,
        segment_id: number,
    };
    let header = rmp_serde::to_vec_named(&header).expect("a header that can be encoded");
    let mut bytes = b"FBAT".to_vec();
    bytes.extend((header.len() as u32).to_be_bytes());
    bytes.extend(header);
    bytes
}

/// A whole segment.
pub fn segment(number: u64, frames: &[Frame]) -> Vec<u8> {
    let mut bytes = header(1, number);
    for frame in frames {
        bytes.extend(frame.bytes());
    }
    bytes
}

/// A footer of no entries that claims to have `count`, with a table at `table_at`.
pub fn footer(table_at: u64, count: u32, magic: &[u8; 4]) -> Vec<u8> {
    let table = [0x90];
    let mut bytes = table.to_vec();
    bytes.extend(crc32fast::hash(&table).to_le_bytes());
    bytes.extend(table_at.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend_from_slice(magic);
    bytes
}

/// A sidecar: magic, version and checksum before the body.
pub fn sidecar(magic: &[u8; 6], version: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(crc32fast::hash(body).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}
