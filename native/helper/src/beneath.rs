//! The only way this program names a file below a root it does not trust.
//!
//! Every path is resolved by the kernel with `RESOLVE_IN_ROOT`: `..` and absolute symlinks stay inside, magic links are
//! refused. A check and a use are never two resolutions of one path: callers keep the descriptor.

use crate::error::{Failure, Fallible};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A directory tree that cannot be left.
#[derive(Debug)]
pub(crate) struct Beneath {
    root: OwnedFd,
}

/// How symlinks on the way are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// Followed inside the root, the last component too unless `O_NOFOLLOW` is given.
    Follow,
    /// Refused with ELOOP wherever they stand.
    Refuse,
}

impl Beneath {
    /// Takes a directory descriptor as the root.
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// Opens a trusted host path as the root; the path itself may hold symlinks.
    pub(crate) fn open_root(path: &Path) -> Fallible<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
            .map(Self::new)
            .map_err(|errno| Failure::syscall(format!("open({path:?}, O_PATH|O_DIRECTORY)"), errno))
    }

    /// The root directory itself.
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens `path` below the root. Empty, `.` and `/` name the root.
    pub(crate) fn open(&self, path: &[u8], flags: OFlags, mode: Mode, links: Links) -> Result<OwnedFd, Errno> {
        let relative = relative(path);
        let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        if links == Links::Refuse {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        loop {
            match rustix::fs::openat2(&self.root, relative, flags | OFlags::CLOEXEC, mode, resolve) {
                // The kernel gives EAGAIN when a rename elsewhere raced with the `..` check; it asks for a retry.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Opens the directory that holds the last component of `path`, following symlinks inside the root, and gives that
    /// component. `None` as component means that `path` names the root itself.
    pub(crate) fn open_parent<'p>(&self, path: &'p [u8]) -> Result<(OwnedFd, Option<&'p OsStr>), Errno> {
        let trimmed = trim_slashes(path);
        let (dir, name) = match trimmed.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (trimmed.get(..at).unwrap_or_default(), trimmed.get(at + 1..).unwrap_or_default()),
            None => (&b""[..], trimmed),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let parent = self.open(dir, flags, Mode::empty(), Links::Follow)?;
        match name {
            b"" | b"." => Ok((parent, None)),
            b".." => Err(Errno::INVAL),
            _ => Ok((parent, Some(OsStr::from_bytes(name)))),
        }
    }
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let mut path = path;
    while let [rest @ .., b'/'] = path {
        path = rest;
    }
    path
}

fn relative(path: &[u8]) -> &Path {
    let mut path = path;
    while let [b'/', rest @ ..] = path {
        path = rest;
    }
    if path.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(path)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn fixture() -> (tempfile::TempDir, Beneath) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/a")).unwrap();
        std::fs::write(dir.path().join("canary"), "host").unwrap();
        std::fs::write(dir.path().join("root/canary"), "inside").unwrap();
        symlink("/canary", dir.path().join("root/abs")).unwrap();
        symlink("../../../canary", dir.path().join("root/a/up")).unwrap();
        let beneath = Beneath::open_root(&dir.path().join("root")).unwrap();
        (dir, beneath)
    }

    fn read(beneath: &Beneath, path: &str) -> Result<String, Errno> {
        let fd = beneath.open(path.as_bytes(), OFlags::RDONLY, Mode::empty(), Links::Follow)?;
        std::io::read_to_string(std::fs::File::from(fd)).map_err(|_| Errno::IO)
    }

    #[test]
    fn open_keeps_absolute_and_upward_links_inside() {
        let (_dir, beneath) = fixture();
        for path in ["abs", "/abs", "a/up", "../canary", "../../canary", "/a/../../canary"] {
            assert_eq!(read(&beneath, path).as_deref(), Ok("inside"), "{path}");
        }
    }

    #[test]
    fn open_refuses_links_when_told() {
        let (_dir, beneath) = fixture();
        let got = beneath.open(b"abs", OFlags::RDONLY, Mode::empty(), Links::Refuse);
        assert_eq!(got.err(), Some(Errno::LOOP));
    }

    #[test]
    fn open_parent_gives_the_last_component() {
        let (_dir, beneath) = fixture();
        let (_, name) = beneath.open_parent(b"/a/new/").unwrap();
        assert_eq!(name, Some(OsStr::new("new")));
        assert_eq!(beneath.open_parent(b"/").unwrap().1, None);
        assert_eq!(beneath.open_parent(b"a/..").err(), Some(Errno::INVAL));
    }
}
