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
mod init;
mod kernel;
mod mounts;
mod pump;
mod report;
mod rootfs;
pub(crate) mod seccomp;
mod sources;
mod stubs;
mod tree;
mod ulimits;
mod unexecutable;
mod user;

use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{Exceeded, LimitOwner, Outcome, Reply, Resource, Run};
use crate::sys::process::{self, Ended, Side};
use cgroup::Cgroup;
use exec::Streams;
use init::Init;
use pump::{Listener, Stream};
use report::Note;
use rustix::fd::OwnedFd;
use rustix::pipe::PipeFlags;

/// Attaches a detached mount at a directory of the current namespace.
pub(crate) use rootfs::attach_at;
/// Makes every mount of the current namespace private.
pub(crate) use rootfs::make_private;

const STDOUT_FD: i32 = 3;
const STDERR_FD: i32 = 4;
const STDIN_FD: i32 = 5;
/// The signals that ask the supervisor to end the step.
pub(crate) const END: [i32; 2] = [libc::SIGTERM, libc::SIGINT];

/// Runs the step and waits for it.
///
/// # Errors
/// What kept the sandbox from being made; a step that failed is a result.
pub(crate) fn run(run: &Run, marks: Marks) -> Fallible<Outcome> {
    let unified = run.cgroups.iter().find(|cgroup| cgroup.version == 2);
    let cgroup = unified.map(|cgroup| Cgroup::create(&cgroup.path, &run.id)).transpose()?;
    let ended = supervise(run, marks, cgroup.as_ref());
    let oom_killed = cgroup.as_ref().is_some_and(Cgroup::oom_killed);
    if let Some(cgroup) = cgroup {
        cgroup.destroy()?;
    }
    let Finished { note, bundles } = ended?;
    if let (Some(pem), Some(upper)) = (&run.trust_ca, &run.root.upper) {
        ca::strip(upper, pem, &bundles)?;
    }
    match note {
        Note::Ended { code, signal, user_micros, system_micros, max_rss_bytes } => Ok(Outcome::Run {
            exit_code: signal.map_or(u32::from(code), |signal| 128 + signal),
            signal,
            exceeded: oom_killed.then_some(Exceeded { resource: Resource::Memory, owner: LimitOwner::Run }),
            user_micros,
            system_micros,
            peak_memory_bytes: max_rss_bytes,
            read_bytes: 0,
            written_bytes: 0,
        }),
        Note::Failed { kind, code, message, errno } => Err(report::failure(kind, &code, message, errno)),
        Note::Started { .. } => Err(Failure::internal("init ended without a report")),
    }
}

struct Finished {
    note: Note,
    bundles: Vec<Vec<u8>>,
}

fn supervise(run: &Run, marks: Marks, cgroup: Option<&Cgroup>) -> Fallible<Finished> {
    // First, so that their numbers cannot be those of descriptors of our own.
    let passed = [process::take_passed(STDOUT_FD), process::take_passed(STDERR_FD)];
    let input = input(run)?;
    let (status, status_end) = pipe(PipeFlags::CLOEXEC)?;
    let (output, output_end) = pipe(PipeFlags::CLOEXEC)?;
    let (error, error_end) = pipe(PipeFlags::CLOEXEC)?;
    let streams = Streams { input, output: output_end, error: error_end };
    for fd in [&output, &error] {
        rustix::io::ioctl_fionbio(fd, true).map_err(|errno| Failure::syscall("ioctl(pipe, FIONBIO)", errno))?;
    }
    process::block_signals(&END);
    let init =
        match process::fork_into_pid_namespace().map_err(|errno| tree::denied("clone(CLONE_NEWPID)".into(), errno))? {
            Side::Child => {
                drop((status, output, error, passed));
                Init { run, marks, status: status_end, streams, cgroup }.be()
            }
            Side::Parent(pid) => pid,
        };
    drop((status_end, streams));
    let signals = process::signal_fd(&END).map_err(|errno| Failure::syscall("signalfd(SIGTERM, SIGINT)", errno))?;
    let [passed_output, passed_error] = passed;
    let mut carried = [Stream::new(output, passed_output), Stream::new(error, passed_error)];
    let mut supervisor = Supervisor { init, signals: &signals, line: Vec::new(), last: None, bundles: Vec::new() };
    pump::pump(&mut carried, &status, &signals, &mut supervisor)?;
    let Supervisor { last, bundles, .. } = supervisor;
    let note = match (last, process::wait_child(init, true)) {
        (Some(note @ (Note::Ended { .. } | Note::Failed { .. })), _) => note,
        // Init was killed: for want of memory, or by someone on the host. The step went with it.
        (_, process::Waited::Gone(_, Ended::Signal(signal))) => {
            Note::ended(Ended::Signal(signal), process::children_used())
        }
        _ => return Err(Failure::internal("init ended without a report")),
    };
    Ok(Finished { note, bundles })
}

fn pipe(flags: PipeFlags) -> Fallible<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(flags).map_err(|errno| Failure::syscall("pipe2(O_CLOEXEC)", errno))
}

/// The step's input: the passed descriptor, or a pipe that nobody writes to.
fn input(run: &Run) -> Fallible<OwnedFd> {
    if run.stdin {
        return process::take_passed(STDIN_FD)
            .ok_or_else(|| Failure::internal("stdin is asked for, but fd 5 is not open"));
    }
    pipe(PipeFlags::CLOEXEC).map(|(read, _)| read)
}

struct Supervisor<'s> {
    init: i32,
    signals: &'s OwnedFd,
    line: Vec<u8>,
    last: Option<Note>,
    bundles: Vec<Vec<u8>>,
}

impl Listener for Supervisor<'_> {
    fn status(&mut self, bytes: &[u8]) {
        self.line.extend_from_slice(bytes);
        while let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Note::Started { bundles }) => {
                    self.bundles = bundles;
                    crate::report(&Reply::Started { pid: self.init.unsigned_abs() });
                }
                // The step's own process may have failed before it became the step; then init only saw it end.
                Ok(_) if matches!(self.last, Some(Note::Failed { .. })) => {}
                Ok(note) => self.last = Some(note),
                Err(_) => {}
            }
        }
    }

    fn signal(&mut self) {
        // One siginfo is 128 bytes; all that are pending fit.
        let mut pending = [0_u8; 1024];
        let _ = rustix::io::read(self.signals, &mut pending);
        process::kill(self.init, libc::SIGTERM);
    }
}
