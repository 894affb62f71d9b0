//! Tells archives by their content, as ADD does; the name says nothing.

use crate::error::{Failure, Fallible};
use crate::scan::{open_dir, open_file};
use crate::select::{Kind, Opened, Selected, join, read_failure};
use rustix::fd::OwnedFd;
use std::fs::File;
use std::io::Read;

const BLOCK: usize = 512;

/// Refuses archives: ADD would unpack them, and that is not there yet. Copying one as a file would be wrong silently.
///
/// # Errors
/// `ERR_UNSUPPORTED`.
pub(super) fn refuse(tree: &Opened, selected: &Selected) -> Fallible<()> {
    for source in selected.sources.iter().filter(|source| source.basename.is_some()) {
        for dir in &source.walked.dirs {
            for node in dir.nodes.iter().filter(|node| node.meta.kind == Kind::File) {
                let path = join(&dir.path, &node.name);
                let (file, _) = open_file(tree, &open_dir(tree, &dir.path)?, &node.name, &path)?;
                if is_archive(file, &path)? {
                    let name = String::from_utf8_lossy(&path);
                    let advice = "extract it in a RUN step, or copy it as it is with --unpack=false or COPY";
                    return Err(Failure::user(
                        "ERR_UNSUPPORTED",
                        format!("ADD of archives is not supported yet: {name:?} is one; {advice}"),
                    ));
                }
            }
        }
    }
    Ok(())
}

fn is_archive(file: OwnedFd, path: &[u8]) -> Fallible<bool> {
    let mut file = File::from(file);
    let mut head = Vec::new();
    // Enough compressed bytes for the first header of any tar.
    let read = file.by_ref().take(64 * 1024).read_to_end(&mut head);
    read.map_err(|error| {
        let errno = rustix::io::Errno::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EIO));
        read_failure("read", path, errno)
    })?;
    Ok(holds_tar(&head))
}

/// Whether a file that begins so is a tar, plain or compressed. bzip2 and xz are taken for one: there is no decoder
/// here that could tell.
fn holds_tar(head: &[u8]) -> bool {
    if head.starts_with(&[0x1f, 0x8b]) {
        return is_header(&first_block(flate2::read::MultiGzDecoder::new(head)));
    }
    if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return zstd::stream::read::Decoder::new(head).is_ok_and(|decoder| is_header(&first_block(decoder)));
    }
    head.starts_with(b"BZh") || head.starts_with(b"\xfd7zXZ\0") || is_header(head)
}

fn first_block(reader: impl Read) -> Vec<u8> {
    let mut block = Vec::new();
    // A stream that ends early has given what there is.
    let _ = reader.take(BLOCK as u64).read_to_end(&mut block);
    block
}

/// Whether bytes begin with a tar header: its checksum is right.
fn is_header(bytes: &[u8]) -> bool {
    let Some(block) = bytes.get(..BLOCK) else { return false };
    let Some(stored) = block.get(148..156) else { return false };
    let text: String = stored.iter().map(|&byte| char::from(byte)).collect();
    let text = text.trim_matches(|found: char| found == ' ' || found == '\0');
    let Ok(stored) = i64::from_str_radix(text, 8) else { return false };
    let counted = |(at, &byte): (usize, &u8)| if (148..156).contains(&at) { b' ' } else { byte };
    let unsigned: i64 = block.iter().enumerate().map(|pair| i64::from(counted(pair))).sum();
    // Some old programs summed signed bytes.
    let signed: i64 = block.iter().enumerate().map(|pair| i64::from(counted(pair).cast_signed())).sum();
    stored == unsigned || stored == signed
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::io::Write;

    fn tar() -> Vec<u8> {
        let mut block = vec![0_u8; BLOCK];
        block[..4].copy_from_slice(b"name");
        block[100..107].copy_from_slice(b"0000644");
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn holds_tar_tells_archives_by_content() {
        assert!(holds_tar(&tar()));
        assert!(holds_tar(&gzip(&tar())));
        assert!(holds_tar(&zstd::encode_all(&*tar(), 1).unwrap()));
        assert!(holds_tar(b"BZh91AY&SY"));
        assert!(holds_tar(b"\xfd7zXZ\0\0"));
        for other in [b"hello".to_vec(), gzip(b"hello"), vec![0; 1024], Vec::new(), gzip(&[0; 1024])] {
            assert!(!holds_tar(&other));
        }
        let mut wrong = tar();
        wrong[0] ^= 1;
        assert!(!holds_tar(&wrong));
    }
}
