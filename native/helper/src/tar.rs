//! A strict tar codec: ustar, PAX and the GNU long-name entries, by bytes.
//!
//! For layers the reader follows one rule: where readers in the field disagree about an archive, it refuses the archive.
//! So the tree that this program sees is the tree that every other tool sees. An archive of ADD is read as GNU tar reads
//! it, sparse files too. Names and extended attributes are bytes.

pub(crate) mod header;
pub(crate) mod pax;
pub(crate) mod reader;
pub(crate) mod sparse;
pub(crate) mod writer;

/// Everything in a tar starts at a multiple of this.
pub(crate) const BLOCK: usize = 512;

/// [`BLOCK`] for sums of positions.
pub(crate) const BLOCK_BYTES: u64 = 512;

/// Bytes that the files of one archive may have, holes included. It is what the control plane lets `apply` unpack: a larger
/// layer could be written here, and pushed, but no machine of ours would take it again. Compressing as many zeros takes
/// minutes; without a limit one sparse file, which costs a step nothing, takes hours.
pub(crate) const CONTENT_MAX: u64 = 64 << 30;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file; its bytes follow.
    Regular,
    /// Another name of an earlier entry.
    Hardlink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// A point in time, nanoseconds always counting up from the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Time {
    /// Since 1970, may be negative.
    pub(crate) seconds: i64,
    /// 0 to 999,999,999.
    pub(crate) nanos: u32,
}

/// One entry, with every extension applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As written, not yet checked for `..`.
    pub(crate) path: Vec<u8>,
    /// What it is.
    pub(crate) kind: Kind,
    /// The permission bits, 07777.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Bytes that follow; 0 for everything but files.
    pub(crate) size: u64,
    /// Last change.
    pub(crate) mtime: Time,
    /// Target of a symbolic or hard link; empty otherwise.
    pub(crate) link: Vec<u8>,
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    /// Extended attributes, name and value.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the bytes that follow belong in a file with holes.
    pub(crate) sparse: Option<sparse::Sparse>,
}

impl Entry {
    /// An entry of this kind and name with everything else zero.
    pub(crate) fn new(kind: Kind, path: Vec<u8>) -> Self {
        Self {
            path,
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: Time::default(),
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        }
    }
}

/// The bytes that fill the last block of `size` bytes of content.
pub(crate) fn padding(size: u64) -> usize {
    usize::try_from((BLOCK_BYTES - size % BLOCK_BYTES) % BLOCK_BYTES).unwrap_or(0)
}
