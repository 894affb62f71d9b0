//! `diff`: writes the tree of one layer, in overlayfs form, as a deterministic layer.

pub(crate) mod limits;
pub(crate) mod walk;

use crate::compress::{Sink, threads};
use crate::descent;
use crate::error::Fallible;
use crate::overlay::Marks;
use crate::protocol::{Compression, Outcome};
use rustix::fd::OwnedFd;
use walk::{View, Walker};

/// Writes the layer to fd 3.
///
/// # Errors
/// See [`write`].
pub(crate) fn diff(upper: &str, compression: Compression, clamp: Option<i64>, marks: Marks) -> Fallible<Outcome> {
    // First, so that fd 3 cannot be a descriptor of our own.
    let out = crate::sys::layers::bulk()?;
    let layer = write(out, upper, compression, clamp, marks)?;
    let Layer { digest, size_bytes, diff_id, unpacked_bytes, entries } = layer;
    Ok(Outcome::Diff { digest, size_bytes, diff_id, unpacked_bytes, entries })
}

/// A layer that was written.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) digest: String,
    pub(crate) size_bytes: u64,
    pub(crate) diff_id: String,
    pub(crate) unpacked_bytes: u64,
    pub(crate) entries: u64,
}

/// Writes the layer of a tree to a descriptor.
///
/// Entries come in the order of a walk that sorts each directory by bytes. There is no entry for the root: BuildKit and
/// Docker write none either, and its metadata is that of the layers below.
///
/// # Errors
/// `ERR_LAYER_UNREPRESENTABLE` for a file whose name is that of a whiteout or is too long, and for files of more than 64 GiB
/// in all; failed calls.
pub(crate) fn write(
    out: OwnedFd,
    upper: &str,
    compression: Compression,
    clamp: Option<i64>,
    marks: Marks,
) -> Fallible<Layer> {
    let root = descent::open_root(upper)?;
    let sink = Sink::new(out, compression, threads())?;
    let (written, count) = Walker::new(root, sink, View::Layer { marks }, clamp)?.run()?;
    Ok(Layer {
        size_bytes: written.blob.bytes(),
        digest: written.blob.digest(),
        unpacked_bytes: written.tar.bytes(),
        diff_id: written.tar.digest(),
        entries: count.entries,
    })
}
