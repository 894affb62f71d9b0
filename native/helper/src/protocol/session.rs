//! What requests say about the surroundings that the runs of one build share.

use super::given;
use serde::{Deserialize, Serialize};

/// The fields of [`super::Request::Session`].
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Session {
    /// Unique on the machine; names the cgroups.
    pub(crate) id: String,
    /// A cgroup below which these are made, relative to the hierarchies' roots; without it, below this process's own.
    #[serde(deserialize_with = "given")]
    pub(crate) cgroup_parent: Option<String>,
    /// Limits of all runs together.
    pub(crate) limits: Limits,
    /// How runs reach the outside; without it no network namespace is made.
    #[serde(deserialize_with = "given")]
    pub(crate) network: Option<SessionNetwork>,
}

/// A private network that reaches the outside through a program in user space.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SessionNetwork {
    /// The program; looked for in the directories of the system.
    pub(crate) tool: NetworkTool,
    /// Ports of the host that lead to ports of the runs.
    pub(crate) ports: Vec<Port>,
}

/// A program that connects a network namespace.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum NetworkTool {
    /// Of the package passt.
    Pasta,
    /// Of the package slirp4netns.
    Slirp4netns,
}

/// A published port.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Port {
    /// The address of the host it listens on.
    pub(crate) address: String,
    /// The port of the host.
    pub(crate) host: u16,
    /// The port in the namespace.
    pub(crate) inside: u16,
    /// Which of the two protocols.
    pub(crate) protocol: PortProtocol,
}

/// See [`Port::protocol`].
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum PortProtocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Limits of a cgroup; what is not given is not limited. Units are those of docker's flags.
#[derive(Debug, Clone, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Limits {
    /// Memory, the page cache of it included.
    #[serde(deserialize_with = "given")]
    pub(crate) memory_bytes: Option<u64>,
    /// Memory and swap together, as docker has it.
    #[serde(deserialize_with = "given")]
    pub(crate) memory_swap_bytes: Option<u64>,
    /// Relative weight, 2 to 262144; 1024 is the default of the kernel.
    #[serde(deserialize_with = "given")]
    pub(crate) cpu_shares: Option<u64>,
    /// Length of a period.
    #[serde(deserialize_with = "given")]
    pub(crate) cpu_period_micros: Option<u64>,
    /// CPU time in each period.
    #[serde(deserialize_with = "given")]
    pub(crate) cpu_quota_micros: Option<u64>,
    /// Processors: `0-3,5`.
    #[serde(deserialize_with = "given")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Memory nodes.
    #[serde(deserialize_with = "given")]
    pub(crate) cpuset_mems: Option<String>,
    /// Processes and threads.
    #[serde(deserialize_with = "given")]
    pub(crate) pids: Option<u64>,
    /// Relative weight of block I/O, 10 to 1000.
    #[serde(deserialize_with = "given")]
    pub(crate) io_weight: Option<u64>,
}

/// A cgroup directory of a session.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SessionCgroup {
    /// The version of its hierarchy: 1 or 2.
    pub(crate) version: u8,
    /// The controllers that can be used in it; empty for a hierarchy that only kills and counts.
    pub(crate) controllers: Vec<String>,
    /// Absolute path.
    pub(crate) path: String,
}
