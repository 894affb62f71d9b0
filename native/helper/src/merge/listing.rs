//! What a run of trees has in one directory, as overlayfs looks it up.

use crate::apply::is_whiteout;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A directory of one tree of the run.
#[derive(Debug)]
pub(super) struct Source {
    /// The tree's place in the run; 0 is the topmost.
    pub(super) tree: usize,
    pub(super) fd: OwnedFd,
}

/// What the run has under a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, and it hides what is below. The place of the mark among the sources.
    Whiteout(usize),
    /// What is no directory, and so hides what is below too. Its place among the sources.
    Other(usize),
    /// A directory. Whether one of them is opaque is not looked at.
    Directory {
        /// The trees that have it, topmost first.
        trees: Vec<usize>,
        /// Below the last of them comes something that ends the directory.
        closed: bool,
    },
}

/// Resolves every name of a directory.
///
/// # Errors
/// The errno and the name that it is about, empty for the directory itself.
pub(super) fn list(sources: &[Source]) -> Result<BTreeMap<Vec<u8>, Found>, (Vec<u8>, Errno)> {
    let mut found = BTreeMap::new();
    for (at, source) in sources.iter().enumerate() {
        let listing = rustix::fs::Dir::read_from(&source.fd).map_err(|errno| (Vec::new(), errno))?;
        for entry in listing {
            let entry = entry.map_err(|errno| (Vec::new(), errno))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                add(&mut found, name, at, source, entry.file_type()).map_err(|errno| (name.to_vec(), errno))?;
            }
        }
    }
    Ok(found)
}

fn add(
    found: &mut BTreeMap<Vec<u8>, Found>,
    name: &[u8],
    at: usize,
    source: &Source,
    listed: FileType,
) -> Result<(), Errno> {
    match found.entry(name.to_vec()) {
        Entry::Vacant(vacant) => {
            let first = match kind(source, name, listed)? {
                Kind::Whiteout => Found::Whiteout(at),
                Kind::Other => Found::Other(at),
                Kind::Directory => Found::Directory { trees: vec![source.tree], closed: false },
            };
            vacant.insert(first);
        }
        Entry::Occupied(mut known) => {
            if let Found::Directory { trees, closed: closed @ false } = known.get_mut() {
                match kind(source, name, listed)? {
                    Kind::Directory => trees.push(source.tree),
                    Kind::Whiteout | Kind::Other => *closed = true,
                }
            }
        }
    }
    Ok(())
}

enum Kind {
    Whiteout,
    Directory,
    Other,
}

fn kind(source: &Source, name: &[u8], listed: FileType) -> Result<Kind, Errno> {
    match listed {
        FileType::Directory => return Ok(Kind::Directory),
        // Only the device number tells a whiteout; some file systems tell no types when they list.
        FileType::CharacterDevice | FileType::Unknown => {}
        _ => return Ok(Kind::Other),
    }
    let stat = rustix::fs::statat(&source.fd, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        _ if is_whiteout(&stat) => Kind::Whiteout,
        _ => Kind::Other,
    })
}
