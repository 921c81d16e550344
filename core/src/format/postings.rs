//! Lists of rising event indexes, in blocks that can be skipped. See `docs/format.md`,
//! section 2.5.

use super::field;

const BLOCK: usize = 128;
const ENTRY_BYTES: usize = 8;

/// Appends the list to `out`.
pub(crate) fn encode(indexes: &[u32], out: &mut Vec<u8>) {
    let entries_at = out.len();
    let blocks = indexes.len().div_ceil(BLOCK);
    out.resize(entries_at + blocks * ENTRY_BYTES, 0);
    let deltas_at = out.len();
    for (number, block) in indexes.chunks(BLOCK).enumerate() {
        for pair in block.windows(2) {
            let mut delta = pair[1].wrapping_sub(pair[0]);
            while delta >= 0x80 {
                out.push(delta as u8 | 0x80);
                delta >>= 7;
            }
            out.push(delta as u8);
        }
        let end = (out.len() - deltas_at) as u32;
        let entry = &mut out[entries_at + number * ENTRY_BYTES..][..ENTRY_BYTES];
        entry[..4].copy_from_slice(&block[0].to_le_bytes());
        entry[4..].copy_from_slice(&end.to_le_bytes());
    }
}

/// How many bytes the entries of a list of this many indexes take.
pub(crate) fn entry_bytes(count: u32) -> usize {
    (count as usize).div_ceil(BLOCK) * ENTRY_BYTES
}

/// How many bytes a list of this many indexes takes, from its entries. `None` if they are short.
pub(crate) fn list_bytes(count: u32, entries: &[u8]) -> Option<usize> {
    let bytes = entry_bytes(count);
    match bytes {
        0 => Some(0),
        _ => Some(bytes + field!(entries.get(..bytes)?, bytes - 4, u32) as usize),
    }
}

/// Decodes a list of this many indexes. `None` if the bytes are not such a list.
pub(crate) fn decode(count: u32, list: &[u8], out: &mut Vec<u32>) -> Option<()> {
    let (entries, deltas) = list.split_at_checked(entry_bytes(count))?;
    let mut start = 0;
    let mut left = count as usize;
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let end = field!(entry, 4, u32) as usize;
        let mut bytes = deltas.get(start..end)?.iter();
        let mut index = field!(entry, 0, u32);
        out.push(index);
        for _ in 1..left.min(BLOCK) {
            let mut delta = 0u32;
            let mut shift = 0;
            loop {
                let byte = *bytes.next()?;
                delta |= u32::from(byte & 0x7f).checked_shl(shift)?;
                if byte & 0x80 == 0 {
                    break;
                }
                shift += 7;
            }
            index = index.checked_add(delta)?;
            out.push(index);
        }
        left -= left.min(BLOCK);
        start = end;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back() {
        for count in [0u32, 1, 2, 127, 128, 129, 1000] {
            let indexes: Vec<u32> = (0..count).map(|i| i * i * 7).collect();
            let mut bytes = Vec::new();
            encode(&indexes, &mut bytes);
            assert_eq!(list_bytes(count, &bytes), Some(bytes.len()));
            let mut read = Vec::new();
            decode(count, &bytes, &mut read).unwrap();
            assert_eq!(read, indexes);
        }
    }

    #[test]
    fn damaged_lists_do_not_panic() {
        let indexes: Vec<u32> = (0..300).map(|i| i * 1000).collect();
        let mut bytes = Vec::new();
        encode(&indexes, &mut bytes);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] = 0xff;
            let _ = decode(300, &damaged, &mut Vec::new());
            assert!(decode(300, &bytes[..at], &mut Vec::new()).is_none());
        }
    }
}
