//! The entries of a walked tree.

use rustix::fd::BorrowedFd;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Fifo,
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A socket.
    Socket,
}

/// A point in time: Unix seconds and nanoseconds.
pub(crate) type Time = (i64, i64);

/// What stat says of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) kind: Kind,
    /// Permission, setuid, setgid and sticky bits, as the tree shows them.
    pub(crate) mode: u32,
    /// The same as the file has them.
    pub(crate) raw_mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) mtime: Time,
    pub(crate) ctime: Time,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) links: u64,
    pub(crate) rdev: u64,
}

impl Meta {
    /// Reads what the kernel gave.
    pub(crate) fn of(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Dir,
            FileType::Symlink => Kind::Link,
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::Char,
            FileType::BlockDevice => Kind::Block,
            FileType::Socket => Kind::Socket,
            FileType::RegularFile | FileType::Unknown => Kind::File,
        };
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            raw_mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            mtime: (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or_default()),
            ctime: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or_default()),
            dev: stat.st_dev,
            ino: stat.st_ino,
            links: u64::from(stat.st_nlink as u32),
            rdev: stat.st_rdev,
        }
    }

    /// Whether both describe one file with unchanged contents and attributes. Owners and links may differ in what a
    /// tree shows, so they do not count; a change of them changes ctime.
    pub(crate) fn same_file(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.dev == other.dev
            && self.ino == other.ino
            && self.size == other.size
            && self.raw_mode == other.raw_mode
            && self.mtime == other.mtime
            && self.ctime == other.ctime
    }
}

/// Extended attributes that count and are copied: `security.capability` and `user.*`, by name.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What is known of the contents of a regular file.
#[derive(Debug, Clone)]
pub(crate) struct NodeDigest {
    pub(crate) sha256: [u8; 32],
    pub(crate) xattrs: Xattrs,
}

/// One entry of a directory.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: Box<[u8]>,
    pub(crate) meta: Meta,
    /// Where a symbolic link points.
    pub(crate) link: Option<Box<[u8]>>,
    /// Of a regular file whose fingerprint is known, or that was hashed.
    pub(crate) digest: Option<NodeDigest>,
    /// A directory's place in [`Walked::dirs`].
    pub(crate) dir: Option<usize>,
    /// A directory that was not chosen itself, only something below it.
    pub(crate) implied: bool,
}

/// A directory that was read.
#[derive(Debug, Default)]
pub(crate) struct Dir {
    /// Where it is in its tree, free of symlinks.
    pub(crate) path: Vec<u8>,
    /// What was chosen in it, by name.
    pub(crate) nodes: Vec<Node>,
    pub(crate) xattrs: Xattrs,
}

/// A tree that was walked.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// The first one is the root.
    pub(crate) dirs: Vec<Dir>,
    /// Of the root directory, where the root is one.
    pub(crate) root: Option<Meta>,
    /// Entries that were looked at.
    pub(crate) looked_at: u64,
}

impl Walked {
    /// Whether the root holds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.dirs.first().is_none_or(|root| root.nodes.is_empty())
    }

    /// Visits every node, each directory before its contents and siblings in the order of their names' bytes. The
    /// path is relative to the root.
    pub(crate) fn visit<'w, E>(
        &'w self,
        mut see: impl FnMut(&[u8], &'w Dir, &'w Node) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut path = Vec::new();
        match self.dirs.first() {
            Some(root) => self.visit_dir(root, &mut path, &mut see),
            None => Ok(()),
        }
    }

    fn visit_dir<'w, E>(
        &'w self,
        dir: &'w Dir,
        path: &mut Vec<u8>,
        see: &mut impl FnMut(&[u8], &'w Dir, &'w Node) -> Result<(), E>,
    ) -> Result<(), E> {
        let length = path.len();
        for node in &dir.nodes {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&node.name);
            see(path, dir, node)?;
            if let Some(below) = node.dir.and_then(|at| self.dirs.get(at)) {
                self.visit_dir(below, path, see)?;
            }
            path.truncate(length);
        }
        Ok(())
    }
}

/// The attributes of an open file that count, by name. A file system without attributes has none.
pub(crate) fn xattrs_of(file: BorrowedFd<'_>) -> Result<Xattrs, Errno> {
    let mut names = [0_u8; 1024];
    let listed = match rustix::fs::flistxattr(file, &mut names) {
        Ok(0) | Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Vec::new()),
        Ok(length) => names.get(..length).unwrap_or_default().to_vec(),
        Err(Errno::RANGE) => list_long(file)?,
        Err(errno) => return Err(errno),
    };
    let counts = |name: &[u8]| {
        name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
    };
    let mut found = Vec::new();
    for name in listed.split(|&byte| byte == 0).filter(|name| counts(name)) {
        let mut value = vec![0_u8; 65_536];
        match rustix::fs::fgetxattr(file, name, &mut value) {
            Ok(length) => {
                value.truncate(length);
                found.push((name.to_vec(), value));
            }
            // Gone since; or capabilities of another user namespace, which the kernel does not tell in this one.
            Err(Errno::NODATA | Errno::OVERFLOW) => {}
            Err(errno) => return Err(errno),
        }
    }
    found.sort();
    Ok(found)
}

fn list_long(file: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    // XATTR_LIST_MAX: the kernel never gives more.
    let mut names = vec![0_u8; 65_536];
    let length = rustix::fs::flistxattr(file, &mut names)?;
    names.truncate(length);
    Ok(names)
}
