//! Resolution of symlinks inside a root, component by component, so that every link on the way is known.
//!
//! The result is only a name without symlinks. Whoever opens it refuses symlinks, so a tree that changes in between
//! gives an error, never another file.

use crate::beneath::{Beneath, Links};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// As the kernel: a path may lead through this many symlinks.
const MAX_LINKS: usize = 40;

/// Where a path leads.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// Relative to the root, without symlinks; components that do not exist stand as they were written.
    pub(crate) path: Vec<u8>,
    /// What is there.
    pub(crate) stat: Option<Stat>,
    /// The symlinks that were followed, each by its own path.
    pub(crate) links: Vec<Vec<u8>>,
}

/// Follows `path` inside `root`, the last component too. `..` and absolute links stay inside.
///
/// # Errors
/// `ELOOP` after 40 symlinks, `ENOTDIR` where a component that must be a directory is none, `ESTALE` if the tree
/// changed meanwhile.
pub(crate) fn resolve(root: &Beneath, path: &[u8]) -> Result<Resolved, Errno> {
    let mut todo: Vec<Vec<u8>> = components(path);
    let mut done: Vec<u8> = Vec::new();
    let mut links = Vec::new();
    let mut missing = false;
    let mut last = None;
    while let Some(component) = todo.pop() {
        if component == b".." {
            done.truncate(done.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
            (last, missing) = (None, false);
            continue;
        }
        let parent = done.len();
        if parent > 0 {
            done.push(b'/');
        }
        done.extend_from_slice(&component);
        if missing {
            continue;
        }
        let Some((fd, stat)) = look(root, &done)? else {
            (missing, last) = (true, None);
            continue;
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&fd, "", Vec::new())?.into_bytes();
                links.push(done.clone());
                if links.len() > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                done.truncate(if target.starts_with(b"/") { 0 } else { parent });
                todo.extend(components(&target));
                last = None;
            }
            FileType::Directory => last = Some(stat),
            _ if todo.is_empty() => last = Some(stat),
            _ => return Err(Errno::NOTDIR),
        }
    }
    let stat = match (missing, last) {
        (true, _) => None,
        (false, Some(stat)) => Some(stat),
        // The path ended with `..`, with a link to `/`, or is the root.
        (false, None) => look(root, &done)?.map(|(_, stat)| stat),
    };
    Ok(Resolved { path: done, stat, links })
}

fn look(root: &Beneath, path: &[u8]) -> Result<Option<(OwnedFd, Stat)>, Errno> {
    match root.open(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse) {
        Ok(fd) => rustix::fs::fstat(&fd).map(|stat| Some((fd, stat))),
        Err(Errno::NOENT) => Ok(None),
        // A component that was a directory a moment ago is a symlink now.
        Err(Errno::LOOP) => Err(Errno::STALE),
        Err(errno) => Err(errno),
    }
}

/// The components, last first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}
