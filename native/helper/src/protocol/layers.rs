//! What requests say about layers and exports.

use super::given;
use serde::{Deserialize, Serialize};

/// How a layer blob is stored.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum LayerFormat {
    /// Plain tar.
    None,
    /// gzip, any number of members.
    Gzip,
    /// zstd.
    Zstd,
}

/// What a layer can be written as. Each is read as one of [`LayerFormat`].
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum CompressionFormat {
    /// Plain tar.
    None,
    /// One gzip member.
    Gzip,
    /// One zstd frame.
    Zstd,
    /// gzip whose files can be read one by one, with a table of contents.
    Estargz,
}

/// How to compress a layer.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Compression {
    /// The format.
    pub(crate) format: CompressionFormat,
    /// 0–9 for gzip and estargz, 0–22 for zstd; ignored for plain tar.
    pub(crate) level: u32,
}

/// What a tree is written as. The bytes depend on the tree and on this value alone, never on the machine.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LayerForm {
    /// How to compress it.
    pub(crate) compression: Compression,
    /// Times after this one (Unix seconds), and those with a fraction of a second, are written as this one.
    #[serde(deserialize_with = "given")]
    pub(crate) clamp_mtime: Option<i64>,
}

/// Limits of `apply`, against decompression bombs.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ApplyLimits {
    /// Unpacked bytes.
    pub(crate) max_bytes: u64,
    /// Entries.
    pub(crate) max_entries: u64,
    /// Unpacked bytes for each stored byte, looked at beyond 1 GiB.
    pub(crate) max_ratio: u32,
}

/// Where `export` writes.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum ExportDest {
    /// A directory of the host, made if missing; existing files of the same name are replaced.
    #[serde(rename_all = "camelCase")]
    Directory {
        /// Absolute path.
        path: String,
    },
    /// A tar stream on fd 3.
    #[serde(rename_all = "camelCase")]
    Tar {},
}

/// A piece of what `concat` writes.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Part {
    /// Bytes of the request.
    #[serde(rename_all = "camelCase")]
    Inline {
        /// As base64; at most 64 KiB.
        data: String,
    },
    /// A regular file, whole.
    #[serde(rename_all = "camelCase")]
    File {
        /// Absolute path; a symbolic link is not followed.
        path: String,
        /// How long it must be.
        size_bytes: u64,
        /// The digest that it must have; not looked at without it.
        #[serde(deserialize_with = "given")]
        digest: Option<String>,
    },
}
