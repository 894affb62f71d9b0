//! A file of this program that nothing can change.
//!
//! The process that becomes a step executes a file the image chose. That file may be `/proc/self/exe`, or name it as
//! its interpreter: then the step runs *this* program and gets a handle of its file, through which root of a step
//! could write to, or change the mode of, a file of the host (CVE-2019-5736). So `run` executes itself anew first: as
//! root from a read-only mount of the same file, which no other process can name or make writable; in other cases from
//! a sealed memory file with a copy.

use crate::error::{Failure, Fallible};
use crate::sys::process::{self, Vector};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

const PROGRAM: &str = "/proc/self/exe";
const NAME: &std::ffi::CStr = c"tsbuild-helper";

/// Returns if this process already runs from such a file; else makes one and executes it with `request` as its standard
/// input and the same descriptors.
///
/// # Errors
/// A failed call; `ERR_NAMESPACE_DENIED` where the machine forbids executable memory files.
pub(crate) fn ensure(request: &str) -> Fallible<()> {
    let program = rustix::fs::openat(CWD, PROGRAM, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Failure::syscall(format!("open({PROGRAM:?})"), errno))?;
    if is_unchangeable(&program) {
        return Ok(());
    }
    let copy = match read_only_mount() {
        Some(mount) => mount,
        None => sealed_copy(program)?,
    };
    let mut input = File::from(memory_file(MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL)?);
    input
        .write_all(request.as_bytes())
        .and_then(|()| input.seek(SeekFrom::Start(0)))
        .map_err(|error| Failure::io("write(memfd)", &error))?;
    process::dup_onto(input.as_fd(), 0).map_err(|errno| Failure::syscall("dup2(memfd, 0)", errno))?;
    process::keep_passed_on_exec();
    let errno = process::execve_fd(copy.as_fd(), &Vector::new(vec![NAME.to_owned()]), &Vector::new(Vec::new()));
    Err(Failure::syscall("execveat(program, \"\", AT_EMPTY_PATH)", errno))
}

fn is_unchangeable(program: &OwnedFd) -> bool {
    rustix::fs::fcntl_get_seals(program).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
        || rustix::fs::fstatvfs(program).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// A detached, read-only mount of the program's file; `None` where this process may not mount.
fn read_only_mount() -> Option<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = rustix::mount::open_tree(CWD, PROGRAM, flags).ok()?;
    crate::sys::mount_set_read_only(mount.as_fd()).ok()?;
    is_unchangeable(&mount).then_some(mount)
}

fn sealed_copy(program: OwnedFd) -> Fallible<OwnedFd> {
    let size = rustix::fs::fstat(&program).map_err(|errno| Failure::syscall("fstat(program)", errno))?.st_size;
    let copy = memory_file(MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::EXEC)?;
    let mut left = usize::try_from(size).unwrap_or_default();
    while left > 0 {
        match rustix::fs::sendfile(&copy, &program, None, left) {
            Ok(0) => return Err(Failure::internal("the program file ended early")),
            Ok(sent) => left = left.saturating_sub(sent),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Failure::syscall("sendfile(memfd, program)", errno)),
        }
    }
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&copy, seals)
        .map_err(|errno| Failure::syscall(format!("fcntl(memfd, F_ADD_SEALS, {seals:?})"), errno))?;
    Ok(copy)
}

fn memory_file(flags: MemfdFlags) -> Fallible<OwnedFd> {
    match rustix::fs::memfd_create(NAME, flags) {
        // Kernels before 6.3 know neither flag; there every memory file is executable.
        Err(Errno::INVAL) => rustix::fs::memfd_create(NAME, flags - MemfdFlags::EXEC - MemfdFlags::NOEXEC_SEAL),
        other => other,
    }
    .map_err(|errno| match errno {
        Errno::ACCESS => Failure::environment(
            "ERR_NAMESPACE_DENIED",
            "memfd_create(MFD_EXEC) = -1 EACCES: this machine forbids executable memory files; run \"sysctl vm.memfd_noexec=1\"",
        ),
        _ => Failure::syscall(format!("memfd_create({flags:?})"), errno),
    })
}
