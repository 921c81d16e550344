//! MessagePack as the batpak crate 0.x writes and reads it: structs are maps with text keys, byte
//! strings are arrays of small integers, or `bin` where something else wrote them.

use rmp::Marker;
use std::borrow::Cow;

/// Why something cannot be read.
pub(crate) type Parsed<T> = Result<T, &'static str>;

/// Values inside values are passed over down to this depth; deeper ones are nothing that a store
/// holds.
const MAX_DEPTH: usize = 64;

pub(crate) const CUT_OFF: &str = "a value is cut off";
const OTHER_TYPE: &str = "a value has another type";

/// Reads values from the front of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Parsed<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(taken)
    }

    fn marker(&mut self) -> Parsed<Marker> {
        self.take(1).map(|byte| Marker::from_u8(byte[0]))
    }

    /// An unsigned number of so many bytes, big-endian.
    fn number(&mut self, bytes: usize) -> Parsed<u64> {
        let taken = self.take(bytes)?;
        Ok(taken.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Whether a nil comes next; passes over it.
    pub(crate) fn nil(&mut self) -> bool {
        let is_nil = self.0.first() == Some(&Marker::Null.to_u8());
        if is_nil {
            self.0 = &self.0[1..];
        }
        is_nil
    }

    /// An integer of any width.
    fn integer(&mut self) -> Parsed<i128> {
        Ok(match self.marker()? {
            Marker::FixPos(value) => value.into(),
            Marker::FixNeg(value) => value.into(),
            Marker::U8 => self.number(1)?.into(),
            Marker::U16 => self.number(2)?.into(),
            Marker::U32 => self.number(4)?.into(),
            Marker::U64 => self.number(8)?.into(),
            Marker::I8 => (self.number(1)? as u8 as i8).into(),
            Marker::I16 => (self.number(2)? as u16 as i16).into(),
            Marker::I32 => (self.number(4)? as u32 as i32).into(),
            Marker::I64 => (self.number(8)? as i64).into(),
            _ => return Err(OTHER_TYPE),
        })
    }

    /// An integer that fits.
    pub(crate) fn int<T: TryFrom<i128>>(&mut self) -> Parsed<T> {
        T::try_from(self.integer()?).map_err(|_| "a number is out of range")
    }

    pub(crate) fn boolean(&mut self) -> Parsed<bool> {
        match self.marker()? {
            Marker::True => Ok(true),
            Marker::False => Ok(false),
            _ => Err(OTHER_TYPE),
        }
    }

    pub(crate) fn text(&mut self) -> Parsed<&'a str> {
        std::str::from_utf8(self.text_bytes()?).map_err(|_| "a text is not UTF-8")
    }

    fn text_bytes(&mut self) -> Parsed<&'a [u8]> {
        let length = match self.marker()? {
            Marker::FixStr(length) => length.into(),
            Marker::Str8 => self.number(1)?,
            Marker::Str16 => self.number(2)?,
            Marker::Str32 => self.number(4)?,
            _ => return Err(OTHER_TYPE),
        };
        self.take(length as usize)
    }

    /// The number of pairs in a map, which come next.
    pub(crate) fn map(&mut self) -> Parsed<usize> {
        let pairs = match self.marker()? {
            Marker::FixMap(pairs) => pairs.into(),
            Marker::Map16 => self.number(2)?,
            Marker::Map32 => self.number(4)?,
            _ => return Err(OTHER_TYPE),
        };
        Ok(pairs as usize)
    }

    /// The number of values in an array, which come next.
    pub(crate) fn array(&mut self) -> Parsed<usize> {
        let values = match self.marker()? {
            Marker::FixArray(values) => values.into(),
            Marker::Array16 => self.number(2)?,
            Marker::Array32 => self.number(4)?,
            _ => return Err(OTHER_TYPE),
        };
        Ok(values as usize)
    }

    /// A `bin`, if one comes next.
    fn binary(&mut self) -> Parsed<Option<&'a [u8]>> {
        let width = match self.0.first().copied().map(Marker::from_u8) {
            Some(Marker::Bin8) => 1,
            Some(Marker::Bin16) => 2,
            Some(Marker::Bin32) => 4,
            _ => return Ok(None),
        };
        self.take(1)?;
        let length = self.number(width)? as usize;
        self.take(length).map(Some)
    }

    /// A byte string: an array of integers up to 255, or `bin`.
    pub(crate) fn bytes(&mut self) -> Parsed<Cow<'a, [u8]>> {
        if let Some(bytes) = self.binary()? {
            return Ok(Cow::Borrowed(bytes));
        }
        let count = self.array()?;
        // Each takes a byte at least, so that a length that lies asks for no memory.
        let mut bytes = vec![0; count.min(self.0.len())];
        if bytes.len() < count {
            return Err(CUT_OFF);
        }
        self.integers(&mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// Fills `out` with as many integers up to 255. Those above 127 have a byte before them, and
    /// which ones do is as random as the bytes are: so the loop goes by eight bytes and does not
    /// branch on it.
    fn integers(&mut self, out: &mut [u8]) -> Parsed<()> {
        const FEW: usize = 4;
        let mut filled = 0;
        while filled < out.len() {
            if let (Some(ahead), Some(slots)) =
                (self.0.first_chunk::<8>(), out[filled..].first_chunk_mut::<8>())
            {
                let mut window = u64::from_le_bytes(*ahead);
                if window & 0x8080_8080_8080_8080 == 0 {
                    *slots = *ahead;
                    filled += 8;
                    self.0 = &self.0[8..];
                    continue;
                }
                let (mut used, mut is_other) = (0, false);
                for slot in &mut slots[..FEW] {
                    let first = window as u8;
                    let prefixed = u32::from(first == 0xcc);
                    is_other |= first > 0x7f && prefixed == 0;
                    *slot = (window >> (8 * prefixed)) as u8;
                    window >>= 8 + 8 * prefixed;
                    used += 1 + prefixed as usize;
                }
                if !is_other {
                    filled += FEW;
                    self.0 = &self.0[used..];
                    continue;
                }
            }
            out[filled] = self.int()?;
            filled += 1;
        }
        Ok(())
    }

    /// A byte string of a fixed length.
    pub(crate) fn exactly<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        const OTHER_LENGTH: &str = "a byte string has another length";
        let mut bytes = [0; N];
        if let Some(found) = self.binary()? {
            return found.try_into().map_err(|_| OTHER_LENGTH);
        }
        if self.array()? != N {
            return Err(OTHER_LENGTH);
        }
        self.integers(&mut bytes)?;
        Ok(bytes)
    }

    /// Calls `field` with each key of a map, as its bytes; it reads the value. A key that `field`
    /// does not know, for which it gives `false`, is passed over with its value.
    pub(crate) fn fields(
        &mut self,
        mut field: impl FnMut(&'a [u8], &mut Self) -> Parsed<bool>,
    ) -> Parsed<()> {
        for _ in 0..self.map()? {
            let key = self.text_bytes()?;
            if !field(key, self)? {
                self.skip()?;
            }
        }
        Ok(())
    }

    /// Passes over a value of any type; gives its bytes.
    pub(crate) fn skip(&mut self) -> Parsed<&'a [u8]> {
        let before = self.0;
        // How many values are still to be passed over, at each depth.
        let mut open = Vec::from([1u64]);
        while let Some(left) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            let inside = self.skip_front()?;
            if inside > 0 {
                if open.len() == MAX_DEPTH {
                    return Err("values are nested too deeply");
                }
                open.push(inside);
            }
        }
        Ok(&before[..before.len() - self.0.len()])
    }

    /// Passes over a value, but for the values in it: gives how many those are.
    fn skip_front(&mut self) -> Parsed<u64> {
        let (bytes, inside) = match self.marker()? {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
                (0, 0)
            }
            Marker::U8 | Marker::I8 => (1, 0),
            Marker::U16 | Marker::I16 => (2, 0),
            Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
            Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
            Marker::FixStr(length) => (length.into(), 0),
            Marker::Str8 | Marker::Bin8 => (self.number(1)?, 0),
            Marker::Str16 | Marker::Bin16 => (self.number(2)?, 0),
            Marker::Str32 | Marker::Bin32 => (self.number(4)?, 0),
            Marker::FixExt1 => (2, 0),
            Marker::FixExt2 => (3, 0),
            Marker::FixExt4 => (5, 0),
            Marker::FixExt8 => (9, 0),
            Marker::FixExt16 => (17, 0),
            Marker::Ext8 => (self.number(1)? + 1, 0),
            Marker::Ext16 => (self.number(2)? + 1, 0),
            Marker::Ext32 => (self.number(4)? + 1, 0),
            Marker::FixArray(values) => (0, values.into()),
            Marker::Array16 => (0, self.number(2)?),
            Marker::Array32 => (0, self.number(4)?),
            Marker::FixMap(pairs) => (0, 2 * u64::from(pairs)),
            Marker::Map16 => (0, 2 * self.number(2)?),
            Marker::Map32 => (0, 2 * self.number(4)?),
            Marker::Reserved => return Err("a value has no type"),
        };
        self.take(usize::try_from(bytes).map_err(|_| CUT_OFF)?)?;
        Ok(inside)
    }
}

