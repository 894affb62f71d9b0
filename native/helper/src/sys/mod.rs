//! The one place with `unsafe`: one wrapper for each system call that rustix does not offer.
#![allow(unsafe_code)]

pub(crate) mod files;
pub(crate) mod layers;
pub(crate) mod process;
pub(crate) mod tree;

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

/// `mount_setattr(2)`: makes a (detached) mount read-only.
pub(crate) fn mount_set_read_only(tree: BorrowedFd<'_>) -> Result<(), Errno> {
    // The kernel's struct mount_attr, version 0 (32 bytes).
    #[repr(C)]
    struct MountAttr {
        attr_set: u64,
        attr_clr: u64,
        propagation: u64,
        userns_fd: u64,
    }
    let attr = MountAttr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: mount_setattr(2) reads an empty, NUL-terminated path and `size_of::<MountAttr>()` bytes at `attr`; both
    // outlive the call. `tree` is an open descriptor and AT_EMPTY_PATH makes the call act on it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}
