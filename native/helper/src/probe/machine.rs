//! What `probe` reads without trying it: cgroups, programs, interpreters.

use super::interpreters::registered;
use super::row;
use crate::cgroup::hierarchy;
use crate::protocol::{Interpreter, Missing, SessionCgroup};
use crate::session;
use crate::userns;
use rustix::fs::Access;
use std::path::Path;

const BINFMT: &str = "/proc/sys/fs/binfmt_misc";
const TUN: &str = "/dev/net/tun";
/// The controllers that the limits of people ask for most, with their name in version 2.
const LIMITING: [&str; 3] = ["memory", "cpu", "pids"];

/// The hierarchies in which a session of this user can make its cgroups.
pub(super) fn cgroups(missing: &mut Vec<Missing>) -> Vec<SessionCgroup> {
    let all = hierarchy::find();
    let usable: Vec<SessionCgroup> = all.iter().filter_map(session::usable).collect();
    let lacks = |name: &&str| !usable.iter().any(|one| one.has(name));
    let without: Vec<&str> = LIMITING.into_iter().filter(lacks).collect();
    if all.is_empty() {
        let fix = "mount -t cgroup2 none /sys/fs/cgroup".into();
        missing.push(row("cgroups", "no cgroup hierarchy is mounted".into(), fix));
    } else if !without.is_empty() {
        let reason = format!("limits of {} cannot be had: this user has no such controller", without.join(", "));
        let unified = all.iter().all(|one| one.version == 2);
        missing.push(row("cgroups", reason, delegation(unified)));
    }
    usable
}

fn delegation(unified: bool) -> String {
    match (rustix::process::geteuid().is_root(), unified) {
        (true, _) => "systemd-run --scope -p Delegate=yes tsbuild build …".into(),
        (false, true) => "systemd-run --user --scope -p Delegate=yes tsbuild build …".into(),
        // Version 1 cannot be given to ordinary users.
        (false, false) => "boot with the kernel parameter systemd.unified_cgroup_hierarchy=1".into(),
    }
}

/// Absolute paths of pasta and slirp4netns.
pub(super) fn tools(missing: &mut Vec<Missing>) -> [Option<String>; 2] {
    let tools =
        ["pasta", "slirp4netns"].map(|name| userns::find_tool(name).map(|path| path.to_string_lossy().into_owned()));
    if tools.iter().all(Option::is_none) {
        let reason = "neither pasta nor slirp4netns is installed, so steps share the host's network".into();
        missing.push(row("network", reason, "apt-get install passt".into()));
    }
    if !Path::new(TUN).exists() {
        missing.push(row("tun", format!("{TUN} does not exist"), "modprobe tun".into()));
    } else if rustix::fs::access(TUN, Access::READ_OK | Access::WRITE_OK).is_err() {
        missing.push(row("tun", format!("this user may not open {TUN}"), format!("chmod 666 {TUN}")));
    }
    tools
}

/// The interpreters of foreign programs that are registered and enabled.
pub(super) fn interpreters(missing: &mut Vec<Missing>) -> Vec<Interpreter> {
    let found = registered();
    if !found.iter().any(|one| one.name.starts_with("qemu-")) {
        let mount = format!("mount -t binfmt_misc binfmt_misc {BINFMT}; ");
        let (reason, first) = if Path::new(BINFMT).join("register").exists() {
            ("no interpreter of foreign programs is registered", "")
        } else {
            ("binfmt_misc is not mounted", mount.as_str())
        };
        missing.push(row(
            "interpreters",
            reason.into(),
            format!("{first}apt-get install qemu-user-static binfmt-support"),
        ));
    }
    found
}
