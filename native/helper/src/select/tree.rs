//! A tree that files are read from.

use super::node::{Kind, Meta};
use super::resolve::{Resolved, resolve};
use crate::beneath::Beneath;
use crate::error::{Failure, Fallible};
use crate::fingerprint::Fingerprints;
use crate::overlay::{self, Marks};
use crate::pattern::{Matcher, State};
use crate::protocol::Tree;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use std::path::Path;

/// An open source tree.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) root: Beneath,
    /// A directory of the host: owners read as 0:0.
    pub(crate) host: bool,
    /// Under which umask it was checked out, where that is known.
    checkout_umask: Option<u32>,
    pub(crate) ignore: Matcher,
    pub(crate) fingerprints: Fingerprints,
}

/// Where a source leads, with the answer of the ignore rules.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: Vec<u8>,
    pub(crate) stat: Option<Stat>,
    /// Of `path`: whether an ignore rule matches it, and what its contents inherit.
    pub(crate) state: State,
}

impl Opened {
    /// Opens a tree. A snapshot is mounted; the caller is in a private mount namespace.
    pub(crate) fn open(tree: &Tree, marks: Marks) -> Fallible<Self> {
        match tree {
            Tree::Directory { path, ignore, fingerprints, checkout_umask } => {
                let root = Beneath::open_root(Path::new(path))?;
                Ok(Self {
                    root,
                    host: true,
                    checkout_umask: *checkout_umask,
                    ignore: Matcher::new(ignore.iter().map(String::as_str))?,
                    fingerprints: Fingerprints::load(fingerprints.as_deref().map(Path::new)),
                })
            }
            Tree::Snapshot { root } => Ok(Self {
                root: Beneath::new(overlay::mount(root, marks)?),
                host: false,
                checkout_umask: None,
                ignore: Matcher::new([])?,
                fingerprints: Fingerprints::load(None),
            }),
        }
    }

    /// What a stat means in this tree.
    pub(crate) fn meta(&self, stat: &Stat) -> Meta {
        let mut meta = Meta::of(stat);
        if self.host {
            (meta.uid, meta.gid) = (0, 0);
        }
        if let Some(umask) = self.checkout_umask {
            meta.mode = as_checked_out(meta.kind, meta.mode, umask);
        }
        if meta.kind == Kind::Link {
            meta.mode = 0o777;
        }
        meta
    }

    /// Follows a path inside the tree. `None` if a component is no directory.
    pub(crate) fn resolve(&self, path: &[u8]) -> Fallible<Option<Resolved>> {
        match resolve(&self.root, path) {
            Ok(resolved) => Ok(Some(resolved)),
            Err(Errno::NOTDIR) => Ok(None),
            Err(Errno::LOOP) => {
                let shown = String::from_utf8_lossy(path);
                Err(Failure::user("ERR_SYMLINK_LOOP", format!("{shown:?} leads through more than 40 symlinks")))
            }
            Err(Errno::INVAL | Errno::NAMETOOLONG) => {
                let shown = String::from_utf8_lossy(path);
                Err(Failure::user("ERR_PATH_INVALID", format!("{shown:?} is no path")))
            }
            Err(errno) => Err(super::read_failure("openat2", path, errno)),
        }
    }

    /// Follows a path as an ignored context shows it: links that are ignored do not exist. `None` if nothing can be
    /// there; a directory whose state matches may still hold what a `!` rule took back.
    pub(crate) fn find(&self, path: &[u8]) -> Fallible<Option<Found>> {
        let Some(resolved) = self.resolve(path)? else { return Ok(None) };
        for link in &resolved.links {
            if self.state_of(link, false).is_none_or(|state| state.is_match) {
                return Ok(None);
            }
        }
        let is_dir = resolved.stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
        let state = self.state_of(&resolved.path, is_dir);
        Ok(state.map(|state| Found { path: resolved.path, stat: resolved.stat, state }))
    }

    /// What the ignore rules say of a path without symlinks. `None` if the walk would not come there.
    fn state_of(&self, path: &[u8], is_dir: bool) -> Option<State> {
        let mut state = State::default();
        if self.ignore.is_empty() || path.is_empty() {
            return Some(state);
        }
        for end in ends(path) {
            let part = path.get(..end)?;
            state = self.ignore.enter(part, &state);
            let walked = end < path.len() || is_dir;
            if state.is_match && walked && !self.ignore.may_except_below(part) {
                return None;
            }
        }
        Some(state)
    }

    /// The ignore rule that hides something that is there.
    pub(crate) fn hidden_by(&self, path: &[u8]) -> Option<u32> {
        let resolved = resolve(&self.root, path).ok()?;
        resolved.stat?;
        resolved.links.iter().chain([&resolved.path]).find_map(|path| self.decider_of(path))
    }

    fn decider_of(&self, path: &[u8]) -> Option<u32> {
        let mut state = State::default();
        let mut decider = None;
        for end in ends(path) {
            let part = path.get(..end)?;
            decider = self.ignore.decider(part, &state);
            state = self.ignore.enter(part, &state);
            if decider.is_some() && !self.ignore.may_except_below(part) {
                return decider;
            }
        }
        decider
    }
}

/// The mode that a file or directory has where the umask is 022, if its own is what `umask` leaves of 0666 or 0777: nobody
/// chose it. Any other mode somebody did choose.
fn as_checked_out(kind: Kind, mode: u32, umask: u32) -> u32 {
    let left = |full: u32| mode == full & !umask;
    match kind {
        Kind::File if left(0o666) => 0o644,
        Kind::File | Kind::Dir if left(0o777) => 0o755,
        _ => mode,
    }
}

/// Where each component of a path ends.
fn ends(path: &[u8]) -> impl Iterator<Item = usize> {
    let inner = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at);
    inner.chain((!path.is_empty()).then_some(path.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_checked_out_changes_what_the_umask_made_and_nothing_else() {
        for (umask, file, program) in [
            (0o022, 0o644, 0o755),
            (0o002, 0o664, 0o775),
            (0o000, 0o666, 0o777),
            (0o027, 0o640, 0o750),
            (0o007, 0o660, 0o770),
            (0o077, 0o600, 0o700),
        ] {
            for mode in 0..=0o7777 {
                let as_file = if mode == file {
                    0o644
                } else if mode == program {
                    0o755
                } else {
                    mode
                };
                let as_dir = if mode == program { 0o755 } else { mode };
                assert_eq!(as_checked_out(Kind::File, mode, umask), as_file, "{umask:o} {mode:o}");
                assert_eq!(as_checked_out(Kind::Dir, mode, umask), as_dir, "{umask:o} {mode:o}");
                for kind in [Kind::Link, Kind::Fifo, Kind::Char, Kind::Block, Kind::Socket] {
                    assert_eq!(as_checked_out(kind, mode, umask), mode, "{umask:o} {mode:o} {kind:?}");
                }
            }
        }
    }
}
