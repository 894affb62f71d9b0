//! What a layer cannot hold.

use crate::apply::{is_too_long, too_long};
use crate::error::{Failure, Fallible};
use crate::quote::quote;
use crate::tar::CONTENT_MAX;

/// The code of everything here.
pub(crate) const UNREPRESENTABLE: &str = "ERR_LAYER_UNREPRESENTABLE";
/// The name of an entry is looked at closer where its directory's path is longer than this.
const LONG: usize = 1024;

fn refused(message: String) -> Failure {
    Failure::user(UNREPRESENTABLE, message)
}

/// Refuses a name that is too long: a layer with it could not be unpacked here or anywhere else. And every entry repeats the
/// path of its directory, so without a limit a deep tree would make a layer as large as the square of its depth.
///
/// # Errors
/// [`UNREPRESENTABLE`], as in the others.
pub(crate) fn name(dir: &[u8], name: &[u8]) -> Fallible<()> {
    if dir.len() > LONG {
        let path = [dir, name].concat();
        if is_too_long(&path) {
            return Err(refused(format!("no layer can hold {}", too_long(&path))));
        }
    }
    Ok(())
}

/// As [`name`], and refuses the names of whiteouts.
pub(crate) fn name_in_layer(dir: &[u8], base: &[u8]) -> Fallible<()> {
    if base.starts_with(b".wh.") {
        let path = quote(&[dir, base].concat());
        return Err(refused(format!("no layer can hold {path}: names with \".wh.\" mean whiteouts")));
    }
    name(dir, base)
}

/// Refuses the file with which a layer of `bytes` becomes too large, before a byte of it is read.
pub(crate) fn content(bytes: u64, size: u64, path: &[u8]) -> Fallible<()> {
    if bytes.saturating_add(size) <= CONTENT_MAX {
        return Ok(());
    }
    let path = quote(path);
    Err(refused(format!(
        "no layer can hold {path}: with its {size} bytes the layer has more than {CONTENT_MAX}; holes count"
    )))
}
