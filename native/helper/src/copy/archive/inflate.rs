//! The compressions that archives come in, told by their first bytes.
//!
//! Streams may stand one after the other, as `cat a.gz b.gz` and parallel compressors leave them. What follows the last
//! one is padding or somebody's signature and is ignored, as tar ignores it; a stream that breaks off is an error.

use super::stored::Stored;
use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use std::io::{BufRead, Error, ErrorKind, Read, Result};
use std::mem;

/// 128 MiB: what the zstd command line accepts without a flag.
const ZSTD_WINDOW_LOG: u32 = 27;
/// KiB of memory that one xz stream may ask for: `xz -9` asks for 65 MiB.
const XZ_MEMORY: u32 = 256 << 10;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Format {
    /// Reads the magic number; what has none is taken for plain.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // A skippable frame, with which pzstd begins, or a frame.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// The decompressed bytes of a stored archive.
pub(super) struct Inflated {
    format: Format,
    now: Now,
}

enum Now {
    /// Between two streams.
    Between(Stored),
    Gzip(Box<GzDecoder<Stored>>),
    Bzip2(BzDecoder<Stored>),
    Xz(Box<XzReader<Stored>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Stored>>),
    /// Behind the last stream.
    Ended(Stored),
    /// A decoder failed.
    Broken,
}

impl Inflated {
    /// Tells the format and starts.
    pub(super) fn new(mut stored: Stored) -> Result<Self> {
        let format = Format::of(stored.fill_buf()?);
        let now = if format == Format::Plain { Now::Between(stored) } else { start(format, stored)? };
        Ok(Self { format, now })
    }

    /// Stored bytes read so far.
    pub(super) fn stored_bytes(&self) -> u64 {
        match &self.now {
            Now::Between(stored) | Now::Ended(stored) => stored.bytes(),
            Now::Gzip(decoder) => decoder.get_ref().bytes(),
            Now::Bzip2(decoder) => decoder.get_ref().bytes(),
            Now::Xz(decoder) => decoder.inner().bytes(),
            Now::Zstd(decoder) => decoder.get_ref().bytes(),
            Now::Broken => 0,
        }
    }

    /// What is behind the last stream; `None` after a failure.
    pub(super) fn into_stored(self) -> Option<Stored> {
        match self.now {
            Now::Between(stored) | Now::Ended(stored) => Some(stored),
            _ => None,
        }
    }

    /// A stream is at its end: goes on to the next one.
    fn next(&mut self) -> Result<()> {
        let mut stored = match mem::replace(&mut self.now, Now::Broken) {
            Now::Between(stored) | Now::Ended(stored) => stored,
            Now::Gzip(decoder) => decoder.into_inner(),
            Now::Bzip2(decoder) => decoder.into_inner(),
            Now::Xz(decoder) => decoder.into_inner(),
            Now::Zstd(decoder) => decoder.finish(),
            Now::Broken => return Err(ErrorKind::BrokenPipe.into()),
        };
        loop {
            let head = stored.fill_buf()?;
            let zeros = head.iter().take_while(|&&byte| byte == 0).count();
            if zeros == 0 {
                break;
            }
            stored.consume(zeros);
        }
        self.now = if Format::of(stored.fill_buf()?) == self.format {
            start(self.format, stored)?
        } else {
            Now::Ended(stored)
        };
        Ok(())
    }
}

fn start(format: Format, stored: Stored) -> Result<Now> {
    Ok(match format {
        Format::Plain => Now::Between(stored),
        Format::Gzip => Now::Gzip(Box::new(GzDecoder::new(stored))),
        Format::Bzip2 => Now::Bzip2(BzDecoder::new(stored)),
        Format::Xz => Now::Xz(Box::new(XzReader::new_mem_limit(stored, false, XZ_MEMORY))),
        Format::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(stored)?.single_frame();
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Now::Zstd(Box::new(decoder))
        }
    })
}

impl Read for Inflated {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            let length = match &mut self.now {
                Now::Between(stored) => return stored.read(out),
                Now::Gzip(decoder) => decoder.read(out),
                Now::Bzip2(decoder) => decoder.read(out),
                Now::Xz(decoder) => decoder.read(out),
                Now::Zstd(decoder) => decoder.read(out),
                Now::Ended(_) => return Ok(0),
                Now::Broken => return Err(Error::other("the stream is broken")),
            };
            match length {
                Ok(0) => self.next()?,
                Ok(length) => return Ok(length),
                // The reader of xz cannot be asked again.
                Err(error) => {
                    self.now = Now::Broken;
                    return Err(error);
                }
            }
        }
    }
}
