//! One `.dockerignore` pattern, compiled.
//!
//! The original turns a pattern into a regular expression and so inherits some of its syntax: `|`, `{n}`, `^` and
//! `\d` mean what they mean there once the pattern also holds a wildcard. Everyday patterns are matched by a few byte
//! comparisons; only such rare ones pay for an expression.

use super::first_char;
use regex::bytes::Regex;
use std::borrow::Cow;
use std::fmt::Write;

/// How a pattern is matched.
#[derive(Debug)]
pub(crate) enum Rule {
    /// The path itself.
    Exact(Vec<u8>),
    /// `dir/**`: whatever starts so.
    Prefix(Vec<u8>),
    /// `**/name`: whatever ends so, or is it without its leading slash.
    Suffix(Vec<u8>),
    /// A sequence of steps.
    Steps(Steps),
    /// The rest.
    Expression(Regex),
}

/// A pattern of literals and wildcards. `head` and `tail` are its literal ends, compared first.
#[derive(Debug)]
pub(crate) struct Steps {
    head: Vec<u8>,
    tail: Vec<u8>,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// These bytes.
    Literal(Vec<u8>),
    /// `?`: one character but `/`.
    AnyChar,
    /// `*`: any number of characters but `/`.
    Star,
    /// `**` inside: nothing, or anything up to and with the character that stands before the next step.
    Deep,
    /// `[…]`.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// More wildcards than this are left to the expression engine, whose time does not explode.
const MAX_WILDCARDS: usize = 4;

impl Rule {
    /// Compiles a cleaned pattern without its `!`. `None` if it is malformed.
    pub(crate) fn compile(pattern: &str) -> Option<Self> {
        let wild =
            pattern.contains(['*', '?', '[', ']']) || pattern.strip_suffix('\\').unwrap_or(pattern).contains('\\');
        if !wild {
            return Some(Self::Exact(pattern.into()));
        }
        let plain = |text: &str| !text.contains(['*', '?', '[', ']', '\\']);
        if let Some(prefix) = pattern.strip_suffix("**").filter(|prefix| plain(prefix) && !prefix.is_empty()) {
            return Some(Self::Prefix(prefix.into()));
        }
        if let Some(suffix) = pattern.strip_prefix("**").filter(|suffix| plain(suffix)) {
            return Some(Self::Suffix(suffix.into()));
        }
        match steps(pattern) {
            Some(steps) => Some(Self::Steps(steps)),
            None => Regex::new(&expression(pattern)).ok().map(Self::Expression),
        }
    }

    /// The first and the last byte of whatever matches, where they are always the same.
    pub(crate) fn ends(&self) -> (Option<u8>, Option<u8>) {
        match self {
            Self::Exact(exact) => (exact.first().copied(), exact.last().copied()),
            Self::Prefix(prefix) => (prefix.first().copied(), None),
            Self::Suffix(suffix) => (None, suffix.last().copied()),
            Self::Steps(steps) => (steps.head.first().copied(), steps.tail.last().copied()),
            Self::Expression(_) => (None, None),
        }
    }

    /// Whether this very path matches; its parents are the caller's concern.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => path == exact.as_slice(),
            Self::Prefix(prefix) => path.starts_with(prefix),
            Self::Suffix(suffix) => {
                path.ends_with(suffix) || matches!(suffix.as_slice(), [b'/', name @ ..] if name == path)
            }
            Self::Steps(steps) => {
                path.starts_with(&steps.head) && path.ends_with(&steps.tail) && run(&steps.steps, path)
            }
            Self::Expression(regex) => match String::from_utf8_lossy(path) {
                Cow::Borrowed(_) => regex.is_match(path),
                Cow::Owned(replaced) => regex.is_match(replaced.as_bytes()),
            },
        }
    }
}

/// The pattern as steps, or `None` where only an expression is faithful.
fn steps(pattern: &str) -> Option<Steps> {
    if pattern.contains(['|', '{', '}', '^', '\\', '\n']) {
        return None;
    }
    let mut steps = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let (step, tail) = match first {
            '*' => match rest.strip_prefix("**") {
                Some(tail) => {
                    let tail = tail.strip_prefix('/').unwrap_or(tail);
                    (Step::Deep, tail)
                }
                None => (Step::Star, rest.get(1..)?),
            },
            '?' => (Step::AnyChar, rest.get(1..)?),
            '[' => class(rest.get(1..)?)?,
            ']' => return None,
            _ => {
                let end = rest.find(['*', '?', '[', ']']).unwrap_or(rest.len());
                let (literal, tail) = rest.split_at_checked(end)?;
                (Step::Literal(literal.into()), tail)
            }
        };
        steps.push(step);
        rest = tail;
    }
    let wildcards = steps.iter().filter(|step| matches!(step, Step::Star | Step::Deep)).count();
    let literal = |step: Option<&Step>| match step {
        Some(Step::Literal(bytes)) => bytes.clone(),
        _ => Vec::new(),
    };
    let (head, tail) = (literal(steps.first()), literal(steps.last()));
    (wildcards <= MAX_WILDCARDS).then_some(Steps { head, tail, steps })
}

