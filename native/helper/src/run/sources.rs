//! What the request mounts into a step, as detached mounts.
//!
//! A source is resolved once. From then on only its descriptor is used, so nothing that a step does to a shared
//! directory at the same time can lead the mount elsewhere.

use super::mapping::Mapping;
use super::rootfs::Scaffold;
use super::stubs::Kind;
use super::{exec, tree, user};
use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::protocol::{Mount, Root};
use base64::Engine;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::process::{Gid, Uid};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// A detached mount and where it goes.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The mount.
    pub(crate) tree: OwnedFd,
    /// What its root is.
    pub(crate) kind: Kind,
    /// The path in the image, as given.
    pub(crate) target: String,
    /// For messages.
    pub(crate) readonly: bool,
}

/// Makes every mount. Called while the host's tree is in reach; the sources are not looked up again.
///
/// # Errors
/// `ERR_MOUNT_SOURCE_INVALID` for a source that is missing, or not what it must be; `ERR_ROOTLESS_IDMAP` for an owner that
/// the user namespace does not map; `ERR_USER_INVALID` for one that is no id.
pub(crate) fn prepare(
    mounts: &[Mount],
    scaffold: &Scaffold,
    marks: Marks,
    mapping: &Mapping<'_>,
) -> Fallible<Vec<Prepared>> {
    let mut workshop = Workshop { scaffold, marks, mapping, vault: None, held: 0 };
    mounts.iter().map(|mount| workshop.make(mount)).collect()
}

struct Workshop<'s> {
    scaffold: &'s Scaffold,
    marks: Marks,
    mapping: &'s Mapping<'s>,
    /// Where secrets lie.
    vault: Option<OwnedFd>,
    /// How many names of the scaffold are taken.
    held: usize,
}

/// Who a file is given to, and its mode.
#[derive(Debug, Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Workshop<'_> {
    fn make(&mut self, mount: &Mount) -> Fallible<Prepared> {
        match mount {
            Mount::Bind { source, inside, target, readonly } => self.bind(source, inside, target, *readonly),
            Mount::Snapshot { root, inside, target } => self.snapshot(root, inside, target),
            Mount::Tmpfs { target, size_bytes, readonly } => tmpfs(target, *size_bytes, *readonly),
            Mount::Secret { target, data, mode, uid, gid } => {
                self.secret(target, data, Owner { uid: *uid, gid: *gid, mode: *mode })
            }
            Mount::Socket { source, target, mode, uid, gid } => {
                self.socket(source, target, Owner { uid: *uid, gid: *gid, mode: *mode })
            }
        }
    }

    fn bind(&self, source: &str, inside: &str, target: &str, readonly: bool) -> Fallible<Prepared> {
        let fd = open_source(source, target)?;
        let (found, kind) = match inside {
            "" => {
                let kind = kind_of(file_type(&fd, source)?).ok_or_else(|| invalid(target, source, "is a symlink"))?;
                (fd, kind)
            }
            _ => beneath(fd, inside, target)?,
        };
        let tree = tree::copy_of(found.as_fd(), source)?;
        self.mapping.apply(tree.as_fd(), source)?;
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
        if readonly {
            attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID;
        }
        tree::restrict(tree.as_fd(), attributes)?;
        Ok(Prepared { tree, kind, target: target.to_owned(), readonly })
    }

    fn snapshot(&mut self, root: &Root, inside: &str, target: &str) -> Fallible<Prepared> {
        let readonly = root.upper.is_none();
        let snapshot = overlay::mount(&self.mapping.layers(root, self.scaffold)?, self.marks)?;
        if inside.is_empty() {
            return Ok(Prepared { tree: snapshot, kind: Kind::Directory, target: target.to_owned(), readonly });
        }
        // Before Linux 6.15 only what is attached can be copied.
        self.held += 1;
        self.scaffold.hold(&format!("mount{}", self.held), snapshot.as_fd())?;
        let (found, kind) = beneath(snapshot, inside, target)?;
        Ok(Prepared { tree: tree::copy_of(found.as_fd(), inside)?, kind, target: target.to_owned(), readonly })
    }

    fn secret(&mut self, target: &str, data: &str, owner: Owner) -> Fallible<Prepared> {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(data)
            .map_err(|_| Failure::internal(format!("the secret for {target:?} is not base64")))?;
        self.held += 1;
        let name = format!("secret{}", self.held);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.vault()?, &name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| Failure::syscall(format!("openat(secrets, {name:?}, O_CREAT)"), errno))?;
        let mut file = File::from(fd);
        file.write_all(&bytes).map_err(|error| Failure::io("write(secret)", &error))?;
        let outside = Owner { uid: self.mapping.user(owner.uid)?, gid: self.mapping.group(owner.gid)?, ..owner };
        self.give(&file, target, outside)?;
        let tree = tree::copy_of(file.as_fd(), &name)?;
        let mut attributes = tree::PLAIN_READ_ONLY;
        if owner.mode & 0o111 != 0 {
            attributes = attributes.difference(MountAttrFlags::MOUNT_ATTR_NOEXEC);
        }
        tree::restrict(tree.as_fd(), attributes)?;
        Ok(Prepared { tree, kind: Kind::File, target: target.to_owned(), readonly: true })
    }

    /// The file system of the secrets. A ramfs is never written to swap, which a tmpfs promises to real root only.
    fn vault(&mut self) -> Fallible<&OwnedFd> {
        let vault = match self.vault.take() {
            Some(vault) => vault,
            None => {
                let fs = overlay::open_fs("ramfs")?;
                overlay::set(fs.as_fd(), "mode", "0700")?;
                let vault = overlay::create(fs.as_fd(), "ramfs", MountAttrFlags::empty())?;
                self.scaffold.hold("secrets", vault.as_fd())?;
                vault
            }
        };
        Ok(self.vault.insert(vault))
    }

    fn socket(&self, source: &str, target: &str, owner: Owner) -> Fallible<Prepared> {
        let fd = open_source(source, target)?;
        if file_type(&fd, source)? != FileType::Socket {
            return Err(invalid(target, source, "is no socket"));
        }
        // On disk it has the ids that the step is to see.
        self.mapping.user(owner.uid).and_then(|_| self.mapping.group(owner.gid))?;
        self.give(&fd, target, owner)?;
        let tree = tree::copy_of(fd.as_fd(), source)?;
        self.mapping.apply(tree.as_fd(), source)?;
        tree::restrict(tree.as_fd(), tree::PLAIN_READ_ONLY)?;
        Ok(Prepared { tree, kind: Kind::File, target: target.to_owned(), readonly: true })
    }

    /// Changes owner, then mode, of an open file; `O_PATH` is enough.
    fn give(&self, file: impl AsFd, target: &str, owner: Owner) -> Fallible<()> {
        let Owner { uid, gid, mode } = owner;
        user::check_id(uid)?;
        user::check_id(gid)?;
        let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(&file, c"", user, group, AtFlags::EMPTY_PATH).map_err(|errno| {
            let call = format!("fchownat({target:?}, {uid}, {gid}, AT_EMPTY_PATH)");
            match (errno, self.marks) {
                (Errno::INVAL, Marks::User) => exec::unmapped(&call, errno),
                _ => Failure::syscall(call, errno),
            }
        })?;
        crate::sys::tree::change_mode(file.as_fd(), mode & 0o7777)
            .map_err(|errno| Failure::syscall(format!("fchmodat2({target:?}, {mode:#o}, AT_EMPTY_PATH)"), errno))
    }
}

