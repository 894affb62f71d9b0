//! Walks a tree by descriptors and writes it as tar.

use super::limits;
use crate::apply::metadata::{is_kept, opaque_name};
use crate::apply::{has_mark, is_whiteout};
use crate::compress::{ReadError, Sink, Written};
use crate::descent::{DIR, Descent};
use crate::error::Fallible;
use crate::overlay::Marks;
use crate::progress::Progress;
use crate::protocol::Reply;
use crate::quote::quote;
use crate::tar::{Entry, Kind, Time, padding};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// One layer: whiteouts and opaque directories become entries.
    Layer {
        /// Where overlayfs keeps its marks.
        marks: Marks,
    },
    /// A whole file system.
    Merged,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    /// Entries of any kind.
    pub(crate) entries: u64,
    /// Regular files; further names of one are not counted.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// Writes one tree.
#[derive(Debug)]
pub(crate) struct Walker {
    sink: Sink,
    view: View,
    clamp: Option<i64>,
    descent: Descent,
    /// First names of files with several.
    links: HashMap<(u64, u64), Vec<u8>>,
    count: Count,
    progress: Progress,
}

impl Walker {
    /// Prepares to write what is below `root` to `sink`. Times after `clamp`, and those with a fraction of a second, are
    /// written as `clamp`.
    pub(crate) fn new(root: OwnedFd, sink: Sink, view: View, clamp: Option<i64>) -> Fallible<Self> {
        let descent = Descent::new(root)?;
        Ok(Self {
            sink,
            view,
            clamp,
            descent,
            links: HashMap::new(),
            count: Count::default(),
            progress: Progress::new(),
        })
    }

    /// Writes everything and the end of the archive.
    pub(crate) fn run(mut self) -> Fallible<(Written, Count)> {
        while let Some((name, kind)) = self.descent.next()? {
            self.visit(&name, kind)?;
        }
        Ok((self.sink.end()?, self.count))
    }

    fn visit(&mut self, name: &[u8], kind: FileType) -> Fallible<()> {
        match self.view {
            View::Layer { .. } => limits::name_in_layer(self.descent.path(), name)?,
            View::Merged => limits::name(self.descent.path(), name)?,
        }
        match kind {
            FileType::RegularFile => self.file(name),
            FileType::Directory => self.directory(name),
            _ => self.other(name),
        }
    }

