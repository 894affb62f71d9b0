//! The directory a layer is unpacked into: finding parents, making the missing ones, removing what is replaced.

use super::lower::{Lower, has_mark};
use super::metadata::{self, opaque_name};
use super::names::split;
use super::removal::remove_tree;
use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::quote::quote;
use crate::tar::{Entry, Kind, Time};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

/// Directories kept open; well below any limit on descriptors.
const CACHE: usize = 128;
/// What the paths of all directories of one layer may add up to: they are kept until the end. The directories of a large
/// distribution come to some ten megabytes.
const MAX_PATH_BYTES: usize = 256 << 20;
/// Symlinks followed for one path, as the kernel has it.
const LINKS: usize = 40;
/// How a directory is opened to be changed.
pub(crate) const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The tree in the making. Nobody else changes it while it is made.
#[derive(Debug)]
pub(crate) struct Target {
    tree: Beneath,
    /// The stack below.
    pub(crate) lower: Lower,
    /// Where overlayfs keeps its marks.
    pub(crate) marks: Marks,
    /// Resolved directories. Emptied when something that a resolution may have passed is removed.
    cache: HashMap<Vec<u8>, Rc<OwnedFd>>,
    /// By inode, so that the last description of a directory counts.
    pending: HashMap<u64, Pending>,
    /// Bytes of the paths in `pending`.
    path_bytes: usize,
    /// Places, free of symlinks, that are hidden in the layers below.
    whiteouts: BTreeSet<Vec<u8>>,
    /// The directory of the last one, as written and as resolved.
    last_whiteout: Option<(Vec<u8>, Vec<u8>)>,
    /// Nothing below the root shows.
    opaque_root: bool,
}

/// What a directory gets when nothing more is made in it.
#[derive(Debug)]
struct Pending {
    path: Vec<u8>,
    mtime: Time,
    default_acl: Option<Vec<u8>>,
}

/// What is done about directories that a path leads through and that the tree does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// They are made.
    Make,
    /// They are taken for directories.
    Assume,
}

/// What stood where something new goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// Nothing, or a directory: what the layers below have here shows through.
    Open,
    /// A file: what the layers below have here was hidden, and stays so.
    Hiding,
}

impl Target {
    /// Opens the empty directory and gives it the metadata of the root below.
    pub(crate) fn open(path: &str, lower: Lower, marks: Marks) -> Fallible<Self> {
        let tree = Beneath::open_root(Path::new(path))?;
        let mut target = Self {
            tree,
            lower,
            marks,
            cache: HashMap::new(),
            pending: HashMap::new(),
            path_bytes: 0,
            whiteouts: BTreeSet::new(),
            last_whiteout: None,
            opaque_root: false,
        };
        let mut root = Entry::new(Kind::Directory, Vec::new());
        root.mode = 0o755;
        if let Some(top) = target.lower.top() {
            let fd = top.open(b".", DIR, Mode::empty(), Links::Refuse).map_err(refused("openat", b"/"))?;
            root = describe(&fd, Vec::new())?;
        }
        let fd = target.reopen(b"")?;
        target.set_directory(fd, &root)?;
        Ok(target)
    }

