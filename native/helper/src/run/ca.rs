//! Certificates that a step trusts for its own run only.
//!
//! The step sees them at the end of each bundle that the image has, through the stub layer, in one file that the usual
//! variables name, and in Java's trust stores ([`super::java`]). None of that reaches the layer: bundles are lower files,
//! and if the step wrote to one of them, so that overlayfs copied it up, what was added is taken out again. Two lines
//! around it say what that is: a step may well install the same authority for good, and then it stays.

use super::java;
use super::stubs::{self, Place, Stubs};
use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use base64::Engine as _;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

/// Where distributions keep their bundle: Debian and Alpine, Red Hat, SUSE; the last two have links to it as well.
const BUNDLES: [&str; 7] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/pki/tls/cert.pem",
    "etc/ssl/ca-bundle.pem",
    "var/lib/ca-certificates/ca-bundle.pem",
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

/// The line before what is added to a bundle. Readers of PEM pass over lines outside of certificates.
const BEGIN: &str = "# tsbuild --trust-ca: for this step only";
/// As [`BEGIN`], after a bundle whose last line had no end.
const BEGIN_JOINED: &str = "# tsbuild --trust-ca: for this step only, on a line of its own";
/// The line after it.
const END: &str = "# tsbuild --trust-ca: end";

/// What is added to a bundle.
fn appended(bundle: &[u8], pem: &str) -> Vec<u8> {
    let pem = pem.trim_end();
    match bundle.last() {
        None | Some(b'\n') => format!("{BEGIN}\n{pem}\n{END}\n"),
        Some(_) => format!("\n{BEGIN_JOINED}\n{pem}\n{END}\n"),
    }
    .into_bytes()
}

/// What [`extend`] did.
#[derive(Debug)]
pub(crate) struct Extended {
    /// The contents of [`STEP_BUNDLE`].
    pub(crate) bundle: Vec<u8>,
    /// The contents of [`java::STEP_STORE`], where a Java of the image needs it.
    pub(crate) store: Option<Vec<u8>>,
    /// What must be cleaned when the step has ended.
    pub(crate) changed: Changed,
}

/// The files of the image that hold more certificates while the step runs: paths with every symlink resolved.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changed {
    bundles: Vec<Vec<u8>>,
    stores: Vec<Vec<u8>>,
}

/// Puts extended copies of the image's bundles and Java trust stores into the stub layer. `env` is the step's.
pub(crate) fn extend(view: &Beneath, stubs: &mut Stubs<'_>, env: &[String], pem: &str) -> Fallible<Extended> {
    let mut first: Option<(Vec<u8>, usize)> = None;
    let mut done: Vec<Place> = Vec::new();
    for path in BUNDLES {
        let Some((place, mut bytes)) = read(view, path.as_bytes())? else { continue };
        if done.contains(&place) {
            continue;
        }
        let own = bytes.len();
        bytes.extend(appended(&bytes, pem));
        stubs.replace(&place, &bytes)?;
        first.get_or_insert((bytes, own));
        done.push(place);
    }
    let (bundle, own) = first.unwrap_or_else(|| (appended(&[], pem), 0));
    let java = java::extend(view, stubs, env, bundle.get(..own).unwrap_or_default(), pem)?;
    let changed = Changed { bundles: done.iter().map(Place::path).collect(), stores: java.paths };
    Ok(Extended { bundle, store: java.store, changed })
}

/// The certificates of a PEM text, as DER. What cannot be read is left out.
pub(crate) fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    let bodies = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let bodies = bodies.filter_map(|rest| rest.split_once("-----END CERTIFICATE-----"));
    let bodies = bodies.map(|(body, _)| body.split_ascii_whitespace().collect::<String>());
    bodies.filter_map(|body| base64::engine::general_purpose::STANDARD.decode(body).ok()).collect()
}

/// The file that `path` leads to, symlinks resolved inside the image; `None` unless it is a regular one of a bearable
/// size. Nothing else is opened: a FIFO would wait for ever.
pub(crate) fn read(view: &Beneath, path: &[u8]) -> Fallible<Option<(Place, Vec<u8>)>> {
    let Ok(place) = stubs::resolve(view, path) else { return Ok(None) };
    if place.found != Some(FileType::RegularFile) {
        return Ok(None);
    }
    let shown = String::from_utf8_lossy(path);
    let fail = |errno| Failure::syscall(format!("openat2(root, {shown:?})"), errno);
    let fd = view.open(&place.path(), OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse).map_err(fail)?;
    let size = rustix::fs::fstat(&fd).map_err(fail)?.st_size.unsigned_abs();
    if size > MAX_BUNDLE_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 4096);
    File::from(fd).read_to_end(&mut bytes).map_err(|error| Failure::io(format!("read({shown:?})"), &error))?;
    Ok(Some((place, bytes)))
}

