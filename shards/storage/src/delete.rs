//! Deleting: a whole log, and the oldest records of one.

use std::rc::Rc;

use ottla_reactor::{file, random_bytes};
use ottla_units::Offset;

use crate::layout::{DELETED, SegmentFile};
use crate::log::{Log, LogCore};
use crate::store::Ticket;
use crate::tail::Tail;
use crate::write_out::undisturbed;
use crate::{Segment, StorageError};

/// The longest name that file systems take, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Takes a log out of use and removes its files. A folder renamed is a folder that recovery removes.
pub(crate) async fn delete(log: &Rc<LogCore>) -> Result<(), StorageError> {
    {
        let mut state = log.state.borrow_mut();
        state.deleted = true;
        state.lost = None;
    }
    undisturbed(log, async {
        let_go(log);
        // Who gives memory back looks at the other logs now: this one was in the way.
        log.store.chores.notify();
        remove_folder(log).await
    })
    .await
}

/// Takes a log out of use whose files somebody else removed. What of it is only in the journal is given up with the rest: kept, it
/// would fill the journal for all others.
pub(crate) fn lose(log: &Rc<LogCore>, why: &StorageError) {
    {
        let mut state = log.state.borrow_mut();
        if state.deleted {
            return;
        }
        tracing::error!(log = %log.folder, %why, "the partition is out of use; the next start refuses until the files are back or \
             the loss is accepted (ottla.journal.accept.loss), unless its topic is deleted");
        let mark = state.mark();
        state.deleted = true;
        state.lost = Some((why.clone(), mark));
    }
    log.store.has_lost.set(true);
    let_go(log);
    log.store.chores.notify();
}

/// Gives back the memory and the descriptors of a log that is not used any more.
fn let_go(log: &Rc<LogCore>) {
    let bases: Vec<Offset> = {
        let mut state = log.state.borrow_mut();
        log.store.release(state.tail.memory());
        log.store.written_out(state.unwritten());
        state.synced = 0;
        state.written.place = 0;
        state.tail = Tail::new(0, log.store.config.disk.write_bytes);
        state.segments.iter().map(|segment| segment.base).collect()
    };
    for base in bases {
        log.store.open.close(log.key, base);
    }
}

async fn remove_folder(log: &Rc<LogCore>) -> Result<(), StorageError> {
    let folder = log.path();
    if !file::exists(&folder) {
        return Ok(());
    }
    let ending = format!(".{}{DELETED}", uuid::Uuid::from_bytes(random_bytes()).simple());
    let mut name = log.folder.to_string();
    name.truncate(NAME_BYTES_MAX - ending.len());
    let doomed = log.store.layout.partition(&(name + &ending));
    file::rename(&folder, &doomed).await.map_err(StorageError::io(&folder, "rename"))?;
    let topics = log.store.layout.topics();
    file::sync_dir(&topics).await.map_err(StorageError::io(&topics, "flush"))?;
    file::remove_dir_all(&doomed).await.map_err(StorageError::io(&doomed, "remove"))
}

impl Log {
    /// Makes `start` the first offset that may be read (DeleteRecords, retention); a smaller one than now changes nothing.
    /// Whole segments below it are removed from the disk. Durable when this returns.
    ///
    /// # Errors
    /// [`StorageError::OutOfRange`] behind the log's end, [`StorageError::Busy`], [`StorageError::Failed`],
    /// [`StorageError::Deleted`], [`StorageError::Stopped`], [`StorageError::Io`].
    pub async fn advance_start(&self, start: Offset) -> Result<(), StorageError> {
        let log = &self.0;
        let Some((ticket, mut growing)) = log.note_start(start)? else { return Ok(()) };
        log.store.reached(ticket, |journal| journal.durable).await?;
        // Not before that: the file of leaderships may be written at any time, and a crash may leave the old start.
        log.state.borrow_mut().cut_epochs(start);
        loop {
            undisturbed(log, async {
                // Deleted meanwhile: its folder's name may be another log's by now.
                log.in_use()?;
                let gone = log.state.borrow_mut().take_segments_below(start, growing);
                for segment in gone {
                    log.remove_segment(segment.base).await?;
                }
                Ok::<_, StorageError>(())
            })
            .await?;
            // Finished since the mark was taken, and still what recovery asks for: not removed before a later mark is durable.
            if log.state.borrow().count_below(start, Offset::MAX) == 0 {
                return Ok(());
            }
            // The start is durable in any case; what is left goes with the next.
            let Ok((ticket, named)) = log.note_mark(None) else { return Ok(()) };
            log.store.reached(ticket, |journal| journal.durable).await?;
            growing = named;
        }
    }
}

