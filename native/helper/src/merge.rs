//! `merge`: makes one tree that, as a lower layer, means the same as a run of trees.
//!
//! What a run shows and what it hides of the trees below it are both kept: whiteouts stay, and a directory that hides what
//! is below becomes opaque. Files are hard links into the trees of the run, which never change. docs/adr/0022 has the
//! reasons.
//!
//! Everything that is made in a directory is made before the next one is entered, so its metadata can be set at once and
//! no way back up is needed for it.

mod listing;
mod place;

use crate::apply::has_mark;
use crate::apply::metadata::opaque_name;
use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::Outcome;
use crate::quote::quote;
use listing::{Found, Source, list};
use place::Placed;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Descriptors of directories kept open on the way down; those above are opened again by their paths.
const OPEN_MAX: usize = 512;
/// The kernel takes paths of less than 4096 bytes.
const PATH_BYTES: usize = 4000;

/// Merges a run of trees, topmost first, into the empty directory `target`.
///
/// On failure `target` is left half made; the caller removes it.
///
/// # Errors
/// `ERR_STORE_NO_SPACE`, `ERR_PERMISSION` and failed calls.
pub(crate) fn merge(lower: &[String], target: &str, marks: Marks) -> Fallible<Outcome> {
    if lower.is_empty() {
        return Err(Failure::internal("there is nothing to merge"));
    }
    let sources = lower.iter().map(|path| Beneath::open_root(Path::new(path))).collect::<Fallible<Vec<Beneath>>>()?;
    let target = Beneath::open_root(Path::new(target))?;
    let merger = Merger {
        sources,
        placed: Placed::new(target),
        marks,
        path: Vec::new(),
        levels: Vec::new(),
        open: 0,
        closed: 0,
        directories: 0,
    };
    merger.run()
}

/// A directory of the run that is there to be merged, opened.
#[derive(Debug)]
struct Dirs {
    target: OwnedFd,
    /// Topmost first.
    sources: Vec<Source>,
}

/// A subdirectory that is still to be merged. It is made already.
#[derive(Debug)]
struct Subdirectory {
    name: Vec<u8>,
    /// The trees of the run that may have it, topmost first, by their place in the run.
    trees: Vec<usize>,
    /// The run hides what the trees below it have here.
    closed: bool,
}

/// A directory on the way down.
#[derive(Debug)]
struct Level {
    /// `None` when nothing is left to do, or while many directories below it are open.
    dirs: Option<Dirs>,
    /// The trees that have it, for opening it again.
    trees: Vec<usize>,
    /// Length of its path, with its slash.
    prefix: usize,
    /// Nothing of the trees below the run shows in it.
    hidden: bool,
    subdirectories: Vec<Subdirectory>,
}

#[derive(Debug)]
struct Merger {
    sources: Vec<Beneath>,
    placed: Placed,
    marks: Marks,
    /// The path of the current directory, with its slash; empty for the root.
    path: Vec<u8>,
    levels: Vec<Level>,
    /// Descriptors that the levels hold.
    open: usize,
    /// The levels before this one hold none.
    closed: usize,
    directories: u64,
}

