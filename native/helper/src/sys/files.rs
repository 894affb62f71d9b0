//! Descriptors and calls that only the file operations need.

use super::last_errno;
use rustix::fd::{FromRawFd, OwnedFd, RawFd};
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
