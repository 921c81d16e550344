//! The hashes of payloads, one by one or of a whole batch.

use crate::ids::Hash;
use std::ops::Range;

/// Something whose payload is hashed together with others.
pub(crate) trait Hashed {
    /// Where its payload is.
    fn payload(&self) -> Range<usize>;
    fn set_payload_hash(&mut self, hash: Hash);
}

/// BLAKE3 of a payload as stored.
pub(crate) fn payload_hash(payload: &[u8]) -> Hash {
    Hash(*blake3::hash(payload).as_bytes())
}

/// Sets the hashes of all payloads, which are in `bytes`.
pub(crate) fn payload_hashes<T: Hashed>(items: &mut [T], bytes: &[u8]) {
    for item in items {
        item.set_payload_hash(payload_hash(&bytes[item.payload()]));
    }
}
