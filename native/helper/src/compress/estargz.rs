//! estargz: a tar.gz whose files can be read one by one.
//!
//! A gzip member begins at the content of each file, and at every [`CHUNK`] of it. The last entry of the tar, in a member of
//! its own, is a table of contents with the place and digest of each; an empty member at the very end says where the table
//! is. To any other reader it is gzip of several members and a tar with two more files.
//!
//! <https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md>

use super::{gzip, table};
use crate::digest::Tally;
use crate::error::{Failure, Fallible};
use crate::protocol::Reply;
use crate::quote::quote;
use crate::tar::{Entry, Kind};
use std::collections::HashSet;
use table::{Row, Table};

/// Content bytes in a member, at most.
pub(super) const CHUNK: u64 = 4 << 20;
/// The table of contents.
pub(super) const TABLE_NAME: &[u8] = b"stargz.index.json";
/// "No file is worth fetching before it is asked for": we do not know which are.
pub(super) const LANDMARK_NAME: &[u8] = b".no.prefetch.landmark";
/// What the landmark holds.
pub(super) const LANDMARK: [u8; 1] = [0xf];
/// The other landmark, which we never write.
const PREFETCH_NAME: &[u8] = b".prefetch.landmark";

/// What is known of the files while they are written.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) gzip: gzip::Encoder,
    table: Table,
    /// Members that were begun.
    members: usize,
    file: Option<File>,
    names: HashSet<Vec<u8>>,
}

/// A file whose content is being written.
#[derive(Debug)]
struct File {
    row: Row,
    size: u64,
    done: u64,
    /// Of the whole; not fed for a file of one chunk, whose digest is the same.
    whole: Tally,
    chunk: Tally,
    chunks: Vec<Row>,
}

impl Encoder {
    pub(super) fn new(gzip: gzip::Encoder) -> Self {
        // The first member begins with the first header.
        Self { gzip, table: Table::default(), members: 1, file: None, names: HashSet::new() }
    }

    /// Whether the archive takes this entry. The names of the format's own files mean something else here; they come with
    /// base images that are estargz themselves.
    ///
    /// # Errors
    /// `ERR_LAYER_UNREPRESENTABLE` for a second file of one name, and for a link to what is left out.
    pub(super) fn takes(&mut self, entry: &Entry) -> Fallible<bool> {
        let name = clean(&entry.path);
        if is_reserved(&name) {
            let (code, path) = ("WARN_ESTARGZ_RESERVED".to_owned(), quote(&entry.path));
            let message = format!("{path} is left out: in an estargz layer the name is the format's own");
            crate::report(&Reply::Warning { code, message });
            return Ok(false);
        }
        let refuse = |why: &str| {
            let path = quote(&entry.path);
            Err(Failure::user("ERR_LAYER_UNREPRESENTABLE", format!("no estargz layer can hold {path}: {why}")))
        };
        if entry.kind == Kind::Hardlink && is_reserved(&clean(&entry.link)) {
            return refuse("it is a link to a file of the format itself");
        }
        // The chunks of a file are found by its name.
        if entry.kind != Kind::Directory && !self.names.insert(name) {
            return refuse("the layer has two files of this name");
        }
        Ok(true)
    }

    /// Notes an entry whose header was written. True where its content is to begin a member.
    pub(super) fn begin(&mut self, entry: &Entry) -> bool {
        let mut row = Row::of(entry);
        if entry.kind == Kind::Regular && entry.size > 0 {
            let size = entry.size;
            let (whole, chunk) = (Tally::default(), Tally::default());
            self.file = Some(File { row, size, done: 0, whole, chunk, chunks: Vec::new() });
            return true;
        }
        row.digest = (entry.kind == Kind::Regular).then(|| Tally::default().digest());
        self.table.push(row, self.gzip.starts());
        false
    }

    /// A member was begun.
    pub(super) fn begin_member(&mut self) {
        self.members += 1;
    }

    /// Bytes of content that belong into this member; `None` where none is expected.
    pub(super) fn room(&self) -> Option<u64> {
        self.file.as_ref().map(|file| (CHUNK - file.chunk.bytes()).min(file.size - file.done))
    }

    /// Bytes were written.
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        file.chunk.update(bytes);
        if file.size > CHUNK {
            file.whole.update(bytes);
        }
        file.done += bytes.len() as u64;
        let ended = file.done == file.size;
        if ended || file.chunk.bytes() == CHUNK {
            file.end_chunk(self.members - 1, ended);
        }
        if ended && let Some(file) = self.file.take() {
            file.rows().for_each(|row| self.table.push(row, self.gzip.starts()));
        }
    }

    /// Whether a chunk is full and another one follows.
    pub(super) fn chunk_is_full(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.done > 0 && file.chunk.bytes() == 0)
    }

    /// The text of the table, once every member was written.
    pub(super) fn table(&mut self) -> Fallible<Vec<u8>> {
        std::mem::take(&mut self.table).finish(self.gzip.starts())
    }
}

impl File {
    fn end_chunk(&mut self, member: usize, ended: bool) {
        let chunk = std::mem::take(&mut self.chunk);
        let size = chunk.bytes();
        let mut row = Row::chunk(&self.row);
        row.member = Some(member);
        row.chunk_offset = self.done - size;
        // Zero means: up to the end of the file.
        row.chunk_size = if ended { 0 } else { size };
        row.chunk_digest = Some(chunk.digest());
        self.chunks.push(row);
    }

    /// The file's own row, which is that of its first chunk, and those of the others.
    fn rows(mut self) -> impl Iterator<Item = Row> {
        let mut chunks = self.chunks.into_iter();
        if let Some(first) = chunks.next() {
            self.row.digest = if self.size > CHUNK { Some(self.whole.digest()) } else { first.chunk_digest.clone() };
            (self.row.member, self.row.chunk_size) = (first.member, first.chunk_size);
            self.row.chunk_digest = first.chunk_digest;
        }
        std::iter::once(self.row).chain(chunks)
    }
}

/// The empty member at the end, 51 bytes: its extra field says where the table begins.
pub(super) fn footer(table: u64) -> Vec<u8> {
    let field = format!("{table:016x}STARGZ");
    let extra = [b"SG", &22_u16.to_le_bytes(), field.as_bytes()].concat();
    let header = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
    // One stored block of no bytes, the last; then checksum and length of nothing.
    let empty = [1, 0, 0, 0xff, 0xff];
    [&header[..], &26_u16.to_le_bytes(), &extra, &empty, &[0; 8]].concat()
}

fn is_reserved(name: &[u8]) -> bool {
    [TABLE_NAME, LANDMARK_NAME, PREFETCH_NAME].contains(&name)
}

/// A name as readers of the table compare it: from the root, without `.` and `..`.
fn clean(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}
