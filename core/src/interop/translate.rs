//! From an event of the batpak crate 0.x to a frame of this format that shows it. Hash, link and clock
//! stay the old ones.

use super::frame::OldEvent;
use super::payload::decrypt;
use super::{ENCRYPTION, SHREDDED, UNDECRYPTABLE};
use crate::event::{MAX_EXTENSION_BYTES, push_extension};
use crate::format::frame::{self, Fields, Unsealed};
use crate::ids::{Hash, Id};
use crate::options::MAX_PAYLOAD_BYTES;
use std::borrow::Cow;
use std::collections::HashMap;

/// What a reader gets of an encrypted payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payloads {
    /// The plaintext; without its key, nothing, and the extension [`SHREDDED`]; if its key does not
    /// open it, nothing, and the extension [`UNDECRYPTABLE`].
    Shown,
    /// The ciphertext, with the extension [`ENCRYPTION`].
    Kept,
    /// The plaintext; where it cannot be had, the ciphertext.
    Decrypted,
}

/// What payloads are shown with.
#[derive(Debug)]
pub(crate) struct Translator {
    pub(crate) payloads: Payloads,
    pub(crate) keys: HashMap<Vec<u8>, [u8; 32]>,
}

impl Translator {
    /// Appends the frame that shows the event, or says why it cannot be shown. Gives whether the key
    /// of its payload, if there is one, opens it: what a key does not open was altered, or is not what
    /// was encrypted under this name.
    pub(crate) fn translate(
        &self,
        event: &OldEvent<'_>,
        hashed: Cow<'_, [u8]>,
        sequence: u64,
        batch_continues: bool,
        out: &mut Vec<u8>,
    ) -> std::result::Result<bool, &'static str> {
        let mut opens = true;
        let mut payload = hashed;
        let mut extensions = Vec::new();
        for (key, value) in &event.extensions {
            let (Ok(key_bytes), Ok(value_bytes)) =
                (u16::try_from(key.len()), u16::try_from(value.len()))
            else {
                return Err("an extension is too long");
            };
            extensions.extend_from_slice(&key_bytes.to_le_bytes());
            extensions.extend_from_slice(&value_bytes.to_le_bytes());
            extensions.extend_from_slice(key.as_bytes());
            extensions.extend_from_slice(value);
        }
        if let Some(encryption) = &event.encryption {
            let key = self.keys.get(&*encryption.keyscope);
            let plaintext = key.and_then(|key| decrypt(event, &payload, key));
            opens = key.is_none() || plaintext.is_some();
            let mut with = Vec::new();
            match (self.payloads, plaintext) {
                (Payloads::Shown | Payloads::Decrypted, Some(plaintext)) => {
                    payload = Cow::Owned(plaintext);
                    with = extensions;
                }
                (Payloads::Shown, None) => {
                    payload = Cow::Borrowed(&[]);
                    let why = if opens { SHREDDED } else { UNDECRYPTABLE };
                    push_extension(&extensions, why, &encryption.keyscope, &mut with);
                }
                (Payloads::Decrypted, None) | (Payloads::Kept, _) => {
                    let how = [&encryption.nonce, &*encryption.keyscope].concat();
                    push_extension(&extensions, ENCRYPTION, &how, &mut with);
                }
            }
            extensions = with;
        }
        if extensions.len() > MAX_EXTENSION_BYTES {
            return Err("its extensions are too long");
        }
        if payload.len() > MAX_PAYLOAD_BYTES as usize {
            return Err("its payload is too long");
        }
        let longest = usize::from(u16::MAX);
        if event.entity.len() > longest || event.scope.len() > longest {
            return Err("a name is too long");
        }
        let (prev_hash, hash) = event.chain.unwrap_or_default();
        let fields = Fields {
            sequence,
            id: event.id,
            timestamp_us: event.timestamp_us,
            wall_us: wall_us(event),
            clock: event.clock,
            lane: event.lane,
            depth: event.depth,
            kind: event.kind,
            payload_version: event.payload_version,
            flags: event.flags,
            correlation: event.correlation,
            causation: event.causation,
            prev_hash,
            entity: event.entity,
            scope: event.scope,
            extensions: &extensions,
            payload: &payload,
            payload_hash: Hash::ZERO,
            batch_continues,
            keyed: false,
            synced_to: 0,
        };
        let (start, mut unsealed) = (out.len(), Unsealed::default());
        frame::encode(&fields, Id::NONE, out, &mut unsealed);
        frame::seal_with(&mut out[start..], hash);
        Ok(opens)
    }
}

/// The crate keeps milliseconds: where they are those of the timestamp, the timestamp says more.
fn wall_us(event: &OldEvent<'_>) -> i64 {
    let wall_ms = i64::try_from(event.wall_ms).unwrap_or(i64::MAX);
    if event.timestamp_us.div_euclid(1000) == wall_ms {
        event.timestamp_us
    } else {
        wall_ms.saturating_mul(1000)
    }
}
