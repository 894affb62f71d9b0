//! Turns entries into files.

use super::lower::Found;
use super::names::{self, Name, split};
use super::target::{DIR, Replaced, Target, refused, stat};
use super::{Wanted, metadata};
use crate::content::Files;
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::quote::quote;
use crate::sys::files::start_write_back;
use crate::tar::header::invalid;
use crate::tar::reader::{Chunks, Reader};
use crate::tar::{Entry, Kind, Time};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// Runs of zeros of this size become holes.
const HOLE: usize = 64 << 10;
/// The disk begins with files of this size while others are made: few of them hold most of the bytes.
const WRITE_BACK: u64 = 256 << 10;

/// Applies entries one after the other.
#[derive(Debug)]
pub(crate) struct Unpacker {
    target: Target,
    /// Bytes that hard links to files of the layers below may still copy up.
    copy_left: u64,
    /// What was written, where somebody asks for it.
    files: Option<Files>,
    /// Whether the tree is synced in the end.
    sync: bool,
}

impl Unpacker {
    /// Starts with an empty tree. Hard links to files of the layers below may copy up `copy_max` bytes.
    pub(crate) fn new(target: Target, copy_max: u64, wanted: Wanted) -> Self {
        Self { target, copy_left: copy_max, files: wanted.content.then(Files::default), sync: wanted.sync }
    }

    /// Applies one entry; its content is read from `reader`.
    pub(crate) fn apply<S: Chunks>(&mut self, mut entry: Entry, reader: &mut Reader<S>) -> Fallible<()> {
        if let Some((name, _)) = entry.xattrs.iter().find(|(name, _)| metadata::is_reserved(name)) {
            return Err(reserved(&entry.path, &format!("the attribute {}", quote(name))));
        }
        match names::parse(&entry.path)? {
            Name::Meta => Ok(()),
            Name::Root => self.root(&entry),
            Name::Whiteout(path) => self.mark(&entry, |target| target.whiteout(&path)),
            Name::Opaque(dir) => self.mark(&entry, |target| target.opaque(&dir)),
            Name::Place(path) => {
                entry.path = path;
                self.place(&entry, reader)
            }
        }
    }

    /// Sets what could not be set before. Gives what is known of the files.
    pub(crate) fn finish(self) -> Fallible<Files> {
        self.target.finish()?;
        Ok(self.files.unwrap_or_default())
    }

    fn root(&mut self, entry: &Entry) -> Fallible<()> {
        if entry.kind != Kind::Directory {
            return Err(invalid("the root of the layer is no directory"));
        }
        let root = self.target.directory(b"")?;
        let root = rustix::fs::openat(&*root, ".", DIR, Mode::empty()).map_err(refused("openat", b"/"))?;
        self.merge(root, &Entry { path: Vec::new(), ..entry.clone() })
    }

    /// Marks say something about the layers below, so they mean nothing in the first one.
    fn mark(&mut self, entry: &Entry, make: impl FnOnce(&mut Target) -> Fallible<()>) -> Fallible<()> {
        // AUFS wrote its whiteouts as hard links to one file.
        if !matches!(entry.kind, Kind::Regular | Kind::Hardlink) {
            let path = quote(&entry.path);
            return Err(Failure::user("ERR_LAYER_WHITEOUT", format!("a whiteout is no regular file: {path}")));
        }
        if self.target.lower.is_empty() { Ok(()) } else { make(&mut self.target) }
    }

    fn place<S: Chunks>(&mut self, entry: &Entry, reader: &mut Reader<S>) -> Fallible<()> {
        let (dir, name) = split(&entry.path);
        let dir = self.target.directory(dir)?;
        let name = OsStr::from_bytes(name);
        match entry.kind {
            Kind::Regular => self.file(&dir, name, entry, reader),
            Kind::Directory => self.directory(&dir, name, entry),
            Kind::Hardlink => self.hardlink(&dir, name, entry),
            Kind::Symlink => {
                if entry.link.is_empty() || entry.link.contains(&0) {
                    return Err(invalid(format!("the symlink {} has no target", quote(&entry.path))));
                }
                self.make(&dir, name, entry, || rustix::fs::symlinkat(OsStr::from_bytes(&entry.link), &*dir, name))
            }
            Kind::Character | Kind::Block | Kind::Fifo => self.node(&dir, name, entry),
        }
    }

