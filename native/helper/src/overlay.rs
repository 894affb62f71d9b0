//! Snapshots as detached mounts, by the new mount API only.
//!
//! No path of the host is ever resolved twice and no option string is built, so store paths may hold any byte and the
//! number of layers is bounded by the kernel alone (500). The caller must be in a private mount namespace.

use crate::error::{Failure, Fallible};
use crate::protocol::Root;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, OpenTreeFlags};
use std::path::Path;

/// Which xattr namespace overlayfs keeps its marks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// `trusted.overlay.*`, as real root.
    Trusted,
    /// `user.overlay.*`, in a user namespace.
    User,
}

/// The kernel's own limit for a string, its NUL not counted.
const MAX_STRING_BYTES: usize = 255;

/// Leaves the caller's mount namespace, so that no mount made from here on is seen outside or outlives this process.
pub(crate) fn enter_mount_namespace() -> Fallible<()> {
    crate::sys::process::unshare(rustix::thread::UnshareFlags::NEWNS)
        .map_err(|errno| Failure::syscall("unshare(CLONE_NEWNS)", errno))?;
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).map_err(|errno| Failure::syscall("mount(\"/\", MS_PRIVATE|MS_REC)", errno))
}

/// Makes a detached mount of a snapshot and returns its root directory. No device in it can be opened: an image or a
/// step may hold any, and for some of the host's devices to open them is an act.
///
/// # Errors
/// `ERR_OVERLAY_MOUNT` with the kernel's own text where it gave one.
pub(crate) fn mount(root: &Root, marks: Marks) -> Fallible<OwnedFd> {
    match (root.lower.as_slice(), root.upper.as_deref()) {
        ([], Some(upper)) => clone_tree(upper).and_then(no_devices),
        ([], None) => empty(),
        ([only], None) => clone_tree(only).and_then(read_only).and_then(no_devices),
        (lower, upper) => overlay(lower, upper, root.work.as_deref(), marks),
    }
}

/// Makes a detached tmpfs.
pub(crate) fn tmpfs(options: &[(&str, &str)], attributes: MountAttrFlags) -> Fallible<OwnedFd> {
    let fs = open_fs("tmpfs")?;
    for (key, value) in options {
        set(fs.as_fd(), key, value)?;
    }
    create(fs.as_fd(), "tmpfs", attributes)
}

/// Makes a detached bind mount of a trusted host path.
pub(crate) fn clone_tree(path: &str) -> Fallible<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(rustix::fs::CWD, Path::new(path), flags)
        .map_err(|errno| Failure::syscall(format!("open_tree({path:?}, OPEN_TREE_CLONE)"), errno))
}

/// Opens a file system context.
pub(crate) fn open_fs(kind: &str) -> Fallible<OwnedFd> {
    rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(|errno| Failure::syscall(format!("fsopen({kind:?})"), errno))
}

/// Sets one option of a file system context.
pub(crate) fn set(fs: BorrowedFd<'_>, key: &str, value: &str) -> Fallible<()> {
    rustix::mount::fsconfig_set_string(fs, key, value)
        .map_err(|errno| explain(fs, format!("fsconfig({key:?}, {value:?})"), errno))
}