impl LogCore {
    /// Takes note of a new start, in memory and in the journal; gives what [`LogCore::note_mark`] gives.
    fn note_start(self: &Rc<LogCore>, start: Offset) -> Result<Option<(Ticket, Offset)>, StorageError> {
        self.takes_marks()?;
        let state = self.state.borrow();
        if start > state.end {
            return Err(StorageError::OutOfRange { from: start, start: state.start, end: state.end });
        }
        if start <= state.start {
            return Ok(None);
        }
        drop(state);
        self.note_mark(Some(start)).map(Some)
    }

    fn takes_marks(&self) -> Result<(), StorageError> {
        self.store.failed()?;
        if self.store.stopping.get() {
            // The checkpoint of a clean stop may be written already.
            return Err(StorageError::Stopped);
        }
        self.in_use()
    }

    fn in_use(&self) -> Result<(), StorageError> {
        self.state.borrow().out_of_use().map_or(Ok(()), Err)
    }

    /// Puts the log's mark into the journal, with a new `start` if there is one. Gives the segment that it names, too: those
    /// before it are asked for no more once it is durable.
    fn note_mark(self: &Rc<LogCore>, start: Option<Offset>) -> Result<(Ticket, Offset), StorageError> {
        self.takes_marks()?;
        let mut state = self.state.borrow_mut();
        let mut journal = self.store.journal.borrow_mut();
        let start = start.unwrap_or(state.start);
        let mark = crate::journal::Mark { start, ..state.mark() };
        if !journal.push_mark(self, mark) {
            return Err(StorageError::Busy);
        }
        state.start = start;
        journal.wanted = true;
        let ticket = Ticket(journal.cycle);
        drop((state, journal));
        if self.store.flusher_idle.get() {
            self.store.work.notify();
        }
        Ok((ticket, mark.segment))
    }

    async fn remove_segment(&self, base: Offset) -> Result<(), StorageError> {
        self.store.open.close(self.key, base);
        let folder = self.path();
        let kinds = [
            SegmentFile::Log,
            SegmentFile::Index,
            SegmentFile::TimeIndex,
            SegmentFile::TransactionIndex,
            SegmentFile::Snapshot,
        ];
        for path in kinds.map(|kind| kind.path(&folder, base)) {
            if file::exists(&path) {
                file::remove(&path).await.map_err(StorageError::io(&path, "remove"))?;
            }
        }
        Ok(())
    }
}

impl crate::log::State {
    /// Forgets leaderships of records that are gone.
    pub(crate) fn cut_epochs(&mut self, start: Offset) {
        let cut = self.epochs.cut_front(start);
        self.epochs_were_cut(cut);
    }

    /// The file, if there is one, tells of leaderships that are gone: what it says now may be back after a power cut, and must
    /// not be, so that it is not just written over.
    pub(crate) fn epochs_were_cut(&mut self, cut: bool) {
        self.epochs_stale |= cut;
        self.epochs_new &= !cut;
    }

    /// Takes out the finished segments before `growing` that end at or before `start`.
    fn take_segments_below(&mut self, start: Offset, growing: Offset) -> Vec<Segment> {
        let below = self.count_below(start, growing);
        self.segments.drain(..below).collect()
    }

    /// How many segments those are.
    fn count_below(&self, start: Offset, growing: Offset) -> usize {
        let unfinished = self.rolled.len() + 1;
        let finished = self.segments.len().saturating_sub(unfinished);
        let ends_below = |i: usize| self.segments.get(i + 1).is_some_and(|next| next.base <= start.min(growing));
        (0..finished).take_while(|i| ends_below(*i)).count()
    }
}
