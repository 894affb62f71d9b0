//! The step's own process: the last preparations after `fork`, then `execve`.

use super::report::Note;
use super::ulimits::{self, Limit};
use super::user::Identity;
use super::{caps, seccomp, unexecutable};
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::Security;
use crate::sys::process::{self, Vector};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use std::ffi::{CStr, CString};

/// Where programs are looked for if the environment has no PATH.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Exit codes as shells and Docker give them.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;
/// The sandbox failed after the process was there, or the machine cannot run the program; the failure is reported.
const SANDBOX_FAILED: i32 = 125;

/// What the process needs, all of it prepared before `fork`.
#[derive(Debug)]
pub(crate) struct Program {
    name: CString,
    candidates: Vec<CString>,
    argv: Vector,
    env: Vector,
}

impl Program {
    /// Prepares argv and env and lists where the program may be.
    ///
    /// # Errors
    /// An empty argv; a NUL in a string.
    pub(crate) fn new(argv: &[String], env: &[Vec<u8>]) -> Fallible<Self> {
        let strings = |list: &mut dyn Iterator<Item = &[u8]>| {
            list.map(CString::new)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| Failure::user("ERR_STEP_INVALID", "an argument or variable holds a NUL"))
        };
        let argv = strings(&mut argv.iter().map(String::as_bytes))?;
        let env = strings(&mut env.iter().map(Vec::as_slice))?;
        let name = argv.first().cloned().ok_or_else(|| Failure::internal("argv is empty"))?;
        let candidates = candidates(&name, &env);
        Ok(Self { name, candidates, argv: Vector::new(argv), env: Vector::new(env) })
    }
}

fn candidates(name: &CStr, env: &[CString]) -> Vec<CString> {
    let name = name.to_bytes();
    if name.is_empty() {
        return Vec::new();
    }
    if name.contains(&b'/') {
        return CString::new(name).into_iter().collect();
    }
    let path = env.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH);
    path.split(|&byte| byte == b':')
        .map(|dir| if dir.is_empty() { &b"."[..] } else { dir })
        .filter_map(|dir| CString::new([dir, b"/", name].concat()).ok())
        .collect()
}

/// The standard descriptors of the process.
#[derive(Debug)]
pub(crate) struct Streams {
    /// 0.
    pub(crate) input: OwnedFd,
    /// 1.
    pub(crate) output: OwnedFd,
    /// 2.
    pub(crate) error: OwnedFd,
    /// Whether they are a terminal, which then controls the process.
    pub(crate) terminal: bool,
}

impl Streams {
    /// All three are this terminal.
    pub(crate) fn of_terminal(slave: OwnedFd) -> Fallible<Self> {
        Ok(Self { input: duplicate(&slave)?, output: duplicate(&slave)?, error: slave, terminal: true })
    }

    /// The same ones once more.
    pub(crate) fn duplicate(&self) -> Fallible<Self> {
        let Self { input, output, error, terminal } = self;
        Ok(Self { input: duplicate(input)?, output: duplicate(output)?, error: duplicate(error)?, terminal: *terminal })
    }
}

fn duplicate(fd: &OwnedFd) -> Fallible<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(|errno| Failure::syscall("fcntl(F_DUPFD_CLOEXEC)", errno))
}

/// What holds the process back, all of it resolved before `fork`.
#[derive(Debug)]
pub(crate) struct Walls<'r> {
    /// Which privilege made the sandbox.
    pub(crate) marks: Marks,
    /// What the process may ask of the kernel.
    pub(crate) security: Security,
    /// Whether setuid programs and file capabilities give nothing.
    pub(crate) no_new_privileges: bool,
    /// Of each process.
    pub(crate) limits: Vec<Limit>,
    /// Where a failure is told; closed by the exec.
    pub(crate) status: BorrowedFd<'r>,
}

/// Becomes the step. Does not return.
pub(crate) fn become_step(program: &Program, identity: &Identity, streams: &Streams, walls: &Walls<'_>) -> ! {
    let ended = match prepare(identity, streams, walls) {
        Ok(()) => execute(program),
        Err(failure) => Err(failure),
    };
    process::exit_now(ended.unwrap_or_else(|failure| {
        Note::failed(&failure).send(walls.status);
        SANDBOX_FAILED
    }))
}

