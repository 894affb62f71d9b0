//! What requests say about running a process, and about what follows a result.

use super::{IdMap, LayerForm, Limits, Root, SessionCgroup, given};
use serde::{Deserialize, Serialize};

/// The fields of [`super::Request::Run`].
#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Run {
    /// The file system.
    pub(crate) root: Root,
    /// Whether the process may not write to it; mounts keep their own rule.
    pub(crate) readonly: bool,
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
    /// The size of `/dev/shm`; 64 MiB without it.
    #[serde(deserialize_with = "given")]
    pub(crate) shm_size_bytes: Option<u64>,
    /// Limits of each process, in place of the sandbox's own of the same name.
    pub(crate) ulimits: Vec<Ulimit>,
    /// What the process may ask of the kernel.
    pub(crate) security: Security,
    /// Sets `no_new_privs`: setuid programs and file capabilities give nothing.
    pub(crate) no_new_privileges: bool,
    /// As root only: the process gets a user namespace with these maps, while files keep the ids of the image.
    #[serde(deserialize_with = "given")]
    pub(crate) user_namespace: Option<IdMap>,
    /// PEM certificates that the process trusts besides the image's own, for this run only.
    #[serde(deserialize_with = "given")]
    pub(crate) trust_ca: Option<String>,
    /// Whether fd 5 is the input; otherwise it reads an empty pipe.
    pub(crate) stdin: bool,
    /// The process gets a pseudo-terminal as its three descriptors: fd 5 is what is typed (a terminal, whose size is
    /// followed), fd 3 is the screen; fd 4 is not used.
    pub(crate) terminal: bool,
    /// The cgroup directories of the session, one a hierarchy: a child named `id` is made in each.
    pub(crate) cgroups: Vec<SessionCgroup>,
    /// Limits of that child.
    pub(crate) limits: Limits,
    /// After SIGTERM to this program the process gets SIGTERM; what is left after this time is killed.
    pub(crate) stop_grace_ms: u32,
    /// A name for this run, unique on the machine; used for the cgroup.
    pub(crate) id: String,
    /// What follows the result, if the exit code is 0.
    #[serde(deserialize_with = "given")]
    pub(crate) finish: Option<Finish>,
}

/// What a process may ask of the kernel.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Security {
    /// Docker's capabilities and system calls.
    Sandbox,
    /// The same without MKNOD, NET_RAW, AUDIT_WRITE, SYS_CHROOT and SETFCAP.
    Minimal,
    /// Everything this program may itself; no boundary.
    Insecure,
}

/// A limit of `setrlimit(2)`.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Ulimit {
    /// As docker names it: `nofile`.
    pub(crate) name: String,
    /// In the unit of the resource; none is unlimited.
    #[serde(deserialize_with = "given")]
    pub(crate) soft: Option<u64>,
    /// In the unit of the resource; none is unlimited.
    #[serde(deserialize_with = "given")]
    pub(crate) hard: Option<u64>,
}

/// What follows the result of an operation that changed a snapshot, while others use the snapshot already: its digest,
/// the layer on fd 6, then one `syncfs`. Told by [`super::Reply::Content`], [`super::Reply::Layer`] and, last,
/// [`super::Reply::Durable`].
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Finish {
    /// Digests what the snapshot's layer holds, times left out.
    pub(crate) content: bool,
    /// Writes the snapshot's changes to fd 6, as `diff` does.
    #[serde(deserialize_with = "given")]
    pub(crate) layer: Option<LayerForm>,
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
    /// The network namespace on fd 7, that of a session.
    Session,
}

/// A mount of [`Run`]. Sources and targets are resolved by descriptor; mount points that are missing leave no trace.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Mount {
    /// A directory or file of the host.
    #[serde(rename_all = "camelCase")]
    Bind {
        /// Absolute path on the host, opened without following a last symlink.
        source: String,
        /// A path in `source`, whose symlinks lead within it; empty is `source` itself.
        inside: String,
        /// Absolute path in the snapshot.
        target: String,
        /// Whether the process may only read.
        readonly: bool,
    },
    /// A path of another snapshot. With `upper` the process may write, and the writes go there.
    #[serde(rename_all = "camelCase")]
    Snapshot {
        /// The snapshot.
        root: Root,
        /// A path in it, whose symlinks lead within it; empty is its root.
        inside: String,
        /// Absolute path in the snapshot of the run.
        target: String,
    },
    /// An empty tmpfs.
    #[serde(rename_all = "camelCase")]
    Tmpfs {
        /// Absolute path in the snapshot.
        target: String,
        /// Its limit.
        #[serde(deserialize_with = "given")]
        size_bytes: Option<u64>,
        /// Whether the process may only read.
        readonly: bool,
    },
    /// A file in memory with these bytes; readable only.
    #[serde(rename_all = "camelCase")]
    Secret {
        /// Absolute path in the snapshot.
        target: String,
        /// base64
        data: String,
        /// Its mode; with an x bit the mount lets programs run.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A listening socket of the host, given this mode and owner.
    #[serde(rename_all = "camelCase")]
    Socket {
        /// Absolute path on the host; the socket is this run's alone.
        source: String,
        /// Absolute path in the snapshot.
        target: String,
        /// Its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}
