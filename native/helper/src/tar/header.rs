//! The fields of one 512-byte header, read strictly.

use super::BLOCK;
use super::sparse::{self, Map};
use crate::error::{Failure, Fallible};

/// One header block with a verified checksum.
#[derive(Debug)]
pub(crate) struct Header<'b> {
    block: &'b [u8; BLOCK],
}

/// Which extension of the original format a header uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Nothing after the link name counts.
    V7,
    /// POSIX: long names are split into prefix and name.
    Ustar,
    /// GNU: the prefix area holds times.
    Gnu,
}

impl<'b> Header<'b> {
    /// Checks the checksum.
    ///
    /// # Errors
    /// `ERR_LAYER_INVALID` when it is wrong: this is not a tar header.
    pub(crate) fn parse(block: &'b [u8; BLOCK]) -> Fallible<Self> {
        let header = Self { block };
        let stored = octal("checksum", header.field(148, 8))?;
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (at, &byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        // Some old programs summed signed chars; every reader accepts both.
        if i64::try_from(stored).is_ok_and(|stored| stored == unsigned || stored == signed) {
            Ok(header)
        } else {
            Err(invalid("the checksum of a tar header is wrong"))
        }
    }

    /// The type flag.
    pub(crate) fn flag(&self) -> u8 {
        self.field(156, 1).first().copied().unwrap_or(0)
    }

    /// Name, with the ustar prefix where there is one.
    pub(crate) fn path(&self) -> Vec<u8> {
        let name = text(self.field(0, 100));
        let prefix = text(self.field(345, 155));
        if self.dialect() != Dialect::Ustar || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, name].join(&b'/')
    }

    /// Link target.
    pub(crate) fn link(&self) -> Vec<u8> {
        text(self.field(157, 100)).to_vec()
    }

    /// The permission bits; the type bits that some writers add are dropped.
    pub(crate) fn mode(&self) -> Fallible<u32> {
        Ok(u32::try_from(self.number("mode", 100, 8)? & 0o7777).unwrap_or(0))
    }

    /// Owner.
    pub(crate) fn uid(&self) -> Fallible<i64> {
        self.number("uid", 108, 8)
    }

    /// Group.
    pub(crate) fn gid(&self) -> Fallible<i64> {
        self.number("gid", 116, 8)
    }

    /// Bytes of content.
    pub(crate) fn size(&self) -> Fallible<u64> {
        u64::try_from(self.number("size", 124, 12)?).map_err(|_| invalid("the size of a tar entry is negative"))
    }

    /// Last change in seconds since 1970.
    pub(crate) fn mtime(&self) -> Fallible<i64> {
        self.number("mtime", 136, 12)
    }

    /// Major and minor number.
    pub(crate) fn device(&self) -> Fallible<(i64, i64)> {
        match self.dialect() {
            Dialect::V7 => Ok((0, 0)),
            Dialect::Ustar | Dialect::Gnu => Ok((self.number("devmajor", 329, 8)?, self.number("devminor", 337, 8)?)),
        }
    }

    /// The size and the map of an old GNU sparse file, and whether a further block of the map follows.
    pub(crate) fn sparse(&self) -> Fallible<(u64, Map, bool)> {
        let mut map = Map::new();
        sparse::read_pairs(self.field(386, 4 * 24), &mut map)?;
        let real = u64::try_from(self.number("real size", 483, 12)?);
        let real = real.map_err(|_| invalid("the size of a tar entry is negative"))?;
        Ok((real, map, self.field(482, 1) != [0]))
    }

    fn dialect(&self) -> Dialect {
        match self.field(257, 8) {
            b"ustar  \0" => Dialect::Gnu,
            [b'u', b's', b't', b'a', b'r', 0, ..] => Dialect::Ustar,
            _ => Dialect::V7,
        }
    }

    fn field(&self, start: usize, length: usize) -> &'b [u8] {
        self.block.get(start..start + length).unwrap_or_default()
    }

    fn number(&self, name: &str, start: usize, length: usize) -> Fallible<i64> {
        number(name, self.field(start, length))
    }
}

/// Octal digits, or base-256 where the first bit is set.
pub(super) fn number(name: &str, field: &[u8]) -> Fallible<i64> {
    match field.first() {
        Some(byte) if byte & 0x80 != 0 => {
            base256(field).ok_or_else(|| invalid(format!("the {name} of a tar header is out of range")))
        }
        _ => octal(name, field).map(|value| i64::try_from(value).unwrap_or(i64::MAX)),
    }
}

fn octal(name: &str, field: &[u8]) -> Fallible<u64> {
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| matches!(byte, b' ' | 0)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end).unwrap_or_default();
    let blank = rest.iter().all(|byte| matches!(byte, b' ' | 0));
    if !blank || !digits.iter().all(|byte| matches!(byte, b'0'..=b'7')) {
        return Err(invalid(format!("the {name} of a tar header is no octal number")));
    }
    // Twelve octal digits have 36 bits, so this cannot overflow.
    Ok(digits.iter().fold(0, |value, digit| value * 8 + u64::from(digit - b'0')))
}

/// GNU's binary numbers: two's complement, big-endian, the first bit only marks the form.
fn base256(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    let negative = first & 0x40 != 0;
    let start = if negative { i128::from(*first) - 256 } else { i128::from(first & 0x7f) };
    let mut value = start;
    for byte in rest {
        value = value.checked_mul(256)?.checked_add(i128::from(*byte))?;
    }
    i64::try_from(value).ok()
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The archive is malformed.
pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::user("ERR_LAYER_INVALID", message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn base256_reads_both_signs() {
        assert_eq!(base256(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(base256(&[0xff; 12]), Some(-1));
        assert_eq!(base256(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc, 0x18]), Some(-1000));
        let mut large = [0; 12];
        large[0] = 0x80;
        large[1] = 1;
        assert_eq!(base256(&large), None);
    }

    #[test]
    fn octal_refuses_what_is_not_octal() {
        let mut block = [0; BLOCK];
        for bad in ["0000008\0", "12 34\0\0\0", "-0000001", "0x00001\0"] {
            block[100..108].copy_from_slice(bad.as_bytes());
            let header = Header { block: &block };
            assert_eq!(header.mode().unwrap_err().code, "ERR_LAYER_INVALID", "{bad}");
        }
        block[100..108].copy_from_slice(b"  644 \0 ");
        assert_eq!(Header { block: &block }.mode().unwrap(), 0o644);
    }

    #[test]
    fn parse_refuses_a_wrong_checksum() {
        assert_eq!(Header::parse(&[b'x'; BLOCK]).unwrap_err().code, "ERR_LAYER_INVALID");
    }
}
