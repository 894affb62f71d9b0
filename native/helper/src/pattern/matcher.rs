//! An ordered list of `.dockerignore` rules, asked for one path after the other down a walk.

use super::rule::Rule;
use super::{Glob, clean};
use crate::error::{Failure, Fallible};
use std::sync::Arc;

/// The rules of a `.dockerignore` file, of `--exclude`, or of `--parents` sources.
#[derive(Debug)]
pub(crate) struct Matcher {
    rules: Vec<Entry>,
    /// A `!` rule has a wildcard before its end: it may reach into any directory.
    exceptions_anywhere: bool,
    /// The same of the other rules.
    rules_anywhere: bool,
}

#[derive(Debug)]
struct Entry {
    rule: Rule,
    /// First and last byte of whatever matches: one comparison turns most rules away.
    ends: (Option<u8>, Option<u8>),
    /// A `!` rule.
    exception: bool,
    /// The pattern without its trailing glob, with a slash at its end.
    reach: Vec<u8>,
    /// Where it stood in the request.
    index: u32,
}

/// Which rules match a directory: below it they match too, without being asked again.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    matched: Option<Arc<[bool]>>,
    /// The answer for the directory itself.
    pub(crate) is_match: bool,
}

impl Matcher {
    /// Compiles rules. Blank ones are skipped.
    ///
    /// # Errors
    /// `ERR_PATTERN_INVALID` for a malformed pattern and for a lone `!`.
    pub(crate) fn new<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Fallible<Self> {
        let mut rules = Vec::new();
        let mut exceptions_anywhere = false;
        let mut rules_anywhere = false;
        for (index, pattern) in patterns.into_iter().enumerate() {
            let trimmed = pattern.trim();
            if trimmed.is_empty() {
                continue;
            }
            let (exception, text) = match trimmed.strip_prefix('!') {
                Some(text) => (true, text.trim()),
                None => (false, trimmed),
            };
            if text.is_empty() {
                return Err(malformed(pattern));
            }
            let cleaned = String::from_utf8_lossy(&clean(text.as_bytes())).into_owned();
            if (cleaned.is_empty() && !exception) || leads_out(text) {
                // `/` and `.` name the root, which no path below equals; nor does `../a` name one.
                continue;
            }
            Glob::parse(cleaned.as_bytes()).map_err(|_| malformed(pattern))?;
            let rule = Rule::compile(&cleaned).ok_or_else(|| malformed(pattern))?;
            let prefix = cleaned.strip_suffix("/**").or_else(|| cleaned.strip_suffix("/*")).unwrap_or(&cleaned);
            let anywhere = prefix.contains(['*', '?', '[', ']', '^', '\\']);
            if exception {
                exceptions_anywhere |= anywhere;
            } else {
                rules_anywhere |= anywhere;
            }
            rules.push(Entry {
                ends: rule.ends(),
                rule,
                exception,
                reach: format!("{prefix}/").into_bytes(),
                index: u32::try_from(index).unwrap_or(u32::MAX),
            });
        }
        Ok(Self { rules, exceptions_anywhere, rules_anywhere })
    }

    /// Whether there is no rule.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a file matches, given the state of its directory.
    pub(crate) fn matches(&self, path: &[u8], parent: &State) -> bool {
        self.ask(path, parent, |_, _| {})
    }

    /// The state of a directory, given the state of its parent.
    pub(crate) fn enter(&self, path: &[u8], parent: &State) -> State {
        if self.rules.is_empty() {
            return State::default();
        }
        let mut matched = vec![false; self.rules.len()];
        let is_match = self.ask(path, parent, |at, hit| {
            if let Some(slot) = matched.get_mut(at) {
                *slot = hit;
            }
        });
        State { matched: Some(matched.into()), is_match }
    }

    /// The place in the request of the rule that decides that a path matches.
    pub(crate) fn decider(&self, path: &[u8], parent: &State) -> Option<u32> {
        let mut last = None;
        let hidden = self.ask(path, parent, |at, hit| {
            if hit {
                last = self.rules.get(at).map(|entry| entry.index);
            }
        });
        last.filter(|_| hidden)
    }

    /// Whether a matching directory may hold paths that a `!` rule takes back.
    pub(crate) fn may_except_below(&self, dir: &[u8]) -> bool {
        self.exceptions_anywhere || self.reaches_below(dir, true)
    }

    /// Whether a directory that does not match may hold paths that do.
    pub(crate) fn may_match_below(&self, dir: &[u8]) -> bool {
        self.rules_anywhere || self.reaches_below(dir, false)
    }

    fn reaches_below(&self, dir: &[u8], exception: bool) -> bool {
        let below = |reach: &[u8]| reach.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"));
        self.rules.iter().any(|entry| entry.exception == exception && below(&entry.reach))
    }

    fn ask(&self, path: &[u8], parent: &State, mut note: impl FnMut(usize, bool)) -> bool {
        let inherited = parent.matched.as_deref().unwrap_or_default();
        let (first, last) = (path.first().copied(), path.last().copied());
        let mut matched = false;
        for (at, entry) in self.rules.iter().enumerate() {
            let mut hit = inherited.get(at).copied().unwrap_or(false);
            if !hit {
                // A rule that could not change the answer is not asked, and so not handed down either. That is
                // visible below (`a`, `!a/b`, `a*` leaves a/b in) and is what Docker's walk does.
                if entry.exception != matched {
                    continue;
                }
                let possible = (entry.ends.0.is_none() || entry.ends.0 == first)
                    && (entry.ends.1.is_none() || entry.ends.1 == last);
                hit = possible && entry.rule.matches(path);
            }
            note(at, hit);
            if hit {
                matched = !entry.exception;
            }
        }
        matched
    }
}

/// Whether a relative pattern leads above the root.
fn leads_out(pattern: &str) -> bool {
    let mut depth = 0_usize;
    !pattern.starts_with('/')
        && pattern.split('/').any(|part| match part {
            "" | "." => false,
            ".." => depth.checked_sub(1).map(|above| depth = above).is_none(),
            _ => {
                depth += 1;
                false
            }
        })
}

fn malformed(pattern: &str) -> Failure {
    Failure::user("ERR_PATTERN_INVALID", format!("the pattern {pattern:?} is malformed"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
#[path = "matcher_tests.rs"]
mod tests;
