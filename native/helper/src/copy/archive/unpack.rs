//! Turns the entries of an archive into files of the snapshot.

use super::place::{Found, Pending, Places, clean, split};
use super::{MAX_ENTRIES, Place, refused};
use crate::apply::metadata::{DEFAULT_ACL, is_kept};
use crate::apply::write_content;
use crate::beneath::Beneath;
use crate::copy::below;
use crate::copy::target::{NewDirs, mtime_only, set_mode, set_owner, set_owner_at, shown, write_failure};
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::owner::Owner;
use crate::quote::quote;
use crate::tar::reader::{Chunks, Reader};
use crate::tar::sparse::Sparse;
use crate::tar::{CONTENT_MAX, Entry, Kind, Time};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Unpacks entries one after the other.
#[derive(Debug)]
pub(super) struct Unpacker<'a> {
    place: &'a Place<'a>,
    places: Places<'a>,
    /// Bytes of files, holes included.
    bytes: u64,
    entries: u64,
    /// The name of the last entry.
    name: Vec<u8>,
}

impl<'a> Unpacker<'a> {
    /// Starts in an existing directory.
    pub(super) fn new(root: Beneath, place: &'a Place<'a>) -> Self {
        let new_dirs = NewDirs { owner: place.owner, mode: 0o755 };
        let places = Places::new(root, place.path, new_dirs);
        Self { place, places, bytes: 0, entries: 0, name: Vec::new() }
    }

    /// The number and the name of the last entry; 0 before the first.
    pub(super) fn current(&self) -> (u64, &[u8]) {
        (self.entries, &self.name)
    }

    /// Unpacks one entry; its content is read from `reader`.
    pub(super) fn entry<S: Chunks>(&mut self, mut entry: Entry, reader: &mut Reader<S>) -> Fallible<()> {
        self.entries += 1;
        self.name = std::mem::take(&mut entry.path);
        if self.entries > MAX_ENTRIES {
            return Err(refused(format!("it has more than {MAX_ENTRIES} entries")));
        }
        let path = clean(&self.name)?;
        if path.is_empty() {
            // The destination keeps what it has: an archive of `.` says nothing about the directory it is unpacked in.
            return match entry.kind {
                Kind::Directory => Ok(()),
                _ => Err(refused("an entry that is no directory has the name of the destination")),
            };
        }
        if let Some(owner) = self.place.owner {
            (entry.uid, entry.gid) = (owner.uid, owner.gid);
        }
        let (dir, name) = split(&path);
        let dir = self.places.directory(dir)?;
        entry.path = self.places.shown(&below(&dir.path, name));
        match entry.kind {
            Kind::Regular => self.file(&dir, name, &entry, reader),
            Kind::Directory => self.directory(&dir, name, &entry),
            Kind::Hardlink => self.hardlink(&dir, name, &entry),
            Kind::Symlink => self.symlink(&dir, name, &entry),
            Kind::Character | Kind::Block | Kind::Fifo => self.node(&dir, name, &entry),
        }
    }

    /// Sets what could not be set before: the times of directories, and what their contents would have inherited.
    pub(super) fn finish(mut self) -> Fallible<()> {
        let attributes = self.place.attributes;
        self.places.take_pending(|dir, path, Pending { mtime, default_acl }| {
            if let Some(value) = default_acl {
                attributes.set(dir.as_fd(), &[(DEFAULT_ACL.to_vec(), value)], path);
            }
            set_time(&dir, path, mtime)
        })
    }

