//! Writes a tar whose bytes depend on the entries alone.
//!
//! ustar, and a PAX header only for what ustar cannot say. No user names, no access times.

use super::{BLOCK, Entry, Kind, Time, pax};

/// The two zero blocks that end an archive.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Largest values of the octal fields.
const ID_MAX: u32 = 0o7_777_777;
const LONG_MAX: u64 = 0o77_777_777_777;

/// The header blocks of an entry. Its content and [`super::padding`] follow.
pub(crate) fn header(entry: &Entry) -> Vec<u8> {
    let split = split(&entry.path);
    let records = records(entry, split.is_some());
    let mut out = Vec::with_capacity(if records.is_empty() { BLOCK } else { 4 * BLOCK });
    if !records.is_empty() {
        let mut extension = Entry::new(Kind::Regular, Vec::new());
        extension.mode = 0o644;
        extension.size = records.len() as u64;
        // The name is for tools that do not know PAX; the same for all, so that it never needs a record itself.
        out.extend_from_slice(&block(&extension, (b"", b"PaxHeaders.0/entry"), b'x'));
        out.extend_from_slice(&records);
        out.resize(out.len() + super::padding(extension.size), 0);
    }
    let names = split.unwrap_or_else(|| (&b""[..], entry.path.get(..100).unwrap_or(&entry.path)));
    out.extend_from_slice(&block(entry, names, flag(entry.kind)));
    out
}

/// What ustar cannot hold, sorted by key.
fn records(entry: &Entry, path_fits: bool) -> Vec<u8> {
    let mut out = Vec::new();
    if entry.xattrs.is_empty() && path_fits && is_plain(entry) {
        return out;
    }
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| records.push((key.to_vec(), value.to_vec()));
    if !path_fits || !entry.path.is_ascii() {
        add(b"path", &entry.path);
    }
    if entry.link.len() > 100 || !entry.link.is_ascii() {
        add(b"linkpath", &entry.link);
    }
    if entry.uid > ID_MAX {
        add(b"uid", entry.uid.to_string().as_bytes());
    }
    if entry.gid > ID_MAX {
        add(b"gid", entry.gid.to_string().as_bytes());
    }
    if entry.size > LONG_MAX {
        add(b"size", entry.size.to_string().as_bytes());
    }
    if !time_fits(entry.mtime) {
        add(b"mtime", decimal(entry.mtime).as_bytes());
    }
    for (name, value) in &entry.xattrs {
        add(&[pax::XATTR, name].concat(), value);
    }
    records.sort();
    for (key, value) in &records {
        pax::append(&mut out, key, value);
    }
    out
}

fn is_plain(entry: &Entry) -> bool {
    entry.path.is_ascii()
        && entry.link.len() <= 100
        && entry.link.is_ascii()
        && entry.uid <= ID_MAX
        && entry.gid <= ID_MAX
        && entry.size <= LONG_MAX
        && time_fits(entry.mtime)
}

fn time_fits(time: Time) -> bool {
    time.nanos == 0 && u64::try_from(time.seconds).is_ok_and(|seconds| seconds <= LONG_MAX)
}

/// `[-]seconds[.fraction]` without trailing zeros.
fn decimal(time: Time) -> String {
    let (sign, whole, nanos) = match (time.seconds < 0, time.nanos) {
        (false, nanos) => ("", time.seconds, nanos),
        (true, 0) => ("-", -time.seconds, 0),
        (true, nanos) => ("-", -(time.seconds + 1), 1_000_000_000 - nanos),
    };
    let text = format!("{sign}{whole}.{nanos:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Prefix and name as ustar wants them, `None` where they do not fit.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    // The last slash that may stand between them; a directory's own slash at the end belongs to its name.
    let body = path.strip_suffix(b"/").unwrap_or(path);
    let at = body.iter().take(156).rposition(|&byte| byte == b'/')?;
    let (prefix, name) = (path.get(..at)?, path.get(at + 1..)?);
    (!prefix.is_empty() && name.len() <= 100).then_some((prefix, name))
}

fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::Regular => b'0',
        Kind::Hardlink => b'1',
        Kind::Symlink => b'2',
        Kind::Character => b'3',
        Kind::Block => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

fn block(entry: &Entry, (prefix, name): (&[u8], &[u8]), flag: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put(&mut block, 0, 100, name);
    octal(&mut block, 100, 7, u64::from(entry.mode));
    octal(&mut block, 108, 7, u64::from(if entry.uid > ID_MAX { 0 } else { entry.uid }));
    octal(&mut block, 116, 7, u64::from(if entry.gid > ID_MAX { 0 } else { entry.gid }));
    octal(&mut block, 124, 11, if entry.size > LONG_MAX { 0 } else { entry.size });
    octal(&mut block, 136, 11, if time_fits(entry.mtime) { entry.mtime.seconds.unsigned_abs() } else { 0 });
    put(&mut block, 148, 8, b"        ");
    put(&mut block, 156, 1, &[flag]);
    put(&mut block, 157, 100, &entry.link);
    put(&mut block, 257, 8, b"ustar\x0000");
    octal(&mut block, 329, 7, u64::from(entry.device.0));
    octal(&mut block, 337, 7, u64::from(entry.device.1));
    put(&mut block, 345, 155, prefix);
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    octal(&mut block, 148, 6, sum);
    put(&mut block, 154, 2, b"\0 ");
    block
}

/// As much of `bytes` as the field holds.
fn put(block: &mut [u8; BLOCK], start: usize, length: usize, bytes: &[u8]) {
    let count = bytes.len().min(length);
    if let (Some(field), Some(bytes)) = (block.get_mut(start..start + count), bytes.get(..count)) {
        field.copy_from_slice(bytes);
    }
}

fn octal(block: &mut [u8; BLOCK], start: usize, digits: usize, value: u64) {
    put(block, start, digits, format!("{value:0digits$o}").as_bytes());
}
