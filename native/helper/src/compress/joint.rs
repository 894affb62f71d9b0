//! Joins deflate streams (RFC 1951) to one.
//!
//! libdeflate compresses a buffer at once and marks the last of its blocks as the end of the stream. To put another stream
//! behind it, that mark must go, so the blocks are followed here: only code lengths are looked at, nothing is inflated.

/// The order in which the lengths of the code length code are stored.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// An empty stored block without its three header bits: it ends on a byte.
const EMPTY_STORED: [u8; 4] = [0, 0, 0xff, 0xff];

/// Makes a complete stream one that more can follow: the last block is no longer the last, and the end is on a byte.
/// `None` if this is no deflate stream.
pub(super) fn open_end(mut stream: Vec<u8>) -> Option<Vec<u8>> {
    let (last_block, end) = last_block(&stream)?;
    *stream.get_mut(last_block / 8)? &= !(1 << (last_block % 8));
    // Three zero bits say "stored, not the last"; the bits behind the end are zero already.
    stream.resize((end + 3).div_ceil(8), 0);
    stream.extend_from_slice(&EMPTY_STORED);
    Some(stream)
}

/// The position of the last block's header and of the end of the stream, in bits.
fn last_block(stream: &[u8]) -> Option<(usize, usize)> {
    let mut bits = Bits { bytes: stream, at: 0 };
    let mut tables = Tables::default();
    loop {
        let start = bits.at;
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => bits.skip_stored()?,
            1 => {
                tables.fixed()?;
                bits.skip_codes(&tables)?;
            }
            2 => {
                bits.read_lengths(&mut tables)?;
                bits.skip_codes(&tables)?;
            }
            _ => return None,
        }
        if last {
            return Some((start, bits.at));
        }
    }
}

/// Bits, lowest first.
struct Bits<'s> {
    bytes: &'s [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next 57 bits or more; zeros behind the end.
    fn peek(&self) -> u64 {
        let start = self.at / 8;
        let word = match self.bytes.get(start..start + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
            Some(bytes) => u64::from_le_bytes(bytes),
            None => {
                let rest = self.bytes.get(start..).unwrap_or_default();
                rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
            }
        };
        word >> (self.at % 8)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    fn take(&mut self, count: usize) -> Option<usize> {
        let value = self.peek() & ((1 << count) - 1);
        self.skip(count)?;
        usize::try_from(value).ok()
    }

    fn skip_stored(&mut self) -> Option<()> {
        self.at = self.at.next_multiple_of(8);
        let length = self.take(16)?;
        self.skip(16 + 8 * length)
    }

    /// The code lengths of a dynamic block.
    fn read_lengths(&mut self, tables: &mut Tables) -> Option<()> {
        let (literals, distances, codes) = (self.take(5)? + 257, self.take(5)? + 1, self.take(4)? + 4);
        let mut code_lengths = [0; 19];
        for &position in ORDER.get(..codes)? {
            *code_lengths.get_mut(position)? = u8::try_from(self.take(3)?).ok()?;
        }
        let mut code = Table::default();
        code.fill(&code_lengths, |symbol| Symbol { extra: 0, kind: u16::try_from(symbol).unwrap_or(INVALID) })?;
        let mut lengths = [0_u8; 320];
        let mut count = 0;
        while count < literals + distances {
            let (length, symbol) = code.look(self.peek());
            self.skip(length)?;
            let (repeat, value) = match symbol {
                0..=15 => (1, u8::try_from(symbol).ok()?),
                16 => (3 + self.take(2)?, *lengths.get(count.checked_sub(1)?)?),
                17 => (3 + self.take(3)?, 0),
                18 => (11 + self.take(7)?, 0),
                _ => return None,
            };
            lengths.get_mut(count..count + repeat)?.fill(value);
            count += repeat;
        }
        tables.literals.fill(lengths.get(..literals)?, literal)?;
        tables.distances.fill(lengths.get(literals..literals + distances)?, distance)
    }

    /// Everything up to and with the end-of-block code.
    fn skip_codes(&mut self, tables: &Tables) -> Option<()> {
        loop {
            let word = self.peek();
            let (length, kind) = tables.literals.look(word);
            match kind {
                LITERAL => self.skip(length)?,
                // At most 15 + 5 bits are gone, so the distance's 15 + 13 are in this word too.
                LENGTH => {
                    let (more, kind) = tables.distances.look(word >> length);
                    if kind == INVALID {
                        return None;
                    }
                    self.skip(length + more)?;
                }
                END => return self.skip(length),
                _ => return None,
            }
        }
    }
}

const LITERAL: u16 = 0;
const LENGTH: u16 = 1;
const END: u16 = 2;
const INVALID: u16 = 31;

/// What a symbol means here.
struct Symbol {
    /// Bits that follow its code.
    extra: u16,
    kind: u16,
}

fn literal(symbol: usize) -> Symbol {
    match symbol {
        0..=255 => Symbol { extra: 0, kind: LITERAL },
        256 => Symbol { extra: 0, kind: END },
        257..=264 | 285 => Symbol { extra: 0, kind: LENGTH },
        265..=284 => Symbol { extra: u16::try_from((symbol - 261) / 4).unwrap_or(0), kind: LENGTH },
        _ => Symbol { extra: 0, kind: INVALID },
    }
}

