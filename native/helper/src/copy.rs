//! `copy`: changes of a snapshot that read or make files: COPY, ADD, WORKDIR, heredocs.

mod archive;
mod chmod;
mod data;
mod entry;
mod plan;
mod target;
mod writer;

use crate::beneath::Beneath;
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::owner::{self, Owner};
use crate::protocol::{FileAction, Outcome, Root, Selection, Tree};
use crate::scan::{digest_of, encode};
use crate::select::{Opened, Resolved, Selected, Source, join, select};
use base64::Engine;
use chmod::Chmod;
use rustix::fs::{FileType, Mode};
use target::{NewDirs, Target, not_directory, shown};
use writer::{Tally, Writer};

/// Runs the actions in order on the snapshot. After a failure the snapshot holds part of the changes; the caller
/// throws it away.
pub(crate) fn copy(root: &Root, actions: &[FileAction], marks: Marks) -> Fallible<Outcome> {
    if root.upper.is_none() {
        return Err(Failure::internal("copy needs a snapshot with an upper directory"));
    }
    overlay::enter_mount_namespace()?;
    // Modes are given in full at creation.
    rustix::process::umask(Mode::empty());
    let target = Target { root: Beneath::new(overlay::mount(root, marks)?) };
    let tally = Tally::default();
    for action in actions {
        match action {
            FileAction::Copy { from, selection, dest, chown, chmod, expect, unpack } => {
                let copy = Copy { from, selection, dest, expect: expect.as_deref(), unpack: *unpack };
                let owner = find_owner(&target, chown.as_deref())?;
                let chmod = chmod.as_deref().map(Chmod::parse).transpose()?;
                copy.run(&target, owner, chmod.as_ref(), &tally, marks)?;
            }
            FileAction::Mkdir { path, mode, owner } => {
                let owner = find_owner(&target, owner.as_deref())?;
                make_dir(&target, path, *mode, owner)?;
            }
            FileAction::Mkfile { path, mode, data, owner } => {
                let owner = find_owner(&target, owner.as_deref())?;
                make_file(&target, path, *mode, data, owner, &tally)?;
            }
        }
    }
    let (files, bytes) = tally.sums();
    Ok(Outcome::Copy { files, bytes })
}

/// Copies whole trees into a directory and returns how many files and bytes that were.
pub(crate) fn write_tree(
    tree: &Opened,
    selected: Selected,
    into: Beneath,
    owner: Option<Owner>,
) -> Fallible<(u64, u64)> {
    rustix::process::umask(Mode::empty());
    let target = Target { root: into };
    let tally = Tally::default();
    let mut writer = Writer::new(tree, &target, owner, None, false, &tally);
    for mut source in selected.sources {
        writer.tree(&mut source.walked, b"")?;
    }
    writer.finish()?;
    Ok(tally.sums())
}

fn find_owner(target: &Target, spec: Option<&str>) -> Fallible<Option<Owner>> {
    spec.map(|spec| owner::look_up(&target.root, spec)).transpose()
}

fn is_dir(resolved: &Resolved) -> bool {
    resolved.stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
}

/// WORKDIR. An existing directory keeps its owner and mode.
fn make_dir(target: &Target, path: &str, mode: u32, owner: Option<Owner>) -> Fallible<()> {
    let resolved = target.resolve(path)?;
    if resolved.stat.is_some() && !is_dir(&resolved) {
        return Err(not_directory(&resolved.path));
    }
    let parents = NewDirs { owner, mode: 0o755 };
    target.make_dirs(&resolved.path, parents, NewDirs { owner, mode: mode & 0o7777 }).map(drop)
}

/// A file with the bytes of a heredoc. Its mtime is now.
fn make_file(target: &Target, path: &str, mode: u32, data: &str, owner: Option<Owner>, tally: &Tally) -> Fallible<()> {
    let data = base64::engine::general_purpose::STANDARD
        .decode(data)
        .map_err(|error| Failure::internal(format!("the data of mkfile is not base64: {error}")))?;
    let resolved = target.resolve(path)?;
    if path.ends_with('/') || resolved.path.is_empty() {
        return Err(Failure::user("ERR_PATH_INVALID", format!("{path:?} names a directory, not a file")));
    }
    let (parent, name) = split(&resolved.path);
    let dirs = NewDirs { owner, mode: 0o755 };
    let dir = target.make_dirs(parent, dirs, dirs)?;
    let place = entry::Place::new(dir, parent)?;
    let owner = owner.unwrap_or(Owner { uid: 0, gid: 0 });
    entry::new_file(&place, name, &data, mode & 0o7777, owner)?;
    tally.add(1, data.len() as u64);
    Ok(())
}