    fn file<S: Chunks>(&mut self, dir: &Found, name: &[u8], entry: &Entry, reader: &mut Reader<S>) -> Fallible<()> {
        let size = entry.sparse.as_ref().map_or(entry.size, |sparse| sparse.size);
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > CONTENT_MAX {
            return Err(refused(format!("its files have more than {CONTENT_MAX} bytes")));
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = self.replacing("openat(O_CREAT|O_EXCL)", dir, name, || {
            rustix::fs::openat(&dir.fd, OsStr::from_bytes(name), flags, Mode::RUSR | Mode::WUSR)
        })?;
        match &entry.sparse {
            Some(sparse) => write_pieces(&file, reader, sparse, &entry.path)?,
            None => write_content(&file, reader, size, |_| {})?,
        }
        self.describe(file.as_fd(), entry)?;
        set_time(&file, &entry.path, entry.mtime)?;
        self.place.tally.add(1, size);
        Ok(())
    }

    fn directory(&mut self, dir: &Found, name: &[u8], entry: &Entry) -> Fallible<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let os_name = OsStr::from_bytes(name);
        let failed = |places: &Places<'_>, call, errno| places.failure(call, &below(&dir.path, name), errno);
        let open = || rustix::fs::openat(&dir.fd, os_name, flags, Mode::empty());
        let make = || rustix::fs::mkdirat(&dir.fd, os_name, Mode::RWXU);
        let fd = match make() {
            Ok(()) => open(),
            Err(Errno::EXIST) => match open() {
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    self.places.clear(dir, name)?;
                    make().and_then(|()| open())
                }
                other => other,
            },
            Err(errno) => Err(errno),
        };
        let fd = fd.map_err(|errno| failed(&self.places, "mkdirat", errno))?;
        self.describe(fd.as_fd(), entry)?;
        let default_acl = entry.xattrs.iter().find(|(name, _)| name == DEFAULT_ACL).map(|(_, value)| value.clone());
        self.places.wait(below(&dir.path, name), Pending { mtime: entry.mtime, default_acl })
    }

    fn symlink(&mut self, dir: &Found, name: &[u8], entry: &Entry) -> Fallible<()> {
        if entry.link.is_empty() || entry.link.contains(&0) {
            return Err(refused("a symlink has no target"));
        }
        self.replacing("symlinkat", dir, name, || {
            rustix::fs::symlinkat(OsStr::from_bytes(&entry.link), &dir.fd, OsStr::from_bytes(name))
        })?;
        self.describe_at(dir, name, entry)
    }

    /// Another name for a file of the destination; its metadata is that of the file.
    fn hardlink(&mut self, dir: &Found, name: &[u8], entry: &Entry) -> Fallible<()> {
        let missing = |what: &str| refused(format!("the target {} of a hard link {what}", quote(&entry.link)));
        let target = clean(&entry.link)?;
        let (from_dir, from_name) = split(&target);
        if from_name.is_empty() {
            return Err(missing("is the destination itself"));
        }
        let from = self.places.existing(from_dir)?.ok_or_else(|| missing("does not exist"))?;
        let from_name = OsStr::from_bytes(from_name);
        let stat = match rustix::fs::statat(&from, from_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => return Err(missing("is a directory")),
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err(missing("does not exist")),
            Err(errno) => return Err(self.places.failure("newfstatat", &target, errno)),
        };
        let same = |known: rustix::fs::Stat| (known.st_dev, known.st_ino) == (stat.st_dev, stat.st_ino);
        if self.places.stat(dir, name)?.is_some_and(same) {
            return Ok(());
        }
        let link = || rustix::fs::linkat(&from, from_name, &dir.fd, OsStr::from_bytes(name), AtFlags::empty());
        self.replacing("linkat", dir, name, link).map_err(|failure| match failure.errno {
            // It was in the directory that this entry replaced.
            Some(Errno::NOENT) => missing("does not exist"),
            _ => failure,
        })?;
        match self.place.owner {
            // A file of the image: those of the archive have this owner already.
            Some(owner) if (owner.uid, owner.gid) != (stat.st_uid, stat.st_gid) => {
                set_owner_at(dir.as_fd(), name, owner, &entry.path)
            }
            _ => Ok(()),
        }
    }

    fn node(&mut self, dir: &Found, name: &[u8], entry: &Entry) -> Fallible<()> {
        let (kind, device) = match entry.kind {
            Kind::Character => (FileType::CharacterDevice, entry.device),
            Kind::Block => (FileType::BlockDevice, entry.device),
            _ => (FileType::Fifo, (0, 0)),
        };
        let forbidden = |why: &str| {
            let message = format!("cannot make the device {:?}: {why}", shown(&entry.path));
            Failure::user("ERR_DEVICE_FORBIDDEN", message)
        };
        if kind == FileType::CharacterDevice && device == (0, 0) {
            return Err(forbidden("the character device 0:0 is a whiteout"));
        }
        if kind != FileType::Fifo && self.place.marks == Marks::User {
            return Err(forbidden("that takes real root"));
        }
        let device = rustix::fs::makedev(device.0, device.1);
        let made = self.replacing("mknodat", dir, name, || {
            rustix::fs::mknodat(&dir.fd, OsStr::from_bytes(name), kind, Mode::RUSR, device)
        });
        made.map_err(|failure| match failure.errno {
            Some(Errno::PERM) => forbidden("that takes real root"),
            _ => failure,
        })?;
        self.describe_at(dir, name, entry)
    }

    /// Calls `make` and, when the name is taken, removes what is there and calls it again.
    fn replacing<T>(
        &mut self,
        call: &str,
        dir: &Found,
        name: &[u8],
        make: impl Fn() -> Result<T, Errno>,
    ) -> Fallible<T> {
        let made = match make() {
            Err(Errno::EXIST) => {
                self.places.clear(dir, name)?;
                make()
            }
            other => other,
        };
        made.map_err(|errno| self.places.failure(call, &below(&dir.path, name), errno))
    }

    /// Owner, mode and attributes of an open file or directory. `chown` clears the set-id bits and capabilities, so it
    /// is first.
    fn describe(&self, file: BorrowedFd<'_>, entry: &Entry) -> Fallible<()> {
        set_owner(file, Owner { uid: entry.uid, gid: entry.gid }, &entry.path)?;
        set_mode(file, entry.mode, &entry.path)?;
        let wanted = entry.xattrs.iter().filter(|(name, _)| is_kept(name) && name != DEFAULT_ACL);
        let wanted: Vec<_> = wanted.cloned().collect();
        self.place.attributes.set(file, &wanted, &entry.path);
        Ok(())
    }

    /// Owner, mode and time of something that cannot be opened.
    fn describe_at(&self, dir: &Found, name: &[u8], entry: &Entry) -> Fallible<()> {
        let os_name = OsStr::from_bytes(name);
        set_owner_at(dir.as_fd(), name, Owner { uid: entry.uid, gid: entry.gid }, &entry.path)?;
        if entry.kind != Kind::Symlink {
            // Made a moment ago and no link, so following makes no difference; fchmodat has no other form.
            rustix::fs::chmodat(&dir.fd, os_name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
                .map_err(|errno| write_failure("fchmodat", &entry.path, errno))?;
        }
        rustix::fs::utimensat(&dir.fd, os_name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| write_failure("utimensat", &entry.path, errno))
    }
}

