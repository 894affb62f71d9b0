//! How far a long operation is, told at most ten times a second.

use crate::protocol::Reply;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(100);

/// Counts bytes and reports them.
#[derive(Debug)]
pub(crate) struct Progress {
    bytes: u64,
    last: Instant,
}

impl Progress {
    /// Starts at zero. The first report comes after the first interval, so a short operation makes none.
    pub(crate) fn new() -> Self {
        Self { bytes: 0, last: Instant::now() }
    }

    /// Adds bytes that are done.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.last.elapsed() >= INTERVAL {
            self.last = Instant::now();
            crate::report(&Reply::Progress { bytes: self.bytes });
        }
    }
}