impl Merger {
    fn run(mut self) -> Fallible<Outcome> {
        let trees: Vec<usize> = (0..self.sources.len()).collect();
        let root = self.open_dirs(&trees)?;
        // For overlayfs the root of a layer is never opaque.
        self.enter(root, false, false)?;
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.prefix);
            match level.subdirectories.pop() {
                Some(subdirectory) => self.descend(subdirectory)?,
                None => self.leave(),
            }
        }
        let (linked, copied_bytes) = (self.placed.linked, self.placed.copied_bytes);
        Ok(Outcome::Merge { linked, copied_bytes, directories: self.directories })
    }

    fn descend(&mut self, subdirectory: Subdirectory) -> Fallible<()> {
        let Subdirectory { name, trees, mut closed } = subdirectory;
        self.reopen()?;
        let Some(Level { dirs: Some(dirs), hidden, .. }) = self.levels.last() else {
            return Err(Failure::internal("a directory was closed too early"));
        };
        let (hidden, os_name) = (*hidden, OsStr::from_bytes(&name));
        let open = |dir: &OwnedFd| rustix::fs::openat(dir, os_name, DIR, Mode::empty());
        let target = open(&dirs.target).map_err(|errno| self.failed("openat", &name, errno))?;
        let mut sources = Vec::new();
        for tree in trees {
            let Some(above) = dirs.sources.iter().find(|source| source.tree == tree) else { continue };
            let fd = open(&above.fd).map_err(|errno| self.failed("openat", &name, errno))?;
            let opaque = has_mark(&fd, opaque_name(self.marks));
            sources.push(Source { tree, fd });
            if opaque {
                closed = true;
                break;
            }
        }
        self.path.extend_from_slice(&name);
        self.path.push(b'/');
        self.enter(Dirs { target, sources }, closed && !hidden, closed || hidden)
    }

    /// Fills the directory whose path is `self.path`, but not those in it. `opaque` ones are marked so; in `hidden` ones
    /// nothing of the trees below the run shows anyway.
    fn enter(&mut self, dirs: Dirs, opaque: bool, hidden: bool) -> Fallible<()> {
        let mut subdirectories = Vec::new();
        let mut whiteouts = false;
        for (name, found) in list(&dirs.sources).map_err(|(name, errno)| self.failed("getdents64", &name, errno))? {
            match found {
                Found::Whiteout(_) if hidden => {}
                Found::Whiteout(at) | Found::Other(at) => {
                    whiteouts |= matches!(found, Found::Whiteout(_));
                    let Some(source) = dirs.sources.get(at) else { continue };
                    self.placed.place(source.fd.as_fd(), dirs.target.as_fd(), &self.path, &name)?;
                }
                Found::Directory { trees, closed } => {
                    rustix::fs::mkdirat(&dirs.target, OsStr::from_bytes(&name), Mode::RWXU)
                        .map_err(|errno| self.failed("mkdirat", &name, errno))?;
                    subdirectories.push(Subdirectory { name, trees, closed });
                }
            }
        }
        if let Some(top) = dirs.sources.first() {
            let marks = place::DirectoryMarks { marks: self.marks, opaque, whiteouts };
            place::describe_as(&dirs.target, &top.fd, &marks, &self.path)?;
        }
        self.directories += 1;
        self.push(dirs, hidden, subdirectories);
        Ok(())
    }

    fn push(&mut self, dirs: Dirs, hidden: bool, subdirectories: Vec<Subdirectory>) {
        let trees = dirs.sources.iter().map(|source| source.tree).collect();
        let dirs = (!subdirectories.is_empty()).then_some(dirs);
        // The level above may have had this one as its last.
        if let Some(above) = self.levels.last_mut()
            && above.subdirectories.is_empty()
            && let Some(done) = above.dirs.take()
        {
            self.open -= done.sources.len() + 1;
        }
        self.open += dirs.as_ref().map_or(0, |dirs| dirs.sources.len() + 1);
        self.levels.push(Level { dirs, trees, prefix: self.path.len(), hidden, subdirectories });
        while self.open > OPEN_MAX && self.closed + 1 < self.levels.len() {
            if let Some(done) = self.levels.get_mut(self.closed).and_then(|level| level.dirs.take()) {
                self.open -= done.sources.len() + 1;
            }
            self.closed += 1;
        }
    }

    fn leave(&mut self) {
        if let Some(Level { dirs: Some(dirs), .. }) = self.levels.pop() {
            self.open -= dirs.sources.len() + 1;
        }
        self.closed = self.closed.min(self.levels.len());
    }

    /// Opens the current directory again if it was closed.
    fn reopen(&mut self) -> Fallible<()> {
        let Some(Level { dirs: None, trees, .. }) = self.levels.last() else { return Ok(()) };
        let dirs = self.open_dirs(trees)?;
        self.open += dirs.sources.len() + 1;
        self.closed = self.closed.min(self.levels.len().saturating_sub(1));
        if let Some(level) = self.levels.last_mut() {
            level.dirs = Some(dirs);
        }
        Ok(())
    }

    /// Opens the current directory in the target and in these trees.
    fn open_dirs(&self, trees: &[usize]) -> Fallible<Dirs> {
        let open =
            |root: &Beneath| open_long(root, &self.path, DIR).map_err(|errno| self.failed("openat2", b"", errno));
        let target = open(self.placed.target())?;
        let source = |&tree: &usize| {
            let root = self.sources.get(tree).ok_or_else(|| Failure::internal("no such tree in the run"))?;
            Ok(Source { tree, fd: open(root)? })
        };
        Ok(Dirs { target, sources: trees.iter().map(source).collect::<Fallible<_>>()? })
    }

    fn failed(&self, call: &str, name: &[u8], errno: Errno) -> Failure {
        failed(call, &self.path, name, errno)
    }
}

/// Opens a directory below a root, however long its path is. Symlinks are refused.
fn open_long(root: &Beneath, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut rest = path;
    let mut dir = None;
    while rest.len() > PATH_BYTES {
        let end = rest.get(..PATH_BYTES).and_then(|head| head.iter().rposition(|&byte| byte == b'/'));
        let (head, tail) = rest.split_at_checked(end.ok_or(Errno::NAMETOOLONG)? + 1).ok_or(Errno::NAMETOOLONG)?;
        let next =
            dir.as_ref().unwrap_or(root).open(head, OFlags::PATH | OFlags::DIRECTORY, Mode::empty(), Links::Refuse);
        dir = Some(Beneath::new(next?));
        rest = tail;
    }
    dir.as_ref().unwrap_or(root).open(rest, flags, Mode::empty(), Links::Refuse)
}

fn failed(call: &str, path: &[u8], name: &[u8], errno: Errno) -> Failure {
    Failure::syscall(format!("{call}({})", quote(&[path, name].concat())), errno)
}
