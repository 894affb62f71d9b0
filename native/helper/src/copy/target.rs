//! The snapshot that is written to.
//!
//! Nobody else writes to it, so a path that was resolved stays true; every open refuses symlinks all the same.

use crate::beneath::{Beneath, Links};
use crate::copy::chmod::Chmod;
use crate::error::{Failure, Fallible};
use crate::owner::Owner;
use crate::quote::quote;
use crate::select::{Resolved, resolve};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RawMode, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The destination.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) root: Beneath,
}

/// How directories that a destination needs are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewDirs {
    pub(crate) owner: Option<Owner>,
    pub(crate) mode: u32,
}

impl NewDirs {
    /// As COPY makes them: 0755 and root's, unless `--chown` or an octal `--chmod` says otherwise.
    pub(crate) fn of(owner: Option<Owner>, chmod: Option<&Chmod>) -> Self {
        let mode = match chmod {
            Some(Chmod::Octal(mode)) => *mode,
            Some(Chmod::Symbolic(_)) | None => 0o755,
        };
        Self { owner, mode }
    }
}

impl Target {
    /// Follows a destination path, symlinks inside the root and dangling ones too.
    ///
    /// # Errors
    /// `ERR_COPY_NOT_DIRECTORY` if it leads through something that is no directory, `ERR_SYMLINK_LOOP`.
    pub(crate) fn resolve(&self, path: &str) -> Fallible<Resolved> {
        resolve(&self.root, path.as_bytes()).map_err(|errno| match errno {
            Errno::NOTDIR => not_directory(path.as_bytes()),
            Errno::LOOP => Failure::user("ERR_SYMLINK_LOOP", format!("{path:?} leads through more than 40 symlinks")),
            Errno::NAMETOOLONG | Errno::INVAL => {
                Failure::user("ERR_PATH_INVALID", format!("{path:?} is no path: {errno}"))
            }
            _ => Failure::syscall(format!("openat2({path:?})"), errno),
        })
    }

    /// Opens an existing directory by its resolved path.
    pub(crate) fn open_dir(&self, path: &[u8]) -> Fallible<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        self.root.open(path, flags, Mode::empty(), Links::Refuse).map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => not_directory(path),
            _ => write_failure("openat2(O_DIRECTORY)", path, errno),
        })
    }

    /// Opens the directory that has this path below resolved ones; a symlink there is followed inside the root. Gives
    /// its own path, free of symlinks, too.
    ///
    /// # Errors
    /// `ERR_COPY_NOT_DIRECTORY` if it is something else, or a symlink that leads to no directory.
    pub(crate) fn enter(&self, path: &[u8]) -> Fallible<(Vec<u8>, OwnedFd)> {
        let failure = match self.open_dir(path) {
            Ok(dir) => return Ok((path.to_vec(), dir)),
            Err(failure) if failure.code == "ERR_COPY_NOT_DIRECTORY" => failure,
            Err(failure) => return Err(failure),
        };
        let resolved = match resolve(&self.root, path) {
            Ok(resolved) if resolved.links.is_empty() => return Err(failure),
            Ok(resolved) => resolved.stat.is_some().then_some(resolved.path),
            Err(_) => None,
        };
        let through = resolved.and_then(|path| self.open_dir(&path).ok().map(|dir| (path, dir)));
        through.ok_or_else(|| {
            let message = format!("{}, a symlink that leads to no directory", failure.message);
            Failure { message, ..failure }
        })
    }

    /// Makes a directory by its resolved path, with its parents, and opens it. What is there is left as it is.
    ///
    /// # Errors
    /// `ERR_COPY_NOT_DIRECTORY` where something else has one of the names.
    pub(crate) fn make_dirs(&self, path: &[u8], parents: NewDirs, last: NewDirs) -> Fallible<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        match self.root.open(path, flags, Mode::empty(), Links::Refuse) {
            Ok(dir) => return Ok(dir),
            Err(Errno::NOENT) => {}
            Err(_) => return self.open_dir(path),
        }
        let at = path.iter().rposition(|&byte| byte == b'/');
        let (parent, name) = match at {
            Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
            None => (&b""[..], path),
        };
        let parent = self.make_dirs(parent, parents, parents)?;
        make_dir(parent.as_fd(), name, path)?;
        let dir = self.open_dir(path)?;
        if let Some(owner) = last.owner {
            set_owner(dir.as_fd(), owner, path)?;
        }
        set_mode(dir.as_fd(), last.mode, path)?;
        Ok(dir)
    }
}

/// `mkdirat(2)`; `false` if the name is taken.
pub(crate) fn make_dir(parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Fallible<bool> {
    match rustix::fs::mkdirat(parent, OsStr::from_bytes(name), Mode::from_raw_mode(0o700)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(write_failure("mkdirat", path, errno)),
    }
}

/// `fchown(2)`.
pub(crate) fn set_owner(file: BorrowedFd<'_>, owner: Owner, path: &[u8]) -> Fallible<()> {
    let (uid, gid) = ids(owner);
    rustix::fs::fchown(file, uid, gid).map_err(|errno| owner_failure(owner, path, errno))
}

/// `fchownat(2)` on the name itself, a symlink too.
pub(crate) fn set_owner_at(dir: BorrowedFd<'_>, name: &[u8], owner: Owner, path: &[u8]) -> Fallible<()> {
    let (uid, gid) = ids(owner);
    rustix::fs::chownat(dir, OsStr::from_bytes(name), uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| owner_failure(owner, path, errno))
}

fn ids(owner: Owner) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
}

/// `fchmod(2)`.
pub(crate) fn set_mode(file: BorrowedFd<'_>, mode: u32, path: &[u8]) -> Fallible<()> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode as RawMode)).map_err(|errno| write_failure("fchmod", path, errno))
}

/// The argument of `utimensat(2)` that sets mtime alone.
pub(crate) fn mtime_only(mtime: (i64, i64)) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.0, tv_nsec: mtime.1 },
    }
}

/// A path of the snapshot as the user knows it.
pub(crate) fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path).trim_start_matches('/'))
}

/// Something that must be a directory is none.
pub(crate) fn not_directory(path: &[u8]) -> Failure {
    Failure::user("ERR_COPY_NOT_DIRECTORY", format!("cannot copy to non-directory: {}", shown(path)))
}

/// The failure of a call that changes the snapshot.
pub(crate) fn write_failure(call: &str, path: &[u8], errno: Errno) -> Failure {
    match errno {
        Errno::NAMETOOLONG => {
            Failure::user("ERR_PATH_INVALID", format!("{} has a name that is too long", quote(shown(path).as_bytes())))
        }
        _ => Failure::syscall(format!("{call}({})", quote(shown(path).as_bytes())), errno),
    }
}

fn owner_failure(owner: Owner, path: &[u8], errno: Errno) -> Failure {
    let Owner { uid, gid } = owner;
    match errno {
        // An id that the user namespace does not map.
        Errno::INVAL => Failure {
            errno: Some(errno),
            ..Failure::environment(
                "ERR_ROOTLESS_IDMAP",
                format!("cannot give {:?} the owner {uid}:{gid}: this user has no such id to give", shown(path)),
            )
        },
        _ => Failure::syscall(format!("fchown({:?}, {uid}, {gid})", shown(path)), errno),
    }
}
