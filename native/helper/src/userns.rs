//! User namespaces: how an ordinary user becomes root of its own files.

use crate::error::{Failure, Fallible};
use crate::protocol::{IdMap, IdRange};
use crate::sanitise;
use crate::sys::process::{self, Ended, Side, Waited};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where distributions install `newuidmap`; the environment's PATH is not trusted.
const TOOL_DIRECTORIES: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"];

/// Which of the two id spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// User ids.
    User,
    /// Group ids.
    Group,
}

impl Ids {
    /// The program that writes this map for an ordinary user.
    pub(crate) fn tool(self) -> &'static str {
        match self {
            Self::User => "newuidmap",
            Self::Group => "newgidmap",
        }
    }

    /// The file that grants the ranges.
    pub(crate) fn grants(self) -> &'static str {
        match self {
            Self::User => "/etc/subuid",
            Self::Group => "/etc/subgid",
        }
    }

    fn map_file(self) -> &'static str {
        match self {
            Self::User => "uid_map",
            Self::Group => "gid_map",
        }
    }
}

/// Enters a new user namespace with these maps and becomes 0:0 in it.
///
/// # Errors
/// `ERR_NAMESPACE_DENIED` if the kernel refuses the namespace, `ERR_ROOTLESS_IDMAP` if it or the tools refuse the maps.
pub(crate) fn enter(map: &IdMap) -> Fallible<()> {
    if is_self_map(map) {
        unshare_user()?;
        // The kernel lets an ordinary user map its own group only after it gave up setgroups(2).
        write_own("setgroups", "deny")?;
        write_own("uid_map", &lines(&map.uids))?;
        write_own("gid_map", &lines(&map.gids))?;
    } else {
        enter_mapped(map)?;
    }
    become_root()
}

/// Enters the user namespace on an open descriptor, that of a session, and becomes 0:0 in it.
///
/// # Errors
/// A descriptor of another kind, or a namespace that this process does not own; `ERR_ROOTLESS_IDMAP` as [`enter`].
pub(crate) fn join_user(namespace: BorrowedFd<'_>) -> Fallible<()> {
    join(namespace, LinkNameSpaceType::User)?;
    become_root()
}

/// `setns(2)` into a namespace that must be of this kind, as the kernel compares.
pub(crate) fn join(namespace: BorrowedFd<'_>, kind: LinkNameSpaceType) -> Fallible<()> {
    rustix::thread::move_into_link_name_space(namespace, Some(kind))
        .map_err(|errno| denied(&format!("setns({}, {kind:?})", namespace.as_raw_fd()), errno))
}

fn is_self_map(map: &IdMap) -> bool {
    let only = |ranges: &[IdRange], own: u32| matches!(ranges, [one] if one.length == 1 && one.outside == own);
    rustix::process::geteuid().as_raw() != 0
        && only(&map.uids, rustix::process::geteuid().as_raw())
        && only(&map.gids, rustix::process::getegid().as_raw())
}

fn write_own(file: &str, text: &str) -> Fallible<()> {
    let path = format!("/proc/self/{file}");
    fs::write(&path, text).map_err(|error| Failure {
        code: "ERR_ROOTLESS_IDMAP",
        ..Failure::io(format!("write({path:?}, {text:?})"), &error)
    })
}

fn lines(ranges: &[IdRange]) -> String {
    ranges.iter().map(|range| format!("{} {} {}\n", range.inside, range.outside, range.length)).collect()
}

fn become_root() -> Fallible<()> {
    let fail = |call: &str, errno| Failure { code: "ERR_ROOTLESS_IDMAP", ..Failure::syscall(call, errno) };
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)
        .map_err(|errno| fail("setresgid(0, 0, 0)", errno))?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
        .map_err(|errno| fail("setresuid(0, 0, 0)", errno))?;
    match rustix::thread::set_thread_groups(&[]) {
        // EPERM: a namespace with a single id has setgroups denied; its groups stay those of the caller.
        Ok(()) | Err(Errno::PERM) => {}
        Err(errno) => return Err(fail("setgroups([])", errno)),
    }
    // The change of ids made /proc/self the property of a user outside, and cleared the death signal.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)
        .map_err(|errno| Failure::syscall("prctl(PR_SET_DUMPABLE, 1)", errno))?;
    sanitise::die_with_parent()
}

/// Unshares the user namespace.
///
/// # Errors
/// `ERR_NAMESPACE_DENIED` with what on this machine forbids it.
pub(crate) fn unshare_user() -> Fallible<()> {
    process::unshare(UnshareFlags::NEWUSER).map_err(|errno| denied("unshare(CLONE_NEWUSER)", errno))
}

/// The failure for a namespace or mount call that the machine's policy forbids.
pub(crate) fn denied(call: &str, errno: Errno) -> Failure {
    let mut failure = Failure::syscall(call, errno);
    if matches!(errno, Errno::PERM | Errno::ACCESS | Errno::NOSPC | Errno::USERS | Errno::INVAL | Errno::NOSYS) {
        failure.code = "ERR_NAMESPACE_DENIED";
        failure.message = format!("{}: {}", failure.message, policy());
    }
    failure
}

