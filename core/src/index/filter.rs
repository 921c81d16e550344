//! Which ids a segment does not hold: a blocked Bloom filter over id tags. Putze, Sanders, Singler:
//! "Cache-, Hash- and Space-Efficient Bloom Filters" (2007).

/// Bits per id, and how many of them an id sets, all in one word. About one in a hundred ids that
/// are not there passes.
const BITS: u64 = 12;
const PROBES: u32 = 4;

pub(crate) struct Filter {
    words: Box<[u64]>,
}

impl Filter {
    /// How many bytes a filter for so many ids takes.
    pub(crate) fn bytes(ids: u64) -> usize {
        (ids * BITS / 64 + 1) as usize * 8
    }

    /// A filter for so many ids, none of which is added yet.
    pub(crate) fn new(ids: u64) -> Self {
        Self { words: vec![0; Self::bytes(ids) / 8].into_boxed_slice() }
    }

    /// The word of a tag and its bits there. Tags are the beginning of a hash: they are spread
    /// evenly, but must be spread again, since the word and the bits are to be independent.
    fn place(&self, tag: u32) -> (usize, u64) {
        let mixed = u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let word = (u128::from(mixed) * self.words.len() as u128) >> 64;
        let bits = (0..PROBES).fold(0, |bits, probe| bits | 1 << (mixed >> (6 * probe) & 63));
        (word as usize, bits)
    }

    pub(crate) fn add(&mut self, tag: u32) {
        let (word, bits) = self.place(tag);
        self.words[word] |= bits;
    }

    /// `false` if no such tag was added.
    pub(crate) fn may_hold(&self, tag: u32) -> bool {
        let (word, bits) = self.place(tag);
        self.words[word] & bits == bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_added_and_little_else() {
        let tag = |n: u32| {
            u32::from_le_bytes(blake3::hash(&n.to_le_bytes()).as_bytes()[..4].try_into().unwrap())
        };
        let mut filter = Filter::new(10_000);
        (0..10_000).for_each(|n| filter.add(tag(n)));
        assert!((0..10_000).all(|n| filter.may_hold(tag(n))));
        let wrong = (10_000..30_000).filter(|n| filter.may_hold(tag(*n))).count();
        assert!(wrong < 600, "{wrong} of 20,000");
    }
}
