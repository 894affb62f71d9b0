//! `export`: the merged file system of a snapshot, as a directory of the host or as a tar.

use crate::beneath::Beneath;
use crate::copy::write_tree;
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::owner::Owner;
use crate::protocol::{ExportDest, Outcome, Root, Selection, Tree};
use crate::select::{Opened, select};
use std::path::Path;

/// Writes the snapshot to where `dest` says.
pub(crate) fn export(root: &Root, dest: &ExportDest, marks: Marks) -> Fallible<Outcome> {
    match dest {
        ExportDest::Directory { path } => directory(root, Path::new(path), marks),
        ExportDest::Tar {} => crate::export_tar::export_tar(root, marks),
    }
}

/// Existing files are replaced and existing directories merged; no symlink below `dest` is followed. Real root keeps
/// the owners, everyone else owns what he wrote.
fn directory(root: &Root, dest: &Path, marks: Marks) -> Fallible<Outcome> {
    std::fs::create_dir_all(dest).map_err(|error| Failure::io(format!("mkdir({dest:?})"), &error))?;
    // The destination is opened before the mounts, so it is the host's directory whatever is mounted later.
    let target = Beneath::open_root(dest)?;
    overlay::enter_mount_namespace()?;
    let tree = Opened::open(&Tree::Snapshot { root: root.clone() }, marks)?;
    let everything =
        Selection { sources: vec!["/".to_owned()], exclude: Vec::new(), parents: false, uncounted: Vec::new() };
    let selected = select(&tree, &everything)?;
    let owner = match marks {
        Marks::Trusted => None,
        Marks::User => Some(Owner { uid: 0, gid: 0 }),
    };
    let (files, bytes) = write_tree(&tree, selected, target, owner)?;
    Ok(Outcome::Export { files, bytes })
}
