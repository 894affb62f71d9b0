//! What one COPY or ADD reads: sources resolved, wildcards expanded, trees walked and filtered.
//!
//! `scan` digests the result and `copy` copies it, so both see the same entries.

mod node;
mod resolve;
mod tree;
mod walk;
mod wildcard;

pub(crate) use node::{Dir, Kind, Meta, Node, NodeDigest, Walked, Xattrs, xattrs_of};
pub(crate) use resolve::{Resolved, resolve};
pub(crate) use tree::Opened;

use crate::error::{Failure, Fallible};
use crate::pattern::{Glob, Matcher, State, clean};
use crate::protocol::{MissingSource, Selection};
use walk::{Filters, walk};

/// One thing to copy.
#[derive(Debug)]
pub(crate) struct Source {
    /// For a directory, its contents; for anything else one directory node that holds just this.
    pub(crate) walked: Walked,
    /// The name of a file as its source spells it; `None` for a directory, whose name does not matter.
    pub(crate) basename: Option<Vec<u8>>,
}

/// What a selection holds, in the order in which it is copied.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    /// What was found.
    pub(crate) sources: Vec<Source>,
    /// What was not, though it was named without a wildcard.
    pub(crate) missing: Vec<MissingSource>,
    /// Entries looked at.
    pub(crate) looked_at: u64,
}

/// Finds everything that `selection` names in `tree`.
///
/// # Errors
/// `ERR_PATTERN_INVALID`, `ERR_CONTEXT_UNREADABLE`, `ERR_CONTEXT_CHANGED`, `ERR_SYMLINK_LOOP`.
pub(crate) fn select(tree: &Opened, selection: &Selection) -> Fallible<Selected> {
    let exclude = Matcher::new(selection.exclude.iter().map(String::as_str))?;
    let mut selected = Selected::default();
    for source in &selection.sources {
        let finder = Finder { tree, exclude: &exclude, source };
        if selection.parents {
            finder.with_parents(&mut selected)?;
        } else if Glob::has_wildcard(source.as_bytes()) {
            finder.wildcard(&mut selected)?;
        } else if !finder.plain(&clean(source.as_bytes()), &mut selected)? {
            let ignored_by = tree.hidden_by(&clean(source.as_bytes()));
            selected.missing.push(MissingSource { source: source.clone(), ignored_by });
        }
    }
    Ok(selected)
}

struct Finder<'a> {
    tree: &'a Opened,
    exclude: &'a Matcher,
    source: &'a str,
}

impl Finder<'_> {
    /// Adds what `path` leads to; `false` if that is nothing.
    fn plain(&self, path: &[u8], selected: &mut Selected) -> Fallible<bool> {
        let Some(found) = self.tree.find(path)? else { return Ok(false) };
        let Some(stat) = found.stat else { return Ok(false) };
        let meta = self.tree.meta(&stat);
        if meta.kind == Kind::Dir {
            let filters = Filters { ignore: &self.tree.ignore, exclude: self.exclude, include: None };
            let walked = walk(self.tree, &found.path, &found.state, &filters)?;
            selected.looked_at += walked.looked_at;
            if found.state.is_match && walked.is_empty() {
                return Ok(false);
            }
            selected.sources.push(Source { walked, basename: None });
            return Ok(true);
        }
        selected.looked_at += 1;
        let basename = last_component(path).to_vec();
        if found.state.is_match {
            return Ok(false);
        }
        if self.exclude.matches(&basename, &State::default()) {
            return Ok(true);
        }
        let walked = walk::single(self.tree, &found.path, meta)?;
        selected.sources.push(Source { walked, basename: Some(basename) });
        Ok(true)
    }

    fn wildcard(&self, selected: &mut Selected) -> Fallible<()> {
        for path in wildcard::expand(self.tree, self.source)? {
            if !self.plain(&path, selected)? && self.tree.hidden_by(&path).is_none() {
                self.refuse_dangling(&path, selected)?;
            }
        }
        Ok(())
    }

    /// A wildcard that hits a link to nowhere is as wrong as its name written out.
    fn refuse_dangling(&self, path: &[u8], selected: &mut Selected) -> Fallible<()> {
        let resolved = self.tree.resolve(path)?;
        if resolved.is_some_and(|found| !found.links.is_empty()) {
            let source = String::from_utf8_lossy(path).into_owned();
            selected.missing.push(MissingSource { source, ignored_by: None });
        }
        Ok(())
    }

    /// `--parents`: what stands before `/./` is the root, the rest a pattern of the `.dockerignore` kind below it.
    fn with_parents(&self, selected: &mut Selected) -> Fallible<()> {
        let (root, pattern) = self.source.split_once("/./").unwrap_or(("", self.source));
        let pattern = String::from_utf8_lossy(&clean(pattern.as_bytes())).into_owned();
        let everything = pattern.is_empty();
        let include = Matcher::new((!everything).then_some(pattern.as_str()))?;
        let include = (!everything).then_some(&include);
        let found = self.tree.find(&clean(root.as_bytes()))?;
        let mut empty = true;
        if let Some(found) = found
            && found.stat.is_some_and(|stat| self.tree.meta(&stat).kind == Kind::Dir)
        {
            let filters = Filters { ignore: &self.tree.ignore, exclude: self.exclude, include };
            let walked = walk(self.tree, &found.path, &found.state, &filters)?;
            selected.looked_at += walked.looked_at;
            empty = walked.is_empty();
            if !empty || everything {
                selected.sources.push(Source { walked, basename: None });
            }
        }
        if empty && !everything && !Glob::has_wildcard(self.source.as_bytes()) {
            let path = clean(format!("{root}/{pattern}").as_bytes());
            // An --exclude may have taken what is there.
            if self.tree.find(&path)?.is_none_or(|found| found.stat.is_none() || found.state.is_match) {
                let ignored_by = self.tree.hidden_by(&path);
                selected.missing.push(MissingSource { source: self.source.to_owned(), ignored_by });
            }
        }
        Ok(())
    }
}

/// What stands after the last slash.
pub(crate) fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// `dir/name`, or `name` in the root.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

/// The failure of a call on a source path.
pub(crate) fn read_failure(call: &str, path: &[u8], errno: rustix::io::Errno) -> Failure {
    use rustix::io::Errno;
    let shown = String::from_utf8_lossy(path);
    match errno {
        Errno::ACCESS | Errno::PERM => Failure {
            errno: Some(errno),
            ..Failure::user("ERR_CONTEXT_UNREADABLE", format!("cannot read {shown:?}: {call} = -1 ({errno})"))
        },
        // Found a moment ago under this very name.
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE => changed(path),
        _ => Failure::syscall(format!("{call}({shown:?})"), errno),
    }
}

/// A file is not any more what it was a moment ago.
pub(crate) fn changed(path: &[u8]) -> Failure {
    let shown = String::from_utf8_lossy(path);
    Failure::user("ERR_CONTEXT_CHANGED", format!("{shown:?} changed while it was read"))
}
