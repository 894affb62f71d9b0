//! The root of a step: the snapshot, the stub layer above the image, and the way into it.
//!
//! Everything happens in a private mount namespace. A tmpfs over its `/proc` (the *scaffold*) holds what needs a path:
//! the stub layer, which overlayfs takes by path, and the mount point of the root. The step's `/dev` and the files that
//! replace some of the image's are parts of the same tmpfs, each mounted with its own attributes.

use super::stubs::Stubs;
use super::tree;
use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::protocol::Root;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountAttrFlags, UnmountFlags};
use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Where the scaffold hides the host: no store lies below it, and procfs is opened before.
const SCAFFOLD: &str = "/proc";
const STUB_LAYER: &str = "/proc/stubs";

/// The private tmpfs.
#[derive(Debug)]
pub(crate) struct Scaffold {
    dir: OwnedFd,
    /// How many mounts without a name it holds.
    held: Cell<u32>,
}

impl Scaffold {
    /// Mounts it, with empty directories for the stub layer, the root, `/dev`, device nodes, and to hide others with.
    pub(crate) fn raise() -> Fallible<Self> {
        // One file system for everything: each one more costs some 100 µs to take down.
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let dir = overlay::tmpfs(&[("mode", "0755"), ("size", "64m")], attributes)?;
        for name in [c"stubs", c"root", c"dev", c"nodes", c"empty"] {
            rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o755))
                .map_err(|errno| Failure::syscall(format!("mkdirat(scaffold, {name:?})"), errno))?;
        }
        attach_at(dir.as_fd(), SCAFFOLD)?;
        Ok(Self { dir, held: Cell::new(0) })
    }

    /// The directory that becomes the stub layer.
    pub(crate) fn stub_layer(&self) -> Fallible<OwnedFd> {
        self.open(c"stubs")
    }

    /// Opens one of its directories.
    pub(crate) fn open(&self, name: &std::ffi::CStr) -> Fallible<OwnedFd> {
        rustix::fs::openat(&self.dir, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Failure::syscall(format!("openat(scaffold, {name:?})"), errno))
    }

    /// Attaches a detached mount at a new directory of the scaffold.
    pub(crate) fn hold(&self, name: &str, tree: BorrowedFd<'_>) -> Fallible<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let point = rustix::fs::mkdirat(&self.dir, name, Mode::RWXU)
            .and_then(|()| rustix::fs::openat(&self.dir, name, flags, Mode::empty()))
            .map_err(|errno| Failure::syscall(format!("mkdirat(scaffold, {name:?})"), errno))?;
        tree::attach(tree, point.as_fd(), name)
    }

    /// Attaches a detached mount at a new directory and returns its path.
    pub(crate) fn hold_next(&self, tree: BorrowedFd<'_>) -> Fallible<String> {
        self.held.set(self.held.get() + 1);
        let name = format!("held{}", self.held.get());
        self.hold(&name, tree)?;
        Ok(format!("{SCAFFOLD}/{name}"))
    }

    /// A detached, read-only mount of a new file with this text.
    pub(crate) fn file(&self, name: &str, text: &[u8]) -> Fallible<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.dir, name, flags, Mode::from_raw_mode(0o644))
            .map_err(|errno| Failure::syscall(format!("openat(scaffold, {name:?}, O_CREAT)"), errno))?;
        let mut file = File::from(fd);
        file.write_all(text).map_err(|error| Failure::io(format!("write({name:?})"), &error))?;
        let copy = tree::copy_of(file.as_fd(), name)?;
        tree::restrict(copy.as_fd(), tree::PLAIN_READ_ONLY)?;
        Ok(copy)
    }
}

/// The image as it is before the step, to look at only: a plain directory where there is one layer, else an overlay.
pub(crate) fn view(root: &Root, marks: Marks) -> Fallible<Beneath> {
    let mut layers = root.lower.clone();
    if let Some(upper) = &root.upper
        && (layers.is_empty() || !is_empty(upper)?)
    {
        layers.insert(0, upper.clone());
    }
    match layers.as_slice() {
        [only] => Beneath::open_root(only.as_ref()),
        _ => overlay::mount(&Root { lower: layers, upper: None, work: None }, marks).map(Beneath::new),
    }
}