fn prepare(identity: &Identity, streams: &Streams, walls: &Walls<'_>) -> Fallible<()> {
    for (fd, number) in [(&streams.input, 0), (&streams.output, 1), (&streams.error, 2)] {
        process::dup_onto(fd.as_fd(), number)
            .map_err(|errno| Failure::syscall(format!("dup2(pipe, {number})"), errno))?;
    }
    process::close_from(3, true).map_err(|errno| Failure::syscall("close_range(3, ~0U, CLOEXEC)", errno))?;
    rustix::process::setsid().map_err(|errno| Failure::syscall("setsid()", errno))?;
    if streams.terminal {
        rustix::process::ioctl_tiocsctty(std::io::stdin())
            .map_err(|errno| Failure::syscall("ioctl(0, TIOCSCTTY)", errno))?;
    }
    match process::new_session_keyring() {
        // A kernel without keyrings, an outer container that forbids the call, or a user with many keyrings. The step
        // cannot use one either way, for its filter refuses the key calls.
        Ok(()) | Err(Errno::NOSYS | Errno::PERM | Errno::DQUOT) => {}
        Err(errno) => return Err(Failure::syscall("keyctl(KEYCTL_JOIN_SESSION_KEYRING)", errno)),
    }
    process::reset_signals(false);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    ulimits::apply(&walls.limits)?;
    let held = caps::of(walls.security)?;
    caps::limit_bounding_set(held)?;
    change_user(identity, walls.marks)?;
    if walls.no_new_privileges {
        rustix::thread::set_no_new_privs(true)
            .map_err(|errno| Failure::syscall("prctl(PR_SET_NO_NEW_PRIVS, 1)", errno))?;
    }
    if let Some(filter) = seccomp::filter(walls.security) {
        // Without no_new_privs (sudo must work) the filter needs CAP_SYS_ADMIN, so it comes before that is dropped. It
        // allows capset and what follows that: execve, and looking at why it failed.
        caps::raise_admin(held)?;
        process::set_seccomp_filter(&filter)
            .map_err(|errno| Failure::syscall("seccomp(SECCOMP_SET_MODE_FILTER)", errno))?;
    }
    caps::drop_to_step(identity.uid == 0, held)
}

fn change_user(identity: &Identity, marks: Marks) -> Fallible<()> {
    let Identity { uid, gid, groups, .. } = identity;
    let fail = |call: String, errno| match (errno, marks) {
        (Errno::INVAL, Marks::User) => unmapped(&call, errno),
        _ => Failure::syscall(call, errno),
    };
    let ids: Vec<Gid> = groups.iter().map(|&group| Gid::from_raw(group)).collect();
    match rustix::thread::set_thread_groups(&ids) {
        Ok(()) => {}
        // A namespace with one id has setgroups denied; the step then keeps the builder's groups, as all of them do.
        Err(Errno::PERM) if marks == Marks::User => {}
        Err(errno) => return Err(fail(format!("setgroups({groups:?})"), errno)),
    }
    let group = Gid::from_raw(*gid);
    rustix::thread::set_thread_res_gid(group, group, group)
        .map_err(|errno| fail(format!("setresgid({gid}, {gid}, {gid})"), errno))?;
    rustix::thread::set_keep_capabilities(true)
        .map_err(|errno| Failure::syscall("prctl(PR_SET_KEEPCAPS, 1)", errno))?;
    let user = Uid::from_raw(*uid);
    rustix::thread::set_thread_res_uid(user, user, user)
        .map_err(|errno| fail(format!("setresuid({uid}, {uid}, {uid})"), errno))
}

/// The failure for an id that the user namespace does not map.
pub(crate) fn unmapped(call: &str, errno: Errno) -> Failure {
    let mut failure = Failure::syscall(call, errno);
    failure.code = "ERR_ROOTLESS_IDMAP";
    failure.message.push_str(": the id is not mapped into this user namespace; give the builder's user a larger range in /etc/subuid and /etc/subgid (65536 ids or more)");
    failure
}

/// Tries the candidates in order, as `execvp` does. Returns the exit code for none of them.
///
/// # Errors
/// `ERR_STEP_PLATFORM` for a program that this machine cannot execute at all.
fn execute(program: &Program) -> Fallible<i32> {
    let mut found = None;
    for path in &program.candidates {
        let errno = process::execve(path, &program.argv, &program.env);
        match errno {
            Errno::NOENT | Errno::NOTDIR if rustix::fs::access(path, rustix::fs::Access::EXISTS).is_err() => {}
            Errno::ACCESS => found = found.or(Some((path, errno))),
            _ => {
                found = Some((path, errno));
                break;
            }
        }
    }
    let (code, text) = explain(program, found)?;
    say(&format!("tsbuild: cannot run {:?}: {text}\n", program.name));
    Ok(code)
}

fn explain(program: &Program, found: Option<(&CString, Errno)>) -> Fallible<(i32, String)> {
    Ok(match found {
        None if program.name.to_bytes().contains(&b'/') => (NOT_FOUND, "no such file or directory".into()),
        None => (NOT_FOUND, "executable file not found in PATH".into()),
        Some((path, Errno::NOENT)) => (NOT_FOUND, unexecutable::missing(path)),
        Some((path, Errno::NOEXEC)) => (NOT_EXECUTABLE, unexecutable::format(path)?),
        Some((path, Errno::ACCESS)) => (NOT_EXECUTABLE, format!("permission denied: {path:?} is not executable")),
        Some((path, errno)) => (NOT_EXECUTABLE, format!("execve({path:?}) = -1 ({errno})")),
    })
}

fn say(text: &str) {
    let _ = rustix::io::write(std::io::stderr().as_fd(), text.as_bytes());
}
