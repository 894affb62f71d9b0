//! The hierarchies of the machine, from `/proc/self/mountinfo` and `/proc/self/cgroup`.

use crate::protocol::SessionCgroup;
use std::fs;
use std::path::{Path, PathBuf};

/// The controllers that limits and accounting need. A hierarchy of version 1 with none of them is of no use here.
pub(crate) const WANTED: [&str; 8] = ["memory", "cpu", "cpuacct", "cpuset", "pids", "blkio", "io", "devices"];

/// One hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// 1 or 2.
    pub(crate) version: u8,
    /// Those of [`WANTED`] that version 1 mounts here; empty for version 2, where each directory says it.
    pub(crate) controllers: Vec<String>,
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// The directory of this process in it.
    pub(crate) own: PathBuf,
}

impl Hierarchy {
    /// A directory of it, with the controllers that version 1 has in all of them.
    pub(crate) fn directory(&self, path: &Path) -> SessionCgroup {
        SessionCgroup {
            version: self.version,
            controllers: self.controllers.clone(),
            path: path.to_string_lossy().into_owned(),
        }
    }
}

/// What this machine has, as this process sees it.
pub(crate) fn find() -> Vec<Hierarchy> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
}

/// A mount of a hierarchy.
struct Mounted {
    version: u8,
    controllers: Vec<String>,
    root: String,
    point: String,
}

fn parse(mountinfo: &str, memberships: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    let mut mounts: Vec<Mounted> = mountinfo.lines().filter_map(mounted).collect();
    // A hierarchy may be mounted again, with a part of it that is somebody else's.
    mounts.sort_by_key(|one| membership(memberships, one).is_none_or(|path| below(&path, &one.root).is_none()));
    for mounted in mounts {
        let known = |one: &Hierarchy| one.version == mounted.version && one.controllers == mounted.controllers;
        if mounted.version == 1 && mounted.controllers.is_empty() || found.iter().any(known) {
            continue;
        }
        let Some(path) = membership(memberships, &mounted) else { continue };
        let mount = PathBuf::from(&mounted.point);
        // Joining the empty path would leave a slash at the end.
        let rest = below(&path, &mounted.root).filter(|rest| !rest.is_empty());
        let own = rest.map_or_else(|| mount.clone(), |rest| mount.join(rest));
        found.push(Hierarchy { version: mounted.version, controllers: mounted.controllers, mount, own });
    }
    found
}

/// `31 23 0:28 /root /mount/point rw,… optional… - cgroup source rw,memory`
fn mounted(line: &str) -> Option<Mounted> {
    let (head, tail) = line.split_once(" - ")?;
    let mut head = head.split(' ').skip(3);
    let (root, point) = (unescape(head.next()?), unescape(head.next()?));
    let mut tail = tail.split(' ');
    let version = match tail.next()? {
        "cgroup" => 1,
        "cgroup2" => 2,
        _ => return None,
    };
    let options = tail.nth(1).unwrap_or_default();
    let wanted = |name: &&str| version == 1 && WANTED.contains(name);
    let controllers = options.split(',').filter(wanted).map(str::to_owned).collect();
    Some(Mounted { version, controllers, root, point })
}

/// The path of this process in the hierarchy: `4:memory:/path`, or `0::/path` for version 2.
fn membership(memberships: &str, mounted: &Mounted) -> Option<String> {
    memberships.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match mounted.controllers.first() {
            Some(first) => controllers.split(',').any(|name| name == first),
            None => id == "0" && controllers.is_empty(),
        };
        ours.then(|| path.to_owned())
    })
}

/// `path` relative to the root that a mount shows; none where it lies outside, as seen from a cgroup namespace.
fn below(path: &str, root: &str) -> Option<String> {
    let rest = if root == "/" { path } else { path.strip_prefix(root)? };
    let rest = if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }?;
    (!rest.split('/').any(|part| part == "..")).then(|| rest.to_owned())
}

/// mountinfo writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mountinfo: &str, memberships: &str) -> Vec<(u8, String, String)> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let parsed = parse(mountinfo, memberships);
        parsed.into_iter().map(|one| (one.version, one.controllers.join("+"), text(one.own))).collect()
    }

    #[test]
    fn find_reads_controllers_alone_and_joined_beside_version_2() {
        let mountinfo = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            33 31 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
            34 31 0:31 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
            35 31 0:32 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n\
            36 31 0:33 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let memberships = "4:memory:/jobs/7\n2:cpu,cpuacct:/\n1:name=systemd:/x\n0::/\n";
        assert_eq!(
            found(mountinfo, memberships),
            [
                (1, "cpu+cpuacct".into(), "/sys/fs/cgroup/cpu,cpuacct".into()),
                (1, "memory".into(), "/sys/fs/cgroup/memory/jobs/7".into()),
                (2, String::new(), "/sys/fs/cgroup/unified".into()),
            ]
        );
    }

    #[test]
    fn find_reads_the_unified_hierarchy_alone() {
        let mountinfo = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            found(mountinfo, "0::/user.slice/user-1000.slice/session-1.scope\n"),
            [(2, String::new(), "/sys/fs/cgroup/user.slice/user-1000.slice/session-1.scope".into())]
        );
    }

    #[test]
    fn find_takes_off_the_root_that_a_container_was_given() {
        let line = |root: &str| format!("33 31 0:30 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
        let own = |root: &str, path: &str| found(&line(root), &format!("4:memory:{path}\n")).remove(0).2;
        assert_eq!(own("/docker/ab", "/docker/ab"), "/sys/fs/cgroup/memory");
        assert_eq!(own("/docker/ab", "/docker/ab/c"), "/sys/fs/cgroup/memory/c");
        // A root that is no ancestor, and one outside of the namespace: the mount is all there is.
        assert_eq!(own("/docker/ab", "/docker/abc"), "/sys/fs/cgroup/memory");
        assert_eq!(own("/", "/../other"), "/sys/fs/cgroup/memory");
    }

    #[test]
    fn find_takes_the_mount_that_shows_this_process_before_one_of_somebody_else() {
        let mountinfo = "33 31 0:30 /lxc/other /var/lib/other rw - cgroup cgroup rw,memory\n\
            34 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let own = (1, "memory".into(), "/sys/fs/cgroup/memory/jobs".into());
        assert_eq!(found(mountinfo, "4:memory:/jobs\n"), [own]);
    }

    #[test]
    fn find_takes_the_first_of_two_mounts_and_reads_escapes() {
        let mountinfo = "33 31 0:30 / /a\\040b rw - cgroup cgroup rw,memory\n\
            34 31 0:30 / /second rw - cgroup cgroup rw,memory\n";
        assert_eq!(found(mountinfo, "4:memory:/\n"), [(1, "memory".into(), "/a b".into())]);
    }
}
