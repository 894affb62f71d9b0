//! Digests of files by stat, kept between runs, so that unchanged files are not read again.
//!
//! The file: `MAGIC`, a CRC-32 of the rest, then for each directory its path and its files: name, dev, ino, size,
//! mtime, ctime, mode, SHA-256, extended attributes; all numbers little-endian, directories and names sorted. A file
//! that is damaged, or of another version, counts as empty. It is a cache: losing it costs time, nothing else.

use crate::select::{Meta, NodeDigest};
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

mod codec;

use codec::{Cursor, Record};

/// A file touched this shortly before the scan began may be written again without a visible change of its times.
const RACY: Duration = Duration::from_millis(20);

/// What is known of the files of one tree.
#[derive(Debug)]
pub(crate) struct Fingerprints {
    path: Option<PathBuf>,
    body: Vec<u8>,
    /// Where the files of each directory stand in `body`.
    dirs: HashMap<Vec<u8>, Range<usize>>,
    /// The oldest time that is not trusted.
    racy_from: (i64, i64),
    changes: Mutex<Changes>,
}

/// Files of one directory that were hashed, by name.
type Files = HashMap<Vec<u8>, (Meta, NodeDigest)>;

#[derive(Debug, Default)]
struct Changes {
    /// Files hashed in this run, by directory and name.
    hashed: HashMap<Vec<u8>, Files>,
    /// Files on record that are not there any more.
    gone: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The known files of one directory, asked in the order of their names.
#[derive(Debug)]
pub(crate) struct Known<'f> {
    all: &'f Fingerprints,
    dir: Vec<u8>,
    records: &'f [u8],
    cursor: Cursor<'f>,
    next: Option<Record<'f>>,
    hashed: Option<Files>,
}

impl Fingerprints {
    /// Reads the file. Without a path nothing is known and nothing is kept; anything but a regular file holds nothing.
    pub(crate) fn load(path: Option<&Path>) -> Self {
        let body = path.and_then(read).and_then(codec::unwrap).unwrap_or_default();
        let (body, dirs) = match codec::index(&body) {
            Some(dirs) => (body, dirs),
            None => (Vec::new(), HashMap::new()),
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(RACY);
        let racy_from = (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()));
        Self { path: path.map(Path::to_path_buf), body, dirs, racy_from, changes: Mutex::default() }
    }

    /// What is known of the files in a directory.
    pub(crate) fn known(&self, dir: &[u8]) -> Known<'_> {
        let range = self.dirs.get(dir).cloned().unwrap_or_default();
        let records = self.body.get(range).unwrap_or_default();
        let mut cursor = Cursor::new(records);
        let next = cursor.record();
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let hashed = changes.hashed.get(dir).cloned();
        Known { all: self, dir: dir.to_vec(), records, cursor, next, hashed }
    }

    /// Notes that a file was hashed.
    pub(crate) fn learn(&self, dir: &[u8], name: &[u8], meta: &Meta, digest: &NodeDigest) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let files = match changes.hashed.get_mut(dir) {
            Some(files) => files,
            None => changes.hashed.entry(dir.to_vec()).or_default(),
        };
        files.insert(name.to_vec(), (*meta, digest.clone()));
    }

    /// Writes the file anew if anything changed, by rename. `exists` tells whether a directory that this run did not
    /// visit is still there. Best effort: what cannot be kept is hashed again, and a store on a read-only disk can be read.
    pub(crate) fn save(&self, exists: impl Fn(&[u8]) -> bool) {
        let Some(path) = &self.path else { return };
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let steady = |meta: &Meta| meta.mtime < self.racy_from && meta.ctime < self.racy_from;
        let anything = changes.hashed.values().flat_map(HashMap::values).any(|(meta, _)| steady(meta));
        if !anything && changes.gone.is_empty() {
            return;
        }
        let mut all: BTreeMap<&[u8], BTreeMap<&[u8], Record<'_>>> = BTreeMap::new();
        for (dir, range) in self.dirs.iter().filter(|(dir, _)| exists(dir)) {
            let cursor = Cursor::new(self.body.get(range.clone()).unwrap_or_default());
            all.insert(dir, cursor.map(|record| (record.name, record)).collect());
        }
        for (dir, name) in &changes.gone {
            if let Some(files) = all.get_mut(dir.as_slice()) {
                files.remove(name.as_slice());
            }
        }
        for (dir, hashed) in &changes.hashed {
            let files = all.entry(dir).or_default();
            for (name, (meta, digest)) in hashed {
                if steady(meta) {
                    files.insert(name, Record::of(name, meta, digest));
                } else {
                    files.remove(name.as_slice());
                }
            }
        }
        write(path, &codec::wrap(&all));
    }
}

impl Known<'_> {
    /// The digest of a file if its stat is still the same. Names must be asked for in ascending order.
    pub(crate) fn find(&mut self, name: &[u8], meta: &Meta) -> Option<NodeDigest> {
        if let Some((known, digest)) = self.hashed.as_ref().and_then(|files| files.get(name))
            && known.same_file(meta)
        {
            return Some(digest.clone());
        }
        while self.next.as_ref().is_some_and(|record| record.name < name) {
            self.next = self.cursor.record();
        }
        let record = self.next.as_ref().filter(|record| record.name == name)?;
        record.describes(meta).then(|| record.digest())
    }

    /// Compares with a complete, sorted listing of the directory and notes which files on record are gone.
    pub(crate) fn note_gone(&self, listing: &[impl AsRef<[u8]>]) {
        let mut names = listing.iter().map(AsRef::as_ref).peekable();
        let mut gone = Vec::new();
        for record in Cursor::new(self.records) {
            while names.next_if(|name| *name < record.name).is_some() {}
            if names.peek() != Some(&record.name) {
                gone.push((self.dir.clone(), record.name.to_vec()));
            }
        }
        if !gone.is_empty() {
            self.all.changes.lock().unwrap_or_else(PoisonError::into_inner).gone.append(&mut gone);
        }
    }
}

/// The bytes of a regular file. A FIFO in its place must not hold the build up.
fn read(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn write(path: &Path, bytes: &[u8]) {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
}
