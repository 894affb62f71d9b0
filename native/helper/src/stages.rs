//! Stages that pass pieces on: for large inputs each has a thread, so that reading, inflating and hashing overlap with
//! the system calls that write files.

use crate::error::{Failure, Fallible};
use crate::tar::reader::Chunks;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::JoinHandle;

/// Bytes read at once, and about the size of an unpacked piece.
pub(crate) const PIECE: usize = 256 << 10;
/// Pieces that may wait between two stages.
pub(crate) const QUEUE: usize = 8;
/// Stored inputs below this are worked on without threads.
pub(crate) const SMALL: u64 = 512 << 10;
/// The ratio of unpacked to stored bytes counts from here on.
pub(crate) const RATIO_FROM: u64 = 1 << 30;

/// Pieces from a stage on another thread.
#[derive(Debug)]
pub(crate) struct Queue(pub(crate) Receiver<Fallible<Vec<u8>>>);

impl Chunks for Queue {
    fn next_chunk(&mut self) -> Fallible<Option<Vec<u8>>> {
        // A closed channel is the end: the sender reports its failures through it.
        self.0.recv().ok().transpose()
    }
}

/// Sends everything on, until the end, a failure, or until nobody listens any more.
pub(crate) fn forward<S: Chunks>(mut source: S, sender: &SyncSender<Fallible<Vec<u8>>>) -> S {
    while let Some(piece) = source.next_chunk().transpose() {
        let failed = piece.is_err();
        if sender.send(piece).is_err() || failed {
            break;
        }
    }
    source
}

/// Starts the thread of a stage.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Fallible<JoinHandle<T>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| Failure::io(format!("clone(CLONE_THREAD, {name})"), &error))
}

/// Waits for a stage.
pub(crate) fn join<T>(thread: JoinHandle<T>) -> Fallible<T> {
    thread.join().map_err(|_| Failure::internal("a thread of a pipeline panicked"))
}
