//! Descriptors and calls that only the file operations need.

use super::last_errno;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;

/// Takes over a descriptor that the parent passed. It must be asked for once only.
///
/// # Errors
/// `EBADF` if it is not open.
pub(crate) fn inherited(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: fcntl(2) with F_SETFD takes any integer as descriptor and touches no memory; a closed one gives EBADF.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(last_errno());
    }
    // SAFETY: the descriptor is open, as fcntl(2) just said. The protocol gives this number to one operation, each
    // operation takes it once, and one process serves one operation, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Has the kernel begin to write a file to its disk; waits for none of it but where the disk takes no more. A later fsync(2) has less to
/// wait for, and tells of what failed: nothing is told here, nor of a descriptor that is no file.
///
/// See sync_file_range(2).
pub(crate) fn begin_write_back(fd: BorrowedFd<'_>) {
    // SAFETY: sync_file_range(2) takes integers only and touches no memory of ours; offset and length of 0 mean the whole file. The
    // descriptor is open as long as it is borrowed.
    unsafe { libc::sync_file_range(fd.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}
