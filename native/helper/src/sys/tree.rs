//! Wrappers of the mount and memory-file calls that `run` needs and rustix does not offer.

use super::last_errno;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

/// `mount_setattr(2)`: adds attributes (`MOUNT_ATTR_*`) to a mount, with `recursive` to the mounts below it too.
pub(crate) fn mount_set_attributes(tree: BorrowedFd<'_>, attributes: u64, recursive: bool) -> Result<(), Errno> {
    let attr = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    set_attr(tree, &attr, if recursive { libc::AT_RECURSIVE } else { 0 })
}

/// `mount_setattr(2)`: makes a mount and everything below it private, so that no mount event enters or leaves.
pub(crate) fn mount_set_private(tree: BorrowedFd<'_>) -> Result<(), Errno> {
    let attr = libc::mount_attr { attr_set: 0, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    set_attr(tree, &attr, libc::AT_RECURSIVE)
}

/// `mount_setattr(2)`: maps the ids of a detached mount, and of the mounts below it, by those of a user namespace.
pub(crate) fn mount_map_ids(tree: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    let userns_fd = u64::from(namespace.as_raw_fd().unsigned_abs());
    let attr = libc::mount_attr { attr_set: libc::MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd };
    set_attr(tree, &attr, libc::AT_RECURSIVE)
}

fn set_attr(tree: BorrowedFd<'_>, attr: &libc::mount_attr, flags: libc::c_int) -> Result<(), Errno> {
    // SAFETY: mount_setattr(2) reads an empty, NUL-terminated path and `size_of::<mount_attr>()` bytes behind `attr`;
    // both outlive the call and it keeps neither. `tree` is an open descriptor, which AT_EMPTY_PATH makes the target.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | flags,
            std::ptr::from_ref(attr),
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// `mount_setattr(2)`: takes attributes (`MOUNT_ATTR_*`) from a mount, not from those below it.
pub(crate) fn mount_clear_attributes(tree: BorrowedFd<'_>, attributes: u64) -> Result<(), Errno> {
    set_attr(tree, &libc::mount_attr { attr_set: 0, attr_clr: attributes, propagation: 0, userns_fd: 0 }, 0)
}

/// `fchmodat2(2)` with AT_EMPTY_PATH: changes the mode of what a descriptor shows, one of `O_PATH` too. Since Linux 6.6.
pub(crate) fn change_mode(file: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    const SYS_FCHMODAT2: libc::c_long = 452;
    // SAFETY: fchmodat2(2) reads an empty, NUL-terminated path that outlives the call; `file` is an open descriptor,
    // which AT_EMPTY_PATH makes the target.
    let result = unsafe { libc::syscall(SYS_FCHMODAT2, file.as_raw_fd(), c"".as_ptr(), mode, libc::AT_EMPTY_PATH) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// `ioctl(2)` SIOCSIFFLAGS: brings the loopback interface of the current network namespace up.
pub(crate) fn loopback_up(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    #[repr(C)]
    struct IfReq {
        name: [u8; libc::IFNAMSIZ],
        flags: libc::c_short,
        // The kernel's struct ifreq is 40 bytes on 64-bit machines; the rest of its union is unused here.
        rest: [u8; 22],
    }
    let mut request = IfReq { name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", flags: 0, rest: [0; 22] };
    request.flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one struct ifreq, which `request` has the size and layout of, with a NUL-terminated
    // interface name; the kernel keeps no pointer to it. `socket` is an open socket.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}
