//! Moves the bytes of files.

use crate::copy::target::write_failure;
use crate::error::Fallible;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

/// Up to this size one read and one write beat the set-up of copy_file_range.
const SMALL: u64 = 128 * 1024;

/// Writes all bytes.
pub(super) fn write_all(out: &OwnedFd, bytes: &[u8], path: &[u8]) -> Fallible<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(out, rest) {
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(write_failure("write", path, errno)),
        }
    }
    Ok(())
}

/// Lets the kernel copy a large file (sharing its blocks where the file system can). `false` if it is small, or if the
/// kernel cannot and nothing was written.
pub(super) fn offload(from: &OwnedFd, to: &OwnedFd, size: u64, path: &[u8]) -> Fallible<bool> {
    if size <= SMALL {
        return Ok(false);
    }
    let mut done = 0_u64;
    loop {
        match rustix::fs::copy_file_range(from, None, to, None, 1 << 30) {
            Ok(0) => return Ok(done > 0),
            Ok(length) => done += u64::try_from(length).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) if done == 0 => {
                return Ok(false);
            }
            Err(errno) => return Err(write_failure("copy_file_range", path, errno)),
        }
    }
}
