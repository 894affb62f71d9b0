//! Removing a directory of the layer that something else replaces.

use super::target::{DIR, refused};
use crate::error::Fallible;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, RenameFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Removes a tree with a bounded number of descriptors however deep it is: each directory's subdirectories are moved up
/// beside it, then it is empty.
pub(super) fn remove_tree(dir: BorrowedFd<'_>, name: &OsStr, path: &[u8]) -> Fallible<()> {
    let top = rustix::fs::openat(dir, name, DIR, Mode::empty()).map_err(refused("openat", path))?;
    let mut counter = 0_u64;
    let mut queue = empty_out(&top, &top, &mut counter, path)?;
    while let Some(next) = queue.pop() {
        let sub =
            rustix::fs::openat(&top, OsStr::from_bytes(&next), DIR, Mode::empty()).map_err(refused("openat", path))?;
        queue.extend(empty_out(&sub, &top, &mut counter, path)?);
        rustix::fs::unlinkat(&top, OsStr::from_bytes(&next), AtFlags::REMOVEDIR).map_err(refused("unlinkat", path))?;
    }
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR).map_err(refused("unlinkat", path))
}

/// Unlinks the files of `dir` and moves its directories into `top`; gives their names there.
fn empty_out(dir: &OwnedFd, top: &OwnedFd, counter: &mut u64, path: &[u8]) -> Fallible<Vec<Vec<u8>>> {
    let is_top = std::ptr::eq(dir, top);
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir).map_err(refused("getdents64", path))? {
        let entry = entry.map_err(refused("getdents64", path))?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    let mut dirs = Vec::new();
    for name in names {
        match rustix::fs::unlinkat(dir, OsStr::from_bytes(&name), AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::ISDIR | Errno::PERM) if is_top => dirs.push(name),
            Err(Errno::ISDIR | Errno::PERM) => dirs.push(move_up(dir, top, &name, counter, path)?),
            Err(errno) => return Err(refused("unlinkat", path)(errno)),
        }
    }
    Ok(dirs)
}

fn move_up(dir: &OwnedFd, top: &OwnedFd, name: &[u8], counter: &mut u64, path: &[u8]) -> Fallible<Vec<u8>> {
    loop {
        *counter += 1;
        let free = format!(".tsbuild-remove-{counter}");
        match rustix::fs::renameat_with(dir, OsStr::from_bytes(name), top, &free, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(free.into_bytes()),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(refused("renameat2", path)(errno)),
        }
    }
}
