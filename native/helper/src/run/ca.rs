//! Certificates that a step trusts for its own run only.
//!
//! The step sees them at the end of each bundle that the image has, through the stub layer, and in one file that the
//! usual variables name. Neither reaches the layer: the bundles are lower files, and if the step wrote to one of them,
//! so that overlayfs copied it up, exactly the added bytes are taken out again.

use super::stubs::{self, Place, Stubs};
use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

/// Where distributions keep their bundle.
const BUNDLES: [&str; 5] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
];

/// A larger file is no certificate bundle and is left alone.
const MAX_BUNDLE_BYTES: u64 = 16 << 20;
/// A step that makes a bundle larger than this fails: it would have to be held in memory to take the bytes out again.
const MAX_CHANGED_BYTES: u64 = 64 << 20;

/// The bundle that [`VARIABLES`] name, in the step's own `/dev`.
pub(crate) const STEP_BUNDLE: &str = "/dev/.tsbuild/ca.pem";

/// What the usual tools read the path of a bundle from.
pub(crate) const VARIABLES: [&str; 8] = [
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "DENO_CERT",
];

/// The bytes that are added to a bundle.
pub(crate) fn appended(pem: &str) -> Vec<u8> {
    format!("\n{}\n", pem.trim_end()).into_bytes()
}

/// What [`extend`] did.
#[derive(Debug)]
pub(crate) struct Extended {
    /// The contents of [`STEP_BUNDLE`].
    pub(crate) bundle: Vec<u8>,
    /// The paths of the image's bundles, symlinks resolved.
    pub(crate) paths: Vec<Vec<u8>>,
}

/// Puts extended copies of the image's bundles into the stub layer.
pub(crate) fn extend(view: &Beneath, stubs: &mut Stubs<'_>, pem: &str) -> Fallible<Extended> {
    let extra = appended(pem);
    let mut first = None;
    let mut done: Vec<Place> = Vec::new();
    for path in BUNDLES {
        let Some((place, mut bytes)) = bundle(view, path)? else { continue };
        if done.contains(&place) {
            continue;
        }
        bytes.extend_from_slice(&extra);
        stubs.replace(&place, &bytes)?;
        first.get_or_insert(bytes);
        done.push(place);
    }
    Ok(Extended { bundle: first.unwrap_or(extra), paths: done.iter().map(Place::path).collect() })
}

/// The bundle at `path`, where the image has a regular file there. A symlink leads to another of the known names.
fn bundle(view: &Beneath, path: &str) -> Fallible<Option<(Place, Vec<u8>)>> {
    let Ok(place) = stubs::resolve(view, path.as_bytes()) else { return Ok(None) };
    if place.found != Some(FileType::RegularFile) {
        return Ok(None);
    }
    let fail = |errno| Failure::syscall(format!("openat2(root, {path:?})"), errno);
    let fd = view.open(&place.path(), OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse).map_err(fail)?;
    let size = rustix::fs::fstat(&fd).map_err(fail)?.st_size.unsigned_abs();
    if size > MAX_BUNDLE_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 4096);
    File::from(fd).read_to_end(&mut bytes).map_err(|error| Failure::io(format!("read({path:?})"), &error))?;
    Ok(Some((place, bytes)))
}

/// Takes the added bytes out of every bundle that the step changed. Called when nothing has the snapshot mounted.
///
/// # Errors
/// `ERR_LAYER_UNREPRESENTABLE` for a bundle that the step made too large; failed calls.
pub(crate) fn strip(upper: &str, pem: &str, paths: &[Vec<u8>]) -> Fallible<()> {
    let extra = appended(pem);
    let layer = Beneath::open_root(upper.as_ref())?;
    for path in paths {
        // What is not there was not changed or was removed.
        let Ok(place) = layer.open(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse) else {
            continue;
        };
        let shown = String::from_utf8_lossy(path);
        let fail = |errno| Failure::syscall(format!("openat2(upper, {shown:?})"), errno);
        let stat = rustix::fs::fstat(&place).map_err(fail)?;
        // Looked at before it is opened: the step may have left a device there, which is one of the host in this mount
        // namespace, and for some devices (a watchdog, a tape) to open them is an act.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            continue;
        }
        if stat.st_size.unsigned_abs() > MAX_CHANGED_BYTES {
            let text =
                format!("the step made the certificate bundle \"/{shown}\" larger than {MAX_CHANGED_BYTES} bytes");
            return Err(Failure::user("ERR_LAYER_UNREPRESENTABLE", text));
        }
        let fd = layer.open(path, OFlags::RDWR | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse).map_err(fail)?;
        let call = || format!("strip certificates from {shown:?}");
        strip_file(File::from(fd), &extra).map_err(|error| Failure::io(call(), &error))?;
    }
    Ok(())
}

fn strip_file(mut file: File, extra: &[u8]) -> std::io::Result<()> {
    let stat = rustix::fs::fstat(&file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let Some(kept) = without(&bytes, extra) else { return Ok(()) };
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&kept)?;
    file.set_len(kept.len() as u64)?;
    rustix::fs::futimens(&file, &stubs::times(&stat)).map_err(|errno: Errno| errno.into())
}

/// `bytes` without each occurrence of `extra`; `None` if there is none.
fn without(bytes: &[u8], extra: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut found = false;
    while let Some(at) = find(rest, extra) {
        found = true;
        kept.extend_from_slice(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + extra.len()..).unwrap_or_default();
    }
    kept.extend_from_slice(rest);
    found.then_some(kept)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn without_takes_out_exactly_the_added_bytes() {
        for (bytes, wanted) in [
            ("a\nPEM\nb", Some("ab")),
            ("\nPEM\n", Some("")),
            ("x\nPEM\ny\nPEM\nz", Some("xyz")),
            ("\nPEM", None),
            ("", None),
        ] {
            let got = without(bytes.as_bytes(), &appended("PEM\n\n"));
            assert_eq!(got.as_deref(), wanted.map(str::as_bytes), "{bytes:?}");
        }
    }
}
