//! `filepath.Match`: `*` and `?` stop at `/`, `[…]` does not, `\` takes the next byte as it is.

use super::first_char;

/// A wildcard of a COPY source, ready to match.
#[derive(Debug)]
pub(crate) struct Glob {
    chunks: Vec<Chunk>,
}

/// A run of items; with `star`, any number of bytes but `/` may stand before it.
#[derive(Debug, Default)]
struct Chunk {
    star: bool,
    items: Vec<Item>,
}

#[derive(Debug)]
enum Item {
    Byte(u8),
    AnyChar,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// The pattern is malformed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadPattern;

impl Glob {
    /// Whether `text` has a wildcard at all; an escaped one is none.
    pub(crate) fn has_wildcard(text: &[u8]) -> bool {
        let mut bytes = text.iter();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => drop(bytes.next()),
                b'*' | b'?' | b'[' => return true,
                _ => {}
            }
        }
        false
    }

    /// Reads a pattern.
    pub(crate) fn parse(pattern: &[u8]) -> Result<Self, BadPattern> {
        let mut chunks = vec![Chunk::default()];
        let mut rest = pattern;
        while let Some((&byte, tail)) = rest.split_first() {
            if byte == b'*' {
                rest = tail;
                if chunks.last().is_none_or(|last| !last.star || !last.items.is_empty()) {
                    chunks.push(Chunk { star: true, items: Vec::new() });
                }
                continue;
            }
            let (item, tail) = match byte {
                b'?' => (Item::AnyChar, tail),
                b'[' => class(tail)?,
                b'\\' => tail.split_first().map(|(&next, tail)| (Item::Byte(next), tail)).ok_or(BadPattern)?,
                _ => (Item::Byte(byte), tail),
            };
            rest = tail;
            if let Some(last) = chunks.last_mut() {
                last.items.push(item);
            }
        }
        Ok(Self { chunks })
    }

    /// Whether a `[…]` could match `/`, so that a match may have another number of components than the pattern.
    pub(crate) fn may_cross_slash(&self) -> bool {
        let crosses = |item: &Item| matches!(item, Item::Class { .. }) && item.takes('/');
        self.chunks.iter().any(|chunk| chunk.items.iter().any(crosses))
    }

    /// Whether the whole of `name` matches.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let mut name = name;
        let mut chunks = self.chunks.iter().peekable();
        while let Some(chunk) = chunks.next() {
            let last = chunks.peek().is_none();
            if chunk.star && chunk.items.is_empty() {
                return !name.contains(&b'/');
            }
            match chunk.find(name, last) {
                Some(tail) => name = tail,
                None => return false,
            }
        }
        name.is_empty()
    }
}

impl Chunk {
    /// The text after the first place where this chunk fits; the last chunk must fit at the end.
    fn find<'n>(&self, name: &'n [u8], last: bool) -> Option<&'n [u8]> {
        let mut start = name;
        loop {
            if let Some(tail) = self.at(start)
                && (!last || tail.is_empty())
            {
                return Some(tail);
            }
            match start.split_first() {
                Some((&byte, tail)) if self.star && byte != b'/' => start = tail,
                _ => return None,
            }
        }
    }

    fn at<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let mut rest = name;
        for item in &self.items {
            let (found, width) = match item {
                Item::Byte(_) => (char::from(*rest.first()?), 1),
                _ => first_char(rest)?,
            };
            if !item.takes(found) {
                return None;
            }
            rest = rest.get(width..)?;
        }
        Some(rest)
    }
}

impl Item {
    fn takes(&self, found: char) -> bool {
        match self {
            Self::Byte(byte) => char::from(*byte) == found,
            Self::AnyChar => found != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|&(low, high)| low <= found && found <= high) != *negated
            }
        }
    }
}

/// Reads a class after its `[`.
fn class(text: &[u8]) -> Result<(Item, &[u8]), BadPattern> {
    let (negated, mut rest) = match text {
        [b'^', tail @ ..] => (true, tail),
        _ => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        if let [b']', tail @ ..] = rest
            && !ranges.is_empty()
        {
            return Ok((Item::Class { negated, ranges }, tail));
        }
        let (low, tail) = class_char(rest)?;
        let (high, tail) = match tail {
            [b'-', tail @ ..] => class_char(tail)?,
            _ => (low, tail),
        };
        ranges.push((low, high));
        rest = tail;
    }
}

fn class_char(text: &[u8]) -> Result<(char, &[u8]), BadPattern> {
    let text = match text {
        [] | [b'-' | b']', ..] => return Err(BadPattern),
        [b'\\', tail @ ..] => tail,
        _ => text,
    };
    let (found, width) = first_char(text).ok_or(BadPattern)?;
    let rest = text.get(width..).unwrap_or_default();
    // A class that ends here has no `]`; a byte that is not UTF-8 is malformed in a pattern.
    if rest.is_empty() || (found == char::REPLACEMENT_CHARACTER && width == 1) {
        return Err(BadPattern);
    }
    Ok((found, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
        Glob::parse(pattern.as_bytes()).map(|glob| glob.matches(name.as_bytes()))
    }

    #[test]
    fn matches_follows_go_when_the_pattern_is_well_formed() {
        for (pattern, name, wanted) in [
            ("", "", true),
            ("", "x", false),
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*", "", true),
            ("*", "a/b", false),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a[^x]b", "a/b", true),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "z", false),
            ("[\\-x]", "a", false),
            ("*x", "xxx", true),
            ("[[]x", "[x", true),
            ("{a,b}", "{a,b}", true),
            ("[!a]", "!", true),
            (".*", ".hidden", true),
            ("*", ".hidden", true),
        ] {
            assert_eq!(matches(pattern, name), Ok(wanted), "{pattern} {name}");
        }
    }

    #[test]
    fn parse_refuses_malformed_patterns() {
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "a[", "a[^", "[a-b-c]", "[", "[^bc", "a\\", "[\\", "[a", "[]"] {
            assert_eq!(Glob::parse(pattern.as_bytes()).err(), Some(BadPattern), "{pattern}");
        }
    }

    #[test]
    fn matches_counts_a_byte_that_is_not_utf8_as_one_character() {
        let glob = Glob::parse(b"a?c").unwrap();
        assert!(glob.matches(b"a\xffc"));
        assert!(!glob.matches(b"a\xff\xfec"));
    }

    #[test]
    fn has_wildcard_ignores_escaped_ones() {
        for (text, wanted) in [("a\\*b", false), ("a*", true), ("\\\\*", true), ("a[", true), ("plain", false)] {
            assert_eq!(Glob::has_wildcard(text.as_bytes()), wanted, "{text}");
        }
    }
}
