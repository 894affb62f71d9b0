//! `export` to a tar stream.

use crate::compress::{Sink, threads};
use crate::diff::walk::{View, Walker};
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::protocol::{Compression, CompressionFormat, Outcome, Root};
use rustix::fs::{Mode, OFlags};

/// Writes the whole file system of a snapshot to fd 3 as plain tar, with the rules of `diff`.
pub(crate) fn export_tar(root: &Root, marks: Marks) -> Fallible<Outcome> {
    // First, so that fd 3 cannot be a descriptor of our own.
    let out = crate::sys::layers::bulk()?;
    overlay::enter_mount_namespace()?;
    let mount = overlay::mount(root, marks)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let tree = rustix::fs::openat(&mount, ".", flags, Mode::empty())
        .map_err(|errno| Failure::syscall("openat(snapshot, \".\", O_DIRECTORY)", errno))?;
    let sink = Sink::new(out, Compression { format: CompressionFormat::None, level: 0 }, threads())?;
    let (_, count) = Walker::new(tree, sink, View::Merged, None)?.run()?;
    Ok(Outcome::Export { files: count.files, bytes: count.bytes })
}
