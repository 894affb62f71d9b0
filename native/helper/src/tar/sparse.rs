//! Files with holes as GNU tar stores them: the old header of type `S`, and the three PAX forms 0.0, 0.1 and 1.0.
//!
//! <https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html>

use super::BLOCK;
use super::header::{invalid, number};
use super::pax::{decimal, name};
use crate::error::Fallible;

/// Pieces of one map. A map in the content of an entry has no other bound.
const PIECES_MAX: usize = 1 << 20;

/// Where pieces of content belong: offset and length, in the order of the content.
pub(crate) type Map = Vec<(u64, u64)>;

/// A file with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sparse {
    /// The size of the file, holes included.
    pub(crate) size: u64,
    /// Ascending pieces inside of `size`; their lengths add up to the content.
    pub(crate) map: Map,
}

impl Sparse {
    /// Checks a map against the number of bytes that follow the header.
    ///
    /// # Errors
    /// `ERR_LAYER_INVALID` if pieces overlap, lie outside of the file or do not hold exactly `stored` bytes.
    pub(crate) fn new(size: u64, map: Map, stored: u64) -> Fallible<Self> {
        let mut free_from = 0_u64;
        let mut held = 0_u64;
        for &(offset, length) in &map {
            let end = offset.checked_add(length).filter(|&end| end <= size);
            match (end, held.checked_add(length)) {
                (Some(end), Some(sum)) if offset >= free_from => (free_from, held) = (end, sum),
                _ => return Err(invalid("the map of a sparse file overlaps or leads out of the file")),
            }
        }
        if held != stored {
            return Err(invalid(format!("the map of a sparse file has {held} bytes of content, its entry {stored}")));
        }
        Ok(Self { size, map })
    }
}

/// Appends the pairs of an old GNU header; an empty pair ends them.
pub(super) fn read_pairs(pairs: &[u8], map: &mut Map) -> Fallible<()> {
    for pair in pairs.chunks_exact(24) {
        let (offset, length) = pair.split_at_checked(12).unwrap_or_default();
        if offset.iter().chain(length).all(|&byte| byte == 0) {
            break;
        }
        let value =
            |field| u64::try_from(number("sparse map", field)?).map_err(|_| invalid("a sparse map is negative"));
        push(map, (value(offset)?, value(length)?))?;
    }
    Ok(())
}

/// Appends the pairs of a further block of an old GNU header. True if one more follows.
pub(super) fn extend(map: &mut Map, block: &[u8; BLOCK]) -> Fallible<bool> {
    read_pairs(block.get(..21 * 24).unwrap_or_default(), map)?;
    Ok(block.get(21 * 24).is_some_and(|&more| more != 0))
}

fn push(map: &mut Map, piece: (u64, u64)) -> Fallible<()> {
    if map.len() >= PIECES_MAX {
        return Err(invalid(format!("the map of a sparse file has more than {PIECES_MAX} pieces")));
    }
    map.push(piece);
    Ok(())
}

/// The `GNU.sparse.*` records of an extended header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Records {
    any: bool,
    version: (u64, u64),
    name: Option<Vec<u8>>,
    size: Option<u64>,
    /// Offsets and lengths, alternating.
    numbers: Vec<u64>,
}

impl Records {
    /// Takes one record, its prefix cut off; `None` if its value is malformed.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        self.any = true;
        let number = || decimal(value).and_then(|value| u64::try_from(value).ok());
        match key {
            b"major" => self.version.0 = number()?,
            b"minor" => self.version.1 = number()?,
            b"name" => self.name = Some(name(value)?),
            b"size" | b"realsize" => self.size = Some(number()?),
            b"offset" if self.numbers.len().is_multiple_of(2) => self.numbers.push(number()?),
            b"numbytes" if !self.numbers.len().is_multiple_of(2) => self.numbers.push(number()?),
            b"offset" | b"numbytes" => return None,
            b"map" => {
                let numbers = value.split(|&byte| byte == b',').filter(|digits| !digits.is_empty());
                self.numbers = numbers.map(|digits| u64::try_from(decimal(digits)?).ok()).collect::<Option<_>>()?;
            }
            // The number of pieces, which the pieces tell too.
            _ => {}
        }
        Some(())
    }

    /// Whether there is no record.
    pub(crate) fn is_empty(&self) -> bool {
        !self.any
    }

    /// The name of the file, where the header's own is made up.
    pub(super) fn name(&self) -> Option<&[u8]> {
        self.name.as_deref()
    }

    /// Whether the map stands in front of the content: version 1.0.
    pub(super) fn has_map_in_content(&self) -> bool {
        self.version == (1, 0)
    }

    /// The size of the file, holes included.
    pub(super) fn real_size(&self) -> Fallible<u64> {
        self.size.ok_or_else(|| invalid("a sparse file does not tell its size"))
    }

    /// The map of the versions 0.0 and 0.1; `None` if the file is not sparse.
    pub(super) fn sparse(&self, stored: u64) -> Fallible<Option<Sparse>> {
        if self.is_empty() {
            return Ok(None);
        }
        if self.version.0 > 0 {
            let (major, minor) = self.version;
            return Err(invalid(format!("a sparse file is of the unknown version {major}.{minor}")));
        }
        let mut map = Map::new();
        for pair in self.numbers.chunks(2) {
            let [offset, length] = *pair else { return Err(invalid("the map of a sparse file has half a pair")) };
            push(&mut map, (offset, length))?;
        }
        Sparse::new(self.real_size()?, map, stored).map(Some)
    }
}

/// A map in front of the content, read block by block: how many pieces, then two numbers for each, a line each.
#[derive(Debug, Default)]
pub(super) struct MapText {
    digits: Vec<u8>,
    pieces: Option<u64>,
    offset: Option<u64>,
    pub(super) map: Map,
}

impl MapText {
    /// Takes a block; true if the map is complete, and what is left of the block is padding.
    pub(super) fn add(&mut self, block: &[u8; BLOCK]) -> Fallible<bool> {
        for &byte in block {
            match byte {
                b'0'..=b'9' if self.digits.len() < 19 => self.digits.push(byte),
                b'\n' if !self.digits.is_empty() => {
                    let value = decimal(&std::mem::take(&mut self.digits)).and_then(|value| u64::try_from(value).ok());
                    self.number(value.ok_or_else(|| invalid("the map of a sparse file has no number"))?)?;
                }
                _ => return Err(invalid("the map of a sparse file is no list of numbers")),
            }
            if self.pieces == Some(self.map.len() as u64) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn number(&mut self, value: u64) -> Fallible<()> {
        match (self.pieces, self.offset.take()) {
            (None, _) => self.pieces = Some(value),
            (Some(_), None) => self.offset = Some(value),
            (Some(_), Some(offset)) => push(&mut self.map, (offset, value))?,
        }
        Ok(())
    }
}
