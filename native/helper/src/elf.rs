//! Sections of ELF files, found by name. The files are untrusted: every offset is checked, and what makes no sense has no sections.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// More sections than this have only files that were made to have them.
const MAX_SECTIONS: u64 = 16_384;
/// And so for the names of all of them together.
const MAX_NAMES: u64 = 4 << 20;

/// A section and where its bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// The place of its name in the list that was asked for.
    pub(crate) wanted: usize,
    /// In the file.
    pub(crate) offset: u64,
    /// In bytes.
    pub(crate) size: u64,
}

/// How the numbers of a file are written.
#[derive(Clone, Copy)]
struct Layout {
    wide: bool,
    little: bool,
}

impl Layout {
    fn number(self, bytes: &[u8], at: usize, length: usize) -> Option<u64> {
        let field = bytes.get(at..at.checked_add(length)?)?;
        let add = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Some(if self.little { field.iter().rev().fold(0, add) } else { field.iter().fold(0, add) })
    }

    /// A field that has one place in a file of 32 bits and another in one of 64.
    fn field(self, bytes: &[u8], narrow: (usize, usize), wide: (usize, usize)) -> Option<u64> {
        let (at, length) = if self.wide { wide } else { narrow };
        self.number(bytes, at, length)
    }
}

/// Finds the sections that have one of these names. Empty for what is no ELF file or a damaged one.
pub(crate) fn sections(file: &File, names: &[String]) -> io::Result<Vec<Section>> {
    let mut head = [0_u8; 64];
    let read = read_at(file, &mut head, 0)?;
    let head = head.get(..read).unwrap_or_default();
    if !head.starts_with(b"\x7fELF") {
        return Ok(Vec::new());
    }
    find(file, head, names).map(Option::unwrap_or_default)
}

fn find(file: &File, head: &[u8], names: &[String]) -> io::Result<Option<Vec<Section>>> {
    let layout = match (head.get(4), head.get(5)) {
        (Some(class @ (1 | 2)), Some(order @ (1 | 2))) => Layout { wide: *class == 2, little: *order == 1 },
        _ => return Ok(None),
    };
    let header = || {
        let table = layout.field(head, (0x20, 4), (0x28, 8))?;
        let size = layout.field(head, (0x2e, 2), (0x3a, 2))?;
        let count = layout.field(head, (0x30, 2), (0x3c, 2))?;
        let names = layout.field(head, (0x32, 2), (0x3e, 2))?;
        Some((table, size, count, names))
    };
    let Some((table, entry_size, count, names_index)) = header() else { return Ok(None) };
    let least = if layout.wide { 64 } else { 40 };
    if entry_size < least || count > MAX_SECTIONS || names_index >= count {
        return Ok(None);
    }
    let Some(headers) = part(file, table, entry_size * count)? else { return Ok(None) };
    let entry_size = usize::try_from(entry_size).unwrap_or(usize::MAX);
    let entries: Vec<&[u8]> = headers.chunks_exact(entry_size).collect();
    let place =
        |entry: &[u8]| Some((layout.field(entry, (0x10, 4), (0x18, 8))?, layout.field(entry, (0x14, 4), (0x20, 8))?));
    let strings = usize::try_from(names_index).ok().and_then(|at| entries.get(at)).and_then(|entry| place(entry));
    let Some((offset, size)) = strings.filter(|(_, size)| *size <= MAX_NAMES) else { return Ok(None) };
    let Some(strings) = part(file, offset, size)? else { return Ok(None) };
    let mut found = Vec::new();
    for entry in entries {
        let name = layout.number(entry, 0, 4).and_then(|at| strings.get(usize::try_from(at).ok()?..));
        let name = name.and_then(|rest| rest.split(|byte| *byte == 0).next());
        let wanted = name.and_then(|name| names.iter().position(|wanted| wanted.as_bytes() == name));
        // A section of type 8 has no bytes in the file.
        let holds = layout.number(entry, 4, 4).is_some_and(|kind| kind != 8);
        if let (Some(wanted), true, Some((offset, size))) = (wanted, holds, place(entry)) {
            found.push(Section { wanted, offset, size });
        }
    }
    Ok(Some(found))
}

/// Bytes of a file that must all be there.
pub(crate) fn part(file: &File, offset: u64, size: u64) -> io::Result<Option<Vec<u8>>> {
    let end = offset.checked_add(size);
    let (Some(end), Ok(length)) = (end, usize::try_from(size)) else { return Ok(None) };
    if end > file.metadata()?.len() {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    Ok((read_at(file, &mut bytes, offset)? == length).then_some(bytes))
}

fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn put(bytes: &mut [u8], at: usize, value: u64, length: usize) {
        bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
    }

    /// A 64-bit file with the sections `.shstrtab` and `.dep-v0`, whose bytes are `hello`.
    fn sample() -> Vec<u8> {
        let strings = b"\0.shstrtab\0.dep-v0\0";
        let mut bytes = vec![0_u8; 64 + 3 * 64 + strings.len() + 5];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        put(&mut bytes, 0x28, 64, 8);
        put(&mut bytes, 0x3a, 64, 2);
        put(&mut bytes, 0x3c, 3, 2);
        put(&mut bytes, 0x3e, 1, 2);
        let at = 64 + 3 * 64;
        for (index, name, offset, size) in [(1, 1, at, strings.len()), (2, 11, at + strings.len(), 5)] {
            let entry = 64 + index * 64;
            put(&mut bytes, entry, name, 4);
            put(&mut bytes, entry + 4, 1, 4);
            put(&mut bytes, entry + 0x18, offset as u64, 8);
            put(&mut bytes, entry + 0x20, size as u64, 8);
        }
        bytes[at..at + strings.len()].copy_from_slice(strings);
        bytes[at + strings.len()..].copy_from_slice(b"hello");
        bytes
    }

    #[test]
    fn sections_finds_a_section_by_its_name() {
        let file = file_of(&sample());
        let names = [".other".to_owned(), ".dep-v0".to_owned()];
        let found = sections(&file, &names).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].wanted, 1);
        assert_eq!(part(&file, found[0].offset, found[0].size).unwrap().unwrap(), b"hello");
        assert_eq!(sections(&file, &names[..1]).unwrap(), []);
    }

    #[test]
    fn sections_of_damaged_files_never_fail() {
        let names = [".dep-v0".to_owned()];
        let sample = sample();
        for end in 0..sample.len() {
            sections(&file_of(&sample[..end]), &names).unwrap();
        }
        for at in 0..sample.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut damaged = sample.clone();
                damaged[at] = byte;
                let file = file_of(&damaged);
                for section in sections(&file, &names).unwrap() {
                    part(&file, section.offset, section.size).unwrap();
                }
            }
        }
    }

    #[test]
    fn sections_of_a_program_of_this_machine_are_found() {
        let file = File::open("/proc/self/exe").unwrap();
        assert_eq!(sections(&file, &[".text".to_owned()]).unwrap().len(), 1);
    }
}
