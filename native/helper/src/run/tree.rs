//! Small steps of the mount API that the other modules share.

use crate::error::{Failure, Fallible};
use crate::userns;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use std::path::Path;

/// What files and directories of no code or device need.
pub(crate) const PLAIN: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV).union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// [`PLAIN`] and read-only.
pub(crate) const PLAIN_READ_ONLY: MountAttrFlags = PLAIN.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

/// Attaches a detached mount to an open mount point. `what` names both in a message.
pub(crate) fn attach(tree: BorrowedFd<'_>, point: BorrowedFd<'_>, what: &str) -> Fallible<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, c"", point, c"", flags)
        .map_err(|errno| denied(format!("move_mount({what})"), errno))
}

/// Makes a detached copy of what an open descriptor shows, with everything mounted below it.
pub(crate) fn copy_of(fd: BorrowedFd<'_>, what: &str) -> Fallible<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(fd, c"", flags)
        .map_err(|errno| denied(format!("open_tree({what}, OPEN_TREE_CLONE|AT_RECURSIVE)"), errno))
}

/// Makes a detached copy of a path of the host; a last symlink is not followed.
pub(crate) fn copy_of_path(path: &str) -> Fallible<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(rustix::fs::CWD, Path::new(path), flags)
        .map_err(|errno| Failure::syscall(format!("open_tree({path:?}, OPEN_TREE_CLONE|AT_RECURSIVE)"), errno))
}

/// Adds attributes to a detached mount and the mounts below it.
pub(crate) fn restrict(tree: BorrowedFd<'_>, attributes: MountAttrFlags) -> Fallible<()> {
    crate::sys::tree::mount_set_attributes(tree.as_fd(), u64::from(attributes.bits()), true)
        .map_err(|errno| Failure::syscall(format!("mount_setattr({attributes:?}, AT_RECURSIVE)"), errno))
}

/// The failure of a call that this machine's policy may forbid.
pub(crate) fn denied(call: String, errno: Errno) -> Failure {
    match errno {
        Errno::PERM | Errno::ACCESS => userns::denied(&call, errno),
        _ => Failure::syscall(call, errno),
    }
}