fn times(time: Time) -> rustix::fs::Timestamps {
    mtime_only((time.seconds, i64::from(time.nanos)))
}

fn set_time(file: &OwnedFd, path: &[u8], time: Time) -> Fallible<()> {
    rustix::fs::futimens(file, &times(time)).map_err(|errno| write_failure("futimens", path, errno))
}

/// Writes the pieces of a file with holes.
fn write_pieces<S: Chunks>(file: &OwnedFd, reader: &mut Reader<S>, sparse: &Sparse, path: &[u8]) -> Fallible<()> {
    let failed = |errno| write_failure("write", path, errno);
    let mut pieces = sparse.map.iter().filter(|(_, length)| *length > 0);
    let mut left = 0;
    while let Some(mut bytes) = reader.next_piece()? {
        while !bytes.is_empty() {
            if left == 0 {
                let Some(&(offset, length)) = pieces.next() else {
                    return Err(refused("a sparse file has no place for its bytes"));
                };
                rustix::fs::seek(file, SeekFrom::Start(offset)).map_err(failed)?;
                left = length;
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let (now, rest) = bytes.split_at(length);
            crate::digest::write_all(file, now).map_err(failed)?;
            (bytes, left) = (rest, left - length as u64);
        }
    }
    rustix::fs::ftruncate(file, sparse.size).map_err(failed)
}
