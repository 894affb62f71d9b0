//! Makes single entries in a directory of the snapshot; what has the name before is unlinked first.

use super::below;
use super::data::write_all;
use super::target::{set_mode, set_owner, set_owner_at, shown, write_failure};
use crate::error::{Failure, Fallible};
use crate::owner::Owner;
use crate::select::{Kind, Meta};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A directory that gets entries.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) fd: OwnedFd,
    path: Vec<u8>,
    /// Files made here do not get this process's group.
    sets_group: bool,
    /// Files made here do not get the mode that was asked for.
    sets_mode: bool,
    own: Owner,
}

impl Place {
    /// Looks at what the directory does to new files.
    pub(super) fn new(fd: OwnedFd, path: &[u8]) -> Fallible<Self> {
        let stat = rustix::fs::fstat(&fd).map_err(|errno| write_failure("fstat", path, errno))?;
        let acl = rustix::fs::fgetxattr(&fd, "system.posix_acl_default", &mut [0_u8; 0][..]);
        let own = Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        Ok(Self { fd, path: path.to_vec(), sets_group: stat.st_mode & 0o2000 != 0, sets_mode: acl.is_ok(), own })
    }

    /// The path of an entry.
    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        below(&self.path, name)
    }

    /// Calls `make` and, when the name is taken, unlinks what is there and calls it again.
    pub(super) fn replace<T>(&self, call: &str, name: &[u8], make: impl Fn() -> Result<T, Errno>) -> Fallible<T> {
        match make() {
            Ok(made) => return Ok(made),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(write_failure(call, &self.path_of(name), errno)),
        }
        rustix::fs::unlinkat(&self.fd, OsStr::from_bytes(name), AtFlags::empty()).map_err(|errno| {
            let path = self.path_of(name);
            match errno {
                Errno::ISDIR => {
                    let shown = shown(&path);
                    Failure::user("ERR_COPY_OVER_DIRECTORY", format!("cannot replace to directory {shown} with file"))
                }
                _ => write_failure("unlinkat", &path, errno),
            }
        })?;
        make().map_err(|errno| write_failure(call, &self.path_of(name), errno))
    }

    /// Makes an empty file and opens it for writing. The mode is final unless [`Place::settle`] says otherwise.
    pub(super) fn create(&self, name: &[u8], mode: u32) -> Fallible<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode((mode & 0o777) as RawMode);
        self.replace("openat(O_CREAT|O_EXCL)", name, || {
            rustix::fs::openat(&self.fd, OsStr::from_bytes(name), flags, mode)
        })
    }

    /// Gives a new file its owner, then its mode: a change of owner takes the set-id bits away.
    pub(super) fn settle(&self, file: &OwnedFd, name: &[u8], mode: u32, owner: Owner) -> Fallible<()> {
        let chown = self.sets_group || owner != self.own;
        if chown {
            set_owner(file.as_fd(), owner, &self.path_of(name))?;
        }
        if self.sets_mode || mode & 0o7000 != 0 {
            set_mode(file.as_fd(), mode, &self.path_of(name))?;
        }
        Ok(())
    }

    /// Makes a symbolic link.
    pub(super) fn symlink(&self, name: &[u8], link: &[u8], owner: Owner) -> Fallible<()> {
        self.replace("symlinkat", name, || {
            rustix::fs::symlinkat(OsStr::from_bytes(link), &self.fd, OsStr::from_bytes(name))
        })?;
        if self.sets_group || owner != self.own {
            set_owner_at(self.fd.as_fd(), name, owner, &self.path_of(name))?;
        }
        Ok(())
    }

    /// Makes a fifo or a device.
    pub(super) fn special(&self, name: &[u8], meta: &Meta, mode: u32, owner: Owner) -> Fallible<()> {
        let kind = match meta.kind {
            Kind::Fifo => FileType::Fifo,
            Kind::Char => FileType::CharacterDevice,
            _ => FileType::BlockDevice,
        };
        let path = self.path_of(name);
        if meta.kind == Kind::Char && meta.rdev == 0 {
            let message = format!("cannot copy {:?}: the character device 0:0 is a whiteout", shown(&path));
            return Err(Failure::user("ERR_DEVICE_FORBIDDEN", message));
        }
        let raw = Mode::from_raw_mode((mode & 0o777) as RawMode);
        let made = self
            .replace("mknodat", name, || rustix::fs::mknodat(&self.fd, OsStr::from_bytes(name), kind, raw, meta.rdev));
        made.map_err(|failure| match failure.errno {
            Some(Errno::PERM) => Failure {
                code: "ERR_DEVICE_FORBIDDEN",
                kind: crate::protocol::ErrorKind::User,
                message: format!("cannot make the device {:?}: that takes real root", shown(&path)),
                ..failure
            },
            _ => failure,
        })?;
        if self.sets_group || owner != self.own {
            set_owner_at(self.fd.as_fd(), name, owner, &path)?;
        }
        if self.sets_mode || mode & 0o7000 != 0 {
            // There is no fchmodat2 before Linux 6.6; the name was made a moment ago and is no symlink.
            rustix::fs::chmodat(
                &self.fd,
                OsStr::from_bytes(name),
                Mode::from_raw_mode(mode as RawMode),
                AtFlags::empty(),
            )
            .map_err(|errno| write_failure("fchmodat", &path, errno))?;
        }
        Ok(())
    }
}

/// Makes a file with these bytes.
pub(super) fn new_file(place: &Place, name: &[u8], data: &[u8], mode: u32, owner: Owner) -> Fallible<()> {
    let file = place.create(name, mode)?;
    write_all(&file, data, &place.path_of(name))?;
    place.settle(&file, name, mode, owner)
}
