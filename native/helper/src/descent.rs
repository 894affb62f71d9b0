//! Goes through a tree of the store by descriptors, at any depth: each directory before its contents, names in the order
//! of their bytes.

use crate::error::{Failure, Fallible};
use crate::quote::quote;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;
use std::sync::Arc;

/// Directories kept open on the way down; those above are reopened from below.
const OPEN_MAX: usize = 128;
/// How directories are opened.
pub(crate) const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory on the way down.
#[derive(Debug)]
struct Level {
    /// `None` while many directories below it are open.
    fd: Option<Arc<OwnedFd>>,
    inode: (u64, u64),
    /// Length of the path of this directory, with its slash.
    prefix: usize,
    /// The names that are left, the next one last.
    names: Vec<(Vec<u8>, FileType)>,
}

/// A tree that is gone through.
#[derive(Debug)]
pub(crate) struct Descent {
    /// The path of the current directory, with its slash; empty for the root.
    path: Vec<u8>,
    levels: Vec<Level>,
}

/// Opens a tree of the store.
pub(crate) fn open_root(path: &str) -> Fallible<OwnedFd> {
    rustix::fs::open(Path::new(path), DIR.difference(OFlags::NOFOLLOW), Mode::empty())
        .map_err(|errno| Failure::syscall(format!("open({path}, O_DIRECTORY)"), errno))
}

impl Descent {
    /// Begins at a root, which is read.
    pub(crate) fn new(root: OwnedFd) -> Fallible<Self> {
        let mut descent = Self { path: Vec::new(), levels: Vec::new() };
        descent.enter(Vec::new(), root)?;
        Ok(descent)
    }

    /// The next name of the current directory, or of the one above when that has no more; `None` at the end. The kind is
    /// what the listing said: `Unknown` on some file systems.
    pub(crate) fn next(&mut self) -> Fallible<Option<(Vec<u8>, FileType)>> {
        while let Some(level) = self.levels.last_mut() {
            match level.names.pop() {
                Some(entry) => return Ok(Some(entry)),
                None => self.leave()?,
            }
        }
        Ok(None)
    }

    /// Lists a directory of the current one; its names come next. `path` is its own with its slash, [`Descent::full`] and one.
    pub(crate) fn enter(&mut self, path: Vec<u8>, fd: OwnedFd) -> Fallible<()> {
        self.path = path;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| self.failed("fstat", b"", errno))?;
        let mut names = Vec::new();
        let listing = rustix::fs::Dir::read_from(&fd).map_err(|errno| self.failed("getdents64", b"", errno))?;
        for entry in listing {
            let entry = entry.map_err(|errno| self.failed("getdents64", b"", errno))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push((name.to_vec(), entry.file_type()));
            }
        }
        names.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        if let Some(above) = self.levels.len().checked_sub(OPEN_MAX).and_then(|at| self.levels.get_mut(at)) {
            above.fd = None;
        }
        let prefix = self.path.len();
        self.levels.push(Level { fd: Some(Arc::new(fd)), inode: (stat.st_dev, stat.st_ino), prefix, names });
        Ok(())
    }

    fn leave(&mut self) -> Fallible<()> {
        let Some(done) = self.levels.pop() else { return Ok(()) };
        let Some(above) = self.levels.last_mut() else { return Ok(()) };
        self.path.truncate(above.prefix);
        if above.fd.is_some() {
            return Ok(());
        }
        let Some(below) = done.fd else { return Err(Failure::internal("a directory was closed too early")) };
        let reopened = rustix::fs::openat(&below, "..", DIR, Mode::empty())
            .and_then(|fd| rustix::fs::fstat(&fd).map(|stat| (fd, stat)));
        match reopened {
            Ok((fd, stat)) if (stat.st_dev, stat.st_ino) == above.inode => {
                above.fd = Some(Arc::new(fd));
                Ok(())
            }
            Ok(_) => Err(self.changed(b"")),
            Err(errno) => Err(self.failed("openat", b"..", errno)),
        }
    }

    /// The current directory.
    pub(crate) fn dir(&self) -> Fallible<&Arc<OwnedFd>> {
        let level = self.levels.last().and_then(|level| level.fd.as_ref());
        level.ok_or_else(|| Failure::internal("no directory is open"))
    }

    /// Its path with its slash; empty for the root.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The path of a name in it.
    pub(crate) fn full(&self, name: &[u8]) -> Vec<u8> {
        [&self.path, name].concat()
    }

    /// The failure of a call on a name in it.
    pub(crate) fn failed(&self, call: &str, name: &[u8], errno: Errno) -> Failure {
        Failure::syscall(format!("{call}({})", quote(&self.full(name))), errno)
    }

    /// A name in it is not what it was a moment ago.
    pub(crate) fn changed(&self, name: &[u8]) -> Failure {
        changed(&self.full(name))
    }
}

/// What has this path is not what it was a moment ago.
pub(crate) fn changed(path: &[u8]) -> Failure {
    Failure::internal(format!("{} changed while it was read; a snapshot must not", quote(path)))
}
