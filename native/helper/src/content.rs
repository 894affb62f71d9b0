//! Content digests of layers: what a step put upon its bases, whenever and on whatever machine it did so.
//!
//! docs/dev/cache-keys.md, "Content digests of layers", gives the encoding.

mod files;
mod line;
mod read;

use crate::apply::metadata::{is_kept, opaque_name};
use crate::apply::{has_mark, is_whiteout};
use crate::descent::{self, DIR, Descent};
use crate::diff::limits;
use crate::digest::Tally;
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::Outcome;
pub(crate) use files::Files;
use line::Line;
use read::{Found, Item, Reader};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// Names the encoding; a change of it is another line.
const VERSION: &[u8] = b"tsbuild-layer-v1\n";
/// Entries that are looked at together. Each may keep its directory open.
const BATCH: usize = 256;

/// Digests the trees of layers, each in overlayfs form; `None` as in [`digest`].
///
/// # Errors
/// See [`digest`].
pub(crate) fn digests(trees: &[String], marks: Marks) -> Fallible<Outcome> {
    let digests = trees.iter().map(|tree| digest(tree, Files::default(), marks)).collect::<Fallible<Vec<_>>>()?;
    Ok(Outcome::Content { digests })
}

/// Digests the tree of one layer, without reading again what `files` knows; `None` for what no layer can hold: too long names, names of whiteouts, more than 64 GiB.
///
/// # Errors
/// Failed calls; `ERR_HELPER_INTERNAL` for a tree that changes.
pub(crate) fn digest(upper: &str, files: Files, marks: Marks) -> Fallible<Option<String>> {
    match Walker::new(upper, files, marks).and_then(Walker::run) {
        Ok(digest) => Ok(Some(digest)),
        Err(failure) if failure.code == limits::UNREPRESENTABLE => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What comes next in the manifest.
enum Piece {
    /// A line, or two.
    Text(Vec<u8>),
    /// Something that is no directory and has to be looked at.
    Entry(Item),
}

struct Walker {
    descent: Descent,
    opaque: &'static str,
    batch: Vec<Piece>,
    reader: Reader,
    /// First names of files with several.
    links: HashMap<(u64, u64), Vec<u8>>,
    manifest: Tally,
}

impl Walker {
    fn new(upper: &str, files: Files, marks: Marks) -> Fallible<Self> {
        let root = descent::open_root(upper)?;
        let mut manifest = Tally::default();
        manifest.update(VERSION);
        manifest.update(&root_line(&root, upper)?);
        let descent = Descent::new(root)?;
        let (batch, reader, links) = (Vec::with_capacity(BATCH), Reader::new(files), HashMap::new());
        Ok(Self { descent, opaque: opaque_name(marks), batch, reader, links, manifest })
    }

    fn run(mut self) -> Fallible<String> {
        while let Some((name, kind)) = self.descent.next()? {
            limits::name_in_layer(self.descent.path(), &name)?;
            let kind = if kind == FileType::Unknown { self.kind_of(&name)? } else { kind };
            match kind {
                FileType::Directory => self.directory(&name)?,
                _ => {
                    let (dir, path) = (Arc::clone(self.descent.dir()?), self.descent.full(&name));
                    let is_file = kind == FileType::RegularFile;
                    self.batch.push(Piece::Entry(Item { dir, name, path, is_file }));
                }
            }
            if self.batch.len() >= BATCH {
                self.flush()?;
            }
        }
        self.flush()?;
        Ok(self.manifest.digest())
    }

    /// On a file system that does not tell types when it lists.
    fn kind_of(&self, name: &[u8]) -> Fallible<FileType> {
        rustix::fs::statat(self.descent.dir()?, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)
            .map(|stat| FileType::from_raw_mode(stat.st_mode))
            .map_err(|errno| self.descent.failed("newfstatat", name, errno))
    }

    fn directory(&mut self, name: &[u8]) -> Fallible<()> {
        let dir = rustix::fs::openat(self.descent.dir()?, OsStr::from_bytes(name), DIR, Mode::empty())
            .map_err(|errno| self.descent.failed("openat", name, errno))?;
        let stat = rustix::fs::fstat(&dir).map_err(|errno| self.descent.failed("fstat", name, errno))?;
        let mut path = self.descent.full(name);
        let xattrs = xattrs(&dir, &path)?;
        let mut line = Line::new(b'd', &stat);
        line.xattrs(&xattrs);
        let mut text = line.end(&path);
        if has_mark(&dir, self.opaque) {
            text.extend_from_slice(&line::mark(b'o', &path));
        }
        self.batch.push(Piece::Text(text));
        path.push(b'/');
        self.descent.enter(path, dir)
    }

    /// Looks at what was gathered and adds its lines.
    fn flush(&mut self) -> Fallible<()> {
        let items = self.batch.iter().filter_map(|piece| match piece {
            Piece::Entry(item) => Some(item),
            Piece::Text(_) => None,
        });
        let mut found = self.reader.read(items.collect())?.into_iter();
        for piece in std::mem::take(&mut self.batch) {
            let text = match piece {
                Piece::Text(text) => text,
                Piece::Entry(item) => {
                    let found = found.next().ok_or_else(|| Failure::internal("an entry was not looked at"))?;
                    self.entry(&item, &found)?
                }
            };
            self.manifest.update(&text);
        }
        Ok(())
    }

    fn entry(&mut self, item: &Item, found: &Found) -> Fallible<Vec<u8>> {
        let stat = &found.stat;
        if is_whiteout(stat) {
            return Ok(line::mark(b'w', &item.path));
        }
        let letter = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => b'f',
            FileType::Symlink => b'l',
            FileType::Fifo => b'p',
            FileType::CharacterDevice => b'c',
            FileType::BlockDevice => b'b',
            // `diff` leaves it out, for no layer can hold one; steps above see it.
            FileType::Socket => b's',
            _ => return Err(descent::changed(&item.path)),
        };
        let mut line = Line::new(letter, stat);
        match letter {
            b'f' => line.content(stat, &found.sha256.ok_or_else(|| descent::changed(&item.path))?),
            b'l' => line.target(&found.target),
            b'c' | b'b' => line.device(stat),
            _ => {}
        }
        line.xattrs(&found.xattrs);
        if stat.st_nlink > 1 {
            match self.links.get(&(stat.st_dev, stat.st_ino)) {
                Some(first) => line.same_as(first),
                None => drop(self.links.insert((stat.st_dev, stat.st_ino), item.path.clone())),
            }
        }
        Ok(line.end(&item.path))
    }
}

/// The root itself, which no layer holds and a mount of the stage shows. Nothing for one as it was made: 0755, of root.
fn root_line(root: &OwnedFd, upper: &str) -> Fallible<Vec<u8>> {
    let stat = rustix::fs::fstat(root).map_err(|errno| Failure::syscall(format!("fstat({upper:?})"), errno))?;
    let xattrs = xattrs(root, b"")?;
    if stat.st_mode & 0o7777 == 0o755 && stat.st_uid == 0 && stat.st_gid == 0 && xattrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut line = Line::new(b'd', &stat);
    line.xattrs(&xattrs);
    Ok(line.end(b""))
}

/// The attributes that are kept, also those of names that `diff` cannot write: steps above see them.
fn xattrs(fd: &OwnedFd, path: &[u8]) -> Fallible<Vec<(Vec<u8>, Vec<u8>)>> {
    crate::sys::layers::xattrs(fd.as_fd(), is_kept)
        .map_err(|errno| Failure::syscall(format!("flistxattr({})", crate::quote::quote(path)), errno))
}
