//! `read`: small files of a tree, for the control plane: a Dockerfile inside of an archive or a repository.

use crate::beneath::Links;
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::protocol::{Outcome, Tree};
use crate::select::{Opened, read_failure};
use base64::Engine;
use rustix::fs::{FileType, Mode, OFlags};
use std::fs::File;
use std::io::Read;

/// Reads each path. Symlinks are followed inside of the tree; what is missing or no regular file reads as `None`.
///
/// # Errors
/// `ERR_SIZE_MISMATCH` for a file of more than `max_bytes`, `ERR_SYMLINK_LOOP`, `ERR_PATH_INVALID`.
pub(crate) fn read(tree: &Tree, paths: &[String], max_bytes: u64, marks: Marks) -> Fallible<Outcome> {
    if matches!(tree, Tree::Snapshot { .. }) {
        overlay::enter_mount_namespace()?;
    }
    let tree = Opened::open(tree, marks)?;
    let files = paths.iter().map(|path| one(&tree, path, max_bytes)).collect::<Fallible<Vec<_>>>()?;
    Ok(Outcome::Read { files })
}

fn one(tree: &Opened, path: &str, max_bytes: u64) -> Fallible<Option<String>> {
    let Some(resolved) = tree.resolve(path.as_bytes())? else { return Ok(None) };
    let Some(stat) = resolved.stat else { return Ok(None) };
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = tree
        .root
        .open(&resolved.path, flags, Mode::empty(), Links::Refuse)
        .map_err(|errno| read_failure("openat2", &resolved.path, errno))?;
    let mut bytes = Vec::new();
    File::from(file)
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io(format!("read({path:?})"), &error))?;
    if bytes.len() as u64 > max_bytes {
        return Err(Failure::user("ERR_SIZE_MISMATCH", format!("{path:?} has more than {max_bytes} bytes")));
    }
    Ok(Some(base64::engine::general_purpose::STANDARD.encode(bytes)))
}
