//! Looks at entries and hashes files, on several threads where there is enough to do.

use super::{Files, xattrs};
use crate::descent::changed;
use crate::diff::limits;
use crate::error::{Failure, Fallible};
use crate::quote::quote;
use crate::sys::layers::Xattr;
use crate::workers;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

/// Entries that one thread looks at in one go.
const CHUNK: usize = 64;
/// A larger file is work for a thread of its own, and is read once however many names it has.
const LARGE: u64 = 128 << 10;
/// How much is read at once.
const BUFFER: usize = 64 << 10;

/// An entry that is no directory.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) name: Vec<u8>,
    pub(super) path: Vec<u8>,
    /// A regular file, by the listing.
    pub(super) is_file: bool,
}

/// What an entry turned out to be.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) stat: Stat,
    /// Of a regular file.
    pub(super) sha256: Option<[u8; 32]>,
    /// Of a symlink.
    pub(super) target: Vec<u8>,
    pub(super) xattrs: Vec<Xattr>,
    /// Open while it is large and not hashed.
    file: Option<OwnedFd>,
}

/// Reads the entries of one tree.
#[derive(Debug)]
pub(super) struct Reader {
    /// What need not be read.
    files: Files,
    /// Bytes of its files so far, each counted once.
    bytes: u64,
    /// Files with several names; the digest where they are large.
    linked: HashMap<(u64, u64), Option<[u8; 32]>>,
}

impl Reader {
    /// Of a tree of which `files` is known.
    pub(super) fn new(files: Files) -> Self {
        Self { files, bytes: 0, linked: HashMap::new() }
    }

    /// Looks at entries; the answers come in their order.
    ///
    /// # Errors
    /// [`limits::UNREPRESENTABLE`] when the tree becomes too large, before more is read than a layer can hold.
    pub(super) fn read(&mut self, items: Vec<&Item>) -> Fallible<Vec<Found>> {
        let mut found = look_at(&items, &self.files)?;
        for (item, found) in items.iter().zip(&mut found) {
            self.count(item, found)?;
        }
        self.hash_large(&items, &mut found)?;
        Ok(found)
    }

    fn count(&mut self, item: &Item, found: &mut Found) -> Fallible<()> {
        if !item.is_file {
            return Ok(());
        }
        if found.stat.st_nlink > 1 {
            let inode = (found.stat.st_dev, found.stat.st_ino);
            if let Some(known) = self.linked.get(&inode) {
                found.sha256 = found.sha256.or(*known);
                found.file = None;
                return Ok(());
            }
            self.linked.insert(inode, None);
        }
        let size = size_of(&found.stat);
        limits::content(self.bytes, size, &item.path)?;
        self.bytes += size;
        Ok(())
    }

    fn hash_large(&mut self, items: &[&Item], found: &mut [Found]) -> Fallible<()> {
        let open = found.iter_mut().enumerate().filter_map(|(at, found)| found.file.take().map(|file| (at, file)));
        let large: Vec<(usize, OwnedFd)> = open.collect();
        let hashed = Mutex::new(Vec::with_capacity(large.len()));
        workers::for_each(&large, |(at, file)| {
            let (Some(item), mut buffer) = (items.get(*at), buffer()) else { return Ok(()) };
            let digest = hash(file, item, &mut buffer)?;
            hashed.lock().unwrap_or_else(PoisonError::into_inner).push((*at, digest));
            Ok(())
        })?;
        for (at, (digest, stat)) in hashed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            if let Some(known) = self.linked.get_mut(&(stat.st_dev, stat.st_ino)) {
                *known = Some(digest);
            }
            if let Some(found) = found.get_mut(at) {
                found.sha256 = Some(digest);
            }
        }
        // Further names of a file that was hashed just now.
        for found in found.iter_mut().filter(|found| found.sha256.is_none()) {
            found.sha256 = self.linked.get(&(found.stat.st_dev, found.stat.st_ino)).copied().flatten();
        }
        Ok(())
    }
}

fn look_at(items: &[&Item], files: &Files) -> Fallible<Vec<Found>> {
    let chunks: Vec<(usize, &[&Item])> = items.chunks(CHUNK).enumerate().collect();
    let done = Mutex::new(Vec::with_capacity(chunks.len()));
    workers::for_each(&chunks, |&(at, items)| {
        let mut buffer = buffer();
        let found = items.iter().map(|item| look(item, files, &mut buffer)).collect::<Fallible<Vec<_>>>()?;
        done.lock().unwrap_or_else(PoisonError::into_inner).push((at, found));
        Ok(())
    })?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().flat_map(|(_, found)| found).collect())
}

