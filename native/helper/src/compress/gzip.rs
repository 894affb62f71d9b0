//! One gzip stream (RFC 1952, one member) from blocks that are deflated independently.
//!
//! Each block is raw deflate with the last 32 KiB of the block before as dictionary, and ends on a byte with an empty
//! stored block, so the blocks can simply be joined; any inflater reads the result as one stream.

use super::pool::{Pool, Task};
use crate::digest::HashingWriter;
use crate::error::{Failure, Fallible};
use flate2::{Compress, FlushCompress, Status};
use std::sync::Arc;

/// How far deflate looks back.
const WINDOW: usize = 32 << 10;

/// A stream in the making.
#[derive(Debug)]
pub(crate) struct Encoder {
    level: u32,
    threads: usize,
    pool: Option<Pool<Job>>,
    before: Option<Arc<Vec<u8>>>,
    crc: crc32fast::Hasher,
    started: bool,
}

/// One block to deflate.
#[derive(Debug)]
struct Job {
    block: Arc<Vec<u8>>,
    before: Option<Arc<Vec<u8>>>,
    last: bool,
}

/// A deflated block.
#[derive(Debug)]
struct Deflated {
    bytes: Vec<u8>,
    crc: crc32fast::Hasher,
}

impl Task for Job {
    type Scratch = Compress;
    type Done = Fallible<Deflated>;

    fn run(self, scratch: &mut Compress) -> Fallible<Deflated> {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.block);
        let window = self.before.as_deref().map(|before| before.split_at(before.len().saturating_sub(WINDOW)).1);
        let bytes = deflate(scratch, window, &self.block, self.last)?;
        Ok(Deflated { bytes, crc })
    }
}

impl Encoder {
    pub(super) fn new(level: u32, threads: usize) -> Self {
        Self { level, threads, pool: None, before: None, crc: crc32fast::Hasher::new(), started: false }
    }

    /// Takes a full block that is not the last.
    pub(super) fn block(&mut self, block: Vec<u8>, out: &mut HashingWriter) -> Fallible<()> {
        self.start(out)?;
        let job = self.job(block, false);
        let (level, threads) = (self.level, self.threads);
        if self.pool.is_none() {
            self.pool = Some(Pool::start(threads, move || compressor(level))?);
        }
        let ready = match self.pool.as_mut() {
            Some(pool) => pool.submit(job)?,
            None => None,
        };
        ready.map_or(Ok(()), |done| self.write(&done?, out))
    }

    /// Takes the last block and ends the stream.
    pub(super) fn finish(mut self, block: Vec<u8>, length: u64, out: &mut HashingWriter) -> Fallible<()> {
        self.start(out)?;
        let job = self.job(block, true);
        match self.pool.take() {
            None => self.write(&job.run(&mut compressor(self.level))?, out)?,
            Some(mut pool) => {
                if let Some(done) = pool.submit(job)? {
                    self.write(&done?, out)?;
                }
                while let Some(done) = pool.next()? {
                    self.write(&done?, out)?;
                }
            }
        }
        let crc = self.crc.finalize().to_le_bytes();
        // RFC 1952: the length modulo 2^32.
        let length = u32::try_from(length & u64::from(u32::MAX)).unwrap_or(0).to_le_bytes();
        out.write_all(&[crc, length].concat())
    }

    fn start(&mut self, out: &mut HashingWriter) -> Fallible<()> {
        if std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        let extra = match self.level {
            9 => 2,
            1 => 4,
            _ => 0,
        };
        // No name, no time, unknown operating system: nothing of this machine.
        out.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra, 255])
    }

    fn job(&mut self, block: Vec<u8>, last: bool) -> Job {
        let block = Arc::new(block);
        let before = self.before.replace(Arc::clone(&block));
        Job { block, before, last }
    }

    fn write(&mut self, done: &Deflated, out: &mut HashingWriter) -> Fallible<()> {
        self.crc.combine(&done.crc);
        out.write_all(&done.bytes)
    }
}

fn compressor(level: u32) -> Compress {
    Compress::new(flate2::Compression::new(level), false)
}

fn deflate(scratch: &mut Compress, window: Option<&[u8]>, block: &[u8], last: bool) -> Fallible<Vec<u8>> {
    let failed = |error| Failure::internal(format!("deflate: {error:?}"));
    scratch.reset();
    if let Some(window) = window {
        scratch.set_dictionary(window).map_err(|error| failed(error.to_string()))?;
    }
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut out = Vec::with_capacity(block.len() / 2 + 256);
    loop {
        let taken = usize::try_from(scratch.total_in()).unwrap_or(usize::MAX);
        let rest = block.get(taken..).unwrap_or_default();
        let status = scratch.compress_vec(rest, &mut out, flush).map_err(|error| failed(error.to_string()))?;
        let all_taken = scratch.total_in() == block.len() as u64;
        // A sync flush is complete when there is room left behind it.
        if status == Status::StreamEnd || (!last && all_taken && out.len() < out.capacity()) {
            return Ok(out);
        }
        out.reserve(out.capacity().max(256));
    }
}
