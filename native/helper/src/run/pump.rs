//! The supervisor's loop: carries the step's output to the passed descriptors and listens to init and to signals.
//!
//! The step writes to pipes of its own, never to what the caller passed: a socket pair cannot be reopened as
//! `/dev/stdout`, and its buffer would be shared with nobody who knows about this step.

use crate::error::{Failure, Fallible};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::time::Instant;

const BUFFER_BYTES: usize = 64 << 10;
/// A write of this size to a pipe that polls as writable does not block (PIPE_BUF).
const PIPE_WRITE_BYTES: usize = 4096;

/// Something that the loop carries.
pub(crate) trait Carrier {
    /// What to poll for; `None` while there is nothing to do.
    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)>;
    /// Goes one step on; called when the polled descriptor is ready.
    fn advance(&mut self);
    /// Carries what is left, as long as nothing is pending on `signals`.
    fn finish(&mut self, signals: &OwnedFd);
}

/// One stream on its way.
#[derive(Debug)]
pub(crate) struct Stream {
    from: Option<OwnedFd>,
    to: Option<OwnedFd>,
    socket: bool,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    terminal: bool,
}

impl Stream {
    /// Carries `from`, the non-blocking reading end of a pipe, to `to`. Without `to` the bytes are dropped.
    pub(crate) fn new(from: OwnedFd, to: Option<OwnedFd>) -> Self {
        let stat = to.as_ref().and_then(|to| rustix::fs::fstat(to).ok());
        let socket = stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket);
        Self { from: Some(from), to, socket, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, terminal: false }
    }

    /// As [`Stream::new`], for the master of a terminal whose other side is closed when it is drained.
    pub(crate) fn of_terminal(master: OwnedFd, to: Option<OwnedFd>) -> Self {
        Self { terminal: true, ..Self::new(master, to) }
    }

    /// Whether all was carried.
    pub(crate) fn is_done(&self) -> bool {
        self.from.is_none() && self.start == self.end
    }

    /// Whether the reader is gone.
    pub(crate) fn is_deaf(&self) -> bool {
        self.to.is_none()
    }

    /// Adds bytes behind the last ones that were read; called when all was carried.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.buffer = bytes.to_vec();
        (self.start, self.end) = (0, bytes.len());
    }

    fn read(&mut self) -> bool {
        let Some(from) = &self.from else { return false };
        match rustix::io::read(from, self.buffer.as_mut_slice()) {
            Ok(0) => self.from = None,
            Ok(length) => (self.start, self.end) = (0, length),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return false,
            Err(_) => self.from = None,
        }
        true
    }

    fn write(&mut self) {
        let bytes = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some(to) = &self.to else {
            self.start = self.end;
            return;
        };
        let written = if self.socket {
            rustix::net::send(to, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
        } else {
            rustix::io::write(to, bytes.get(..PIPE_WRITE_BYTES).unwrap_or(bytes))
        };
        match written {
            Ok(length) => self.start += length,
            Err(Errno::INTR | Errno::AGAIN) => {}
            // The reader is gone. The step must not hang for that: the rest is dropped.
            Err(_) => {
                self.to = None;
                self.start = self.end;
            }
        }
    }
}

impl Carrier for Stream {
    /// Input while the buffer is empty, else room for output.
    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match (&self.to, &self.from) {
            (Some(to), _) if self.start < self.end => Some((to.as_fd(), PollFlags::OUT)),
            (_, Some(from)) => Some((from.as_fd(), PollFlags::IN)),
            _ => None,
        }
    }

    fn advance(&mut self) {
        if self.start < self.end {
            self.write();
        } else {
            self.read();
        }
    }

    /// Carries what the pipe still holds: nobody of the step is left to write more. The reader may take its time,
    /// until a signal says that nobody waits for it any longer.
    fn finish(&mut self, signals: &OwnedFd) {
        // Of a terminal the kernel counts only a part, and reading it ends with an error.
        let mut left = match &self.from {
            Some(_) if self.terminal => u64::MAX,
            Some(from) => rustix::io::ioctl_fionread(from).unwrap_or_default(),
            None => 0,
        };
        loop {
            while self.start < self.end {
                if let Some((fd, flags)) = self.interest() {
                    let mut polled = [PollFd::from_borrowed_fd(fd, flags), PollFd::new(signals, PollFlags::IN)];
                    let _ = rustix::event::poll(&mut polled, None);
                    let [room, signal] = polled;
                    if room.revents().is_empty() && !signal.revents().is_empty() {
                        return;
                    }
                }
                self.write();
            }
            // Another process of the machine may have opened the pipe and write for ever.
            if left == 0 || !self.read() || self.from.is_none() {
                return;
            }
            left = left.saturating_sub((self.end - self.start) as u64);
        }
    }
}

/// Who else the loop listens to.
pub(crate) trait Listener {
    /// Bytes of init's status pipe; empty at its end.
    fn status(&mut self, bytes: &[u8]);
    /// A signal to the supervisor is pending on the signalfd.
    fn signal(&mut self);
    /// What else to poll.
    fn polled(&self) -> Vec<PollFd<'_>>;
    /// When to look at the latest.
    fn due(&self) -> Option<Instant>;
    /// Called after every wait.
    fn look(&mut self, now: Instant);
}

/// Runs until the status pipe ends, which is when init is gone, and carries everything that was written before.
pub(crate) fn pump(
    carriers: &mut [Box<dyn Carrier>],
    status: &OwnedFd,
    signals: &OwnedFd,
    listener: &mut dyn Listener,
) -> Fallible<()> {
    let mut buffer = [0_u8; 4096];
    loop {
        let ready = wait(carriers, status, signals, listener)?;
        listener.look(Instant::now());
        if ready.signals {
            listener.signal();
        }
        for (carrier, ready) in carriers.iter_mut().zip(&ready.carriers) {
            if *ready {
                carrier.advance();
            }
        }
        if ready.status {
            match rustix::io::read(status, &mut buffer) {
                Ok(0) => break,
                Ok(length) => listener.status(buffer.get(..length).unwrap_or_default()),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(Failure::syscall("read(status pipe)", errno)),
            }
        }
    }
    carriers.iter_mut().for_each(|carrier| carrier.finish(signals));
    Ok(())
}

struct Ready {
    status: bool,
    signals: bool,
    carriers: Vec<bool>,
}

fn wait(
    carriers: &[Box<dyn Carrier>],
    status: &OwnedFd,
    signals: &OwnedFd,
    listener: &dyn Listener,
) -> Fallible<Ready> {
    let interests: Vec<_> = carriers.iter().map(|carrier| carrier.interest()).collect();
    let mut polled = vec![PollFd::new(status, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
    polled.extend(interests.iter().flatten().map(|&(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
    polled.extend(listener.polled());
    let left = listener.due().map(|due| due.saturating_duration_since(Instant::now()));
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    match rustix::event::poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(Failure::syscall("poll()", errno)),
    }
    let mut ready = polled.iter().map(|fd| !fd.revents().is_empty());
    let (status, signals) = (ready.next().unwrap_or_default(), ready.next().unwrap_or_default());
    let carriers = interests.iter().map(|interest| interest.is_some() && ready.next().unwrap_or_default()).collect();
    Ok(Ready { status, signals, carriers })
}
