//! One error type: who can mend it, a stable code, the failed call as strace prints it.

use crate::protocol::{ErrorKind, Reply};
use std::fmt;

/// Why an operation failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Who can mend it.
    pub(crate) kind: ErrorKind,
    /// A code of the table in `libs/errors`.
    pub(crate) code: &'static str,
    /// The failed call and its arguments, or what is wrong with the input.
    pub(crate) message: String,
    /// The errno, where the kernel said no.
    pub(crate) errno: Option<rustix::io::Errno>,
}

/// What every fallible function here returns.
pub(crate) type Fallible<T> = Result<T, Failure>;

impl Failure {
    /// The image, the archive or the request of the user is wrong.
    pub(crate) fn user(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::User, code, message: message.into(), errno: None }
    }

    /// The machine lacks something.
    pub(crate) fn environment(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Environment, code, message: message.into(), errno: None }
    }

    /// A bug, here or in the caller.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Internal, code: "ERR_HELPER_INTERNAL", message: message.into(), errno: None }
    }

    /// A system call failed. `call` is the call with its arguments: `openat2(4, "etc/passwd", O_RDONLY)`.
    pub(crate) fn syscall(call: impl fmt::Display, errno: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        let code = match errno {
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => "ERR_STORE_NO_SPACE",
            Errno::PERM | Errno::ACCESS => "ERR_PERMISSION",
            _ => "ERR_HELPER_SYSCALL",
        };
        Self {
            kind: ErrorKind::Environment,
            code,
            message: format!("{call} = -1 {} ({errno})", errno_name(errno)),
            errno: Some(errno),
        }
    }

    /// As [`Failure::syscall`] for an error of the standard library.
    pub(crate) fn io(call: impl fmt::Display, error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(raw) => Self::syscall(call, rustix::io::Errno::from_raw_os_error(raw)),
            None => Self::environment("ERR_HELPER_SYSCALL", format!("{call}: {error}")),
        }
    }

    /// The line that reports this failure.
    pub(crate) fn into_reply(self) -> Reply {
        Reply::Error {
            kind: self.kind,
            code: self.code.to_owned(),
            message: self.message,
            errno: self.errno.map(errno_name),
        }
    }
}

/// The symbolic name of an errno, or `E<number>` for rare ones.
pub(crate) fn errno_name(errno: rustix::io::Errno) -> String {
    match errno.raw_os_error() {
        libc::EPERM => "EPERM".into(),
        libc::ENOENT => "ENOENT".into(),
        libc::EIO => "EIO".into(),
        libc::E2BIG => "E2BIG".into(),
        libc::ENOEXEC => "ENOEXEC".into(),
        libc::EAGAIN => "EAGAIN".into(),
        libc::ENOMEM => "ENOMEM".into(),
        libc::EACCES => "EACCES".into(),
        libc::EBUSY => "EBUSY".into(),
        libc::EEXIST => "EEXIST".into(),
        libc::EXDEV => "EXDEV".into(),
        libc::ENODEV => "ENODEV".into(),
        libc::ENOTDIR => "ENOTDIR".into(),
        libc::EISDIR => "EISDIR".into(),
        libc::EINVAL => "EINVAL".into(),
        libc::EMFILE => "EMFILE".into(),
        libc::EFBIG => "EFBIG".into(),
        libc::ENOSPC => "ENOSPC".into(),
        libc::EROFS => "EROFS".into(),
        libc::EMLINK => "EMLINK".into(),
        libc::EPIPE => "EPIPE".into(),
        libc::ENAMETOOLONG => "ENAMETOOLONG".into(),
        libc::ENOSYS => "ENOSYS".into(),
        libc::ENOTEMPTY => "ENOTEMPTY".into(),
        libc::ELOOP => "ELOOP".into(),
        libc::EOVERFLOW => "EOVERFLOW".into(),
        libc::EOPNOTSUPP => "EOPNOTSUPP".into(),
        libc::EDQUOT => "EDQUOT".into(),
        libc::ESTALE => "ESTALE".into(),
        other => format!("E{other}"),
    }
}
