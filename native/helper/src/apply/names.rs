//! What the name of an entry means: a place below the root, or a mark about one.

use crate::error::{Failure, Fallible};
use crate::quote::quote;

/// A checked name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The root itself.
    Root,
    /// A place: no empty component, no `.`, no `..`, no leading slash.
    Place(Vec<u8>),
    /// `.wh.<name>`: this place is hidden in the layers below.
    Whiteout(Vec<u8>),
    /// `.wh..wh..opq`: everything that the layers below have in this directory is hidden. Empty is the root.
    Opaque(Vec<u8>),
    /// Bookkeeping of AUFS, which the spec tells us to skip.
    Meta,
}

/// The longest name that is unpacked or written, in bytes: four times what the kernel takes in one call.
const MAX_NAME: usize = 16 << 10;
/// Its most components. The work for a name grows with the square of their number, and a name of a megabyte costs a
/// hostile layer a few compressed bytes.
const MAX_COMPONENTS: usize = 2048;
const MARK: &[u8] = b".wh.";
const META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Reads the name of an entry.
///
/// # Errors
/// `ERR_LAYER_ESCAPE` for `..`, `ERR_LAYER_WHITEOUT` for whiteouts that name nothing.
/// See <https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts>
pub(crate) fn parse(path: &[u8]) -> Fallible<Name> {
    let clean = clean(path)?;
    let (dir, base) = split(&clean);
    if dir.split(|&byte| byte == b'/').any(|component| component.starts_with(META)) {
        return Ok(Name::Meta);
    }
    if dir.split(|&byte| byte == b'/').any(|component| component.starts_with(MARK)) {
        return Err(refuse("a whiteout is used as a directory", path));
    }
    let Some(hidden) = base.strip_prefix(MARK) else {
        return Ok(if clean.is_empty() { Name::Root } else { Name::Place(clean) });
    };
    match hidden {
        b"" | b"." | b".." => Err(refuse("a whiteout names nothing", path)),
        _ if base == OPAQUE => Ok(Name::Opaque(dir.to_vec())),
        _ if base.starts_with(META) => Ok(Name::Meta),
        _ if dir.is_empty() => Ok(Name::Whiteout(hidden.to_vec())),
        _ => Ok(Name::Whiteout([dir, hidden].join(&b'/'))),
    }
}

/// Drops empty components and `.`, so that `/a//./b/` is `a/b`.
///
/// # Errors
/// `ERR_LAYER_ESCAPE` for `..`, even where it would stay inside: tools disagree about what it means behind a symlink;
/// `ERR_LAYER_INVALID` for a name that [`is_too_long`].
pub(crate) fn clean(path: &[u8]) -> Fallible<Vec<u8>> {
    if is_too_long(path) {
        return Err(Failure::user("ERR_LAYER_INVALID", too_long(path)));
    }
    let mut out = Vec::with_capacity(path.len());
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                let path = quote(path);
                return Err(Failure::user("ERR_LAYER_ESCAPE", format!("the layer names {path}, which holds \"..\"")));
            }
            _ => {
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(component);
            }
        }
    }
    Ok(out)
}

/// Whether a name is longer, or deeper, than this program unpacks or writes.
pub(crate) fn is_too_long(path: &[u8]) -> bool {
    // Most names are shorter than the number of components that is allowed.
    path.len() > MAX_NAME
        || (path.len() > MAX_COMPONENTS && path.iter().filter(|&&byte| byte == b'/').count() >= MAX_COMPONENTS)
}

/// The message for such a name.
pub(crate) fn too_long(path: &[u8]) -> String {
    let head = quote(path.get(..64).unwrap_or(path));
    format!("a name of more than {MAX_NAME} bytes or {MAX_COMPONENTS} components, which begins with {head}")
}

/// Directory and last component of a clean path; the directory of a top-level name is empty.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

fn refuse(what: &str, path: &[u8]) -> Failure {
    Failure::user("ERR_LAYER_WHITEOUT", format!("{what}: {}", quote(path)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn parse_tells_places_from_marks() {
        let place = |text: &str| Name::Place(text.into());
        let table = [
            ("", Name::Root),
            (".", Name::Root),
            ("./", Name::Root),
            ("/", Name::Root),
            ("./a//b/./c/", place("a/b/c")),
            ("/etc/passwd", place("etc/passwd")),
            ("a.wh.b", place("a.wh.b")),
            ("...", place("...")),
            (".wh.a", Name::Whiteout("a".into())),
            ("d/.wh.a", Name::Whiteout("d/a".into())),
            (".wh..a", Name::Whiteout(".a".into())),
            (".wh....", Name::Whiteout("...".into())),
            ("d/.wh..wh..opq", Name::Opaque("d".into())),
            (".wh..wh..opq", Name::Opaque(Vec::new())),
            (".wh..wh.aufs", Name::Meta),
            (".wh..wh.plnk/12.3", Name::Meta),
        ];
        for (path, expected) in table {
            assert_eq!(parse(path.as_bytes()).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn parse_refuses_escapes_and_empty_whiteouts() {
        let table = [
            ("..", "ERR_LAYER_ESCAPE"),
            ("a/../b", "ERR_LAYER_ESCAPE"),
            ("/../a", "ERR_LAYER_ESCAPE"),
            (".wh.", "ERR_LAYER_WHITEOUT"),
            (".wh..", "ERR_LAYER_WHITEOUT"),
            (".wh...", "ERR_LAYER_WHITEOUT"),
            ("a/.wh./b", "ERR_LAYER_WHITEOUT"),
            (".wh.a/b", "ERR_LAYER_WHITEOUT"),
        ];
        for (path, code) in table {
            assert_eq!(parse(path.as_bytes()).unwrap_err().code, code, "{path}");
        }
    }
}