fn buffer() -> Vec<u8> {
    vec![0; BUFFER]
}

fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

fn look(item: &Item, files: &Files, buffer: &mut [u8]) -> Fallible<Found> {
    let name = OsStr::from_bytes(&item.name);
    let stat = || {
        rustix::fs::statat(&item.dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed("newfstatat", item, errno))
    };
    if !item.is_file {
        let stat = stat()?;
        let target = if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            let target = rustix::fs::readlinkat(&item.dir, name, Vec::new());
            target.map_err(|errno| failed("readlinkat", item, errno))?.into_bytes()
        } else {
            Vec::new()
        };
        return Ok(Found { stat, sha256: None, target, xattrs: Vec::new(), file: None });
    }
    if !files.is_empty() {
        let stat = stat()?;
        if let Some((sha256, xattrs)) = files.get(&stat) {
            return Ok(Found { stat, sha256: Some(sha256), target: Vec::new(), xattrs, file: None });
        }
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file =
        rustix::fs::openat(&item.dir, name, flags, Mode::empty()).map_err(|errno| failed("openat", item, errno))?;
    let stat = stat_of(&file, item)?;
    let xattrs = xattrs(&file, &item.path)?;
    if size_of(&stat) > LARGE {
        return Ok(Found { stat, sha256: None, target: Vec::new(), xattrs, file: Some(file) });
    }
    let (digest, _) = hash(&file, item, buffer)?;
    Ok(Found { stat, sha256: Some(digest), target: Vec::new(), xattrs, file: None })
}

fn stat_of(file: &OwnedFd, item: &Item) -> Fallible<Stat> {
    rustix::fs::fstat(file).map_err(|errno| failed("fstat", item, errno))
}

/// Hashes a file to the size that it has, and holes as the zeros they are without reading them.
fn hash(file: &OwnedFd, item: &Item, buffer: &mut [u8]) -> Fallible<([u8; 32], Stat)> {
    let stat = stat_of(file, item)?;
    let size = size_of(&stat);
    // st_blocks counts 512 bytes.
    let has_holes = size > LARGE && u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) < size;
    let mut sha = Sha256::new();
    let mut at = 0;
    while at < size {
        let (data, end) = if has_holes { next_data(file, at, size, item)? } else { (at, size) };
        zeros(&mut sha, data - at);
        read(file, end - data, &mut sha, item, buffer)?;
        at = end;
    }
    Ok((sha.finalize().into(), stat))
}

/// From where to where the next data are, the file standing at their begin.
fn next_data(file: &OwnedFd, at: u64, size: u64, item: &Item) -> Fallible<(u64, u64)> {
    let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(data) => data.min(size),
        // None behind this point.
        Err(Errno::NXIO) => return Ok((size, size)),
        Err(errno) => return Err(failed("lseek(SEEK_DATA)", item, errno)),
    };
    let hole = rustix::fs::seek(file, SeekFrom::Hole(data)).map_err(|errno| failed("lseek(SEEK_HOLE)", item, errno))?;
    rustix::fs::seek(file, SeekFrom::Start(data)).map_err(|errno| failed("lseek(SEEK_SET)", item, errno))?;
    Ok((data, hole.min(size)))
}

fn zeros(sha: &mut Sha256, mut count: u64) {
    static ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let part = count.min(ZEROS.len() as u64);
        sha.update(ZEROS.get(..usize::try_from(part).unwrap_or(0)).unwrap_or_default());
        count -= part;
    }
}

fn read(file: &OwnedFd, count: u64, sha: &mut Sha256, item: &Item, buffer: &mut [u8]) -> Fallible<()> {
    let mut left = count;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..wanted).unwrap_or_default();
        match rustix::io::read(file, part) {
            Ok(0) => return Err(changed(&item.path)),
            Ok(length) => {
                sha.update(buffer.get(..length).unwrap_or_default());
                left = left.saturating_sub(length as u64);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("read", item, errno)),
        }
    }
    Ok(())
}

fn failed(call: &str, item: &Item, errno: Errno) -> Failure {
    Failure::syscall(format!("{call}({})", quote(&item.path)), errno)
}
