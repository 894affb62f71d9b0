//! What the init process tells the supervisor, one JSON line each.

use super::ca::Changed;
use crate::error::{Failure, errno_name};
use crate::protocol::ErrorKind;
use crate::sys::process::{Ended, Used};
use rustix::fd::{AsFd, BorrowedFd};
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Note {
    /// The sandbox is complete and the step begins. What holds added certificates.
    Started { changed: Changed },
    /// The sandbox could not be made.
    Failed { kind: ErrorKind, code: String, message: String, errno: Option<i32> },
    /// The step ended and so did everything it left.
    Ended { code: u8, signal: Option<u32>, used: Used },
}

impl Note {
    /// The line for a failure.
    pub(crate) fn failed(failure: &Failure) -> Self {
        Self::Failed {
            kind: failure.kind,
            code: failure.code.to_owned(),
            message: failure.message.clone(),
            errno: failure.errno.map(rustix::io::Errno::raw_os_error),
        }
    }

    /// The line for an end.
    pub(crate) fn ended(ended: Ended, used: Used) -> Self {
        let (code, signal) = match ended {
            Ended::Exit(code) => (code, None),
            Ended::Signal(signal) => (0, Some(signal)),
        };
        Self::Ended { code, signal, used }
    }

    /// Writes the line. A supervisor that is gone takes this process with it, so a failure has no reader.
    pub(crate) fn send(&self, to: BorrowedFd<'_>) {
        let Ok(mut line) = serde_json::to_vec(self) else { return };
        line.push(b'\n');
        let mut rest = line.as_slice();
        while let Ok(written) = rustix::io::write(to.as_fd(), rest) {
            rest = rest.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
        }
    }
}

/// The codes that init may send; a failure keeps `&'static str` codes.
const CODES: [&str; 15] = [
    "ERR_HELPER_INTERNAL",
    "ERR_HELPER_SYSCALL",
    "ERR_MOUNT_SOURCE_INVALID",
    "ERR_MOUNT_TARGET_RESERVED",
    "ERR_NAMESPACE_DENIED",
    "ERR_OVERLAY_MOUNT",
    "ERR_PERMISSION",
    "ERR_ROOTFS_INVALID",
    "ERR_ROOTLESS_IDMAP",
    "ERR_STEP_INVALID",
    "ERR_STEP_PLATFORM",
    "ERR_STORE_NO_SPACE",
    "ERR_USER_INVALID",
    "ERR_USER_NOT_FOUND",
    "ERR_WORKDIR_INVALID",
];

/// A failure of init as a failure of this process.
pub(crate) fn failure(kind: ErrorKind, code: &str, message: String, errno: Option<i32>) -> Failure {
    let known = CODES.iter().find(|known| **known == code).copied();
    let errno = errno.map(rustix::io::Errno::from_raw_os_error);
    match known {
        Some(code) => Failure { kind, code, message, errno },
        None => {
            Failure::internal(format!("init reported {code}: {message} {}", errno.map(errno_name).unwrap_or_default()))
        }
    }
}
