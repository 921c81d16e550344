//! BLAKE3 of short messages, one by one or many at once.
//!
//! One short input leaves most of the processor idle: BLAKE3 is parallel across inputs and across
//! chunks of 1,024 bytes, not within one. So the messages of a batch that fill the same number of
//! blocks go through its kernel together, up to sixteen at a time, as its own tree does with the
//! chunks of a long input. The result is that of [`blake3::hash`].

use crate::ids::Hash;
use blake3::platform::Platform;
use blake3::{BLOCK_LEN, CHUNK_LEN, IncrementCounter, OUT_LEN};
use std::ops::Range;

/// From the BLAKE3 specification, section 2.1: the initial chaining value, and the flags of a
/// chunk's first block, of its last one, and of the last one of all.
const KEY: [u32; 8] = [
    0x6A09_E667,
    0xBB67_AE85,
    0x3C6E_F372,
    0xA54F_F53A,
    0x510E_527F,
    0x9B05_688C,
    0x1F83_D9AB,
    0x5BE0_CD19,
];
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 2;
const ROOT: u8 = 8;

/// How many inputs go through the kernel together.
const LANES: usize = 16;
const MOST_BLOCKS: usize = CHUNK_LEN / BLOCK_LEN;

/// Something that has a message, which is hashed together with those of others.
pub(crate) trait Hashed {
    /// Where the message is.
    fn message(&self) -> Range<usize>;
    fn set_hash(&mut self, hash: Hash);
}

/// BLAKE3 of a payload as stored.
pub(crate) fn payload_hash(payload: &[u8]) -> Hash {
    Hash(*blake3::hash(payload).as_bytes())
}

/// Sets the hashes of all messages, which are in `bytes`.
pub(crate) fn hash_all<T: Hashed>(items: &mut [T], bytes: &[u8]) {
    if items.len() < 2 {
        for item in items {
            item.set_hash(payload_hash(&bytes[item.message()]));
        }
        return;
    }
    // The items whose messages have so many whole blocks, until there are enough of them.
    let mut waiting = [([0; LANES], 0); MOST_BLOCKS + 1];
    for at in 0..items.len() {
        let message = items[at].message();
        if message.len() < BLOCK_LEN || message.len() > CHUNK_LEN {
            items[at].set_hash(payload_hash(&bytes[message]));
            continue;
        }
        let (lanes, count) = &mut waiting[message.len() / BLOCK_LEN];
        lanes[*count] = at;
        *count += 1;
        if *count == LANES {
            *count = 0;
            let lanes = *lanes;
            hash_together(items, bytes, &lanes, message.len() / BLOCK_LEN);
        }
    }
    for (blocks, (lanes, count)) in waiting.iter().enumerate() {
        hash_together(items, bytes, &lanes[..*count], blocks);
    }
}

/// Hashes the messages of these items, each of which has so many whole blocks.
fn hash_together<T: Hashed>(items: &mut [T], bytes: &[u8], lanes: &[usize], blocks: usize) {
    macro_rules! by_blocks {
        ($($blocks:literal)*) => {
            match blocks {
                $($blocks => hash_blocks::<T, { $blocks * BLOCK_LEN }>(items, bytes, lanes),)*
                _ => {}
            }
        };
    }
    by_blocks!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

/// `WHOLE` is the number of bytes in whole blocks of each message.
fn hash_blocks<T: Hashed, const WHOLE: usize>(items: &mut [T], bytes: &[u8], lanes: &[usize]) {
    let platform = Platform::detect();
    // Messages that end with a whole block, then those that go on.
    for goes_on in [false, true] {
        let mut chosen = [0; LANES];
        let mut inputs = [&[0; WHOLE]; LANES];
        let mut count = 0;
        for at in lanes {
            let message = &bytes[items[*at].message()];
            if (message.len() > WHOLE) == goes_on
                && let Some(input) = message.first_chunk()
            {
                (chosen[count], inputs[count]) = (*at, input);
                count += 1;
            }
        }
        let mut out = [0; LANES * OUT_LEN];
        let end = if goes_on { 0 } else { CHUNK_END | ROOT };
        let (inputs, out) = (&inputs[..count], &mut out[..count * OUT_LEN]);
        platform.hash_many(inputs, &KEY, 0, IncrementCounter::No, 0, CHUNK_START, end, out);
        let (values, _) = out.as_chunks::<OUT_LEN>();
        for (at, value) in chosen.into_iter().zip(values) {
            let message = &bytes[items[at].message()];
            let rest = &message[WHOLE..];
            items[at].set_hash(Hash(match goes_on {
                false => *value,
                true => finish(platform, value, rest),
            }));
        }
    }
}

/// Adds the last block, which is not whole, to the chaining value of those before it.
fn finish(platform: Platform, value: &[u8; OUT_LEN], rest: &[u8]) -> [u8; OUT_LEN] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(value.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let mut block = [0; BLOCK_LEN];
    block[..rest.len()].copy_from_slice(rest);
    platform.compress_in_place(&mut words, &block, rest.len() as u8, 0, CHUNK_END | ROOT);
    let mut hash = [0; OUT_LEN];
    for (bytes, word) in hash.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Item(Range<usize>, Hash);

    impl Hashed for Item {
        fn message(&self) -> Range<usize> {
            self.0.clone()
        }

        fn set_hash(&mut self, hash: Hash) {
            self.1 = hash;
        }
    }

    #[test]
    fn many_at_once_are_hashed_like_each_alone() {
        let bytes: Vec<u8> = (0..20_000u32).map(|at| ((at * at) >> 3) as u8).collect();
        // Every length up to beyond a chunk, many of the same, and each number of lanes.
        let lengths = (0..1200).chain([256; 40]).chain([300; 3]).chain([1024; 17]).chain([64; 2]);
        let item = |length: usize| Item(length * 7..length * 8, Hash::ZERO);
        let mut items: Vec<_> = lengths.map(item).collect();
        hash_all(&mut items, &bytes);
        for Item(range, hash) in items {
            assert_eq!(hash, payload_hash(&bytes[range.clone()]), "{} bytes", range.len());
        }
    }
}