fn is_empty(dir: &str) -> Fallible<bool> {
    let mut entries = std::fs::read_dir(dir).map_err(|error| Failure::io(format!("open({dir:?})"), &error))?;
    Ok(entries.next().is_none())
}

/// Mounts the snapshot with the stubs on top of its lower layers, attached at the scaffold's `root`.
pub(crate) fn mount(mut root: Root, marks: Marks, scaffold: &Scaffold, stubs: Stubs<'_>) -> Fallible<Beneath> {
    // overlayfs wants one lower layer beside an upper one, and two without.
    if !stubs.is_empty() || root.lower.is_empty() || root.upper.is_none() {
        root.lower.insert(0, STUB_LAYER.to_owned());
    }
    stubs.finish()?;
    if root.lower.is_empty() || (root.lower.len() == 1 && root.upper.is_none()) {
        return Err(Failure::internal("a run needs a layer"));
    }
    let snapshot = overlay::mount(&root, marks).map_err(|failure| explain(failure, &root))?;
    tree::attach(snapshot.as_fd(), scaffold.open(c"root")?.as_fd(), "snapshot, \"/proc/root\"")?;
    Ok(Beneath::new(snapshot))
}

/// Says it when overlayfs refuses a work directory that an earlier `volatile` mount used: the kernel only says EINVAL.
fn explain(mut failure: Failure, root: &Root) -> Failure {
    let used = root.work.as_ref().is_some_and(|work| Path::new(work).join("work/incompat/volatile").exists());
    if used {
        failure.message.push_str(": the work directory served another mount before; each mount needs a new one");
    }
    failure
}

/// Makes every mount of the current namespace private.
pub(crate) fn make_private() -> Fallible<()> {
    let root = open_dir("/")?;
    crate::sys::tree::mount_set_private(root.as_fd())
        .map_err(|errno| tree::denied("mount_setattr(\"/\", MS_PRIVATE, AT_RECURSIVE)".into(), errno))
}

/// Attaches a detached mount over a directory of the host, seen by the current namespace only.
pub(crate) fn attach_at(detached: BorrowedFd<'_>, path: &str) -> Fallible<()> {
    tree::attach(detached, open_dir(path)?.as_fd(), path)
}

fn open_dir(path: &str) -> Fallible<OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Failure::syscall(format!("open({path:?}, O_PATH|O_DIRECTORY)"), errno))
}

/// Opens a mount point that must be a real directory of the root: a symlink would lead the mount elsewhere.
pub(crate) fn open_real_dir(root: &Beneath, path: &str) -> Fallible<OwnedFd> {
    root.open(path.as_bytes(), OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse)
        .map_err(|errno| {
            Failure::user("ERR_ROOTFS_INVALID", format!("\"/{path}\" of the image is not a directory: {errno}"))
        })
}

/// Lets the step write nothing to its root; what is mounted below keeps its own rule.
pub(crate) fn make_read_only(root: &Beneath) -> Fallible<()> {
    crate::sys::mount_set_read_only(root.root())
        .map_err(|errno| Failure::syscall("mount_setattr(root, MOUNT_ATTR_RDONLY)", errno))
}

/// Makes `root` the root directory of this process and leaves the host's tree behind.
pub(crate) fn enter(root: &Beneath) -> Fallible<()> {
    rustix::process::fchdir(root.root()).map_err(|errno| Failure::syscall("fchdir(root)", errno))?;
    // With both arguments the same, the old root ends up on top of the new one and can be taken off without a name.
    rustix::process::pivot_root(c".", c".").map_err(|errno| tree::denied("pivot_root(\".\", \".\")".into(), errno))?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)
        .map_err(|errno| Failure::syscall("umount2(\".\", MNT_DETACH)", errno))?;
    rustix::process::chdir(c"/").map_err(|errno| Failure::syscall("chdir(\"/\")", errno))
}
