//! The words of a script line: options, escapes, payloads and hex.

use std::collections::HashMap;
use std::error::Error;
use std::str::FromStr;

/// Why a command gives no ordinary output: the store's error, or a sentence about a line that is
/// not in the script language.
pub(crate) type Failure = Box<dyn Error>;
/// The variables of a script, by name without the `$`.
pub(crate) type Variables = HashMap<String, String>;

/// A command line: the words that stand alone, in order, and the `key=value` options.
pub(crate) struct Words {
    words: Vec<String>,
    options: Vec<(String, String)>,
}

impl Words {
    /// Splits a line and puts the variables' values in their places.
    pub(crate) fn parse(line: &str, variables: &Variables) -> Result<Self, Failure> {
        let mut parsed = Self { words: Vec::new(), options: Vec::new() };
        for word in line.split(' ') {
            let (key, value) = word.split_once('=').map_or((None, word), |(k, v)| (Some(k), v));
            let value = match value.strip_prefix('$') {
                Some(name) => variables.get(name).ok_or(format!("{value} is not defined"))?.clone(),
                None => value.to_owned(),
            };
            match key {
                Some(key) => parsed.options.push((key.to_owned(), value)),
                None => parsed.words.push(value),
            }
        }
        Ok(parsed)
    }

    pub(crate) fn word(&self, place: usize) -> Result<&str, Failure> {
        Ok(self.words.get(place).ok_or(format!("word {place} is missing"))?)
    }

    pub(crate) fn name(&self, place: usize) -> Result<String, Failure> {
        text(self.word(place)?)
    }

    pub(crate) fn number<T: FromStr<Err: Error + 'static>>(&self, at: usize) -> Result<T, Failure> {
        Ok(self.word(at)?.parse()?)
    }

    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.options.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn option(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    pub(crate) fn name_option(&self, key: &str) -> Result<Option<String>, Failure> {
        self.option(key).map(text).transpose()
    }

    pub(crate) fn number_option<T: FromStr<Err: Error + 'static>>(
        &self,
        key: &str,
    ) -> Result<Option<T>, Failure> {
        Ok(self.option(key).map(str::parse).transpose()?)
    }

    /// The option's place in a list of words, the first word being the default.
    pub(crate) fn choice<T: Copy>(&self, key: &str, of: &[(&str, T)]) -> Result<T, Failure> {
        let word = self.option(key).unwrap_or(of[0].0);
        let chosen = of.iter().find(|(name, _)| *name == word);
        Ok(chosen.ok_or(format!("{key} cannot be `{word}`"))?.1)
    }
}

/// A name: `repeat:N:c`, or text with escapes.
pub(crate) fn text(word: &str) -> Result<String, Failure> {
    match word.strip_prefix("repeat:").and_then(|rest| rest.split_once(':')) {
        Some((count, character)) => Ok(character.repeat(count.parse()?)),
        None => Ok(String::from_utf8(unescape(word)?)?),
    }
}

/// A payload: `hex:…`, `text:…`, `zeros:N` or `-`.
pub(crate) fn payload(word: &str) -> Result<Vec<u8>, Failure> {
    match word.split_once(':') {
        Some(("hex", digits)) => bytes(digits),
        Some(("text", text)) => unescape(text),
        Some(("zeros", count)) => Ok(vec![0; count.parse()?]),
        _ if word == "-" => Ok(Vec::new()),
        _ => Err(format!("`{word}` is no payload").into()),
    }
}

/// A kind: `0x…` or decimal.
pub(crate) fn kind(word: &str) -> Result<u16, Failure> {
    Ok(word.strip_prefix("0x").map_or(word.parse(), |digits| u16::from_str_radix(digits, 16))?)
}

pub(crate) fn bytes(digits: &str) -> Result<Vec<u8>, Failure> {
    let pair = |at| digits.get(at..at + 2).ok_or(format!("`{digits}` is not hex"));
    (0..digits.len()).step_by(2).map(|at| Ok(u8::from_str_radix(pair(at)?, 16)?)).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unescape(word: &str) -> Result<Vec<u8>, Failure> {
    let mut parts = word.split('\\');
    let mut out = Vec::from(parts.next().unwrap_or_default());
    while let Some(part) = parts.next() {
        let (escaped, rest) = match (part.chars().next(), part.get(1..)) {
            (Some('s'), Some(rest)) => (vec![b' '], rest),
            (Some('n'), Some(rest)) => (vec![b'\n'], rest),
            (Some('0'), Some(rest)) => (vec![0], rest),
            (Some('e'), Some(rest)) => (vec![], rest),
            (Some('x'), Some(rest)) if rest.len() >= 2 => (bytes(&rest[..2])?, &rest[2..]),
            (None, _) => (vec![b'\\'], parts.next().unwrap_or_default()),
            _ => return Err(format!("unknown escape in `{word}`").into()),
        };
        out.extend(escaped);
        out.extend_from_slice(rest.as_bytes());
    }
    Ok(out)
}

/// Text as it is printed.
pub(crate) fn escape(text: &str) -> String {
    if text.is_empty() {
        return "\\e".into();
    }
    text.replace('\\', "\\\\").replace(' ', "\\s").replace('\n', "\\n").replace('\0', "\\0")
}

/// A payload as it is printed.
pub(crate) fn show_payload(payload: &[u8]) -> String {
    match payload.len() {
        0 => "-".into(),
        1..=64 => format!("hex:{}", hex(payload)),
        length => format!("bytes:{length}:{:08x}", crc32fast::hash(payload)),
    }
}