/// What on this machine may forbid namespaces, with the command that lifts it.
pub(crate) fn policy() -> String {
    let setting = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    if setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        return "user namespaces are off for ordinary users; run \"sysctl kernel.unprivileged_userns_clone=1\"".into();
    }
    if setting("/proc/sys/user/max_user_namespaces") == "0" {
        return "user namespaces are off; run \"sysctl user.max_user_namespaces=28633\"".into();
    }
    if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        return "AppArmor restricts user namespaces; run \"sysctl kernel.apparmor_restrict_unprivileged_userns=0\" or \
                install an AppArmor profile that allows userns for tsbuild-helper"
            .into();
    }
    if fs::read_to_string("/proc/self/status").unwrap_or_default().contains("Seccomp:\t2") {
        return "this process runs under a seccomp filter, as in a container; start the outer container with \
                \"--security-opt seccomp=unconfined --security-opt apparmor=unconfined\", or with \"--privileged\""
            .into();
    }
    "the process lacks CAP_SYS_ADMIN; run as root, or rootless with user namespaces".into()
}

/// The maps must be written from the parent namespace: by a child that was forked before and does it when told.
fn enter_mapped(map: &IdMap) -> Fallible<()> {
    let (go_read, go_write) = pipe()?;
    let (said_read, said_write) = pipe()?;
    let target = rustix::process::getpid().as_raw_nonzero().get();
    match process::fork().map_err(|errno| Failure::syscall("fork()", errno))? {
        Side::Child => {
            drop((go_write, said_read));
            let code = match wait_for_go(go_read).and_then(|()| write_maps(target, map)) {
                Ok(()) => 0,
                Err(failure) => {
                    let _ = rustix::io::write(&said_write, failure.message.as_bytes());
                    1
                }
            };
            process::exit_now(code)
        }
        Side::Parent(pid) => {
            drop((go_read, said_write));
            unshare_user()?;
            rustix::io::write(&go_write, b"1").map_err(|errno| Failure::syscall("write(pipe)", errno))?;
            let mut said = String::new();
            let _ = fs::File::from(said_read).read_to_string(&mut said);
            match process::wait_child(pid, true) {
                Waited::Gone(_, Ended::Exit(0)) => Ok(()),
                _ => Err(Failure::environment("ERR_ROOTLESS_IDMAP", said)),
            }
        }
    }
}

fn pipe() -> Fallible<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|errno| Failure::syscall("pipe2()", errno))
}

fn wait_for_go(go: OwnedFd) -> Fallible<()> {
    let mut byte = [0];
    match rustix::io::read(go.as_fd(), &mut byte) {
        Ok(1) => Ok(()),
        _ => Err(Failure::internal("the namespace was not made")),
    }
}

/// Writes the maps of a process in a new namespace.
pub(crate) fn write_maps(target: i32, map: &IdMap) -> Fallible<()> {
    for (ids, ranges) in [(Ids::User, &map.uids), (Ids::Group, &map.gids)] {
        if rustix::process::geteuid().is_root() {
            let path = format!("/proc/{target}/{}", ids.map_file());
            let text = lines(ranges);
            fs::write(&path, &text).map_err(|error| Failure::io(format!("write({path:?}, {text:?})"), &error))?;
        } else {
            run_tool(ids, target, ranges)?;
        }
    }
    Ok(())
}

fn run_tool(ids: Ids, target: i32, ranges: &[IdRange]) -> Fallible<()> {
    let tool = ids.tool();
    let path = find_tool(tool).ok_or_else(|| {
        let text = format!("{tool} is not installed; run \"apt-get install uidmap\" (other systems: shadow-utils)");
        Failure::environment("ERR_ROOTLESS_IDMAP", text)
    })?;
    let numbers = ranges.iter().flat_map(|range| [range.inside, range.outside, range.length]).map(|n| n.to_string());
    let arguments: Vec<String> = [target.to_string()].into_iter().chain(numbers).collect();
    // Standard output belongs to the protocol.
    let output = Command::new(&path)
        .args(&arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| Failure::io(format!("execve({path:?})"), &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let text = format!("{tool} {} refused: {said}; {}", arguments.join(" "), grant_fix(ids));
    Err(Failure::environment("ERR_ROOTLESS_IDMAP", text))
}

/// How the administrator grants a range to this user.
pub(crate) fn grant_fix(ids: Ids) -> String {
    let user = user_name().unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    format!("add the line \"{user}:100000:65536\" to {0}, for example: echo {user}:100000:65536 >> {0}", ids.grants())
}

/// The caller's name in the host's passwd file.
pub(crate) fn user_name() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(uid.as_str()))?;
    line.split(':').next().map(str::to_owned)
}

/// Finds a program in the directories of the system.
pub(crate) fn find_tool(name: &str) -> Option<PathBuf> {
    TOOL_DIRECTORIES.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}
