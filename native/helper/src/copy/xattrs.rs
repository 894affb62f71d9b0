//! Extended attributes of what is made: best effort.

use super::target::shown;
use crate::protocol::Reply;
use rustix::fd::BorrowedFd;
use rustix::fs::XattrFlags;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sets attributes. A file system or a user that cannot is worth one warning, not a failure.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    warned: AtomicBool,
}

impl Attributes {
    /// Sets all of them on an open file or directory.
    pub(super) fn set(&self, file: BorrowedFd<'_>, xattrs: &[(Vec<u8>, Vec<u8>)], path: &[u8]) {
        for (key, value) in xattrs {
            let set = rustix::fs::fsetxattr(file, OsStr::from_bytes(key), value, XattrFlags::empty());
            let Err(errno) = set else { continue };
            if !self.warned.swap(true, Ordering::Relaxed) {
                let key = String::from_utf8_lossy(key);
                crate::report(&Reply::Warning {
                    code: "xattr-not-copied".to_owned(),
                    message: format!("fsetxattr({:?}, {key:?}) = -1 ({errno})", shown(path)),
                });
            }
        }
    }
}
