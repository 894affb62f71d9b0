//! `concat`: writes small bytes and whole files one after the other, the files without their bytes passing through a program
//! where the kernel can do that.
//!
//! No reflink is asked for: a clone starts and ends on blocks of the file system, and in a tar everything starts at 512 bytes.
//! copy_file_range(2) clones by itself where that is possible.

use crate::digest::Tally;
use crate::error::{Failure, Fallible};
use crate::progress::Progress;
use crate::protocol::{Outcome, Part};
use crate::quote::quote;
use crate::stages::SMALL;
use crate::sys::files::start_write_back;
use base64::Engine as _;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, Ordering};

/// A larger piece belongs into a file.
const INLINE_MAX: usize = 64 << 10;
/// Bytes that one call copies at most, so that there is progress to tell and the disk has something to write meanwhile.
const STEP: u64 = 8 << 20;
/// Read at once where the kernel copies nothing by itself.
const BUFFER: usize = 256 << 10;

/// How bytes get from a file to the output, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// copy_file_range(2): both are files.
    Range,
    /// sendfile(2): a pipe or a socket, or another file system.
    Send,
    /// read(2) and write(2), which works with everything.
    Plain,
}

/// Writes the parts to fd 3.
///
/// # Errors
/// `ERR_SIZE_MISMATCH` for a file of another length, looked at before its first byte is written and again at its end;
/// `ERR_DIGEST_MISMATCH`; failed calls. fd 3 has got what was written until then.
pub(crate) fn concat(parts: &[Part]) -> Fallible<Outcome> {
    // First, so that fd 3 cannot be a descriptor of our own.
    let mut output = Output { fd: crate::sys::layers::bulk()?, way: Way::Range, bytes: 0, progress: Progress::new() };
    let stop = AtomicBool::new(false);
    let verified = std::thread::scope(|scope| {
        // The kernel copies what it has in memory, so reading it a second time costs no disk, but a core.
        let verifying = is_large(parts).then(|| scope.spawn(|| verify(parts, &stop)));
        let written = output.write_all(parts);
        if written.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        let verified = match verifying {
            Some(thread) => thread.join().unwrap_or_else(|_| Err(Failure::internal("a verifying thread panicked"))),
            None => verify(parts, &stop),
        };
        written.and(verified)
    });
    verified.map(|()| Outcome::Concat { bytes: output.bytes })
}

/// Whether verifying takes longer than starting a thread.
fn is_large(parts: &[Part]) -> bool {
    let bytes = parts.iter().map(|part| match part {
        Part::File { size_bytes, digest: Some(_), .. } => *size_bytes,
        _ => 0,
    });
    bytes.fold(0, u64::saturating_add) > SMALL
}

/// Digests the files until one is wrong or `stop` is set.
fn verify(parts: &[Part], stop: &AtomicBool) -> Fallible<()> {
    let mut buffer = vec![0; BUFFER];
    for part in parts {
        let Part::File { path, digest: Some(expected), .. } = part else { continue };
        let file = open(path)?;
        let mut tally = Tally::default();
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            match read(&file, &mut buffer, path)? {
                0 => break,
                count => tally.update(buffer.get(..count).unwrap_or_default()),
            }
        }
        let actual = tally.digest();
        if actual != *expected {
            let message = format!("the file {} has the digest {actual}, not {expected}", quote(path.as_bytes()));
            return Err(Failure::user("ERR_DIGEST_MISMATCH", message));
        }
    }
    Ok(())
}

fn open(path: &str) -> Fallible<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| Failure::syscall(format!("open({}, O_RDONLY)", quote(path.as_bytes())), errno))
}

fn read(file: &OwnedFd, buffer: &mut [u8], path: &str) -> Fallible<usize> {
    loop {
        match rustix::io::read(file, &mut *buffer) {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Failure::syscall(format!("read({})", quote(path.as_bytes())), errno)),
        }
    }
}

