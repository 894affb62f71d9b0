//! The ids of a step of root that has a user namespace of its own, while its files keep the ids of the image.
//!
//! Init stays real root until the sandbox stands. From [`Mapping::wear`] on everything that it makes belongs to the
//! namespace's root, so file systems of our own need nothing more. What lies on the host's disks (layers, sources of
//! mounts) is seen through mounts that map ids: 0 on disk is the namespace's 0, and what the step makes is 0 on disk.
//! overlayfs itself cannot be mounted so, but takes layers that are; it is mounted by real root, so its marks are
//! those of every other snapshot.

use super::rootfs::Scaffold;
use super::tree;
use super::user::Identity;
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::protocol::{IdMap, IdRange, Network, Root, Run, Security};
use crate::sys::process::{self, Side};
use crate::userns;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Signal, Uid};
use rustix::thread::{CapabilitiesSecureBits, LinkNameSpaceType, UnshareFlags};
use std::path::{Path, PathBuf};

/// How ids of the step are ids of the machine; without a namespace they are the same.
#[derive(Debug)]
pub(crate) struct Mapping<'r> {
    namespace: Option<Namespace<'r>>,
}

#[derive(Debug)]
struct Namespace<'r> {
    map: &'r IdMap,
    user: OwnedFd,
    /// Owned by `user`; only for [`Network::None`].
    network: Option<OwnedFd>,
}

impl<'r> Mapping<'r> {
    /// Makes the namespace that the request asks for. Nothing runs in it afterwards.
    ///
    /// # Errors
    /// `ERR_NAMESPACE_DENIED` where the machine forbids it, `ERR_ROOTLESS_IDMAP` for maps that the kernel refuses.
    pub(crate) fn make(run: &'r Run, marks: Marks) -> Fallible<Self> {
        let Some(map) = &run.user_namespace else { return Ok(Self { namespace: None }) };
        if marks == Marks::User {
            return Err(Failure::internal("only real root can map the ids of files"));
        }
        let mut flags = UnshareFlags::NEWUSER;
        flags.set(UnshareFlags::NEWNET, run.network == Network::None);
        let (ready, ready_end) = pipe()?;
        let (release, release_end) = pipe()?;
        let holder = match process::fork().map_err(|errno| Failure::syscall("fork()", errno))? {
            Side::Child => {
                drop((ready, release_end));
                hold(flags, &ready_end, &release)
            }
            Side::Parent(pid) => pid,
        };
        drop((ready_end, release));
        let made = Namespace::of(holder, map, flags, &ready);
        drop(release_end);
        process::wait_child(holder, true);
        made.map(|namespace| Self { namespace: Some(namespace) })
    }

    /// Whether the step has a user namespace of its own.
    pub(crate) fn is_there(&self) -> bool {
        self.namespace.is_some()
    }

