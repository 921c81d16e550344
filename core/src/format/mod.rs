//! Pure functions between bytes and values. `docs/format.md` is the specification: the offsets,
//! the validity rules and the reasons are there; this folder holds the constants.
//!
//! Imports nothing but the vocabulary at the crate's root.

pub(crate) mod footer;
pub(crate) mod frame;
pub(crate) mod hash;
pub(crate) mod head;
pub(crate) mod manifest;
pub(crate) mod postings;
pub(crate) mod segment;
pub(crate) mod tree;

/// Every frame, footer and section starts at a multiple of this.
pub(crate) const ALIGNMENT: usize = 8;

/// The next multiple of [`ALIGNMENT`].
pub(crate) const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// A fixed-width little-endian field. The caller has checked that the bytes are there.
macro_rules! field {
    ($bytes:expr, $at:expr, $type:ty) => {{
        let mut array = [0u8; size_of::<$type>()];
        array.copy_from_slice(&$bytes[$at..$at + size_of::<$type>()]);
        <$type>::from_le_bytes(array)
    }};
}
pub(crate) use field;

/// A fixed-width run of bytes. The caller has checked that they are there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

/// CRC-32 (IEEE) over several runs of bytes.
pub(crate) fn crc32(runs: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for run in runs {
        hasher.update(run);
    }
    hasher.finalize()
}
