//! PAX records: `<length> <key>=<value>\n`, bytes throughout.

use super::Time;
use super::header::invalid;
use super::reader::Rules;
use super::sparse::Records;
use crate::error::Fallible;

/// The records of one extended header that change an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    /// Name.
    pub(crate) path: Option<Vec<u8>>,
    /// Link target.
    pub(crate) link: Option<Vec<u8>>,
    /// Bytes of content.
    pub(crate) size: Option<u64>,
    /// Owner.
    pub(crate) uid: Option<i64>,
    /// Group.
    pub(crate) gid: Option<i64>,
    /// Last change.
    pub(crate) mtime: Option<Time>,
    /// Extended attributes.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is said about the holes of a file.
    pub(crate) sparse: Records,
}

/// The key prefix of extended attributes.
pub(crate) const XATTR: &[u8] = b"SCHILY.xattr.";

impl Pax {
    /// Reads all records of one header.
    ///
    /// # Errors
    /// `ERR_LAYER_INVALID` for anything malformed.
    pub(crate) fn parse(records: &[u8]) -> Fallible<Self> {
        let mut pax = Self::default();
        let mut rest = records;
        while !rest.is_empty() {
            let (key, value, after) = record(rest).ok_or_else(|| invalid("a PAX record is malformed"))?;
            pax.set(key, value)?;
            rest = after;
        }
        Ok(pax)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Fallible<()> {
        let malformed = || invalid(format!("the PAX record {:?} is malformed", String::from_utf8_lossy(key)));
        match key {
            b"path" => self.path = Some(name(value).ok_or_else(malformed)?),
            b"linkpath" => self.link = Some(name(value).ok_or_else(malformed)?),
            // Empty values too: to POSIX they take an earlier record back, to some readers they are 0.
            b"size" => {
                self.size = Some(decimal(value).and_then(|size| u64::try_from(size).ok()).ok_or_else(malformed)?)
            }
            b"uid" => self.uid = Some(decimal(value).ok_or_else(malformed)?),
            b"gid" => self.gid = Some(decimal(value).ok_or_else(malformed)?),
            b"mtime" => self.mtime = Some(time(value).ok_or_else(malformed)?),
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.add(key, value).ok_or_else(malformed)?;
                } else if let Some(attribute) = key.strip_prefix(XATTR) {
                    if attribute.is_empty() || attribute.contains(&0) {
                        return Err(malformed());
                    }
                    self.xattrs.retain(|(known, _)| known != attribute);
                    self.xattrs.push((attribute.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }

    /// Checks a global header. Only owners and times may be global, and not even those in a layer: to Go's reader, and so to
    /// most builders, a global header says nothing about the entries.
    pub(crate) fn check_global(&self, rules: Rules) -> Fallible<()> {
        let about_content = self.size.is_some() || !self.sparse.is_empty() || !self.xattrs.is_empty();
        let about_inodes = self.uid.is_some() || self.gid.is_some() || self.mtime.is_some();
        if self.path.is_some() || self.link.is_some() || about_content || (about_inodes && rules == Rules::Layer) {
            return Err(invalid("a global PAX header sets the name, size, owner, time or attributes of every entry"));
        }
        Ok(())
    }
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(12).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(bytes.get(..space)?)?).ok()?;
    let body = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (body.get(..equals)?, body.get(equals + 1..)?);
    if key.is_empty() || key.contains(&0) { None } else { Some((key, value, bytes.get(length..)?)) }
}

pub(super) fn name(value: &[u8]) -> Option<Vec<u8>> {
    // An empty name would fall back to the ustar field in some tools and name the root in others.
    if value.is_empty() || value.contains(&0) { None } else { Some(value.to_vec()) }
}

pub(super) fn decimal(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// `[-]seconds[.fraction]`; digits below nanoseconds are dropped.
fn time(value: &[u8]) -> Option<Time> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let (whole, fraction) = match value.iter().position(|&byte| byte == b'.') {
        Some(dot) => (value.get(..dot)?, value.get(dot + 1..)?),
        None => (value, &b""[..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = decimal(whole)?;
    let nanos = fraction
        .iter()
        .chain(std::iter::repeat(&b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanos) {
        (false, _) => Time { seconds, nanos },
        (true, 0) => Time { seconds: -seconds, nanos },
        (true, _) => Time { seconds: -seconds - 1, nanos: 1_000_000_000 - nanos },
    })
}

/// Appends one record; its length counts its own digits.
pub(crate) fn append(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while length != body + length.to_string().len() {
        length = body + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn append_counts_its_own_digits() {
        for size in [0, 1, 80, 84, 85, 86, 87, 88, 95, 980, 984, 985, 986, 987, 990, 9_980, 9_990] {
            let mut records = Vec::new();
            append(&mut records, b"path", &vec![b'x'; size + 1]);
            let pax = Pax::parse(&records).unwrap();
            assert_eq!(pax.path.unwrap().len(), size + 1);
        }
    }

    #[test]
    fn parse_refuses_malformed_records() {
        let bad: [&[u8]; 17] = [
            b"5 a=b\n",
            b"7 a=b\n",
            b" a=b\n",
            b"6 a=b",
            b"6 ab\n\n",
            b"5 =b\n",
            b"-6 a=b\n",
            b"99999999999999 a=b\n",
            b"11 path=a\0\n",
            b"8 path=\n",
            b"8 size=\n",
            b"7 uid=\n",
            b"9 mtime=\n",
            b"12 size=1x2\n",
            b"12 size=-10\n",
            b"15 mtime=1.2.3\n",
            b"20 GNU.sparse.size=\n",
        ];
        for records in bad {
            let got = Pax::parse(records).map_err(|failure| failure.code);
            assert_eq!(got, Err("ERR_LAYER_INVALID"), "{:?}", String::from_utf8_lossy(records));
        }
    }

    #[test]
    fn parse_keeps_bytes_and_the_last_of_equal_keys() {
        let mut records = Vec::new();
        append(&mut records, b"path", b"\xff\n=");
        append(&mut records, b"SCHILY.xattr.user.a", b"1");
        append(&mut records, b"SCHILY.xattr.user.a", b"\0\xff=\n");
        append(&mut records, b"comment", b"");
        let pax = Pax::parse(&records).unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"\xff\n="[..]));
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"\0\xff=\n".to_vec())]);
    }

    #[test]
    fn time_counts_nanoseconds_upwards() {
        assert_eq!(time(b"1.5"), Some(Time { seconds: 1, nanos: 500_000_000 }));
        assert_eq!(time(b"-1.25"), Some(Time { seconds: -2, nanos: 750_000_000 }));
        assert_eq!(time(b"-3"), Some(Time { seconds: -3, nanos: 0 }));
        assert_eq!(time(b"0.0000000019"), Some(Time { seconds: 0, nanos: 1 }));
        assert_eq!(time(b"1e5"), None);
    }
}
