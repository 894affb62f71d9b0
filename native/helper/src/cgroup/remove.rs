//! The end of cgroups: whatever runs in them is killed, then the directories go.

use crate::protocol::SessionCgroup;
use crate::sys::process;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The kernel needs a moment to take a killed process out of its cgroup.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(1);

/// Kills everything in these cgroups and below them, and removes them. What is gone already is no error.
///
/// # Errors
/// The path that is left, with why.
pub(crate) fn remove(cgroups: &[SessionCgroup]) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    // Most often everything has ended already.
    let mut left: Vec<PathBuf> = cgroups.iter().map(|one| PathBuf::from(&one.path)).collect();
    loop {
        let mut last = None;
        left.retain(|path| match remove_tree(path) {
            Ok(()) => false,
            Err(error) => {
                last = Some(format!("rmdir({path:?}): {error}"));
                true
            }
        });
        let Some(reason) = last else { return Ok(()) };
        if Instant::now() > deadline {
            return Err(reason);
        }
        left.iter().for_each(|path| kill(path));
        std::thread::sleep(PAUSE);
    }
}

/// Removes a directory and those below it, if no process is in any of them.
pub(crate) fn remove_tree(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {}
        other => return other,
    }
    for child in children(path) {
        remove_tree(&child)?;
    }
    fs::remove_dir(path)
}

/// Kills every process in a cgroup and below it.
pub(crate) fn kill(path: &Path) {
    if fs::write(path.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    // Version 1, or a kernel before 5.14. Whoever forks faster than this is met again in the next round.
    let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    // A process of another pid namespace is shown as 0.
    for pid in text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0) {
        process::kill(pid, libc::SIGKILL);
    }
    children(path).iter().for_each(|child| kill(child));
}

/// The cgroups directly below one.
pub(crate) fn children(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}
