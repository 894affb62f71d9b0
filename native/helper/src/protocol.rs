//! The messages between TypeScript and this program.
//!
//! One [`Envelope`] arrives on standard input, ended by end-of-file. [`Reply`] lines leave on standard output; the last
//! one is `result`, or `durable` where a [`Finish`] was asked for, or `error`. The TypeScript twin is
//! `libs/native/src/protocol.ts`; `test/protocol/*.json` holds one golden file per message and both sides' tests read
//! all of them.

mod files;
mod layers;
mod reply;
mod run;
mod session;

pub(crate) use files::{FileAction, Root, Selection, Tree, Uncounted};
pub(crate) use layers::{ApplyLimits, Compression, CompressionFormat, ExportDest, LayerForm, LayerFormat, Part};
pub(crate) use reply::{
    ErrorKind, Exceeded, FoundFile, FoundSection, Interpreter, LimitOwner, Missing, MissingSource, Outcome, Reply,
    Resource, Selected, SubordinateRange, Unlimited,
};
pub(crate) use run::{Finish, Mount, Network, Run, Security, Ulimit};
pub(crate) use session::{Limits, NetworkTool, Port, PortProtocol, Session, SessionCgroup, SessionNetwork};

use serde::{Deserialize, Deserializer, Serialize};

/// The version of every message below. A request of another version is refused.
pub(crate) const PROTOCOL: u32 = 1;

/// What arrives on standard input.
#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Envelope {
    /// Must equal [`PROTOCOL`].
    pub(crate) protocol: u32,
    /// When given, the helper enters a new user namespace with these maps before it does anything else.
    #[serde(deserialize_with = "given")]
    pub(crate) id_map: Option<IdMap>,
    /// Whether fd 8 is a user namespace that the helper enters first, that of a session; not together with `idMap`.
    pub(crate) join_user_namespace: bool,
    /// What to do.
    pub(crate) request: Request,
}

impl Envelope {
    /// Reads a message.
    ///
    /// # Errors
    /// Everything that the types do not allow, and a tag that is no text: serde takes the number of a variant for its
    /// name, and a number that means something else one version later must not be a request.
    pub(crate) fn read(text: &str) -> Result<Self, serde_json::Error> {
        let envelope = serde_json::from_str(text)?;
        if tags_are_text(&serde_json::from_str(text)?) {
            return Ok(envelope);
        }
        Err(serde::de::Error::custom("an \"op\" or \"kind\" is no text"))
    }
}

fn tags_are_text(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Object(members) => members.iter().all(|(name, member)| {
            (member.is_string() || !matches!(name.as_str(), "op" | "kind")) && tags_are_text(member)
        }),
        Value::Array(items) => items.iter().all(tags_are_text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// The id maps of a user namespace.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct IdMap {
    /// User ids.
    pub(crate) uids: Vec<IdRange>,
    /// Group ids.
    pub(crate) gids: Vec<IdRange>,
}

/// `length` ids from `outside` on in the parent namespace appear as `inside` and up.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct IdRange {
    /// First id inside the namespace.
    pub(crate) inside: u32,
    /// First id outside of it.
    pub(crate) outside: u32,
    /// How many.
    pub(crate) length: u32,
}