    fn file<S: Chunks>(
        &mut self,
        dir: &Rc<OwnedFd>,
        name: &OsStr,
        entry: &Entry,
        reader: &mut Reader<S>,
    ) -> Fallible<()> {
        let file = self.create(dir.as_fd(), name, entry)?;
        let mut sha = self.files.is_some().then(Sha256::new);
        let hash = |piece: &[u8]| sha.iter_mut().for_each(|sha| sha.update(piece));
        write_content(&file, reader, entry.size, hash).map_err(|failure| in_file(failure, &entry.path))?;
        if self.sync && entry.size >= WRITE_BACK {
            start_write_back(file.as_fd(), 0, 0);
        }
        let stat = metadata::set_open(file.as_fd(), entry)?;
        if let (Some(files), Some(sha)) = (&mut self.files, sha) {
            // From the kernel: a file system may have refused some.
            let xattrs =
                crate::sys::layers::xattrs(&file, metadata::is_kept).map_err(refused("flistxattr", &entry.path))?;
            files.add(&stat, sha.finalize().into(), xattrs);
        }
        metadata::set_time(&file, &entry.path, entry.mtime)
    }

    /// Opens a new file, in place of whatever has the name.
    fn create(&mut self, dir: BorrowedFd<'_>, name: &OsStr, entry: &Entry) -> Fallible<OwnedFd> {
        let path = &entry.path;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The other bits are not for whoever owns it until its owner is set.
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let open = || rustix::fs::openat(dir, name, flags, mode);
        match open() {
            Err(Errno::EXIST) => {
                self.target.clear(dir, name, path)?;
                open().map_err(refused("openat(O_CREAT|O_EXCL)", path))
            }
            other => other.map_err(refused("openat(O_CREAT|O_EXCL)", path)),
        }
    }

    /// As [`Unpacker::create`] for what is not opened.
    fn make(
        &mut self,
        dir: &Rc<OwnedFd>,
        name: &OsStr,
        entry: &Entry,
        call: impl Fn() -> Result<(), Errno>,
    ) -> Fallible<()> {
        match call() {
            Err(Errno::EXIST) => {
                self.target.clear(dir.as_fd(), name, &entry.path)?;
                call().map_err(refused("mknodat", &entry.path))?;
            }
            other => other.map_err(refused("mknodat", &entry.path))?,
        }
        metadata::set_at(dir.as_fd(), name, entry)
    }

