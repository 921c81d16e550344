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

/// A payload whose keys can stand in more orders is not restored: that of eight keys is.
const MAX_ORDERS: u64 = 40_320;
/// How many bytes are hashed in all to find the ways of a store's payloads.
const MAX_HASHED_BYTES: u64 = 2 << 30;
/// How many of the ways that were right are tried first.
const REMEMBERED: usize = 256;
/// A value of more parts is not taken apart.
const MAX_PIECES: usize = 10_000;

/// The fields of the event that every opening writes, in the order of 0.7 and 0.8.
const OPENING_FIELDS: [&str; 20] = [
    "path",
    "restored_entries",
    "tail_entries",
    "elapsed_us",
    "phase_plan_build_us",
    "phase_interner_us",
    "phase_restore_index_us",
    "phase_hidden_ranges_us",
    "mmap_load_status",
    "mmap_invalid_reason",
    "checkpoint_load_status",
    "checkpoint_invalid_reason",
    "unknown_reserved_system_kind_fallbacks",
    "unknown_reserved_system_kind_histogram",
    "unknown_reserved_effect_kind_fallbacks",
    "unknown_reserved_effect_kind_histogram",
    "cumulative_unknown_reserved_system_kind_fallbacks",
    "cumulative_unknown_reserved_system_kind_histogram",
    "cumulative_unknown_reserved_effect_kind_fallbacks",
    "cumulative_unknown_reserved_effect_kind_histogram",
];

/// How the bytes of a payload are made from the value that stands in their place. The compactions of
/// 0.7 and 0.8 wrote the value in place of its bytes: the keys of maps in alphabetical order, and
/// numbers of single precision with double precision. The bytes had the fields in the order of the
/// program's structs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As it stands.
    Same,
    /// The keys in the order with this number, and numbers of single precision or not.
    Reordered { order: u64, is_single: bool },
    /// The fields of the event that every opening writes.
    Opening,
}

impl Way {
    /// The bytes; `None` if the value is none for this way.
    pub(crate) fn apply(self, value: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Same => Some(value.to_vec()),
            Self::Reordered { .. } => {
                let mut tree = Vec::new();
                read_tree(&mut Reader(value), &mut tree, 0).ok()?;
                let mut bytes = Vec::with_capacity(value.len());
                self.write(&tree, &mut bytes);
                Some(bytes)
            }
            Self::Opening => opening(value),
        }
    }

    fn write(self, tree: &[Piece<'_>], out: &mut Vec<u8>) {
        if let Self::Reordered { mut order, is_single } = self {
            write_tree(tree, &mut 0, &mut order, is_single, out);
        }
    }
}

/// Finds the way by which a payload was decoded: its hash says which is right.
#[derive(Debug, Default)]
pub(crate) struct Restorer {
    remembered: Vec<Way>,
    hashed_bytes: u64,
}

impl Restorer {
    /// The bytes with this hash that this value was decoded from, if they can be found.
    pub(crate) fn restore(&mut self, value: &[u8], hash: Hash) -> Option<(Way, Vec<u8>)> {
        let is_it = |bytes: &[u8]| *blake3::hash(bytes).as_bytes() == hash.0;
        for way in [Way::Same, Way::Opening] {
            if let Some(bytes) = way.apply(value).filter(|bytes| is_it(bytes)) {
                return Some((way, bytes));
            }
        }
        let mut tree = Vec::new();
        read_tree(&mut Reader(value), &mut tree, 0).ok()?;
        let orders = tree.iter().map(Piece::orders).fold(1, u64::saturating_mul);
        if orders > MAX_ORDERS {
            return None;
        }
        let singles =
            [false, true].into_iter().take(1 + usize::from(tree.iter().any(Piece::is_single)));
        let known = self.remembered.clone();
        let known = known
            .into_iter()
            .filter(|way| matches!(way, Way::Reordered { order, .. } if *order < orders));
        let left = MAX_HASHED_BYTES.saturating_sub(self.hashed_bytes) / (value.len() as u64 + 1);
        let new = (0..orders.min(left)).flat_map(|order| {
            singles.clone().map(move |is_single| Way::Reordered { order, is_single })
        });
        let mut bytes = Vec::with_capacity(value.len());
        let found = known.chain(new).find(|way| {
            self.hashed_bytes += value.len() as u64;
            bytes.clear();
            way.write(&tree, &mut bytes);
            is_it(&bytes)
        });
        let way = found?;
        self.remembered.retain(|other| *other != way);
        self.remembered.insert(0, way);
        self.remembered.truncate(REMEMBERED);
        Some((way, bytes))
    }
}

