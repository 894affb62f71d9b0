//! What requests say about file trees.

use super::given;
use serde::{Deserialize, Serialize};

/// A snapshot as overlayfs wants it.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Root {
    /// Lower directories, topmost first. May be empty (`FROM scratch`).
    pub(crate) lower: Vec<String>,
    /// Where changes go; without it the snapshot is a read-only view.
    #[serde(deserialize_with = "given")]
    pub(crate) upper: Option<String>,
    /// overlayfs's own work directory, on the same file system as `upper`.
    #[serde(deserialize_with = "given")]
    pub(crate) work: Option<String>,
}

/// Where files are read from.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Tree {
    /// A directory of the host: owners read as 0:0.
    #[serde(rename_all = "camelCase")]
    Directory {
        /// Absolute path.
        path: String,
        /// `.dockerignore` patterns, each already trimmed; a leading `!` re-includes.
        ignore: Vec<String>,
        /// A file this helper keeps: digests by stat fingerprint, so that unchanged files are not read again.
        #[serde(deserialize_with = "given")]
        fingerprints: Option<String>,
        /// The umask under which the directory was checked out, where the caller knows it: a mode that is exactly what this
        /// umask makes of 0666 or 0777 reads as what 022 makes of it. docs/adr/0021
        #[serde(deserialize_with = "given")]
        checkout_umask: Option<u32>,
    },
    /// The file system of a stage or image: owners are kept.
    #[serde(rename_all = "camelCase")]
    Snapshot {
        /// Read-only view.
        root: Root,
    },
}

/// What one COPY or ADD reads.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Selection {
    /// The sources as written, after expansion, in order. `*`, `?`, `[…]` and `\` are `filepath.Match` wildcards.
    pub(crate) sources: Vec<String>,
    /// `--exclude` patterns, relative to each copied root.
    pub(crate) exclude: Vec<String>,
    /// `--parents`.
    pub(crate) parents: bool,
    /// What makes no difference to the digest, because the copy has its own.
    pub(crate) uncounted: Vec<Uncounted>,
}

/// See [`Selection::uncounted`].
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Uncounted {
    /// Modes: an octal `--chmod` is given.
    Mode,
    /// Owners: `--chown` is given.
    Owner,
}

/// One change of a snapshot.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum FileAction {
    /// COPY and ADD.
    #[serde(rename_all = "camelCase")]
    Copy {
        /// Read from here.
        from: Tree,
        /// These.
        selection: Selection,
        /// Absolute path in the snapshot; a trailing slash says directory.
        dest: String,
        /// `--chown`: `user[:group]`, names looked up in the snapshot.
        #[serde(deserialize_with = "given")]
        chown: Option<String>,
        /// `--chmod`: octal digits or a symbolic mode.
        #[serde(deserialize_with = "given")]
        chmod: Option<String>,
        /// The digest `scan` gave for this selection; other content is refused with `ERR_CONTEXT_CHANGED`.
        #[serde(deserialize_with = "given")]
        expect: Option<String>,
        /// ADD: unpack sources that are tar archives.
        unpack: bool,
    },
    /// WORKDIR: makes a directory and its parents; an existing one is left as it is.
    #[serde(rename_all = "camelCase")]
    Mkdir {
        /// Absolute path in the snapshot.
        path: String,
        /// Permission bits.
        mode: u32,
        /// Owner as in `chown`.
        #[serde(deserialize_with = "given")]
        owner: Option<String>,
        /// Unix seconds; now without it.
        #[serde(deserialize_with = "given")]
        mtime: Option<i64>,
    },
    /// COPY of a heredoc: a file `name` of mode 0644, put at `dest` as a copied file is.
    #[serde(rename_all = "camelCase")]
    Mkfile {
        /// The name that it gets in a directory.
        name: String,
        /// Absolute path in the snapshot; a trailing slash says directory.
        dest: String,
        /// The bytes, base64.
        data: String,
        /// Owner as in `chown`.
        #[serde(deserialize_with = "given")]
        owner: Option<String>,
        /// `--chmod`.
        #[serde(deserialize_with = "given")]
        chmod: Option<String>,
        /// Unix seconds; now without it.
        #[serde(deserialize_with = "given")]
        mtime: Option<i64>,
    },
}
