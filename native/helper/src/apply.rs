//! `apply`: unpacks one layer into a tree in overlayfs form and verifies it on the way.
//!
//! fd 3 is untrusted until its digest was compared at the very end, so every byte of it is handled as hostile: names stay
//! below the target by construction, overlayfs's own marks cannot come from a layer, and all sizes are bounded.

mod inflate;
mod lower;
pub(crate) mod metadata;
mod names;
mod removal;
pub(crate) mod source;
mod target;
mod unpack;

use crate::content::Files;
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{ApplyLimits, LayerFormat, Outcome};
use crate::tar::reader::{Reader, Rules};
use source::Source;

pub(crate) use lower::{has_mark, is_whiteout};
pub(crate) use names::{is_too_long, too_long};
pub(crate) use unpack::{copy_data, write_content};

/// The request, see [`crate::protocol::Request::Apply`].
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) target: String,
    pub(crate) lower: Vec<String>,
    pub(crate) stored: Stored,
    /// What will be wanted of the tree.
    pub(crate) wanted: Wanted,
}

/// What follows the unpacking, for which something can be done meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// The content digest.
    pub(crate) content: bool,
    /// That it is durable.
    pub(crate) sync: bool,
}

/// What fd 3 is said to be.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) compression: LayerFormat,
    pub(crate) digest: String,
    pub(crate) size_bytes: u64,
    pub(crate) diff_id: Option<String>,
    pub(crate) limits: ApplyLimits,
}

/// Unpacks and verifies the layer on fd 3. Gives what its content digest needs, where that will be wanted.
///
/// On failure `target` is left half made; the caller removes it.
///
/// # Errors
/// The image or the registry is wrong: `ERR_SIZE_MISMATCH`, `ERR_DIGEST_MISMATCH`, `ERR_DIFFID_MISMATCH` (looked at in
/// this order), `ERR_LAYER_INVALID`, `ERR_LAYER_TRUNCATED`, `ERR_LAYER_ESCAPE`, `ERR_LAYER_WHITEOUT`,
/// `ERR_LAYER_RESERVED`, `ERR_LAYER_BOMB`, `ERR_LAYER_DEVICE_ROOTLESS`. The machine: `ERR_STORE_NO_SPACE`,
/// `ERR_ROOTLESS_IDMAP` and failed calls.
pub(crate) fn apply(layer: &Layer, marks: Marks) -> Fallible<(Outcome, Files)> {
    // First, so that fd 3 cannot be a descriptor of our own.
    let blob = crate::sys::layers::bulk()?;
    // Files have the mode of their entry from the start; nothing of the store can be reached by others.
    rustix::process::umask(rustix::fs::Mode::empty());
    let lower = lower::Lower::open(&layer.lower, marks)?;
    let target = target::Target::open(&layer.target, lower, marks)?;
    let mut unpacker = unpack::Unpacker::new(target, copy_max(&layer.stored), layer.wanted);
    let mut source = Source::start(blob, &layer.stored)?;
    let entries = match unpack_all(&mut source, &mut unpacker, layer.stored.limits.max_entries) {
        Ok(entries) => entries,
        Err(failure) => return Err(source.blame(failure, &layer.stored)),
    };
    let files = unpacker.finish()?;
    let tar = source.verify(&layer.stored)?;
    Ok((Outcome::Apply { unpacked_bytes: tar.bytes(), diff_id: tar.digest(), entries }, files))
}

/// What hard links may copy up: as much as the layer could have held itself.
fn copy_max(layer: &Stored) -> u64 {
    let by_ratio = layer.size_bytes.saturating_mul(u64::from(layer.limits.max_ratio)).max(crate::stages::RATIO_FROM);
    layer.limits.max_bytes.min(by_ratio)
}

fn unpack_all(source: &mut Source, unpacker: &mut unpack::Unpacker, max_entries: u64) -> Fallible<u64> {
    let mut progress = crate::progress::Progress::new();
    let mut reader = Reader::new(source, Rules::Layer);
    let mut entries = 0;
    while let Some(entry) = reader.next_entry()? {
        entries += 1;
        if entries > max_entries {
            return Err(Failure::user("ERR_LAYER_BOMB", format!("the layer has more than {max_entries} entries")));
        }
        progress.add(entry.size);
        unpacker.apply(entry, &mut reader)?;
    }
    reader.drain()?;
    Ok(entries)
}
