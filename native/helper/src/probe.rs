//! `probe`: what this kernel and this user can do, found out by doing it in a child that is thrown away.

mod interpreters;
mod machine;

use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::protocol::{IdMap, IdRange, Missing, Outcome, PROTOCOL, Root, Security, SubordinateRange};
use crate::run::seccomp;
use crate::sys::process::{self, Ended, Side, Waited};
use crate::userns::{self, Ids};
use rustix::fd::AsFd;
use rustix::mount::MountAttrFlags;
use rustix::thread::UnshareFlags;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

/// Where the child hides the machine's tree to have a place for its trial.
const TRIAL: &str = "/proc";

/// Tries everything.
///
/// # Errors
/// None of the trials fails the operation; only `fork` and `pipe` can.
pub(crate) fn probe() -> Fallible<Outcome> {
    let root = rustix::process::geteuid().is_root();
    let (subuids, subgids) = (ranges(Ids::User), ranges(Ids::Group));
    let tools = [Ids::User, Ids::Group].map(|ids| userns::find_tool(ids.tool()));
    let mut missing = Vec::new();
    let user_namespace = note(&mut missing, "userNamespace", trial(userns::unshare_user)?, userns::policy);
    let mut delegated = false;
    if !root {
        delegated = user_namespace && delegation(&mut missing, &tools, &subuids, &subgids)?;
    }
    let map = if root { None } else { Some(if delegated { wide_map(&subuids, &subgids) } else { own_map() }) };
    let overlay = note(&mut missing, "overlay", trial(|| try_overlay(map.as_ref()))?, overlay_fix);
    let seccomp = note(&mut missing, "seccomp", trial(|| try_seccomp(root))?, seccomp_fix);
    missing.iter_mut().for_each(|one| one.required = is_required(&one.feature, root));
    let cgroups = machine::cgroups(&mut missing);
    let [pasta, slirp4netns] = machine::tools(&mut missing);
    let interpreters = machine::interpreters(&mut missing);
    missing.sort_by_key(|one| !one.required);
    let [newuidmap, newgidmap] = tools.map(|path| path.map(|path| path.to_string_lossy().into_owned()));
    Ok(Outcome::Probe {
        protocol: PROTOCOL,
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        euid: rustix::process::geteuid().as_raw(),
        overlay,
        user_namespace,
        newuidmap,
        newgidmap,
        subuids,
        subgids,
        cgroups,
        pasta,
        slirp4netns,
        interpreters,
        seccomp,
        missing,
    })
}

/// Whether no build can run without it. Root needs no user namespace, and without subordinate ids an ordinary user
/// still has a single id.
fn is_required(feature: &str, root: bool) -> bool {
    match feature {
        "overlay" | "seccomp" => true,
        "userNamespace" => !root,
        _ => false,
    }
}

fn row(feature: &str, reason: String, fix: String) -> Missing {
    Missing { feature: feature.to_owned(), reason, fix, required: false }
}

/// Adds a row for a trial that failed; says whether it succeeded.
fn note(missing: &mut Vec<Missing>, feature: &str, failed: Option<String>, fix: fn() -> String) -> bool {
    let works = failed.is_none();
    missing.extend(failed.map(|reason| row(feature, reason, fix())));
    works
}

/// Runs `attempt` in a child; `None` if it succeeded, else what it said.
fn trial(attempt: impl FnOnce() -> Fallible<()>) -> Fallible<Option<String>> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| Failure::syscall("pipe2(O_CLOEXEC)", errno))?;
    match process::fork().map_err(|errno| Failure::syscall("fork()", errno))? {
        Side::Child => {
            let code = match attempt() {
                Ok(()) => 0,
                Err(failure) => {
                    let _ = rustix::io::write(&write, failure.message.as_bytes());
                    1
                }
            };
            process::exit_now(code)
        }
        Side::Parent(pid) => {
            drop(write);
            let mut said = String::new();
            let _ = fs::File::from(read).read_to_string(&mut said);
            match process::wait_child(pid, true) {
                Waited::Gone(_, Ended::Exit(0)) => Ok(None),
                _ if said.is_empty() => Ok(Some("the trial was killed".into())),
                _ => Ok(Some(said)),
            }
        }
    }
}

