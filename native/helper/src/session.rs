//! `session`: what the runs of one build share, held until SIGTERM or the caller's death.
//!
//! Cgroups with the limits of the build, and a network namespace that a program in user space connects. Runs get both
//! by path and by descriptor (docs/dev/native.md). Nothing of it outlives this process: the program has a pid namespace
//! of its own whose first process dies with this one; the cgroups are removed here, or by the next session.

mod cgroups;
mod network;
mod routes;
mod tool;

use crate::error::{Failure, Fallible};
use crate::protocol::{Outcome, Reply, Session};
use crate::sanitise;
use crate::sys::process;
use cgroups::Cgroups;
use network::Network;

/// Where a session of this user would make its cgroups.
pub(crate) use cgroups::usable;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::OwnedFd;

/// What ends a session: its caller by SIGTERM, and the caller's death by SIGHUP.
const END: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Makes it, says so, and waits for its end.
///
/// # Errors
/// What kept it from being made; `ERR_NETWORK` where its network was lost.
pub(crate) fn session(session: &Session) -> Fallible<Outcome> {
    process::block_signals(&END);
    sanitise::be_told_of_parents_death()?;
    let cgroups = Cgroups::make(session)?;
    let ended = hold(session, &cgroups);
    let removed = cgroups.remove();
    ended.and(removed).map(|()| Outcome::Session {})
}

fn hold(session: &Session, cgroups: &Cgroups) -> Fallible<()> {
    let signals = process::signal_fd(&END).map_err(|errno| Failure::syscall("signalfd(SIGTERM, …)", errno))?;
    let network = session.network.as_ref().map(Network::make).transpose()?;
    crate::report(&Reply::Session {
        pid: rustix::process::getpid().as_raw_nonzero().get().unsigned_abs(),
        cgroups: cgroups.made().to_vec(),
        unlimited: cgroups.unlimited().to_vec(),
    });
    match network {
        Some(network) => network.hold(&signals),
        None => wait_for(&signals),
    }
}

fn wait_for(signals: &OwnedFd) -> Fallible<()> {
    let mut polled = [PollFd::new(signals, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut polled, None) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Failure::syscall("poll(signalfd)", errno)),
        }
    }
}
