//! One event of the batpak crate 0.x: eight bytes of length and checksum, then a MessagePack map.
//! The versions 0.1 to 0.10 differ only in fields that later ones added.
//!
//! A frame is, in this order: the length of the body (u32, big-endian), the CRC-32 of the body
//! (u32, big-endian), the body. Nothing marks where a frame begins.

use super::message::{Parsed, Reader, Write};
use crate::format::crc32;
use crate::ids::{Hash, Id};
use std::borrow::Cow;

/// The bytes before the body.
pub(crate) const PREFIX_BYTES: usize = 8;
/// The most bytes of a body.
pub(crate) const MAX_BODY_BYTES: usize = 256 << 20;
/// How the body of every frame that a crate wrote begins: a map of three or four, whose first
/// field is the event, whose first field is the header.
const BEGINNING: &[u8] = b"\xa5event\x83\xa6header";

/// The kinds of the frames around a batch, and of the event that every opening writes.
pub(crate) const KIND_BATCH_BEGIN: u16 = 0x0006;
pub(crate) const KIND_BATCH_COMMIT: u16 = 0x0007;
pub(crate) const KIND_OPENED: u16 = 0x0008;

/// What a body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OldEvent<'a> {
    pub(crate) id: Id,
    pub(crate) correlation: Id,
    pub(crate) causation: Id,
    pub(crate) timestamp_us: i64,
    pub(crate) wall_ms: u64,
    pub(crate) clock: u32,
    pub(crate) lane: u32,
    pub(crate) depth: u32,
    /// The number of items, where a batch begins; of any other event, the payload's length.
    pub(crate) payload_size: u32,
    pub(crate) kind: u16,
    pub(crate) flags: u8,
    pub(crate) payload_version: u16,
    /// Whether the payload's version is there: from 0.9 on, when each lane of an entity has links of
    /// its own.
    pub(crate) links_lanes: bool,
    pub(crate) encryption: Option<Encryption<'a>>,
    pub(crate) payload: Payload<'a>,
    /// The value that holds the payload, as it stands in the frame.
    pub(crate) payload_value: &'a [u8],
    /// The hash of the predecessor and its own; the frames around a batch have none.
    pub(crate) chain: Option<(Hash, Hash)>,
    pub(crate) entity: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) extensions: Vec<(&'a str, Cow<'a, [u8]>)>,
}

/// How a payload was encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encryption<'a> {
    /// Names the key.
    pub(crate) keyscope: Cow<'a, [u8]>,
    pub(crate) nonce: [u8; 24],
}

/// A payload as the frame holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    /// Its bytes.
    Bytes(Cow<'a, [u8]>),
    /// Something else: a value that was decoded from the bytes and written in their place, as the
    /// compactions of 0.7 and 0.8 do.
    Value,
}

impl Default for Payload<'_> {
    fn default() -> Self {
        Self::Bytes(Cow::Borrowed(&[]))
    }
}

/// What stands at a place where a frame is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The length of the body.
    pub(crate) length: u32,
    pub(crate) crc: u32,
}

impl Prefix {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; PREFIX_BYTES] = bytes.first_chunk()?;
        let [a, b, c, d, e, f, g, h] = *bytes;
        Some(Self {
            length: u32::from_be_bytes([a, b, c, d]),
            crc: u32::from_be_bytes([e, f, g, h]),
        })
    }

    /// Whether a body can have this length.
    pub(crate) fn is_possible(&self) -> bool {
        self.length > 0 && self.length as usize <= MAX_BODY_BYTES
    }

    pub(crate) fn is_of(&self, body: &[u8]) -> bool {
        crc32(&[body]) == self.crc
    }
}

/// Whether a crate's frame can begin here, by its first bytes.
pub(crate) fn looks_like_frame(bytes: &[u8]) -> bool {
    bytes.get(PREFIX_BYTES..).is_some_and(looks_like_body)
}

/// Whether a crate's body can begin so.
pub(crate) fn looks_like_body(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0x83 | 0x84)) && bytes[1..].starts_with(BEGINNING)
}

/// Whether a body can be that of a frame around a batch. Those are short, and say what they are.
pub(crate) fn may_be_marker(body: &[u8]) -> bool {
    const LONGEST: usize = 1024;
    const ENTITY: &[u8] = b"_batch";
    body.len() <= LONGEST && body.windows(ENTITY.len()).any(|bytes| bytes == ENTITY)
}

