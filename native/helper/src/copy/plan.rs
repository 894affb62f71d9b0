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
}

/// The earlier node that this one is a link of.
fn first_of(node: &Node, here: At, inodes: &mut HashMap<(u64, u64), At>) -> Option<At> {
    if node.meta.links < 2 || node.meta.kind != Kind::File {
        return None;
    }
    let first = *inodes.entry((node.meta.dev, node.meta.ino)).or_insert(here);
    (first != here).then_some(first)
}
