//! Java's own trust store format, as far as certificates to trust need it.
//!
//! Big endian: magic, version, number of entries, entries, and a SHA-1 over the password and all of that. Every Java
//! reads it, also where PKCS #12 is the default (`keystore.type.compat`). A store of an image is hostile: every length
//! is checked against what is there, and nothing is allocated by a number that the store gives.

use sha1::{Digest as _, Sha1};

const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
const VERSION: [u8; 4] = [0, 0, 0, 2];
/// What all distributions give their trust store; it protects nothing.
const PASSWORD: &str = "changeit";
/// What Java puts between the password and the store.
const WHITENER: &[u8] = b"Mighty Aphrodite";
const DIGEST_BYTES: usize = 20;
const PRIVATE_KEY: u32 = 1;
const TRUSTED: u32 = 2;

/// One entry of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'b> {
    /// Its name.
    pub(crate) alias: &'b [u8],
    /// The certificate, where it is one to trust.
    pub(crate) certificate: Option<&'b [u8]>,
    /// The whole entry.
    bytes: &'b [u8],
}

/// Reads a store of version 2 whose password is `changeit`; `None` for anything else, and for one byte too many.
pub(crate) fn parse(store: &[u8]) -> Option<Vec<Entry<'_>>> {
    let (body, digest) = store.split_at_checked(store.len().checked_sub(DIGEST_BYTES)?)?;
    let mut rest = Rest(body);
    if rest.take(4)? != MAGIC || rest.take(4)? != VERSION || digest != digest_of(body) {
        return None;
    }
    let count = rest.number()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(rest.entry()?);
    }
    rest.0.is_empty().then_some(entries)
}

/// Writes a store with these entries and, behind them, new ones with these certificates, named `<prefix><number>`.
pub(crate) fn write(entries: &[Entry<'_>], prefix: &str, certificates: &[&[u8]]) -> Vec<u8> {
    let mut store = [MAGIC, VERSION, number(entries.len() + certificates.len())].concat();
    for entry in entries {
        store.extend_from_slice(entry.bytes);
    }
    for (index, certificate) in certificates.iter().enumerate() {
        store.extend(number(TRUSTED as usize));
        text(&mut store, &format!("{prefix}{index}"));
        // The date of the entry, in milliseconds. A fixed one: Java only shows it.
        store.extend([0; 8]);
        text(&mut store, "X.509");
        store.extend(number(certificate.len()));
        store.extend_from_slice(certificate);
    }
    store.extend(digest_of(&store));
    store
}

fn number(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

fn text(store: &mut Vec<u8>, text: &str) {
    store.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    store.extend_from_slice(text.as_bytes());
}

fn digest_of(body: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut hash = Sha1::new();
    for unit in PASSWORD.encode_utf16() {
        hash.update(unit.to_be_bytes());
    }
    hash.update(WHITENER);
    hash.update(body);
    hash.finalize().into()
}

/// What of a store is still to be read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'b [u8]> {
        let length = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        self.take(length.into())
    }

    fn block(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn certificate(&mut self) -> Option<&'b [u8]> {
        self.text()?;
        self.block()
    }

    fn entry(&mut self) -> Option<Entry<'b>> {
        let start = self.0;
        let kind = self.number()?;
        let alias = self.text()?;
        self.take(8)?;
        let certificate = match kind {
            TRUSTED => Some(self.certificate()?),
            PRIVATE_KEY => {
                self.block()?;
                for _ in 0..self.number()? {
                    self.certificate()?;
                }
                None
            }
            _ => return None,
        };
        let bytes = start.get(..start.len() - self.0.len())?;
        Some(Entry { alias, certificate, bytes })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_what_write_made() {
        let first = write(&[], "a", &[b"one", b"two"]);
        let entries = parse(&first).unwrap();
        let second = write(&entries, "b", &[b"three"]);
        let found: Vec<_> = parse(&second).unwrap().iter().map(|entry| (entry.alias, entry.certificate)).collect();
        let wanted: [(&[u8], &[u8]); 3] = [(b"a0", b"one"), (b"a1", b"two"), (b"b0", b"three")];
        assert_eq!(found, wanted.map(|(alias, certificate)| (alias, Some(certificate))));
        assert_eq!(write(&parse(&second).unwrap()[..2], "", &[]), first);
    }

    #[test]
    fn parse_keeps_private_keys() {
        let mut body = [MAGIC, VERSION, number(1), number(1)].concat();
        text(&mut body, "key");
        body.extend([7; 8]);
        body.extend(number(3));
        body.extend(b"key");
        body.extend(number(1));
        text(&mut body, "X.509");
        body.extend(number(4));
        body.extend(b"cert");
        let store = [body.clone(), digest_of(&body).to_vec()].concat();
        let entries = parse(&store).unwrap();
        assert_eq!((entries[0].alias, entries[0].certificate), (b"key".as_slice(), None));
        assert_eq!(write(&entries, "", &[]), store);
    }

    #[test]
    fn parse_refuses_hostile_stores() {
        let store = write(&[], "a", &[b"one"]);
        let sealed = |body: &[u8]| [body, &digest_of(body)].concat();
        let body = &store[..store.len() - DIGEST_BYTES];
        assert!(parse(&sealed(body)).is_some());
        for length in 0..store.len() {
            assert_eq!(parse(&store[..length]), None, "{length}");
        }
        for length in 0..body.len() {
            assert_eq!(parse(&sealed(&body[..length])), None, "sealed {length}");
        }
        // Every number as large as it can be: entries, kind, alias, certificate.
        for at in 8..body.len() - 3 {
            let mut changed = body.to_vec();
            changed[at..at + 4].fill(0xff);
            let changed = sealed(&changed);
            let Some(entries) = parse(&changed) else { continue };
            assert_eq!(entries.len(), 1, "{at}");
        }
        assert_eq!(parse(&sealed(&[body, b"x"].concat())), None);
        let mut wrong = store.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(parse(&wrong), None);
    }
}
