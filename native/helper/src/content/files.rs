//! What is known of the regular files of a tree because this process wrote them.

use crate::sys::layers::Xattr;
use rustix::fs::{FileType, Stat};
use std::collections::HashMap;

/// Files that are remembered, some ten megabytes of them. What is beyond them is read again.
const MAX: usize = 100_000;

/// Files by their inodes, all of one file system.
#[derive(Debug, Default)]
pub(crate) struct Files {
    known: HashMap<(u64, u64), File>,
}

#[derive(Debug)]
struct File {
    size: i64,
    sha256: [u8; 32],
    xattrs: Vec<Xattr>,
}

impl Files {
    /// Notes a file that has just been written: what `fstat` says, and the attributes that it kept.
    pub(crate) fn add(&mut self, stat: &Stat, sha256: [u8; 32], xattrs: Vec<Xattr>) {
        let inode = (stat.st_dev, stat.st_ino);
        if self.known.len() < MAX || self.known.contains_key(&inode) {
            self.known.insert(inode, File { size: stat.st_size, sha256, xattrs });
        }
    }

    /// A file was written of which nothing is known: the number of its inode may have been that of another one.
    pub(crate) fn forget(&mut self, stat: &Stat) {
        self.known.remove(&(stat.st_dev, stat.st_ino));
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Content and attributes of the file with this inode.
    pub(crate) fn get(&self, stat: &Stat) -> Option<([u8; 32], Vec<Xattr>)> {
        let file = self.known.get(&(stat.st_dev, stat.st_ino))?;
        let is_same = FileType::from_raw_mode(stat.st_mode).is_file() && file.size == stat.st_size;
        is_same.then(|| (file.sha256, file.xattrs.clone()))
    }
}
