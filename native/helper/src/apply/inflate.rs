//! The decompressors, all with the same strictness: complete streams, nothing but padding after them.

use crate::error::{Failure, Fallible};
use crate::protocol::LayerFormat;
use flate2::{Decompress, FlushDecompress, Status};
use std::fmt;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// Bytes that one call adds at most, about.
const STEP: usize = 128 << 10;
/// 128 MiB: what the zstd command line and other builders accept without a flag.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Inflates what is pushed.
pub(crate) enum Inflate {
    /// Plain tar.
    Plain,
    /// Any number of gzip members.
    Gzip(Gzip),
    /// Any number of zstd frames.
    Zstd {
        /// The context.
        decoder: Box<Decoder<'static>>,
        /// Bytes the decoder wants for the frame it is in; 0 between two frames.
        hint: usize,
    },
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Zstd { .. } => "Zstd",
        })
    }
}

impl Inflate {
    /// Starts a stream.
    pub(crate) fn new(format: LayerFormat) -> Fallible<Self> {
        match format {
            LayerFormat::None => Ok(Self::Plain),
            LayerFormat::Gzip => Ok(Self::Gzip(Gzip::new())),
            LayerFormat::Zstd => zstd().map_err(|error| Failure::internal(format!("zstd: {error}"))),
        }
    }

    /// Takes some of `stored` (the number is returned) and appends what it gives to `out`.
    pub(crate) fn push(&mut self, stored: &[u8], out: &mut Vec<u8>) -> Fallible<usize> {
        match self {
            Self::Plain => {
                out.extend_from_slice(stored);
                Ok(stored.len())
            }
            Self::Gzip(gzip) => gzip.push(stored, out),
            Self::Zstd { decoder, hint } => {
                let mut input = InBuffer::around(stored);
                let mut room = vec![0; STEP];
                let mut output = OutBuffer::around(room.as_mut_slice());
                *hint = decoder.run(&mut input, &mut output).map_err(|error| refuse_zstd(&error))?;
                out.extend_from_slice(output.as_slice());
                Ok(input.pos())
            }
        }
    }

    /// The stored bytes are at their end. True when everything was given.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Fallible<bool> {
        match self {
            Self::Plain => Ok(true),
            Self::Gzip(gzip) => gzip.finish().map(|()| true),
            Self::Zstd { hint: 0, .. } => Ok(true),
            Self::Zstd { .. } => {
                let before = out.len();
                self.push(&[], out)?;
                match self {
                    Self::Zstd { hint, .. } if *hint != 0 && out.len() == before => Err(truncated()),
                    _ => Ok(false),
                }
            }
        }
    }
}

fn zstd() -> std::io::Result<Inflate> {
    let mut decoder = Box::new(Decoder::new()?);
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
    // Some hint before the first byte: an empty blob is no zstd stream.
    Ok(Inflate::Zstd { decoder, hint: 1 })
}

fn refuse_zstd(error: &std::io::Error) -> Failure {
    let text = error.to_string();
    if text.contains("too much memory") {
        return Failure::user("ERR_LAYER_BOMB", "the layer needs a zstd window above 128 MiB");
    }
    Failure::user("ERR_LAYER_INVALID", format!("the layer is no zstd stream: {text}"))
}

/// RFC 1952, read by ourselves so that every member's header, checksum and length are checked.
#[derive(Debug)]
pub(crate) struct Gzip {
    state: State,
    inflater: Decompress,
    crc: crc32fast::Hasher,
    length: u32,
    members: u64,
}

#[derive(Debug)]
enum State {
    /// The bytes of a header (or of the padding at the end) so far.
    Header(Vec<u8>),
    /// Deflated data.
    Body,
    /// The bytes of checksum and length so far.
    Trailer(Vec<u8>),
}

/// Headers beyond this are refused: name and comment have no limit of their own.
const HEADER_MAX: usize = 8 << 10;

impl Gzip {
    fn new() -> Self {
        Self {
            state: State::Header(Vec::new()),
            inflater: Decompress::new(false),
            crc: crc32fast::Hasher::new(),
            length: 0,
            members: 0,
        }
    }

