//! Wrappers of the process calls that rustix does not offer or offers only as `unsafe`.
//!
//! This program has one thread, always: [`fork`] and the credential calls rely on it.

use super::last_errno;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString};

/// The caller's side of [`fork`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The new process.
    Child,
    /// The old one, with the child's process id.
    Parent(i32),
}

/// `fork(2)`.
pub(crate) fn fork() -> Result<Side, Errno> {
    // SAFETY: fork(2) has no memory conditions. The child may go on using the heap and every lock because no other
    // thread exists that could hold one at this moment.
    match unsafe { libc::fork() } {
        -1 => Err(last_errno()),
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(pid)),
    }
}

/// `clone(2)` with `CLONE_NEWPID`: as [`fork`], but the child is the first process of a new pid namespace.
///
/// `unshare(CLONE_NEWPID)` before a `fork` would do the same to the child, and besides leave the caller unable to start
/// threads for the rest of its life.
pub(crate) fn fork_into_pid_namespace() -> Result<Side, Errno> {
    let flags = libc::c_long::from(libc::CLONE_NEWPID | libc::SIGCHLD);
    // SAFETY: with neither CLONE_VM nor a stack of its own the child gets a copy of this address space and goes on on
    // the copied stack, as after fork(2); the null pointers are for features that the flags do not ask for. No other
    // thread exists that could hold a lock. What fork(2) of the C library does besides, atfork handlers and its cached
    // thread id, matters to thread functions of the C library only, which the child does not call.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) } {
        -1 => Err(last_errno()),
        0 => Ok(Side::Child),
        pid => i32::try_from(pid).map(Side::Parent).map_err(|_| Errno::OVERFLOW),
    }
}

/// `clone3(2)`: as [`fork_into_pid_namespace`], and the child is born in a cgroup of version 2, given by its directory.
/// Moving it there later would wait for every CPU of the machine.
pub(crate) fn fork_into_cgroup(cgroup: BorrowedFd<'_>) -> Result<Side, Errno> {
    /// The kernel's struct clone_args with the members up to `cgroup`.
    #[derive(Default)]
    #[repr(C)]
    struct CloneArgs {
        flags: u64,
        unused: [u64; 3],
        exit_signal: u64,
        unused_too: [u64; 5],
        cgroup: u64,
    }
    let args = CloneArgs {
        flags: u64::from(libc::CLONE_NEWPID.unsigned_abs()) | CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD.unsigned_abs().into(),
        cgroup: cgroup.as_raw_fd().unsigned_abs().into(),
        ..CloneArgs::default()
    };
    // SAFETY: clone3(2) reads `size_of::<CloneArgs>()` bytes behind the pointer, which outlives the call; the zeroed
    // members are for features that the flags do not ask for. For the rest as in `fork_into_pid_namespace`.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) } {
        -1 => Err(last_errno()),
        0 => Ok(Side::Child),
        pid => i32::try_from(pid).map(Side::Parent).map_err(|_| Errno::OVERFLOW),
    }
}

/// `CLONE_INTO_CGROUP`, which does not fit into the libc crate's type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `_exit(2)`: ends the process without running destructors, as a forked child must.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) has no conditions and does not return.
    unsafe { libc::_exit(code) }
}

/// Strings in the form that `execve(2)` wants.
#[derive(Debug)]
pub(crate) struct Vector {
    strings: Vec<CString>,
}

impl Vector {
    /// Keeps the strings.
    pub(crate) fn new(strings: Vec<CString>) -> Self {
        Self { strings }
    }

    fn pointers(&self) -> Vec<*const libc::c_char> {
        self.strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    }
}

/// `execve(2)`; returns only on failure.
pub(crate) fn execve(path: &CStr, argv: &Vector, env: &Vector) -> Errno {
    let (argv, env) = (argv.pointers(), env.pointers());
    // SAFETY: `path` is NUL-terminated; both arrays end with a null pointer and every other element points to a
    // NUL-terminated string owned by a `Vector` that the caller borrows to us for the whole call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    last_errno()
}

/// `fexecve(3)`: executes an open file; returns only on failure.
pub(crate) fn execve_fd(file: BorrowedFd<'_>, argv: &Vector, env: &Vector) -> Errno {
    let (argv, env) = (argv.pointers(), env.pointers());
    // SAFETY: as for `execve`; the path is empty and NUL-terminated and AT_EMPTY_PATH makes the open descriptor the
    // program.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    last_errno()
}

