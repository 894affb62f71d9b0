//! Expansion of a source with wildcards, as Go's lexical walk with `filepath.Match` gives it.

use super::join;
use super::tree::Opened;
use super::walk::list;
use crate::error::{Failure, Fallible};
use crate::pattern::{Glob, State, clean};
use rustix::fs::FileType;

/// The paths that match, in lexical order. Links on the way to the first wildcard are followed, links between are
/// not; a directory that matches is not searched further.
pub(crate) fn expand(tree: &Opened, source: &str) -> Fallible<Vec<Vec<u8>>> {
    let cleaned = clean(source.as_bytes());
    let parts: Vec<&[u8]> = cleaned.split(|&byte| byte == b'/').collect();
    let wild = parts.iter().position(|part| Glob::has_wildcard(part)).unwrap_or(parts.len());
    let (base, pattern) = parts.split_at_checked(wild).unwrap_or_default();
    let malformed = |_| Failure::user("ERR_PATTERN_INVALID", format!("the wildcard pattern {source:?} is malformed"));
    let search = Search {
        tree,
        whole: Glob::parse(&pattern.join(&b'/')).map_err(malformed)?,
        // A class may match a slash; then no directory can be left out.
        each: pattern.iter().map(|part| Glob::parse(part)).collect::<Result<Vec<_>, _>>().ok(),
    };
    let Some(found) = tree.find(&base.join(&b'/'))? else { return Ok(Vec::new()) };
    let mut matches = Vec::new();
    if found.stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()) {
        search.dir(&found.path, &found.state, &Place { relative: &[], depth: 0 }, &mut matches)?;
    }
    Ok(matches)
}

struct Search<'t> {
    tree: &'t Opened,
    whole: Glob,
    each: Option<Vec<Glob>>,
}

/// Where a search stands, seen from its base.
struct Place<'p> {
    relative: &'p [u8],
    depth: usize,
}

impl Search<'_> {
    fn dir(&self, path: &[u8], state: &State, place: &Place<'_>, matches: &mut Vec<Vec<u8>>) -> Fallible<()> {
        let (_, entries) = list(self.tree, path)?;
        for entry in entries {
            let relative = join(place.relative, &entry.name);
            let full = join(path, &entry.name);
            let matched = self.whole.matches(&relative);
            if !matched && !self.may_match_below(&entry.name, place.depth) {
                continue;
            }
            let below = self.tree.ignore.enter(&full, state);
            if below.is_match && !(entry.is_dir && self.tree.ignore.may_except_below(&full)) {
                continue;
            }
            if matched {
                matches.push(full);
            } else if entry.is_dir {
                self.dir(&full, &below, &Place { relative: &relative, depth: place.depth + 1 }, matches)?;
            }
        }
        Ok(())
    }

    fn may_match_below(&self, name: &[u8], depth: usize) -> bool {
        match &self.each {
            Some(each) if !self.whole.may_cross_slash() => {
                depth + 1 < each.len() && each.get(depth).is_some_and(|glob| glob.matches(name))
            }
            _ => true,
        }
    }
}
