//! What requests say about running a process, and about what follows a result.

use super::{Compression, Root, given};
use serde::{Deserialize, Serialize};

/// The fields of [`super::Request::Run`].
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
/// on fd 6, then one `syncfs`. Told by [`super::Reply::Layer`] and, last, [`super::Reply::Durable`].
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
