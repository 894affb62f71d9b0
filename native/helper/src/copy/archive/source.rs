//! The unpacked bytes of an archive: bounded, hashed as they are stored, on a thread of their own where there are many.

use super::inflate::Inflated;
use super::refused;
use super::stored::Stored;
use crate::error::{Failure, Fallible};
use crate::select::read_failure;
use crate::stages::{self, PIECE, QUEUE, Queue, RATIO_FROM, SMALL};
use crate::tar::CONTENT_MAX;
use crate::tar::reader::Chunks;
use std::fs::File;
use std::io::Read;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

/// Unpacked bytes for each stored byte, looked at beyond 1 GiB.
const MAX_RATIO: u64 = 1000;

/// Reads, inflates and counts.
pub(super) struct Inflating {
    inflated: Inflated,
    path: Vec<u8>,
    unpacked: u64,
}

impl Inflating {
    fn limit(&self) -> Fallible<()> {
        let stored = self.inflated.stored_bytes().max(1);
        if self.unpacked > CONTENT_MAX {
            return Err(refused(format!("it unpacks to more than {CONTENT_MAX} bytes")));
        }
        if self.unpacked > RATIO_FROM && self.unpacked / stored > MAX_RATIO {
            let message = format!("{stored} bytes unpack to {}, more than {MAX_RATIO} times as many", self.unpacked);
            return Err(refused(message));
        }
        Ok(())
    }
}

impl Chunks for Inflating {
    fn next_chunk(&mut self) -> Fallible<Option<Vec<u8>>> {
        let mut piece = vec![0; PIECE];
        let mut length = 0;
        // Decoders give as little as they like; small pieces would cost a trip to the other thread each.
        while length < PIECE / 2 {
            let room = piece.get_mut(length..).unwrap_or_default();
            match self.inflated.read(room) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) => return Err(unreadable(&self.path, &error)),
            }
        }
        piece.truncate(length);
        self.unpacked += length as u64;
        self.limit()?;
        Ok(if piece.is_empty() { None } else { Some(piece) })
    }
}

fn unreadable(path: &[u8], error: &std::io::Error) -> Failure {
    match error.raw_os_error() {
        Some(raw) => read_failure("read", path, rustix::io::Errno::from_raw_os_error(raw)),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => refused("the compressed data ends in the middle"),
        None => refused(format!("the compressed data is damaged: {error}")),
    }
}

/// See the module.
pub(super) enum Source {
    Inline(Box<Inflating>),
    Thread { queue: Queue, inflating: JoinHandle<Inflating> },
}

impl Source {
    /// Starts at the beginning of a file of `size` bytes.
    pub(super) fn start(file: File, path: &[u8], size: u64, hash: bool) -> Fallible<Self> {
        let inflated = Inflated::new(Stored::new(file, hash)).map_err(|error| unreadable(path, &error))?;
        let inflating = Inflating { inflated, path: path.to_vec(), unpacked: 0 };
        if size < SMALL {
            return Ok(Self::Inline(Box::new(inflating)));
        }
        let (sender, inflated) = sync_channel(QUEUE);
        let inflating = stages::spawn("inflate", move || stages::forward(inflating, &sender))?;
        Ok(Self::Thread { queue: Queue(inflated), inflating })
    }

    /// The digest of the file, where it was wanted; everything unpacked was read before.
    pub(super) fn finish(self) -> Fallible<Option<[u8; 32]>> {
        let inflating = match self {
            Self::Inline(inflating) => *inflating,
            Self::Thread { queue, inflating } => {
                drop(queue);
                stages::join(inflating)?
            }
        };
        let path = inflating.path;
        match inflating.inflated.into_stored().map(Stored::finish) {
            Some(digest) => digest.map_err(|error| unreadable(&path, &error)),
            None => Ok(None),
        }
    }
}

impl Chunks for Source {
    fn next_chunk(&mut self) -> Fallible<Option<Vec<u8>>> {
        match self {
            Self::Inline(inflating) => inflating.next_chunk(),
            Self::Thread { queue, .. } => queue.next_chunk(),
        }
    }
}
