//! The messages between TypeScript and this program.
//!
//! One [`Envelope`] arrives on standard input, ended by end-of-file. [`Reply`] lines leave on standard output; the last
//! one is `result`, or `durable` where a [`Finish`] was asked for, or `error`. The TypeScript twin is `libs/native/src/protocol.ts`; `test/protocol/*.json` holds one
//! golden file per message and both sides' tests read all of them.

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
    /// What to do.
    pub(crate) request: Request,
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
    },
    /// Writes the tree of one layer to fd 3 as a deterministic layer.
    #[serde(rename_all = "camelCase")]
    Diff {
        /// The layer's tree in overlayfs form.
        upper: String,
        /// How to compress.
        compression: Compression,
        /// Times after this one (Unix seconds) are written as this one.
        #[serde(deserialize_with = "given")]
        clamp_mtime: Option<i64>,
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
    /// before the result is reported; with `stdin`, fd 5 is its input.
    #[serde(rename_all = "camelCase")]
    Run(Box<Run>),
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

/// How to compress a layer. The bytes depend on the input and on this value alone, never on the machine.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Compression {
    /// The format.
    pub(crate) format: LayerFormat,
    /// 0–9 for gzip, 0–22 for zstd; ignored for plain tar.
    pub(crate) level: u32,
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

/// The fields of [`Request::Run`].
#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Run {
    /// The file system.
    pub(crate) root: Root,
    /// The program and its arguments, as given to `execve(2)`; the program is looked up in `PATH` of `env`.
    pub(crate) argv: Vec<String>,
    /// `NAME=value`, complete: nothing is inherited. `HOME` is added from the passwd file where missing.
    pub(crate) env: Vec<String>,
    /// Absolute; made (0755, owned by the user) where missing.
    pub(crate) cwd: String,
    /// `user[:group]`, names or numbers, looked up in the snapshot; empty is 0:0.
    pub(crate) user: String,
    /// Of the new uts namespace.
    pub(crate) hostname: String,
    /// What the process can reach.
    pub(crate) network: Network,
    /// The text of `/etc/hosts`.
    pub(crate) hosts: String,
    /// The text of `/etc/resolv.conf`.
    pub(crate) resolv_conf: String,
    /// Further mounts, parents first.
    pub(crate) mounts: Vec<Mount>,
    /// PEM certificates that the process trusts besides the image's own, for this run only.
    #[serde(deserialize_with = "given")]
    pub(crate) trust_ca: Option<String>,
    /// Whether fd 5 is the input; otherwise it reads an empty pipe.
    pub(crate) stdin: bool,
    /// cgroup v2 directories are made below this one, where given; the process tree is killed through it at the end.
    #[serde(deserialize_with = "given")]
    pub(crate) cgroup_parent: Option<String>,
    /// A name for this run, unique on the machine; used for the cgroup.
    pub(crate) id: String,
    /// What follows the result, if the exit code is 0.
    #[serde(deserialize_with = "given")]
    pub(crate) finish: Option<Finish>,
}

/// What follows the result of an operation that changed a snapshot, while others use the snapshot already: the layer
/// on fd 6, then one `syncfs`. Told by [`Reply::Layer`] and, last, [`Reply::Durable`].
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Finish {
    /// Writes the snapshot's changes to fd 6, as `diff` does.
    #[serde(deserialize_with = "given")]
    pub(crate) layer: Option<Compression>,
    /// Makes the snapshot, and fd 6 where it is on the same file system, durable.
    pub(crate) sync: bool,
}

/// What a process can reach.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Network {
    /// Its own loopback.
    None,
    /// What the host reaches.
    Host,
}

/// A mount of [`Run`].
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Mount {
    /// A directory or file of the host.
    #[serde(rename_all = "camelCase")]
    Bind {
        /// Absolute path on the host, opened without following a last symlink.
        source: String,
        /// Absolute path in the snapshot; missing mount points are made and taken away again.
        target: String,
        /// Whether the process may write.
        readonly: bool,
    },
    /// An empty tmpfs.
    #[serde(rename_all = "camelCase")]
    Tmpfs {
        /// Absolute path in the snapshot.
        target: String,
        /// Its limit.
        #[serde(deserialize_with = "given")]
        size_bytes: Option<u64>,
    },
}

/// One line of standard output.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(tag = "event", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Reply {
    /// `run`: the process exists.
    #[serde(rename_all = "camelCase")]
    Started {
        /// Its id in the host's pid namespace.
        pid: u32,
    },
    /// How far a long operation is; at most ten a second.
    #[serde(rename_all = "camelCase")]
    Progress {
        /// Bytes done.
        bytes: u64,
    },
    /// Something the user should know that does not stop the operation.
    #[serde(rename_all = "camelCase")]
    Warning {
        /// Stable name.
        code: String,
        /// What happened.
        message: String,
    },
    /// The operation is done.
    #[serde(rename_all = "camelCase")]
    Result {
        /// What it gave.
        #[serde(rename = "result")]
        outcome: Outcome,
    },
    /// After the result: the layer that [`Finish`] asked for is on fd 6.
    #[serde(rename_all = "camelCase")]
    Layer {
        /// The digest of its bytes.
        digest: String,
        /// Their number.
        size_bytes: u64,
        /// The digest of the tar.
        diff_id: String,
    },
    /// After the result, last: everything that [`Finish`] asked for is done.
    #[serde(rename_all = "camelCase")]
    Durable {},
    /// The operation, or what was to follow its result, failed; nothing after it.
    #[serde(rename_all = "camelCase")]
    Error {
        /// Who can mend it.
        kind: ErrorKind,
        /// A code of the table in `libs/errors`.
        code: String,
        /// The failed call, as strace prints it.
        message: String,
        /// The errno name, for example `ENOENT`.
        errno: Option<String>,
    },
}