    /// The namespace's own network namespace.
    pub(crate) fn network(&self) -> Option<BorrowedFd<'_>> {
        self.namespace.as_ref().and_then(|namespace| namespace.network.as_ref()).map(AsFd::as_fd)
    }

    /// Makes what this process makes from here on belong to the namespace's root; its capabilities stay. The kernel
    /// takes back the death signal.
    pub(crate) fn wear(&self) -> Fallible<()> {
        if !self.is_there() {
            return Ok(());
        }
        // Else a change of this id drops the capabilities that concern files. Entering the namespace takes it back.
        rustix::thread::set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)
            .map_err(|errno| Failure::syscall("prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)", errno))?;
        let (uid, gid) = (self.user(0)?, self.group(0)?);
        process::set_file_ids(uid, gid)
            .map_err(|errno| Failure::syscall(format!("setfsuid({uid}), setfsgid({gid})"), errno))
    }

    /// The machine's number of a user of the step.
    pub(crate) fn user(&self, id: u32) -> Fallible<u32> {
        self.outside(id, "user", |map| &map.uids)
    }

    /// The machine's number of a group of the step.
    pub(crate) fn group(&self, id: u32) -> Fallible<u32> {
        self.outside(id, "group", |map| &map.gids)
    }

    /// The machine's numbers of who runs the step, every supplementary group checked.
    pub(crate) fn owner(&self, identity: &Identity) -> Fallible<(u32, u32)> {
        for &group in &identity.groups {
            self.group(group)?;
        }
        Ok((self.user(identity.uid)?, self.group(identity.gid)?))
    }

    fn outside(&self, id: u32, kind: &str, ranges: fn(&IdMap) -> &Vec<IdRange>) -> Fallible<u32> {
        let Some(Namespace { map, .. }) = &self.namespace else { return Ok(id) };
        let inside = |range: &IdRange| id.checked_sub(range.inside).filter(|&offset| offset < range.length);
        let found =
            ranges(map).iter().find_map(|range| inside(range).and_then(|offset| range.outside.checked_add(offset)));
        found.ok_or_else(|| {
            let text = format!("{kind} {id} is not one of the ids of the step's user namespace; leave --userns out");
            Failure::environment("ERR_ROOTLESS_IDMAP", text)
        })
    }

    /// Maps the ids of a detached mount and of those below it.
    ///
    /// # Errors
    /// `ERR_NAMESPACE_DENIED` for a file system that cannot be mounted so.
    pub(crate) fn apply(&self, tree: BorrowedFd<'_>, path: &str) -> Fallible<()> {
        let Some(namespace) = &self.namespace else { return Ok(()) };
        crate::sys::tree::mount_map_ids(tree, namespace.user.as_fd()).map_err(|errno| unmappable(tree, path, errno))
    }

    /// A snapshot's directories as the step's ids are to see them, at paths of the scaffold.
    pub(crate) fn layers(&self, root: &Root, scaffold: &Scaffold) -> Fallible<Root> {
        if !self.is_there() {
            return Ok(root.clone());
        }
        let lower = root.lower.iter().map(|path| self.hold(path, scaffold)).collect::<Fallible<Vec<_>>>()?;
        let (upper, work) = match (&root.upper, &root.work) {
            (Some(upper), Some(work)) => {
                let (upper, work) = self.hold_writable(upper, work, scaffold)?;
                (Some(upper), Some(work))
            }
            (Some(upper), None) => (Some(self.hold(upper, scaffold)?), None),
            (None, work) => (None, work.clone()),
        };
        Ok(Root { lower, upper, work })
    }

    /// Attached, for before Linux 6.15 overlayfs takes no layer of a detached mount.
    fn hold(&self, path: &str, scaffold: &Scaffold) -> Fallible<String> {
        let tree = overlay::clone_tree(path)?;
        self.apply(tree.as_fd(), path)?;
        scaffold.hold_next(tree.as_fd())
    }

    /// overlayfs wants these two on one mount, so it is their nearest common parent that is mapped.
    fn hold_writable(&self, upper: &str, work: &str, scaffold: &Scaffold) -> Fallible<(String, String)> {
        let pairs = Path::new(upper).components().zip(Path::new(work).components());
        let parent: PathBuf = pairs.take_while(|(upper, work)| upper == work).map(|(same, _)| same).collect();
        let held = self.hold(&parent.to_string_lossy(), scaffold)?;
        let below = |path: &str| {
            let rest = Path::new(path).strip_prefix(&parent).unwrap_or(Path::new(""));
            let mapped = Path::new(&held).join(rest).to_string_lossy().into_owned();
            // Only one mount was copied: where another begins on the way, the copy shows what lies under it.
            if identity_of(path)? == identity_of(&mapped)? {
                return Ok(mapped);
            }
            let text = format!("{path:?} and {parent:?} lie on two file systems; with --userns they must lie on one");
            Err(Failure::environment("ERR_NAMESPACE_DENIED", text))
        };
        Ok((below(upper)?, below(work)?))
    }

    /// Enters the namespace for good and becomes 0:0 in it. The kernel takes back the death signal.
    pub(crate) fn enter(&self, security: Security) -> Fallible<()> {
        let Some(namespace) = &self.namespace else { return Ok(()) };
        userns::join(namespace.user.as_fd(), LinkNameSpaceType::User)?;
        let fail = |call: &str, errno| Failure::syscall(call, errno);
        rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)
            .map_err(|errno| fail("setresgid(0, 0, 0)", errno))?;
        rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
            .map_err(|errno| fail("setresuid(0, 0, 0)", errno))?;
        rustix::thread::set_thread_groups(&[]).map_err(|errno| fail("setgroups([])", errno))?;
        match security {
            // Without capabilities over them it is a further wall that these belong to real root.
            Security::Sandbox | Security::Minimal => Ok(()),
            Security::Insecure => {
                let flags = UnshareFlags::NEWNS | UnshareFlags::NEWUTS;
                process::unshare(flags).map_err(|errno| tree::denied(format!("unshare({flags:?})"), errno))
            }
        }
    }
}

