//! Where a tar goes on its way to fd 3: hashed, cut into blocks, compressed on all cores, written in order, hashed again.
//!
//! The bytes depend on the tar, the format and the level alone. Blocks are cut at fixed positions, and what one block may
//! know of the one before does not depend on who compresses it, so any number of threads gives the same stream.

mod estargz;
mod gzip;
mod joint;
mod noise;
mod pool;
mod table;
mod zstandard;

use crate::digest::{HashingWriter, Tally};
use crate::error::{Failure, Fallible};
use crate::protocol::{Compression, CompressionFormat};
use crate::tar::writer::{END, header};
use crate::tar::{Entry, Kind, padding};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;

/// The unit of work. A tar below this size starts no thread.
pub(crate) const BLOCK: usize = 1 << 20;

/// Receives a tar.
#[derive(Debug)]
pub(crate) struct Sink {
    encoder: Encoder,
    block: Vec<u8>,
    used: usize,
    tar: Tally,
    out: HashingWriter,
}

#[derive(Debug)]
enum Encoder {
    Plain,
    Gzip(Box<gzip::Encoder>),
    Estargz(Box<estargz::Encoder>),
    Zstd(zstandard::Encoder),
}

/// What was written.
#[derive(Debug)]
pub(crate) struct Written {
    /// The bytes on fd 3.
    pub(crate) blob: Tally,
    /// The tar.
    pub(crate) tar: Tally,
    /// Of estargz: the digest of its table of contents.
    pub(crate) toc: Option<String>,
}

impl Sink {
    /// Starts a stream on `out` that uses up to `threads` threads besides this one.
    pub(crate) fn new(out: OwnedFd, compression: Compression, threads: usize) -> Fallible<Self> {
        let encoder = encoder(compression, threads)?;
        let is_estargz = matches!(encoder, Encoder::Estargz(_));
        let mut sink =
            Self { encoder, block: vec![0; BLOCK], used: 0, tar: Tally::default(), out: HashingWriter::new(out) };
        if is_estargz {
            sink.small_file(estargz::LANDMARK_NAME, &estargz::LANDMARK)?;
        }
        Ok(sink)
    }

