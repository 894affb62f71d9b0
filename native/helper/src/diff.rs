//! `diff`: writes the tree of one layer, in overlayfs form, as a deterministic layer.

pub(crate) mod limits;
pub(crate) mod walk;

use crate::compress::{Sink, threads};
use crate::descent;
use crate::error::Fallible;
use crate::overlay::Marks;
use crate::protocol::{LayerForm, Outcome};
use rustix::fd::OwnedFd;
use walk::{View, Walker};

/// Writes the layer to fd 3.
///
/// # Errors
/// See [`write`].
pub(crate) fn diff(upper: &str, form: LayerForm, marks: Marks) -> Fallible<Outcome> {
    // First, so that fd 3 cannot be a descriptor of our own.
    let out = crate::sys::layers::bulk()?;
    let Layer { digest, size_bytes, diff_id, unpacked_bytes, entries, toc_digest } = write(out, upper, form, marks)?;
    Ok(Outcome::Diff { digest, size_bytes, diff_id, unpacked_bytes, entries, toc_digest })
}

/// A layer that was written.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) digest: String,
    pub(crate) size_bytes: u64,
    pub(crate) diff_id: String,
    pub(crate) unpacked_bytes: u64,
    pub(crate) entries: u64,
    pub(crate) toc_digest: Option<String>,
}

/// Writes the layer of a tree to a descriptor.
///
/// Entries come in the order of a walk that sorts each directory by bytes. There is no entry for the root: BuildKit and
/// Docker write none either, and its metadata is that of the layers below.
///
/// # Errors
/// `ERR_LAYER_UNREPRESENTABLE` for a file whose name is that of a whiteout or is too long, for files of more than 64 GiB
/// in all, and for what the form cannot hold; failed calls.
pub(crate) fn write(out: OwnedFd, upper: &str, form: LayerForm, marks: Marks) -> Fallible<Layer> {
    let root = descent::open_root(upper)?;
    let sink = Sink::new(out, form.compression, threads())?;
    let (written, count) = Walker::new(root, sink, View::Layer { marks }, form.clamp_mtime)?.run()?;
    Ok(Layer {
        size_bytes: written.blob.bytes(),
        digest: written.blob.digest(),
        unpacked_bytes: written.tar.bytes(),
        diff_id: written.tar.digest(),
        entries: count.entries,
        toc_digest: written.toc,
    })
}
