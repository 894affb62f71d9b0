//! The seccomp filter of a step, after the rules of Docker's default profile.
//!
//! * A system call that is not on the list gives EPERM. A number above the newest one that the list knows gives ENOSYS,
//!   so that a C library falls back to an older call.
//! * `clone` may not make namespaces. `clone3` gives ENOSYS, because its flags lie in memory that a filter cannot read;
//!   every C library then uses `clone`.
//! * `socket` refuses AF_ALG and AF_VSOCK, families that no kernel implements any more, and those newer than the list;
//!   `personality` takes the five harmless values.
//! * 32-bit calls and x32 calls give ENOSYS: their numbers mean other things.
//! * Not on the list, on purpose: io_uring, bpf, userfaultfd, keyctl, mount and namespace calls, kernel modules, kexec,
//!   open_by_handle_at, clock setting, swap, quota, and the calls that the kernel gates on CAP_SYS_ADMIN and its like.

use crate::protocol::Security;
use libc::{
    BPF_ABS, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW,
    SECCOMP_RET_ERRNO, c_long, sock_filter,
};

/// `AUDIT_ARCH_X86_64`.
const ARCH: u32 = 0xc000_003e;
/// The newest number the list was checked against (`file_setattr`, Linux 6.17).
const NEWEST: u32 = 469;
/// Every `CLONE_NEW*` flag that `clone` takes.
const CLONE_NAMESPACES: u32 = 0x7e02_0000;
/// PER_LINUX, PER_LINUX32, both with UNAME26, and the query.
const PERSONALITIES: [u32; 5] = [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// DECnet, ECONET, ATMSVC, IRDA, WANPIPE, ISDN and CAIF, which are gone; ALG, the kernel's cryptography; VSOCK, which
/// reaches virtual machines and their host.
const REFUSED_FAMILIES: [u32; 9] = [12, 19, 20, 23, 25, 34, 37, 38, 40];
/// The newest family that the list was checked against (MCTP).
const NEWEST_FAMILY: u32 = 45;

/// Offsets in the kernel's `struct seccomp_data`; arguments are little-endian, so their low half comes first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENT_0: u32 = 16;

/// The calls that are allowed whatever their arguments are.
#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    libc::SYS_accept, libc::SYS_accept4, libc::SYS_access, libc::SYS_adjtimex, libc::SYS_alarm, libc::SYS_arch_prctl,
    libc::SYS_bind, libc::SYS_brk, libc::SYS_capget, libc::SYS_capset, libc::SYS_chdir, libc::SYS_chmod,
    libc::SYS_chown, libc::SYS_chroot, libc::SYS_clock_adjtime, libc::SYS_clock_getres, libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep, libc::SYS_close, libc::SYS_close_range, libc::SYS_connect, libc::SYS_copy_file_range,
    libc::SYS_creat, libc::SYS_dup, libc::SYS_dup2, libc::SYS_dup3, libc::SYS_epoll_create, libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl, libc::SYS_epoll_ctl_old, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2, libc::SYS_epoll_wait,
    libc::SYS_epoll_wait_old, libc::SYS_eventfd, libc::SYS_eventfd2, libc::SYS_execve, libc::SYS_execveat,
    libc::SYS_exit, libc::SYS_exit_group, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_fadvise64,
    libc::SYS_fallocate, libc::SYS_fanotify_mark, libc::SYS_fchdir, libc::SYS_fchmod, libc::SYS_fchmodat,
    libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_fcntl, libc::SYS_fdatasync, libc::SYS_fgetxattr,
    libc::SYS_flistxattr, libc::SYS_flock, libc::SYS_fork, libc::SYS_fremovexattr, libc::SYS_fsetxattr,
    libc::SYS_fstat, libc::SYS_fstatfs, libc::SYS_fsync, libc::SYS_ftruncate, libc::SYS_futex, libc::SYS_futex_waitv,
    libc::SYS_futimesat, libc::SYS_getcpu, libc::SYS_getcwd, libc::SYS_getdents, libc::SYS_getdents64,
    libc::SYS_getegid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getgroups, libc::SYS_getitimer,
    libc::SYS_getpeername, libc::SYS_getpgid, libc::SYS_getpgrp, libc::SYS_getpid, libc::SYS_getppid,
    libc::SYS_getpriority, libc::SYS_getrandom, libc::SYS_getresgid, libc::SYS_getresuid, libc::SYS_getrlimit,
    libc::SYS_get_robust_list, libc::SYS_getrusage, libc::SYS_getsid, libc::SYS_getsockname, libc::SYS_getsockopt,
    libc::SYS_get_thread_area, libc::SYS_gettid, libc::SYS_gettimeofday, libc::SYS_getuid, libc::SYS_getxattr,
    libc::SYS_inotify_add_watch, libc::SYS_inotify_init, libc::SYS_inotify_init1, libc::SYS_inotify_rm_watch,
    libc::SYS_io_cancel, libc::SYS_ioctl, libc::SYS_io_destroy, libc::SYS_io_getevents,
    libc::SYS_ioprio_get, libc::SYS_ioprio_set, libc::SYS_io_setup, libc::SYS_io_submit, libc::SYS_kill,
    libc::SYS_landlock_add_rule, libc::SYS_landlock_create_ruleset, libc::SYS_landlock_restrict_self,
    libc::SYS_lchown, libc::SYS_lgetxattr, libc::SYS_link, libc::SYS_linkat, libc::SYS_listen, libc::SYS_listxattr,
    libc::SYS_llistxattr, libc::SYS_lremovexattr, libc::SYS_lseek, libc::SYS_lsetxattr, libc::SYS_lstat,
    libc::SYS_madvise, libc::SYS_membarrier, libc::SYS_memfd_create, libc::SYS_memfd_secret, libc::SYS_mincore,
    libc::SYS_mkdir, libc::SYS_mkdirat, libc::SYS_mknod, libc::SYS_mknodat, libc::SYS_mlock, libc::SYS_mlock2,
    libc::SYS_mlockall, libc::SYS_mmap, libc::SYS_modify_ldt, libc::SYS_mprotect, libc::SYS_mq_getsetattr,
    libc::SYS_mq_notify, libc::SYS_mq_open, libc::SYS_mq_timedreceive, libc::SYS_mq_timedsend, libc::SYS_mq_unlink,
    libc::SYS_mremap, libc::SYS_msgctl, libc::SYS_msgget, libc::SYS_msgrcv, libc::SYS_msgsnd, libc::SYS_msync,
    libc::SYS_munlock, libc::SYS_munlockall, libc::SYS_munmap, libc::SYS_name_to_handle_at, libc::SYS_nanosleep,
    libc::SYS_newfstatat, libc::SYS_open, libc::SYS_openat, libc::SYS_openat2, libc::SYS_pause,
    libc::SYS_pidfd_open, libc::SYS_pidfd_send_signal, libc::SYS_pipe, libc::SYS_pipe2,
    libc::SYS_pkey_alloc, libc::SYS_pkey_free, libc::SYS_pkey_mprotect, libc::SYS_poll, libc::SYS_ppoll,
    libc::SYS_prctl, libc::SYS_pread64, libc::SYS_preadv, libc::SYS_preadv2, libc::SYS_prlimit64,
    libc::SYS_process_mrelease, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_pselect6,
    libc::SYS_ptrace, libc::SYS_pwrite64, libc::SYS_pwritev, libc::SYS_pwritev2, libc::SYS_read,
    libc::SYS_readahead, libc::SYS_readlink, libc::SYS_readlinkat, libc::SYS_readv, libc::SYS_recvfrom,
    libc::SYS_recvmmsg, libc::SYS_recvmsg, libc::SYS_remap_file_pages, libc::SYS_removexattr, libc::SYS_rename,
    libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_restart_syscall, libc::SYS_rmdir, libc::SYS_rseq,
    libc::SYS_rt_sigaction, libc::SYS_rt_sigpending, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_sigreturn, libc::SYS_rt_sigsuspend, libc::SYS_rt_sigtimedwait, libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_sched_getaffinity, libc::SYS_sched_getattr, libc::SYS_sched_getparam,
    libc::SYS_sched_get_priority_max, libc::SYS_sched_get_priority_min, libc::SYS_sched_getscheduler,
    libc::SYS_sched_rr_get_interval, libc::SYS_sched_setaffinity, libc::SYS_sched_setattr,
    libc::SYS_sched_setparam, libc::SYS_sched_setscheduler, libc::SYS_sched_yield, libc::SYS_seccomp,
    libc::SYS_select, libc::SYS_semctl, libc::SYS_semget, libc::SYS_semop, libc::SYS_semtimedop,
    libc::SYS_sendfile, libc::SYS_sendmmsg, libc::SYS_sendmsg, libc::SYS_sendto, libc::SYS_setfsgid,
    libc::SYS_setfsuid, libc::SYS_setgid, libc::SYS_setgroups, libc::SYS_setitimer, libc::SYS_setpgid,
    libc::SYS_setpriority, libc::SYS_setregid, libc::SYS_setresgid, libc::SYS_setresuid, libc::SYS_setreuid,
    libc::SYS_setrlimit, libc::SYS_set_robust_list, libc::SYS_setsid, libc::SYS_setsockopt,
    libc::SYS_set_thread_area, libc::SYS_set_tid_address, libc::SYS_setuid, libc::SYS_setxattr, libc::SYS_shmat,
    libc::SYS_shmctl, libc::SYS_shmdt, libc::SYS_shmget, libc::SYS_shutdown, libc::SYS_sigaltstack,
    libc::SYS_signalfd, libc::SYS_signalfd4, libc::SYS_socketpair, libc::SYS_splice, libc::SYS_stat,
    libc::SYS_statfs, libc::SYS_statx, libc::SYS_symlink, libc::SYS_symlinkat, libc::SYS_sync,
    libc::SYS_sync_file_range, libc::SYS_syncfs, libc::SYS_sysinfo, libc::SYS_tee, libc::SYS_tgkill,
    libc::SYS_time, libc::SYS_timer_create, libc::SYS_timer_delete, libc::SYS_timer_getoverrun,
    libc::SYS_timer_gettime, libc::SYS_timer_settime, libc::SYS_timerfd_create, libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime, libc::SYS_times, libc::SYS_tkill, libc::SYS_truncate, libc::SYS_umask,
    libc::SYS_uname, libc::SYS_unlink, libc::SYS_unlinkat, libc::SYS_utime, libc::SYS_utimensat,
    libc::SYS_utimes, libc::SYS_vfork, libc::SYS_vmsplice, libc::SYS_wait4, libc::SYS_waitid, libc::SYS_write,
    libc::SYS_writev,
    // By number, for they are newer than some versions of the libc crate: io_pgetevents and uretprobe; cachestat, fchmodat2,
    // map_shadow_stack, futex_wake, futex_wait, futex_requeue, statmount, listmount; mseal, setxattrat, getxattrat,
    // listxattrat, removexattrat.
    333, 335, 451, 452, 453, 454, 455, 456, 457, 458, 462, 463, 464, 465, 466,
];

