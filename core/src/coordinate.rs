//! Entity and scope: whose event it is, and in which area it lives.

use crate::error::{Error, ErrorKind, Result};

/// The longest entity or scope, in bytes.
pub const MAX_COORDINATE_BYTES: usize = 1024;

/// Checks an entity and a scope against the rules for coordinates: 1 to 1,024 bytes of UTF-8
/// without control characters, `/`, `|`, `=` and `..`.
pub fn check_coordinate(entity: &str, scope: &str) -> Result<()> {
    check_component("entity", entity)?;
    check_component("scope", scope)
}

pub(crate) fn check_component(name: &str, value: &str) -> Result<()> {
    let refuse = |why: String| Err(Error::new(ErrorKind::InvalidCoordinate, why));
    if value.is_empty() {
        return refuse(format!("{name} is empty; give it 1 to {MAX_COORDINATE_BYTES} bytes"));
    }
    if value.len() > MAX_COORDINATE_BYTES {
        let length = value.len();
        return refuse(format!("{name} has {length} bytes; the limit is {MAX_COORDINATE_BYTES}"));
    }
    if let Some(bad) = value.bytes().find(|b| *b < 0x20 || *b == 0x7f) {
        return refuse(format!("{name} contains the control character 0x{bad:02x}"));
    }
    if let Some(bad) = value.bytes().find(|b| matches!(b, b'/' | b'|' | b'=')) {
        return refuse(format!("{name} contains `{}`, which is reserved", bad as char));
    }
    if value.contains("..") {
        return refuse(format!("{name} contains `..`, which is reserved"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_rules_allow() {
        for good in ["a", "user:1", "Zoë Müller", "a b", "a.b", "naïve:日本"] {
            assert!(check_coordinate(good, "s").is_ok(), "{good}");
        }
        assert!(check_component("entity", &"x".repeat(MAX_COORDINATE_BYTES)).is_ok());
    }

    #[test]
    fn refuses_the_rest_with_one_kind() {
        let long = "x".repeat(MAX_COORDINATE_BYTES + 1);
        for bad in ["", "a/b", "a|b", "a=b", "a..b", "a\0b", "a\nb", "a\u{7f}", &long] {
            let error = check_component("entity", bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidCoordinate, "{bad:?}");
        }
    }
}
