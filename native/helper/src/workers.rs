//! Spreads independent work over the machine's cores with plain threads.
//!
//! Threads are started only after namespaces were entered and only when there is enough to do: starting one costs
//! more than looking at a hundred files.

use crate::error::Fallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many threads are worth having; beyond eight the kernel's locks eat the gain.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(8))
}

/// Calls `work` once for each item, in any order, on as many threads as there are cores. Stops at the first failure
/// and returns it.
pub(crate) fn for_each<T: Sync>(items: &[T], work: impl Fn(&T) -> Fallible<()> + Sync) -> Fallible<()> {
    if items.len() < 2 {
        return items.iter().try_for_each(work);
    }
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let run = || {
        while !stop.load(Ordering::Relaxed) {
            let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            if let Err(error) = work(item) {
                stop.store(true, Ordering::Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads().min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