    fn file(&mut self, name: &[u8]) -> Fallible<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(self.descent.dir()?, OsStr::from_bytes(name), flags, Mode::empty())
            .map_err(|errno| self.descent.failed("openat", name, errno))?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| self.descent.failed("fstat", name, errno))?;
        let mut entry = self.entry(Kind::Regular, self.descent.full(name), &stat);
        if self.link_to_first(&mut entry, &stat) {
            return self.write(&entry).map(drop);
        }
        entry.xattrs = self.xattrs(&file, name)?;
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        if self.view != View::Merged {
            limits::content(self.count.bytes, entry.size, &entry.path)?;
        }
        if !self.write(&entry)? {
            return Ok(());
        }
        self.content(&file, &stat, name)?;
        self.sink.zeros(padding(entry.size) as u64)?;
        self.count.files += 1;
        self.count.bytes += entry.size;
        self.progress.add(entry.size);
        Ok(())
    }

    fn directory(&mut self, name: &[u8]) -> Fallible<()> {
        let dir = rustix::fs::openat(self.descent.dir()?, OsStr::from_bytes(name), DIR, Mode::empty())
            .map_err(|errno| self.descent.failed("openat", name, errno))?;
        let stat = rustix::fs::fstat(&dir).map_err(|errno| self.descent.failed("fstat", name, errno))?;
        let mut path = self.descent.full(name);
        path.push(b'/');
        let mut entry = self.entry(Kind::Directory, path.clone(), &stat);
        entry.xattrs = self.xattrs(&dir, name)?;
        self.write(&entry)?;
        if let View::Layer { marks } = self.view
            && has_mark(&dir, opaque_name(marks))
        {
            self.write(&Entry::new(Kind::Regular, [&path[..], b".wh..wh..opq"].concat()))?;
        }
        self.descent.enter(path, dir)
    }

    fn other(&mut self, name: &[u8]) -> Fallible<()> {
        let os_name = OsStr::from_bytes(name);
        let stat = rustix::fs::statat(self.descent.dir()?, os_name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.descent.failed("newfstatat", name, errno))?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            // A file system that does not tell types when it lists.
            FileType::RegularFile => return self.file(name),
            FileType::Directory => return self.directory(name),
            FileType::Socket => return self.skip_socket(name),
            FileType::Symlink => Kind::Symlink,
            FileType::BlockDevice => Kind::Block,
            FileType::Fifo => Kind::Fifo,
            _ if is_whiteout(&stat) => return self.whiteout(name),
            FileType::CharacterDevice => Kind::Character,
            FileType::Unknown => return Err(self.descent.changed(name)),
        };
        let mut entry = self.entry(kind, self.descent.full(name), &stat);
        if self.link_to_first(&mut entry, &stat) {
            return self.write(&entry).map(drop);
        }
        if kind == Kind::Symlink {
            let link = rustix::fs::readlinkat(self.descent.dir()?, os_name, Vec::new());
            entry.link = link.map_err(|errno| self.descent.failed("readlinkat", name, errno))?.into_bytes();
        }
        if matches!(kind, Kind::Character | Kind::Block) {
            entry.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        }
        self.write(&entry).map(drop)
    }

    fn whiteout(&mut self, name: &[u8]) -> Fallible<()> {
        match self.view {
            View::Layer { .. } => {
                self.write(&Entry::new(Kind::Regular, self.descent.full(&[b".wh.", name].concat()))).map(drop)
            }
            View::Merged => Ok(()),
        }
    }

    fn skip_socket(&self, name: &[u8]) -> Fallible<()> {
        let path = self.descent.full(name);
        crate::report(&Reply::Warning {
            code: "WARN_SOCKET_SKIPPED".to_owned(),
            message: format!("the socket {} is left out: no layer can hold one", quote(&path)),
        });
        Ok(())
    }

    /// Makes `entry` a hard link if another name of the same file was written already.
    fn link_to_first(&mut self, entry: &mut Entry, stat: &Stat) -> bool {
        if stat.st_nlink < 2 {
            return false;
        }
        if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
            entry.kind = Kind::Hardlink;
            entry.link.clone_from(first);
            return true;
        }
        self.links.insert((stat.st_dev, stat.st_ino), entry.path.clone());
        false
    }

    fn content(&mut self, file: &OwnedFd, stat: &Stat, name: &[u8]) -> Fallible<()> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        // st_blocks counts 512 bytes; fewer than the size needs means holes, or compression, where looking is cheap too.
        if u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) < size && size > 1 << 16 {
            return self.sparse(file, size, name);
        }
        self.copy(file, size, name)
    }

    fn sparse(&mut self, file: &OwnedFd, size: u64, name: &[u8]) -> Fallible<()> {
        let mut at = 0;
        while at < size {
            let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
                Ok(data) => data.min(size),
                // No data behind this point.
                Err(Errno::NXIO) => size,
                Err(errno) => return Err(self.descent.failed("lseek(SEEK_DATA)", name, errno)),
            };
            self.sink.zeros(data - at)?;
            if data == size {
                return Ok(());
            }
            let hole = rustix::fs::seek(file, SeekFrom::Hole(data))
                .map_err(|errno| self.descent.failed("lseek(SEEK_HOLE)", name, errno))?;
            at = hole.min(size);
            rustix::fs::seek(file, SeekFrom::Start(data))
                .map_err(|errno| self.descent.failed("lseek(SEEK_SET)", name, errno))?;
            self.copy(file, at - data, name)?;
        }
        Ok(())
    }

    fn copy(&mut self, file: &OwnedFd, count: u64, name: &[u8]) -> Fallible<()> {
        match self.sink.read_from(file.as_fd(), count) {
            Ok(read) if read == count => Ok(()),
            Ok(_) => Err(self.descent.changed(name)),
            Err(ReadError::File(errno)) => Err(self.descent.failed("read", name, errno)),
            Err(ReadError::Sink(failure)) => Err(failure),
        }
    }

    /// False where the archive leaves the entry out.
    fn write(&mut self, entry: &Entry) -> Fallible<bool> {
        let taken = self.sink.entry(entry)?;
        self.count.entries += u64::from(taken);
        Ok(taken)
    }

    fn entry(&self, kind: Kind, path: Vec<u8>, stat: &Stat) -> Entry {
        let mut entry = Entry::new(kind, path);
        entry.mode = stat.st_mode & 0o7777;
        (entry.uid, entry.gid) = (stat.st_uid, stat.st_gid);
        entry.mtime = Time { seconds: self.seconds(stat), nanos: 0 };
        entry
    }

    /// A time with a fraction was taken from a clock: when a step ran, when a context was checked out. Archives have whole seconds.
    fn seconds(&self, stat: &Stat) -> i64 {
        match self.clamp {
            Some(clamp) if stat.st_mtime > clamp || stat.st_mtime_nsec != 0 => clamp,
            _ => stat.st_mtime,
        }
    }

    fn xattrs(&self, fd: &OwnedFd, name: &[u8]) -> Fallible<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut xattrs =
            crate::sys::layers::xattrs(fd, is_kept).map_err(|errno| self.descent.failed("flistxattr", name, errno))?;
        xattrs.retain(|(attribute, _)| {
            // PAX ends a key at the first `=`.
            let fits = !attribute.contains(&b'=');
            if !fits {
                let (attribute, path) = (quote(attribute), quote(&self.descent.full(name)));
                crate::report(&Reply::Warning {
                    code: "WARN_XATTR_SKIPPED".to_owned(),
                    message: format!("the attribute {attribute} of {path} is left out: no layer can hold its name"),
                });
            }
            fits
        });
        Ok(xattrs)
    }
}
