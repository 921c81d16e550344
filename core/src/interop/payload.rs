//! Payloads of the batpak crate 0.x that are not simply there: encrypted ones, and those that a
//! compaction of 0.7 or 0.8 has decoded.

use super::frame::OldEvent;
use super::message::{Parsed, Reader};
use crate::ids::Hash;
use chacha20poly1305::aead::{Aead, KeyInit, Payload as Sealed};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rmp::Marker;

/// The plaintext of an encrypted payload: XChaCha20-Poly1305, the tag behind the ciphertext. `None`
/// if this is not the key, or the event not the one it was encrypted for.
pub(crate) fn decrypt(event: &OldEvent<'_>, ciphertext: &[u8], key: &[u8; 32]) -> Option<Vec<u8>> {
    let nonce = event.encryption.as_ref()?.nonce;
    let mut bound = vec![1];
    for name in [event.entity, event.scope] {
        bound.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bound.extend_from_slice(name.as_bytes());
    }
    bound.extend_from_slice(&event.kind.to_le_bytes());
    bound.extend_from_slice(&event.id.0);
    let sealed = Sealed { msg: ciphertext, aad: &bound };
    XChaCha20Poly1305::new(key.into()).decrypt(&XNonce::from(nonce), sealed).ok()
}

/// How many orders of keys are tried for one payload, and for all payloads of a store together.
const TRIES: u64 = 5040;
const ALL_TRIES: u64 = 20_000_000;
/// How many of the orders that were right are tried first.
const REMEMBERED: usize = 16;

/// Finds the bytes of payloads that were decoded. The compactions of 0.7 and 0.8 wrote the value in
/// place of its bytes, with the keys of maps in alphabetical order. The bytes had the fields in the
/// order of the program's structs: the hash says which order is right.
#[derive(Debug, Default)]
pub(crate) struct Restorer {
    remembered: Vec<u64>,
    tries: u64,
}

impl Restorer {
    /// The bytes with this hash that this value was decoded from, if they can be found.
    pub(crate) fn restore(&mut self, value: &[u8], hash: Hash) -> Option<Vec<u8>> {
        let is_it = |bytes: &[u8]| *blake3::hash(bytes).as_bytes() == hash.0;
        if is_it(value) {
            return Some(value.to_vec());
        }
        let (tree, mut reader) = (&mut Vec::new(), Reader(value));
        read_tree(&mut reader, tree, 0).ok()?;
        let orders = tree.iter().map(Piece::orders).fold(1, u64::saturating_mul);
        let known = self.remembered.iter().copied().filter(|order| *order < orders);
        let left = ALL_TRIES.saturating_sub(self.tries);
        let new = 1..orders.min(TRIES.min(left));
        let mut bytes = Vec::with_capacity(value.len());
        let found = known.chain(new).find(|order| {
            self.tries += 1;
            bytes.clear();
            let mut order = *order;
            write_tree(tree, &mut 0, &mut order, &mut bytes);
            is_it(&bytes)
        })?;
        self.remembered.retain(|order| *order != found);
        self.remembered.insert(0, found);
        self.remembered.truncate(REMEMBERED);
        Some(bytes)
    }
}

/// A value, in the order in which it stands there: a container is followed by what is in it.
enum Piece<'a> {
    Leaf(&'a [u8]),
    /// Its first bytes, and how many values are in it.
    Array(&'a [u8], usize),
    /// Its first bytes, and how many pairs are in it.
    Map(&'a [u8], usize),
}

impl Piece<'_> {
    /// In how many orders its keys can stand.
    fn orders(&self) -> u64 {
        match self {
            Self::Map(_, pairs) => (1..=*pairs as u64).fold(1, u64::saturating_mul),
            _ => 1,
        }
    }
}

fn read_tree<'a>(reader: &mut Reader<'a>, out: &mut Vec<Piece<'a>>, depth: u32) -> Parsed<()> {
    let front = reader.0;
    let marker = front.first().copied().map(Marker::from_u8);
    let (is_map, values) = match marker {
        _ if depth > 32 => return Err("values are nested too deeply"),
        Some(Marker::FixMap(_) | Marker::Map16 | Marker::Map32) => (true, reader.map()?),
        Some(Marker::FixArray(_) | Marker::Array16 | Marker::Array32) => (false, reader.array()?),
        _ => {
            out.push(Piece::Leaf(reader.skip()?));
            return Ok(());
        }
    };
    let first = &front[..front.len() - reader.0.len()];
    out.push(if is_map { Piece::Map(first, values) } else { Piece::Array(first, values) });
    for _ in 0..values {
        if is_map {
            out.push(Piece::Leaf(reader.skip()?));
        }
        read_tree(reader, out, depth + 1)?;
    }
    Ok(())
}

/// Writes the value at `at`, taking the order of each map's keys from the number `order`.
fn write_tree(tree: &[Piece<'_>], at: &mut usize, order: &mut u64, out: &mut Vec<u8>) {
    let piece = &tree[*at];
    *at += 1;
    match piece {
        Piece::Leaf(bytes) => out.extend_from_slice(bytes),
        Piece::Array(first, values) => {
            out.extend_from_slice(first);
            (0..*values).for_each(|_| write_tree(tree, at, order, out));
        }
        Piece::Map(first, pairs) => {
            out.extend_from_slice(first);
            let orders = piece.orders();
            let mut number = *order % orders;
            *order /= orders;
            let mut written: Vec<Vec<u8>> = Vec::with_capacity(*pairs);
            for _ in 0..*pairs {
                let mut pair = Vec::new();
                write_tree(tree, at, order, &mut pair);
                write_tree(tree, at, order, &mut pair);
                written.push(pair);
            }
            // The number's digits, each to the base of how many pairs are left, choose the next.
            for left in (1..=*pairs as u64).rev() {
                let chosen = (number % left) as usize;
                number /= left;
                out.extend_from_slice(&written.remove(chosen));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interop::message::Write;

    fn map(pairs: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_map(pairs.len() as u32);
        for (key, value) in pairs {
            bytes.put_text(key);
            bytes.extend_from_slice(value);
        }
        bytes
    }

    #[test]
    fn every_order_of_keys_is_found_by_its_hash() {
        let inner = [map(&[("x", &[1]), ("y", &[2])]), map(&[("y", &[2]), ("x", &[1])])];
        let sorted = map(&[("a", &[0xc0]), ("b", &inner[0]), ("c", &[0x92, 1, 2])]);
        let mut restorer = Restorer::default();
        for inner in &inner {
            let pairs: [(&str, &[u8]); 3] = [("a", &[0xc0]), ("b", inner), ("c", &[0x92, 1, 2])];
            for (i, j, k) in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)] {
                let original = map(&[pairs[i], pairs[j], pairs[k]]);
                let hash = Hash(*blake3::hash(&original).as_bytes());
                assert_eq!(restorer.restore(&sorted, hash), Some(original));
            }
        }
        assert_eq!(restorer.restore(&sorted, Hash([1; 32])), None);
        assert_eq!(restorer.restore(&[0x81], Hash([1; 32])), None);
    }

    #[test]
    fn what_has_too_many_orders_is_given_up() {
        let keys: Vec<String> = (0..30).map(|n| format!("k{n:02}")).collect();
        let pairs: Vec<(&str, &[u8])> = keys.iter().map(|key| (&**key, &[1][..])).collect();
        let mut restorer = Restorer::default();
        assert_eq!(restorer.restore(&map(&pairs), Hash([1; 32])), None);
        assert_eq!(restorer.tries, TRIES - 1);
    }
}