/// Docker's profile ties this one to CAP_SYS_CHROOT, which `minimal` does not hold.
const NOT_IN_MINIMAL: [c_long; 1] = [libc::SYS_chroot];

/// The calls whose first argument decides.
const CONDITIONAL: [(c_long, Check); 4] = [
    (libc::SYS_clone, Check::Clone),
    (libc::SYS_clone3, Check::Missing),
    (libc::SYS_personality, Check::Personality),
    (libc::SYS_socket, Check::Socket),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Clone,
    Missing,
    Personality,
    Socket,
}

const ALLOW: sock_filter = statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
const DENY: sock_filter = statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | libc::EPERM as u32);
const NO_SUCH_CALL: sock_filter = statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | libc::ENOSYS as u32);

/// Compiles the filter; an insecure step has none. It takes some ten microseconds; the kernel remembers the calls it
/// always allows.
pub(crate) fn filter(security: Security) -> Option<Vec<sock_filter>> {
    match security {
        Security::Sandbox => Some(compile(&[])),
        Security::Minimal => Some(compile(&NOT_IN_MINIMAL)),
        Security::Insecure => None,
    }
}

fn compile(without: &[c_long]) -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCHITECTURE),
        jump(BPF_JEQ, ARCH, 1, 0),
        NO_SUCH_CALL,
        load(NUMBER),
        jump(BPF_JGT, NEWEST, 0, 1),
        NO_SUCH_CALL,
    ];
    for (number, check) in CONDITIONAL {
        let body = conditional(check);
        let length = u32::try_from(body.len()).unwrap_or_default();
        program.push(jump(BPF_JEQ, narrow(number), 1, 0));
        program.push(statement(BPF_JMP | BPF_JA, length));
        program.extend(body);
    }
    // The ranges rise: a number below the next range's start lies in a gap.
    for (first, last) in ranges(without) {
        program.extend([jump(BPF_JGE, first, 1, 0), DENY, jump(BPF_JGT, last, 1, 0), ALLOW]);
    }
    program.push(DENY);
    program
}

