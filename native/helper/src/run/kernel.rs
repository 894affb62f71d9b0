//! The kernel's own file systems in a step: `/proc`, `/sys`, and what of them is hidden or read-only.

use super::rootfs::Scaffold;
use super::{rootfs, tree};
use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::protocol::{Network, Run, Security};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Hidden: they tell about the host or control it.
const MASKED: [&str; 12] = [
    "proc/acpi",
    "proc/asound",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/timer_list",
    "proc/timer_stats",
    "proc/sched_debug",
    "proc/scsi",
    "sys/firmware",
    "sys/devices/virtual/powercap",
];

/// Each processor of these has a directory of its own that is hidden: how often the machine grew too hot.
const PROCESSORS: &str = "sys/devices/system/cpu";
const THERMAL: &str = "thermal_throttle";

/// Readable only.
const READ_ONLY: [&str; 5] = ["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];

/// Where a cgroup hierarchy is shown.
const CGROUP: &str = "/sys/fs/cgroup";
/// `CGROUP2_SUPER_MAGIC`.
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// Whether this machine has the unified cgroup hierarchy, which can be shown from the step's own cgroup down.
pub(crate) fn cgroup_is_unified() -> bool {
    rustix::fs::statfs(CGROUP).is_ok_and(|stat| stat.f_type == CGROUP2_MAGIC)
}

/// The file systems, still detached.
#[derive(Debug)]
pub(crate) struct KernelTrees {
    proc: OwnedFd,
    sys: OwnedFd,
    cgroup: Option<OwnedFd>,
}

impl KernelTrees {
    /// Mounts them. Called by the first process of the new pid namespace, before the host's `/proc` and `/sys` are out
    /// of reach.
    pub(crate) fn new(network: Network, marks: Marks, security: Security) -> Fallible<Self> {
        let access = match security {
            Security::Sandbox | Security::Minimal => tree::PLAIN_READ_ONLY,
            Security::Insecure => tree::PLAIN,
        };
        let proc = overlay::open_fs("proc")
            .and_then(|fs| overlay::create(fs.as_fd(), "proc", tree::PLAIN).map_err(explain_proc))?;
        let sys = if marks == Marks::User && network == Network::Host {
            // sysfs shows devices by network namespace, so only the owner of that may mount it.
            let copy = tree::copy_of_path("/sys")?;
            tree::restrict(copy.as_fd(), access)?;
            copy
        } else {
            let fs = overlay::open_fs("sysfs")?;
            overlay::create(fs.as_fd(), "sysfs", access)?
        };
        let cgroup = if cgroup_is_unified() {
            let fs = overlay::open_fs("cgroup2")?;
            Some(overlay::create(fs.as_fd(), "cgroup2", access)?)
        } else {
            None
        };
        Ok(Self { proc, sys, cgroup })
    }

    /// Makes the kernel prefer this process and its children when memory runs out, so that the builder survives.
    pub(crate) fn prefer_for_oom(&self, score: &str) -> Fallible<()> {
        let fd = rustix::fs::openat(&self.proc, c"self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Failure::syscall("openat(proc, \"self/oom_score_adj\", O_WRONLY)", errno))?;
        rustix::io::write(&fd, score.as_bytes())
            .map(drop)
            .map_err(|errno| Failure::syscall(format!("write(oom_score_adj, {score:?})"), errno))
    }

    /// Attaches `/proc` and `/sys`.
    pub(crate) fn attach(self, root: &Beneath, scaffold: &Scaffold, run: &Run) -> Fallible<()> {
        tree::attach(self.proc.as_fd(), rootfs::open_real_dir(root, "proc")?.as_fd(), "procfs, \"/proc\"")?;
        tree::attach(self.sys.as_fd(), rootfs::open_real_dir(root, "sys")?.as_fd(), "sysfs, \"/sys\"")?;
        let Some(point) = open(root, "sys/fs/cgroup")? else { return Ok(()) };
        let what = "cgroup, \"/sys/fs/cgroup\"";
        match (self.cgroup, run.security) {
            (Some(cgroup), _) => tree::attach(cgroup.as_fd(), point.as_fd(), what),
            (None, Security::Sandbox | Security::Minimal) => {
                tree::attach(empty(scaffold, "cgroup")?.as_fd(), point.as_fd(), what)
            }
            (None, Security::Insecure) => attach_own_cgroups(point.as_fd(), run),
        }
    }
}

/// Shows an insecure step its own cgroups of version 1, writable: a process that manages cgroups makes them in there.
fn attach_own_cgroups(point: BorrowedFd<'_>, run: &Run) -> Fallible<()> {
    let dir = overlay::tmpfs(&[("mode", "0755")], tree::PLAIN)?;
    tree::attach(dir.as_fd(), point, "tmpfs, \"/sys/fs/cgroup\"")?;
    for cgroup in &run.cgroups {
        let name = if cgroup.version == 1 { cgroup.controllers.join(",") } else { "unified".to_owned() };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let point = rustix::fs::mkdirat(&dir, &name, Mode::from_raw_mode(0o755))
            .and_then(|()| rustix::fs::openat(&dir, &name, flags, Mode::empty()))
            .map_err(|errno| Failure::syscall(format!("mkdirat(cgroup, {name:?})"), errno))?;
        let copy = tree::copy_of_path(&format!("{}/{}", cgroup.path, run.id))?;
        tree::restrict(copy.as_fd(), tree::PLAIN)?;
        tree::attach(copy.as_fd(), point.as_fd(), &name)?;
    }
    Ok(())
}

/// An empty, read-only directory to lie over another one.
fn empty(scaffold: &Scaffold, what: &str) -> Fallible<OwnedFd> {
    let copy = tree::copy_of(scaffold.open(c"empty")?.as_fd(), what)?;
    tree::restrict(copy.as_fd(), tree::PLAIN_READ_ONLY)?;
    Ok(copy)
}

fn explain_proc(mut failure: Failure) -> Failure {
    if failure.errno == Some(Errno::PERM) {
        failure.code = "ERR_NAMESPACE_DENIED";
        failure.message.push_str(
            ": a procfs can be mounted only where the machine's own /proc is not partly hidden; start the outer \
             container with \"--security-opt systempaths=unconfined\"",
        );
    }
    failure
}

/// Hides and protects, but not from an insecure step. `null` is the step's own null device.
pub(crate) fn mask(root: &Beneath, scaffold: &Scaffold, null: BorrowedFd<'_>, security: Security) -> Fallible<()> {
    match security {
        Security::Sandbox | Security::Minimal => {}
        Security::Insecure => return Ok(()),
    }
    for path in MASKED.into_iter().map(str::to_owned).chain(thermal_paths(root)?) {
        let Some(point) = open(root, &path)? else { continue };
        let stat = rustix::fs::fstat(&point).map_err(|errno| Failure::syscall(format!("fstat({path:?})"), errno))?;
        let cover = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => empty(scaffold, &path)?,
            _ => tree::copy_of(null, &path)?,
        };
        tree::attach(cover.as_fd(), point.as_fd(), &path)?;
    }
    for path in READ_ONLY {
        let Some(point) = open(root, path)? else { continue };
        let copy = tree::copy_of(point.as_fd(), path)?;
        tree::restrict(copy.as_fd(), tree::PLAIN_READ_ONLY)?;
        tree::attach(copy.as_fd(), point.as_fd(), path)?;
    }
    Ok(())
}

/// Where the processors of this machine tell how hot they are.
fn thermal_paths(root: &Beneath) -> Fallible<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let call = || format!("getdents64(root, {PROCESSORS:?})");
    let fd = match root.open(PROCESSORS.as_bytes(), flags, Mode::empty(), Links::Refuse) {
        Err(Errno::NOENT) => return Ok(Vec::new()),
        other => other.map_err(|errno| Failure::syscall(call(), errno))?,
    };
    let mut paths = Vec::new();
    for entry in Dir::new(fd).map_err(|errno| Failure::syscall(call(), errno))? {
        let entry = entry.map_err(|errno| Failure::syscall(call(), errno))?;
        let name = entry.file_name().to_string_lossy();
        if name.strip_prefix("cpu").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) {
            paths.push(format!("{PROCESSORS}/{name}/{THERMAL}"));
        }
    }
    Ok(paths)
}

/// Opens a path of our own kernel file systems; `None` if this kernel does not have it.
fn open(root: &Beneath, path: &str) -> Fallible<Option<OwnedFd>> {
    match root.open(path.as_bytes(), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Failure::syscall(format!("openat2(root, {path:?}, O_PATH)"), errno)),
    }
}
