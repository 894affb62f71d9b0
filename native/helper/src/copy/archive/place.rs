//! Where the names of an archive lead below the destination.

use super::refused;
use super::remove::remove_tree;
use crate::beneath::{Beneath, Links};
use crate::copy::below;
use crate::copy::target::{NewDirs, Target, shown, write_failure};
use crate::error::{Failure, Fallible};
use crate::quote::quote;
use crate::select::resolve;
use crate::tar::Time;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// Directories kept open; well below any limit on descriptors.
const CACHE: usize = 128;
/// What the paths of all directories of one archive may add up to: they are kept until the end.
const MAX_PATH_BYTES: usize = 256 << 20;
/// `PATH_MAX`: a longer name could not be opened afterwards.
const MAX_NAME: usize = 4095;
/// How a directory is opened to be changed.
const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);

/// A directory that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) fd: OwnedFd,
    /// Below the destination, free of symlinks.
    pub(super) path: Vec<u8>,
}

/// What a directory gets when nothing more is made in it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) mtime: Time,
    pub(super) default_acl: Option<Vec<u8>>,
}

/// The destination.
#[derive(Debug)]
pub(super) struct Places<'a> {
    target: Target,
    /// Its path in the snapshot.
    base: &'a [u8],
    new_dirs: NewDirs,
    /// By the path as the archive writes it. Emptied when something that a resolution may have passed goes.
    cache: HashMap<Vec<u8>, Rc<Found>>,
    /// By the path free of symlinks.
    pending: BTreeMap<Vec<u8>, Pending>,
    path_bytes: usize,
}

/// The place that a name has in the destination: `..` cannot lead above it, and the rest of the name does not count
/// before it, as with a chroot. Empty for the destination itself.
///
/// # Errors
/// `ERR_ADD_ARCHIVE` for a name longer than the kernel takes.
pub(super) fn clean(name: &[u8]) -> Fallible<Vec<u8>> {
    if name.len() > MAX_NAME {
        return Err(refused(format!("a name has more than {MAX_NAME} bytes")));
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    Ok(parts.join(&b'/'))
}

/// The directory part and the last component.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    crate::copy::split(path)
}

impl<'a> Places<'a> {
    pub(super) fn new(root: Beneath, base: &'a [u8], new_dirs: NewDirs) -> Self {
        let (cache, pending) = (HashMap::new(), BTreeMap::new());
        Self { target: Target { root }, base, new_dirs, cache, pending, path_bytes: 0 }
    }

    /// A path below the destination as one of the snapshot, for messages.
    pub(super) fn shown(&self, path: &[u8]) -> Vec<u8> {
        below(self.base, path)
    }

    /// The directory that a clean path leads to; what is missing is made.
    pub(super) fn directory(&mut self, path: &[u8]) -> Fallible<Rc<Found>> {
        if let Some(known) = self.cache.get(path) {
            return Ok(Rc::clone(known));
        }
        let found = match self.target.root.open(path, DIR, Mode::empty(), Links::Refuse) {
            Ok(fd) => Found { fd, path: path.to_vec() },
            Err(_) => self.walk(path)?,
        };
        if self.cache.len() >= CACHE {
            self.cache.clear();
        }
        let found = Rc::new(found);
        self.cache.insert(path.to_vec(), Rc::clone(&found));
        Ok(found)
    }

    fn walk(&self, path: &[u8]) -> Fallible<Found> {
        let resolved = resolve(&self.target.root, path).map_err(|errno| self.failure("openat2", path, errno))?;
        let fd = self.target.make_dirs(&resolved.path, self.new_dirs, self.new_dirs);
        let fd = fd.map_err(|failure| match failure.code {
            "ERR_COPY_NOT_DIRECTORY" => self.failure("openat2", path, Errno::NOTDIR),
            "ERR_PATH_INVALID" => self.failure("openat2", path, Errno::NAMETOOLONG),
            _ => failure,
        })?;
        Ok(Found { fd, path: resolved.path })
    }

    /// As [`Places::directory`], but makes nothing.
    pub(super) fn existing(&self, path: &[u8]) -> Fallible<Option<OwnedFd>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.target.root.open(path, flags, Mode::empty(), Links::Follow) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(self.failure("openat2", path, errno)),
        }
    }

    /// Removes whatever has this name, a directory with everything in it.
    pub(super) fn clear(&mut self, dir: &Found, name: &[u8]) -> Fallible<()> {
        let path = below(&dir.path, name);
        let Some(stat) = self.stat(dir, name)? else { return Ok(()) };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind.is_dir() || kind.is_symlink() {
            self.cache.clear();
        }
        if !kind.is_dir() {
            return rustix::fs::unlinkat(&dir.fd, OsStr::from_bytes(name), AtFlags::empty())
                .map_err(|errno| self.failure("unlinkat", &path, errno));
        }
        self.forget(&path);
        remove_tree(dir.as_fd(), name).map_err(|errno| self.failure("unlinkat(recursive)", &path, errno))
    }

    /// Drops what waits for a directory and for those below it.
    fn forget(&mut self, path: &[u8]) {
        let inside = [path, b"/"].concat();
        let gone: Vec<Vec<u8>> = self
            .pending
            .range(inside.clone()..)
            .map(|(known, _)| known)
            .take_while(|known| known.starts_with(&inside))
            .cloned()
            .collect();
        for known in gone.iter().map(Vec::as_slice).chain([path]) {
            if self.pending.remove(known).is_some() {
                self.path_bytes -= known.len();
            }
        }
    }

    /// The entry with this name, links not followed.
    pub(super) fn stat(&self, dir: &Found, name: &[u8]) -> Fallible<Option<Stat>> {
        match rustix::fs::statat(&dir.fd, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failure("newfstatat", &below(&dir.path, name), errno)),
        }
    }

    /// What a directory gets at the end; the last description counts.
    pub(super) fn wait(&mut self, path: Vec<u8>, pending: Pending) -> Fallible<()> {
        let length = path.len();
        if self.pending.insert(path, pending).is_none() {
            self.path_bytes += length;
        }
        if self.path_bytes > MAX_PATH_BYTES {
            return Err(refused(format!("the paths of its directories have more than {MAX_PATH_BYTES} bytes")));
        }
        Ok(())
    }

    /// What waits, each with its open directory.
    pub(super) fn take_pending(
        &mut self,
        mut set: impl FnMut(OwnedFd, &[u8], Pending) -> Fallible<()>,
    ) -> Fallible<()> {
        for (path, pending) in std::mem::take(&mut self.pending) {
            let dir = self.target.root.open(&path, DIR, Mode::empty(), Links::Refuse);
            set(dir.map_err(|errno| self.failure("openat2", &path, errno))?, &self.shown(&path), pending)?;
        }
        Ok(())
    }

    /// A failed call about a name of the archive. Some errnos say that the archive, not the machine, is wrong.
    pub(super) fn failure(&self, call: &str, path: &[u8], errno: Errno) -> Failure {
        let path = self.shown(path);
        let why = match errno {
            Errno::NOTDIR => "leads through something that is no directory",
            Errno::LOOP => "leads through more than 40 symlinks",
            Errno::NAMETOOLONG => "is too long",
            Errno::INVAL | Errno::ILSEQ => "is no name that the file system takes",
            _ => return write_failure(call, &path, errno),
        };
        refused(format!("{} {why}", quote(shown(&path).as_bytes())))
    }
}

impl Found {
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        rustix::fd::AsFd::as_fd(&self.fd)
    }
}
