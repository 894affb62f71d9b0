//! What the processes of a cgroup used, and which limits they met.

use crate::protocol::SessionCgroup;

/// What a set of cgroups counted; none where no controller of theirs counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// User and system CPU time.
    pub(crate) cpu_micros: Option<(u64, u64)>,
    /// The peak of memory, page cache included.
    pub(crate) peak_memory_bytes: Option<u64>,
    /// Read from and written to block devices.
    pub(crate) io_bytes: Option<(u64, u64)>,
}

/// Reads what these cgroups of one run counted.
pub(crate) fn count(cgroups: &[SessionCgroup]) -> Counted {
    // Version 1 counts CPU time by ticks of some milliseconds.
    let (precise, coarse) =
        (cgroups.iter().filter(|one| one.version == 2), cgroups.iter().filter(|one| one.version == 1));
    Counted {
        cpu_micros: precise.chain(coarse).find_map(cpu),
        peak_memory_bytes: cgroups.iter().find_map(peak_memory),
        io_bytes: cgroups.iter().find_map(block_io),
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The value of a line `name 12`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').and_then(number))
}

fn cpu(one: &SessionCgroup) -> Option<(u64, u64)> {
    if one.version == 2 {
        // Counted in every cgroup, whatever its controllers are.
        let text = one.read("cpu.stat");
        return Some((field(&text, "user_usec")?, field(&text, "system_usec")?));
    }
    let micros = |file: &str| number(&one.read(file)).map(|nanos| nanos / 1000);
    one.has("cpuacct").then(|| Some((micros("cpuacct.usage_user")?, micros("cpuacct.usage_sys")?)))?
}

fn peak_memory(one: &SessionCgroup) -> Option<u64> {
    let file = if one.version == 1 { "memory.max_usage_in_bytes" } else { "memory.peak" };
    if one.has("memory") { number(&one.read(file)) } else { None }
}

fn block_io(one: &SessionCgroup) -> Option<(u64, u64)> {
    if one.version == 1 && one.has("blkio") {
        return Some(sum_v1(&one.read("blkio.throttle.io_service_bytes_recursive")));
    }
    (one.version == 2 && one.has("io")).then(|| sum_v2(&one.read("io.stat")))
}

/// Lines `8:0 Read 4096`.
fn sum_v1(text: &str) -> (u64, u64) {
    let sum = |word: &str| {
        let of_line = |line: &str| {
            let mut fields = line.split(' ').skip(1);
            if fields.next() == Some(word) { fields.next().and_then(number) } else { None }
        };
        text.lines().filter_map(of_line).sum()
    };
    (sum("Read"), sum("Write"))
}

/// Lines `8:0 rbytes=4096 wbytes=0 …`.
fn sum_v2(text: &str) -> (u64, u64) {
    let sum = |key: &str| text.split_whitespace().filter_map(|word| number(word.strip_prefix(key)?)).sum();
    (sum("rbytes="), sum("wbytes="))
}

/// Processes that the kernel ended in this cgroup for want of memory.
pub(crate) fn oom_kills(one: &SessionCgroup) -> u64 {
    let file = if one.version == 1 { "memory.oom_control" } else { "memory.events" };
    field(&one.read(file), "oom_kill").unwrap_or_default()
}

/// How often this cgroup's own limit of memory, not one above it, was the reason.
pub(crate) fn memory_limit_hits(one: &SessionCgroup) -> u64 {
    if one.version == 1 {
        return number(&one.read("memory.failcnt")).unwrap_or_default();
    }
    // Where the kernel has no local file, the hierarchical count of this leaf is the same.
    let local = one.read("memory.events.local");
    let text = if local.is_empty() { one.read("memory.events") } else { local };
    field(&text, "oom").unwrap_or_default()
}

/// How often a process could not be made: in this cgroup (version 1), or because of this cgroup's limit (version 2).
pub(crate) fn failed_forks(one: &SessionCgroup) -> u64 {
    field(&one.read("pids.events"), "max").unwrap_or_default()
}

/// Whether as many processes existed as this cgroup's own limit allows.
pub(crate) fn reached_pids_limit(one: &SessionCgroup) -> bool {
    match (number(&one.read("pids.max")), number(&one.read("pids.peak"))) {
        (Some(max), Some(peak)) => peak >= max,
        // A kernel before 6.6 keeps no peak; a limit of its own is the likelier one.
        (Some(_), None) => true,
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_io_is_summed_over_devices() {
        let v1 = "8:0 Read 4096\n8:0 Write 512\n8:0 Sync 0\n8:16 Read 1\n8:0 Total 4609\nTotal 4609\n";
        assert_eq!(sum_v1(v1), (4097, 512));
        assert_eq!(sum_v2("8:0 rbytes=4096 wbytes=512 rios=1 wios=1\n8:16 rbytes=1 wbytes=2\n"), (4097, 514));
        assert_eq!([sum_v1(""), sum_v2("")], [(0, 0), (0, 0)]);
    }

    #[test]
    fn field_takes_the_whole_name() {
        let text = "oom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!([field(text, "oom"), field(text, "oom_kill"), field(text, "kill")], [Some(3), Some(2), None]);
    }
}
