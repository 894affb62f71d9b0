//! The trees below the layer: where implied parent directories and the targets of hard links come from.

use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::quote::quote;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The stack, topmost first, read as overlayfs merges it.
#[derive(Debug)]
pub(crate) struct Lower {
    trees: Vec<Beneath>,
    opaque: &'static str,
}

/// Something found in the stack.
#[derive(Debug)]
pub(crate) struct Found {
    /// The directory that holds it.
    pub(crate) parent: OwnedFd,
    /// What it is.
    pub(crate) stat: Stat,
}

enum Step {
    Found(Found),
    /// Not here; the next tree counts.
    Absent,
    /// Not here, and hidden in all trees below.
    Hidden,
}

impl Lower {
    /// Opens the roots.
    pub(crate) fn open(paths: &[String], marks: Marks) -> Fallible<Self> {
        let trees = paths.iter().map(|path| Beneath::open_root(Path::new(path))).collect::<Fallible<_>>()?;
        Ok(Self { trees, opaque: super::metadata::opaque_name(marks) })
    }

    /// Whether this is the first layer.
    pub(crate) fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// The topmost root.
    pub(crate) fn top(&self) -> Option<&Beneath> {
        self.trees.first()
    }

    /// Looks a clean path up; symlinks are not followed, neither on the way nor at the end.
    pub(crate) fn find(&self, path: &[u8]) -> Fallible<Option<Found>> {
        for tree in &self.trees {
            match self.find_in(tree, path)? {
                Step::Found(found) => return Ok(Some(found)),
                Step::Absent => {}
                Step::Hidden => return Ok(None),
            }
        }
        Ok(None)
    }

    fn find_in(&self, tree: &Beneath, path: &[u8]) -> Fallible<Step> {
        let mut hidden = false;
        let mut dir =
            tree.open(b".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty(), Links::Refuse).map_err(failed(path))?;
        let mut components = path.split(|&byte| byte == b'/').peekable();
        while let Some(component) = components.next() {
            let name = OsStr::from_bytes(component);
            let stat = match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => return Ok(if hidden { Step::Hidden } else { Step::Absent }),
                Err(errno) => return Err(failed(path)(errno)),
            };
            if is_whiteout(&stat) {
                return Ok(Step::Hidden);
            }
            if components.peek().is_none() {
                return Ok(Step::Found(Found { parent: dir, stat }));
            }
            if !FileType::from_raw_mode(stat.st_mode).is_dir() {
                return Ok(Step::Hidden);
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            dir = rustix::fs::openat(&dir, name, flags, Mode::empty()).map_err(failed(path))?;
            hidden |= has_mark(&dir, self.opaque);
        }
        Ok(Step::Absent)
    }

    /// The names that are visible in the merged root.
    pub(crate) fn root_names(&self) -> Fallible<Vec<Vec<u8>>> {
        let mut names = std::collections::BTreeSet::new();
        for tree in &self.trees {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let dir = tree.open(b".", flags, Mode::empty(), Links::Refuse).map_err(failed(b"/"))?;
            for entry in rustix::fs::Dir::new(dir).map_err(failed(b"/"))? {
                let name = entry.map_err(failed(b"/"))?.file_name().to_bytes().to_vec();
                if name != b"." && name != b".." {
                    names.insert(name);
                }
            }
        }
        Ok(names.into_iter().collect())
    }
}

/// Whether overlayfs takes this for a whiteout.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_char_device() && stat.st_rdev == 0
}

/// Whether a mark of overlayfs has the value `y`.
pub(crate) fn has_mark(fd: &OwnedFd, name: &str) -> bool {
    let mut value = [0_u8; 1];
    rustix::fs::fgetxattr(fd, name, &mut value[..]) == Ok(1) && value == *b"y"
}

fn failed(path: &[u8]) -> impl Fn(Errno) -> Failure + '_ {
    move |errno| Failure::syscall(format!("openat(lower, {})", quote(path)), errno)
}
