//! Ends a run that keeps on failing to make processes: a fork bomb at its limit would otherwise never end.

use crate::cgroup::usage;
use crate::protocol::{LimitOwner, SessionCgroup};
use rustix::event::{PollFd, PollFlags};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// A run that fails in this many of these in a row is a bomb.
const WINDOWS: u32 = 2;
const WINDOW: Duration = Duration::from_secs(1);
/// Version 1 counts failures and tells nobody, so they are looked for.
const PAUSE: Duration = Duration::from_millis(500);

/// Watches one run.
#[derive(Debug)]
pub(crate) struct Watch {
    own: SessionCgroup,
    session: SessionCgroup,
    /// The kernel reports a change of these as POLLPRI to descriptors that have read them.
    events: Vec<File>,
    looked: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No process has failed to be made.
    Quiet,
    /// Since then windows are counted: this many were full of failures; so many had failed at the start of this one.
    Failing { until: Instant, windows: u32, seen: u64 },
}

impl Watch {
    /// Watches the cgroup of a run below that of its session.
    pub(crate) fn new(own: &SessionCgroup, session: &SessionCgroup) -> Self {
        // Version 2 counts a failure where the limit is, which may be the session's.
        let watched = if own.version == 1 { vec![own] } else { vec![own, session] };
        let events = watched.iter().filter_map(|one| File::open(one.file("pids.events")).ok()).collect();
        let watch =
            Self { own: own.clone(), session: session.clone(), events, looked: Instant::now(), state: State::Quiet };
        watch.acknowledge();
        watch
    }

    /// What to poll for: nothing while a window runs, whose end is enough.
    pub(crate) fn polled(&self) -> impl Iterator<Item = PollFd<'_>> {
        let quiet = matches!(self.state, State::Quiet);
        self.events.iter().filter(move |_| quiet).map(|file| PollFd::new(file, PollFlags::PRI))
    }

    /// When [`Watch::look`] is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Quiet if self.own.version == 1 => Some(self.looked + PAUSE),
            State::Quiet => None,
            State::Failing { until, .. } => Some(until),
        }
    }

    /// Called when a descriptor is ready or time is due: whose limit a bomb has met, if the run is one.
    pub(crate) fn look(&mut self, now: Instant) -> Option<LimitOwner> {
        self.looked = now;
        self.acknowledge();
        let (failed, owner) = self.failed();
        match self.state {
            State::Quiet if failed > 0 => self.open_window(now, 0, failed),
            State::Quiet => {}
            State::Failing { until, .. } if now < until => {}
            State::Failing { windows, seen, .. } if failed > seen => {
                if windows + 1 >= WINDOWS {
                    return Some(owner);
                }
                self.open_window(now, windows + 1, failed);
            }
            // A pause: what comes later is counted anew.
            State::Failing { .. } => self.state = State::Quiet,
        }
        None
    }

    fn open_window(&mut self, now: Instant, windows: u32, seen: u64) {
        self.state = State::Failing { until: now + WINDOW, windows, seen };
    }

    /// Failures that are this run's, and whose limit it was.
    fn failed(&self) -> (u64, LimitOwner) {
        let own = usage::failed_forks(&self.own);
        let owner = if usage::reached_pids_limit(&self.own) { LimitOwner::Run } else { LimitOwner::Session };
        if self.own.version == 2 && own == 0 && self.fills_session() {
            return (usage::failed_forks(&self.session), LimitOwner::Session);
        }
        (own, owner)
    }

    /// Whether most of the session's processes are this run's.
    fn fills_session(&self) -> bool {
        let number = |one: &SessionCgroup, file| one.read(file).trim().parse::<u64>().ok();
        match (number(&self.own, "pids.current"), number(&self.session, "pids.max")) {
            (Some(current), Some(max)) => current.saturating_mul(2) >= max,
            _ => false,
        }
    }

    fn acknowledge(&self) {
        let mut buffer = [0_u8; 256];
        for file in &self.events {
            let _ = file.read_at(&mut buffer, 0);
        }
    }
}
