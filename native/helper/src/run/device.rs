//! The step's `/dev`: our own tmpfs, never the image's.
//!
//! Nothing that the step can write to lets device nodes be opened, for root of a step may make them. So `/dev` itself is
//! `nodev` too, and its nodes are mounts of their own from a directory that the step cannot reach.

use super::rootfs::Scaffold;
use super::tree;
use crate::beneath::Beneath;
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::mount::MountAttrFlags;
use std::fs::File;
use std::io::Write;

/// Name, major and minor number of each node; all are 0666 and owned by root.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links as every Linux program expects them.
const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
    ("pts/ptmx", "ptmx"),
];

/// Everything of `/dev`, made but not attached.
#[derive(Debug)]
pub(crate) struct Devices {
    /// In the scaffold; replaced by its `nodev` copy when that is attached.
    dir: OwnedFd,
    nodes: Vec<(&'static str, OwnedFd)>,
    marks: Marks,
}

impl Devices {
    /// Makes the directory and the nodes. Called before the host's `/dev` is out of reach.
    pub(crate) fn new(scaffold: &Scaffold, marks: Marks) -> Fallible<Self> {
        let dir = scaffold.open(c"dev")?;
        let made = scaffold.open(c"nodes")?;
        let mut nodes = Vec::new();
        for (name, major, minor) in NODES {
            make_file(&dir, name, &[], 0o666)?;
            let node = match marks {
                Marks::Trusted => made_node(&made, name, major, minor)?,
                Marks::User => host_node(name, major, minor)?,
            };
            nodes.push((name, node));
        }
        for (target, name) in LINKS {
            rustix::fs::symlinkat(target, &dir, name)
                .map_err(|errno| Failure::syscall(format!("symlinkat({target:?}, dev, {name:?})"), errno))?;
        }
        for name in ["pts", "shm", "mqueue"] {
            make_dir(&dir, name)?;
        }
        Ok(Self { dir, nodes, marks })
    }

    /// Puts the certificates of [`super::ca::STEP_BUNDLE`] in.
    pub(crate) fn add_bundle(&self, bytes: &[u8]) -> Fallible<()> {
        make_dir(&self.dir, ".tsbuild")?;
        make_file(&self.dir, ".tsbuild/ca.pem", bytes, 0o444)
    }

    /// Attaches `/dev` and what is mounted in it, and returns the null device for masks.
    pub(crate) fn attach(mut self, root: &Beneath) -> Fallible<OwnedFd> {
        let point = super::rootfs::open_real_dir(root, "dev")?;
        self.dir = tree::copy_of(self.dir.as_fd(), "dev")?;
        tree::restrict(self.dir.as_fd(), MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)?;
        tree::attach(self.dir.as_fd(), point.as_fd(), "tmpfs, \"/dev\"")?;
        for (name, node) in &self.nodes {
            tree::attach(node.as_fd(), self.open(name)?.as_fd(), name)?;
        }
        let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        tree::attach(self.terminals(quiet)?.as_fd(), self.open("pts")?.as_fd(), "devpts, \"/dev/pts\"")?;
        let shm = overlay::tmpfs(&[("mode", "1777"), ("size", "64m")], tree::PLAIN)?;
        tree::attach(shm.as_fd(), self.open("shm")?.as_fd(), "tmpfs, \"/dev/shm\"")?;
        let queues = overlay::open_fs("mqueue").and_then(|fs| overlay::create(fs.as_fd(), "mqueue", tree::PLAIN))?;
        tree::attach(queues.as_fd(), self.open("mqueue")?.as_fd(), "mqueue, \"/dev/mqueue\"")?;
        self.open("null")
    }

    fn terminals(&self, attributes: MountAttrFlags) -> Fallible<OwnedFd> {
        let fs = overlay::open_fs("devpts")?;
        overlay::set(fs.as_fd(), "ptmxmode", "0666")?;
        overlay::set(fs.as_fd(), "mode", "0620")?;
        // Group tty. A user namespace may not have it mapped; the group of the opener is used then.
        if self.marks == Marks::Trusted {
            overlay::set(fs.as_fd(), "gid", "5")?;
        }
        overlay::create(fs.as_fd(), "devpts", attributes)
    }

    fn open(&self, name: &str) -> Fallible<OwnedFd> {
        rustix::fs::openat(&self.dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Failure::syscall(format!("openat(dev, {name:?})"), errno))
    }
}

/// Makes a node in the scaffold, which lets devices be opened, and returns a detached copy of it.
fn made_node(dir: &OwnedFd, name: &str, major: u32, minor: u32) -> Fallible<OwnedFd> {
    let call = || format!("mknodat(nodes, {name:?}, S_IFCHR, {major}:{minor})");
    let device = rustix::fs::makedev(major, minor);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::from_raw_mode(0o666), device)
        .and_then(|()| rustix::fs::chmodat(dir, name, Mode::from_raw_mode(0o666), AtFlags::empty()))
        .and_then(|()| rustix::fs::openat(dir, name, flags, Mode::empty()))
        .map_err(|errno| tree::denied(call(), errno))
        .and_then(|fd| tree::copy_of(fd.as_fd(), name))
}

/// A copy of a node of the host, once it is known to be the device it is named for.
fn host_node(name: &str, major: u32, minor: u32) -> Fallible<OwnedFd> {
    let path = format!("/dev/{name}");
    let fail = |errno| Failure::syscall(format!("open({path:?}, O_PATH)"), errno);
    let fd = rustix::fs::openat(CWD, &path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(fail)?;
    let stat = rustix::fs::fstat(&fd).map_err(fail)?;
    let character = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if !character || stat.st_rdev != rustix::fs::makedev(major, minor) {
        return Err(Failure::environment(
            "ERR_NAMESPACE_DENIED",
            format!("{path:?} of this machine is not the device {major}:{minor}"),
        ));
    }
    tree::copy_of(fd.as_fd(), &path)
}

fn make_dir(dir: &OwnedFd, name: &str) -> Fallible<()> {
    rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755))
        .map_err(|errno| Failure::syscall(format!("mkdirat(dev, {name:?})"), errno))
}

fn make_file(dir: &OwnedFd, name: &str, bytes: &[u8], mode: u32) -> Fallible<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(mode))
        .map_err(|errno| Failure::syscall(format!("openat(dev, {name:?}, O_CREAT)"), errno))?;
    File::from(fd).write_all(bytes).map_err(|error| Failure::io(format!("write(dev, {name:?})"), &error))
}