/// The fields of an opening's event in their order, if this is one.
fn opening(value: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader(value);
    let pairs = reader.map().ok()?;
    let first = &value[..value.len() - reader.0.len()];
    let mut fields = Vec::with_capacity(pairs.min(OPENING_FIELDS.len()));
    for _ in 0..pairs {
        let before = reader.0;
        let key = reader.text().ok()?;
        reader.skip().ok()?;
        let place = OPENING_FIELDS.iter().position(|field| *field == key)?;
        fields.push((place, &before[..before.len() - reader.0.len()]));
    }
    fields.sort_unstable();
    let fields = fields.into_iter().map(|(_, bytes)| bytes);
    Some([first].into_iter().chain(fields).collect::<Vec<_>>().concat())
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
            // Of more keys there are more orders than are ever tried.
            Self::Map(_, pairs) => (1..=(*pairs).min(20) as u64).product(),
            _ => 1,
        }
    }

    /// Whether it is a number of double precision that single precision holds.
    fn is_single(&self) -> bool {
        matches!(self, Self::Leaf(bytes) if single(bytes).is_some())
    }
}

/// A number of double precision, with single precision, if that is the same.
fn single(leaf: &[u8]) -> Option<[u8; 5]> {
    let (marker, bytes) = leaf.split_first()?;
    let value = f64::from_be_bytes(bytes.try_into().ok()?);
    let is_same = Marker::from_u8(*marker) == Marker::F64 && f64::from(value as f32) == value;
    let [a, b, c, d] = (value as f32).to_be_bytes();
    is_same.then_some([Marker::F32.to_u8(), a, b, c, d])
}

fn read_tree<'a>(reader: &mut Reader<'a>, out: &mut Vec<Piece<'a>>, depth: u32) -> Parsed<()> {
    let front = reader.0;
    let marker = front.first().copied().map(Marker::from_u8);
    let (is_map, values) = match marker {
        _ if depth > 32 => return Err("values are nested too deeply"),
        _ if out.len() >= MAX_PIECES => return Err("the value has too many parts"),
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
fn write_tree(
    tree: &[Piece<'_>],
    at: &mut usize,
    order: &mut u64,
    is_single: bool,
    out: &mut Vec<u8>,
) {
    let piece = &tree[*at];
    *at += 1;
    match piece {
        Piece::Leaf(bytes) => match single(bytes).filter(|_| is_single) {
            Some(single) => out.extend_from_slice(&single),
            None => out.extend_from_slice(bytes),
        },
        Piece::Array(first, values) => {
            out.extend_from_slice(first);
            (0..*values).for_each(|_| write_tree(tree, at, order, is_single, out));
        }
        Piece::Map(first, pairs) => {
            out.extend_from_slice(first);
            let orders = piece.orders();
            let mut number = *order % orders;
            *order /= orders;
            let mut written: Vec<Vec<u8>> = Vec::with_capacity(*pairs);
            for _ in 0..*pairs {
                let mut pair = Vec::new();
                write_tree(tree, at, order, is_single, &mut pair);
                write_tree(tree, at, order, is_single, &mut pair);
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
                let (way, bytes) = restorer.restore(&sorted, hash).unwrap();
                assert_eq!((way.apply(&sorted), bytes), (Some(original.clone()), original));
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
        assert_eq!(restorer.hashed_bytes, 0);
        let few = map(&pairs[..8]);
        assert_eq!(restorer.restore(&few, Hash([1; 32])), None);
        assert_eq!(restorer.hashed_bytes, MAX_ORDERS * few.len() as u64);
    }

    #[test]
    fn numbers_of_single_precision_and_openings() {
        let double = |value: f64| [&[0xcb][..], &value.to_be_bytes()].concat();
        let single = |value: f32| [&[0xca][..], &value.to_be_bytes()].concat();
        let stands = map(&[("a", &double(0.5)), ("b", &double(0.1))]);
        let original = map(&[("b", &double(0.1)), ("a", &single(0.5))]);
        let hash = Hash(*blake3::hash(&original).as_bytes());
        let (_, bytes) = Restorer::default().restore(&stands, hash).unwrap();
        assert_eq!(bytes, original);

        let stands = map(&[("elapsed_us", &[9]), ("path", &[0xa1, b'M']), ("tail_entries", &[0])]);
        let original =
            map(&[("path", &[0xa1, b'M']), ("tail_entries", &[0]), ("elapsed_us", &[9])]);
        let hash = Hash(*blake3::hash(&original).as_bytes());
        assert_eq!(Restorer::default().restore(&stands, hash), Some((Way::Opening, original)));
    }
}
