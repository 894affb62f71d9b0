//! `convert`: writes a layer in another compression, verified on the way.

use crate::apply::Stored;
use crate::apply::source::Source;
use crate::compress::{Sink, threads};
use crate::error::{Failure, Fallible};
use crate::progress::Progress;
use crate::protocol::{Compression, CompressionFormat, Outcome};
use crate::sys::process;
use crate::tar::padding;
use crate::tar::reader::{Chunks as _, Reader, Rules};

/// Where the converted layer goes.
const OUT_FD: i32 = 4;

/// Reads fd 3 and writes fd 4. What fd 4 has got when this fails is of no use.
///
/// For estargz the tar is written anew from its entries: names of users, access times and other records that no file system
/// has are lost. Any other conversion keeps it byte for byte.
///
/// # Errors
/// Those of `apply` that are about bytes: `ERR_SIZE_MISMATCH`, `ERR_DIGEST_MISMATCH`, `ERR_DIFFID_MISMATCH`,
/// `ERR_LAYER_INVALID`, `ERR_LAYER_TRUNCATED`, `ERR_LAYER_BOMB`; `ERR_LAYER_UNREPRESENTABLE` for what no estargz can hold;
/// failed calls.
pub(crate) fn convert(stored: &Stored, to: Compression) -> Fallible<Outcome> {
    // First, so that neither can be a descriptor of our own.
    let blob = crate::sys::layers::bulk()?;
    let out = process::take_passed(OUT_FD)
        .ok_or_else(|| Failure::internal("a layer is to be converted, but fd 4 is not open"))?;
    let mut sink = Sink::new(out, to, threads())?;
    let mut source = Source::start(blob, stored)?;
    let copied = match to.format {
        CompressionFormat::Estargz => entries(&mut source, &mut sink, stored.limits.max_entries),
        _ => bytes(&mut source, &mut sink),
    };
    if let Err(failure) = copied {
        return Err(source.blame(failure, stored));
    }
    source.verify(stored)?;
    let written = match to.format {
        CompressionFormat::Estargz => sink.end()?,
        _ => sink.finish()?,
    };
    Ok(Outcome::Convert {
        size_bytes: written.blob.bytes(),
        digest: written.blob.digest(),
        unpacked_bytes: written.tar.bytes(),
        diff_id: written.tar.digest(),
        toc_digest: written.toc,
    })
}

fn bytes(source: &mut Source, sink: &mut Sink) -> Fallible<()> {
    let mut progress = Progress::new();
    while let Some(piece) = source.next_chunk()? {
        sink.write(&piece)?;
        progress.add(piece.len() as u64);
    }
    Ok(())
}

fn entries(source: &mut Source, sink: &mut Sink, max_entries: u64) -> Fallible<()> {
    let mut progress = Progress::new();
    let mut reader = Reader::new(source, Rules::Layer);
    let mut entries = 0;
    while let Some(entry) = reader.next_entry()? {
        entries += 1;
        if entries > max_entries {
            return Err(Failure::user("ERR_LAYER_BOMB", format!("the layer has more than {max_entries} entries")));
        }
        if !sink.entry(&entry)? {
            continue;
        }
        while let Some(piece) = reader.next_piece()? {
            sink.write(piece)?;
        }
        sink.zeros(padding(entry.size) as u64)?;
        progress.add(entry.size);
    }
    reader.drain()
}
