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

/// `sync_file_range(2)` with `SYNC_FILE_RANGE_WRITE`: the disk begins to write these bytes while others are made; whoever syncs the
/// file later waits for less. `length` 0 means to the end of the file. No promise of anything, so it cannot fail either: what is no
/// file, or lies on a file system that does not know this, is left to that sync.
pub(crate) fn start_write_back(fd: BorrowedFd<'_>, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (libc::off64_t::try_from(offset), libc::off64_t::try_from(length)) else { return };
    // SAFETY: sync_file_range(2) takes numbers alone. `fd` is open as long as it is borrowed; a range beyond the end of the file
    // is allowed, and one that is none gives EINVAL.
    unsafe { libc::sync_file_range(fd.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}