/// A request. Unknown operations and unknown fields are refused.
#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(tag = "op", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Request {
    /// Reports what this kernel and this user can do.
    #[serde(rename_all = "camelCase")]
    Probe {},
    /// Digests selections of a tree. With `manifest`, fd 3 receives the preimage of every digest.
    #[serde(rename_all = "camelCase")]
    Scan {
        /// The tree that is read.
        tree: Tree,
        /// What to digest; the reply keeps this order.
        selections: Vec<Selection>,
        /// Whether fd 3 is open for the manifests.
        manifest: bool,
    },
    /// Changes a snapshot: directories, small files, copies from other trees. Actions run in order.
    #[serde(rename_all = "camelCase")]
    Copy {
        /// The snapshot; `upper` must be given.
        root: Root,
        /// Where the names of owners are looked up; without it, in `root`.
        #[serde(deserialize_with = "given")]
        owners: Option<Root>,
        /// What to do in it.
        actions: Vec<FileAction>,
        /// What follows the result.
        #[serde(deserialize_with = "given")]
        finish: Option<Finish>,
    },
    /// Reads small files, symlinks followed inside of the tree.
    #[serde(rename_all = "camelCase")]
    Read {
        /// Where they are.
        tree: Tree,
        /// Paths from its root.
        paths: Vec<String>,
        /// A larger file is refused with `ERR_SIZE_MISMATCH`.
        max_bytes: u64,
    },
    /// Lists files by their names and sections of executables, symlinks not followed.
    #[serde(rename_all = "camelCase")]
    Find {
        /// Where they are.
        tree: Tree,
        /// Of paths from its root, as in a `.dockerignore`.
        patterns: Vec<String>,
        /// Names of sections of ELF files that are executable; empty looks into no file.
        sections: Vec<String>,
        /// How many are listed at most.
        max_files: u64,
        /// Bytes of all sections together.
        max_section_bytes: u64,
    },
    /// Unpacks one layer from fd 3 into `target` and verifies it on the way.
    #[serde(rename_all = "camelCase")]
    Apply {
        /// An empty directory that becomes the layer's tree in overlayfs form.
        target: String,
        /// The trees below, topmost first: implied parent directories take their metadata from there.
        lower: Vec<String>,
        /// How fd 3 is compressed.
        compression: LayerFormat,
        /// The digest that the bytes of fd 3 must have.
        digest: String,
        /// Their number.
        size_bytes: u64,
        /// The digest that the unpacked tar must have, where it is known.
        #[serde(deserialize_with = "given")]
        diff_id: Option<String>,
        /// Refuses larger layers.
        limits: ApplyLimits,
        /// What follows the result, without a layer: that is what was read.
        #[serde(deserialize_with = "given")]
        finish: Option<Finish>,
    },
    /// Writes the tree of one layer to fd 3 as a deterministic layer.
    #[serde(rename_all = "camelCase")]
    Diff {
        /// The layer's tree in overlayfs form.
        upper: String,
        /// What it is written as.
        form: LayerForm,
    },
    /// Reads a layer from fd 3, verifies it as `apply` does and writes it to fd 4 in another compression. The tar stays the
    /// same, byte for byte, except for estargz, which is written entry by entry.
    #[serde(rename_all = "camelCase")]
    Convert {
        /// How fd 3 is compressed.
        from: LayerFormat,
        /// The digest that the bytes of fd 3 must have.
        digest: String,
        /// Their number.
        size_bytes: u64,
        /// The digest that the unpacked tar must have, where it is known.
        #[serde(deserialize_with = "given")]
        diff_id: Option<String>,
        /// How to compress fd 4.
        to: Compression,
        /// Refuses larger layers.
        limits: ApplyLimits,
    },
    /// Writes the parts to fd 3, one after the other.
    #[serde(rename_all = "camelCase")]
    Concat {
        /// In their order.
        parts: Vec<Part>,
    },
    /// Makes one tree that, as a lower layer, means the same as a run of trees.
    #[serde(rename_all = "camelCase")]
    Merge {
        /// The run, topmost first: trees in overlayfs form that never change, on the file system of `target`.
        lower: Vec<String>,
        /// An empty directory that becomes the tree.
        target: String,
    },
    /// Writes the whole file system of a snapshot to a directory or, as tar, to fd 3.
    #[serde(rename_all = "camelCase")]
    Export {
        /// The snapshot, read only.
        root: Root,
        /// Where to.
        dest: ExportDest,
    },
    /// Runs one process in a snapshot and waits for it. fd 3 and 4 receive its output and error output and are closed
    /// before the result is reported; with `stdin`, fd 5 is its input. fd 7 is the network namespace of [`Network::Session`].
    #[serde(rename_all = "camelCase")]
    Run(Box<Run>),
    /// Makes what the runs of one build share, says so by [`Reply::Session`] and, with a network, [`Reply::Connected`],
    /// and holds it until SIGTERM or the parent's death. Then it ends what is left in its cgroups and removes them.
    #[serde(rename_all = "camelCase")]
    Session(Box<Session>),
    /// Digests the trees of committed layers, each in overlayfs form.
    #[serde(rename_all = "camelCase")]
    Content {
        /// Absolute paths.
        trees: Vec<String>,
    },
    /// Makes everything written below these paths durable (one `syncfs` for each).
    #[serde(rename_all = "camelCase")]
    Sync {
        /// Directories.
        paths: Vec<String>,
    },
    /// Deletes trees. What is missing already is no error.
    #[serde(rename_all = "camelCase")]
    Remove {
        /// Absolute paths.
        paths: Vec<String>,
    },
    /// Sizes of trees.
    #[serde(rename_all = "camelCase")]
    Usage {
        /// Absolute paths.
        paths: Vec<String>,
    },
}

/// Reads a member that may be `null` and may not be left out: serde lets an `Option` be missing by default.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
#[path = "protocol_tests.rs"]
mod tests;
