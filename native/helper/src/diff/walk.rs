//! Walks a tree by descriptors and writes it as tar.

use crate::apply::metadata::{is_kept, opaque_name};
use crate::apply::{has_mark, is_too_long, is_whiteout, too_long};
use crate::compress::{ReadError, Sink, Written};
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::progress::Progress;
use crate::protocol::Reply;
use crate::quote::quote;
use crate::tar::writer::{END, header};
use crate::tar::{CONTENT_MAX, Entry, Kind, Time, padding};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Directories kept open on the way down; those above are reopened from below.
const OPEN_MAX: usize = 128;
/// The name of an entry is looked at closer where its directory's path is longer than this.
const LONG: usize = 1024;
const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

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

/// A directory on the way down.
#[derive(Debug)]
struct Level {
    /// `None` while many directories below it are open.
    fd: Option<OwnedFd>,
    inode: (u64, u64),
    /// Length of the path of this directory, with its slash.
    prefix: usize,
    /// The names that are left, the next one last.
    names: Vec<(Vec<u8>, FileType)>,
}

/// Writes one tree.
#[derive(Debug)]
pub(crate) struct Walker {
    sink: Sink,
    view: View,
    clamp: Option<i64>,
    /// The path of the current directory, with its slash; empty for the root.
    path: Vec<u8>,
    levels: Vec<Level>,
    /// First names of files with several.
    links: HashMap<(u64, u64), Vec<u8>>,
    count: Count,
    progress: Progress,
}

/// Opens a tree of the store.
pub(crate) fn open_root(path: &str) -> Fallible<OwnedFd> {
    rustix::fs::open(Path::new(path), DIR.difference(OFlags::NOFOLLOW), Mode::empty())
        .map_err(|errno| Failure::syscall(format!("open({path}, O_DIRECTORY)"), errno))
}

impl Walker {
    /// Prepares to write to `sink`. Times after `clamp` are written as `clamp`.
    pub(crate) fn new(sink: Sink, view: View, clamp: Option<i64>) -> Self {
        let (path, levels, links) = (Vec::new(), Vec::new(), HashMap::new());
        Self { sink, view, clamp, path, levels, links, count: Count::default(), progress: Progress::new() }
    }

    /// Writes everything below `root` and the end of the archive.
    pub(crate) fn run(mut self, root: OwnedFd) -> Fallible<(Written, Count)> {
        self.enter(root)?;
        while let Some(level) = self.levels.last_mut() {
            match level.names.pop() {
                Some((name, kind)) => self.visit(&name, kind)?,
                None => self.leave()?,
            }
        }
        self.sink.write(&END)?;
        Ok((self.sink.finish()?, self.count))
    }

