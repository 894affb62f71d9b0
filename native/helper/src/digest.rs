//! SHA-256 as the OCI spec writes it.

use crate::error::{Failure, Fallible};
use crate::sys::files::start_write_back;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use sha2::Digest as _;

/// A running SHA-256 (with the processor's own instructions where it has them) and the number of bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    hash: sha2::Sha256,
    bytes: u64,
}

impl Tally {
    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `sha256:` and 64 hexadecimal digits.
    pub(crate) fn digest(self) -> String {
        let mut text = String::from("sha256:");
        for byte in self.hash.finalize() {
            for half in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
            }
        }
        text
    }
}

/// Bytes after which the disk gets to work on them. Whoever asks for a layer has it synced at the end, and so waits for the
/// disk while there is nothing else to do.
const WRITE_BACK: u64 = 8 << 20;

/// Sees to it that the disk has had most of a file by its end.
#[derive(Debug, Default)]
struct WriteBack {
    begun: u64,
}

impl WriteBack {
    /// `total` bytes were written to `fd` so far.
    fn wrote(&mut self, fd: BorrowedFd<'_>, total: u64) {
        if total - self.begun >= WRITE_BACK {
            self.begun = total;
            start_write_back(fd, 0, 0);
        }
    }
}

/// A descriptor that counts and hashes what is written to it.
#[derive(Debug)]
pub(crate) struct HashingWriter {
    fd: OwnedFd,
    tally: Tally,
    write_back: WriteBack,
}

impl HashingWriter {
    /// Takes the descriptor over.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, tally: Tally::default(), write_back: WriteBack::default() }
    }

    /// Writes all of `bytes`.
    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> Fallible<()> {
        self.tally.update(bytes);
        write_all(self.fd.as_fd(), bytes)
            .map_err(|errno| Failure::syscall(format!("write(3, {} bytes)", bytes.len()), errno))?;
        self.write_back.wrote(self.fd.as_fd(), self.tally.bytes());
        Ok(())
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.tally.bytes()
    }

    /// What was written.
    pub(crate) fn finish(self) -> Tally {
        self.tally
    }
}

/// `write(2)` until everything is written.
pub(crate) fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_gives_the_known_value_of_the_empty_input() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Tally::default().digest(), empty);
    }
}
