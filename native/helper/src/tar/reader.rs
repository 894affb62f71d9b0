//! Reads a tar, piece by piece, from whatever gives its bytes.

use super::header::{Header, invalid};
use super::pax::Pax;
use super::sparse::{self, Sparse};
use super::{BLOCK, Entry, Kind, Time, padding};
use crate::error::{Failure, Fallible};

/// Names and PAX records beyond this are refused.
pub(crate) const EXTENSION_MAX: u64 = 1 << 20;

/// Something that gives bytes in pieces of its own size.
pub(crate) trait Chunks {
    /// The next piece, never empty; `None` at the end.
    fn next_chunk(&mut self) -> Fallible<Option<Vec<u8>>>;
}

impl<S: Chunks> Chunks for &mut S {
    fn next_chunk(&mut self) -> Fallible<Option<Vec<u8>>> {
        (**self).next_chunk()
    }
}

/// What is done about archives that readers in the field disagree about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// They are refused: a layer must be the same tree to every tool.
    Layer,
    /// They are read as GNU tar reads them: an archive that somebody made.
    Archive,
}

/// A tar being read.
#[derive(Debug)]
pub(crate) struct Reader<S> {
    rules: Rules,
    source: S,
    chunk: Vec<u8>,
    at: usize,
    body: u64,
    padding: usize,
    global: Pax,
}

