//! Java's trust stores, which are neither PEM nor named by any of the usual variables.
//!
//! Where the image has `keytool` it has a Java. A store in Java's own format is covered as the bundles are, by a copy in
//! the stub layer with more entries, which are known again by their names. A store in another format (PKCS #12, the
//! default of the JDK's own builds since 18, which Java rewrites with encryption) could not be cleaned of what was added.
//! It is left alone, and a variable names a store of the step's own, made of the image's PEM bundle.

use super::ca;
use super::jks;
use super::stubs::{Place, Stubs, resolve};
use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use rustix::fs::{FileType, Mode, OFlags};
use std::collections::HashSet;

/// The store that [`VARIABLE`] names, in the step's own `/dev`.
pub(crate) const STEP_STORE: &str = "/dev/.tsbuild/cacerts";
/// What the program `java` takes more options from, since version 9.
pub(crate) const VARIABLE: &str = "JDK_JAVA_OPTIONS";

/// Below these is a directory for each Java.
const PARENTS: [&str; 2] = ["usr/lib/jvm", "opt/java"];
/// Where distributions keep one store for all of them: Debian, Red Hat, SUSE.
const STORES: [&str; 4] = [
    "etc/ssl/certs/java/cacerts",
    "etc/pki/java/cacerts",
    "etc/pki/ca-trust/extracted/java/cacerts",
    "var/lib/ca-certificates/java-cacerts",
];
/// Where a Java looks; the second is that of a JDK before 9.
const IN_HOME: [&str; 2] = ["lib/security/cacerts", "jre/lib/security/cacerts"];
/// A hostile image may have any number of directories.
const MAX_PLACES: usize = 64;

/// The names of added entries.
const ALIAS: &str = "tsbuild-trust-ca-";
/// The object identifier of encrypted PKCS #7 data, in DER.
const ENCRYPTED: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];

/// What [`extend`] did.
#[derive(Debug, Default)]
pub(crate) struct Extended {
    /// The contents of [`STEP_STORE`], if a store could not be covered.
    pub(crate) store: Option<Vec<u8>>,
    /// The stores that are covered.
    pub(crate) paths: Vec<Vec<u8>>,
}

/// Covers the trust stores of every Java of the image. `bundle` is the image's PEM bundle, empty if it has none.
pub(crate) fn extend(
    view: &Beneath,
    stubs: &mut Stubs<'_>,
    env: &[String],
    bundle: &[u8],
    pem: &str,
) -> Fallible<Extended> {
    let homes = homes(view, env)?;
    let mut done = Extended::default();
    if homes.is_empty() {
        return Ok(done);
    }
    let extra = ca::certificates(pem.as_bytes());
    let below = homes.iter().flat_map(|home| IN_HOME.map(|store| [home.as_slice(), b"/", store.as_bytes()].concat()));
    for path in below.chain(STORES.map(|path| path.as_bytes().to_vec())) {
        let Some((place, store)) = ca::read(view, &path)? else { continue };
        if done.paths.contains(&place.path()) {
            continue;
        }
        if let Some(entries) = jks::parse(&store) {
            let known: HashSet<&[u8]> = entries.iter().filter_map(|entry| entry.certificate).collect();
            let new: Vec<&[u8]> = extra.iter().map(Vec::as_slice).filter(|one| !known.contains(one)).collect();
            stubs.replace(&place, &jks::write(&entries, ALIAS, &new))?;
            done.paths.push(place.path());
        } else if done.store.is_none() && !bundle.is_empty() {
            let own = ca::certificates(bundle);
            let all: Vec<&[u8]> = own.iter().chain(&extra).map(Vec::as_slice).collect();
            done.store = Some(jks::write(&[], ALIAS, &all));
        }
    }
    Ok(done)
}

