//! `copy`: changes of a snapshot that read or make files: COPY, ADD, WORKDIR, heredocs.

mod archive;
mod chmod;
mod data;
mod entry;
mod plan;
mod target;
mod writer;
mod xattrs;

use crate::beneath::Beneath;
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::owner::{self, Owner};
use crate::protocol::{FileAction, Outcome, Reply, Root, Selection, Tree};
use crate::scan::{digest_of, encode};
use crate::select::{Opened, Resolved, Selected, Source, join, select};
use archive::Archive;
use base64::Engine;
use chmod::Chmod;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use target::{NewDirs, Target, mtime_only, not_directory, shown, write_failure};
use writer::{Tally, Wishes, Writer};
use xattrs::Attributes;

/// Runs the actions in order on the snapshot. After a failure the snapshot holds part of the changes; the caller
/// throws it away.
pub(crate) fn copy(root: &Root, owners: Option<&Root>, actions: &[FileAction], marks: Marks) -> Fallible<Outcome> {
    if root.upper.is_none() {
        return Err(Failure::internal("copy needs a snapshot with an upper directory"));
    }
    overlay::enter_mount_namespace()?;
    // Modes are given in full at creation.
    rustix::process::umask(Mode::empty());
    let target = Target { root: Beneath::new(overlay::mount(root, marks)?) };
    let names = owners.map(|owners| overlay::mount(owners, marks).map(Beneath::new)).transpose()?;
    let find_owner =
        |spec: Option<&str>| spec.map(|spec| owner::look_up(names.as_ref().unwrap_or(&target.root), spec)).transpose();
    let tally = Tally::default();
    for action in actions {
        match action {
            FileAction::Copy { from, selection, dest, chown, chmod, expect, unpack } => {
                let owner = find_owner(chown.as_deref())?;
                let chmod = chmod.as_deref().map(Chmod::parse).transpose()?;
                let wishes = Wishes { owner, chmod: chmod.as_ref(), hash: expect.is_some() };
                let copy = Copy { from, selection, dest, expect: expect.as_deref(), unpack: *unpack, wishes, marks };
                copy.run(&target, &tally)?;
            }
            FileAction::Mkdir { path, mode, owner, mtime } => {
                let owner = find_owner(owner.as_deref())?;
                make_dir(&target, path, NewDirs { owner, mode: mode & 0o7777 }, *mtime)?;
            }
            FileAction::Mkfile { name, dest, data, owner, chmod, mtime } => {
                let owner = find_owner(owner.as_deref())?;
                let chmod = chmod.as_deref().map(Chmod::parse).transpose()?;
                let file = SmallFile { name, dest, data, owner, chmod: chmod.as_ref(), mtime: *mtime };
                file.make(&target, &tally)?;
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
    let (wishes, attributes) = (Wishes { owner, chmod: None, hash: false }, Attributes::default());
    let mut writer = Writer::new(tree, &target, wishes, &tally, &attributes);
    for mut source in selected.sources {
        writer.tree(&mut source.walked, b"")?;
    }
    writer.finish()?;
    Ok(tally.sums())
}

fn is_dir(resolved: &Resolved) -> bool {
    resolved.stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
}

/// WORKDIR. An existing directory keeps its owner, mode and time.
fn make_dir(target: &Target, path: &str, last: NewDirs, mtime: Option<i64>) -> Fallible<()> {
    let resolved = target.resolve(path)?;
    if resolved.stat.is_some() {
        return if is_dir(&resolved) { Ok(()) } else { Err(not_directory(&resolved.path)) };
    }
    let made = target.make_dirs(&resolved.path, NewDirs { owner: last.owner, mode: 0o755 }, last)?;
    set_mtime(&made, mtime, &resolved.path)
}

/// Sets the time of what was made just now, where one is wanted.
fn set_mtime(file: impl AsFd, mtime: Option<i64>, path: &[u8]) -> Fallible<()> {
    let Some(seconds) = mtime else { return Ok(()) };
    rustix::fs::futimens(file, &mtime_only((seconds, 0))).map_err(|errno| write_failure("futimens", path, errno))
}

/// A file with the bytes of a heredoc.
struct SmallFile<'a> {
    name: &'a str,
    dest: &'a str,
    /// base64
    data: &'a str,
    owner: Option<Owner>,
    chmod: Option<&'a Chmod>,
    mtime: Option<i64>,
}

impl SmallFile<'_> {
    fn make(&self, target: &Target, tally: &Tally) -> Fallible<()> {
        let data = base64::engine::general_purpose::STANDARD
            .decode(self.data)
            .map_err(|error| Failure::internal(format!("the data of mkfile is not base64: {error}")))?;
        if self.name.is_empty() || self.name.contains(['/', '\0']) || matches!(self.name, "." | "..") {
            return Err(Failure::user("ERR_PATH_INVALID", format!("{:?} is no name of a file", self.name)));
        }
        let new_dirs = NewDirs::of(self.owner, self.chmod);
        let (dir, name) = file_place(target, self.dest, new_dirs, self.name.as_bytes().to_vec(), false)?;
        let place = entry::Place::new(target.open_dir(&dir)?, &dir)?;
        let owner = self.owner.unwrap_or(Owner { uid: 0, gid: 0 });
        let mode = self.chmod.map_or(0o644, |chmod| chmod.apply(0o644, false));
        entry::new_file(&place, &name, &data, mode, owner)?;
        if let Some(seconds) = self.mtime {
            let times = mtime_only((seconds, 0));
            rustix::fs::utimensat(&place.fd, OsStr::from_bytes(&name), &times, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| write_failure("utimensat", &place.path_of(&name), errno))?;
        }
        tally.add(1, data.len() as u64);
        Ok(())
    }
}

/// The directory part and the last component.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

/// The directory and the name that a file gets; the directory is made.
fn file_place(
    target: &Target,
    dest: &str,
    new_dirs: NewDirs,
    basename: Vec<u8>,
    many: bool,
) -> Fallible<(Vec<u8>, Vec<u8>)> {
    let resolved = target.resolve(dest)?;
    let (dir, name) = if dest.ends_with('/') || dest.ends_with("/.") || is_dir(&resolved) {
        (resolved.path, basename)
    } else if many {
        return Err(Failure::user(
            "ERR_COPY_NOT_DIRECTORY",
            format!("cannot copy several sources to {dest:?}: it is no directory; end the destination with a slash"),
        ));
    } else {
        let (dir, name) = split(&resolved.path);
        (dir.to_vec(), name.to_vec())
    };
    target.make_dirs(&dir, new_dirs, new_dirs)?;
    Ok((dir, name))
}

/// One COPY or ADD.
struct Copy<'a> {
    from: &'a Tree,
    selection: &'a Selection,
    dest: &'a str,
    expect: Option<&'a str>,
    unpack: bool,
    wishes: Wishes<'a>,
    marks: Marks,
}

