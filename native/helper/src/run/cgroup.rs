//! The cgroups of a run: one child of each of the session's. They limit it, count what it uses, and tell which limit
//! ended it.

use crate::cgroup::{devices, limits, remove, usage};
use crate::error::{Failure, Fallible};
use crate::protocol::{Exceeded, LimitOwner, Limits, Reply, Resource, Run, Security, SessionCgroup};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

/// The directories of one run.
#[derive(Debug)]
pub(crate) struct Cgroups<'r> {
    session: &'r [SessionCgroup],
    own: Vec<SessionCgroup>,
    limits_memory: bool,
}

impl<'r> Cgroups<'r> {
    /// Makes `<session>/<id>` in each hierarchy and writes the limits.
    ///
    /// # Errors
    /// A failed `mkdir`; an id that is no single name; `ERR_CGROUP` for a limit that cannot be had. None is left then.
    pub(crate) fn create(run: &'r Run) -> Fallible<Self> {
        let mut made =
            Self { session: &run.cgroups, own: Vec::new(), limits_memory: run.limits.memory_bytes.is_some() };
        for parent in &run.cgroups {
            match parent.child(&run.id) {
                Ok(child) => made.own.push(child),
                Err(failure) => {
                    made.remove();
                    return Err(failure);
                }
            }
        }
        let refused = limits::write(&made.own, &run.limits);
        if let Some(one) = refused.iter().find(|one| !is_implied(&run.limits, &one.limit)) {
            made.remove();
            let text = format!("the limit {} of the step cannot be enforced: {}", one.limit, one.reason);
            return Err(Failure::environment("ERR_CGROUP", text));
        }
        if run.security != Security::Insecure {
            made.restrict_devices();
        }
        Ok(made)
    }

    fn restrict_devices(&self) {
        let controlled = self.own.iter().find(|one| one.version == 1 && one.has("devices"));
        if let Some(Err(failure)) = controlled.map(devices::restrict) {
            warn("devices-unrestricted", failure.message);
        }
    }

    /// The directory of version 2, in which a process can be born without the cost of moving it.
    pub(crate) fn birthplace(&self) -> Option<OwnedFd> {
        let unified = self.own.iter().find(|one| one.version == 2)?;
        rustix::fs::open(unified.path.as_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
    }

    /// Moves a process in, where it was not born there.
    pub(crate) fn admit(&self, pid: i32, born_inside: bool) -> Fallible<()> {
        let moved = self.own.iter().filter(|one| one.version == 1 || !born_inside);
        moved.into_iter().try_for_each(|one| one.write("cgroup.procs", &pid.to_string()))
    }

    /// What the run used so far, where it is counted.
    pub(crate) fn counted(&self) -> usage::Counted {
        usage::count(&self.own)
    }

    /// Its cgroup that limits processes, and the session's.
    pub(crate) fn pids(&self) -> Option<(&SessionCgroup, &SessionCgroup)> {
        self.own.iter().zip(self.session).find(|(own, _)| own.has("pids"))
    }

    /// The limit that the run met. Whether it was ended by that, the caller knows.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        let memory = self.own.iter().find(|one| one.has("memory")).filter(|one| usage::oom_kills(one) > 0);
        if let Some(one) = memory {
            let own = self.limits_memory && usage::memory_limit_hits(one) > 0;
            return Some(Exceeded { resource: Resource::Memory, owner: owner(own) });
        }
        let (own, _) = self.pids()?;
        (usage::failed_forks(own) > 0)
            .then(|| Exceeded { resource: Resource::Pids, owner: owner(usage::reached_pids_limit(own)) })
    }

    /// Kills what is left and removes the directories. What stays is a warning: the session tries again.
    pub(crate) fn remove(&self) {
        if let Err(reason) = remove::remove(&self.own) {
            warn("cgroup-left", reason);
        }
    }
}

/// Twice the memory is what docker makes of a limit of memory alone: where swap is not counted, nobody asked for it.
fn is_implied(limits: &Limits, name: &str) -> bool {
    name == "memorySwapBytes" && limits.memory_swap_bytes == limits.memory_bytes.and_then(|bytes| bytes.checked_mul(2))
}

fn owner(own: bool) -> LimitOwner {
    if own { LimitOwner::Run } else { LimitOwner::Session }
}

fn warn(code: &str, message: String) {
    crate::report(&Reply::Warning { code: code.to_owned(), message });
}
