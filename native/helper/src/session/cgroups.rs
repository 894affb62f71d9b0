//! The cgroups of a session: one directory in each usable hierarchy, named after the session and locked by it.
//!
//! The lock tells the living from the dead: a session that was killed leaves empty directories behind, and whoever
//! can lock one may remove it. Process ids would not do, for they mean something else in each container.

use crate::cgroup::hierarchy::{self, Hierarchy, WANTED};
use crate::cgroup::{self, limits, remove};
use crate::error::{Failure, Fallible};
use crate::protocol::{Session, SessionCgroup, Unlimited};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What their names begin with. No unit of systemd has such a name: it would hold a dot.
const PREFIX: &str = "tsbuild-session-";

/// How often a directory is made again that somebody swept away before it was locked, and what lies between.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// The directories, locked.
#[derive(Debug)]
pub(crate) struct Cgroups {
    made: Vec<SessionCgroup>,
    unlimited: Vec<Unlimited>,
    /// Parents that were not there before, the deepest first.
    parents: Vec<PathBuf>,
    _locks: Vec<OwnedFd>,
}

impl Cgroups {
    /// Makes a directory in every hierarchy that lets this user, and writes the limits.
    ///
    /// # Errors
    /// An id or parent that is no name; a cgroup parent that was asked for and cannot be used in any hierarchy.
    pub(crate) fn make(session: &Session) -> Fallible<Self> {
        if !cgroup::is_name(&session.id) {
            return Err(Failure::internal(format!("{:?} cannot name a cgroup", session.id)));
        }
        let parent = session.cgroup_parent.as_deref().map(relative).transpose()?;
        let mut all = Self { made: Vec::new(), unlimited: Vec::new(), parents: Vec::new(), _locks: Vec::new() };
        let mut refused = Vec::new();
        for hierarchy in hierarchy::find() {
            if let Err(failure) = all.make_in(&hierarchy, parent.as_deref(), &session.id) {
                refused.push(failure);
            }
        }
        if let (Some(parent), true, Some(failure)) = (&parent, all.made.is_empty(), refused.pop()) {
            // Parents may have been made all the same.
            let _ = all.remove();
            let text = format!("the cgroup parent {parent:?} cannot be used: {}", failure.message);
            return Err(Failure::environment("ERR_CGROUP", text));
        }
        all.unlimited = limits::write(&all.made, &session.limits);
        Ok(all)
    }

    fn make_in(&mut self, hierarchy: &Hierarchy, parent: Option<&Path>, id: &str) -> Fallible<()> {
        let base = match parent {
            Some(parent) => self.make_parent(hierarchy, parent)?,
            None => base(hierarchy),
        };
        sweep(&base);
        let base = hierarchy.directory(&base);
        let (mut made, lock) = make_locked(&base, &format!("{PREFIX}{id}"))?;
        self._locks.push(lock);
        if made.version == 2 {
            made.controllers = hand_down(Path::new(&made.path));
        }
        self.made.push(made);
        Ok(())
    }

    fn make_parent(&mut self, hierarchy: &Hierarchy, parent: &Path) -> Fallible<PathBuf> {
        let mut at = hierarchy.mount.clone();
        for part in parent {
            let above = hierarchy.directory(&at);
            at.push(part);
            if !at.is_dir() {
                above.child(&part.to_string_lossy())?;
                self.parents.insert(0, at.clone());
            }
            if hierarchy.version == 2 {
                hand_down(&at);
            }
        }
        Ok(at)
    }

    /// What was made.
    pub(crate) fn made(&self) -> &[SessionCgroup] {
        &self.made
    }

    /// The limits that cannot be had.
    pub(crate) fn unlimited(&self) -> &[Unlimited] {
        &self.unlimited
    }

    /// Ends whatever is left in them and removes them.
    pub(crate) fn remove(&self) -> Fallible<()> {
        let removed = remove::remove(&self.made);
        // One that others use by now stays.
        self.parents.iter().for_each(|path| drop(fs::remove_dir(path)));
        removed.map_err(|reason| Failure::environment("ERR_HELPER_SYSCALL", reason))
    }
}

