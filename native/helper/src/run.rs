//! `run`: one process in a snapshot, in namespaces of its own.
//!
//! This process stays outside as the supervisor: it carries output, passes SIGTERM on and reports. Its child is the
//! first process of the new pid namespace ([`init`]), whose child becomes the step ([`exec`]). Each dies with its
//! parent, and with the first process the kernel ends the whole namespace, mounts included.

mod ca;
mod caps;
mod cgroup;
mod device;
mod exec;
mod forks;
mod init;
mod java;
mod jks;
mod kernel;
mod mapping;
mod mounts;
mod pump;
mod report;
mod rootfs;
pub(crate) mod seccomp;
mod sources;
mod stdio;
mod stubs;
mod supervisor;
mod terminal;
pub(crate) mod tree;
mod ulimits;
mod unexecutable;
mod user;

use crate::cgroup::usage::Counted;
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{Exceeded, LimitOwner, Outcome, Resource, Run};
use crate::sanitise;
use crate::sys::process::{self, Ended, Side};
use ca::Changed;
use cgroup::Cgroups;
use forks::Watch;
use init::Init;
use mapping::Mapping;
use report::Note;
use rustix::fd::{AsFd, OwnedFd};
use rustix::pipe::PipeFlags;
use std::time::Duration;
use supervisor::Supervisor;

/// The signals that a run deals with itself.
pub(crate) use supervisor::SIGNALS;

/// Attaches a detached mount at a directory of the current namespace.
pub(crate) use rootfs::attach_at;
/// Makes every mount of the current namespace private.
pub(crate) use rootfs::make_private;

const STDOUT_FD: i32 = 3;
const STDERR_FD: i32 = 4;
const STDIN_FD: i32 = 5;
const NETWORK_FD: i32 = 7;

/// Runs the step and waits for it.
///
/// # Errors
/// What kept the sandbox from being made; a step that failed is a result.
pub(crate) fn run(run: &Run, marks: Marks) -> Fallible<Outcome> {
    process::block_signals(&SIGNALS);
    // From here on there is something to remove.
    sanitise::be_told_of_parents_death()?;
    let cgroups = Cgroups::create(run)?;
    let ended = supervise(run, marks, &cgroups);
    let (counted, exceeded) = (cgroups.counted(), cgroups.exceeded());
    cgroups.remove();
    let Finished { note, changed, bomb } = ended?;
    let stripped = match (&run.trust_ca, &run.root.upper) {
        (Some(pem), Some(upper)) => ca::strip(upper, pem, &changed),
        _ => Ok(()),
    };
    match note {
        Note::Ended { code, signal, used } => {
            let exit_code = signal.map_or(u32::from(code), |signal| 128 + signal);
            if exit_code == 0 {
                // Certificates must not reach a layer. A step that failed gives none.
                stripped?;
            }
            let bomb = bomb.map(|owner| Exceeded { resource: Resource::Pids, owner });
            Ok(outcome(exit_code, signal, bomb.or(exceeded.filter(|_| exit_code != 0)), used, counted))
        }
        Note::Failed { kind, code, message, errno } => Err(report::failure(kind, &code, message, errno)),
        Note::Started { .. } => Err(Failure::internal("init ended without a report")),
    }
}

/// What cgroups counted goes before what the kernel says of ended processes.
fn outcome(
    exit_code: u32,
    signal: Option<u32>,
    exceeded: Option<Exceeded>,
    used: process::Used,
    counted: Counted,
) -> Outcome {
    let (user_micros, system_micros) = counted.cpu_micros.unwrap_or((used.user_micros, used.system_micros));
    let (read_bytes, written_bytes) = counted.io_bytes.unwrap_or((used.read_bytes, used.written_bytes));
    let peak_memory_bytes = counted.peak_memory_bytes.unwrap_or(used.max_rss_bytes);
    Outcome::Run {
        exit_code,
        signal,
        exceeded,
        user_micros,
        system_micros,
        peak_memory_bytes,
        read_bytes,
        written_bytes,
    }
}

struct Finished {
    note: Note,
    changed: Changed,
    /// Whose limit of processes it met until it was killed for that.
    bomb: Option<LimitOwner>,
}

fn supervise(run: &Run, marks: Marks, cgroups: &Cgroups<'_>) -> Fallible<Finished> {
    // First, so that their numbers cannot be those of descriptors of our own.
    let network = process::take_passed(NETWORK_FD);
    let (inside, outside) = stdio::wire(run)?;
    let (status, status_end) = pipe(PipeFlags::CLOEXEC)?;
    let (admitted, admission) = pipe(PipeFlags::CLOEXEC)?;
    let signals = process::signal_fd(&SIGNALS).map_err(|errno| Failure::syscall("signalfd(SIGTERM, …)", errno))?;
    let mapping = Mapping::make(run, marks)?;
    let (side, born_inside) = bear(cgroups)?;
    let init = match side {
        Side::Child => {
            drop((status, outside, admission, signals));
            Init { run, marks, mapping: &mapping, status: status_end, stdio: inside, admitted, network }.be()
        }
        Side::Parent(pid) => pid,
    };
    drop((status_end, inside, admitted, network, mapping));
    if let Err(failure) = cgroups.admit(init, born_inside) {
        process::kill(init, libc::SIGKILL);
        process::wait_child(init, true);
        return Err(failure);
    }
    let _ = rustix::io::write(&admission, b"1");
    drop(admission);
    let forks = cgroups.pids().map(|(own, session)| Watch::new(own, session));
    let grace = Duration::from_millis(run.stop_grace_ms.into());
    let mut supervisor = Supervisor::new(init, &signals, grace, forks);
    let mut carried = outside.connect(&signals, &mut supervisor)?;
    pump::pump(&mut carried, &status, &signals, &mut supervisor)?;
    let Supervisor { last, changed, bomb, .. } = supervisor;
    let note = match (last, process::wait_child(init, true)) {
        (Some(note @ (Note::Ended { .. } | Note::Failed { .. })), _) => note,
        // Init was killed: for want of memory, or by someone on the host. The step went with it.
        (_, process::Waited::Gone(_, Ended::Signal(signal))) => {
            Note::ended(Ended::Signal(signal), process::children_used())
        }
        _ => return Err(Failure::internal("init ended without a report")),
    };
    Ok(Finished { note, changed, bomb })
}

/// Starts init, in its cgroup of version 2 where there is one and the kernel knows how.
fn bear(cgroups: &Cgroups<'_>) -> Fallible<(Side, bool)> {
    let inside = cgroups.birthplace().and_then(|place| process::fork_into_cgroup(place.as_fd()).ok());
    if let Some(side) = inside {
        return Ok((side, true));
    }
    process::fork_into_pid_namespace()
        .map(|side| (side, false))
        .map_err(|errno| tree::denied("clone(CLONE_NEWPID)".into(), errno))
}

fn pipe(flags: PipeFlags) -> Fallible<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(flags).map_err(|errno| Failure::syscall("pipe2(O_CLOEXEC)", errno))
}
