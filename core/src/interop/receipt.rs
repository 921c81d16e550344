//! What a receipt of the batpak crate 0.7 to 0.10 signs.
//!
//! Receipts are not in the store: the caller has them. The signature is Ed25519 over the BLAKE3 of
//! the bytes made here; the receipt's key id is the BLAKE3 of the public key.

use super::message::Write;
use crate::event::Event;

const FORM: u8 = 1;

/// The bytes for an event as a 0.x store holds it.
pub(crate) fn cover(event: &Event) -> Vec<u8> {
    let mut cover = vec![FORM];
    let mut id = event.id().0;
    id.reverse();
    cover.extend_from_slice(&id);
    cover.extend_from_slice(&event.sequence().to_le_bytes());
    cover.put_map(2);
    cover.put_text("entity");
    cover.put_text(event.entity());
    cover.put_text("scope");
    cover.put_text(event.scope());
    cover.extend_from_slice(&event.kind().0.to_le_bytes());
    cover.extend_from_slice(&event.prev_hash().0);
    cover.extend_from_slice(&event.hash().0);
    let shown = [super::SHREDDED, super::UNDECRYPTABLE, super::ENCRYPTION];
    let own = |key: &str| shown.contains(&key);
    let extensions = event.extensions().filter(|(key, _)| !own(key));
    cover.put_map(extensions.clone().count() as u32);
    for (key, value) in extensions {
        cover.put_text(key);
        cover.put_integers(value);
    }
    cover
}
