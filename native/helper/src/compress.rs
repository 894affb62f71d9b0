//! Where a tar goes on its way to fd 3: hashed, cut into blocks, compressed on all cores, written in order, hashed again.
//!
//! The bytes depend on the tar, the format and the level alone. Blocks are cut at fixed positions, and what one block may
//! know of the one before does not depend on who compresses it, so any number of threads gives the same stream.

mod gzip;
mod joint;
mod pool;
mod zstandard;

use crate::digest::{HashingWriter, Tally};
use crate::error::{Failure, Fallible};
use crate::protocol::{Compression, LayerFormat};
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
    Zstd(zstandard::Encoder),
}

/// What was written.
#[derive(Debug)]
pub(crate) struct Written {
    /// The bytes on fd 3.
    pub(crate) blob: Tally,
    /// The tar.
    pub(crate) tar: Tally,
}

impl Sink {
    /// Starts a stream on `out` that uses up to `threads` threads besides this one.
    pub(crate) fn new(out: OwnedFd, compression: Compression, threads: usize) -> Fallible<Self> {
        let level = compression.level;
        let encoder = match compression.format {
            LayerFormat::None => Encoder::Plain,
            LayerFormat::Gzip if level <= 9 => match gzip::Encoder::new(level, threads) {
                Some(encoder) => Encoder::Gzip(Box::new(encoder)),
                None => return Err(Failure::internal(format!("libdeflate has no level {level}"))),
            },
            LayerFormat::Zstd if level <= 22 => Encoder::Zstd(zstandard::Encoder::new(level, threads)),
            format => return Err(Failure::internal(format!("{format:?} has no level {level}"))),
        };
        Ok(Self { encoder, block: vec![0; BLOCK], used: 0, tar: Tally::default(), out: HashingWriter::new(out) })
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Fallible<()> {
        while !bytes.is_empty() {
            let room = self.room(bytes.len() as u64)?;
            let (head, tail) = bytes.split_at_checked(room.len()).unwrap_or((bytes, &[]));
            room.copy_from_slice(head);
            self.used += head.len();
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
            self.used += length;
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
                    self.used += length;
                    left -= length as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(ReadError::File(errno)),
            }
        }
        Ok(count - left)
    }

    /// Ends the stream.
    pub(crate) fn finish(mut self) -> Fallible<Written> {
        let last = self.block.get(..self.used).unwrap_or_default();
        self.tar.update(last);
        let last = last.to_vec();
        match self.encoder {
            Encoder::Plain => self.out.write_all(&last)?,
            Encoder::Gzip(encoder) => encoder.finish(last, self.tar.bytes(), &mut self.out)?,
            Encoder::Zstd(encoder) => encoder.finish(&last, &mut self.out)?,
        }
        Ok(Written { blob: self.out.finish(), tar: self.tar })
    }

    /// Free space for up to `wanted` bytes, at least one.
    fn room(&mut self, wanted: u64) -> Fallible<&mut [u8]> {
        // A full block is handed on only when more follows: so the last one is never empty unless the tar is.
        if self.used == BLOCK {
            self.hand_on()?;
        }
        let end = usize::try_from(wanted).unwrap_or(BLOCK).saturating_add(self.used).min(BLOCK);
        Ok(self.block.get_mut(self.used..end).unwrap_or_default())
    }

    fn hand_on(&mut self) -> Fallible<()> {
        self.tar.update(&self.block);
        self.used = 0;
        match &mut self.encoder {
            Encoder::Plain => self.out.write_all(&self.block),
            Encoder::Gzip(encoder) => {
                let full = std::mem::replace(&mut self.block, vec![0; BLOCK]);
                encoder.block(full, &mut self.out)
            }
            Encoder::Zstd(encoder) => encoder.block(&self.block, &mut self.out),
        }
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
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    fn stream(tar: &[u8], format: LayerFormat, level: u32, threads: usize) -> (Vec<u8>, Written) {
        let mut file = tempfile::tempfile().unwrap();
        let mut sink = Sink::new(file.try_clone().unwrap().into(), Compression { format, level }, threads).unwrap();
        // Odd pieces, so that they cross the blocks anywhere.
        for piece in tar.chunks(77_777) {
            sink.write(piece).unwrap();
        }
        let written = sink.finish().unwrap();
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        (bytes, written)
    }

    #[test]
    fn sink_gives_the_same_bytes_for_any_number_of_threads() {
        let sizes = [1024, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 20 * BLOCK + 5];
        for size in sizes {
            let tar: Vec<u8> = (0..size / 8 + 1).flat_map(|at| (at * at % 65_521).to_le_bytes()).take(size).collect();
            for (format, level) in
                [(LayerFormat::None, 0), (LayerFormat::Gzip, 1), (LayerFormat::Gzip, 6), (LayerFormat::Zstd, 3)]
            {
                let (one, written) = stream(&tar, format, level, 1);
                for threads in [2, 3, 7] {
                    assert!(stream(&tar, format, level, threads).0 == one, "{format:?} {size} {threads}");
                }
                assert_eq!(written.tar.bytes(), size as u64);
                assert_eq!(written.blob.bytes(), one.len() as u64);
                let mut back = Vec::new();
                match format {
                    LayerFormat::None => back.clone_from(&one),
                    // Not the decoder for several members: it must be one.
                    LayerFormat::Gzip => drop(flate2::read::GzDecoder::new(&one[..]).read_to_end(&mut back).unwrap()),
                    LayerFormat::Zstd => back = zstd::decode_all(&one[..]).unwrap(),
                }
                assert!(back == tar, "{format:?} {size}");
            }
        }
    }
}
