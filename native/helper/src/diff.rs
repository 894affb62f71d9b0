//! `diff`: writes the tree of one layer, in overlayfs form, as a deterministic layer.

pub(crate) mod walk;

use crate::compress::{Sink, threads};
use crate::error::Fallible;
use crate::overlay::Marks;
use crate::protocol::{Compression, Outcome};
use walk::{View, Walker};

/// Writes the layer to fd 3.
///
/// Entries come in the order of a walk that sorts each directory by bytes. There is no entry for the root: BuildKit and
/// Docker write none either, and its metadata is that of the layers below.
///
/// # Errors
/// `ERR_LAYER_UNREPRESENTABLE` for a file whose name is that of a whiteout; failed calls.
pub(crate) fn diff(upper: &str, compression: Compression, clamp: Option<i64>, marks: Marks) -> Fallible<Outcome> {
    // First, so that fd 3 cannot be a descriptor of our own.
    let out = crate::sys::layers::bulk()?;
    let root = walk::open_root(upper)?;
    let sink = Sink::new(out, compression, threads())?;
    let (written, count) = Walker::new(sink, View::Layer { marks }, clamp).run(root)?;
    Ok(Outcome::Diff {
        size_bytes: written.blob.bytes(),
        digest: written.blob.digest(),
        unpacked_bytes: written.tar.bytes(),
        diff_id: written.tar.digest(),
        entries: count.entries,
    })
}