    fn directory(&mut self, dir: &Rc<OwnedFd>, name: &OsStr, entry: &Entry) -> Fallible<()> {
        let open = || rustix::fs::openat(&**dir, name, DIR, Mode::empty());
        let make = || rustix::fs::mkdirat(&**dir, name, Mode::RWXU);
        match make() {
            Ok(()) => {
                let made = open().map_err(refused("openat", &entry.path))?;
                self.target.set_directory(made, entry)
            }
            Err(Errno::EXIST) => match open() {
                Ok(known) => self.merge(known, entry),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let replaced = self.target.clear(dir.as_fd(), name, &entry.path)?;
                    make().map_err(refused("mkdirat", &entry.path))?;
                    let made = open().map_err(refused("openat", &entry.path))?;
                    if replaced == Replaced::Hiding {
                        self.target.hide_below(made.as_fd(), &entry.path)?;
                    }
                    self.target.set_directory(made, entry)
                }
                Err(errno) => Err(refused("openat", &entry.path)(errno)),
            },
            Err(errno) => Err(refused("mkdirat", &entry.path)(errno)),
        }
    }

    /// A directory that is there gets the metadata of this entry, and keeps no attribute of its own.
    fn merge(&mut self, dir: OwnedFd, entry: &Entry) -> Fallible<()> {
        let known = crate::sys::layers::xattrs(&dir, metadata::is_kept).map_err(refused("flistxattr", &entry.path))?;
        for (name, _) in known {
            rustix::fs::fremovexattr(&dir, OsStr::from_bytes(&name)).map_err(refused("fremovexattr", &entry.path))?;
        }
        self.target.set_directory(dir, entry)
    }

    fn node(&mut self, dir: &Rc<OwnedFd>, name: &OsStr, entry: &Entry) -> Fallible<()> {
        let (kind, device) = match entry.kind {
            Kind::Character => (FileType::CharacterDevice, entry.device),
            Kind::Block => (FileType::BlockDevice, entry.device),
            _ => (FileType::Fifo, (0, 0)),
        };
        if kind == FileType::CharacterDevice && device == (0, 0) {
            return Err(reserved(&entry.path, "the device 0:0"));
        }
        if kind != FileType::Fifo && self.target.marks == Marks::User {
            let path = quote(&entry.path);
            let message = format!("the layer holds the device {path}, which only root can make");
            return Err(Failure::user("ERR_LAYER_DEVICE_ROOTLESS", message));
        }
        let device = rustix::fs::makedev(device.0, device.1);
        self.make(dir, name, entry, || rustix::fs::mknodat(&**dir, name, kind, Mode::RUSR, device))
    }

    fn hardlink(&mut self, dir: &Rc<OwnedFd>, name: &OsStr, entry: &Entry) -> Fallible<()> {
        let Name::Place(path) = names::parse(&entry.link)? else {
            return Err(missing_target(entry, "is no file"));
        };
        let (from, from_stat, base) = self.link_target(entry, &path)?;
        if let Some(known) = stat(dir.as_fd(), name)? {
            if (known.st_dev, known.st_ino) == (from_stat.st_dev, from_stat.st_ino) {
                return Ok(());
            }
            self.target.clear(dir.as_fd(), name, &entry.path)?;
        }
        match rustix::fs::linkat(&*from, OsStr::from_bytes(&base), &**dir, name, AtFlags::empty()) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => Err(missing_target(entry, "does not exist")),
            Err(errno) => Err(refused("linkat", &entry.path)(errno)),
        }
    }

    /// The target of a hard link in this tree; one that is only below is copied up first.
    fn link_target(&mut self, entry: &Entry, path: &[u8]) -> Fallible<(Rc<OwnedFd>, Stat, Vec<u8>)> {
        let (dir, base) = split(path);
        let name = OsStr::from_bytes(base);
        if let Some(parent) = self.target.existing(dir)?
            && let Some(stat) = stat(parent.as_fd(), name)?
        {
            return match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Err(missing_target(entry, "is a directory")),
                _ => Ok((parent, stat, base.to_vec())),
            };
        }
        if self.target.hides(path)? {
            return Err(missing_target(entry, "is hidden by a whiteout"));
        }
        let found = match self.target.lower.find(path)? {
            Some(found) if !FileType::from_raw_mode(found.stat.st_mode).is_dir() => found,
            Some(_) => return Err(missing_target(entry, "is a directory")),
            None => return Err(missing_target(entry, "does not exist")),
        };
        let parent = self.target.directory(dir)?;
        self.copy_up(&parent, path, &found)?;
        match stat(parent.as_fd(), name)? {
            Some(stat) => Ok((parent, stat, base.to_vec())),
            None => Err(missing_target(entry, "does not exist")),
        }
    }

    fn copy_up(&mut self, dir: &Rc<OwnedFd>, path: &[u8], found: &Found) -> Fallible<()> {
        let name = OsStr::from_bytes(split(path).1);
        let stat = &found.stat;
        let mut entry = Entry::new(Kind::Regular, path.to_vec());
        entry.mode = stat.st_mode & 0o7777;
        (entry.uid, entry.gid) = (stat.st_uid, stat.st_gid);
        entry.mtime = Time { seconds: stat.st_mtime, nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let from =
                    rustix::fs::openat(&found.parent, name, flags, Mode::empty()).map_err(refused("openat", path))?;
                entry.xattrs =
                    crate::sys::layers::xattrs(&from, metadata::is_kept).map_err(refused("flistxattr", path))?;
                // The copy is not among the unpacked bytes that the source counts, and costs the layer one entry.
                let size = stat.st_size.unsigned_abs();
                self.copy_left = self.copy_left.checked_sub(size).ok_or_else(|| copies_too_much(path))?;
                let to = self.create(dir.as_fd(), name, &entry)?;
                copy_data(&from, &to, size).map_err(refused("copy_file_range", path))?;
                let stat = metadata::set_open(to.as_fd(), &entry)?;
                if let Some(files) = &mut self.files {
                    files.forget(&stat);
                }
                metadata::set_time(&to, path, entry.mtime)
            }
            FileType::Symlink => {
                entry.kind = Kind::Symlink;
                let link =
                    rustix::fs::readlinkat(&found.parent, name, Vec::new()).map_err(refused("readlinkat", path))?;
                self.make(dir, name, &entry, || rustix::fs::symlinkat(&*link, &**dir, name))
            }
            kind => {
                entry.kind = Kind::Fifo;
                self.make(dir, name, &entry, || rustix::fs::mknodat(&**dir, name, kind, Mode::RUSR, stat.st_rdev))
            }
        }
    }
}