/// The directory part and the last component.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

/// One COPY or ADD.
struct Copy<'a> {
    from: &'a Tree,
    selection: &'a Selection,
    dest: &'a str,
    expect: Option<&'a str>,
    unpack: bool,
}

impl Copy<'_> {
    fn run(
        &self,
        target: &Target,
        owner: Option<Owner>,
        chmod: Option<&Chmod>,
        tally: &Tally,
        marks: Marks,
    ) -> Fallible<()> {
        let tree = Opened::open(self.from, marks)?;
        let mut selected = select(&tree, self.selection)?;
        refuse_missing(&selected)?;
        if self.unpack {
            archive::refuse(&tree, &selected)?;
        }
        let new_dirs = NewDirs::of(owner, chmod);
        let mut writer = Writer::new(&tree, target, owner, chmod, self.expect.is_some(), tally);
        let many = selected.sources.len() > 1;
        for source in &mut selected.sources {
            match source.basename.clone() {
                None => {
                    let top = self.dir_place(target, new_dirs)?;
                    writer.tree(&mut source.walked, &top)?;
                }
                Some(basename) => {
                    let (dir, name) = self.file_place(target, new_dirs, basename, many)?;
                    writer.file(&mut source.walked, &dir, &name)?;
                }
            }
        }
        writer.finish()?;
        self.verify(&selected.sources)
    }

    /// The directory that takes a directory's contents.
    fn dir_place(&self, target: &Target, new_dirs: NewDirs) -> Fallible<Vec<u8>> {
        let resolved = target.resolve(self.dest)?;
        target.make_dirs(&resolved.path, new_dirs, new_dirs)?;
        Ok(resolved.path)
    }

    /// The directory and the name that a file gets.
    fn file_place(
        &self,
        target: &Target,
        new_dirs: NewDirs,
        basename: Vec<u8>,
        many: bool,
    ) -> Fallible<(Vec<u8>, Vec<u8>)> {
        let resolved = target.resolve(self.dest)?;
        let (dir, name) = if self.dest.ends_with('/') || self.dest.ends_with("/.") || is_dir(&resolved) {
            (resolved.path, basename)
        } else if many {
            return Err(Failure::user(
                "ERR_COPY_NOT_DIRECTORY",
                format!(
                    "cannot copy several sources to {:?}: it is no directory; end the destination with a slash",
                    self.dest
                ),
            ));
        } else {
            let (dir, name) = split(&resolved.path);
            (dir.to_vec(), name.to_vec())
        };
        target.make_dirs(&dir, new_dirs, new_dirs)?;
        Ok((dir, name))
    }

    /// Compares what was copied with what the scan digested.
    fn verify(&self, sources: &[Source]) -> Fallible<()> {
        let Some(expect) = self.expect else { return Ok(()) };
        let got = digest_of(&encode(sources).text);
        if got == expect {
            return Ok(());
        }
        let names = self.selection.sources.join(" ");
        let message = format!("{names:?} changed after the build began: expected content {expect}, copied {got}");
        Err(Failure::user("ERR_CONTEXT_CHANGED", message))
    }
}

fn refuse_missing(selected: &Selected) -> Fallible<()> {
    let Some(missing) = selected.missing.first() else { return Ok(()) };
    let name = shown(missing.source.as_bytes());
    let why = match missing.ignored_by {
        Some(rule) => format!("not found: ignore rule number {} hides it", rule + 1),
        None => "not found".to_owned(),
    };
    Err(Failure::user("ERR_COPY_SOURCE_NOT_FOUND", format!("{name:?}: {why}")))
}

/// `dir/name` of a snapshot.
fn below(dir: &[u8], name: &[u8]) -> Vec<u8> {
    join(dir, name)
}
