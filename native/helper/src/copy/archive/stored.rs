//! The bytes of an archive as they are stored.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufRead, Read, Result};

const BUFFER: usize = 256 << 10;
/// Bytes that [`BufRead::fill_buf`] gives at least, while the file has them: enough to tell every format.
pub(super) const PEEK: usize = 8;

/// Reads a file from its start, counts its bytes and hashes them where that is wanted.
#[derive(Debug)]
pub(super) struct Stored {
    file: File,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    bytes: u64,
    hash: Option<Sha256>,
}

impl Stored {
    /// Takes over a file that stands at its start.
    pub(super) fn new(file: File, hash: bool) -> Self {
        let hash = hash.then(Sha256::new);
        Self { file, buffer: Vec::new(), at: 0, ended: false, bytes: 0, hash }
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads what is left and gives the digest of the whole file, where it was wanted.
    pub(super) fn finish(mut self) -> Result<Option<[u8; 32]>> {
        if self.hash.is_some() {
            loop {
                let length = self.fill_buf()?.len();
                if length == 0 {
                    break;
                }
                self.consume(length);
            }
        }
        Ok(self.hash.map(|hash| hash.finalize().into()))
    }

    fn ready(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    fn read_more(&mut self) -> Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let before = self.buffer.len();
        self.buffer.resize(before + BUFFER, 0);
        let room = self.buffer.get_mut(before..).unwrap_or_default();
        let length = loop {
            match self.file.read(room) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(before + *length.as_ref().unwrap_or(&0));
        self.ended = matches!(length, Ok(0));
        let fresh = self.buffer.get(before..).unwrap_or_default();
        self.bytes += fresh.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(fresh);
        }
        length.map(drop)
    }
}

impl BufRead for Stored {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        while self.ready().len() < PEEK && !self.ended {
            self.read_more()?;
        }
        Ok(self.ready())
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.buffer.len());
    }
}

impl Read for Stored {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let mut ready = self.fill_buf()?;
        let length = ready.read(out)?;
        self.consume(length);
        Ok(length)
    }
}
