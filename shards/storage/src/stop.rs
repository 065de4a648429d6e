//! A clean stop: everything into the segments, files to their exact length, the checkpoint.

use std::rc::Rc;

use crate::StorageError;
use crate::checkpoint::Checkpoint;
use crate::join::join_all;
use crate::log::LogCore;
use crate::recover::LogImage;
use crate::store::{Shared, Ticket};
use crate::write_out::{Goal, write_out};

/// Logs brought into their final form at once.
pub(crate) const LOGS_AT_ONCE: usize = 32;

pub(crate) async fn stop(store: &Rc<Shared>) -> Result<(), StorageError> {
    store.stopping.set(true);
    store.room.notify();
    store.work.notify();
    let last = Ticket(store.journal.borrow().newest());
    store.reached(last, |journal| journal.durable).await?;
    let mut logs: Vec<Rc<LogCore>> = store.logs.borrow().values().map(Rc::clone).collect();
    logs.sort_unstable_by_key(|log| log.key);
    finish_logs(&logs).await?;
    // Without a checkpoint the next start looks at the files, and finds what is missing.
    if let Some((why, _)) = logs.iter().find_map(|log| log.state.borrow().lost.clone()) {
        return Err(why);
    }
    let images = logs.iter().map(|log| (log.key, log.state.borrow().image())).collect();
    let checkpoint = Checkpoint { generation: store.config.generation, clean: true, logs: images };
    checkpoint.write(&store.layout.core_checkpoint(store.config.core)).await
}

/// Brings logs into their final form, several at once.
pub(crate) async fn finish_logs(logs: &[Rc<LogCore>]) -> Result<(), StorageError> {
    for some in logs.chunks(LOGS_AT_ONCE) {
        join_all(some.iter().map(finish_log).collect()).await?;
    }
    Ok(())
}

async fn finish_log(log: &Rc<LogCore>) -> Result<(), StorageError> {
    let known = log.state.borrow().snapshot.as_ref().map(|(offset, _)| *offset);
    if known != Some(log.end())
        && let Some(bytes) = log.observer().and_then(|observer| observer.snapshot())
    {
        let mut state = log.state.borrow_mut();
        let end = state.end;
        state.snapshot = Some((end, bytes.clone()));
        if state.active.untidy {
            state.snapshots.push((end, bytes));
        }
    }
    write_out(log, Goal::Finished).await
}

impl crate::log::State {
    /// The log as the next start finds it.
    pub(crate) fn image(&self) -> LogImage {
        // A new start is durable before what it cuts off is forgotten: a stop may come in between.
        let mut epochs = self.epochs.clone();
        epochs.cut_front(self.start);
        LogImage {
            start: self.start,
            end: self.end,
            segments: self.segments.clone(),
            active: self.active.clone(),
            epochs_stale: false,
            epochs_new: self.epochs.entries().is_empty(),
            epochs,
            snapshot: self.snapshot.clone(),
            has_folder: self.has_folder,
        }
    }
}