impl Copy<'_> {
    fn run(&self, target: &Target, tally: &Tally) -> Fallible<()> {
        let tree = Opened::open(self.from, self.marks)?;
        let mut selected = select(&tree, self.selection)?;
        refuse_missing(&selected)?;
        let new_dirs = NewDirs::of(self.wishes.owner, self.wishes.chmod);
        let attributes = Attributes::default();
        let mut writer = Writer::new(&tree, target, self.wishes, tally, &attributes);
        let many = selected.sources.len() > 1;
        let mut warning = self.empty(&selected);
        for source in &mut selected.sources {
            let Some(basename) = source.basename.clone() else {
                let top = self.dir_place(target, new_dirs)?.0;
                writer.tree(&mut source.walked, &top)?;
                continue;
            };
            match if self.unpack { Archive::of(&tree, &source.walked)? } else { None } {
                Some(archive) => {
                    warning = warning.or_else(|| self.ignored_flags(&archive));
                    let (path, dir) = self.dir_place(target, NewDirs { owner: self.wishes.owner, mode: 0o755 })?;
                    let Self { wishes: Wishes { owner, hash, .. }, marks, .. } = *self;
                    let place = archive::Place { dir, path: &path, owner, marks, tally, attributes: &attributes };
                    archive.unpack(&place, &mut source.walked, hash)?;
                }
                None => {
                    let (dir, name) = file_place(target, self.dest, new_dirs, basename, many)?;
                    writer.file(&mut source.walked, &dir, &name)?;
                }
            }
        }
        writer.finish()?;
        self.verify(&selected.sources)?;
        warning.iter().for_each(crate::report);
        Ok(())
    }

    /// What the user is told where wildcards match nothing at all: that is allowed, and most often a typing error.
    fn empty(&self, selected: &Selected) -> Option<Reply> {
        if !selected.sources.is_empty() {
            return None;
        }
        let names: Vec<&str> = self.selection.sources.iter().map(|source| source.trim_start_matches('/')).collect();
        let names = names.join(" ");
        let message = format!("Nothing is copied: no file matches {names:?}");
        Some(Reply::Warning { code: "copy-nothing".to_owned(), message })
    }

    /// What the user is told about flags that archives do not heed.
    fn ignored_flags(&self, archive: &Archive<'_>) -> Option<Reply> {
        let message = archive.ignored_flags(self.wishes.chmod.is_some(), !self.selection.exclude.is_empty())?;
        Some(Reply::Warning { code: "add-flags-ignored".to_owned(), message })
    }

    /// The directory that takes what a directory or an archive holds.
    fn dir_place(&self, target: &Target, new_dirs: NewDirs) -> Fallible<(Vec<u8>, OwnedFd)> {
        let resolved = target.resolve(self.dest)?;
        let dir = target.make_dirs(&resolved.path, new_dirs, new_dirs)?;
        Ok((resolved.path, dir))
    }

    /// Compares what was copied with what the scan digested.
    fn verify(&self, sources: &[Source]) -> Fallible<()> {
        let Some(expect) = self.expect else { return Ok(()) };
        let got = digest_of(&encode(sources, &self.selection.uncounted).text);
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
