//! `--chmod`: octal digits, or a symbolic mode as chmod(1) reads it with an empty umask.

use crate::error::{Failure, Fallible};

/// A parsed `--chmod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chmod {
    /// The mode of everything, created parents too.
    Octal(u32),
    /// Changes to the mode that an entry has.
    Symbolic(Vec<Change>),
}

/// One `who op perms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The bits that `who` allows to change.
    affected: u32,
    operator: Operator,
    /// Bits given by letter.
    bits: u32,
    /// `X` was given.
    search: bool,
    /// `u`, `g` or `o` was given: the shift of the bits that are taken over.
    copied_from: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

const SET_IDS: u32 = 0o6000;

impl Chmod {
    /// Reads a `--chmod` value.
    ///
    /// # Errors
    /// `ERR_MODE_INVALID`.
    pub(crate) fn parse(text: &str) -> Fallible<Self> {
        let invalid = || {
            let rule = "it should be octal string and between 0 and 07777, or a symbolic mode such as u=rwX,go-w";
            Failure::user("ERR_MODE_INVALID", format!("invalid chmod parameter: '{text}'. {rule}"))
        };
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|&mode| mode <= 0o7777);
            return mode.map(Self::Octal).ok_or_else(invalid);
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            clause_of(clause, &mut changes).ok_or_else(invalid)?;
        }
        Ok(Self::Symbolic(changes))
    }

    /// The new mode of an entry.
    pub(crate) fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match self {
            Self::Octal(octal) => *octal,
            Self::Symbolic(changes) => changes.iter().fold(mode, |mode, change| change.apply(mode, is_dir)),
        }
    }
}

impl Change {
    fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        let mut bits = self.bits;
        if let Some(shift) = self.copied_from {
            bits |= ((mode >> shift) & 0o7) * 0o111;
        }
        if self.search && (is_dir || mode & 0o111 != 0) {
            bits |= 0o111;
        }
        bits &= self.affected;
        match self.operator {
            Operator::Add => mode | bits,
            Operator::Remove => mode & !bits,
            Operator::Set => {
                // chmod(1) leaves the set-id bits of a directory unless they are named.
                let kept = if is_dir { SET_IDS & !self.bits } else { 0 };
                (mode & (!self.affected | kept)) | bits
            }
        }
    }
}

/// Reads `[ugoa]*([-+=]([rwxXst]*|[ugo]))+`.
fn clause_of(clause: &str, changes: &mut Vec<Change>) -> Option<()> {
    let start = clause.find(['+', '-', '='])?;
    let (who, mut rest) = clause.split_at_checked(start)?;
    let mut affected = if who.is_empty() { 0o7777 } else { 0 };
    for letter in who.chars() {
        affected |= match letter {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    while !rest.is_empty() {
        let operator = match rest.chars().next()? {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            '=' => Operator::Set,
            _ => return None,
        };
        let body = rest.get(1..)?;
        let (perms, tail) = body.split_at_checked(body.find(['+', '-', '=']).unwrap_or(body.len()))?;
        changes.push(change_of(affected, operator, perms)?);
        rest = tail;
    }
    Some(())
}

fn change_of(affected: u32, operator: Operator, perms: &str) -> Option<Change> {
    let mut change = Change { affected, operator, bits: 0, search: false, copied_from: None };
    match perms {
        "u" => change.copied_from = Some(6),
        "g" => change.copied_from = Some(3),
        "o" => change.copied_from = Some(0),
        _ => {
            for letter in perms.chars() {
                match letter {
                    'r' => change.bits |= 0o444,
                    'w' => change.bits |= 0o222,
                    'x' => change.bits |= 0o111,
                    's' => change.bits |= SET_IDS,
                    't' => change.bits |= 0o1000,
                    'X' => change.search = true,
                    _ => return None,
                }
            }
        }
    }
    Some(change)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn apply_follows_chmod_when_the_mode_is_symbolic() {
        for (text, mode, is_dir, wanted) in [
            ("u=rwX,go-w", 0o666, false, 0o644),
            ("u=rwX,go-w", 0o777, true, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("+x", 0o644, false, 0o755),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o744, false, 0o755),
            ("g=u", 0o640, false, 0o660),
            ("go=", 0o777, false, 0o700),
            ("o=u-w", 0o640, false, 0o644),
            ("u+s", 0o755, false, 0o4755),
            ("g+s", 0o755, true, 0o2755),
            ("+t", 0o777, true, 0o1777),
            ("a=rx", 0o4755, false, 0o555),
            ("a=rx", 0o2755, true, 0o2555),
            ("-w", 0o666, false, 0o444),
            ("ug+w,o-r", 0o444, false, 0o660),
            ("=", 0o644, false, 0),
        ] {
            assert_eq!(Chmod::parse(text).unwrap().apply(mode, is_dir), wanted, "{text} {mode:o}");
        }
    }

    #[test]
    fn parse_reads_octal_and_refuses_the_rest() {
        assert_eq!(Chmod::parse("0755").unwrap(), Chmod::Octal(0o755));
        assert_eq!(Chmod::parse("7777").unwrap(), Chmod::Octal(0o7777));
        for text in ["64a", "10000", "8", "", "u", "u=q", "z+x", "u+x,", "755x", "u+rg", "-1"] {
            assert_eq!(Chmod::parse(text).unwrap_err().code, "ERR_MODE_INVALID", "{text}");
        }
    }
}