/// Creates the file system and its detached mount.
pub(crate) fn create(fs: BorrowedFd<'_>, kind: &str, attributes: MountAttrFlags) -> Fallible<OwnedFd> {
    rustix::mount::fsconfig_create(fs)
        .map_err(|errno| explain(fs, format!("fsconfig({kind}, FSCONFIG_CMD_CREATE)"), errno))?;
    rustix::mount::fsmount(fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(|errno| explain(fs, format!("fsmount({kind})"), errno))
}

fn empty() -> Fallible<OwnedFd> {
    tmpfs(&[("mode", "0755")], MountAttrFlags::MOUNT_ATTR_RDONLY)
}

fn read_only(tree: OwnedFd) -> Fallible<OwnedFd> {
    crate::sys::mount_set_read_only(tree.as_fd())
        .map_err(|errno| Failure::syscall("mount_setattr(MOUNT_ATTR_RDONLY)", errno))?;
    Ok(tree)
}

fn no_devices(tree: OwnedFd) -> Fallible<OwnedFd> {
    crate::sys::tree::mount_set_attributes(tree.as_fd(), u64::from(MountAttrFlags::MOUNT_ATTR_NODEV.bits()), false)
        .map_err(|errno| Failure::syscall("mount_setattr(MOUNT_ATTR_NODEV)", errno))?;
    Ok(tree)
}

fn overlay(lower: &[String], upper: Option<&str>, work: Option<&str>, marks: Marks) -> Fallible<OwnedFd> {
    let fs = open_fs("overlay")?;
    for path in lower {
        set_directory(fs.as_fd(), "lowerdir+", path, path)?;
    }
    if let Some(upper) = upper {
        let work = work.ok_or_else(|| Failure::internal("a root with an upper directory needs a work directory"))?;
        // Of these two overlayfs takes backslashes away, as from the option string of mount(2); not of `lowerdir+`.
        set_directory(fs.as_fd(), "upperdir", upper, &upper.replace('\\', "\\\\"))?;
        set_directory(fs.as_fd(), "workdir", work, &work.replace('\\', "\\\\"))?;
        // The commit does one syncfs of its own, so overlayfs need not sync on its way out.
        set_flag(fs.as_fd(), "volatile")?;
    }
    set(fs.as_fd(), "redirect_dir", "nofollow")?;
    set(fs.as_fd(), "metacopy", "off")?;
    // `run` puts a tmpfs layer on top: without this, files of different layers would show different device numbers.
    set(fs.as_fd(), "xino", "on")?;
    if marks == Marks::User {
        set_flag(fs.as_fd(), "userxattr")?;
    }
    let access = if upper.is_some() { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
    let tree = create(fs.as_fd(), "overlay", access | MountAttrFlags::MOUNT_ATTR_NODEV)?;
    match work {
        Some(work) if upper.is_some() => refuse_read_only(&tree, work)?,
        _ => {}
    }
    Ok(tree)
}

/// overlayfs that cannot make a directory for its work, as on a full disk, is mounted all the same: read-only, with a line in
/// the kernel's log. The step would blame itself.
fn refuse_read_only(tree: &OwnedFd, work: &str) -> Fallible<()> {
    let stat = rustix::fs::fstatvfs(tree).map_err(|errno| Failure::syscall("fstatvfs(overlay)", errno))?;
    if !stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let probe = format!("{work}/probe");
    let errno = match rustix::fs::mkdir(&probe, Mode::RWXU) {
        Err(errno) => errno,
        Ok(()) => Errno::ROFS,
    };
    Err(Failure::syscall(format!("mkdir({:?}) by overlayfs", format!("{work}/work")), errno))
}

/// Sets an option that names a directory: by a descriptor where the path is longer than a string of `fsconfig(2)` may
/// be. overlayfs takes descriptors since Linux 6.13, so shorter paths are given as text.
///
/// `text` is the path as this option wants it written.
fn set_directory(fs: BorrowedFd<'_>, key: &str, path: &str, text: &str) -> Fallible<()> {
    if text.len() <= MAX_STRING_BYTES {
        return set(fs, key, text);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| Failure::syscall(format!("open({path:?}, O_PATH|O_DIRECTORY)"), errno))?;
    rustix::mount::fsconfig_set_fd(fs, key, &dir).map_err(|errno| {
        let mut failure = explain(fs, format!("fsconfig({key:?}, FSCONFIG_SET_FD, {path:?})"), errno);
        if errno == Errno::INVAL {
            failure
                .message
                .push_str(": paths of layers longer than 255 bytes need Linux 6.13; use a shorter store path");
        }
        failure
    })
}

fn set_flag(fs: BorrowedFd<'_>, key: &str) -> Fallible<()> {
    rustix::mount::fsconfig_set_flag(fs, key).map_err(|errno| explain(fs, format!("fsconfig({key:?})"), errno))
}

/// Adds the text that the kernel left on the context, which says more than the errno.
fn explain(fs: BorrowedFd<'_>, call: String, errno: Errno) -> Failure {
    let mut failure = Failure::syscall(call, errno);
    let mut buffer = [0_u8; 512];
    while let Ok(length) = rustix::io::read(fs, &mut buffer) {
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).trim_end().to_owned();
        failure.message = format!("{}: {text}", failure.message);
    }
    if failure.code == "ERR_HELPER_SYSCALL" {
        failure.code = "ERR_OVERLAY_MOUNT";
    }
    failure
}