fn conditional(check: Check) -> Vec<sock_filter> {
    match check {
        Check::Missing => vec![NO_SUCH_CALL],
        Check::Clone => vec![load(ARGUMENT_0), jump(BPF_JSET, CLONE_NAMESPACES, 0, 1), DENY, ALLOW],
        Check::Socket => {
            let tests = REFUSED_FAMILIES.iter().flat_map(|&family| [jump(BPF_JEQ, family, 0, 1), DENY]);
            let newer = [load(ARGUMENT_0), jump(BPF_JGT, NEWEST_FAMILY, 0, 1), DENY];
            newer.into_iter().chain(tests).chain([ALLOW]).collect()
        }
        Check::Personality => {
            let tests = PERSONALITIES.iter().flat_map(|&value| [jump(BPF_JEQ, value, 0, 1), ALLOW]);
            [load(ARGUMENT_0)].into_iter().chain(tests).chain([DENY]).collect()
        }
    }
}

/// The allowed numbers as inclusive ranges, rising.
fn ranges(without: &[c_long]) -> Vec<(u32, u32)> {
    let allowed = ALLOWED.iter().copied().filter(|number| !without.contains(number));
    let mut numbers: Vec<u32> = allowed.map(narrow).collect();
    numbers.sort_unstable();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if number <= *last + 1 => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

fn narrow(number: c_long) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

const fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

const fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

const fn jump(test: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | test | BPF_K) as u16, jt, jf, k }
}

#[cfg(test)]
#[path = "seccomp_tests.rs"]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
