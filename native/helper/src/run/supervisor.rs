//! What the supervisor knows of its run while it lasts: init's reports, the signals that end it, its time limits.

use super::ca::Changed;
use super::forks::Watch;
use super::pump::Listener;
use super::report::Note;
use crate::protocol::{LimitOwner, Reply};
use crate::sys::process;
use rustix::event::PollFd;
use rustix::fd::OwnedFd;
use std::time::{Duration, Instant};

/// What this program takes: SIGTERM ends the step, SIGHUP says that the caller is dead, the others are the step's.
pub(crate) const SIGNALS: [i32; 6] =
    [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];

/// See the module.
#[derive(Debug)]
pub(crate) struct Supervisor<'s> {
    init: i32,
    signals: &'s OwnedFd,
    grace: Duration,
    forks: Option<Watch>,
    line: Vec<u8>,
    /// When what is left is killed.
    kill_at: Option<Instant>,
    /// Init's last report.
    pub(crate) last: Option<Note>,
    /// What holds added certificates.
    pub(crate) changed: Changed,
    /// Whose limit of processes the run met again and again, for which it was killed.
    pub(crate) bomb: Option<LimitOwner>,
}

impl<'s> Supervisor<'s> {
    /// Watches over `init`. `signals` gives what is of [`SIGNALS`]; after SIGTERM `grace` is left to the step.
    pub(crate) fn new(init: i32, signals: &'s OwnedFd, grace: Duration, forks: Option<Watch>) -> Self {
        let (line, changed) = (Vec::new(), Changed::default());
        Self { init, signals, grace, forks, line, kill_at: None, last: None, changed, bomb: None }
    }

    fn kill(&mut self) {
        self.kill_at = None;
        process::kill(self.init, libc::SIGKILL);
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Started { changed } => {
                self.changed = changed;
                crate::report(&Reply::Started { pid: self.init.unsigned_abs() });
            }
            // The step's own process may have failed before it became the step; then init only saw it end.
            _ if matches!(self.last, Some(Note::Failed { .. })) => {}
            other => self.last = Some(other),
        }
    }
}

impl Listener for Supervisor<'_> {
    fn status(&mut self, bytes: &[u8]) {
        self.line.extend_from_slice(bytes);
        while let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            if let Ok(note) = serde_json::from_slice(&line) {
                self.note(note);
            }
        }
    }

    fn signal(&mut self) {
        let signals = process::read_signals(self.signals);
        let ends = signals.contains(&libc::SIGTERM);
        // After SIGHUP nobody is left who could want the step's result.
        if signals.contains(&libc::SIGHUP) || (ends && self.grace.is_zero()) {
            return self.kill();
        }
        for signal in signals {
            process::kill(self.init, signal);
        }
        if ends {
            self.kill_at.get_or_insert_with(|| Instant::now() + self.grace);
        }
    }

    fn polled(&self) -> Vec<PollFd<'_>> {
        self.forks.iter().flat_map(Watch::polled).collect()
    }

    fn due(&self) -> Option<Instant> {
        [self.kill_at, self.forks.as_ref().and_then(Watch::due)].into_iter().flatten().min()
    }

    fn look(&mut self, now: Instant) {
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill();
        }
        if let Some(owner) = self.forks.as_mut().and_then(|watch| watch.look(now)) {
            self.bomb = Some(owner);
            self.forks = None;
            self.kill();
        }
    }
}