impl<'r> Namespace<'r> {
    /// Opens the namespaces of the process that holds them, and writes the maps.
    fn of(holder: i32, map: &'r IdMap, flags: UnshareFlags, ready: &OwnedFd) -> Fallible<Self> {
        let mut said = [0_u8; 1024];
        let length =
            rustix::io::read(ready, &mut said).map_err(|errno| Failure::syscall("read(namespace pipe)", errno))?;
        match said.get(..length) {
            Some(b"1") => {}
            text => {
                let text = String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
                return Err(Failure::environment("ERR_NAMESPACE_DENIED", text));
            }
        }
        let open = |name: &str| {
            let path = format!("/proc/{holder}/ns/{name}");
            rustix::fs::openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| Failure::syscall(format!("open({path:?})"), errno))
        };
        userns::write_maps(holder, map).map_err(|failure| Failure { code: "ERR_ROOTLESS_IDMAP", ..failure })?;
        let network = flags.contains(UnshareFlags::NEWNET).then(|| open("net")).transpose()?;
        Ok(Self { map, user: open("user")?, network })
    }
}

/// Keeps new namespaces until it is released.
fn hold(flags: UnshareFlags, ready: &OwnedFd, release: &OwnedFd) -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let said = match process::unshare(flags) {
        Ok(()) => "1".to_owned(),
        Err(errno) => userns::denied(&format!("unshare({flags:?})"), errno).message,
    };
    let _ = rustix::io::write(ready, said.as_bytes());
    // Ends when the other end is closed.
    let _ = rustix::io::read(release, &mut [0_u8]);
    process::exit_now(0)
}

fn pipe() -> Fallible<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| Failure::syscall("pipe2(O_CLOEXEC)", errno))
}

fn identity_of(path: &str) -> Fallible<(u64, u64)> {
    let stat = rustix::fs::stat(path).map_err(|errno| Failure::syscall(format!("stat({path:?})"), errno))?;
    Ok((stat.st_dev, stat.st_ino))
}

fn unmappable(tree: BorrowedFd<'_>, path: &str, errno: Errno) -> Failure {
    let mut failure = Failure::syscall(format!("mount_setattr({path:?}, MOUNT_ATTR_IDMAP, AT_RECURSIVE)"), errno);
    if matches!(errno, Errno::INVAL | Errno::PERM) {
        let kind = rustix::fs::fstatfs(tree).map(|stat| format!(" (type {:#x})", stat.f_type)).unwrap_or_default();
        failure.code = "ERR_NAMESPACE_DENIED";
        failure.message.push_str(&format!(
            ": the file system of {path:?}{kind}, or one mounted below it, cannot be mounted with mapped ids; leave --userns out, \
             or use ext4, xfs, btrfs or tmpfs there"
        ));
    }
    failure
}
