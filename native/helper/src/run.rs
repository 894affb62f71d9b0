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
mod stdio;
mod stubs;
mod terminal;
mod tree;
mod user;

use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{Exceeded, LimitOwner, Outcome, Reply, Resource, Run};
use crate::sys::process::{self, Ended, Side};
use cgroup::Cgroup;
use init::Init;
use pump::Listener;
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
/// The signals that the supervisor passes on to the step.
pub(crate) const PASSED_ON: [i32; 6] =
    [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];

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
    // First, so that the passed descriptors are not taken for ours.
    let (inside, outside) = stdio::wire(run)?;
    let (status, status_end) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| Failure::syscall("pipe2(O_CLOEXEC)", errno))?;
    process::block_signals(&PASSED_ON);
    let init =
        match process::fork_into_pid_namespace().map_err(|errno| tree::denied("clone(CLONE_NEWPID)".into(), errno))? {
            Side::Child => {
                drop((status, outside));
                Init { run, marks, status: status_end, stdio: inside, cgroup }.be()
            }
            Side::Parent(pid) => pid,
        };
    drop((status_end, inside));
    let signals = process::signal_fd(&PASSED_ON).map_err(|errno| Failure::syscall("signalfd(SIGTERM, …)", errno))?;
    let mut supervisor = Supervisor { init, signals: &signals, line: Vec::new(), last: None, bundles: Vec::new() };
    let mut carried = outside.connect(&signals, &mut supervisor)?;
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
                Ok(note) => self.last = Some(note),
                Err(_) => {}
            }
        }
    }

    fn signal(&mut self) {
        // One siginfo is 128 bytes and begins with the number; all that are pending fit.
        let mut pending = [0_u8; 1024];
        let length = rustix::io::read(self.signals, &mut pending).unwrap_or(0);
        for info in pending.get(..length).unwrap_or_default().chunks_exact(128) {
            if let Some(&[a, b, c, d]) = info.first_chunk::<4>() {
                process::kill(self.init, i32::from_ne_bytes([a, b, c, d]));
            }
        }
    }
}