/// Copies a file, but not its holes.
pub(crate) fn copy_data(from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<(), Errno> {
    let mut at = 0;
    while at < size {
        let data = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(data) => data,
            // Nothing but a hole is left.
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(errno),
        };
        at = rustix::fs::seek(from, SeekFrom::Hole(data))?.min(size);
        rustix::fs::seek(from, SeekFrom::Start(data))?;
        rustix::fs::seek(to, SeekFrom::Start(data))?;
        let mut piece = std::fs::File::from(from.try_clone().map_err(|_| Errno::MFILE)?).take(at - data);
        let mut out = std::fs::File::from(to.try_clone().map_err(|_| Errno::MFILE)?);
        std::io::copy(&mut piece, &mut out)
            .map_err(|error| Errno::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EIO)))?;
    }
    rustix::fs::ftruncate(to, size)
}

fn copies_too_much(path: &[u8]) -> Failure {
    let path = quote(path);
    let message = format!("hard links to files of the layers below copy more than the limits allow, with {path}");
    Failure::user("ERR_LAYER_BOMB", message)
}

/// Writes the content of the reader's current entry; long runs of zeros become holes. `seen` is given all of it.
pub(crate) fn write_content<S: Chunks>(
    file: &OwnedFd,
    reader: &mut Reader<S>,
    size: u64,
    seen: impl FnMut(&[u8]),
) -> Fallible<()> {
    if size < HOLE as u64 * 4 { write_dense(file, reader, seen) } else { write_sparse(file, reader, size, seen) }
}

fn write_dense<S: Chunks>(file: &OwnedFd, reader: &mut Reader<S>, mut seen: impl FnMut(&[u8])) -> Fallible<()> {
    while let Some(piece) = reader.next_piece()? {
        seen(piece);
        crate::digest::write_all(file, piece).map_err(|errno| Failure::syscall("write", errno))?;
    }
    Ok(())
}

/// Leaves zeros out, so that a file of zeros costs no disk.
fn write_sparse<S: Chunks>(
    file: &OwnedFd,
    reader: &mut Reader<S>,
    size: u64,
    mut seen: impl FnMut(&[u8]),
) -> Fallible<()> {
    let failed = |errno| Failure::syscall("write", errno);
    while let Some(piece) = reader.next_piece()? {
        seen(piece);
        for part in piece.chunks(HOLE) {
            if part.len() == HOLE && part.iter().all(|&byte| byte == 0) {
                rustix::fs::seek(file, SeekFrom::Current(HOLE as i64)).map_err(failed)?;
            } else {
                crate::digest::write_all(file, part).map_err(failed)?;
            }
        }
    }
    rustix::fs::ftruncate(file, size).map_err(failed)
}

fn in_file(mut failure: Failure, path: &[u8]) -> Failure {
    failure.message = format!("{}, in {}", failure.message, quote(path));
    failure
}

fn reserved(path: &[u8], what: &str) -> Failure {
    let path = quote(path);
    Failure::user("ERR_LAYER_RESERVED", format!("{path} of the layer has {what}, which overlayfs keeps for itself"))
}

fn missing_target(entry: &Entry, what: &str) -> Failure {
    let (path, link) = (quote(&entry.path), quote(&entry.link));
    invalid(format!("the target {link} of the hard link {path} {what}"))
}
