//! fd 3, verified: reading, inflating and hashing, apart from unpacking.
//!
//! Three stages in a row: read and inflate, hash the tar, unpack. For a large layer the first two have a thread each,
//! so that they overlap with the system calls of the third.

use super::Stored;
use super::inflate::Inflate;
use crate::digest::Tally;
use crate::error::{Failure, Fallible};
use crate::protocol::ErrorKind;
use crate::stages::{PIECE, QUEUE, Queue, RATIO_FROM, SMALL, forward, join, spawn};
use crate::tar::reader::Chunks;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

/// The blob as it arrives: counts and hashes every byte.
#[derive(Debug)]
pub(crate) struct Blob {
    fd: OwnedFd,
    expected: u64,
    tally: Tally,
}

impl Blob {
    /// # Errors
    /// `ERR_SIZE_MISMATCH` where the size is known to be wrong before a byte was read.
    pub(crate) fn new(fd: OwnedFd, expected: u64) -> Fallible<Self> {
        let stat = rustix::fs::fstat(&fd).map_err(|errno| Failure::syscall("fstat(3)", errno))?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
        let start = if regular { rustix::fs::tell(&fd).unwrap_or(0) } else { 0 };
        if regular && size.saturating_sub(start) != expected {
            return Err(size_mismatch(size.saturating_sub(start), expected));
        }
        Ok(Self { fd, expected, tally: Tally::default() })
    }

    /// Fills `buffer` from its start; 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> Fallible<usize> {
        loop {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Ok(count) => {
                    self.tally.update(buffer.get(..count).unwrap_or_default());
                    return if self.tally.bytes() > self.expected { Err(self.too_large()) } else { Ok(count) };
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Failure::syscall(format!("read(3, {} bytes)", buffer.len()), errno)),
            }
        }
    }

    fn too_large(&self) -> Failure {
        let expected = self.expected;
        Failure::user("ERR_SIZE_MISMATCH", format!("the layer has more than the {expected} bytes of its descriptor"))
    }

    /// Reads what is left and compares: size first, then digest.
    fn verify(mut self, digest: &str) -> Fallible<()> {
        let mut buffer = vec![0; PIECE];
        while self.read(&mut buffer)? > 0 {}
        if self.tally.bytes() != self.expected {
            return Err(size_mismatch(self.tally.bytes(), self.expected));
        }
        let actual = self.tally.digest();
        if actual == digest {
            return Ok(());
        }
        Err(Failure::user("ERR_DIGEST_MISMATCH", format!("the layer has the digest {actual}, not {digest}")))
    }
}

fn size_mismatch(actual: u64, expected: u64) -> Failure {
    Failure::user("ERR_SIZE_MISMATCH", format!("the layer has {actual} bytes, not the {expected} of its descriptor"))
}

/// First stage: reads and inflates.
#[derive(Debug)]
struct Inflating {
    blob: Blob,
    inflate: Inflate,
    stored: Vec<u8>,
    at: usize,
    ended: bool,
    unpacked: u64,
    max_bytes: u64,
    max_ratio: u64,
}

impl Inflating {
    fn new(blob: Blob, layer: &Stored) -> Fallible<Self> {
        Ok(Self {
            blob,
            inflate: Inflate::new(layer.compression)?,
            stored: Vec::new(),
            at: 0,
            ended: false,
            unpacked: 0,
            max_bytes: layer.limits.max_bytes,
            max_ratio: u64::from(layer.limits.max_ratio),
        })
    }

    fn limit(&self) -> Fallible<()> {
        let stored = self.blob.tally.bytes().max(1);
        if self.unpacked > self.max_bytes {
            let max = self.max_bytes;
            return Err(Failure::user("ERR_LAYER_BOMB", format!("the layer unpacks to more than {max} bytes")));
        }
        if self.unpacked > RATIO_FROM && self.unpacked / stored > self.max_ratio {
            let (unpacked, max) = (self.unpacked, self.max_ratio);
            let message = format!("{stored} bytes of the layer unpack to {unpacked}, more than {max} times as many");
            return Err(Failure::user("ERR_LAYER_BOMB", message));
        }
        Ok(())
    }
}

