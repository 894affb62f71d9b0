//! The first thing this program does: it makes its own state known, whatever the parent left.

use crate::error::{Failure, Fallible};
use crate::sys::process;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Resource, Rlimit, Signal};

/// The first descriptor number that no request passes: 0–2 are the protocol, 3–6 bulk data, 7 and 8 namespaces.
pub(crate) const FIRST_UNUSED: i32 = 9;

/// Dies with the parent, closes what was not passed on purpose, and resets signals, umask and limits.
///
/// # Errors
/// A failed call; the caller must not go on.
pub(crate) fn sanitise() -> Fallible<()> {
    die_with_parent()?;
    process::close_from(FIRST_UNUSED.unsigned_abs(), false)
        .map_err(|errno| Failure::syscall("close_range(9, ~0U)", errno))?;
    (3..FIRST_UNUSED).for_each(process::close_on_exec);
    // Node leaves SIGPIPE ignored; here that is right too, since a reader that goes away must not end a step,
    // and a file that reaches the limit of this process is to be said like a full disk.
    process::reset_signals(true);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    // The hard limit stays what it is: a step may be asked to have more, which nobody but real root could raise again.
    let core = rustix::process::getrlimit(Resource::Core);
    limit(Resource::Core, Rlimit { current: Some(0), maximum: core.maximum })?;
    let files = rustix::process::getrlimit(Resource::Nofile);
    limit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })
}

/// Asks the kernel for SIGKILL when the parent dies. A change of credentials clears this, so it is called again then.
///
/// # Errors
/// The parent is gone already.
pub(crate) fn die_with_parent() -> Fallible<()> {
    ask_for_signal(Signal::KILL)
}

/// Asks for SIGHUP in place of SIGKILL, for an operation that has something to remove before it ends. It must block and
/// read that signal first.
///
/// # Errors
/// The parent is gone already.
pub(crate) fn be_told_of_parents_death() -> Fallible<()> {
    ask_for_signal(Signal::HUP)
}

fn ask_for_signal(signal: Signal) -> Fallible<()> {
    rustix::process::set_parent_process_death_signal(Some(signal))
        .map_err(|errno| Failure::syscall(format!("prctl(PR_SET_PDEATHSIG, {signal:?})"), errno))?;
    // The parent may have died before the call. Its death closes the other end of standard output, which polling shows
    // without a look at process ids (a parent of id 1 is no sign of anything in a container).
    let stdout = std::io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let gone = PollFlags::ERR | PollFlags::HUP;
    match rustix::event::poll(&mut polled, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(_) if polled.iter().any(|fd| fd.revents().intersects(gone)) => {
            Err(Failure::internal("the parent process is gone"))
        }
        _ => Ok(()),
    }
}

fn limit(resource: Resource, value: Rlimit) -> Fallible<()> {
    rustix::process::setrlimit(resource, value)
        .map_err(|errno| Failure::syscall(format!("setrlimit({resource:?})"), errno))
}
