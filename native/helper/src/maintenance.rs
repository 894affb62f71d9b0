//! `sync`, `remove` and `usage`: the store's housekeeping on trees this program made.

use crate::error::{Failure, Fallible};
use crate::protocol::Outcome;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::path::Path;

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Directories kept open, so that no tree exhausts the descriptors: [`remove`] moves one that lies deeper up instead, and
/// [`usage`] opens those above again on its way back.
const MAX_DEPTH: usize = 128;

/// Makes everything written below these paths durable: one `syncfs` for each file system.
pub(crate) fn sync(paths: &[String]) -> Fallible<Outcome> {
    let mut done = HashSet::new();
    for path in paths {
        let dir = rustix::fs::open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Failure::syscall(format!("open({path:?})"), errno))?;
        let stat = rustix::fs::fstat(&dir).map_err(|errno| Failure::syscall(format!("fstat({path:?})"), errno))?;
        if done.insert(stat.st_dev) {
            rustix::fs::syncfs(&dir).map_err(|errno| Failure::syscall(format!("syncfs({path:?})"), errno))?;
        }
    }
    Ok(Outcome::Sync {})
}

/// Deletes trees. Follows no symlink, enters no mount; what is missing already is no error.
pub(crate) fn remove(paths: &[String]) -> Fallible<Outcome> {
    for path in paths {
        let (parent, name) = locate(path)?;
        let Some(parent) = parent else { continue };
        remove_entry(parent.as_fd(), &name)
            .map_err(|errno| Failure::syscall(format!("unlinkat({path:?}, recursive)"), errno))?;
    }
    Ok(Outcome::Remove {})
}

/// Adds up the blocks of trees: what has several names counts once, in the first tree that has one; what is gone is nothing.
/// Follows no symlink, enters no mount.
pub(crate) fn usage(paths: &[String]) -> Fallible<Outcome> {
    let mut links = HashSet::new();
    let bytes = paths
        .iter()
        .map(|path| {
            tree_bytes(path, &mut links)
                .map_err(|errno| Failure::syscall(format!("getdents64({path:?}, recursive)"), errno))
        })
        .collect::<Fallible<Vec<u64>>>()?;
    Ok(Outcome::Usage { bytes })
}

/// Opens the directory that holds `path`; `None` when there is none.
fn locate(path: &str) -> Fallible<(Option<OwnedFd>, CString)> {
    let path = Path::new(path);
    let (Some(parent), Some(name), true) = (path.parent(), path.file_name(), path.is_absolute()) else {
        return Err(Failure::internal(format!("{path:?} is not an absolute path of an entry")));
    };
    let name = CString::new(name.as_encoded_bytes()).map_err(|_| Failure::internal("a path holds a NUL"))?;
    match rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(dir) => Ok((Some(dir), name)),
        Err(Errno::NOENT) => Ok((None, name)),
        Err(errno) => Err(Failure::syscall(format!("open({parent:?}, O_PATH|O_DIRECTORY)"), errno)),
    }
}

/// One directory on the way down and what is left to do in it.
struct Level {
    dir: OwnedFd,
    name: CString,
    subdirs: Vec<CString>,
}

fn remove_entry(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    match unlink(parent, name) {
        Ok(()) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let mut levels = vec![enter(parent, name)?];
    let mut moved = 0_u64;
    while let Some(level) = levels.last_mut() {
        let Some(sub) = level.subdirs.pop() else {
            let Some(done) = levels.pop() else { break };
            let above = levels.last().map_or(parent, |level| level.dir.as_fd());
            unlink(above, &done.name)?;
            continue;
        };
        if levels.len() < MAX_DEPTH {
            let above = levels.last().map_or(parent, |level| level.dir.as_fd());
            let next = enter(above, &sub)?;
            levels.push(next);
        } else {
            raise(&mut levels, sub, &mut moved)?;
        }
    }
    Ok(())
}

/// Moves a directory that lies too deep to the top of the tree, where it is dealt with later.
fn raise(levels: &mut [Level], name: CString, moved: &mut u64) -> Result<(), Errno> {
    let from = levels.last().ok_or(Errno::IO)?.dir.as_fd();
    let top = levels.first().ok_or(Errno::IO)?.dir.as_fd();
    let target = loop {
        *moved += 1;
        let target = CString::new(format!(".tsbuild-remove-{moved}")).map_err(|_| Errno::INVAL)?;
        match rustix::fs::renameat_with(from, &name, top, &target, rustix::fs::RenameFlags::NOREPLACE) {
            Ok(()) => break target,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    };
    if let Some(top) = levels.first_mut() {
        top.subdirs.push(target);
    }
    Ok(())
}

/// Deletes one entry that is no directory with contents.
fn unlink(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOENT) => Ok(()),
            // PERM for a file that may not be deleted: report that, not that it is no directory.
            Err(Errno::NOTDIR) => Err(Errno::PERM),
            other => other,
        },
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Opens a directory, deletes what is no directory in it and lists the rest.
fn enter(parent: BorrowedFd<'_>, name: &CStr) -> Result<Level, Errno> {
    let dir = match open_dir(parent, name) {
        // Trees hold directories that even their owner may not read (overlayfs makes `work` with mode 000).
        Err(Errno::ACCESS) => unlock(parent, name).and_then(|()| open_dir(parent, name))?,
        other => other?,
    };
    let mut subdirs = Vec::new();
    let mut entries = rustix::fs::Dir::read_from(&dir)?;
    let mut unlocked = false;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            subdirs.push(name.to_owned());
            continue;
        }
        match unlink(dir.as_fd(), name) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => subdirs.push(name.to_owned()),
            Err(Errno::ACCESS) if !unlocked => {
                unlocked = true;
                rustix::fs::fchmod(&dir, Mode::RWXU)?;
                unlink(dir.as_fd(), name)?;
            }
            other => other?,
        }
    }
    // Deleting the subdirectories needs write permission here as well.
    if !subdirs.is_empty()
        && !unlocked
        && Mode::from_raw_mode(rustix::fs::fstat(&dir)?.st_mode) & Mode::RWXU != Mode::RWXU
    {
        rustix::fs::fchmod(&dir, Mode::RWXU)?;
    }
    Ok(Level { dir, name: name.to_owned(), subdirs })
}

