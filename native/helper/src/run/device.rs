//! The step's `/dev`: our own tmpfs, never the image's.
//!
//! Nothing that the step can write to lets device nodes be opened, for root of a step may make them. So `/dev` itself is
//! `nodev` too, and its nodes are mounts of their own from a directory that the step cannot reach.

use super::mapping::Mapping;
use super::rootfs::Scaffold;
use super::tree;
use crate::beneath::Beneath;
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::protocol::{Run, Security};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::mount::MountAttrFlags;
use rustix::process::{Gid, Uid};
use std::fs::File;
use std::io::Write;

/// Name, major and minor number of each node; all are 0666 and owned by root.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// The size of `/dev/shm` where none is asked for.
const SHM_BYTES: u64 = 64 << 20;

/// The group of terminals, in every distribution.
const TTY: u32 = 5;

/// Links as every Linux program expects them.
const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
    ("pts/ptmx", "ptmx"),
];

/// What an insecure step gets besides, of what the machine has.
const MORE: [(&str, u32, u32); 6] = [
    ("kmsg", 1, 11),
    ("cuse", 10, 203),
    ("fuse", 10, 229),
    ("kvm", 10, 232),
    ("net/tun", 10, 200),
    (LOOP_CONTROL, 10, 237),
];
const LOOP_CONTROL: &str = "loop-control";
const LOOP_MAJOR: u32 = 7;
/// Loop devices beyond those that the machine has: the kernel makes one when its node is opened.
const FREE_LOOPS: u32 = 8;

/// Whether a name of `/dev` is taken. A mount of the request may cover `shm`.
pub(crate) fn is_own(name: &[u8]) -> bool {
    let nodes = NODES.iter().map(|(name, ..)| name);
    let links = LINKS.iter().map(|(_, name)| name);
    nodes.chain(links).chain(&["pts", "mqueue", "console", ".tsbuild"]).any(|own| own.as_bytes() == name)
}

/// Whether device nodes that the step makes, or the image has, can be opened: only without any wall, and never in a
/// user namespace.
fn opens_devices(security: Security, marks: Marks, mapping: &Mapping<'_>) -> bool {
    match security {
        Security::Sandbox | Security::Minimal => false,
        Security::Insecure => marks == Marks::Trusted && !mapping.is_there(),
    }
}

/// Lets devices of a mount be opened where nothing else holds the step back either.
pub(crate) fn allow(tree: BorrowedFd<'_>, security: Security, marks: Marks, mapping: &Mapping<'_>) -> Fallible<()> {
    if !opens_devices(security, marks, mapping) {
        return Ok(());
    }
    crate::sys::tree::mount_clear_attributes(tree, u64::from(MountAttrFlags::MOUNT_ATTR_NODEV.bits()))
        .map_err(|errno| Failure::syscall("mount_setattr(root, clear MOUNT_ATTR_NODEV)", errno))
}

/// Everything of `/dev`, made but not attached.
#[derive(Debug)]
pub(crate) struct Devices {
    /// In the scaffold; replaced by its `nodev` copy when that is attached.
    dir: OwnedFd,
    nodes: Vec<(String, OwnedFd)>,
    marks: Marks,
    /// Whether the step may open nodes that it makes there.
    opens: bool,
}

impl Devices {
    /// Makes the directory and the nodes. Called before the host's `/dev` is out of reach.
    pub(crate) fn new(scaffold: &Scaffold, marks: Marks, security: Security, mapping: &Mapping<'_>) -> Fallible<Self> {
        let opens = opens_devices(security, marks, mapping);
        let mut devices = Self { dir: scaffold.open(c"dev")?, nodes: Vec::new(), marks, opens };
        let made = scaffold.open(c"nodes")?;
        for (name, major, minor) in NODES {
            let node = match marks {
                Marks::Trusted => made_node(&made, name, FileType::CharacterDevice, (major, minor))?,
                Marks::User => host_node(name, FileType::CharacterDevice, (major, minor))?,
            };
            devices.add(name, node)?;
        }
        for (target, name) in LINKS {
            rustix::fs::symlinkat(target, &devices.dir, name)
                .map_err(|errno| Failure::syscall(format!("symlinkat({target:?}, dev, {name:?})"), errno))?;
        }
        for name in ["pts", "shm", "mqueue"] {
            make_dir(&devices.dir, name)?;
        }
        match security {
            Security::Sandbox | Security::Minimal => {}
            Security::Insecure => devices.add_more(&made)?,
        }
        Ok(devices)
    }

    fn add(&mut self, name: &str, node: OwnedFd) -> Fallible<()> {
        make_file(&self.dir, name, &[], 0o666)?;
        self.nodes.push((name.to_owned(), node));
        Ok(())
    }