/// How many bytes [`looks_like_frame`] needs.
pub(crate) const LOOK_BYTES: usize = PREFIX_BYTES + 1 + BEGINNING.len();

/// Where the text is by which a frame is searched for, behind the frame's start.
pub(crate) const BEGINNING_AT: usize = PREFIX_BYTES + 1;

/// The text by which a frame is searched for.
pub(crate) fn beginning() -> &'static [u8] {
    BEGINNING
}

impl<'a> OldEvent<'a> {
    /// Reads a body. Bytes behind the value are passed over, and so are fields of other versions.
    pub(crate) fn decode(body: &'a [u8]) -> Parsed<Self> {
        let mut event = Self::default();
        let (mut has_event, mut has_entity, mut has_scope) = (false, false, false);
        Reader(body).fields(|key, value| {
            match key {
                b"event" => {
                    has_event = true;
                    event.read_event(value)?;
                }
                b"entity" => {
                    has_entity = true;
                    event.entity = value.text()?;
                }
                b"scope" => {
                    has_scope = true;
                    event.scope = value.text()?;
                }
                b"receipt_extensions" => event.read_extensions(value)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if has_event && has_entity && has_scope { Ok(event) } else { Err("a field is missing") }
    }

    fn read_event(&mut self, reader: &mut Reader<'a>) -> Parsed<()> {
        let (mut has_header, mut has_payload) = (false, false);
        reader.fields(|key, value| {
            match key {
                b"header" => {
                    has_header = true;
                    self.read_header(value)?;
                }
                b"payload" => {
                    has_payload = true;
                    let before = value.0;
                    self.payload = read_payload(value)?;
                    self.payload_value = &before[..before.len() - value.0.len()];
                }
                b"hash_chain" if value.nil() => self.chain = None,
                b"hash_chain" => self.chain = Some(read_chain(value)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if has_header && has_payload { Ok(()) } else { Err("a field is missing") }
    }

    fn read_header(&mut self, reader: &mut Reader<'a>) -> Parsed<()> {
        let mut seen = 0;
        reader.fields(|key, value| {
            seen += 1;
            match key {
                b"event_id" => self.id = Id(value.exactly()?),
                b"correlation_id" => self.correlation = Id(value.exactly()?),
                b"causation_id" if value.nil() => self.causation = Id::NONE,
                b"causation_id" => self.causation = Id(value.exactly()?),
                b"timestamp_us" => self.timestamp_us = value.int()?,
                b"position" => self.read_position(value)?,
                b"payload_size" => self.payload_size = value.int()?,
                b"event_kind" => self.kind = value.int()?,
                b"flags" => self.flags = value.int()?,
                b"payload_version" => {
                    self.payload_version = value.int()?;
                    self.links_lanes = true;
                    seen -= 1;
                }
                b"payload_encryption" if value.nil() => seen -= 1,
                b"payload_encryption" => {
                    self.encryption = Some(read_encryption(value)?);
                    seen -= 1;
                }
                // The same as the event's hash, or missing.
                b"content_hash" => {
                    value.exactly::<32>()?;
                    seen -= 1;
                }
                _ => {
                    seen -= 1;
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        if seen < 8 { Err("a field is missing") } else { Ok(()) }
    }

    fn read_position(&mut self, reader: &mut Reader<'a>) -> Parsed<()> {
        let mut seen = 0;
        reader.fields(|key, value| {
            match key {
                b"wall_ms" => self.wall_ms = value.int()?,
                b"depth" => self.depth = value.int()?,
                b"lane" => self.lane = value.int()?,
                b"sequence" => self.clock = value.int()?,
                _ => return Ok(false),
            }
            seen += 1;
            Ok(true)
        })?;
        if seen < 4 { Err("a field is missing") } else { Ok(()) }
    }

    fn read_extensions(&mut self, reader: &mut Reader<'a>) -> Parsed<()> {
        reader.fields(|key, value| {
            let key = std::str::from_utf8(key).map_err(|_| "a text is not UTF-8")?;
            self.extensions.push((key, value.bytes()?));
            Ok(true)
        })?;
        self.extensions.sort_by_key(|(key, _)| *key);
        match self.extensions.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            true => Err("an extension is there twice"),
            false => Ok(()),
        }
    }

    /// Whether this is one of the frames around a batch. Versions before 0.9 let a caller use their
    /// kinds, but an event of a caller has a hash.
    pub(crate) fn is_marker(&self) -> bool {
        matches!(self.kind, KIND_BATCH_BEGIN | KIND_BATCH_COMMIT)
            && self.chain.is_none()
            && (self.entity, self.scope) == ("_batch", "_system")
    }

    /// Whether it is what every opening for writing appends first.
    pub(crate) fn is_opening(&self) -> bool {
        self.kind == KIND_OPENED && self.entity == "batpak:store"
    }

    /// Its hash, if it has one. Versions built without hashing wrote zeros.
    pub(crate) fn hash(&self) -> Option<Hash> {
        self.chain.map(|(_, hash)| hash).filter(|hash| *hash != Hash::ZERO)
    }

    pub(crate) fn prev_hash(&self) -> Hash {
        self.chain.map_or(Hash::ZERO, |(prev, _)| prev)
    }
}

fn read_payload<'a>(reader: &mut Reader<'a>) -> Parsed<Payload<'a>> {
    let mut ahead = *reader;
    if let Ok(bytes) = ahead.bytes() {
        *reader = ahead;
        return Ok(Payload::Bytes(bytes));
    }
    reader.skip().map(|_| Payload::Value)
}

fn read_chain(reader: &mut Reader<'_>) -> Parsed<(Hash, Hash)> {
    let (mut prev, mut own) = (None, None);
    reader.fields(|key, value| {
        match key {
            b"prev_hash" => prev = Some(Hash(value.exactly()?)),
            b"event_hash" => own = Some(Hash(value.exactly()?)),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    prev.zip(own).ok_or("a field is missing")
}

fn read_encryption<'a>(reader: &mut Reader<'a>) -> Parsed<Encryption<'a>> {
    let (mut keyscope, mut nonce) = (None, None);
    reader.fields(|key, value| {
        match key {
            b"keyscope_id" => keyscope = Some(value.bytes()?),
            b"nonce" => nonce = Some(value.exactly()?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let (keyscope, nonce) = keyscope.zip(nonce).ok_or("a field is missing")?;
    Ok(Encryption { keyscope, nonce })
}

/// Which readers a frame is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// 0.7 to 0.10: byte strings as `bin`, half the size.
    Lean,
    /// 0.1 too: byte strings as arrays of integers, and no fields that it does not know.
    Plain,
}

/// Appends the event's frame. Its payload must be bytes, and it must have a hash.
pub(crate) fn encode(event: &OldEvent<'_>, form: Form, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    let put_bytes = |out: &mut Vec<u8>, bytes: &[u8]| match form {
        Form::Lean => out.put_binary(bytes),
        Form::Plain => out.put_integers(bytes),
    };
    let lean = form == Form::Lean;
    let payload = match &event.payload {
        Payload::Bytes(bytes) => &**bytes,
        Payload::Value => event.payload_value,
    };
    let (prev_hash, hash) = event.chain.unwrap_or_default();

    out.put_map(if lean { 4 } else { 3 });
    out.put_text("event");
    out.put_map(3);
    out.put_text("header");
    out.put_map(9 + u32::from(lean) + u32::from(event.encryption.is_some()));
    out.put_text("event_id");
    out.put_binary(&event.id.0);
    out.put_text("correlation_id");
    out.put_binary(&event.correlation.0);
    out.put_text("causation_id");
    match event.causation.is_none() {
        true => out.put_nil(),
        false => out.put_binary(&event.causation.0),
    }
    out.put_text("timestamp_us");
    out.put_signed(event.timestamp_us);
    out.put_text("position");
    out.put_map(5);
    let position = [
        ("wall_ms", event.wall_ms),
        ("counter", 0),
        ("depth", event.depth.into()),
        ("lane", event.lane.into()),
        ("sequence", event.clock.into()),
    ];
    for (key, value) in position {
        out.put_text(key);
        out.put_unsigned(value);
    }
    out.put_text("payload_size");
    out.put_unsigned(payload.len() as u64);
    out.put_text("event_kind");
    out.put_unsigned(event.kind.into());
    out.put_text("flags");
    out.put_unsigned(event.flags.into());
    out.put_text("content_hash");
    put_bytes(out, &hash.0);
    if lean {
        out.put_text("payload_version");
        out.put_unsigned(event.payload_version.into());
    }
    if let Some(encryption) = &event.encryption {
        out.put_text("payload_encryption");
        out.put_map(2);
        out.put_text("keyscope_id");
        out.put_integers(&encryption.keyscope);
        out.put_text("nonce");
        out.put_integers(&encryption.nonce);
    }
    out.put_text("payload");
    put_bytes(out, payload);
    out.put_text("hash_chain");
    out.put_map(2);
    out.put_text("prev_hash");
    put_bytes(out, &prev_hash.0);
    out.put_text("event_hash");
    put_bytes(out, &hash.0);
    out.put_text("entity");
    out.put_text(event.entity);
    out.put_text("scope");
    out.put_text(event.scope);
    if lean {
        out.put_text("receipt_extensions");
        out.put_map(event.extensions.len() as u32);
        for (key, value) in &event.extensions {
            out.put_text(key);
            out.put_integers(value);
        }
    }

    let length = (out.len() - start - PREFIX_BYTES) as u32;
    let crc = crc32(&[&out[start + PREFIX_BYTES..]]);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> OldEvent<'static> {
        OldEvent {
            id: Id([1; 16]),
            correlation: Id([2; 16]),
            causation: Id([3; 16]),
            timestamp_us: -7,
            wall_ms: 1_700_000_000_000,
            clock: 5,
            lane: 2,
            depth: 1,
            payload_size: 3,
            kind: 0x1001,
            flags: 0x81,
            payload_version: 4,
            links_lanes: true,
            encryption: Some(Encryption {
                keyscope: Cow::Borrowed(b"\x01acct"),
                nonce: [0xfe; 24],
            }),
            payload: Payload::Bytes(Cow::Borrowed(&[0, 0x80, 0xff])),
            payload_value: &[],
            chain: Some((Hash([5; 32]), Hash([0xee; 32]))),
            entity: "acct:1",
            scope: "bank",
            extensions: vec![("a.b", Cow::Borrowed(b"\xff1".as_slice()))],
        }
    }

    #[test]
    fn every_field_comes_back() {
        for form in [Form::Lean, Form::Plain] {
            let mut bytes = Vec::new();
            encode(&event(), form, &mut bytes);
            assert!(looks_like_frame(&bytes));
            let prefix = Prefix::parse(&bytes).unwrap();
            let body = &bytes[PREFIX_BYTES..];
            assert_eq!(prefix.length as usize, body.len());
            assert!(prefix.is_possible() && prefix.is_of(body));
            let expected = match form {
                Form::Lean => event(),
                Form::Plain => OldEvent {
                    payload_version: 0,
                    links_lanes: false,
                    extensions: vec![],
                    ..event()
                },
            };
            let read = OldEvent::decode(body).map(|read| OldEvent { payload_value: &[], ..read });
            assert_eq!(read, Ok(expected));
            for length in 0..body.len() {
                assert!(OldEvent::decode(&body[..length]).is_err(), "{length}");
            }
        }
    }

    /// The one user event of a store of one event, written by 0.1.0, but for its prefix.
    #[test]
    fn unknown_fields_and_other_orders_are_read() {
        let mut bytes = Vec::new();
        bytes.put_map(4);
        bytes.put_text("scope");
        bytes.put_text("s");
        bytes.put_text("later");
        bytes.put_map(1);
        bytes.put_text("x");
        bytes.put_integers(&[1, 2]);
        bytes.put_text("entity");
        bytes.put_text("e");
        let whole = {
            let mut frame = Vec::new();
            encode(&event(), Form::Lean, &mut frame);
            frame[PREFIX_BYTES..].to_vec()
        };
        let at = whole.windows(7).position(|w| w == b"\xa6entity").unwrap();
        bytes.extend_from_slice(&whole[1..at]);
        bytes.extend_from_slice(b"behind");
        let read = OldEvent::decode(&bytes).unwrap();
        assert_eq!((read.entity, read.scope, read.id), ("e", "s", Id([1; 16])));
        assert!(OldEvent::decode(&bytes[..bytes.len() - 20]).is_err());
    }

    #[test]
    fn a_decoded_payload_is_kept_as_its_value() {
        let mut frame = Vec::new();
        let event = OldEvent { payload: Payload::Bytes(Cow::Borrowed(b"")), ..event() };
        encode(&event, Form::Lean, &mut frame);
        let body = frame[PREFIX_BYTES..].to_vec();
        let at = body.windows(8).position(|w| w == b"\xa7payload").unwrap() + 8;
        let value = b"\x81\xa1k\x2a";
        let body = [&body[..at], value, &body[at + 2..]].concat();
        let read = OldEvent::decode(&body).unwrap();
        assert_eq!((read.payload, read.payload_value), (Payload::Value, &value[..]));
    }
}
