//! Mount points that the image lacks, and files that a step must see changed, as a lower layer of their own.
//!
//! overlayfs never writes to a lower layer, so nothing made here reaches the step's layer and nothing has to be taken
//! away afterwards. The layer lies on top of the image's, so each directory that exists in the image is repeated with
//! the same metadata: a copy-up gives what it would have given without the stub.

use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timestamps, XattrFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write;

/// What a mount point must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Directory,
    /// Anything but a directory.
    File,
}

/// Where a path of the image leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The components, with every symlink resolved.
    pub(crate) components: Vec<Vec<u8>>,
    /// What stands there; `None` if nothing does.
    pub(crate) found: Option<FileType>,
}

impl Place {
    /// The path without a leading slash.
    pub(crate) fn path(&self) -> Vec<u8> {
        self.components.join(&b'/')
    }
}

/// The kernel's own limit for the list of names and for a value.
const MAX_XATTR_BYTES: usize = 64 << 10;
/// The kernel's own limit of symlinks in one resolution.
const MAX_LINKS: usize = 40;

/// Resolves a path in a view of the image that nobody changes. Unlike `openat2` it also says where a missing path leads.
///
/// # Errors
/// `ERR_ROOTFS_INVALID` for symlinks without end and for a path through something that is no directory.
pub(crate) fn resolve(view: &Beneath, path: &[u8]) -> Fallible<Place> {
    resolve_among(view, path, &|_| false)
}

/// As [`resolve`], where something will be mounted at the places that `covered` knows: what the image has below them is
/// not seen, so a symlink there leads nowhere.
pub(crate) fn resolve_among(view: &Beneath, path: &[u8], covered: &dyn Fn(&[Vec<u8>]) -> bool) -> Fallible<Place> {
    let mut waiting: VecDeque<Vec<u8>> = split(path).collect();
    let mut place: Vec<Vec<u8>> = Vec::new();
    let mut existing = 0;
    let mut found = Some(FileType::Directory);
    let mut links = 0;
    while let Some(component) = waiting.pop_front() {
        if component == b".." {
            place.pop();
            if place.len() <= existing {
                existing = place.len();
                found = Some(FileType::Directory);
            }
            continue;
        }
        match found {
            None => {
                place.push(component);
                continue;
            }
            Some(FileType::Directory) => {}
            Some(_) => return Err(invalid(path, "leads through something that is no directory")),
        }
        place.push(component);
        if !waiting.is_empty() && covered(&place) {
            found = None;
            continue;
        }
        found = match look(view, &place)? {
            Some(Seen::Link(target)) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(invalid(path, "is a symlink without end"));
                }
                place.pop();
                if target.starts_with(b"/") {
                    place.clear();
                }
                existing = place.len();
                split(&target).rev().for_each(|component| waiting.push_front(component));
                Some(FileType::Directory)
            }
            Some(Seen::Other(kind)) => {
                existing = place.len();
                Some(kind)
            }
            None => None,
        };
    }
    Ok(Place { components: place, found })
}

fn split(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec)
}

fn invalid(path: &[u8], what: &str) -> Failure {
    let path = String::from_utf8_lossy(path);
    Failure::user("ERR_ROOTFS_INVALID", format!("\"{path}\" of the image {what}"))
}

enum Seen {
    Link(Vec<u8>),
    Other(FileType),
}

fn look(view: &Beneath, place: &[Vec<u8>]) -> Fallible<Option<Seen>> {
    let path = place.join(&b'/');
    let call = || format!("openat2(root, {:?})", String::from_utf8_lossy(&path));
    let fd = match view.open(&path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::NAMETOOLONG) => return Err(invalid(&path, "is longer than a path may be")),
        Err(errno) => return Err(Failure::syscall(call(), errno)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(|errno| Failure::syscall(call(), errno))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(&fd, c"", Vec::new())
                .map_err(|errno| Failure::syscall(format!("readlinkat({})", call()), errno))?;
            Ok(Some(Seen::Link(target.into_bytes())))
        }
        kind => Ok(Some(Seen::Other(kind))),
    }
}

/// The layer while it is made. [`Stubs::finish`] must be called last: it sets the times.
#[derive(Debug)]
pub(crate) struct Stubs<'v> {
    layer: Beneath,
    view: &'v Beneath,
    /// What was made, by path; `true` if the image has it too.
    made: BTreeMap<Vec<u8>, bool>,
}

impl<'v> Stubs<'v> {
    /// Starts an empty layer at `dir` for the image that `view` shows.
    pub(crate) fn new(dir: OwnedFd, view: &'v Beneath) -> Self {
        Self { layer: Beneath::new(dir), view, made: BTreeMap::from([(Vec::new(), true)]) }
    }

    /// Whether anything beyond the root was made.
    pub(crate) fn is_empty(&self) -> bool {
        self.made.len() == 1
    }

    /// Adds a mount point at a place where nothing stands.
    pub(crate) fn add(&mut self, place: &Place, kind: Kind) -> Fallible<()> {
        match kind {
            Kind::Directory => self.directories(&place.components),
            Kind::File => self.file(place, &[]).map(drop),
        }
    }

    /// Adds a changed copy of a regular file: same metadata, these bytes.
    pub(crate) fn replace(&mut self, place: &Place, bytes: &[u8]) -> Fallible<()> {
        self.file(place, bytes)?;
        self.made.insert(place.path(), true);
        Ok(())
    }

