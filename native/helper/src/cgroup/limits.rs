//! Writing limits, in Docker's units, to cgroups of either version.

use super::weights;
use crate::protocol::{Limits, SessionCgroup, Unlimited};

/// The period of a CPU quota where none is given, as the kernel has it.
const CPU_PERIOD_MICROS: u64 = 100_000;

/// A file of a cgroup and what is written to it.
type Setting = (&'static str, String);

/// One limit: what to write in which controller. Of several settings the first whose file exists is taken.
struct Entry {
    /// The name of the request's member.
    limit: &'static str,
    /// Version 1.
    first: (&'static str, Vec<Setting>),
    /// Version 2.
    second: (&'static str, Vec<Setting>),
}

/// Writes the limits that are given. What cannot be had is told, with the reason.
pub(crate) fn write(cgroups: &[SessionCgroup], limits: &Limits) -> Vec<Unlimited> {
    let entries = entries(limits);
    let failed = |entry: &Entry| entry.write(cgroups).err();
    entries
        .iter()
        .filter_map(|entry| failed(entry).map(|reason| Unlimited { limit: entry.limit.to_owned(), reason }))
        .collect()
}

/// In the order in which the kernel takes them: memory before memory and swap, a period before its quota.
fn entries(limits: &Limits) -> Vec<Entry> {
    let mut entries = memory(limits);
    entries.extend(cpu(limits));
    let cpuset = |limit, file, list: &Option<String>| {
        list.as_ref()
            .map(|list| entry(limit, ("cpuset", vec![(file, list.clone())]), ("cpuset", vec![(file, list.clone())])))
    };
    entries.extend(cpuset("cpusetCpus", "cpuset.cpus", &limits.cpuset_cpus));
    entries.extend(cpuset("cpusetMems", "cpuset.mems", &limits.cpuset_mems));
    entries.extend(limits.pids.map(|pids| {
        let setting = || vec![("pids.max", pids.to_string())];
        entry("pids", ("pids", setting()), ("pids", setting()))
    }));
    entries.extend(limits.io_weight.map(|weight| {
        let first = vec![("blkio.weight", weight.to_string()), ("blkio.bfq.weight", weight.to_string())];
        let second = vec![("io.weight", weights::io_weight(weight).to_string()), ("io.bfq.weight", weight.to_string())];
        entry("ioWeight", ("blkio", first), ("io", second))
    }));
    entries
}

fn memory(limits: &Limits) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Some(bytes) = limits.memory_bytes {
        let first = vec![("memory.limit_in_bytes", bytes.to_string())];
        entries.push(entry("memoryBytes", ("memory", first), ("memory", vec![("memory.max", bytes.to_string())])));
    }
    if let Some(both) = limits.memory_swap_bytes {
        let first = vec![("memory.memsw.limit_in_bytes", both.to_string())];
        // Version 2 counts swap alone, which is known only beside a limit of memory.
        let swap = limits.memory_bytes.map(|memory| weights::swap_alone(memory, both).to_string());
        let second = swap.map(|swap| ("memory.swap.max", swap)).into_iter().collect();
        entries.push(entry("memorySwapBytes", ("memory", first), ("memory", second)));
    }
    entries
}

fn cpu(limits: &Limits) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Some(shares) = limits.cpu_shares {
        let second = vec![("cpu.weight", weights::cpu_weight(shares).to_string())];
        entries.push(entry("cpuShares", ("cpu", vec![("cpu.shares", shares.to_string())]), ("cpu", second)));
    }
    if let Some(period) = limits.cpu_period_micros {
        let second = vec![("cpu.max", format!("max {period}"))];
        entries.push(entry(
            "cpuPeriodMicros",
            ("cpu", vec![("cpu.cfs_period_us", period.to_string())]),
            ("cpu", second),
        ));
    }
    if let Some(quota) = limits.cpu_quota_micros {
        let period = limits.cpu_period_micros.unwrap_or(CPU_PERIOD_MICROS);
        let second = vec![("cpu.max", format!("{quota} {period}"))];
        entries.push(entry("cpuQuotaMicros", ("cpu", vec![("cpu.cfs_quota_us", quota.to_string())]), ("cpu", second)));
    }
    entries
}

fn entry(limit: &'static str, first: (&'static str, Vec<Setting>), second: (&'static str, Vec<Setting>)) -> Entry {
    Entry { limit, first, second }
}

impl Entry {
    /// Writes it where its controller is.
    fn write(&self, cgroups: &[SessionCgroup]) -> Result<(), String> {
        let place = cgroups.iter().find(|one| one.has(if one.version == 1 { self.first.0 } else { self.second.0 }));
        let Some(place) = place else {
            return Err(format!("no cgroup hierarchy gives this user the {} controller", self.first.0));
        };
        let (controller, settings) = if place.version == 1 { &self.first } else { &self.second };
        let there = settings.iter().find(|(file, _)| place.file(file).exists());
        match (there, settings.first()) {
            (Some((file, text)), _) => place.write(file, text).map_err(|failure| failure.message),
            (None, Some((file, _))) => Err(format!("this kernel's {controller} controller has no {file}")),
            (None, None) => Err("with cgroup v2 swap is limited only together with memory".to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    const EVERY: Limits = Limits {
        memory_bytes: Some(100),
        memory_swap_bytes: Some(150),
        cpu_shares: Some(1024),
        cpu_period_micros: Some(50_000),
        cpu_quota_micros: Some(25_000),
        cpuset_cpus: None,
        cpuset_mems: None,
        pids: Some(7),
        io_weight: Some(1000),
    };

    /// A directory with the files of a cgroup.
    fn cgroup(dir: &Path, version: u8, controllers: &[&str], files: &[&str]) -> SessionCgroup {
        files.iter().for_each(|file| fs::write(dir.join(file), "").unwrap());
        let controllers = controllers.iter().map(|&name| name.to_owned()).collect();
        SessionCgroup { version, controllers, path: dir.to_str().unwrap().to_owned() }
    }

    fn written(one: &SessionCgroup, files: &[&str]) -> Vec<String> {
        files.iter().map(|file| one.read(file)).collect()
    }

    #[test]
    fn write_gives_version_1_the_units_of_docker() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            "memory.limit_in_bytes",
            "memory.memsw.limit_in_bytes",
            "cpu.shares",
            "cpu.cfs_period_us",
            "cpu.cfs_quota_us",
            "pids.max",
            "blkio.bfq.weight",
        ];
        let one = cgroup(dir.path(), 1, &["memory", "cpu", "pids", "blkio"], &files);
        assert_eq!(write(std::slice::from_ref(&one), &EVERY), []);
        assert_eq!(written(&one, &files), ["100", "150", "1024", "50000", "25000", "7", "1000"]);
    }

    #[test]
    fn write_converts_for_version_2() {
        let dir = tempfile::tempdir().unwrap();
        let files = ["memory.max", "memory.swap.max", "cpu.weight", "cpu.max", "pids.max", "io.weight"];
        let one = cgroup(dir.path(), 2, &["memory", "cpu", "pids", "io"], &files);
        assert_eq!(write(std::slice::from_ref(&one), &EVERY), []);
        assert_eq!(written(&one, &files), ["100", "50", "100", "25000 50000", "7", "10000"]);
    }

    #[test]
    fn write_says_what_cannot_be_had_and_why() {
        let dir = tempfile::tempdir().unwrap();
        let one = cgroup(dir.path(), 2, &["memory"], &["memory.max"]);
        let limits = Limits { memory_swap_bytes: Some(1), pids: Some(1), memory_bytes: Some(1), ..Limits::default() };
        let told: Vec<(String, String)> =
            write(std::slice::from_ref(&one), &limits).into_iter().map(|one| (one.limit, one.reason)).collect();
        assert_eq!(
            told,
            [
                ("memorySwapBytes".into(), "this kernel's memory controller has no memory.swap.max".into()),
                ("pids".into(), "no cgroup hierarchy gives this user the pids controller".into()),
            ]
        );
        let swap = Limits { memory_swap_bytes: Some(1), ..Limits::default() };
        let reason = write(&[one], &swap).remove(0).reason;
        assert_eq!(reason, "with cgroup v2 swap is limited only together with memory");
    }
}