/// Writes values behind bytes. Writing to memory does not fail.
pub(crate) trait Write {
    fn put_map(&mut self, pairs: u32);
    fn put_text(&mut self, text: &str);
    fn put_unsigned(&mut self, value: u64);
    fn put_signed(&mut self, value: i64);
    fn put_nil(&mut self);
    fn put_binary(&mut self, bytes: &[u8]);
    /// As an array of integers.
    fn put_integers(&mut self, bytes: &[u8]);
}

impl Write for Vec<u8> {
    fn put_map(&mut self, pairs: u32) {
        let _ = rmp::encode::write_map_len(self, pairs);
    }

    fn put_text(&mut self, text: &str) {
        let _ = rmp::encode::write_str(self, text);
    }

    fn put_unsigned(&mut self, value: u64) {
        let _ = rmp::encode::write_uint(self, value);
    }

    fn put_signed(&mut self, value: i64) {
        let _ = rmp::encode::write_sint(self, value);
    }

    fn put_nil(&mut self) {
        let _ = rmp::encode::write_nil(self);
    }

    fn put_binary(&mut self, bytes: &[u8]) {
        let _ = rmp::encode::write_bin(self, bytes);
    }

    fn put_integers(&mut self, bytes: &[u8]) {
        let _ = rmp::encode::write_array_len(self, bytes.len() as u32);
        for byte in bytes {
            if *byte >= 0x80 {
                self.push(0xcc);
            }
            self.push(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_strings_in_every_form() {
        let forms: [&[u8]; 4] = [
            &[0x93, 1, 0xcc, 0x80, 0xcc, 0xff],
            &[0xdc, 0, 3, 1, 0xcd, 0, 0x80, 0xd1, 0, 0xff],
            &[0xc4, 3, 1, 0x80, 0xff],
            &[0xc6, 0, 0, 0, 3, 1, 0x80, 0xff],
        ];
        for form in forms {
            let mut reader = Reader(form);
            assert_eq!(&*reader.bytes().unwrap(), [1, 0x80, 0xff], "{form:02x?}");
            assert!(reader.0.is_empty());
            for length in 0..form.len() {
                assert!(Reader(&form[..length]).bytes().is_err(), "{form:02x?} {length}");
            }
        }
        assert!(Reader(&[0x91, 0xcd, 1, 0]).bytes().is_err());
        assert!(Reader(&[0x91, 0xff]).bytes().is_err());
        // A length that lies.
        assert!(Reader(&[0xdd, 0xff, 0xff, 0xff, 0xff, 1]).bytes().is_err());
    }

    #[test]
    fn long_byte_strings() {
        let texts: [Vec<u8>; 4] = [
            (0..=255).collect(),
            vec![0xcc; 100],
            vec![b'a'; 100],
            (0..1000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
        ];
        for text in texts {
            for length in [text.len(), 9, 8, 7, 3] {
                let mut bytes = Vec::new();
                bytes.put_integers(&text[..length]);
                let mut reader = Reader(&bytes);
                assert_eq!(&*reader.bytes().unwrap(), &text[..length]);
                assert!(reader.0.is_empty());
                assert!(Reader(&bytes[..bytes.len() - 1]).bytes().is_err());
            }
        }
        // A wide form among narrow ones.
        let mut bytes = vec![0x9f];
        bytes
            .extend_from_slice(&[0xcc, 200, 0xcd, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
        let read = Reader(&bytes).bytes().unwrap().into_owned();
        assert_eq!(read, [200, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        bytes.put_map(2);
        bytes.put_text("a");
        bytes.put_signed(-5);
        bytes.put_text("b");
        bytes.put_integers(&[0, 200]);
        bytes.put_unsigned(1 << 40);
        bytes.put_nil();
        bytes.put_binary(b"xy");
        let mut reader = Reader(&bytes);
        let mut seen = Vec::new();
        let fields = reader.fields(|key, value| {
            seen.push(key);
            if key == b"a" {
                assert_eq!(value.int::<i64>(), Ok(-5));
            }
            Ok(key == b"a")
        });
        assert_eq!(fields, Ok(()));
        assert_eq!(seen, [b"a", b"b"]);
        assert!(reader.int::<u32>().is_err());
        assert!(reader.nil());
        assert_eq!(&*reader.bytes().unwrap(), b"xy");
        assert!(!reader.nil());
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(Reader(&[0x91; 10_000]).skip().is_err());
        let mut nested = vec![0x91; 60];
        nested.push(1);
        assert_eq!(Reader(&nested).skip(), Ok(&nested[..]));
    }
}
