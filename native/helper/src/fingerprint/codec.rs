//! The bytes of a fingerprint file.

use crate::select::{Kind, Meta, NodeDigest};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Names the format and its version.
const MAGIC: &[u8; 8] = b"tsbfpr\x00\x01";

/// One file on record.
#[derive(Debug, Clone)]
pub(super) struct Record<'b> {
    pub(super) name: &'b [u8],
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    mode: u32,
    sha256: [u8; 32],
    /// Attributes as they stand in the file: count, then name and value of each, every one with its length.
    xattrs: std::borrow::Cow<'b, [u8]>,
}

impl<'b> Record<'b> {
    pub(super) fn of(name: &'b [u8], meta: &Meta, digest: &NodeDigest) -> Self {
        let mut xattrs = Vec::new();
        for (key, value) in &digest.xattrs {
            put(&mut xattrs, key);
            put(&mut xattrs, value);
        }
        let Meta { dev, ino, size, mtime, ctime, raw_mode: mode, .. } = *meta;
        Self { name, dev, ino, size, mtime, ctime, mode, sha256: digest.sha256, xattrs: xattrs.into() }
    }

    pub(super) fn describes(&self, meta: &Meta) -> bool {
        meta.kind == Kind::File
            && (self.dev, self.ino, self.size, self.mode) == (meta.dev, meta.ino, meta.size, meta.raw_mode)
            && (self.mtime, self.ctime) == (meta.mtime, meta.ctime)
    }

    pub(super) fn digest(&self) -> NodeDigest {
        let mut cursor = Cursor::new(&self.xattrs);
        let pairs = std::iter::from_fn(|| Some((cursor.bytes()?.to_vec(), cursor.bytes()?.to_vec())));
        NodeDigest { sha256: self.sha256, xattrs: pairs.collect() }
    }
}

/// Reads a body from its start.
#[derive(Debug)]
pub(super) struct Cursor<'b> {
    rest: &'b [u8],
}

impl<'b> Cursor<'b> {
    pub(super) fn new(rest: &'b [u8]) -> Self {
        Self { rest }
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk()?;
        self.rest = tail;
        Some(*head)
    }

    fn take(&mut self, length: u32) -> Option<&'b [u8]> {
        let (head, tail) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = tail;
        Some(head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.u32()?;
        self.take(length)
    }

    /// The next record; `None` at the end.
    pub(super) fn record(&mut self) -> Option<Record<'b>> {
        Some(Record {
            name: self.bytes()?,
            dev: self.u64()?,
            ino: self.u64()?,
            size: self.u64()?,
            mtime: (self.i64()?, self.i64()?),
            ctime: (self.i64()?, self.i64()?),
            mode: self.u32()?,
            sha256: self.array()?,
            xattrs: self.bytes()?.into(),
        })
    }
}

impl<'b> Iterator for Cursor<'b> {
    type Item = Record<'b>;

    fn next(&mut self) -> Option<Record<'b>> {
        self.record()
    }
}

/// The body of a whole file, if it is undamaged and of this version.
pub(super) fn unwrap(file: Vec<u8>) -> Option<Vec<u8>> {
    let (head, body) = file.split_at_checked(MAGIC.len() + 4)?;
    let (magic, sum) = head.split_at_checked(MAGIC.len())?;
    let sum = u32::from_le_bytes(sum.try_into().ok()?);
    (magic == MAGIC && crc32fast::hash(body) == sum).then(|| body.to_vec())
}

/// Where the records of each directory stand in a body.
pub(super) fn index(body: &[u8]) -> Option<HashMap<Vec<u8>, Range<usize>>> {
    let mut cursor = Cursor::new(body);
    let mut dirs = HashMap::new();
    while !cursor.rest.is_empty() {
        let path = cursor.bytes()?.to_vec();
        let records = cursor.bytes()?;
        let end = body.len().checked_sub(cursor.rest.len())?;
        dirs.insert(path, end.checked_sub(records.len())?..end);
    }
    Some(dirs)
}

/// A whole file.
pub(super) fn wrap(all: &BTreeMap<&[u8], BTreeMap<&[u8], Record<'_>>>) -> Vec<u8> {
    let mut body = Vec::new();
    let mut records = Vec::new();
    for (dir, files) in all.iter().filter(|(_, files)| !files.is_empty()) {
        records.clear();
        for record in files.values() {
            write_record(&mut records, record);
        }
        put(&mut body, dir);
        put(&mut body, &records);
    }
    [MAGIC.as_slice(), &crc32fast::hash(&body).to_le_bytes(), &body].concat()
}

fn write_record(out: &mut Vec<u8>, record: &Record<'_>) {
    put(out, record.name);
    for number in [record.dev, record.ino, record.size] {
        out.extend(number.to_le_bytes());
    }
    for number in [record.mtime.0, record.mtime.1, record.ctime.0, record.ctime.1] {
        out.extend(number.to_le_bytes());
    }
    out.extend(record.mode.to_le_bytes());
    out.extend(record.sha256);
    put(out, &record.xattrs);
}

/// Writes bytes with their length before them. Nothing here comes near 4 GiB: what would is cut and so, at the next
/// reading, no match.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend(length.to_le_bytes());
    out.extend(bytes);
}