/// Who can mend an error.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ErrorKind {
    /// The author of the Dockerfile or of the image.
    User,
    /// The owner of the machine.
    Environment,
    /// We.
    Internal,
}

/// The result of each operation.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(tag = "op", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Outcome {
    /// See [`Request::Probe`].
    #[serde(rename_all = "camelCase")]
    Probe {
        /// [`PROTOCOL`].
        protocol: u32,
        /// `uname -r`.
        kernel: String,
        /// Effective user id outside of any namespace that the helper makes.
        euid: u32,
        /// overlayfs can be mounted (as root, or in a user namespace).
        overlay: bool,
        /// User namespaces can be made.
        user_namespace: bool,
        /// Absolute path of `newuidmap`, where installed.
        newuidmap: Option<String>,
        /// Absolute path of `newgidmap`, where installed.
        newgidmap: Option<String>,
        /// The caller's ranges in /etc/subuid, as outside ids.
        subuids: Vec<SubordinateRange>,
        /// The caller's ranges in /etc/subgid.
        subgids: Vec<SubordinateRange>,
        /// Where cgroup v2 is mounted.
        cgroup2: Option<String>,
        /// seccomp filters work.
        seccomp: bool,
        /// What is missing, why, and how to get it.
        missing: Vec<Missing>,
    },
    /// See [`Request::Scan`].
    #[serde(rename_all = "camelCase")]
    Scan {
        /// One for each selection.
        selections: Vec<Selected>,
        /// Bytes that had to be read and hashed.
        hashed_bytes: u64,
        /// Entries looked at.
        entries: u64,
    },
    /// See [`Request::Copy`].
    #[serde(rename_all = "camelCase")]
    Copy {
        /// Regular files written.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// See [`Request::Read`].
    #[serde(rename_all = "camelCase")]
    Read {
        /// For each path its bytes as base64; null where there is no such file.
        files: Vec<Option<String>>,
    },
    /// See [`Request::Apply`].
    #[serde(rename_all = "camelCase")]
    Apply {
        /// The digest of the unpacked tar.
        diff_id: String,
        /// Bytes of the unpacked tar.
        unpacked_bytes: u64,
        /// Entries.
        entries: u64,
    },
    /// See [`Request::Diff`].
    #[serde(rename_all = "camelCase")]
    Diff {
        /// The digest of the bytes on fd 3.
        digest: String,
        /// Their number.
        size_bytes: u64,
        /// The digest of the tar.
        diff_id: String,
        /// Bytes of the tar.
        unpacked_bytes: u64,
        /// Entries.
        entries: u64,
    },
    /// See [`Request::Export`].
    #[serde(rename_all = "camelCase")]
    Export {
        /// Regular files written.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// See [`Request::Run`]. A process that failed is a result too.
    #[serde(rename_all = "camelCase")]
    Run {
        /// Exit code; 128 + signal if a signal ended it.
        exit_code: u32,
        /// That signal.
        signal: Option<u32>,
        /// The kernel ended a process of this run for want of memory.
        oom_killed: bool,
        /// User CPU time.
        user_micros: u64,
        /// System CPU time.
        system_micros: u64,
        /// Peak resident memory of the largest process.
        max_rss_bytes: u64,
    },
    /// See [`Request::Sync`].
    #[serde(rename_all = "camelCase")]
    Sync {},
    /// See [`Request::Remove`].
    #[serde(rename_all = "camelCase")]
    Remove {},
    /// See [`Request::Usage`].
    #[serde(rename_all = "camelCase")]
    Usage {
        /// One for each path: allocated bytes, hardlinks once.
        bytes: Vec<u64>,
    },
}

/// A subordinate id range.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SubordinateRange {
    /// First id.
    pub(crate) start: u32,
    /// How many.
    pub(crate) length: u32,
}

/// A capability that this machine lacks.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Missing {
    /// Its name.
    pub(crate) feature: String,
    /// What said so.
    pub(crate) reason: String,
    /// The command that mends it.
    pub(crate) fix: String,
}

/// What a selection holds.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Selected {
    /// SHA-256 of its manifest (docs/dev/cache-keys.md gives the encoding).
    pub(crate) digest: String,
    /// Entries in it.
    pub(crate) entries: u64,
    /// Bytes of its regular files.
    pub(crate) bytes: u64,
    /// Sources without a wildcard that match nothing.
    pub(crate) missing: Vec<MissingSource>,
}

/// A source that is not there.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MissingSource {
    /// As written.
    pub(crate) source: String,
    /// The index of the ignore pattern that hides it, if one does.
    pub(crate) ignored_by: Option<u32>,
}

/// Reads a member that may be `null` and may not be left out: serde lets an `Option` be missing by default.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
#[path = "protocol_tests.rs"]
mod tests;
