//! Makes entries of the merged tree: links where the kernel allows them, else copies.

use super::{failed, open_long};
use crate::apply::metadata::opaque_name;
use crate::apply::{copy_data, is_whiteout};
use crate::beneath::Beneath;
use crate::error::Fallible;
use crate::overlay::Marks;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What a merged directory says to overlayfs.
#[derive(Debug)]
pub(super) struct DirectoryMarks {
    pub(super) marks: Marks,
    /// Nothing of the trees below shows in it.
    pub(super) opaque: bool,
    /// It holds whiteouts.
    pub(super) whiteouts: bool,
}

/// The tree in the making.
#[derive(Debug)]
pub(super) struct Placed {
    target: Beneath,
    /// By the file that was copied: the path of the newest copy, so that further names of the file are links to it.
    copies: HashMap<(u64, u64), (Vec<u8>, Vec<u8>)>,
    /// Entries that are links.
    pub(super) linked: u64,
    /// Bytes of files that could not be linked.
    pub(super) copied_bytes: u64,
}

impl Placed {
    pub(super) fn new(target: Beneath) -> Self {
        Self { target, copies: HashMap::new(), linked: 0, copied_bytes: 0 }
    }

    pub(super) fn target(&self) -> &Beneath {
        &self.target
    }

    /// Gives `name` of one directory to another. `path` is the path of both, with its slash.
    pub(super) fn place(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Fallible<()> {
        let os_name = OsStr::from_bytes(name);
        match rustix::fs::linkat(from, os_name, to, os_name, AtFlags::empty()) {
            Ok(()) => {
                self.linked += 1;
                Ok(())
            }
            // As many links as the file system has, another file system, or one without links; an immutable file.
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP) => self.copy(from, to, path, name),
            Err(errno) => Err(failed("linkat", path, name, errno)),
        }
    }

    fn copy(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Fallible<()> {
        let os_name = OsStr::from_bytes(name);
        let stat = rustix::fs::statat(from, os_name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed("newfstatat", path, name, errno))?;
        let file = (stat.st_dev, stat.st_ino);
        if let Some((dir, known)) = self.copies.get(&file) {
            let linked = open_long(&self.target, dir, OFlags::PATH | OFlags::DIRECTORY)
                .and_then(|dir| rustix::fs::linkat(&dir, OsStr::from_bytes(known), to, os_name, AtFlags::empty()));
            match linked {
                Ok(()) => {
                    self.linked += 1;
                    return Ok(());
                }
                Err(Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(failed("linkat", path, name, errno)),
            }
        }
        self.copied_bytes +=
            copy_entry(from, to, os_name, &stat).map_err(|(call, errno)| failed(call, path, name, errno))?;
        if stat.st_nlink > 1 {
            self.copies.insert(file, (path.to_vec(), name.to_vec()));
        }
        Ok(())
    }
}

/// A failed call and its errno.
type Failed = (&'static str, Errno);

fn at(call: &'static str) -> impl Fn(Errno) -> Failed {
    move |errno| (call, errno)
}

/// Copies what is no directory, with everything that is known of it. Gives the bytes of its content.
fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> Result<u64, Failed> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return copy_file(from, to, name),
        FileType::Symlink => {
            let link = rustix::fs::readlinkat(from, name, Vec::new()).map_err(at("readlinkat"))?;
            rustix::fs::symlinkat(&*link, to, name).map_err(at("symlinkat"))?;
        }
        kind => rustix::fs::mknodat(to, name, kind, Mode::RUSR, stat.st_rdev).map_err(at("mknodat"))?,
    }
    if is_whiteout(stat) {
        return Ok(0);
    }
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(at("fchownat"))?;
    if !FileType::from_raw_mode(stat.st_mode).is_symlink() {
        // Made by us a moment ago and no link, so following makes no difference.
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        rustix::fs::chmodat(to, name, mode, AtFlags::empty()).map_err(at("fchmodat"))?;
    }
    rustix::fs::utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW).map_err(at("utimensat"))?;
    Ok(0)
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &OsStr) -> Result<u64, Failed> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, read, Mode::empty()).map_err(at("openat"))?;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = rustix::fs::openat(to, name, write, Mode::RUSR | Mode::WUSR).map_err(at("openat(O_CREAT|O_EXCL)"))?;
    let stat = rustix::fs::fstat(&source).map_err(at("fstat"))?;
    let size = stat.st_size.unsigned_abs();
    if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        copy_data(&source, &target, size).map_err(at("copy_file_range"))?;
    }
    copy_metadata(&target, &source, &stat, |_| true)?;
    Ok(size)
}

/// Gives the directory `to` the metadata of `from`, its time last: nothing more is made in it.
pub(super) fn describe_as(to: &OwnedFd, from: &OwnedFd, directory: &DirectoryMarks, path: &[u8]) -> Fallible<()> {
    let describe = || {
        let stat = rustix::fs::fstat(from).map_err(at("fstat"))?;
        let own = prefix(directory.marks);
        let set = |name: &str, value: &[u8]| {
            rustix::fs::fsetxattr(to, name, value, XattrFlags::empty()).map_err(at("fsetxattr(overlay)"))
        };
        if directory.opaque {
            set(opaque_name(directory.marks), b"y")?;
        }
        // overlayfs looks for whiteouts in a directory of one layer only if this mark says "copied up, origin unknown".
        // Without it they would be listed as names without files where nothing below has the directory.
        if directory.whiteouts {
            set(origin_name(directory.marks), b"")?;
        }
        copy_metadata(to, from, &stat, |name| !is_own(name, own))
    };
    describe().map_err(|(call, errno)| failed(call, path, b"", errno))
}

/// Owner, mode, attributes, times. `chown` clears the setuid bit and capabilities, so it is first.
fn copy_metadata(to: &OwnedFd, from: &OwnedFd, stat: &Stat, keep: impl Fn(&[u8]) -> bool) -> Result<(), Failed> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::fchown(to, Some(uid), Some(gid)).map_err(at("fchown"))?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777)).map_err(at("fchmod"))?;
    let kept = |name: &[u8]| keep(name) && !is_of_the_machine(name);
    for (name, value) in crate::sys::layers::xattrs(from, kept).map_err(at("flistxattr"))? {
        rustix::fs::fsetxattr(to, OsStr::from_bytes(&name), &value, XattrFlags::empty()).map_err(at("fsetxattr"))?;
    }
    rustix::fs::futimens(to.as_fd(), &times(stat)).map_err(at("futimens"))
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec.cast_signed() },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.cast_signed() },
    }
}

/// Labels that the kernel gives to what is made.
fn is_of_the_machine(name: &[u8]) -> bool {
    name.starts_with(b"security.") && name != b"security.capability"
}

fn prefix(marks: Marks) -> &'static [u8] {
    match marks {
        Marks::Trusted => b"trusted.overlay.",
        Marks::User => b"user.overlay.",
    }
}

/// Whether an attribute is a mark of overlayfs for itself. With the prefix doubled it is one of an overlay that a step
/// mounted, which the outer one shows to it without the doubling.
fn is_own(name: &[u8], prefix: &[u8]) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| !rest.starts_with(b"overlay."))
}

fn origin_name(marks: Marks) -> &'static str {
    match marks {
        Marks::Trusted => "trusted.overlay.origin",
        Marks::User => "user.overlay.origin",
    }
}
