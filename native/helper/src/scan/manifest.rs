//! The preimage of a content digest: text, one line for each entry.

use crate::protocol::Uncounted;
use crate::select::{Dir, Kind, Node, Source};
use std::convert::Infallible;
use std::io::Write;

/// Names the encoding; a change of it is another line.
const VERSION: &[u8] = b"tsbuild-content-v1\n";
/// SHA-256 of nothing: a socket is copied as an empty file.
const EMPTY: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// A manifest and its sums.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) text: Vec<u8>,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// Encodes a selection. Every regular file must have its digest. What is uncounted is `-`.
pub(crate) fn encode(sources: &[Source], uncounted: &[Uncounted]) -> Manifest {
    let mut manifest = Manifest { text: VERSION.to_vec(), entries: 0, bytes: 0 };
    for source in sources {
        let head: &[u8] = if source.basename.is_some() { b"source file\n" } else { b"source dir\n" };
        manifest.text.extend_from_slice(head);
        let _: Result<(), Infallible> = source.walked.visit(|path, _, node| {
            let below = node.dir.and_then(|at| source.walked.dirs.get(at));
            manifest.line(node, below, source.basename.as_deref().unwrap_or(path), uncounted);
            Ok(())
        });
    }
    manifest
}

impl Manifest {
    fn line(&mut self, node: &Node, below: Option<&Dir>, name: &[u8], uncounted: &[Uncounted]) {
        self.entries += 1;
        let meta = &node.meta;
        let letter = match meta.kind {
            Kind::File | Kind::Socket => "f",
            Kind::Dir if node.implied => "i",
            Kind::Dir => "d",
            Kind::Link => "l",
            Kind::Fifo => "p",
            Kind::Char => "c",
            Kind::Block => "b",
        };
        let text = &mut self.text;
        text.extend_from_slice(letter.as_bytes());
        let _ = match uncounted.contains(&Uncounted::Mode) {
            true => text.write_all(b" -"),
            false => write!(text, " {:04o}", meta.mode),
        };
        let _ = match uncounted.contains(&Uncounted::Owner) {
            true => text.write_all(b" -"),
            false => write!(text, " {}:{}", meta.uid, meta.gid),
        };
        match meta.kind {
            Kind::File => {
                self.bytes += meta.size;
                let sha256 = node.digest.as_ref().map_or(&EMPTY, |digest| &digest.sha256);
                let _ = write!(text, " {} {}", meta.size, hex(sha256));
            }
            Kind::Socket => drop(write!(text, " 0 {}", hex(&EMPTY))),
            Kind::Link => {
                text.push(b' ');
                escape(text, node.link.as_deref().unwrap_or_default());
            }
            Kind::Char | Kind::Block => {
                let (major, minor) = (rustix::fs::major(meta.rdev), rustix::fs::minor(meta.rdev));
                let _ = write!(text, " {major}:{minor}");
            }
            Kind::Dir | Kind::Fifo => {}
        }
        let xattrs = match (&node.digest, below) {
            (Some(digest), _) => digest.xattrs.as_slice(),
            (None, Some(dir)) => dir.xattrs.as_slice(),
            (None, None) => &[],
        };
        for (key, value) in xattrs {
            text.extend_from_slice(b" x=");
            escape(text, key);
            let _ = write!(text, "={}", hex(value));
        }
        text.extend_from_slice(b" /");
        escape(text, name);
        text.push(b'\n');
    }
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Percent-encodes what would end a field or a line, `%` itself, and what is not ASCII: no two names look the same.
pub(crate) fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        if byte < 0x21 || byte == b'%' || byte >= 0x7f {
            let _ = write!(out, "%{byte:02x}");
        } else {
            out.push(byte);
        }
    }
}