impl Chunks for Inflating {
    fn next_chunk(&mut self) -> Fallible<Option<Vec<u8>>> {
        let mut out = Vec::with_capacity(PIECE);
        while out.len() < PIECE / 2 && !self.ended {
            if self.at >= self.stored.len() {
                self.stored.resize(PIECE, 0);
                let count = self.blob.read(&mut self.stored)?;
                self.stored.truncate(count);
                self.at = 0;
            }
            if self.stored.is_empty() {
                self.ended = self.inflate.finish(&mut out)?;
            } else {
                self.at += self.inflate.push(self.stored.get(self.at..).unwrap_or_default(), &mut out)?;
            }
        }
        self.unpacked += out.len() as u64;
        self.limit()?;
        Ok(if out.is_empty() { None } else { Some(out) })
    }
}

/// Second stage: hashes the tar.
#[derive(Debug)]
struct Hashing<S> {
    source: S,
    tally: Tally,
}

impl<S: Chunks> Chunks for Hashing<S> {
    fn next_chunk(&mut self) -> Fallible<Option<Vec<u8>>> {
        let chunk = self.source.next_chunk()?;
        self.tally.update(chunk.as_deref().unwrap_or_default());
        Ok(chunk)
    }
}

/// The unpacked bytes of a layer, on their way through the stages.
#[derive(Debug)]
pub(crate) enum Source {
    /// Both stages run when bytes are wanted.
    Inline(Box<Stages>),
    /// Each has a thread.
    Threads(Threads),
}

/// See [`Source::Inline`].
#[derive(Debug)]
pub(crate) struct Stages(Hashing<Inflating>);

/// See [`Source::Threads`].
#[derive(Debug)]
pub(crate) struct Threads {
    queue: Queue,
    inflating: JoinHandle<Blob>,
    hashing: JoinHandle<Tally>,
}

impl Source {
    /// Starts the stages.
    pub(crate) fn start(fd: OwnedFd, layer: &Stored) -> Fallible<Self> {
        let inflating = Inflating::new(Blob::new(fd, layer.size_bytes)?, layer)?;
        if layer.size_bytes < SMALL {
            return Ok(Self::Inline(Box::new(Stages(Hashing { source: inflating, tally: Tally::default() }))));
        }
        let (sender, inflated) = sync_channel(QUEUE);
        let inflating = spawn("inflate", move || forward(inflating, &sender).blob)?;
        let (sender, hashed) = sync_channel(QUEUE);
        let hashing = Hashing { source: Queue(inflated), tally: Tally::default() };
        let hashing = spawn("hash", move || forward(hashing, &sender).tally)?;
        Ok(Self::Threads(Threads { queue: Queue(hashed), inflating, hashing }))
    }

    /// Ends a success: every byte was unpacked, now size, digest and diffID are compared, in this order.
    pub(crate) fn verify(self, layer: &Stored) -> Fallible<Tally> {
        let (blob, tally) = match self {
            Self::Inline(stages) => (stages.0.source.blob, stages.0.tally),
            Self::Threads(Threads { queue, inflating, hashing }) => {
                drop(queue);
                (join(inflating)?, join(hashing)?)
            }
        };
        blob.verify(&layer.digest)?;
        let diff_id = tally.clone().digest();
        match &layer.diff_id {
            Some(expected) if *expected != diff_id => Err(Failure::user(
                "ERR_DIFFID_MISMATCH",
                format!("the unpacked layer has the diffID {diff_id}, not {expected}"),
            )),
            _ => Ok(tally),
        }
    }

    /// Ends a failure. Where the content is to blame, wrong bytes are the truer reason: they are reported instead.
    pub(crate) fn blame(self, failure: Failure, layer: &Stored) -> Failure {
        if failure.kind != ErrorKind::User || matches!(failure.code, "ERR_LAYER_BOMB" | "ERR_SIZE_MISMATCH") {
            return failure;
        }
        let blob = match self {
            Self::Inline(stages) => Ok(stages.0.source.blob),
            Self::Threads(Threads { queue, inflating, .. }) => {
                drop(queue);
                join(inflating)
            }
        };
        blob.and_then(|blob| blob.verify(&layer.digest)).err().unwrap_or(failure)
    }
}

impl Chunks for Source {
    fn next_chunk(&mut self) -> Fallible<Option<Vec<u8>>> {
        match self {
            Self::Inline(stages) => stages.0.next_chunk(),
            Self::Threads(threads) => threads.queue.next_chunk(),
        }
    }
}