    /// Begins an entry of the tar; its content and the padding are to follow. False where the archive leaves it out, of which
    /// the user was told.
    ///
    /// # Errors
    /// `ERR_LAYER_UNREPRESENTABLE` for what no archive of this format can hold.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Fallible<bool> {
        if let Encoder::Estargz(encoder) = &mut self.encoder
            && !encoder.takes(entry)?
        {
            return Ok(false);
        }
        self.begin(entry).map(|()| true)
    }

    fn begin(&mut self, entry: &Entry) -> Fallible<()> {
        self.write(&header(entry))?;
        let begins_member = match &mut self.encoder {
            Encoder::Estargz(encoder) => encoder.begin(entry),
            _ => false,
        };
        if begins_member { self.cut() } else { Ok(()) }
    }

    /// A file of the format itself.
    fn small_file(&mut self, name: &[u8], content: &[u8]) -> Fallible<()> {
        let mut entry = Entry::new(Kind::Regular, name.to_vec());
        (entry.mode, entry.size) = (0o444, content.len() as u64);
        self.begin(&entry)?;
        self.write(content)?;
        self.zeros(padding(entry.size) as u64)
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Fallible<()> {
        while !bytes.is_empty() {
            let room = self.room(bytes.len() as u64)?;
            let (head, tail) = bytes.split_at_checked(room.len()).unwrap_or((bytes, &[]));
            room.copy_from_slice(head);
            self.wrote(head.len());
            bytes = tail;
        }
        Ok(())
    }

    /// Appends zeros.
    pub(crate) fn zeros(&mut self, mut count: u64) -> Fallible<()> {
        while count > 0 {
            let room = self.room(count)?;
            room.fill(0);
            let length = room.len();
            self.wrote(length);
            count -= length as u64;
        }
        Ok(())
    }

    /// Appends up to `count` bytes of a file from its current position, without a copy on the way. Gives how many there
    /// were.
    pub(crate) fn read_from(&mut self, file: BorrowedFd<'_>, count: u64) -> Result<u64, ReadError> {
        let mut left = count;
        while left > 0 {
            let room = self.room(left).map_err(ReadError::Sink)?;
            match rustix::io::read(file, room) {
                Ok(0) => break,
                Ok(length) => {
                    self.wrote(length);
                    left -= length as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(ReadError::File(errno)),
            }
        }
        Ok(count - left)
    }

    /// Ends the archive and the stream.
    pub(crate) fn end(mut self) -> Fallible<Written> {
        let table = match &mut self.encoder {
            Encoder::Estargz(_) => Some(self.table()?),
            _ => None,
        };
        let Some((text, start)) = table else {
            self.write(&END)?;
            return self.finish();
        };
        let mut digest = Tally::default();
        digest.update(&text);
        let mut entry = Entry::new(Kind::Regular, estargz::TABLE_NAME.to_vec());
        (entry.mode, entry.size) = (0o444, text.len() as u64);
        // Its header is in the same member as its content, unlike those of other files.
        self.write(&header(&entry))?;
        self.write(&text)?;
        self.zeros(padding(entry.size) as u64)?;
        self.write(&END)?;
        let mut written = self.finish_with(Some(start))?;
        written.toc = Some(digest.digest());
        Ok(written)
    }

    /// Ends the stream. The archive was ended by what was written.
    pub(crate) fn finish(self) -> Fallible<Written> {
        self.finish_with(None)
    }

    /// The table of contents, and where it begins.
    fn table(&mut self) -> Fallible<(Vec<u8>, u64)> {
        self.cut()?;
        let Encoder::Estargz(encoder) = &mut self.encoder else {
            return Err(Failure::internal("only an estargz has a table of contents"));
        };
        encoder.gzip.drain(&mut self.out)?;
        Ok((encoder.table()?, self.out.bytes()))
    }

    fn finish_with(mut self, table: Option<u64>) -> Fallible<Written> {
        self.hand_on(true)?;
        match &mut self.encoder {
            Encoder::Plain => {}
            Encoder::Gzip(encoder) => encoder.drain(&mut self.out)?,
            Encoder::Estargz(encoder) => encoder.gzip.drain(&mut self.out)?,
            Encoder::Zstd(encoder) => encoder.finish(&mut self.out)?,
        }
        if let Some(start) = table {
            self.out.write_all(&estargz::footer(start))?;
        }
        Ok(Written { blob: self.out.finish(), tar: self.tar, toc: None })
    }

    /// Free space for up to `wanted` bytes, at least one.
    fn room(&mut self, wanted: u64) -> Fallible<&mut [u8]> {
        let mut wanted = usize::try_from(wanted).unwrap_or(BLOCK);
        if let Encoder::Estargz(encoder) = &mut self.encoder {
            if encoder.chunk_is_full() {
                self.cut()?;
            }
            wanted = self.within_chunk(wanted);
        }
        // A full block is handed on only when more follows: so the last one is never empty unless the tar is.
        if self.used == BLOCK {
            self.hand_on(false)?;
        }
        let end = wanted.saturating_add(self.used).min(BLOCK);
        Ok(self.block.get_mut(self.used..end).unwrap_or_default())
    }

    fn within_chunk(&self, wanted: usize) -> usize {
        match &self.encoder {
            Encoder::Estargz(encoder) => {
                encoder.room().and_then(|room| usize::try_from(room).ok()).map_or(wanted, |room| wanted.min(room))
            }
            _ => wanted,
        }
    }

    /// Bytes were put into what [`Sink::room`] gave.
    fn wrote(&mut self, count: usize) {
        let start = self.used;
        self.used += count;
        if let Encoder::Estargz(encoder) = &mut self.encoder {
            encoder.wrote(self.block.get(start..self.used).unwrap_or_default());
        }
    }

    /// Ends a gzip member of an estargz.
    fn cut(&mut self) -> Fallible<()> {
        self.hand_on(true)?;
        if let Encoder::Estargz(encoder) = &mut self.encoder {
            encoder.begin_member();
        }
        Ok(())
    }

    /// Gives the block away; the last one of a member if `ends`.
    fn hand_on(&mut self, ends: bool) -> Fallible<()> {
        let used = std::mem::take(&mut self.used);
        let bytes = self.block.get(..used).unwrap_or_default();
        self.tar.update(bytes);
        match &mut self.encoder {
            Encoder::Plain => self.out.write_all(bytes),
            Encoder::Zstd(encoder) => encoder.block(bytes, ends, &mut self.out),
            Encoder::Gzip(encoder) => encoder.block(taken(&mut self.block, used), ends, &mut self.out),
            Encoder::Estargz(encoder) => encoder.gzip.block(taken(&mut self.block, used), ends, &mut self.out),
        }
    }
}

/// The bytes of a block as their own; a block of few keeps its memory.
fn taken(block: &mut Vec<u8>, used: usize) -> Vec<u8> {
    if used < BLOCK {
        return block.get(..used).unwrap_or_default().to_vec();
    }
    std::mem::replace(block, vec![0; BLOCK])
}

fn encoder(Compression { format, level }: Compression, threads: usize) -> Fallible<Encoder> {
    let gzip = || match gzip::Encoder::new(level, threads) {
        Some(encoder) => Ok(encoder),
        None => Err(Failure::internal(format!("gzip has no level {level}"))),
    };
    match format {
        CompressionFormat::None => Ok(Encoder::Plain),
        CompressionFormat::Gzip if level <= 9 => Ok(Encoder::Gzip(Box::new(gzip()?))),
        CompressionFormat::Estargz if level <= 9 => Ok(Encoder::Estargz(Box::new(estargz::Encoder::new(gzip()?)))),
        CompressionFormat::Zstd if level <= 22 => Ok(Encoder::Zstd(zstandard::Encoder::new(level, threads))),
        format => Err(Failure::internal(format!("{format:?} has no level {level}"))),
    }
}

/// Why [`Sink::read_from`] failed.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file could not be read.
    File(Errno),
    /// The stream could not be written.
    Sink(Failure),
}

/// Threads worth starting on this machine.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(16)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#[path = "compress/tests.rs"]
mod tests;