/// Takes over a descriptor that the parent process passed at a fixed number. `None` if it is not open.
pub(crate) fn take_passed(number: i32) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only looks the number up and has no memory conditions.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: the number is open (checked above), was opened by our parent and is owned by nothing in this program:
    // each op takes each of its descriptors once.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// `close_range(2)` over every descriptor from `first` on; with `on_exec` they are closed by the next exec instead.
pub(crate) fn close_from(first: u32, on_exec: bool) -> Result<(), Errno> {
    let flags = if on_exec { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: close_range(2) has no memory conditions. Callers use it where no `OwnedFd` at or above `first` is used
    // afterwards: at start, before any is made, and with `on_exec`, which closes nothing yet.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Sets close-on-exec on a descriptor number; one that is not open is left alone.
pub(crate) fn close_on_exec(number: i32) {
    // SAFETY: F_SETFD has no memory conditions and an unused number only gives EBADF.
    unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// Clears close-on-exec on the descriptors that the parent passed, for [`execve_fd`] of this same program.
pub(crate) fn keep_passed_on_exec() {
    for number in 3..crate::sanitise::FIRST_UNUSED {
        // SAFETY: F_SETFD has no memory conditions and an unused number only gives EBADF.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
    }
}

/// `dup2(2)` onto a standard descriptor, which loses close-on-exec thereby.
pub(crate) fn dup_onto(from: BorrowedFd<'_>, number: i32) -> Result<(), Errno> {
    // SAFETY: dup2(2) has no memory conditions. Numbers 0 to 2 are never held as an `OwnedFd` here.
    let result = unsafe { libc::dup2(from.as_raw_fd(), number) };
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

/// Unblocks every signal and gives every signal its default action, but ignores those that come in place of an error of
/// `write` if told to: SIGPIPE and SIGXFSZ.
///
/// By the kernel's own call: libc refuses the two signals that it reserves, and a parent may have left those ignored too.
pub(crate) fn reset_signals(errors_instead: bool) {
    // The kernel's struct sigaction on 64-bit machines: handler, flags, restorer, mask.
    let action = |handler: usize| [handler as u64, 0, 0, 0];
    for signal in 1..=64 {
        let ignore = errors_instead && matches!(signal, libc::SIGPIPE | libc::SIGXFSZ);
        let action = action(if ignore { libc::SIG_IGN } else { libc::SIG_DFL });
        // SAFETY: rt_sigaction(2) reads 32 bytes behind the pointer, which outlives the call, with a mask of 8 bytes;
        // SIG_DFL and SIG_IGN install no function. SIGKILL and SIGSTOP give EINVAL, which is of no interest.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), std::ptr::null_mut::<u64>(), 8) };
    }
    set_mask(&[], libc::SIG_SETMASK);
}

/// Blocks these signals; they stay pending until [`wait_signal`] or a signalfd takes them.
pub(crate) fn block_signals(signals: &[i32]) {
    set_mask(signals, libc::SIG_BLOCK);
}

/// Unblocks these signals; one that is pending has its effect at once.
pub(crate) fn unblock_signals(signals: &[i32]) {
    set_mask(signals, libc::SIG_UNBLOCK);
}

fn set_mask(signals: &[i32], how: i32) {
    let set = signal_set(signals);
    // SAFETY: sigprocmask(2) reads the initialised set, which outlives the call; a null old set is allowed.
    unsafe { libc::sigprocmask(how, &raw const set, std::ptr::null_mut()) };
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) initialises the whole set that the pointer leads to.
    let mut set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    for &signal in signals {
        // SAFETY: `set` is initialised; an invalid number only gives EINVAL.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

/// `sigwaitinfo(2)`: waits for one of these blocked signals and returns it.
pub(crate) fn wait_signal(signals: &[i32]) -> i32 {
    let set = signal_set(signals);
    loop {
        // SAFETY: sigwaitinfo(2) reads the initialised set, which outlives the call; a null info is allowed.
        let signal = unsafe { libc::sigwaitinfo(&raw const set, std::ptr::null_mut()) };
        if signal > 0 {
            return signal;
        }
    }
}

/// `signalfd(2)`: a descriptor that becomes readable when one of these blocked signals is pending.
pub(crate) fn signal_fd(signals: &[i32]) -> Result<OwnedFd, Errno> {
    let set = signal_set(signals);
    // SAFETY: signalfd(2) reads the initialised set, which outlives the call; -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: the kernel just returned this descriptor and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes what is pending on a signalfd. One siginfo is 128 bytes, of which the first four are the number.
pub(crate) fn read_signals(fd: &OwnedFd) -> Vec<i32> {
    let mut pending = [0_u8; 8 * 128];
    let length = rustix::io::read(fd, &mut pending).unwrap_or_default();
    let (infos, _) = pending.as_chunks::<128>();
    let number = |info: &[u8; 128]| info.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes));
    infos.iter().take(length / 128).filter_map(number).collect()
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By exit, with this code.
    Exit(u8),
    /// By this signal.
    Signal(u32),
}

/// What [`wait_child`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// This child ended and is gone.
    Gone(i32, Ended),
    /// Children exist and none has ended.
    Running,
    /// There is no child.
    NoChild,
}

/// `waitpid(2)` for `pid` (-1: any child); with `block` it waits for one to end.
pub(crate) fn wait_child(pid: i32, block: bool) -> Waited {
    let mut status = 0;
    loop {
        // SAFETY: waitpid(2) writes one int behind the pointer, which outlives the call.
        let got = unsafe { libc::waitpid(pid, &raw mut status, if block { 0 } else { libc::WNOHANG }) };
        match got {
            0 => return Waited::Running,
            -1 if last_errno() == Errno::INTR => {}
            -1 => return Waited::NoChild,
            pid if libc::WIFSIGNALED(status) => {
                return Waited::Gone(pid, Ended::Signal(libc::WTERMSIG(status).unsigned_abs()));
            }
            pid => return Waited::Gone(pid, Ended::Exit(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(255))),
        }
    }
}

/// What ended children used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Used {
    /// User CPU time.
    pub(crate) user_micros: u64,
    /// System CPU time.
    pub(crate) system_micros: u64,
    /// Peak resident memory of the largest process.
    pub(crate) max_rss_bytes: u64,
    /// Read from block devices.
    pub(crate) read_bytes: u64,
    /// Written to block devices.
    pub(crate) written_bytes: u64,
}

/// `getrusage(2)` for the children waited for, and theirs.
pub(crate) fn children_used() -> Used {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage(2) writes one struct rusage behind the pointer; all-zero bytes are a valid value of it, so
    // even on failure the struct is initialised.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let micros = |time: libc::timeval| time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_usec.unsigned_abs();
    Used {
        user_micros: micros(usage.ru_utime),
        system_micros: micros(usage.ru_stime),
        max_rss_bytes: usage.ru_maxrss.unsigned_abs() * 1024,
        read_bytes: usage.ru_inblock.unsigned_abs() * 512,
        written_bytes: usage.ru_oublock.unsigned_abs() * 512,
    }
}

/// `kill(2)`.
pub(crate) fn kill(pid: i32, signal: i32) {
    // SAFETY: kill(2) has no memory conditions. A process that is gone gives ESRCH, which is of no interest.
    unsafe { libc::kill(pid, signal) };
}

/// `unshare(2)` of namespaces.
pub(crate) fn unshare(flags: rustix::thread::UnshareFlags) -> Result<(), Errno> {
    // SAFETY: the condition of `unshare_unsafe` is that no other code relies on a shared descriptor table
    // (CLONE_FILES); callers pass only CLONE_NEW* flags.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// `setfsuid(2)` and `setfsgid(2)`: who owns what this process makes.
pub(crate) fn set_file_ids(uid: u32, gid: u32) -> Result<(), Errno> {
    // Both return the id that was in effect before; a second call with an invalid id changes nothing and tells it.
    // SAFETY: setfsgid(2) and setfsuid(2) have no memory conditions.
    let now = unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
        (libc::setfsuid(u32::MAX), libc::setfsgid(u32::MAX))
    };
    if (now.0.cast_unsigned(), now.1.cast_unsigned()) == (uid, gid) { Ok(()) } else { Err(Errno::PERM) }
}

/// `keyctl(2)` KEYCTL_JOIN_SESSION_KEYRING: a new, empty session keyring, so that no key of the caller is reachable.
pub(crate) fn new_session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name asks for an anonymous keyring; the call has no other memory conditions.
    let result = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>(), 0, 0, 0)
    };
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

/// `seccomp(2)` SECCOMP_SET_MODE_FILTER. Needs CAP_SYS_ADMIN, for no_new_privs stays off.
pub(crate) fn set_seccomp_filter(program: &[libc::sock_filter]) -> Result<(), Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::TOOBIG)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: seccomp(2) reads one sock_fprog and the `len` instructions behind it, both borrowed for the whole call;
    // it copies and never writes them, so the cast from a shared slice is harmless.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(&program)) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}
