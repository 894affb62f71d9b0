//! Removes a tree from a mounted snapshot.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory on the way down and what is left to do in it.
struct Level {
    name: CString,
    subdirs: Vec<CString>,
}

/// Removes the directory `name` with everything in it.
///
/// The way back up is `..`, so a tree of any depth takes two descriptors: nobody else changes the snapshot, and overlayfs
/// cannot rename the directories of the layers below, which is how `maintenance` bounds its descriptors.
pub(super) fn remove_tree(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    let mut dir = open(parent, &name)?;
    let mut levels = vec![Level { subdirs: empty(&dir)?, name }];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.subdirs.pop() {
            dir = rustix::fs::openat(&dir, &name, DIR, Mode::empty())?;
            levels.push(Level { subdirs: empty(&dir)?, name });
            continue;
        }
        let Some(done) = levels.pop() else { break };
        if levels.is_empty() {
            return rustix::fs::unlinkat(parent, &done.name, AtFlags::REMOVEDIR);
        }
        dir = rustix::fs::openat(&dir, "..", DIR, Mode::empty())?;
        rustix::fs::unlinkat(&dir, &done.name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, name, DIR, Mode::empty())
}

/// Removes what is no directory and gives the names of the rest.
fn empty(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut files = Vec::new();
    let mut subdirs = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            let stat = rustix::fs::statat(dir, OsStr::from_bytes(name.to_bytes()), AtFlags::SYMLINK_NOFOLLOW)?;
            kind = FileType::from_raw_mode(stat.st_mode);
        }
        if kind.is_dir() { subdirs.push(name.to_owned()) } else { files.push(name.to_owned()) }
    }
    // After the reading: some file systems lose their place in a directory that changes.
    for name in files {
        rustix::fs::unlinkat(dir, &name, AtFlags::empty())?;
    }
    Ok(subdirs)
}
