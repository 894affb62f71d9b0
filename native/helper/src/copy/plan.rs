//! Which files of a walked tree are copied and which become hard links of those, cut into work for threads.

use crate::select::{Kind, Node, Walked};
use std::collections::HashMap;

/// Files of one directory that one thread copies in one go.
const CHUNK: usize = 64;

/// A node by the place of its directory and its place there.
pub(super) type At = (usize, usize);

/// The work that one source makes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// A directory's place and the places of its nodes, none of them a directory.
    pub(super) chunks: Vec<(usize, Vec<usize>)>,
    /// Further names of a file, after the file they share.
    pub(super) links: Vec<(At, At)>,
}

impl Plan {
    /// Plans a walk.
    pub(super) fn of(walked: &Walked) -> Self {
        let mut plan = Self::default();
        let mut inodes: HashMap<(u64, u64), At> = HashMap::new();
        for (at, dir) in walked.dirs.iter().enumerate() {
            let mut nodes = Vec::new();
            for (place, node) in dir.nodes.iter().enumerate().filter(|(_, node)| node.dir.is_none()) {
                match first_of(node, (at, place), &mut inodes) {
                    Some(first) => plan.links.push((first, (at, place))),
                    None => nodes.push(place),
                }
            }
            plan.chunks.extend(nodes.chunks(CHUNK).map(|nodes| (at, nodes.to_vec())));
        }
        plan
    }

    /// Plans a walk whose directories meet in the snapshot: one after the other in the order of their paths, so that
    /// the same file wins each time, and without links, whose first name another file may have taken.
    pub(super) fn in_order(walked: &Walked) -> Self {
        let mut dirs: Vec<usize> = (0..walked.dirs.len()).collect();
        dirs.sort_by_key(|&at| walked.dirs.get(at).map(|dir| &dir.path));
        let files = |at: usize| {
            let nodes = walked.dirs.get(at).map_or(&[][..], |dir| &dir.nodes).iter().enumerate();
            nodes.filter(|(_, node)| node.dir.is_none()).map(|(place, _)| place).collect()
        };
        Self { chunks: dirs.into_iter().map(|at| (at, files(at))).collect(), links: Vec::new() }
    }
}

/// The earlier node that this one is a link of.
fn first_of(node: &Node, here: At, inodes: &mut HashMap<(u64, u64), At>) -> Option<At> {
    if node.meta.links < 2 || node.meta.kind != Kind::File {
        return None;
    }
    let first = *inodes.entry((node.meta.dev, node.meta.ino)).or_insert(here);
    (first != here).then_some(first)
}