#[derive(Debug)]
struct Output {
    fd: OwnedFd,
    way: Way,
    bytes: u64,
    progress: Progress,
}

impl Output {
    fn write_all(&mut self, parts: &[Part]) -> Fallible<()> {
        parts.iter().try_for_each(|part| match part {
            Part::Inline { data } => self.inline(data),
            Part::File { path, size_bytes, .. } => self.file(path, *size_bytes),
        })
    }

    fn inline(&mut self, data: &str) -> Fallible<()> {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(data)
            .map_err(|error| Failure::internal(format!("an inline part is no base64: {error}")))?;
        if bytes.len() > INLINE_MAX {
            return Err(Failure::internal(format!("an inline part of {} bytes; at most {INLINE_MAX}", bytes.len())));
        }
        self.write(&bytes)
    }

    fn file(&mut self, path: &str, size: u64) -> Fallible<()> {
        let file = open(path)?;
        let stat = rustix::fs::fstat(&file)
            .map_err(|errno| Failure::syscall(format!("fstat({})", quote(path.as_bytes())), errno))?;
        if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(Failure::internal(format!("{} is no regular file", quote(path.as_bytes()))));
        }
        let actual = u64::try_from(stat.st_size).unwrap_or(0);
        if actual != size {
            return Err(mismatch(path, actual, size));
        }
        let mut left = size;
        while left > 0 {
            match self.copy(&file, left.min(STEP), path)? {
                // It was cut off meanwhile.
                0 => return Err(mismatch(path, size - left, size)),
                count => {
                    left = left.saturating_sub(count);
                    // Our caller syncs the file.
                    start_write_back(self.fd.as_fd(), self.bytes - count, count);
                }
            }
        }
        Ok(())
    }

    /// Copies some bytes from the file's position on. 0 at its end.
    fn copy(&mut self, file: &OwnedFd, count: u64, path: &str) -> Fallible<u64> {
        loop {
            let length = usize::try_from(count).unwrap_or(usize::MAX);
            let (call, done) = match self.way {
                Way::Range => ("copy_file_range", rustix::fs::copy_file_range(file, None, &self.fd, None, length)),
                Way::Send => ("sendfile", rustix::fs::sendfile(&self.fd, file, None, length)),
                Way::Plain => return self.copy_plainly(file, length, path),
            };
            match done {
                Ok(done) => {
                    self.count(done as u64);
                    return Ok(done as u64);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait()?,
                // Not between these two, or not by this kernel; BADF is an output that was opened for appending.
                Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF | Errno::PERM) => {
                    self.way = if self.way == Way::Range { Way::Send } else { Way::Plain };
                }
                Err(errno) => return Err(Failure::syscall(format!("{call}({}, 3)", quote(path.as_bytes())), errno)),
            }
        }
    }

    fn copy_plainly(&mut self, file: &OwnedFd, length: usize, path: &str) -> Fallible<u64> {
        let mut buffer = vec![0; length.min(BUFFER)];
        let count = read(file, &mut buffer, path)?;
        self.write(buffer.get(..count).unwrap_or_default())?;
        Ok(count as u64)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Fallible<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.fd, bytes) {
                Ok(count) => {
                    self.count(count as u64);
                    bytes = bytes.get(count..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait()?,
                Err(errno) => return Err(Failure::syscall(format!("write(3, {} bytes)", bytes.len()), errno)),
            }
        }
        Ok(())
    }

    /// Standard output may be a pipe that its other users never wait for.
    fn wait(&self) -> Fallible<()> {
        match poll(&mut [PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::OUT)], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(Failure::syscall("poll(3, POLLOUT)", errno)),
        }
    }

    fn count(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.progress.add(bytes);
    }
}

fn mismatch(path: &str, actual: u64, expected: u64) -> Failure {
    let message = format!("the file {} has {actual} bytes, not the {expected} that it should", quote(path.as_bytes()));
    Failure::user("ERR_SIZE_MISMATCH", message)
}