/// Takes the added certificates out of every bundle and store that the step changed, and out of what it put where a
/// bundle usually is. Called when nothing has the snapshot mounted.
///
/// # Errors
/// `ERR_LAYER_UNREPRESENTABLE` for a file that the step made too large, or into something that nothing can be taken out
/// of; failed calls.
pub(crate) fn strip(upper: &str, pem: &str, changed: &Changed) -> Fallible<()> {
    let layer = Beneath::open_root(upper.as_ref())?;
    let lines: HashSet<&[u8]> = pem.lines().map(|line| line.trim_end().as_bytes()).collect();
    let usual = BUNDLES.iter().map(|path| path.as_bytes());
    let bundles: HashSet<&[u8]> = changed.bundles.iter().map(Vec::as_slice).chain(usual).collect();
    for path in bundles {
        rewrite(&layer, path, |bytes| Ok(without(bytes, &lines)))?;
    }
    for path in &changed.stores {
        rewrite(&layer, path, |bytes| java::without(bytes, path))?;
    }
    Ok(())
}

/// Gives a regular file of the layer the contents that `kept` makes of its own, `None` for the same. Its times stay.
fn rewrite(layer: &Beneath, path: &[u8], kept: impl Fn(&[u8]) -> Fallible<Option<Vec<u8>>>) -> Fallible<()> {
    // What is not there was not changed or was removed.
    let Ok(place) = layer.open(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse) else {
        return Ok(());
    };
    let shown = String::from_utf8_lossy(path);
    let fail = |errno| Failure::syscall(format!("openat2(upper, {shown:?})"), errno);
    let stat = rustix::fs::fstat(&place).map_err(fail)?;
    // Looked at before it is opened: the step may have left a device there, which is one of the host in this mount
    // namespace, and for some devices (a watchdog, a tape) to open them is an act.
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    if stat.st_size.unsigned_abs() > MAX_CHANGED_BYTES {
        let text = format!("the step made the certificate bundle \"/{shown}\" larger than {MAX_CHANGED_BYTES} bytes");
        return Err(Failure::user("ERR_LAYER_UNREPRESENTABLE", text));
    }
    let fd = layer.open(path, OFlags::RDWR | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse).map_err(fail)?;
    let fail = |error: &std::io::Error| Failure::io(format!("strip certificates from {shown:?}"), error);
    let mut file = File::from(fd);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| fail(&error))?;
    let Some(kept) = kept(&bytes)? else { return Ok(()) };
    replace(&mut file, &kept, &stat).map_err(|error| fail(&error))
}

fn replace(file: &mut File, bytes: &[u8], stat: &rustix::fs::Stat) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    rustix::fs::futimens(file, &stubs::times(stat)).map_err(|errno: Errno| errno.into())
}

/// `bytes` without what was added, however often the step copied it; `None` if it is not there. `lines` are those of the
/// added certificates: where the step cut the last line off, only they go.
fn without(bytes: &[u8], lines: &HashSet<&[u8]>) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(bytes.len());
    let (mut found, mut inside) = (false, false);
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let text = line.trim_ascii_end();
        if inside {
            inside = lines.contains(text);
            if inside || text == END.as_bytes() {
                continue;
            }
        }
        if let Some(before) = text.strip_suffix(BEGIN.as_bytes()) {
            kept.extend_from_slice(before);
        } else if let Some(before) = text.strip_suffix(BEGIN_JOINED.as_bytes()) {
            if kept.last() == Some(&b'\n') && before.is_empty() {
                kept.pop();
            }
            kept.extend_from_slice(before);
        } else {
            kept.extend_from_slice(line);
            continue;
        }
        (found, inside) = (true, true);
    }
    found.then_some(kept)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PEM: &str = "# one\n-----BEGIN CERTIFICATE-----\nTUE9\nPQ==\n-----END CERTIFICATE-----\n\n";

    fn lines() -> HashSet<&'static [u8]> {
        PEM.lines().map(str::as_bytes).collect()
    }

    #[test]
    fn without_takes_out_exactly_what_was_added() {
        for bundle in ["", "a\n", "a", "a\n\n", PEM] {
            let added = appended(bundle.as_bytes(), PEM);
            let extended = [bundle.as_bytes(), &added].concat();
            assert_eq!(without(&extended, &lines()).as_deref(), Some(bundle.as_bytes()), "{bundle:?}");
            let more = [extended.as_slice(), PEM.as_bytes(), b"more"].concat();
            let wanted = [bundle, PEM, "more"].concat();
            assert_eq!(without(&more, &lines()).as_deref(), Some(wanted.as_bytes()), "{bundle:?}");
            assert_eq!(without(bundle.as_bytes(), &lines()), None, "{bundle:?}");
        }
    }

    #[test]
    fn without_knows_what_the_step_did_to_its_copy() {
        let added = String::from_utf8(appended(b"a\n", PEM)).unwrap();
        let cut = added.strip_suffix(&format!("{END}\n")).unwrap();
        for (text, wanted) in [
            (format!("a\n{added}b\n{added}"), "a\nb\n"),
            (format!("a\n{}b", added.replace('\n', "\r\n")), "a\nb"),
            (format!("a\n{}b", added.replace("\n\n", "\n")), "a\nb"),
            (format!("no end{added}b\n"), "no endb\n"),
            (format!("a\n{cut}b\n"), "a\nb\n"),
            (format!("a\n{cut}"), "a\n"),
        ] {
            assert_eq!(without(text.as_bytes(), &lines()).as_deref(), Some(wanted.as_bytes()), "{text}");
        }
    }

    #[test]
    fn certificates_reads_what_can_be_read() {
        let torn = "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nTQ==";
        assert_eq!(certificates(format!("x{PEM}{torn}").as_bytes()), [b"MA==".to_vec()]);
    }
}
