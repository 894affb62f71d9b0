//! What goes to standard output.

use super::SessionCgroup;
use serde::{Deserialize, Serialize};

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
    /// `session`: it is there, except for the network.
    #[serde(rename_all = "camelCase")]
    Session {
        /// The process that owns the namespaces: `/proc/<pid>/ns/net` and `/proc/<pid>/ns/user`.
        pid: u32,
        /// Its cgroups, one a hierarchy; none where none can be made.
        cgroups: Vec<SessionCgroup>,
        /// Limits that were asked for and cannot be had, by the name of the request's member, with the reason.
        unlimited: Vec<Unlimited>,
    },
    /// `session`: its network reaches the outside.
    #[serde(rename_all = "camelCase")]
    Connected {
        /// The name server that the runs can use.
        dns: String,
        /// Their address.
        address: String,
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
    /// After the result: what [`super::Finish::content`] asked for.
    #[serde(rename_all = "camelCase")]
    Content {
        /// SHA-256 of the manifest of the layer (docs/dev/cache-keys.md gives the encoding); null where no layer can hold
        /// what there is.
        digest: Option<String>,
    },
    /// After the result: the layer that [`super::Finish`] asked for is on fd 6.
    #[serde(rename_all = "camelCase")]
    Layer {
        /// The digest of its bytes.
        digest: String,
        /// Their number.
        size_bytes: u64,
        /// The digest of the tar.
        diff_id: String,
        /// Bytes of the tar.
        unpacked_bytes: u64,
        /// Of estargz: the digest of its table of contents.
        toc_digest: Option<String>,
    },
    /// After the result, last: everything that [`super::Finish`] asked for is done.
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
    /// See [`super::Request::Probe`].
    #[serde(rename_all = "camelCase")]
    Probe {
        /// [`super::PROTOCOL`].
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
        /// The cgroup hierarchies, with what this user may use of them.
        cgroups: Vec<SessionCgroup>,
        /// Absolute path of `pasta`, where installed.
        pasta: Option<String>,
        /// Absolute path of `slirp4netns`, where installed.
        slirp4netns: Option<String>,
        /// Interpreters registered with binfmt_misc.
        interpreters: Vec<Interpreter>,
        /// seccomp filters work.
        seccomp: bool,
        /// What is missing, why, and how to get it.
        missing: Vec<Missing>,
    },
    /// See [`super::Request::Scan`].
    #[serde(rename_all = "camelCase")]
    Scan {
        /// One for each selection.
        selections: Vec<Selected>,
        /// Bytes that had to be read and hashed.
        hashed_bytes: u64,
        /// Entries looked at.
        entries: u64,
    },
    /// See [`super::Request::Copy`].
    #[serde(rename_all = "camelCase")]
    Copy {
        /// Regular files written.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// See [`super::Request::Read`].
    #[serde(rename_all = "camelCase")]
    Read {
        /// For each path its bytes as base64; null where there is no such file.
        files: Vec<Option<String>>,
    },
    /// See [`super::Request::Find`].
    #[serde(rename_all = "camelCase")]
    Find {
        /// In the order of their names, directory by directory.
        files: Vec<FoundFile>,
        /// In the order of their files.
        sections: Vec<FoundSection>,
        /// There was more than the limits allow, or something that cannot be read.
        incomplete: bool,
    },
    /// See [`super::Request::Apply`].
    #[serde(rename_all = "camelCase")]
    Apply {
        /// The digest of the unpacked tar.
        diff_id: String,
        /// Bytes of the unpacked tar.
        unpacked_bytes: u64,
        /// Entries.
        entries: u64,
    },
    /// See [`super::Request::Diff`].
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
        /// Of estargz: the digest of its table of contents.
        toc_digest: Option<String>,
    },
    /// See [`super::Request::Convert`].
    #[serde(rename_all = "camelCase")]
    Convert {
        /// The digest of the bytes on fd 4.
        digest: String,
        /// Their number.
        size_bytes: u64,
        /// The digest of the tar.
        diff_id: String,
        /// Bytes of the tar.
        unpacked_bytes: u64,
        /// Of estargz: the digest of its table of contents.
        toc_digest: Option<String>,
    },
    /// See [`super::Request::Concat`].
    #[serde(rename_all = "camelCase")]
    Concat {
        /// Written.
        bytes: u64,
    },
    /// See [`super::Request::Merge`].
    #[serde(rename_all = "camelCase")]
    Merge {
        /// Entries that are hard links to those of the run.
        linked: u64,
        /// Bytes of files that could not be linked.
        copied_bytes: u64,
        /// Directories made, the root among them.
        directories: u64,
    },
    /// See [`super::Request::Export`].
    #[serde(rename_all = "camelCase")]
    Export {
        /// Regular files written.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// See [`super::Request::Run`]. A process that failed is a result too.
    #[serde(rename_all = "camelCase")]
    Run {
        /// Exit code; 128 + signal if a signal ended it.
        exit_code: u32,
        /// That signal.
        signal: Option<u32>,
        /// The limit that ended it, if one did.
        exceeded: Option<Exceeded>,
        /// User CPU time.
        user_micros: u64,
        /// System CPU time.
        system_micros: u64,
        /// Peak memory of the whole run where its cgroup counts it, else the resident set of the largest process.
        peak_memory_bytes: u64,
        /// Read from block devices.
        read_bytes: u64,
        /// Written to block devices.
        written_bytes: u64,
    },
    /// See [`super::Request::Session`].
    #[serde(rename_all = "camelCase")]
    Session {},
    /// See [`super::Request::Content`].
    #[serde(rename_all = "camelCase")]
    Content {
        /// For each tree its digest, as [`Reply::Content`] has it.
        digests: Vec<Option<String>>,
    },
    /// See [`super::Request::Sync`].
    #[serde(rename_all = "camelCase")]
    Sync {},
    /// See [`super::Request::Remove`].
    #[serde(rename_all = "camelCase")]
    Remove {},
    /// See [`super::Request::Usage`].
    #[serde(rename_all = "camelCase")]
    Usage {
        /// One for each path: allocated bytes, hardlinks once.
        bytes: Vec<u64>,
    },
}

/// A limit that ended a run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Exceeded {
    /// Which.
    pub(crate) resource: Resource,
    /// Whose.
    pub(crate) owner: LimitOwner,
}

/// See [`Exceeded`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Resource {
    /// The kernel ended a process for want of memory.
    Memory,
    /// Processes could not be made.
    Pids,
}

/// See [`Exceeded`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum LimitOwner {
    /// The limit of the run.
    Run,
    /// The limit of the session, or of something above it.
    Session,
}

/// A limit that cannot be had.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Unlimited {
    /// `memoryBytes`
    pub(crate) limit: String,
    /// Why.
    pub(crate) reason: String,
}

/// An interpreter of foreign programs.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Interpreter {
    /// As registered: `qemu-aarch64`.
    pub(crate) name: String,
    /// Absolute path.
    pub(crate) path: String,
    /// Whether it was opened when it was registered (flag F), so that it works in an image that lacks it.
    pub(crate) fixed: bool,
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
    /// Whether builds cannot run without it.
    pub(crate) required: bool,
}

/// A file that was looked for.
#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FoundFile {
    /// From the root of the tree.
    pub(crate) path: String,
    /// In bytes.
    pub(crate) size: u64,
}

/// A section of an executable.
#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FoundSection {
    /// Of the executable, from the root of the tree.
    pub(crate) path: String,
    /// `.go.buildinfo`
    pub(crate) name: String,
    /// base64
    pub(crate) data: String,
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
