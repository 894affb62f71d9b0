//! ADD of local archives: a source that is a tar, by its content and whatever its name, is unpacked at the destination.
//!
//! The names in an archive are somebody else's. Docker unpacks in a chroot at the destination; here the destination is
//! the root of every resolution in the same way (`openat2(RESOLVE_IN_ROOT)`): `..`, absolute names and symlinks, those of
//! the archive and those of the image, lead nowhere else. What symlinks point to is stored as it is written.

mod inflate;
mod place;
mod remove;
mod source;
mod stored;
mod unpack;

use super::writer::Tally;
use super::xattrs::Attributes;
use crate::beneath::Beneath;
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::owner::Owner;
use crate::quote::quote;
use crate::scan::{open_dir, open_file, stat};
use crate::select::{Kind, NodeDigest, Opened, Walked, changed, join, read_failure, xattrs_of};
use crate::tar::header::Header;
use crate::tar::reader::{Reader, Rules};
use inflate::Inflated;
use rustix::fd::{AsFd, OwnedFd};
use source::Source;
use std::fs::File;
use std::io::{Read, Seek};
use stored::Stored;
use unpack::Unpacker;

/// Entries of one archive: what a layer may have.
const MAX_ENTRIES: u64 = 2_000_000;

/// Where an archive goes and what its entries become.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// The destination directory.
    pub(super) dir: OwnedFd,
    /// Its path in the snapshot.
    pub(super) path: &'a [u8],
    /// `--chown`.
    pub(super) owner: Option<Owner>,
    pub(super) marks: Marks,
    pub(super) tally: &'a Tally,
    pub(super) attributes: &'a Attributes,
}

/// A source that is an archive.
pub(super) struct Archive<'a> {
    tree: &'a Opened,
    file: File,
    /// Its path in the source tree.
    path: Vec<u8>,
}

impl<'a> Archive<'a> {
    /// Looks whether the only node of a walk is an archive: a file that holds, perhaps compressed, a tar header.
    ///
    /// # Errors
    /// `ERR_CONTEXT_CHANGED`, `ERR_CONTEXT_UNREADABLE`.
    pub(super) fn of(tree: &'a Opened, walked: &Walked) -> Fallible<Option<Self>> {
        let Some((dir, node)) = walked.dirs.first().and_then(|dir| Some((dir, dir.nodes.first()?))) else {
            return Ok(None);
        };
        if node.meta.kind != Kind::File {
            return Ok(None);
        }
        let path = join(&dir.path, &node.name);
        let (file, _) = open_file(tree, &open_dir(tree, &dir.path)?, &node.name, &path)?;
        let mut file = File::from(file);
        if !holds_tar(&file).map_err(|error| io_failure(&path, &error))? {
            return Ok(None);
        }
        file.rewind().map_err(|error| io_failure(&path, &error))?;
        Ok(Some(Self { tree, file, path }))
    }

    /// What the user is told when flags are given that archives do not heed.
    pub(super) fn ignored_flags(&self, chmod: bool, exclude: bool) -> Option<String> {
        let flags = match (chmod, exclude) {
            (true, true) => "--chmod and --exclude do",
            (true, false) => "--chmod does",
            (false, true) => "--exclude does",
            (false, false) => return None,
        };
        let path = quote(&self.path);
        Some(format!(
            "{flags} not apply to what ADD unpacks from {path}; unpack it in a RUN step to choose and change files"
        ))
    }

    /// Unpacks the archive; its node gets the digest of the file if `hash` asks for that.
    ///
    /// # Errors
    /// `ERR_ADD_ARCHIVE` for an archive that is damaged, unpacks to too much or holds what cannot be made,
    /// `ERR_DEVICE_FORBIDDEN`, `ERR_ROOTLESS_IDMAP`, `ERR_CONTEXT_CHANGED`.
    pub(super) fn unpack(self, place: &Place<'_>, walked: &mut Walked, hash: bool) -> Fallible<()> {
        let Self { tree, file, path } = self;
        let Some(node) = walked.dirs.first_mut().and_then(|dir| dir.nodes.first_mut()) else { return Ok(()) };
        let meta = stat(tree, &file, &path)?;
        let known = node.digest.take().filter(|_| meta.same_file(&node.meta));
        let reader = file.try_clone().map_err(|error| io_failure(&path, &error))?;
        let unpacked = entries(reader, &path, meta.size, hash && known.is_none(), place);
        // Bytes that were mixed of two files say nothing about either.
        if hash && !stat(tree, &file, &path)?.same_file(&meta) {
            return Err(changed(&path));
        }
        let xattrs = || xattrs_of(file.as_fd()).map_err(|errno| read_failure("fgetxattr", &path, errno));
        node.digest = match (known, unpacked?) {
            (None, Some(sha256)) => Some(NodeDigest { sha256, xattrs: xattrs()? }),
            (known, _) => known,
        };
        node.meta = meta;
        Ok(())
    }
}

fn entries(file: File, path: &[u8], size: u64, hash: bool, place: &Place<'_>) -> Fallible<Option<[u8; 32]>> {
    let explain = |failure, unpacker: &Unpacker<'_>| explain(failure, path, unpacker.current());
    let copy = place.dir.try_clone().map_err(|error| Failure::io("fcntl(F_DUPFD_CLOEXEC)", &error))?;
    let mut unpacker = Unpacker::new(Beneath::new(copy), place);
    let mut source = Source::start(file, path, size, hash).map_err(|failure| explain(failure, &unpacker))?;
    let mut reader = Reader::new(&mut source, Rules::Archive);
    let mut unpack = || -> Fallible<()> {
        while let Some(entry) = reader.next_entry()? {
            unpacker.entry(entry, &mut reader)?;
        }
        Ok(())
    };
    unpack().map_err(|failure| explain(failure, &unpacker))?;
    reader.drain().map_err(|failure| explain(failure, &unpacker))?;
    let digest = source.finish().map_err(|failure| explain(failure, &unpacker))?;
    unpacker.finish()?;
    Ok(digest)
}

/// The archive is refused, without its name.
fn refused(message: impl Into<String>) -> Failure {
    Failure::user("ERR_ADD_ARCHIVE", message)
}

/// Says which archive it was, and where in it. The tar reader speaks of layers.
fn explain(mut failure: Failure, path: &[u8], (number, name): (u64, &[u8])) -> Failure {
    if failure.code.starts_with("ERR_LAYER_") {
        failure.code = "ERR_ADD_ARCHIVE";
    }
    if failure.code == "ERR_ADD_ARCHIVE" {
        let place = if number == 0 { String::new() } else { format!(" (entry {number}, {})", quote(name)) };
        failure.message = format!("cannot unpack {}: {}{place}", quote(path), failure.message);
    }
    failure
}

fn io_failure(path: &[u8], error: &std::io::Error) -> Failure {
    read_failure("read", path, rustix::io::Errno::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EIO)))
}

/// Whether a file begins with a tar header. Bytes that cannot be decompressed are no archive: they are copied.
fn holds_tar(file: &File) -> std::io::Result<bool> {
    let mut block = [0; crate::tar::BLOCK];
    let mut inflated = match Inflated::new(Stored::new(file.try_clone()?, false)) {
        Ok(inflated) => inflated,
        Err(error) if error.raw_os_error().is_some() => return Err(error),
        Err(_) => return Ok(false),
    };
    match inflated.read_exact(&mut block) {
        // A block of zeros has no checksum: an empty archive is a file.
        Ok(()) => Ok(Header::parse(&block).is_ok()),
        Err(error) if error.raw_os_error().is_some() => Err(error),
        Err(_) => Ok(false),
    }
}
