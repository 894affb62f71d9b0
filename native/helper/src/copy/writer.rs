//! Writes one COPY's sources into the snapshot.

use super::below;
use super::chmod::Chmod;
use super::data::{offload, write_all};
use super::entry::Place;
use super::plan::{At, Plan};
use super::target::{Target, make_dir, mtime_only, not_directory, set_mode, set_owner, write_failure};
use super::xattrs::Attributes;
use crate::error::Fallible;
use crate::owner::Owner;
use crate::scan::{Hasher, open_dir, open_file, stat};
use crate::select::{Dir, Kind, Meta, Node, NodeDigest, Opened, Walked, Xattrs, changed, join, xattrs_of};
use crate::workers;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::AtFlags;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Tally {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    /// Counts files and their bytes.
    pub(super) fn add(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Files and bytes.
    pub(super) fn sums(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// What every entry becomes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wishes<'a> {
    /// `--chown`.
    pub(super) owner: Option<Owner>,
    /// `--chmod`.
    pub(super) chmod: Option<&'a Chmod>,
    /// Whether every file's digest is wanted.
    pub(super) hash: bool,
}

/// Writes sources one after the other; a later one replaces what an earlier one wrote.
pub(super) struct Writer<'a> {
    tree: &'a Opened,
    target: &'a Target,
    wishes: Wishes<'a>,
    tally: &'a Tally,
    attributes: &'a Attributes,
    /// Times of directories, set when nothing more is written into them.
    mtimes: Vec<(Vec<u8>, (i64, i64))>,
}

/// What a file turned out to be.
struct Copied {
    at: At,
    meta: Meta,
    digest: Option<NodeDigest>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        tree: &'a Opened,
        target: &'a Target,
        wishes: Wishes<'a>,
        tally: &'a Tally,
        attributes: &'a Attributes,
    ) -> Self {
        Self { tree, target, wishes, tally, attributes, mtimes: Vec::new() }
    }

    /// Copies the contents of a directory into the existing directory `top`.
    pub(super) fn tree(&mut self, walked: &mut Walked, top: &[u8]) -> Fallible<()> {
        let places = self.make_dirs(walked, top)?;
        if let Some(root) = &walked.root {
            self.mtimes.push((top.to_vec(), root.mtime));
        }
        let results = Mutex::new(Vec::new());
        let copy = |(at, nodes): &(usize, Vec<usize>)| {
            let (Some(dir), Some(dest)) = (walked.dirs.get(*at), places.get(*at)) else { return Ok(()) };
            let copied = self.chunk(dir, dest, *at, nodes)?;
            results.lock().unwrap_or_else(PoisonError::into_inner).extend(copied);
            Ok(())
        };
        let mut plan = Plan::of(walked);
        if share_a_place(&places) {
            plan = Plan::in_order(walked);
            plan.chunks.iter().try_for_each(copy)?;
        } else {
            workers::for_each(&plan.chunks, copy)?;
        }
        for &(first, link) in &plan.links {
            self.hard_link(walked, &places, first, link)?;
        }
        settle(walked, results.into_inner().unwrap_or_else(PoisonError::into_inner), &plan.links);
        Ok(())
    }

    /// Copies a single file to `name` in the existing directory `dest`.
    pub(super) fn file(&mut self, walked: &mut Walked, dest: &[u8], name: &[u8]) -> Fallible<()> {
        let Some((dir, node)) = walked.dirs.first().and_then(|dir| Some((dir, dir.nodes.first()?))) else {
            return Ok(());
        };
        let from = open_dir(self.tree, &dir.path)?;
        let place = Place::new(self.target.open_dir(dest)?, dest)?;
        let copied = self.entry(&mut Hasher::new(), dir, &from, &place, node, name)?;
        settle(walked, copied.map(|(meta, digest)| Copied { at: (0, 0), meta, digest }).into_iter().collect(), &[]);
        Ok(())
    }

    /// Sets the times of directories.
    pub(super) fn finish(&self) -> Fallible<()> {
        for (path, mtime) in &self.mtimes {
            let dir = self.target.open_dir(path)?;
            rustix::fs::futimens(&dir, &mtime_only(*mtime)).map_err(|errno| write_failure("futimens", path, errno))?;
        }
        Ok(())
    }

    /// Makes the directories of a walk and returns where each one is in the snapshot.
    fn make_dirs(&mut self, walked: &Walked, top: &[u8]) -> Fallible<Vec<Vec<u8>>> {
        let mut places: Vec<Vec<u8>> = vec![Vec::new(); walked.dirs.len()];
        if let Some(first) = places.first_mut() {
            *first = top.to_vec();
        }
        // A directory stands behind its parent.
        for (at, dir) in walked.dirs.iter().enumerate() {
            if !dir.nodes.iter().any(|node| node.dir.is_some()) {
                continue;
            }
            let parent_path = places.get(at).cloned().unwrap_or_default();
            let parent = self.target.open_dir(&parent_path)?;
            for node in &dir.nodes {
                let Some(place) = node.dir else { continue };
                let named = below(&parent_path, &node.name);
                let made = make_dir(parent.as_fd(), &node.name, &named)?;
                let (path, fd) = self.target.enter(&named)?;
                // What a symlink leads to is merged as the destination itself is: it keeps owner and mode.
                if made || !(node.implied || path != named) {
                    let xattrs = walked.dirs.get(place).map(|dir| &dir.xattrs);
                    self.describe_dir(fd.as_fd(), node, xattrs, &path)?;
                }
                if made || !node.implied {
                    self.mtimes.push((path.clone(), node.meta.mtime));
                }
                if let Some(slot) = places.get_mut(place) {
                    *slot = path;
                }
            }
        }
        Ok(places)
    }

    fn describe_dir(&self, dir: BorrowedFd<'_>, node: &Node, xattrs: Option<&Xattrs>, path: &[u8]) -> Fallible<()> {
        set_owner(dir, self.owner_of(&node.meta), path)?;
        set_mode(dir, self.mode_of(&node.meta), path)?;
        self.attributes.set(dir, xattrs.map_or(&[], Vec::as_slice), path);
        Ok(())
    }

    fn chunk(&self, dir: &Dir, dest: &[u8], at: usize, nodes: &[usize]) -> Fallible<Vec<Copied>> {
        let from = open_dir(self.tree, &dir.path)?;
        let place = Place::new(self.target.open_dir(dest)?, dest)?;
        let mut hasher = Hasher::new();
        let mut copied = Vec::new();
        for &index in nodes {
            let Some(node) = dir.nodes.get(index) else { continue };
            if let Some((meta, digest)) = self.entry(&mut hasher, dir, &from, &place, node, &node.name)? {
                copied.push(Copied { at: (at, index), meta, digest });
            }
        }
        Ok(copied)
    }

    /// Copies one entry that is no directory. For a regular file gives what was really read.
    fn entry(
        &self,
        hasher: &mut Hasher,
        dir: &Dir,
        from: &OwnedFd,
        place: &Place,
        node: &Node,
        name: &[u8],
    ) -> Fallible<Option<(Meta, Option<NodeDigest>)>> {
        let meta = &node.meta;
        let (mode, owner) = (self.mode_of(meta), self.owner_of(meta));
        match meta.kind {
            Kind::File => return self.regular(hasher, dir, from, place, node, name).map(Some),
            Kind::Link => place.symlink(name, node.link.as_deref().unwrap_or_default(), owner)?,
            Kind::Fifo | Kind::Char | Kind::Block => place.special(name, meta, mode, owner)?,
            // Nobody listens on a copied socket; an empty file keeps the name.
            Kind::Socket => super::entry::new_file(place, name, &[], mode, owner)?,
            Kind::Dir => return Err(not_directory(&place.path_of(name))),
        }
        rustix::fs::utimensat(&place.fd, OsStr::from_bytes(name), &mtime_only(meta.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| write_failure("utimensat", &place.path_of(name), errno))?;
        Ok(None)
    }

    fn regular(
        &self,
        hasher: &mut Hasher,
        dir: &Dir,
        from: &OwnedFd,
        place: &Place,
        node: &Node,
        name: &[u8],
    ) -> Fallible<(Meta, Option<NodeDigest>)> {
        let path = join(&dir.path, &node.name);
        let (source, meta) = open_file(self.tree, from, &node.name, &path)?;
        let known = node.digest.as_ref().filter(|_| meta.same_file(&node.meta));
        let (mode, owner) = (self.mode_of(&meta), self.owner_of(&meta));
        let file = place.create(name, mode)?;
        let mut digest = None;
        if self.wishes.hash && known.is_none() {
            let sha256 = hasher.contents(&source, &path, |part| write_all(&file, part, &path))?;
            let xattrs =
                xattrs_of(source.as_fd()).map_err(|errno| crate::select::read_failure("fgetxattr", &path, errno))?;
            digest = Some(NodeDigest { sha256, xattrs });
        } else {
            if !offload(&source, &file, meta.size, &path)? {
                hasher.copy(&source, &path, |part| write_all(&file, part, &path))?;
            }
            digest = known.cloned().or(digest);
        }
        // A digest counts only for a file that stood still. Without one wanted, a log that grows is no error.
        if self.wishes.hash && !stat(self.tree, &source, &path)?.same_file(&meta) {
            return Err(changed(&path));
        }
        place.settle(&file, name, mode, owner)?;
        match &digest {
            Some(digest) => self.attributes.set(file.as_fd(), &digest.xattrs, &place.path_of(name)),
            None => {
                let xattrs = xattrs_of(source.as_fd())
                    .map_err(|errno| crate::select::read_failure("fgetxattr", &path, errno))?;
                self.attributes.set(file.as_fd(), &xattrs, &place.path_of(name));
            }
        }
        rustix::fs::futimens(&file, &mtime_only(meta.mtime))
            .map_err(|errno| write_failure("futimens", &place.path_of(name), errno))?;
        self.tally.add(1, meta.size);
        Ok((meta, digest))
    }

    fn hard_link(&self, walked: &Walked, places: &[Vec<u8>], first: At, link: At) -> Fallible<()> {
        let find = |(dir, node): At| -> Option<(&[u8], &[u8])> {
            let name = &walked.dirs.get(dir)?.nodes.get(node)?.name;
            Some((places.get(dir)?.as_slice(), name))
        };
        let (Some((from, old)), Some((to, new))) = (find(first), find(link)) else { return Ok(()) };
        let from = self.target.open_dir(from)?;
        let place = Place::new(self.target.open_dir(to)?, to)?;
        place.replace("linkat", new, || {
            rustix::fs::linkat(&from, OsStr::from_bytes(old), &place.fd, OsStr::from_bytes(new), AtFlags::empty())
        })?;
        self.tally.add(1, 0);
        Ok(())
    }

    fn owner_of(&self, meta: &Meta) -> Owner {
        self.wishes.owner.unwrap_or(Owner { uid: meta.uid, gid: meta.gid })
    }

    fn mode_of(&self, meta: &Meta) -> u32 {
        self.wishes.chmod.map_or(meta.mode, |chmod| chmod.apply(meta.mode, meta.kind == Kind::Dir))
    }
}

/// Whether symlinks of the snapshot lead two directories of a source to one place.
fn share_a_place(places: &[Vec<u8>]) -> bool {
    let mut seen = HashSet::with_capacity(places.len());
    !places.iter().all(|place| seen.insert(place))
}

/// Notes what was really copied, so that the manifest tells that and not what the walk saw.
fn settle(walked: &mut Walked, copied: Vec<Copied>, links: &[(At, At)]) {
    for Copied { at: (dir, node), meta, digest } in copied {
        if let Some(node) = walked.dirs.get_mut(dir).and_then(|dir| dir.nodes.get_mut(node)) {
            (node.meta, node.digest) = (meta, digest);
        }
    }
    for &((first_dir, first), (dir, node)) in links {
        let source = walked.dirs.get(first_dir).and_then(|dir| dir.nodes.get(first));
        let Some((meta, digest)) = source.map(|source| (source.meta, source.digest.clone())) else { continue };
        if let Some(node) = walked.dirs.get_mut(dir).and_then(|dir| dir.nodes.get_mut(node)) {
            (node.meta, node.digest) = (meta, digest);
        }
    }
}