/// Reads a class of letters, digits, `_`, `.` and ranges of them; anything else is for the expression engine.
fn class(text: &str) -> Option<(Step, &str)> {
    let (body, tail) = text.split_once(']')?;
    let tame = |found: &char| found.is_ascii_alphanumeric() || matches!(found, '_' | '.');
    let mut ranges = Vec::new();
    let mut chars = body.chars().peekable();
    while let Some(low) = chars.next() {
        let high = if chars.next_if_eq(&'-').is_some() { chars.next()? } else { low };
        if !tame(&low) || !tame(&high) || low > high {
            return None;
        }
        ranges.push((low, high));
    }
    (!ranges.is_empty()).then_some((Step::Class { negated: false, ranges }, tail))
}

fn run(steps: &[Step], path: &[u8]) -> bool {
    let mut path = path;
    let mut steps = steps;
    while let Some((step, later)) = steps.split_first() {
        match step {
            Step::Literal(literal) => match path.strip_prefix(literal.as_slice()) {
                Some(tail) => path = tail,
                None => return false,
            },
            Step::AnyChar => match first_char(path) {
                Some((found, width)) if found != '/' => path = path.get(width..).unwrap_or_default(),
                _ => return false,
            },
            Step::Class { negated, ranges } => match first_char(path) {
                Some((found, width)) if ranges.iter().any(|&(a, z)| a <= found && found <= z) != *negated => {
                    path = path.get(width..).unwrap_or_default();
                }
                _ => return false,
            },
            Step::Star => return star(later, path),
            Step::Deep => return deep(later, path),
        }
        steps = later;
    }
    path.is_empty()
}

fn star(later: &[Step], path: &[u8]) -> bool {
    if later.is_empty() {
        return !path.contains(&b'/');
    }
    let mut rest = path;
    loop {
        if run(later, rest) {
            return true;
        }
        match rest.split_first() {
            Some((&byte, tail)) if byte != b'/' => rest = tail,
            _ => return false,
        }
    }
}

/// `(.*/)?` and, at the end of a pattern, `.*`: a newline ends both, as it does in the original's expressions.
fn deep(later: &[Step], path: &[u8]) -> bool {
    if later.is_empty() {
        return !path.contains(&b'\n');
    }
    let mut rest = path;
    loop {
        if run(later, rest) {
            return true;
        }
        match rest.iter().position(|&byte| byte == b'/' || byte == b'\n') {
            Some(at) if rest.get(at) == Some(&b'/') => rest = rest.get(at + 1..).unwrap_or_default(),
            _ => return false,
        }
    }
}

/// The regular expression of a pattern, as the original writes it.
fn expression(pattern: &str) -> String {
    let mut text = String::from("^");
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(found) = chars.next() {
        match found {
            '*' if chars.next_if_eq(&'*').is_some() => {
                let _ = chars.next_if_eq(&'/');
                text.push_str(if chars.peek().is_some() { "(.*/)?" } else { ".*" });
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '.' | '+' | '(' | ')' | '$' => drop(write!(text, "\\{found}")),
            '\\' => match chars.next() {
                // Perl classes are ASCII in the original.
                Some(class @ ('d' | 's' | 'w' | 'D' | 'S' | 'W')) => drop(write!(text, "(?-u:\\{class})")),
                Some(next) if next.is_alphanumeric() || next.is_ascii() => drop(write!(text, "\\{next}")),
                Some(next) => text.push(next),
                None => text.push_str("\\\\"),
            },
            // These open sets and set operations here, but are plain characters there.
            '[' if in_class && chars.peek() != Some(&':') => text.push_str("\\["),
            '&' | '~' if in_class => drop(write!(text, "\\{found}")),
            '{' if !repeats(chars.clone()) => text.push_str("\\{"),
            _ => text.push(found),
        }
        in_class = match found {
            '[' => true,
            ']' => false,
            _ => in_class,
        };
    }
    text.push('$');
    text
}

/// Whether what follows a `{` makes it a repetition.
fn repeats(rest: impl Iterator<Item = char>) -> bool {
    let body: String = rest.take_while(|&found| found != '}').collect();
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match body.split_once(',') {
        Some((low, high)) => number(low) && (high.is_empty() || number(high)),
        None => number(&body),
    }
}