/// `bytes` of a covered store without the added entries; `None` if there are none.
///
/// # Errors
/// `ERR_LAYER_UNREPRESENTABLE` for a store in a format that hides whether they are in it.
pub(crate) fn without(bytes: &[u8], path: &[u8]) -> Fallible<Option<Vec<u8>>> {
    let added = |entry: &jks::Entry<'_>| entry.alias.starts_with(ALIAS.as_bytes());
    if let Some(mut entries) = jks::parse(bytes) {
        let before = entries.len();
        entries.retain(|entry| !added(entry));
        return Ok((entries.len() < before).then(|| jks::write(&entries, "", &[])));
    }
    let wide: Vec<u8> = ALIAS.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let hides = [ALIAS.as_bytes(), &wide, &ENCRYPTED].iter().any(|sign| holds(bytes, sign));
    if !hides {
        return Ok(None);
    }
    let shown = String::from_utf8_lossy(path);
    let text = format!(
        "the step gave Java's trust store \"/{shown}\" a format or a password that the certificates of --trust-ca cannot \
         be taken out of; do that in a build without --trust-ca, or keep the format JKS and the password changeit"
    );
    Err(Failure::user("ERR_LAYER_UNREPRESENTABLE", text))
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// The directories of every Java of the image, symlinks resolved.
fn homes(view: &Beneath, env: &[String]) -> Fallible<Vec<Vec<u8>>> {
    let value = |name: &str| env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
    let mut bins: Vec<Vec<u8>> =
        value("PATH").unwrap_or_default().split(':').take(MAX_PLACES).map(|dir| dir.as_bytes().to_vec()).collect();
    bins.extend(value("JAVA_HOME").map(|home| format!("{home}/bin").into_bytes()));
    for parent in PARENTS {
        bins.extend(names(view, parent)?.iter().map(|name| [parent.as_bytes(), b"/", name, b"/bin"].concat()));
    }
    let mut homes = Vec::new();
    for bin in bins {
        let Ok(Place { components, found: Some(FileType::RegularFile) }) =
            resolve(view, &[bin.as_slice(), b"/keytool"].concat())
        else {
            continue;
        };
        let [home @ .., _, _] = components.as_slice() else { continue };
        let home = home.join(&b'/');
        if !homes.contains(&home) {
            homes.push(home);
        }
    }
    Ok(homes)
}

/// The names in a directory of the image; none if it is none.
fn names(view: &Beneath, path: &str) -> Fallible<Vec<Vec<u8>>> {
    let Ok(Place { components, found: Some(FileType::Directory) }) = resolve(view, path.as_bytes()) else {
        return Ok(Vec::new());
    };
    let fail = |errno| Failure::syscall(format!("getdents64(root, {path:?})"), errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let fd = view.open(&components.join(&b'/'), flags, Mode::empty(), Links::Refuse).map_err(fail)?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(fd).map_err(fail)?.take(MAX_PLACES) {
        let name = entry.map_err(fail)?.file_name().to_bytes().to_vec();
        if !matches!(name.as_slice(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn without_takes_out_the_added_entries_only() {
        let image = jks::write(&[], "own-", &[b"one", b"same"]);
        let entries = jks::parse(&image).unwrap();
        let covered = jks::write(&entries, ALIAS, &[b"same", b"new"]);
        assert_eq!(without(&covered, b"").unwrap(), Some(image.clone()));
        assert_eq!(without(&image, b"").unwrap(), None);
    }

    #[test]
    fn without_refuses_what_may_hide_them() {
        let mut other_password = jks::write(&[], ALIAS, &[b"new"]);
        *other_password.last_mut().unwrap() ^= 1;
        let wide: Vec<u8> = ALIAS.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [other_password, wide, [b"0".as_slice(), &ENCRYPTED].concat()] {
            assert_eq!(without(&bytes, b"").unwrap_err().code, "ERR_LAYER_UNREPRESENTABLE", "{bytes:?}");
        }
        for bytes in [b"".as_slice(), b"0 plain PKCS #12", b"\xfe\xed\xfe\xed"] {
            assert_eq!(without(bytes, b"").unwrap(), None, "{bytes:?}");
        }
    }
}