    fn push(&mut self, stored: &[u8], out: &mut Vec<u8>) -> Fallible<usize> {
        match &mut self.state {
            State::Header(header) => {
                // A header is a few bytes; taking it a byte at a time keeps the parser free of positions.
                for (at, &byte) in stored.iter().enumerate() {
                    header.push(byte);
                    if self.members > 0 && header.iter().all(|&byte| byte == 0) {
                        // NUL padding behind the last member, as tape tools write it.
                        header.clear();
                        header.push(0);
                        continue;
                    }
                    if header_is_complete(header)? {
                        self.state = State::Body;
                        return Ok(at + 1);
                    }
                }

                Ok(stored.len())
            }
            State::Body => self.inflate(stored, out),
            State::Trailer(trailer) => {
                let count = stored.len().min(8 - trailer.len());
                trailer.extend_from_slice(stored.get(..count).unwrap_or_default());
                if let Ok(trailer) = <[u8; 8]>::try_from(trailer.as_slice()) {
                    self.end_member(u64::from_le_bytes(trailer))?;
                }
                Ok(count)
            }
        }
    }

    fn inflate(&mut self, stored: &[u8], out: &mut Vec<u8>) -> Fallible<usize> {
        let before = out.len();
        out.resize(before + STEP, 0);
        let (taken, given) = (self.inflater.total_in(), self.inflater.total_out());
        let room = out.get_mut(before..).unwrap_or_default();
        let status = self
            .inflater
            .decompress(stored, room, FlushDecompress::None)
            .map_err(|error| Failure::user("ERR_LAYER_INVALID", format!("the layer is no gzip stream: {error}")))?;
        let taken = usize::try_from(self.inflater.total_in() - taken).unwrap_or(0);
        let given = usize::try_from(self.inflater.total_out() - given).unwrap_or(0);
        out.truncate(before + given);
        let fresh = out.get(before..).unwrap_or_default();
        self.crc.update(fresh);
        // The trailer counts modulo 2^32.
        self.length = self.length.wrapping_add(u32::try_from(given).unwrap_or(0));
        if status == Status::StreamEnd {
            self.state = State::Trailer(Vec::new());
        } else if taken == 0 && given == 0 {
            return Err(Failure::user("ERR_LAYER_INVALID", "the layer is no gzip stream: no progress"));
        }
        Ok(taken)
    }

    fn end_member(&mut self, trailer: u64) -> Fallible<()> {
        let crc = std::mem::take(&mut self.crc).finalize();
        if trailer != u64::from(crc) | u64::from(self.length) << 32 {
            return Err(Failure::user("ERR_LAYER_INVALID", "the checksum at the end of a gzip member is wrong"));
        }
        self.length = 0;
        self.inflater.reset(false);
        self.members += 1;
        self.state = State::Header(Vec::new());
        Ok(())
    }

    fn finish(&self) -> Fallible<()> {
        match &self.state {
            State::Header(header) if self.members > 0 && header.iter().all(|&byte| byte == 0) => Ok(()),
            _ => Err(truncated()),
        }
    }
}

/// Whether these bytes are a whole member header.
///
/// # Errors
/// `ERR_LAYER_INVALID` when they can be no beginning of one.
fn header_is_complete(header: &[u8]) -> Fallible<bool> {
    let invalid = |what: &str| Failure::user("ERR_LAYER_INVALID", format!("the layer is no gzip stream: {what}"));
    let magic = [0x1f, 0x8b, 8];
    if header.iter().zip(magic).any(|(&byte, wanted)| byte != wanted) {
        return Err(invalid("a member does not start with 1f 8b 08"));
    }
    if header.len() > HEADER_MAX {
        return Err(invalid("a member has a header without end"));
    }
    let Some(&flags) = header.get(3) else { return Ok(false) };
    if flags & 0xe0 != 0 {
        return Err(invalid("a member has reserved flags"));
    }
    Ok(header_end(header, flags).is_some_and(|end| end == header.len()))
}

/// Where the header with these flags ends, once enough of it is there to tell.
fn header_end(header: &[u8], flags: u8) -> Option<usize> {
    let (checksum, extra, name, comment) = (flags & 2 != 0, flags & 4 != 0, flags & 8 != 0, flags & 16 != 0);
    let mut end = 10;
    if extra {
        let length = header.get(end..end + 2).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok())?;
        end += 2 + usize::from(u16::from_le_bytes(length));
    }
    for _ in 0..u8::from(name) + u8::from(comment) {
        end += header.get(end..)?.iter().position(|&byte| byte == 0)? + 1;
    }
    if checksum {
        end += 2;
    }
    Some(end)
}

fn truncated() -> Failure {
    Failure::user("ERR_LAYER_TRUNCATED", "the compressed layer ends in the middle")
}
