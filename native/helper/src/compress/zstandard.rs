//! One zstd frame.
//!
//! libzstd's own threads are used: it cuts its jobs at fixed positions, so one and many workers give the same bytes (no
//! worker at all gives others; that is for tars that fit into one block).

use crate::digest::HashingWriter;
use crate::error::{Failure, Fallible};
use std::fmt;
use zstd::stream::raw::{self, CParameter, InBuffer, Operation, OutBuffer};

/// Bytes of input in one of libzstd's jobs.
const JOB: u32 = 8 << 20;

/// A frame in the making.
pub(super) struct Encoder {
    level: i32,
    threads: usize,
    stream: Option<raw::Encoder<'static>>,
    room: Vec<u8>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zstd({})", self.level)
    }
}

impl Encoder {
    pub(super) fn new(level: u32, threads: usize) -> Self {
        Self { level: i32::try_from(level).unwrap_or(0), threads, stream: None, room: Vec::new() }
    }

    /// Takes a block, the last one if `last`.
    pub(super) fn block(&mut self, block: &[u8], last: bool, out: &mut HashingWriter) -> Fallible<()> {
        if self.stream.is_none() {
            self.stream = Some(self.start(!last)?);
        }
        self.push(block, out)
    }

    fn start(&self, in_threads: bool) -> Fallible<raw::Encoder<'static>> {
        let mut stream = raw::Encoder::new(self.level).map_err(failed)?;
        if in_threads {
            let threads = u32::try_from(self.threads.clamp(1, most_threads(self.level))).unwrap_or(1);
            stream.set_parameter(CParameter::NbWorkers(threads)).map_err(failed)?;
            stream.set_parameter(CParameter::JobSize(JOB)).map_err(failed)?;
        }
        Ok(stream)
    }

    /// Ends the frame.
    pub(super) fn finish(&mut self, out: &mut HashingWriter) -> Fallible<()> {
        let Some(stream) = self.stream.as_mut() else { return Ok(()) };
        loop {
            let mut output = OutBuffer::around(self.room.as_mut_slice());
            let left = stream.finish(&mut output, true).map_err(failed)?;
            out.write_all(output.as_slice())?;
            if left == 0 {
                return Ok(());
            }
        }
    }

    fn push(&mut self, block: &[u8], out: &mut HashingWriter) -> Fallible<()> {
        self.room.resize(super::BLOCK, 0);
        let Some(stream) = self.stream.as_mut() else { return Ok(()) };
        let mut input = InBuffer::around(block);
        while input.pos() < block.len() {
            let mut output = OutBuffer::around(self.room.as_mut_slice());
            stream.run(&mut input, &mut output).map_err(failed)?;
            out.write_all(output.as_slice())?;
        }
        Ok(())
    }
}

/// How many of libzstd's threads leave the command and this process within 250 MiB: each takes 50 to 80 MiB from level 12 on, 85 at 19. From
/// level 20 on one alone takes over 700.
fn most_threads(level: i32) -> usize {
    match level {
        ..=11 => usize::MAX,
        12..=17 => 2,
        _ => 1,
    }
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn failed(error: std::io::Error) -> Failure {
    Failure::internal(format!("zstd: {error}"))
}
