//! Names from outside, as messages show them.

/// The longest name that is shown in full, in bytes.
const FULL: usize = 300;

/// A name in quotes, with escapes; a very long one without its middle.
pub(crate) fn quote(name: &[u8]) -> String {
    match (name.get(..FULL / 2), name.get(name.len().saturating_sub(FULL / 2)..)) {
        (Some(start), Some(end)) if name.len() > FULL => {
            format!("{:?}", String::from_utf8_lossy(&[start, b"[...]", end].concat()))
        }
        _ => format!("{:?}", String::from_utf8_lossy(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quote_shortens_what_is_very_long() {
        assert_eq!(quote(b"a\n\xff"), "\"a\\n\u{fffd}\"");
        assert_eq!(quote(&[b'x'; 300]).len(), 302);
        assert_eq!(quote(&[b'x'; 100_000]).len(), 307);
    }
}