fn distance(symbol: usize) -> Symbol {
    match symbol {
        0..=3 => Symbol { extra: 0, kind: LENGTH },
        4..=29 => Symbol { extra: u16::try_from(symbol / 2 - 1).unwrap_or(0), kind: LENGTH },
        _ => Symbol { extra: 0, kind: INVALID },
    }
}

#[derive(Default)]
struct Tables {
    literals: Table,
    distances: Table,
}

impl Tables {
    fn fixed(&mut self) -> Option<()> {
        let mut lengths = [8; 288];
        lengths.get_mut(144..256)?.fill(9);
        lengths.get_mut(256..280)?.fill(7);
        self.literals.fill(&lengths, literal)?;
        self.distances.fill(&[5; 32], distance)
    }
}

/// One prefix code, looked up by the next bits: length of code and extra bits in the upper part, kind in the lower five.
#[derive(Default)]
struct Table {
    entries: Vec<u16>,
    mask: u64,
}

impl Table {
    /// Builds the canonical code of RFC 1951, 3.2.2. `None` if the lengths are more than any code has.
    fn fill(&mut self, lengths: &[u8], symbol: impl Fn(usize) -> Symbol) -> Option<()> {
        let longest = usize::from(lengths.iter().copied().max().unwrap_or(0)).max(1);
        self.entries.clear();
        self.entries.resize(1 << longest, INVALID);
        self.mask = (1 << longest) - 1;
        let mut code = 0_u32;
        for length in 1..=longest {
            for (number, _) in lengths.iter().enumerate().filter(|(_, own)| usize::from(**own) == length) {
                let Symbol { extra, kind } = symbol(number);
                let entry = (u16::try_from(length).ok()? + extra) << 5 | kind;
                // Codes are stored highest bit first.
                let first = usize::try_from(code.reverse_bits() >> (32 - length)).ok()?;
                for slot in self.entries.get_mut(first..)?.iter_mut().step_by(1 << length) {
                    *slot = entry;
                }
                code += 1;
                if code > 1 << length {
                    return None;
                }
            }
            code <<= 1;
        }
        Some(())
    }

    fn look(&self, word: u64) -> (usize, u16) {
        let at = usize::try_from(word & self.mask).unwrap_or(usize::MAX);
        let entry = self.entries.get(at).copied().unwrap_or(INVALID);
        (usize::from(entry >> 5), entry & 31)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

    /// Bytes that make a compressor use every kind of block: noise, runs, text, a mix.
    fn samples() -> Vec<Vec<u8>> {
        let mut state = 7_u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let noise: Vec<u8> = (0..200_000).map(|_| next()).collect();
        let text: Vec<u8> =
            (0..40_000).flat_map(|at: u32| format!("{at} lines, {}\n", at * at % 977).into_bytes()).collect();
        let mixed = [&noise[..70_000], &text[..90_000], &[0; 50_000], &noise[..3_000]].concat();
        vec![vec![], b"a".to_vec(), b"abc".repeat(5), vec![0; 300_000], noise, text, mixed]
    }

    fn libdeflate(level: i32, bytes: &[u8]) -> Vec<u8> {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).unwrap());
        let mut out = vec![0; compressor.deflate_compress_bound(bytes.len())];
        let length = compressor.deflate_compress(bytes, &mut out).unwrap();
        out.truncate(length);
        out
    }

    fn zlib(level: u32, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() * 2 + 1000);
        Compress::new(Compression::new(level), false).compress_vec(bytes, &mut out, FlushCompress::Finish).unwrap();
        out
    }

    fn inflate(stream: &[u8], length: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(length + 1);
        let mut inflater = Decompress::new(false);
        let status = inflater.decompress_vec(stream, &mut out, FlushDecompress::Finish).unwrap();
        assert_eq!(status, flate2::Status::StreamEnd);
        assert_eq!(inflater.total_in(), stream.len() as u64);
        out
    }

    #[test]
    fn open_end_lets_another_stream_follow() {
        for level in 0..=9_u32 {
            for first in samples() {
                for second in [&b""[..], b"second", &[1; 5000]] {
                    for stream in [libdeflate(level as i32, &first), zlib(level, &first)] {
                        let joined = [open_end(stream).unwrap(), libdeflate(level as i32, second)].concat();
                        let expected = [&first[..], second].concat();
                        assert_eq!(inflate(&joined, expected.len()), expected, "level {level}");
                    }
                }
            }
        }
    }

    #[test]
    fn open_end_refuses_what_is_no_stream() {
        let stream = libdeflate(6, &samples()[5]);
        assert_eq!(open_end(stream[..stream.len() - 1].to_vec()), None);
        assert_eq!(open_end(vec![]), None);
        assert_eq!(open_end(vec![0b111]), None);
        assert_eq!(open_end(vec![0b101, 0xff, 0xff, 0xff]), None);
    }
}