    /// The directory that `path` (clean) names inside the root, symlinks followed, missing directories made.
    pub(crate) fn directory(&mut self, path: &[u8]) -> Fallible<Rc<OwnedFd>> {
        if let Some(known) = self.cache.get(path) {
            return Ok(Rc::clone(known));
        }
        let found = match self.tree.open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty(), Links::Follow) {
            Ok(found) => found,
            // Missing, a dangling link, or a path too long for one call: step by step.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => self.make(path)?,
            Err(errno) => return Err(refused("openat2", path)(errno)),
        };
        Ok(self.remember(path, found))
    }

    /// As [`Target::directory`], but `None` where it does not exist.
    pub(crate) fn existing(&self, path: &[u8]) -> Fallible<Option<Rc<OwnedFd>>> {
        if let Some(known) = self.cache.get(path) {
            return Ok(Some(Rc::clone(known)));
        }
        match self.tree.open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty(), Links::Follow) {
            Ok(found) => Ok(Some(Rc::new(found))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(refused("openat2", path)(errno)),
        }
    }

    /// Something that a resolution may have passed is about to go.
    fn forget(&mut self) {
        self.cache.clear();
        self.last_whiteout = None;
    }

    fn remember(&mut self, path: &[u8], fd: OwnedFd) -> Rc<OwnedFd> {
        if self.cache.len() >= CACHE {
            self.cache.clear();
        }
        let fd = Rc::new(fd);
        self.cache.insert(path.to_vec(), Rc::clone(&fd));
        fd
    }

    fn make(&mut self, path: &[u8]) -> Fallible<OwnedFd> {
        let (dir, place) = self.walk(path, Missing::Make)?;
        dir.ok_or_else(|| refused("openat", &place)(Errno::NOENT))
    }

    /// Resolves one component after the other, as the kernel would inside the root. Gives the place, and the directory
    /// there unless it is missing and was not made.
    fn walk(&mut self, path: &[u8], missing: Missing) -> Fallible<(Option<OwnedFd>, Vec<u8>)> {
        let mut todo: VecDeque<Vec<u8>> = path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect();
        let mut place: Vec<u8> = Vec::new();
        let mut dir = Some(self.reopen(b"")?);
        let mut links = 0;
        // Whether the layers below have nothing at `place`, so that they need not be asked about what lies below it.
        let mut alone = false;
        while let Some(component) = todo.pop_front() {
            match component.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    alone = false;
                    place.truncate(split(&place).0.len());
                    dir = self.descend(&place).ok();
                    continue;
                }
                _ => {}
            }
            let below = join(&place, &component);
            let Some(at) = dir.take() else {
                place = below;
                continue;
            };
            match rustix::fs::openat(&at, OsStr::from_bytes(&component), DIR, Mode::empty()) {
                Ok(next) => (dir, place) = (Some(next), below),
                Err(Errno::NOENT) if missing == Missing::Assume => place = below,
                Err(Errno::NOENT) => {
                    let found = if alone { None } else { self.find_below(&below)? };
                    alone = found.is_none();
                    (dir, place) = (Some(self.imply(at.as_fd(), &below, found)?), below);
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    match rustix::fs::readlinkat(&at, OsStr::from_bytes(&component), Vec::new()) {
                        Ok(link) => {
                            links += 1;
                            alone = false;
                            if links > LINKS {
                                return Err(refused("openat2", path)(Errno::LOOP));
                            }
                            dir = Some(at);
                            if link.as_bytes().starts_with(b"/") {
                                (dir, place) = (Some(self.reopen(b"")?), Vec::new());
                            }
                            for component in link.as_bytes().split(|&byte| byte == b'/').rev() {
                                todo.push_front(component.to_vec());
                            }
                        }
                        Err(_) => return Err(refused("openat", path)(Errno::NOTDIR)),
                    }
                }
                Err(errno) => return Err(refused("openat", path)(errno)),
            }
        }
        Ok((dir, place))
    }

    /// The directory that the layers below show at `place`.
    fn find_below(&self, place: &[u8]) -> Fallible<Option<OwnedFd>> {
        if self.hides(place)? {
            return Ok(None);
        }
        let name = OsStr::from_bytes(split(place).1);
        let found = self.lower.find(place)?;
        Ok(found.and_then(|found| rustix::fs::openat(&found.parent, name, DIR, Mode::empty()).ok()))
    }

    /// Makes a directory that the layer does not describe: with the metadata of the one below, if there is one.
    fn imply(&mut self, dir: BorrowedFd<'_>, place: &[u8], below: Option<OwnedFd>) -> Fallible<OwnedFd> {
        let name = OsStr::from_bytes(split(place).1);
        let mut entry = Entry::new(Kind::Directory, place.to_vec());
        entry.mode = 0o755;
        if let Some(fd) = below {
            entry = describe(&fd, place.to_vec())?;
        }
        rustix::fs::mkdirat(dir, name, Mode::RWXU).map_err(refused("mkdirat", place))?;
        let made = rustix::fs::openat(dir, name, DIR, Mode::empty()).map_err(refused("openat", place))?;
        let copy = rustix::io::fcntl_dupfd_cloexec(&made, 3).map_err(refused("fcntl", place))?;
        self.set_directory(copy, &entry)?;
        Ok(made)
    }

    /// Gives a directory its metadata; the time and what is inherited wait for [`Target::finish`].
    pub(crate) fn set_directory(&mut self, fd: OwnedFd, entry: &Entry) -> Fallible<()> {
        let stat = metadata::set_open(fd.as_fd(), entry)?;
        let default_acl = entry.xattrs.iter().find(|(name, _)| name == metadata::DEFAULT_ACL);
        let default_acl = default_acl.map(|(_, value)| value.clone());
        let pending = Pending { path: entry.path.clone(), mtime: entry.mtime, default_acl };
        self.path_bytes += entry.path.len();
        if let Some(before) = self.pending.insert(stat.st_ino, pending) {
            self.path_bytes -= before.path.len();
        }
        if self.path_bytes > MAX_PATH_BYTES {
            let message = format!("the paths of the layer's directories have more than {MAX_PATH_BYTES} bytes");
            return Err(Failure::user("ERR_LAYER_BOMB", message));
        }
        self.remember(&entry.path, fd);
        Ok(())
    }

    /// Hides everything that the layers below have in `path`.
    pub(crate) fn opaque(&mut self, path: &[u8]) -> Fallible<()> {
        if path.is_empty() {
            self.opaque_root = true;
            return Ok(());
        }
        let dir = self.directory(path)?;
        self.hide_below(dir.as_fd(), path)
    }

    /// Marks a directory so that nothing of the layers below shows in it.
    pub(crate) fn hide_below(&self, dir: BorrowedFd<'_>, path: &[u8]) -> Fallible<()> {
        if self.lower.is_empty() {
            return Ok(());
        }
        let fd = rustix::fs::openat(dir, ".", DIR, Mode::empty()).map_err(refused("openat", path))?;
        let name = opaque_name(self.marks);
        rustix::fs::fsetxattr(&fd, name, b"y", rustix::fs::XattrFlags::empty())
            .map_err(|errno| Failure::syscall(format!("fsetxattr({}, {name:?}, \"y\")", quote(path)), errno))
    }

    /// Whether this layer has hidden what the layers below have at `place` (clean, without symlinks).
    pub(crate) fn hides(&self, place: &[u8]) -> Fallible<bool> {
        let slashes = || place.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let above = |at| place.get(..at).unwrap_or_default();
        let hidden = slashes().any(|(at, _)| self.whiteouts.contains(above(at)));
        if self.lower.is_empty() || self.opaque_root || hidden || self.whiteouts.contains(place) {
            return Ok(true);
        }
        let mut dir = self.reopen(b"")?;
        for above in slashes().map(|(at, _)| above(at)) {
            match rustix::fs::openat(&dir, OsStr::from_bytes(split(above).1), DIR, Mode::empty()) {
                Ok(next) => dir = next,
                Err(Errno::NOENT) => return Ok(false),
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(true),
                Err(errno) => return Err(refused("openat", place)(errno)),
            }
            if has_mark(&dir, opaque_name(self.marks)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Hides what the layers below have at `path`. The node is made at the end: what this layer itself puts there stays,
    /// whether it comes before or after the whiteout.
    pub(crate) fn whiteout(&mut self, path: &[u8]) -> Fallible<()> {
        let (dir, name) = split(path);
        let place = match &self.last_whiteout {
            Some((known, place)) if known == dir => place.clone(),
            // A directory is not made for a mark alone: what hides it may follow, and there may be nothing to hide.
            _ => self.walk(dir, Missing::Assume)?.1,
        };
        self.whiteouts.insert(join(&place, name));
        self.last_whiteout = Some((dir.to_vec(), place));
        Ok(())
    }

    /// Makes the nodes. Only where something below would show: overlayfs does not merge a directory that exists in one
    /// layer alone, and there a whiteout would be listed as a name without a file.
    fn make_whiteouts(&mut self) -> Fallible<()> {
        for place in std::mem::take(&mut self.whiteouts) {
            let (dir, name) = split(&place);
            let name = OsStr::from_bytes(name);
            let at = match self.descend(dir) {
                Ok(at) => Some(at),
                Err(Errno::NOENT) => None,
                // Something else of this layer stands there by now, and hides as much.
                Err(Errno::NOTDIR | Errno::LOOP) => continue,
                Err(errno) => return Err(refused("openat", dir)(errno)),
            };
            let own = at.as_ref().map(|at| stat(at.as_fd(), name)).transpose()?.flatten();
            match (at, own) {
                (Some(at), Some(own)) if FileType::from_raw_mode(own.st_mode).is_dir() => {
                    let own = rustix::fs::openat(&at, name, DIR, Mode::empty()).map_err(refused("openat", &place))?;
                    self.hide_below(own.as_fd(), &place)?;
                }
                (_, Some(_)) => {}
                (_, None) if self.hides(&place)? || self.lower.find(&place)?.is_none() => {}
                (Some(at), None) => make_whiteout(at.as_fd(), name, &place)?,
                (None, None) => make_whiteout(self.make(dir)?.as_fd(), name, &place)?,
            }
        }
        Ok(())
    }

    /// Removes whatever has this name.
    pub(crate) fn clear(&mut self, dir: BorrowedFd<'_>, name: &OsStr, path: &[u8]) -> Fallible<Replaced> {
        let Some(stat) = stat(dir, name)? else { return Ok(Replaced::Open) };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind.is_dir() {
            self.forget();
            remove_tree(dir, name, path)?;
            return Ok(Replaced::Open);
        }
        if kind.is_symlink() {
            self.forget();
        }
        rustix::fs::unlinkat(dir, name, AtFlags::empty()).map_err(refused("unlinkat", path))?;
        Ok(Replaced::Hiding)
    }

    /// Hides everything that the layers below have in the root. The root of a layer cannot be opaque for overlayfs, so
    /// each name gets its own mark.
    fn hide_root(&self) -> Fallible<()> {
        let root = self.reopen(b"")?;
        for bytes in self.lower.root_names()? {
            let name = OsStr::from_bytes(&bytes);
            match stat(root.as_fd(), name)? {
                None => make_whiteout(root.as_fd(), name, &bytes)?,
                Some(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                    let dir = rustix::fs::openat(&root, name, DIR, Mode::empty()).map_err(refused("openat", &bytes))?;
                    self.hide_below(dir.as_fd(), &bytes)?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Makes the whiteouts, then sets the times of all directories, and what their content would have inherited.
    pub(crate) fn finish(mut self) -> Fallible<()> {
        self.make_whiteouts()?;
        if self.opaque_root {
            self.hide_root()?;
        }
        for (inode, Pending { path, mtime, default_acl }) in std::mem::take(&mut self.pending) {
            let Some(dir) = self.existing_directory(&path)? else { continue };
            let stat = rustix::fs::fstat(&dir).map_err(refused("fstat", &path))?;
            // A later entry may have put something else here.
            if stat.st_ino != inode {
                continue;
            }
            if let Some(value) = default_acl {
                metadata::set_xattr(dir.as_fd(), &path, metadata::DEFAULT_ACL, &value)?;
            }
            metadata::set_time(&dir, &path, mtime)?;
        }
        Ok(())
    }

    fn existing_directory(&self, path: &[u8]) -> Fallible<Option<OwnedFd>> {
        match self.tree.open(path, DIR, Mode::empty(), Links::Follow) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NAMETOOLONG) => Ok(self.descend(path).ok()),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(refused("openat2", path)(errno)),
        }
    }

    /// Opens a place that holds no symlinks, however long its path is.
    fn reopen(&self, place: &[u8]) -> Fallible<OwnedFd> {
        self.descend(place).map_err(refused("openat", place))
    }

    fn descend(&self, place: &[u8]) -> Result<OwnedFd, Errno> {
        let mut dir = self.tree.open(b".", DIR, Mode::empty(), Links::Refuse)?;
        for component in place.split(|&byte| byte == b'/').filter(|component| !component.is_empty()) {
            dir = rustix::fs::openat(&dir, OsStr::from_bytes(component), DIR, Mode::empty())?;
        }
        Ok(dir)
    }
}

/// What an existing directory looks like as an entry.
fn describe(fd: &OwnedFd, path: Vec<u8>) -> Fallible<Entry> {
    let stat = rustix::fs::fstat(fd).map_err(refused("fstat", &path))?;
    let mut entry = Entry::new(Kind::Directory, path);
    entry.mode = stat.st_mode & 0o7777;
    (entry.uid, entry.gid) = (stat.st_uid, stat.st_gid);
    entry.mtime = Time { seconds: stat.st_mtime, nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) };
    entry.xattrs = crate::sys::layers::xattrs(fd, metadata::is_kept)
        .map_err(|errno| Failure::syscall(format!("flistxattr({})", quote(&entry.path)), errno))?;
    Ok(entry)
}

fn make_whiteout(dir: BorrowedFd<'_>, name: &OsStr, path: &[u8]) -> Fallible<()> {
    rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)
        .map_err(refused("mknodat(S_IFCHR, 0:0)", path))
}

/// The entry with this name, links not followed.
pub(crate) fn stat(dir: BorrowedFd<'_>, name: &OsStr) -> Fallible<Option<Stat>> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(refused("newfstatat", name.as_bytes())(errno)),
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, name].join(&b'/') }
}

/// A failed call about a name of the layer. Some errnos say that the layer, not the machine, is wrong.
pub(crate) fn refused<'p>(call: &'p str, path: &'p [u8]) -> impl Fn(Errno) -> Failure + 'p {
    move |errno| {
        let mut failure = Failure::syscall(format!("{call}({})", quote(path)), errno);
        if matches!(errno, Errno::NAMETOOLONG | Errno::LOOP | Errno::NOTDIR) {
            failure.kind = crate::protocol::ErrorKind::User;
            failure.code = "ERR_LAYER_INVALID";
        }
        failure
    }
}
