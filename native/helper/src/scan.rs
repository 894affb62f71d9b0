//! `scan`: content digests of what COPY and ADD would read.
//!
//! docs/dev/cache-keys.md, "Content digests", gives the encoding.

mod hash;
mod manifest;

pub(crate) use hash::{Hasher, fill, open_dir, open_file, stat};
pub(crate) use manifest::{encode, escape, hex};

use crate::beneath::Links;
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::protocol::{Outcome, Selected, Selection, Tree, Uncounted};
use crate::select::{Opened, select};
use crate::sys;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;

/// Digests each selection of a tree. With `manifest`, fd 3 receives for each one a line `# <digest> <bytes>` and the
/// preimage itself.
pub(crate) fn scan(tree: &Tree, selections: &[Selection], manifest: bool, marks: Marks) -> Fallible<Outcome> {
    if matches!(tree, Tree::Snapshot { .. }) {
        overlay::enter_mount_namespace()?;
    }
    let mut out = if manifest { Some(manifest_pipe()?) } else { None };
    let tree = Opened::open(tree, marks)?;
    let mut answers: Vec<(Selected, Vec<u8>)> = Vec::new();
    let (mut hashed_bytes, mut entries) = (0, 0);
    for (at, selection) in selections.iter().enumerate() {
        // Stages often copy the same thing.
        let before = selections.iter().take(at).position(|earlier| earlier == selection);
        let answer = match before.and_then(|place| answers.get(place)) {
            Some((selected, preimage)) => (copy_of(selected), preimage.clone()),
            None => {
                let mut found = select(&tree, selection)?;
                hashed_bytes += fill(&tree, &mut found)?;
                entries += found.looked_at;
                answer(found, &selection.uncounted)
            }
        };
        if let Some(out) = &mut out {
            send(out, &answer)?;
        }
        answers.push(answer);
    }
    tree.fingerprints.save(|dir| {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        tree.root.open(dir, flags, Mode::empty(), Links::Refuse).is_ok()
    });
    let selections = answers.into_iter().map(|(selected, _)| selected).collect();
    Ok(Outcome::Scan { selections, hashed_bytes, entries })
}

/// The digest of a manifest, as it stands in requests and replies.
pub(crate) fn digest_of(preimage: &[u8]) -> String {
    format!("sha256:{}", manifest::hex(&Sha256::digest(preimage)))
}

fn answer(found: crate::select::Selected, uncounted: &[Uncounted]) -> (Selected, Vec<u8>) {
    let manifest::Manifest { text, entries, bytes } = encode(&found.sources, uncounted);
    let selected = Selected { digest: digest_of(&text), entries, bytes, missing: found.missing };
    (selected, text)
}

fn copy_of(selected: &Selected) -> Selected {
    let missing = selected.missing.iter().map(|missing| crate::protocol::MissingSource {
        source: missing.source.clone(),
        ignored_by: missing.ignored_by,
    });
    Selected {
        digest: selected.digest.clone(),
        entries: selected.entries,
        bytes: selected.bytes,
        missing: missing.collect(),
    }
}

fn manifest_pipe() -> Fallible<File> {
    sys::files::inherited(3)
        .map(File::from)
        .map_err(|errno| Failure::internal(format!("fd 3 is not open for the manifests: {errno}")))
}

fn send(out: &mut File, (selected, preimage): &(Selected, Vec<u8>)) -> Fallible<()> {
    let head = format!("# {} {}\n", selected.digest, preimage.len());
    out.write_all(head.as_bytes())
        .and_then(|()| out.write_all(preimage))
        .map_err(|error| Failure::io("write(3, the manifest)", &error))
}
