//! The two pattern languages of a Dockerfile: `.dockerignore` rules and `filepath.Match` wildcards.
//!
//! Both follow the Go code that Dockerfiles were written against, its oddities included (docs/dev/cache-keys.md,
//! "Patterns"), because a pattern that means something else here is a file too many or too few in an image.

mod glob;
mod matcher;
mod rule;

pub(crate) use glob::Glob;
pub(crate) use matcher::{Matcher, State};

/// The bytes of the character at the head of `text` and the character. A byte that is not UTF-8 counts as one
/// U+FFFD, as in Go.
fn first_char(text: &[u8]) -> Option<(char, usize)> {
    let first = *text.first()?;
    if first < 0x80 {
        return Some((char::from(first), 1));
    }
    let head = text.get(..text.len().min(4)).unwrap_or_default();
    let valid = match std::str::from_utf8(head) {
        Ok(valid) => valid,
        Err(error) => std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
    };
    match valid.chars().next() {
        Some(found) => Some((found, found.len_utf8())),
        None => Some((char::REPLACEMENT_CHARACTER, 1)),
    }
}

/// Shortens a path by its spelling alone: no empty or `.` components, `..` taken off, nothing above the root, no
/// slash at either end.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join(&b'/')
}
