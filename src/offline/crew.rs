//! Many logs looked at by several threads.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// How far it is: whoever shows that is called by all threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// What there is to do, in bytes.
    Begun {
        /// Bytes of all segments.
        bytes: u64,
    },
    /// So many more bytes are done.
    Done {
        /// Of one segment.
        bytes: u64,
    },
}

/// Things to do, handed out one by one.
pub(super) struct Work<T>(Mutex<std::vec::IntoIter<T>>);

impl<T> Work<T> {
    pub(super) fn new(items: Vec<T>) -> Work<T> {
        Work(Mutex::new(items.into_iter()))
    }

    /// The next one; nothing when all are taken.
    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

/// Runs `work` on as many threads as there are cores, and gives what each made.
pub(super) fn run<R: Send>(work: impl Fn() -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}
