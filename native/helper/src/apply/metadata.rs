//! Owner, mode, attributes and time of what was made, always through a descriptor or without following a link.

use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::Reply;
use crate::quote::quote;
use crate::tar::{Entry, Kind, Time};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Inherited by whatever is made below, so it is set when nothing more is made.
pub(crate) const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// The attributes that a layer may carry into an image.
///
/// `security.selinux` and `trusted.*` belong to the machine, not to the image.
pub(crate) fn is_kept(name: &[u8]) -> bool {
    matches!(name, b"security.capability" | b"system.posix_acl_access" | DEFAULT_ACL)
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// The attributes that overlayfs would take for its own.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// Where overlayfs keeps the mark of a directory that hides everything below.
pub(crate) fn opaque_name(marks: Marks) -> &'static str {
    match marks {
        Marks::Trusted => "trusted.overlay.opaque",
        Marks::User => "user.overlay.opaque",
    }
}

/// Sets one attribute of an open file or directory.
pub(crate) fn set_xattr(fd: BorrowedFd<'_>, path: &[u8], name: &[u8], value: &[u8]) -> Fallible<()> {
    match rustix::fs::fsetxattr(fd, OsStr::from_bytes(name), value, XattrFlags::empty()) {
        Ok(()) => Ok(()),
        Err(errno @ (Errno::OPNOTSUPP | Errno::PERM)) => {
            crate::report(&Reply::Warning {
                code: "WARN_XATTR_UNSUPPORTED".to_owned(),
                message: Failure::syscall(call("fsetxattr", path, name), errno).message,
            });
            Ok(())
        }
        Err(errno) => Err(Failure::syscall(call("fsetxattr", path, name), errno)),
    }
}

fn call(name: &str, path: &[u8], argument: &[u8]) -> String {
    format!("{name}({}, {})", quote(path), quote(argument))
}

/// Owner, mode and attributes of an open file or directory; what it has already is not set again, for each is a change of the
/// inode. `chown` clears the setuid bit and capabilities, so it is first. Gives what the file was before.
pub(crate) fn set_open(fd: BorrowedFd<'_>, entry: &Entry) -> Fallible<Stat> {
    let stat = rustix::fs::fstat(fd).map_err(|errno| Failure::syscall(call("fstat", &entry.path, b""), errno))?;
    let owned = (stat.st_uid, stat.st_gid) == (entry.uid, entry.gid);
    if !owned {
        rustix::fs::fchown(fd, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
            .map_err(|errno| chown_failure(entry, errno))?;
    }
    if !owned || stat.st_mode & 0o7777 != entry.mode & 0o7777 {
        rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode)).map_err(|errno| {
            Failure::syscall(call("fchmod", &entry.path, format!("{:o}", entry.mode).as_bytes()), errno)
        })?;
    }
    for (name, value) in &entry.xattrs {
        if is_kept(name) && name != DEFAULT_ACL {
            set_xattr(fd, &entry.path, name, value)?;
        }
    }
    Ok(stat)
}

/// Owner and mode of something that cannot be opened: a link, pipe or device.
pub(crate) fn set_at(dir: BorrowedFd<'_>, name: &OsStr, entry: &Entry) -> Fallible<()> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| chown_failure(entry, errno))?;
    if entry.kind != Kind::Symlink {
        // Made by us a moment ago and no link, so following makes no difference; fchmodat has no other form.
        rustix::fs::chmodat(dir, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
            .map_err(|errno| Failure::syscall(call("fchmodat", &entry.path, b""), errno))?;
    }
    rustix::fs::utimensat(dir, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| Failure::syscall(call("utimensat", &entry.path, b""), errno))
}

/// The time of an open file or directory.
pub(crate) fn set_time(fd: impl AsFd, path: &[u8], time: Time) -> Fallible<()> {
    rustix::fs::futimens(fd, &times(time)).map_err(|errno| Failure::syscall(call("futimens", path, b""), errno))
}

fn times(mtime: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: i64::from(mtime.nanos) },
    }
}

/// EINVAL here means that the user namespace has no such id.
fn chown_failure(entry: &Entry, errno: Errno) -> Failure {
    let ids = format!("{}:{}", entry.uid, entry.gid);
    let mut failure = Failure::syscall(call("fchownat", &entry.path, ids.as_bytes()), errno);
    if errno == Errno::INVAL {
        failure.code = "ERR_ROOTLESS_IDMAP";
        failure.message = format!(
            "{}: the user namespace has no id {ids}; add a larger range for this user to \
             /etc/subuid and /etc/subgid",
            failure.message
        );
    }
    failure
}
