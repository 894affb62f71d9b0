//! Joins deflate streams (RFC 1951) to one.
//!
//! libdeflate compresses a buffer at once and marks the last of its blocks as the end of the stream. To put another stream
//! behind it, that mark must go, so the blocks are followed here: only code lengths are looked at, nothing is inflated.

/// The order in which the lengths of the code length code are stored.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// An empty stored block without its three header bits: it ends on a byte.
const EMPTY_STORED: [u8; 4] = [0, 0, 0xff, 0xff];

/// Makes the stream that begins at `start` one that more can follow: its last block is no longer the last, and its end is on a
/// byte. `None` if this is no deflate stream.
pub(super) fn open_end(bytes: &mut Vec<u8>, start: usize) -> Option<()> {
    let (last_block, end) = last_block(bytes.get(start..)?)?;
    *bytes.get_mut(start + last_block / 8)? &= !(1 << (last_block % 8));
    // Three zero bits say "stored, not the last"; the bits behind the end are zero already.
    bytes.resize(start + (end + 3).div_ceil(8), 0);
    bytes.extend_from_slice(&EMPTY_STORED);
    Some(())
}

/// Appends bytes as they are, the end of the stream if `ends`. What is before them ends on a byte.
pub(super) fn store(stream: &mut Vec<u8>, bytes: &[u8], ends: bool) {
    let mut pieces = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(piece) = pieces.next() {
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        stream.push(u8::from(ends && pieces.peek().is_none()));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(piece);
    }
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
        let mut code = Code::default();
        code.fill(&code_lengths, |symbol| entry(0, u16::try_from(symbol).unwrap_or(0)))?;
        let mut lengths = [0_u8; 320];
        let mut count = 0;
        while count < literals + distances {
            let (length, symbol) = code.look(self.peek())?;
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
    ///
    /// Whether a literal or a length comes next is what no processor foretells, so nothing branches on it: what a code means
    /// chooses the code that the next bits are looked up in.
    fn skip_codes(&mut self, Tables { literals, distances }: &Tables) -> Option<()> {
        let mut is_distance = false;
        loop {
            let mut word = self.peek();
            let mut length = 0;
            // Lengths have up to 15 + 5 bits and distances up to 15 + 13, so one of each is in one word.
            for _ in 0..2 {
                let code = if is_distance { distances } else { literals };
                let (bits, kind) = code.look(word)?;
                word >>= bits;
                length += bits;
                if kind == END {
                    return self.skip(length);
                }
                is_distance = kind == LENGTH;
            }
            self.skip(length)?;
        }
    }
}

const LITERAL: u16 = 0;
const LENGTH: u16 = 1;
const END: u16 = 2;
/// In the place of a meaning: none, or one that is found by all bits of the code.
const OTHER: u16 = 31;

/// How many bits belong to a symbol beside its code, and what it means; with the code's length it is an [`Code::entries`].
fn entry(extra: usize, kind: u16) -> u16 {
    u16::try_from(extra << 5).unwrap_or(0) | kind
}

/// Of the symbols above 285, which RFC 1951 has none of, nothing is given, and so of the distances above 29.
fn literal(symbol: usize) -> u16 {
    match symbol {
        0..=255 => entry(0, LITERAL),
        256 => entry(0, END),
        257..=264 | 285 => entry(0, LENGTH),
        265..=284 => entry((symbol - 261) / 4, LENGTH),
        _ => entry(0, OTHER),
    }
}

fn distance(symbol: usize) -> u16 {
    match symbol {
        0..=3 => entry(0, LITERAL),
        4..=29 => entry(symbol / 2 - 1, LITERAL),
        _ => entry(0, OTHER),
    }
}

#[derive(Default)]
struct Tables {
    literals: Code,
    distances: Code,
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

/// Codes up to this length are looked up at once; two such tables stay in the first cache. Longer ones are rare.
const FAST: usize = 11;

/// One prefix code.
struct Code {
    /// By the next bits: length of code and extra bits in the upper part, the meaning in the lower five.
    fast: [u16; 1 << FAST],
    /// Entries in the order of their codes, and how many codes there are of each length.
    entries: Vec<u16>,
    counts: [u16; 16],
}

impl Default for Code {
    fn default() -> Self {
        Self { fast: [OTHER; 1 << FAST], entries: Vec::new(), counts: [0; 16] }
    }
}

impl Code {
    /// Builds the canonical code of RFC 1951, 3.2.2. `None` if the lengths are more than any code has.
    fn fill(&mut self, lengths: &[u8], symbol: impl Fn(usize) -> u16) -> Option<()> {
        self.fast.fill(OTHER);
        self.entries.clear();
        let mut code = 0_u32;
        for (length, count) in self.counts.iter_mut().enumerate().skip(1) {
            *count = 0;
            for (number, _) in lengths.iter().enumerate().filter(|(_, own)| usize::from(**own) == length) {
                let entry = symbol(number) + (u16::try_from(length).ok()? << 5);
                self.entries.push(entry);
                *count += 1;
                if length <= FAST {
                    // Codes are stored highest bit first.
                    let first = usize::try_from(code.reverse_bits() >> (32 - length)).ok()?;
                    for slot in self.fast.get_mut(first..)?.iter_mut().step_by(1 << length) {
                        *slot = entry;
                    }
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

    /// The bits of the next symbol and its meaning. `None` if there is none.
    fn look(&self, word: u64) -> Option<(usize, u16)> {
        let at = usize::try_from(word).unwrap_or(0) & ((1 << FAST) - 1);
        let found = self.fast.get(at).copied().unwrap_or(OTHER);
        let entry = if found & 31 == OTHER { self.find(word)? } else { found };
        Some((usize::from(entry >> 5), entry & 31))
    }

    /// As [`Code::look`], bit by bit.
    #[cold]
    fn find(&self, mut word: u64) -> Option<u16> {
        let (mut code, mut first, mut passed) = (0, 0, 0);
        for &count in self.counts.iter().skip(1) {
            code = code << 1 | usize::try_from(word & 1).unwrap_or(0);
            word >>= 1;
            first <<= 1;
            let count = usize::from(count);
            if code < first + count {
                return self.entries.get(passed + code - first).copied().filter(|entry| entry & 31 != OTHER);
            }
            first += count;
            passed += count;
        }
        None
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

    fn opened(stream: &[u8]) -> Option<Vec<u8>> {
        // Something is before it.
        let mut bytes = [&[0xff; 3], stream].concat();
        open_end(&mut bytes, 3).map(|()| bytes.split_off(3))
    }

    #[test]
    fn open_end_lets_another_stream_follow() {
        for level in 0..=9_u32 {
            for first in samples() {
                for second in [&b""[..], b"second", &[1; 5000]] {
                    for stream in [libdeflate(level as i32, &first), zlib(level, &first)] {
                        let joined = [opened(&stream).unwrap(), libdeflate(level as i32, second)].concat();
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
        assert_eq!(opened(&stream[..stream.len() - 1]), None);
        assert_eq!(opened(&[]), None);
        assert_eq!(opened(&[0b111]), None);
        assert_eq!(opened(&[0b101, 0xff, 0xff, 0xff]), None);
    }

    /// Byte n comes so often that codes get as long as they may be.
    #[test]
    fn open_end_follows_the_longest_codes() {
        let (mut skewed, mut times) = (Vec::new(), (1, 1));
        for byte in 0..24_u8 {
            skewed.extend(std::iter::repeat_n(byte, times.0));
            times = (times.1, times.0 + times.1);
        }
        // Spread out, so that nothing repeats.
        let spread: Vec<u8> = (0..skewed.len()).map(|at| skewed[at * 40_503 % skewed.len()]).collect();
        for level in 1..=9 {
            let stream = libdeflate(level, &spread);
            let joined = [opened(&stream).unwrap(), libdeflate(level, b"end")].concat();
            assert_eq!(inflate(&joined, spread.len() + 3), [&spread[..], b"end"].concat());
        }
    }

    #[test]
    fn store_keeps_bytes_as_they_are() {
        for length in [0, 1, 65_535, 65_536, 200_000] {
            let bytes: Vec<u8> = samples()[4].iter().copied().cycle().take(length).collect();
            let mut stream = opened(&libdeflate(6, b"first")).unwrap();
            store(&mut stream, &bytes, false);
            store(&mut stream, b"last", true);
            assert_eq!(inflate(&stream, 9 + length), [b"first", &bytes[..], b"last"].concat());
        }
    }
}
