//! The cgroup of a run: counts its kills for want of memory and ends whatever is left of it.

use crate::error::{Failure, Fallible};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// One cgroup v2 directory.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes `<parent>/<id>`.
    ///
    /// # Errors
    /// A failed `mkdir`; an id that is no single name.
    pub(crate) fn create(parent: &str, id: &str) -> Fallible<Self> {
        if id.is_empty() || id == "." || id == ".." || id.contains('/') {
            return Err(Failure::internal(format!("{id:?} cannot name a cgroup")));
        }
        let path = Path::new(parent).join(id);
        fs::create_dir(&path).map_err(|error| Failure::io(format!("mkdir({path:?})"), &error))?;
        Ok(Self { path })
    }

    /// Moves the calling process in.
    pub(crate) fn join(&self) -> Fallible<()> {
        let path = self.path.join("cgroup.procs");
        fs::write(&path, "0").map_err(|error| Failure::io(format!("write({path:?}, \"0\")"), &error))
    }

    /// Whether the kernel ended a process of this cgroup for want of memory.
    pub(crate) fn oom_killed(&self) -> bool {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        events
            .lines()
            .filter_map(|line| line.strip_prefix("oom_kill "))
            .any(|count| count.trim().parse::<u64>().is_ok_and(|count| count > 0))
    }

    /// Kills what is left and removes the directory. Its last process is gone when this returns.
    pub(crate) fn destroy(self) -> Fallible<()> {
        let call = || format!("rmdir({:?})", self.path);
        match fs::remove_dir(&self.path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
            Err(error) => return Err(Failure::io(call(), &error)),
        }
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
        self.wait_until_empty()?;
        fs::remove_dir(&self.path).map_err(|error| Failure::io(call(), &error))
    }

    fn wait_until_empty(&self) -> Fallible<()> {
        let path = self.path.join("cgroup.events");
        let fail = |error: &std::io::Error| Failure::io(format!("read({path:?})"), error);
        loop {
            let file = fs::File::open(&path).map_err(|error| fail(&error))?;
            let events = std::io::read_to_string(&file).map_err(|error| fail(&error))?;
            if events.lines().any(|line| line == "populated 0") {
                return Ok(());
            }
            // The kernel reports a change of this file as POLLPRI to descriptors that have read it.
            let mut polled = [rustix::event::PollFd::new(&file, rustix::event::PollFlags::PRI)];
            let _ = rustix::event::poll(&mut polled, None);
        }
    }
}
