//! The two sides of the step's standard descriptors: pipes, or a terminal.
//!
//! What the caller passed never becomes the step's: it could open a file of the host again by `/proc/self/fd/0`, for
//! writing, and leave its root by a directory.

use super::exec::Streams;
use super::pump::{Carrier, Listener, Stream};
use super::terminal::{self, Pending, Screen};
use super::{STDERR_FD, STDIN_FD, STDOUT_FD};
use crate::beneath::Beneath;
use crate::error::{Failure, Fallible};
use crate::protocol::Run;
use crate::sys::process;
use rustix::event::PollFlags;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::pipe::PipeFlags;

/// What the step gets.
#[derive(Debug)]
pub(crate) enum Inside {
    /// Pipes.
    Pipes(Streams),
    /// A terminal, once there is a `/dev` to open it in.
    Terminal(Pending),
}

impl Inside {
    /// The descriptors. `root` has its own `/dev`, and nothing of the request mounted in it yet.
    pub(crate) fn open(&self, root: &Beneath) -> Fallible<Streams> {
        match self {
            Self::Pipes(streams) => streams.duplicate(),
            Self::Terminal(pending) => pending.open(root),
        }
    }
}

/// What the supervisor keeps.
pub(crate) enum Outside {
    /// The other ends of the pipes.
    Pipes(Vec<Box<dyn Carrier>>),
    /// The terminal's.
    Terminal(Screen),
}

impl Outside {
    /// What there is to carry. Waits until a terminal is there, and gives nothing if init ended before.
    pub(crate) fn connect(self, signals: &OwnedFd, listener: &mut dyn Listener) -> Fallible<Vec<Box<dyn Carrier>>> {
        match self {
            Self::Pipes(carriers) => Ok(carriers),
            Self::Terminal(screen) => screen.connect(signals, listener),
        }
    }
}

/// Makes both. Called before any other descriptor is made, so that the passed ones are still the caller's.
pub(crate) fn wire(run: &Run) -> Fallible<(Inside, Outside)> {
    let [output, error] = [STDOUT_FD, STDERR_FD].map(process::take_passed);
    let typed = run.stdin.then(|| process::take_passed(STDIN_FD));
    if let Some(None) = typed {
        return Err(Failure::internal("stdin is asked for, but fd 5 is not open"));
    }
    let typed = typed.flatten();
    if run.terminal {
        let (pending, screen) = terminal::wire(typed, output)?;
        return Ok((Inside::Terminal(pending), Outside::Terminal(screen)));
    }
    let (output_end, step_output) = pipe()?;
    let (error_end, step_error) = pipe()?;
    let (step_input, input_end) = pipe()?;
    for fd in [&output_end, &error_end, &input_end] {
        rustix::io::ioctl_fionbio(fd, true).map_err(|errno| Failure::syscall("ioctl(pipe, FIONBIO)", errno))?;
    }
    let mut carriers: Vec<Box<dyn Carrier>> =
        vec![Box::new(Stream::new(output_end, output)), Box::new(Stream::new(error_end, error))];
    // Without anything to carry, the step reads from a pipe that nobody writes to.
    if let Some(typed) = typed {
        carriers.push(Box::new(Typed::new(typed, input_end, Vec::new())));
    }
    let streams = Streams { input: step_input, output: step_output, error: step_error, terminal: false };
    Ok((Inside::Pipes(streams), Outside::Pipes(carriers)))
}

fn pipe() -> Fallible<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| Failure::syscall("pipe2(O_CLOEXEC)", errno))
}

/// What is typed, on its way to the step.
#[derive(Debug)]
pub(crate) struct Typed {
    stream: Option<Stream>,
    farewell: Vec<u8>,
}

impl Typed {
    /// Carries `from` to `to`, and `farewell` behind it; then `to` is closed.
    pub(crate) fn new(from: OwnedFd, to: OwnedFd, farewell: Vec<u8>) -> Self {
        Self { stream: Some(Stream::new(from, Some(to))), farewell }
    }
}

impl Carrier for Typed {
    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.stream.as_ref().and_then(Carrier::interest)
    }

    fn advance(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        stream.advance();
        if stream.is_done() && !self.farewell.is_empty() {
            stream.put(&std::mem::take(&mut self.farewell));
        }
        // What the step does not read any more is left to whoever reads it next.
        if stream.is_done() || stream.is_deaf() {
            self.stream = None;
        }
    }

    fn finish(&mut self, _: &OwnedFd) {}
}