/// Whether the caller can have a range of subordinate ids; adds what keeps it from that.
fn delegation(
    missing: &mut Vec<Missing>,
    tools: &[Option<PathBuf>; 2],
    subuids: &[SubordinateRange],
    subgids: &[SubordinateRange],
) -> Fallible<bool> {
    let mut complete = true;
    for (ids, tool, ranges) in [(Ids::User, &tools[0], subuids), (Ids::Group, &tools[1], subgids)] {
        if tool.is_none() {
            let reason = format!("{} is not installed", ids.tool());
            missing.push(row(ids.tool(), reason, "apt-get install uidmap".into()));
            complete = false;
        }
        if ranges.is_empty() {
            let feature = if ids == Ids::User { "subuids" } else { "subgids" };
            let reason = format!("{} has no range for this user", ids.grants());
            missing.push(row(feature, reason, userns::grant_fix(ids)));
            complete = false;
        }
    }
    if !complete {
        return Ok(false);
    }
    let map = wide_map(subuids, subgids);
    let failed = trial(|| userns::enter(&map))?;
    Ok(note(missing, "idMap", failed, || userns::grant_fix(Ids::User)))
}

/// The caller as root and its first subordinate range above that.
fn wide_map(subuids: &[SubordinateRange], subgids: &[SubordinateRange]) -> IdMap {
    let with_range = |mut own: Vec<IdRange>, ranges: &[SubordinateRange]| {
        own.extend(ranges.first().map(|range| IdRange { inside: 1, outside: range.start, length: range.length }));
        own
    };
    let IdMap { uids, gids } = own_map();
    IdMap { uids: with_range(uids, subuids), gids: with_range(gids, subgids) }
}

/// The caller alone, as root.
fn own_map() -> IdMap {
    let only = |id| vec![IdRange { inside: 0, outside: id, length: 1 }];
    IdMap { uids: only(rustix::process::geteuid().as_raw()), gids: only(rustix::process::getegid().as_raw()) }
}

/// The ranges of `/etc/subuid` or `/etc/subgid` for the caller, by name or by number.
fn ranges(ids: Ids) -> Vec<SubordinateRange> {
    let number = rustix::process::getuid().as_raw().to_string();
    let name = userns::user_name();
    let text = fs::read_to_string(ids.grants()).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let (start, length) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            let own = owner == number || name.as_deref() == Some(owner);
            (own && length > 0).then_some(SubordinateRange { start, length })
        })
        .collect()
}

/// Mounts an overlay of three directories on a tmpfs and makes a file in it.
fn try_overlay(map: Option<&IdMap>) -> Fallible<()> {
    let marks = match map {
        Some(map) => {
            userns::enter(map)?;
            Marks::User
        }
        None => Marks::Trusted,
    };
    process::unshare(UnshareFlags::NEWNS).map_err(|errno| userns::denied("unshare(CLONE_NEWNS)", errno))?;
    crate::run::make_private()?;
    let trial = overlay::tmpfs(&[("mode", "0755")], MountAttrFlags::empty())?;
    crate::run::attach_at(trial.as_fd(), TRIAL)?;
    let path = |name: &str| format!("{TRIAL}/{name}");
    for name in ["lower", "upper", "work"] {
        fs::create_dir(path(name)).map_err(|error| Failure::io(format!("mkdir({name:?})"), &error))?;
    }
    let root = Root { lower: vec![path("lower")], upper: Some(path("upper")), work: Some(path("work")) };
    let snapshot = overlay::mount(&root, marks)?;
    rustix::fs::mkdirat(&snapshot, c"made", rustix::fs::Mode::RWXU)
        .map_err(|errno| Failure::syscall("mkdirat(overlay, \"made\")", errno))
}

fn overlay_fix() -> String {
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if filesystems.lines().any(|line| line.trim() == "nodev\toverlay" || line.trim().ends_with("overlay")) {
        return format!("run as root, or let this user make namespaces: {}", userns::policy());
    }
    "modprobe overlay".into()
}

/// Installs the very filter that steps get.
fn try_seccomp(root: bool) -> Fallible<()> {
    if !root {
        userns::enter(&own_map())?;
    }
    process::set_seccomp_filter(&seccomp::filter(Security::Sandbox).unwrap_or_default())
        .map_err(|errno| Failure::syscall("seccomp(SECCOMP_SET_MODE_FILTER)", errno))
}

fn seccomp_fix() -> String {
    "use a kernel with CONFIG_SECCOMP_FILTER=y; in an outer container allow seccomp(2)".into()
}