    /// The machine's further devices, with the owners and modes that they have there.
    fn add_more(&mut self, made: &OwnedFd) -> Fallible<()> {
        make_dir(&self.dir, "net")?;
        let mut loops = false;
        for (name, major, minor) in MORE {
            let Ok(node) = host_node(name, FileType::CharacterDevice, (major, minor)) else { continue };
            self.add(name, node)?;
            loops |= name == LOOP_CONTROL;
        }
        let mut free = if loops && self.opens { FREE_LOOPS } else { 0 };
        for minor in 0..256 {
            let name = format!("loop{minor}");
            if let Ok(node) = host_node(&name, FileType::BlockDevice, (LOOP_MAJOR, minor)) {
                self.add(&name, node)?;
            } else if free > 0 {
                free -= 1;
                self.add(&name, made_node(made, &name, FileType::BlockDevice, (LOOP_MAJOR, minor))?)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Puts [`super::ca::STEP_BUNDLE`] in, and [`super::java::STEP_STORE`] if there is one.
    pub(crate) fn add_certificates(&self, bundle: &[u8], store: Option<&[u8]>) -> Fallible<()> {
        make_dir(&self.dir, ".tsbuild")?;
        make_file(&self.dir, ".tsbuild/ca.pem", bundle, 0o444)?;
        store.map_or(Ok(()), |store| make_file(&self.dir, ".tsbuild/cacerts", store, 0o444))
    }

    /// Attaches `/dev` and what is mounted in it, and returns the null device for masks.
    pub(crate) fn attach(mut self, root: &Beneath, run: &Run, mapping: &Mapping<'_>) -> Fallible<OwnedFd> {
        let point = super::rootfs::open_real_dir(root, "dev")?;
        self.dir = tree::copy_of(self.dir.as_fd(), "dev")?;
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID;
        attributes.set(MountAttrFlags::MOUNT_ATTR_NODEV, !self.opens);
        tree::restrict(self.dir.as_fd(), attributes)?;
        tree::attach(self.dir.as_fd(), point.as_fd(), "tmpfs, \"/dev\"")?;
        for (name, node) in &self.nodes {
            tree::attach(node.as_fd(), self.open(name)?.as_fd(), name)?;
        }
        let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        tree::attach(self.terminals(quiet, mapping)?.as_fd(), self.open("pts")?.as_fd(), "devpts, \"/dev/pts\"")?;
        let size = run.shm_size_bytes.unwrap_or(SHM_BYTES).to_string();
        let shm = overlay::tmpfs(&[("mode", "1777"), ("size", &size)], tree::PLAIN)?;
        tree::attach(shm.as_fd(), self.open("shm")?.as_fd(), "tmpfs, \"/dev/shm\"")?;
        let queues = overlay::open_fs("mqueue").and_then(|fs| overlay::create(fs.as_fd(), "mqueue", tree::PLAIN))?;
        tree::attach(queues.as_fd(), self.open("mqueue")?.as_fd(), "mqueue, \"/dev/mqueue\"")?;
        self.open("null")
    }

    fn terminals(&self, attributes: MountAttrFlags, mapping: &Mapping<'_>) -> Fallible<OwnedFd> {
        let fs = overlay::open_fs("devpts")?;
        overlay::set(fs.as_fd(), "ptmxmode", "0666")?;
        overlay::set(fs.as_fd(), "mode", "0620")?;
        // Group tty. A user namespace may not have it mapped; the group of the opener is used then.
        if self.marks == Marks::Trusted {
            overlay::set(fs.as_fd(), "gid", &mapping.group(TTY)?.to_string())?;
        }
        let terminals = overlay::create(fs.as_fd(), "devpts", attributes)?;
        if mapping.is_there() {
            // These two belong to the root of the namespace that mounts it, whoever makes them.
            let (uid, gid) = (Some(Uid::from_raw(mapping.user(0)?)), Some(Gid::from_raw(mapping.group(0)?)));
            for name in [c".", c"ptmx"] {
                rustix::fs::chownat(&terminals, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|errno| Failure::syscall(format!("fchownat(devpts, {name:?})"), errno))?;
            }
        }
        Ok(terminals)
    }

    fn open(&self, name: &str) -> Fallible<OwnedFd> {
        rustix::fs::openat(&self.dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Failure::syscall(format!("openat(dev, {name:?})"), errno))
    }
}

/// Makes a node in the scaffold, which lets devices be opened, and returns a detached copy of it.
fn made_node(dir: &OwnedFd, name: &str, kind: FileType, number: (u32, u32)) -> Fallible<OwnedFd> {
    let (major, minor) = number;
    let call = || format!("mknodat(nodes, {name:?}, {kind:?}, {major}:{minor})");
    let device = rustix::fs::makedev(major, minor);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::mknodat(dir, name, kind, Mode::from_raw_mode(0o666), device)
        .and_then(|()| rustix::fs::chmodat(dir, name, Mode::from_raw_mode(0o666), AtFlags::empty()))
        .and_then(|()| rustix::fs::openat(dir, name, flags, Mode::empty()))
        .map_err(|errno| tree::denied(call(), errno))
        .and_then(|fd| tree::copy_of(fd.as_fd(), name))
}

/// A copy of a node of the host, once it is known to be the device it is named for.
fn host_node(name: &str, kind: FileType, number: (u32, u32)) -> Fallible<OwnedFd> {
    let (major, minor) = number;
    let path = format!("/dev/{name}");
    let fail = |errno| Failure::syscall(format!("open({path:?}, O_PATH)"), errno);
    let fd = rustix::fs::openat(CWD, &path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(fail)?;
    let stat = rustix::fs::fstat(&fd).map_err(fail)?;
    if FileType::from_raw_mode(stat.st_mode) != kind || stat.st_rdev != rustix::fs::makedev(major, minor) {
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