    fn file(&mut self, place: &Place, bytes: &[u8]) -> Fallible<()> {
        let (_, parents) = place.components.split_last().ok_or_else(|| Failure::internal("a file stub at the root"))?;
        self.directories(parents)?;
        let path = place.path();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW;
        let fd = self
            .layer
            .open(&path, flags, Mode::from_raw_mode(0o644), Links::Refuse)
            .map_err(|errno| Failure::syscall(format!("openat2(stubs, {path:?}, O_CREAT)"), errno))?;
        File::from(fd).write_all(bytes).map_err(|error| Failure::io("write(stub)", &error))?;
        self.made.entry(path).or_insert(false);
        Ok(())
    }

    fn directories(&mut self, components: &[Vec<u8>]) -> Fallible<()> {
        for length in 1..=components.len() {
            let path = components.get(..length).unwrap_or_default().join(&b'/');
            if self.made.contains_key(&path) {
                continue;
            }
            let call = || format!("mkdirat(stubs, {:?})", String::from_utf8_lossy(&path));
            let (parent, name) = self.layer.open_parent(&path).map_err(|errno| Failure::syscall(call(), errno))?;
            let name = name.ok_or_else(|| Failure::internal("a directory stub at the root"))?;
            rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))
                .map_err(|errno| Failure::syscall(call(), errno))?;
            let open = self.view.open(&path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty(), Links::Refuse);
            self.made.insert(path, open.is_ok());
        }
        Ok(())
    }

    /// Gives everything that the image has too the image's metadata, children before parents.
    pub(crate) fn finish(self) -> Fallible<()> {
        for (path, _) in self.made.iter().rev().filter(|(_, in_image)| **in_image) {
            let open = |tree: &Beneath| {
                tree.open(path, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse).map_err(|errno| {
                    Failure::syscall(format!("openat2(root, {:?})", String::from_utf8_lossy(path)), errno)
                })
            };
            copy_metadata(open(self.view)?.as_fd(), open(&self.layer)?.as_fd()).map_err(|errno| {
                Failure::syscall(format!("copy metadata of {:?}", String::from_utf8_lossy(path)), errno)
            })?;
        }
        Ok(())
    }
}

/// Copies owner, mode, xattrs and times from one open file to another.
pub(crate) fn copy_metadata(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(from)?;
    match rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid))) {
        // An owner that the user namespace does not map. The stub keeps 0:0; what the step may do with it is the same,
        // and a copy-up of the original would have failed.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(errno),
    }
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    copy_xattrs(from, to)?;
    rustix::fs::futimens(to, &times(&stat))
}

/// The access and modification time of a file, as `utimensat` takes them.
pub(crate) fn times(stat: &rustix::fs::Stat) -> Timestamps {
    let time = |seconds, nanoseconds| rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

fn copy_xattrs(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut names = vec![0_u8; MAX_XATTR_BYTES];
    let length = match rustix::fs::flistxattr(from, names.as_mut_slice()) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(()),
        other => other?,
    };
    names.truncate(length);
    let mut value = vec![0_u8; MAX_XATTR_BYTES];
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        let length = rustix::fs::fgetxattr(from, name, value.as_mut_slice())?;
        let value = value.get(..length).unwrap_or_default();
        match rustix::fs::fsetxattr(to, name, value, XattrFlags::empty()) {
            // What a tmpfs keeps depends on the kernel (user.* since 6.6, others with CONFIG_TMPFS_XATTR). A directory
            // that the step itself changes loses the rest then; images give directories attributes very rarely.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            // trusted.* and security.* of the image belong to real root and cannot be set in a user namespace, nor
            // would a copy-up keep them there.
            Err(Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Makes a path below a live root, component by component and by descriptor only; used for mount points inside other
/// mounts and for the working directory. Directories are 0755 and, with `owner`, owned by it.
pub(crate) fn make(root: &Beneath, path: &[u8], kind: Kind, owner: Option<(u32, u32)>) -> Result<(), Errno> {
    let components: Vec<Vec<u8>> = split(path).collect();
    let last = components.len();
    for length in 1..=last {
        let prefix = components.get(..length).unwrap_or_default().join(&b'/');
        match root.open(&prefix, OFlags::PATH, Mode::empty(), Links::Follow) {
            Ok(_) => continue,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        let (parent, name) = root.open_parent(&prefix)?;
        let name = name.ok_or(Errno::INVAL)?;
        if length == last && kind == Kind::File {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
            continue;
        }
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
        if let Some((uid, gid)) = owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn resolve_says_where_a_path_leads() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        fs::write(dir.path().join("outside"), "").unwrap();
        for (name, target) in [
            ("abs", "/a/b"),
            ("up", "../../outside"),
            ("dangling", "/no/where"),
            ("loop", "loop"),
            ("a/rel", "../file"),
        ] {
            symlink(target, root.join(name)).unwrap();
        }
        let view = Beneath::open_root(&root).unwrap();
        for (path, leads, found) in [
            ("/", "", Some(FileType::Directory)),
            ("/a/./b//", "a/b", Some(FileType::Directory)),
            ("abs", "a/b", Some(FileType::Directory)),
            ("abs/../rel", "file", Some(FileType::RegularFile)),
            ("abs/new/x", "a/b/new/x", None),
            ("dangling/x", "no/where/x", None),
            ("up", "outside", None),
            ("new/../a", "a", Some(FileType::Directory)),
            ("../../../etc", "etc", None),
        ] {
            let place = resolve(&view, path.as_bytes()).unwrap();
            assert_eq!((place.path(), place.found), (leads.as_bytes().to_vec(), found), "{path}");
        }
        for path in ["loop", "file/x", "a/rel/x"] {
            assert_eq!(resolve(&view, path.as_bytes()).unwrap_err().code, "ERR_ROOTFS_INVALID", "{path}");
        }
    }
}