fn unlock(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Errno::NOTDIR);
    }
    // fchmodat follows links, but this entry is a directory of a tree that only we change.
    rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())
}

fn open_dir(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    loop {
        match rustix::fs::openat2(parent, name, DIR, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

fn tree_bytes(path: &str, links: &mut HashSet<(u64, u64)>) -> Result<u64, Errno> {
    let stat = match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(0),
        other => other?,
    };
    let mut bytes = allocated(&stat, links);
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(bytes);
    }
    let root = match rustix::fs::open(path, DIR, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(0),
        other => other?,
    };
    let subdirs = measure(root.as_fd(), &mut bytes, links)?;
    let mut levels = vec![Measured { dir: Some(root), inode: (stat.st_dev, stat.st_ino), subdirs }];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.subdirs.pop() else {
            leave(&mut levels)?;
            continue;
        };
        let dir = level.dir.as_ref().ok_or(Errno::IO)?;
        let next = match open_dir(dir.as_fd(), &name) {
            Err(Errno::XDEV | Errno::NOENT) => continue,
            other => other?,
        };
        let stat = rustix::fs::fstat(&next)?;
        let subdirs = measure(next.as_fd(), &mut bytes, links)?;
        if let Some(above) = levels.len().checked_sub(MAX_DEPTH).and_then(|at| levels.get_mut(at)) {
            above.dir = None;
        }
        levels.push(Measured { dir: Some(next), inode: (stat.st_dev, stat.st_ino), subdirs });
    }
    Ok(bytes)
}

/// One directory that is being measured.
struct Measured {
    /// Closed while [`MAX_DEPTH`] directories below it are open.
    dir: Option<OwnedFd>,
    inode: (u64, u64),
    subdirs: Vec<CString>,
}

/// Goes up. A directory that was closed is opened again from below.
fn leave(levels: &mut Vec<Measured>) -> Result<(), Errno> {
    let (Some(done), Some(above)) = (levels.pop(), levels.last_mut()) else { return Ok(()) };
    if above.dir.is_none() {
        let dir = rustix::fs::openat(done.dir.as_ref().ok_or(Errno::IO)?, c"..", DIR, Mode::empty())?;
        let stat = rustix::fs::fstat(&dir)?;
        // Something moved the directory meanwhile.
        if (stat.st_dev, stat.st_ino) != above.inode {
            return Err(Errno::STALE);
        }
        above.dir = Some(dir);
    }
    Ok(())
}

/// Adds the entries of one directory and returns its subdirectories.
fn measure(dir: BorrowedFd<'_>, bytes: &mut u64, links: &mut HashSet<(u64, u64)>) -> Result<Vec<CString>, Errno> {
    let mut subdirs = Vec::new();
    let mut entries = rustix::fs::Dir::read_from(dir)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        *bytes += allocated(&stat, links);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            subdirs.push(name.to_owned());
        }
    }
    Ok(subdirs)
}

fn allocated(stat: &Stat, links: &mut HashSet<(u64, u64)>) -> u64 {
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if !directory && stat.st_nlink > 1 && !links.insert((stat.st_dev, stat.st_ino)) {
        return 0;
    }
    stat.st_blocks.unsigned_abs() * 512
}
