//! Reads and hashes the files of a selection whose fingerprints are not known.

use crate::beneath::Links;
use crate::error::{Failure, Fallible};
use crate::select::{self, Kind, Meta, NodeDigest, Opened, Selected, changed, read_failure, xattrs_of};
use crate::workers;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Files of one directory that one thread hashes in one go.
const CHUNK: usize = 64;
/// How often a file that changes under the reader is read again.
const ATTEMPTS: usize = 3;

/// Reads files with one buffer.
#[derive(Debug)]
pub(crate) struct Hasher {
    buffer: Vec<u8>,
}

struct Chunk {
    source: usize,
    dir: usize,
    nodes: Vec<usize>,
}

struct Hashed {
    source: usize,
    dir: usize,
    node: usize,
    meta: Meta,
    digest: NodeDigest,
}

/// Gives every regular file of a selection its digest and returns how many bytes were read for it.
///
/// # Errors
/// `ERR_CONTEXT_CHANGED`, `ERR_CONTEXT_UNREADABLE`.
pub(crate) fn fill(tree: &Opened, selected: &mut Selected) -> Fallible<u64> {
    let chunks = chunks(selected);
    let bytes = AtomicU64::new(0);
    let results = Mutex::new(Vec::new());
    workers::for_each(&chunks, |chunk| {
        let done = run(tree, selected, chunk)?;
        bytes.fetch_add(done.iter().map(|hashed| hashed.meta.size).sum(), Ordering::Relaxed);
        results.lock().unwrap_or_else(PoisonError::into_inner).extend(done);
        Ok(())
    })?;
    for hashed in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let source = selected.sources.get_mut(hashed.source);
        let dir = source.and_then(|source| source.walked.dirs.get_mut(hashed.dir));
        let Some(dir) = dir else { continue };
        if let Some(node) = dir.nodes.get_mut(hashed.node) {
            tree.fingerprints.learn(&dir.path, &node.name, &hashed.meta, &hashed.digest);
            node.meta = hashed.meta;
            node.digest = Some(hashed.digest);
        }
    }
    Ok(bytes.into_inner())
}

fn chunks(selected: &Selected) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    for (source, found) in selected.sources.iter().enumerate() {
        for (dir, found) in found.walked.dirs.iter().enumerate() {
            let unknown = |node: &select::Node| node.meta.kind == Kind::File && node.digest.is_none();
            let nodes: Vec<usize> =
                found.nodes.iter().enumerate().filter(|(_, node)| unknown(node)).map(|(at, _)| at).collect();
            chunks.extend(nodes.chunks(CHUNK).map(|nodes| Chunk { source, dir, nodes: nodes.to_vec() }));
        }
    }
    chunks
}

fn run(tree: &Opened, selected: &Selected, chunk: &Chunk) -> Fallible<Vec<Hashed>> {
    let Some(dir) = selected.sources.get(chunk.source).and_then(|source| source.walked.dirs.get(chunk.dir)) else {
        return Err(Failure::internal("a chunk names a directory that was not walked"));
    };
    let fd = open_dir(tree, &dir.path)?;
    let mut hasher = Hasher::new();
    let mut done = Vec::with_capacity(chunk.nodes.len());
    for &at in &chunk.nodes {
        let Some(node) = dir.nodes.get(at) else { continue };
        let path = select::join(&dir.path, &node.name);
        let (meta, digest) = hasher.file(tree, &fd, &node.name, &path)?;
        done.push(Hashed { source: chunk.source, dir: chunk.dir, node: at, meta, digest });
    }
    Ok(done)
}

/// Opens a directory of a source tree by its symlink-free path.
pub(crate) fn open_dir(tree: &Opened, path: &[u8]) -> Fallible<OwnedFd> {
    tree.root
        .open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty(), Links::Refuse)
        .map_err(|errno| read_failure("open", path, errno))
}

/// Opens a regular file of a source directory for reading; anything else that took its place is refused, and a fifo
/// does not block.
pub(crate) fn open_file(tree: &Opened, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Fallible<(OwnedFd, Meta)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, OsStr::from_bytes(name), flags, Mode::empty())
        .map_err(|errno| read_failure("openat", path, if errno == Errno::NXIO { Errno::LOOP } else { errno }))?;
    let meta = stat(tree, &file, path)?;
    if meta.kind == Kind::File { Ok((file, meta)) } else { Err(changed(path)) }
}

/// What stat says of an open file.
pub(crate) fn stat(tree: &Opened, file: impl AsFd, path: &[u8]) -> Fallible<Meta> {
    rustix::fs::fstat(file).map(|stat| tree.meta(&stat)).map_err(|errno| read_failure("fstat", path, errno))
}

impl Hasher {
    /// A hasher for one thread.
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; 128 * 1024] }
    }

    /// Hashes a file; when it changes meanwhile, again.
    fn file(&mut self, tree: &Opened, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Fallible<(Meta, NodeDigest)> {
        for _ in 0..ATTEMPTS {
            let (file, before) = open_file(tree, dir, name, path)?;
            let sha256 = self.contents(&file, path, |_| Ok(()))?;
            let xattrs = xattrs_of(file.as_fd()).map_err(|errno| read_failure("fgetxattr", path, errno))?;
            if stat(tree, &file, path)?.same_file(&before) {
                return Ok((before, NodeDigest { sha256, xattrs }));
            }
        }
        Err(changed(path))
    }

    /// Reads a file to its end and hands every part of it on.
    pub(crate) fn copy(
        &mut self,
        file: &OwnedFd,
        path: &[u8],
        mut each: impl FnMut(&[u8]) -> Fallible<()>,
    ) -> Fallible<()> {
        loop {
            let length = match rustix::io::read(file, &mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(read_failure("read", path, errno)),
            };
            each(self.buffer.get(..length).unwrap_or_default())?;
        }
    }

    /// As [`Hasher::copy`], and hashes the file.
    pub(crate) fn contents(
        &mut self,
        file: &OwnedFd,
        path: &[u8],
        mut each: impl FnMut(&[u8]) -> Fallible<()>,
    ) -> Fallible<[u8; 32]> {
        let mut sha = Sha256::new();
        self.copy(file, path, |part| {
            sha.update(part);
            each(part)
        })?;
        Ok(sha.finalize().into())
    }
}