fn tmpfs(target: &str, size_bytes: Option<u64>, readonly: bool) -> Fallible<Prepared> {
    let size = size_bytes.map(|bytes| bytes.to_string());
    let options: Vec<(&str, &str)> = size.iter().map(|size| ("size", size.as_str())).collect();
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, readonly);
    let tree = overlay::tmpfs(&options, attributes)?;
    Ok(Prepared { tree, kind: Kind::Directory, target: target.to_owned(), readonly })
}

/// Opens a path of the host; a last symlink is opened itself.
fn open_source(source: &str, target: &str) -> Fallible<OwnedFd> {
    rustix::fs::openat(CWD, Path::new(source), OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| not_opened(target, source, errno))
}

/// Opens a path whose symlinks lead within the root.
fn beneath(root: OwnedFd, path: &str, target: &str) -> Fallible<(OwnedFd, Kind)> {
    let fd = Beneath::new(root)
        .open(path.as_bytes(), OFlags::PATH, Mode::empty(), Links::Follow)
        .map_err(|errno| not_opened(target, path, errno))?;
    let kind = kind_of(file_type(&fd, path)?).ok_or_else(|| invalid(target, path, "is a symlink"))?;
    Ok((fd, kind))
}

fn file_type(fd: &OwnedFd, path: &str) -> Fallible<FileType> {
    let stat = rustix::fs::fstat(fd).map_err(|errno| Failure::syscall(format!("fstat({path:?})"), errno))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

fn kind_of(found: FileType) -> Option<Kind> {
    match found {
        FileType::Directory => Some(Kind::Directory),
        FileType::Symlink => None,
        _ => Some(Kind::File),
    }
}

fn invalid(target: &str, path: &str, what: &str) -> Failure {
    Failure::user("ERR_MOUNT_SOURCE_INVALID", format!("the source {path:?} of the mount at {target:?} {what}"))
}

fn not_opened(target: &str, path: &str, errno: Errno) -> Failure {
    match errno {
        Errno::NOENT => invalid(target, path, "does not exist"),
        Errno::NOTDIR => invalid(target, path, "leads through something that is no directory"),
        Errno::LOOP => invalid(target, path, "leads through a symlink without end, or one of the kernel's own"),
        Errno::NAMETOOLONG => invalid(target, path, "is longer than a path may be"),
        _ => Failure::syscall(format!("openat2({path:?}, O_PATH), the source of the mount at {target:?}"), errno),
    }
}
