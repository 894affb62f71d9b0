//! The network namespace of a session. This process is in it; the program that connects it stays outside.

use super::routes;
use super::tool::{self, Tool};
use crate::error::{Failure, Fallible};
use crate::protocol::{Reply, SessionNetwork};
use crate::sys::process::{self, Side};
use crate::userns;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::pipe::PipeFlags;
use rustix::thread::UnshareFlags;
use std::time::{Duration, Instant};

/// How long the program may take until the network is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// What of its complaint is passed on.
const SAID_BYTES: usize = 2048;

/// A namespace whose program is about to start.
#[derive(Debug)]
pub(crate) struct Network {
    tool: Tool,
    /// The first process of the program's pid namespace.
    init: i32,
    /// What that one says: [`tool::READY`], or why there is none.
    status: OwnedFd,
    /// How long it may take to say so.
    patience: Duration,
}

impl Network {
    /// Enters a new network namespace and lets the program start.
    ///
    /// # Errors
    /// `ERR_TOOL_MISSING`; what keeps the namespace from being made.
    pub(crate) fn make(request: &SessionNetwork) -> Fallible<Self> {
        let tool = Tool::find(request)?;
        let (status, status_end) = pipe()?;
        let (made, made_end) = pipe()?;
        // Before the namespace is made, for the program must stay in that of the host.
        let init =
            match process::fork_into_pid_namespace().map_err(|errno| userns::denied("clone(CLONE_NEWPID)", errno))? {
                Side::Child => {
                    drop((status, made_end));
                    tool.be_init(status_end, made)
                }
                Side::Parent(pid) => pid,
            };
        drop((status_end, made));
        process::unshare(UnshareFlags::NEWNET).map_err(|errno| userns::denied("unshare(CLONE_NEWNET)", errno))?;
        tool::loopback_up()?;
        routes::close()?;
        rustix::io::write(&made_end, b"1").map_err(|errno| Failure::syscall("write(pipe)", errno))?;
        Ok(Self { tool, init, status, patience: PATIENCE })
    }

    /// Reports when it is connected, and waits for a signal that ends the session.
    ///
    /// # Errors
    /// `ERR_NETWORK` with what the program said; `ERR_SESSION_LOST` if it is too slow.
    pub(crate) fn hold(self, signals: &OwnedFd) -> Fallible<()> {
        let held = self.connect_and_wait(signals);
        process::kill(self.init, libc::SIGKILL);
        process::wait_child(self.init, true);
        held
    }

    fn connect_and_wait(&self, signals: &OwnedFd) -> Fallible<()> {
        let mut said = Vec::new();
        let mut deadline = Some(Instant::now() + self.patience);
        loop {
            match self.wait(signals, deadline)? {
                Event::Signal => return Ok(()),
                Event::Late => return Err(self.late()),
                Event::Said(bytes) if bytes.is_empty() => return Err(self.lost(&String::from_utf8_lossy(&said))),
                Event::Said(bytes) if bytes == [tool::READY] => {
                    deadline = None;
                    let (dns, address) = (tool::DNS.to_owned(), self.tool.address().to_owned());
                    crate::report(&Reply::Connected { dns, address });
                }
                Event::Said(bytes) => {
                    said.extend(bytes);
                    said.truncate(SAID_BYTES);
                }
            }
        }
    }

    /// Not `ERR_NETWORK`, after which a caller may do without: a step that keeps the machine busy must not reach by that
    /// what a private network hides.
    fn late(&self) -> Failure {
        let text = format!("{} did not connect the network within {} s", self.tool.name(), self.patience.as_secs());
        Failure::environment("ERR_SESSION_LOST", text)
    }

    fn lost(&self, said: &str) -> Failure {
        let said = if said.is_empty() { "it ended" } else { said.trim() };
        Failure::environment("ERR_NETWORK", format!("{} does not connect the network: {said}", self.tool.name()))
    }

    fn wait(&self, signals: &OwnedFd, deadline: Option<Instant>) -> Fallible<Event> {
        let mut polled = [PollFd::new(signals, PollFlags::IN), PollFd::new(&self.status, PollFlags::IN)];
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            match rustix::event::poll(&mut polled, timeout.as_ref()) {
                Ok(0) => return Ok(Event::Late),
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Failure::syscall("poll(signalfd, status)", errno)),
            }
        }
        if !polled.first().is_none_or(|fd| fd.revents().is_empty()) {
            return Ok(Event::Signal);
        }
        let mut buffer = [0_u8; 512];
        let length = rustix::io::read(&self.status, &mut buffer)
            .map_err(|errno| Failure::syscall("read(status pipe)", errno))?;
        Ok(Event::Said(buffer.get(..length).unwrap_or_default().to_vec()))
    }
}

enum Event {
    /// The session is to end.
    Signal,
    /// The deadline is over.
    Late,
    /// The program's init said this; nothing is its end.
    Said(Vec<u8>),
}

fn pipe() -> Fallible<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| Failure::syscall("pipe2(O_CLOEXEC)", errno))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::NetworkTool;

    #[test]
    fn hold_gives_a_slow_program_an_error_after_which_nobody_does_without() {
        let request = SessionNetwork { tool: NetworkTool::Pasta, ports: Vec::new() };
        // Without the program there is none to be slow.
        let Ok(tool) = Tool::find(&request) else { return };
        let ((status, _said), (signals, _sent)) = (pipe().unwrap(), pipe().unwrap());
        let network = Network { tool, init: 0, status, patience: Duration::ZERO };
        let failure = network.connect_and_wait(&signals).unwrap_err();
        assert_eq!((failure.code, failure.message.contains("pasta")), ("ERR_SESSION_LOST", true));
    }
}
