//! What layers need: the bulk descriptor and lists of extended attributes.

use crate::error::{Failure, Fallible};
use rustix::fd::{AsFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// An attribute's name and value.
pub(crate) type Xattr = (Vec<u8>, Vec<u8>);

/// Takes fd 3, the bulk data of a request, over. Called once in a process.
pub(crate) fn bulk() -> Fallible<OwnedFd> {
    // SAFETY: fcntl(2) with F_GETFD takes no pointer and is defined for every number; a closed one gives EBADF.
    let flags = unsafe { libc::fcntl(3, libc::F_GETFD) };
    if flags < 0 {
        return Err(Failure::syscall("fcntl(3, F_GETFD)", super::last_errno()));
    }
    // SAFETY: fd 3 is open (F_GETFD succeeded). The parent passed it for this request and nothing else in this process
    // refers to it: no other code names fd 3, and what we open ourselves gets a higher number while it is open.
    let fd = unsafe { OwnedFd::from_raw_fd(3) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)
        .map_err(|errno| Failure::syscall("fcntl(3, F_SETFD, FD_CLOEXEC)", errno))?;
    Ok(fd)
}

/// The attributes of an open file whose name `keep` accepts, sorted by name. A file system without attributes has none.
pub(crate) fn xattrs(fd: impl AsFd, keep: impl Fn(&[u8]) -> bool) -> Result<Vec<Xattr>, Errno> {
    let mut buffer = [0_u8; 1024];
    let list = match rustix::fs::flistxattr(&fd, &mut buffer[..]) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Ok(length) => buffer.get(..length).unwrap_or_default().to_vec(),
        // XATTR_LIST_MAX is 64 KiB.
        Err(Errno::RANGE) => {
            let mut buffer = vec![0; 64 << 10];
            let length = rustix::fs::flistxattr(&fd, &mut buffer[..])?;
            buffer.truncate(length);
            buffer
        }
        Err(errno) => return Err(errno),
    };
    let mut out = Vec::new();
    for name in list.split(|&byte| byte == 0).filter(|name| !name.is_empty() && keep(name)) {
        // XATTR_SIZE_MAX is 64 KiB.
        let mut value = vec![0; 64 << 10];
        match rustix::fs::fgetxattr(&fd, OsStr::from_bytes(name), &mut value[..]) {
            Ok(length) => value.truncate(length),
            // Gone since; or capabilities of another user namespace, which the kernel does not tell in this one.
            Err(Errno::NODATA | Errno::OVERFLOW) => continue,
            Err(errno) => return Err(errno),
        }
        out.push((name.to_vec(), value));
    }
    out.sort();
    Ok(out)
}
