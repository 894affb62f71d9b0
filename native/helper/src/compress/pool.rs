//! Threads that work on tasks out of order and give the results in order.

use crate::error::{Failure, Fallible};
use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};

/// A piece of work.
pub(super) trait Task: Send + 'static {
    /// What a thread keeps between two tasks.
    type Scratch;
    /// What a task gives.
    type Done: Send + 'static;
    /// Works.
    fn run(self, scratch: &mut Self::Scratch) -> Self::Done;
}

type Message<T> = (T, SyncSender<<T as Task>::Done>);

/// A bounded number of tasks under way.
pub(super) struct Pool<T: Task> {
    tasks: Sender<Message<T>>,
    results: VecDeque<Receiver<T::Done>>,
    limit: usize,
}

impl<T: Task> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} under way)", self.results.len())
    }
}

impl<T: Task> Pool<T> {
    /// Starts `threads` threads, at least one. They end when the pool is dropped.
    pub(super) fn start(threads: usize, scratch: impl Fn() -> T::Scratch + Send + Clone + 'static) -> Fallible<Self> {
        let threads = threads.max(1);
        let (tasks, queue) = channel::<Message<T>>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let (queue, scratch) = (Arc::clone(&queue), scratch.clone());
            std::thread::Builder::new()
                .name("compress".to_owned())
                .spawn(move || work(&queue, scratch()))
                .map_err(|error| Failure::io("clone(CLONE_THREAD, compress)", &error))?;
        }
        // Enough that no thread waits while this one reads files or writes.
        Ok(Self { tasks, results: VecDeque::new(), limit: 2 * threads + 2 })
    }

    /// Hands a task out. When many are under way it waits for the oldest and gives its result.
    pub(super) fn submit(&mut self, task: T) -> Fallible<Option<T::Done>> {
        let (reply, result) = sync_channel(1);
        self.tasks.send((task, reply)).map_err(|_| gone())?;
        self.results.push_back(result);
        if self.results.len() < self.limit { Ok(None) } else { self.next() }
    }

    /// The result of the oldest task; `None` when there is none.
    pub(super) fn next(&mut self) -> Fallible<Option<T::Done>> {
        match self.results.pop_front() {
            None => Ok(None),
            Some(result) => result.recv().map(Some).map_err(|_| gone()),
        }
    }
}

fn work<T: Task>(queue: &Mutex<Receiver<Message<T>>>, mut scratch: T::Scratch) {
    loop {
        let message = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok((task, reply)) = message else { return };
        if reply.send(task.run(&mut scratch)).is_err() {
            return;
        }
    }
}

fn gone() -> Failure {
    Failure::internal("a compressing thread ended early")
}