    /// Lists a directory. Its path is `self.path`.
    fn enter(&mut self, fd: OwnedFd) -> Fallible<()> {
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
        self.levels.push(Level { fd: Some(fd), inode: (stat.st_dev, stat.st_ino), prefix, names });
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
                above.fd = Some(fd);
                Ok(())
            }
            Ok(_) => Err(self.changed(b"")),
            Err(errno) => Err(self.failed("openat", b"..", errno)),
        }
    }

    fn dir(&self) -> Fallible<BorrowedFd<'_>> {
        let level = self.levels.last().and_then(|level| level.fd.as_ref());
        level.map(AsFd::as_fd).ok_or_else(|| Failure::internal("no directory is open"))
    }

    fn visit(&mut self, name: &[u8], kind: FileType) -> Fallible<()> {
        if matches!(self.view, View::Layer { .. }) && name.starts_with(b".wh.") {
            let path = self.full(name);
            let message = format!("no layer can hold {}: names with \".wh.\" mean whiteouts", quote(&path));
            return Err(Failure::user("ERR_LAYER_UNREPRESENTABLE", message));
        }
        // A layer with a longer name could not be unpacked here or anywhere else. And every entry repeats the path of its
        // directory, so without a limit a deep tree would make a layer as large as the square of its depth.
        if self.path.len() > LONG {
            let path = self.full(name);
            if is_too_long(&path) {
                return Err(Failure::user(
                    "ERR_LAYER_UNREPRESENTABLE",
                    format!("no layer can hold {}", too_long(&path)),
                ));
            }
        }
        match kind {
            FileType::RegularFile => self.file(name),
            FileType::Directory => self.directory(name),
            _ => self.other(name),
        }
    }

    fn file(&mut self, name: &[u8]) -> Fallible<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(self.dir()?, OsStr::from_bytes(name), flags, Mode::empty())
            .map_err(|errno| self.failed("openat", name, errno))?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| self.failed("fstat", name, errno))?;
        let mut entry = self.entry(Kind::Regular, self.full(name), &stat);
        if self.link_to_first(&mut entry, &stat) {
            return self.write(&entry);
        }
        entry.xattrs = self.xattrs(&file, name)?;
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        self.limit(entry.size, &entry.path)?;
        self.write(&entry)?;
        self.content(&file, &stat, name)?;
        self.sink.zeros(padding(entry.size) as u64)?;
        self.count.files += 1;
        self.count.bytes += entry.size;
        self.progress.add(entry.size);
        Ok(())
    }

    /// Refuses the file with which a layer becomes too large, before a byte of it is read.
    fn limit(&self, size: u64, path: &[u8]) -> Fallible<()> {
        if self.view == View::Merged || self.count.bytes.saturating_add(size) <= CONTENT_MAX {
            return Ok(());
        }
        let path = quote(path);
        let message = format!(
            "no layer can hold {path}: with its {size} bytes the layer has more than {CONTENT_MAX}; holes count"
        );
        Err(Failure::user("ERR_LAYER_UNREPRESENTABLE", message))
    }

    fn directory(&mut self, name: &[u8]) -> Fallible<()> {
        let dir = rustix::fs::openat(self.dir()?, OsStr::from_bytes(name), DIR, Mode::empty())
            .map_err(|errno| self.failed("openat", name, errno))?;
        let stat = rustix::fs::fstat(&dir).map_err(|errno| self.failed("fstat", name, errno))?;
        let mut path = self.full(name);
        path.push(b'/');
        let mut entry = self.entry(Kind::Directory, path.clone(), &stat);
        entry.xattrs = self.xattrs(&dir, name)?;
        self.write(&entry)?;
        self.path = path;
        if let View::Layer { marks } = self.view
            && has_mark(&dir, opaque_name(marks))
        {
            self.write(&Entry::new(Kind::Regular, self.full(b".wh..wh..opq")))?;
        }
        self.enter(dir)
    }

    fn other(&mut self, name: &[u8]) -> Fallible<()> {
        let os_name = OsStr::from_bytes(name);
        let stat = rustix::fs::statat(self.dir()?, os_name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.failed("newfstatat", name, errno))?;
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
            FileType::Unknown => return Err(self.changed(name)),
        };
        let mut entry = self.entry(kind, self.full(name), &stat);
        if self.link_to_first(&mut entry, &stat) {
            return self.write(&entry);
        }
        if kind == Kind::Symlink {
            let link = rustix::fs::readlinkat(self.dir()?, os_name, Vec::new());
            entry.link = link.map_err(|errno| self.failed("readlinkat", name, errno))?.into_bytes();
        }
        if matches!(kind, Kind::Character | Kind::Block) {
            entry.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        }
        self.write(&entry)
    }

    fn whiteout(&mut self, name: &[u8]) -> Fallible<()> {
        match self.view {
            View::Layer { .. } => self.write(&Entry::new(Kind::Regular, self.full(&[b".wh.", name].concat()))),
            View::Merged => Ok(()),
        }
    }

    fn skip_socket(&self, name: &[u8]) -> Fallible<()> {
        let path = self.full(name);
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
                Err(errno) => return Err(self.failed("lseek(SEEK_DATA)", name, errno)),
            };
            self.sink.zeros(data - at)?;
            if data == size {
                return Ok(());
            }
            let hole = rustix::fs::seek(file, SeekFrom::Hole(data))
                .map_err(|errno| self.failed("lseek(SEEK_HOLE)", name, errno))?;
            at = hole.min(size);
            rustix::fs::seek(file, SeekFrom::Start(data))
                .map_err(|errno| self.failed("lseek(SEEK_SET)", name, errno))?;
            self.copy(file, at - data, name)?;
        }
        Ok(())
    }

    fn copy(&mut self, file: &OwnedFd, count: u64, name: &[u8]) -> Fallible<()> {
        match self.sink.read_from(file.as_fd(), count) {
            Ok(read) if read == count => Ok(()),
            Ok(_) => Err(self.changed(name)),
            Err(ReadError::File(errno)) => Err(self.failed("read", name, errno)),
            Err(ReadError::Sink(failure)) => Err(failure),
        }
    }

    fn write(&mut self, entry: &Entry) -> Fallible<()> {
        self.count.entries += 1;
        self.sink.write(&header(entry))
    }

    fn entry(&self, kind: Kind, path: Vec<u8>, stat: &Stat) -> Entry {
        let mut entry = Entry::new(kind, path);
        entry.mode = stat.st_mode & 0o7777;
        (entry.uid, entry.gid) = (stat.st_uid, stat.st_gid);
        let seconds = self.clamp.map_or(stat.st_mtime, |clamp| stat.st_mtime.min(clamp));
        entry.mtime = Time { seconds, nanos: 0 };
        entry
    }

    fn xattrs(&self, fd: &OwnedFd, name: &[u8]) -> Fallible<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut xattrs =
            crate::sys::layers::xattrs(fd, is_kept).map_err(|errno| self.failed("flistxattr", name, errno))?;
        xattrs.retain(|(attribute, _)| {
            // PAX ends a key at the first `=`.
            let fits = !attribute.contains(&b'=');
            if !fits {
                let (attribute, path) = (quote(attribute), quote(&self.full(name)));
                crate::report(&Reply::Warning {
                    code: "WARN_XATTR_SKIPPED".to_owned(),
                    message: format!("the attribute {attribute} of {path} is left out: no layer can hold its name"),
                });
            }
            fits
        });
        Ok(xattrs)
    }

    fn full(&self, name: &[u8]) -> Vec<u8> {
        [&self.path, name].concat()
    }

    fn failed(&self, call: &str, name: &[u8], errno: Errno) -> Failure {
        Failure::syscall(format!("{call}({})", quote(&self.full(name))), errno)
    }

    fn changed(&self, name: &[u8]) -> Failure {
        let path = self.full(name);
        Failure::internal(format!("{} changed while it was read; a snapshot must not", quote(&path)))
    }
}