/// What the headers in front of an entry say about it.
#[derive(Debug, Default)]
struct Extensions {
    pax: Option<Pax>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<S: Chunks> Reader<S> {
    /// Starts at the first byte of an archive.
    pub(crate) fn new(source: S, rules: Rules) -> Self {
        Self { rules, source, chunk: Vec::new(), at: 0, body: 0, padding: 0, global: Pax::default() }
    }

    /// The next entry; what is left of the body of the one before is skipped. `None` at the end of the archive.
    ///
    /// # Errors
    /// `ERR_LAYER_INVALID`, `ERR_LAYER_TRUNCATED`, and what the source gives.
    pub(crate) fn next_entry(&mut self) -> Fallible<Option<Entry>> {
        let mut extensions = Extensions::default();
        loop {
            while self.next_piece()?.is_some() {}
            let mut block = [0_u8; BLOCK];
            if !self.read_header(&mut block)? {
                return if extensions.is_empty() { Ok(None) } else { Err(truncated()) };
            }
            let header = Header::parse(&block)?;
            match header.flag() {
                b'x' => extensions.pax = once(extensions.pax.is_some(), Pax::parse(&self.extension(&header)?)?)?,
                b'L' => extensions.path = once(extensions.path.is_some(), self.long_name(&header)?)?,
                b'K' => extensions.link = once(extensions.link.is_some(), self.long_name(&header)?)?,
                // The label of a volume names no file.
                b'V' if self.rules == Rules::Archive => self.padding = padding(self.skip_label(&header)?),
                b'g' => {
                    let global = Pax::parse(&self.extension(&header)?)?;
                    global.check_global(self.rules)?;
                    self.global.uid = global.uid.or(self.global.uid);
                    self.global.gid = global.gid.or(self.global.gid);
                    self.global.mtime = global.mtime.or(self.global.mtime);
                }
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    /// The next piece of the current entry's content; `None` at its end.
    pub(crate) fn next_piece(&mut self) -> Fallible<Option<&[u8]>> {
        if self.body == 0 {
            self.skip_padding()?;
            return Ok(None);
        }
        if !self.fill()? {
            return Err(truncated());
        }
        let wanted = usize::try_from(self.body).unwrap_or(usize::MAX);
        let start = self.at;
        let end = start.saturating_add(wanted).min(self.chunk.len());
        self.at = end;
        self.body -= (end - start) as u64;
        Ok(self.chunk.get(start..end))
    }

    /// Reads what is left behind the end of the archive, so that every byte was seen.
    pub(crate) fn drain(mut self) -> Fallible<()> {
        while self.source.next_chunk()?.is_some() {}
        Ok(())
    }

    /// One header block. False at the end: two zero blocks, or no bytes at all where a header could start.
    fn read_header(&mut self, block: &mut [u8; BLOCK]) -> Fallible<bool> {
        if !self.fill()? {
            return Ok(false);
        }
        self.read_exact(block)?;
        if block.iter().any(|&byte| byte != 0) {
            return Ok(true);
        }
        if self.fill()? {
            self.read_exact(block)?;
            if block.iter().any(|&byte| byte != 0) {
                return Err(invalid("a lone zero block stands between two entries of the tar"));
            }
        }
        Ok(false)
    }

    fn entry(&mut self, header: &Header<'_>, extensions: Extensions) -> Fallible<Entry> {
        let Extensions { pax, path, link } = extensions;
        let pax = pax.unwrap_or_default();
        if self.rules == Rules::Layer
            && ((path.is_some() && pax.path.is_some()) || (link.is_some() && pax.link.is_some()))
        {
            return Err(invalid("an entry of the tar has both a GNU and a PAX long name"));
        }
        // GNU tar skips as many bytes as a PAX record says, others none.
        if self.rules == Rules::Layer && header.flag() == b'1' && pax.size.is_some_and(|size| size > 0) {
            return Err(invalid("a hard link of the tar claims content in a PAX record"));
        }
        let written = pax.path.or(path).unwrap_or_else(|| header.path());
        let kind = kind(header.flag(), &written, self.rules)?;
        let mtime = match pax.mtime.or(self.global.mtime) {
            Some(time) => time,
            None => Time { seconds: header.mtime()?, nanos: 0 },
        };
        let mut entry = Entry::new(kind, pax.sparse.name().map_or(written, <[u8]>::to_vec));
        entry.mode = header.mode()?;
        entry.uid = owner(pax.uid.or(self.global.uid).map_or_else(|| header.uid(), Ok)?)?;
        entry.gid = owner(pax.gid.or(self.global.gid).map_or_else(|| header.gid(), Ok)?)?;
        entry.size = content(kind, pax.size.map_or_else(|| header.size(), Ok)?, self.rules)?;
        entry.mtime = mtime;
        if matches!(kind, Kind::Hardlink | Kind::Symlink) {
            entry.link = pax.link.or(link).unwrap_or_else(|| header.link());
        }
        if matches!(kind, Kind::Character | Kind::Block) {
            entry.device = device(header.device()?)?;
        }
        entry.xattrs = pax.xattrs;
        entry.sparse = self.sparse(header, &pax.sparse, &mut entry.size)?;
        Ok(entry)
    }

    /// Reads the map of a sparse file and starts the content of the entry; `stored` shrinks by a map that lies in it.
    fn sparse(&mut self, header: &Header<'_>, records: &sparse::Records, stored: &mut u64) -> Fallible<Option<Sparse>> {
        let old = header.flag() == b'S';
        if self.rules == Rules::Layer && (old || !records.is_empty()) {
            return Err(invalid("the tar holds a GNU sparse file, which only GNU tar can read"));
        }
        if old {
            let (real, mut map, mut more) = header.sparse()?;
            while more {
                let mut block = [0; BLOCK];
                self.read_exact(&mut block)?;
                more = sparse::extend(&mut map, &block)?;
            }
            (self.body, self.padding) = (*stored, padding(*stored));
            return Sparse::new(real, map, *stored).map(Some);
        }
        (self.body, self.padding) = (*stored, padding(*stored));
        if !records.has_map_in_content() {
            return records.sparse(*stored);
        }
        let map = self.leading_map()?;
        *stored = self.body;
        Sparse::new(records.real_size()?, map, *stored).map(Some)
    }

    /// The map in front of the content: decimal numbers, a line each, in whole blocks.
    fn leading_map(&mut self) -> Fallible<sparse::Map> {
        let mut text = sparse::MapText::default();
        loop {
            let Some(left) = self.body.checked_sub(BLOCK as u64) else { return Err(truncated()) };
            let mut block = [0; BLOCK];
            self.read_exact(&mut block)?;
            self.body = left;
            if text.add(&block)? {
                return Ok(text.map);
            }
        }
    }

    fn skip_label(&mut self, header: &Header<'_>) -> Fallible<u64> {
        self.extension(header).map(|label| label.len() as u64)
    }

    fn extension(&mut self, header: &Header<'_>) -> Fallible<Vec<u8>> {
        let size = header.size()?;
        if size > EXTENSION_MAX {
            return Err(invalid(format!("an extended header of {size} bytes; at most {EXTENSION_MAX} are allowed")));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        self.read_exact(&mut bytes)?;
        self.padding = padding(size);
        Ok(bytes)
    }

    fn long_name(&mut self, header: &Header<'_>) -> Fallible<Vec<u8>> {
        let mut name = self.extension(header)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        if name.is_empty() || name.contains(&0) { Err(invalid("a GNU long name is malformed")) } else { Ok(name) }
    }

    fn read_exact(&mut self, mut target: &mut [u8]) -> Fallible<()> {
        while !target.is_empty() {
            if !self.fill()? {
                return Err(truncated());
            }
            let ready = self.chunk.get(self.at..).unwrap_or_default();
            let count = ready.len().min(target.len());
            let (head, tail) = target.split_at_mut(count);
            head.copy_from_slice(ready.get(..count).unwrap_or_default());
            self.at += count;
            target = tail;
        }
        Ok(())
    }

    fn skip_padding(&mut self) -> Fallible<()> {
        while self.padding > 0 {
            if !self.fill()? {
                return Err(truncated());
            }
            let count = self.padding.min(self.chunk.len() - self.at);
            self.at += count;
            self.padding -= count;
        }
        Ok(())
    }

    /// Makes at least one byte ready. False at the end of the source.
    fn fill(&mut self) -> Fallible<bool> {
        while self.at >= self.chunk.len() {
            match self.source.next_chunk()? {
                Some(chunk) => (self.chunk, self.at) = (chunk, 0),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.path.is_none() && self.link.is_none()
    }
}

fn once<T>(known: bool, value: T) -> Fallible<Option<T>> {
    if known { Err(invalid("two extended headers of one type for one entry of the tar")) } else { Ok(Some(value)) }
}

fn kind(flag: u8, path: &[u8], rules: Rules) -> Fallible<Kind> {
    let slash = path.ends_with(b"/");
    match flag {
        0 if slash => Ok(Kind::Directory),
        b'0' | b'7' if slash && rules == Rules::Archive => Ok(Kind::Directory),
        b'0' | b'7' if slash => Err(invalid("a file of the tar has a name that ends with a slash")),
        0 | b'0' | b'7' => Ok(Kind::Regular),
        b'1' => Ok(Kind::Hardlink),
        b'2' => Ok(Kind::Symlink),
        b'3' => Ok(Kind::Character),
        b'4' => Ok(Kind::Block),
        b'5' => Ok(Kind::Directory),
        b'6' => Ok(Kind::Fifo),
        // The map of a sparse file is read, or refused, with its content.
        b'S' => Ok(Kind::Regular),
        other => Err(invalid(format!("an entry of the tar has the unknown type {:?}", char::from(other)))),
    }
}

/// Bytes that follow the header.
fn content(kind: Kind, size: u64, rules: Rules) -> Fallible<u64> {
    match kind {
        Kind::Regular => Ok(size),
        // Old writers repeat the size of the file here; no reader expects bytes.
        Kind::Hardlink => Ok(0),
        _ if size == 0 || rules == Rules::Archive => Ok(0),
        _ => Err(invalid(format!("an entry that is no file claims {size} bytes of content"))),
    }
}

/// `u32::MAX` is how the kernel spells "no id", so it is no owner.
fn owner(id: i64) -> Fallible<u32> {
    match u32::try_from(id) {
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(invalid(format!("the owner or group {id} of an entry is no id"))),
    }
}

fn device((major, minor): (i64, i64)) -> Fallible<(u32, u32)> {
    match (u32::try_from(major), u32::try_from(minor)) {
        // The kernel has 12 bits for the major and 20 for the minor number.
        (Ok(major), Ok(minor)) if major < 1 << 12 && minor < 1 << 20 => Ok((major, minor)),
        _ => Err(invalid(format!("the device number {major}:{minor} of an entry is out of range"))),
    }
}

fn truncated() -> Failure {
    Failure::user("ERR_LAYER_TRUNCATED", "the tar ends in the middle of an entry")
}