/// A path of names, as `ci/jobs`.
fn relative(text: &str) -> Fallible<PathBuf> {
    let path = text.trim_matches('/');
    let known = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if path.split('/').all(known) {
        return Ok(PathBuf::from(path));
    }
    Err(Failure::environment("ERR_CGROUP", format!("{text:?} cannot name a cgroup")))
}

/// Where children of this process's own rights can be made with the most controllers.
///
/// A cgroup of version 2 that holds processes can hand no controller down, so beside it may be better than below it.
fn base(hierarchy: &Hierarchy) -> PathBuf {
    let own = hierarchy.own.clone();
    if hierarchy.version == 1 || own == hierarchy.mount {
        return own;
    }
    let below = hand_down(&own);
    match own.parent() {
        Some(parent) if hand_down(parent).len() > below.len() && is_writable(parent) => parent.to_owned(),
        _ => own,
    }
}

/// Where a session would make its directory in a hierarchy, with the controllers it would have; none where it cannot.
/// Changes nothing.
pub(crate) fn usable(hierarchy: &Hierarchy) -> Option<SessionCgroup> {
    let mut candidates = vec![hierarchy.own.clone()];
    if hierarchy.version == 2 && hierarchy.own != hierarchy.mount {
        candidates.extend(hierarchy.own.parent().map(Path::to_owned));
    }
    let with_controllers = |path: PathBuf| {
        let mut one = hierarchy.directory(&path);
        if one.version == 2 {
            // Without processes of its own, or as the root of the machine, which has no type, it hands down what it has.
            let free = one.read("cgroup.procs").is_empty() || !path.join("cgroup.type").exists();
            let text = one.read(if free { "cgroup.controllers" } else { "cgroup.subtree_control" });
            one.controllers = text.split_whitespace().filter(|name| WANTED.contains(name)).map(str::to_owned).collect();
        }
        one
    };
    let all = candidates.into_iter().filter(|path| is_writable(path)).map(with_controllers);
    // Of equals the first.
    all.rev().max_by_key(|one| one.controllers.len())
}

fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Hands the wanted controllers of a directory of version 2 down to its children; returns those that they have.
fn hand_down(path: &Path) -> Vec<String> {
    let list = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(path.join(file)).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let control = path.join("cgroup.subtree_control");
    let there = list("cgroup.subtree_control");
    for controller in list("cgroup.controllers") {
        if WANTED.contains(&controller.as_str()) && !there.contains(&controller) {
            // One at a time: one that is refused must not keep the others away.
            let _ = fs::write(&control, format!("+{controller}"));
        }
    }
    let wanted = |name: &String| WANTED.contains(&name.as_str());
    list("cgroup.subtree_control").into_iter().filter(wanted).collect()
}

/// Makes a directory and locks it.
///
/// Between the two it looks like a dead session's, and whoever begins at that moment may remove it: then it is made again.
fn make_locked(base: &SessionCgroup, name: &str) -> Fallible<(SessionCgroup, OwnedFd)> {
    let mut failure = Failure::internal(format!("{name:?} in {:?} is another session's", base.path));
    for _ in 0..ATTEMPTS {
        match base.child(name) {
            Ok(made) => match lock(Path::new(&made.path)) {
                Some(held) => return Ok((made, held)),
                None => std::thread::sleep(PAUSE),
            },
            // It is just being removed, or was while it was given its processors.
            Err(error) if matches!(error.errno, Some(Errno::EXIST | Errno::NOENT | Errno::NODEV)) => {
                failure = error;
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    Err(failure)
}

/// Locks a directory until the descriptor is closed; none where another process has it, or has removed it.
fn lock(path: &Path) -> Option<OwnedFd> {
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive).ok()?;
    let (held, there) = (rustix::fs::fstat(&fd).ok()?, rustix::fs::stat(path).ok()?);
    // Who held it before may have removed it, and its name may be another's by now.
    ((held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)).then_some(fd)
}

/// Removes what dead sessions left: directories with our name that nobody holds and nothing runs in.
fn sweep(base: &Path) {
    for path in remove::children(base) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let ours = name.strip_prefix(PREFIX).is_some_and(cgroup::is_name);
        if ours && let Some(_held) = lock(&path) {
            // What is busy stays for the next one: this is no place to kill.
            let _ = remove::remove_tree(&path);
        }
    }
}
