//! Large appends that meet a full disk: their segments cannot grow, but the journal has its space already.

use std::rc::Rc;

use ottla_batch::Batch;
use ottla_reactor::{AlignedBuffer, Permit, sleep};
use ottla_units::Offset;

use crate::StorageError;
use crate::journal::format::{ENTRY_HEADER_BYTES, FRAME_HEADER_BYTES};
use crate::journal::{EntryHeader, EntryKind, Frame, Reserve};
use crate::log::LogCore;
use crate::store::Shared;
use crate::write_out::{Goal, write_out};

/// Makes durable what `log` brought past the journal and could not be written to its segment: in the journal after all, or, when
/// that is full as well, in the segment once the disk has space. Until then the shard makes nothing else durable.
pub(super) async fn settle(
    store: &Rc<Shared>,
    log: &Rc<LogCore>,
    cycle: u64,
    pen: &mut Option<Permit>,
) -> Result<(), StorageError> {
    tracing::warn!(log = %log.folder, "no space for a large append: it goes through the journal");
    let bytes = unwritten(log);
    loop {
        if pen.is_none() {
            *pen = Some(store.pen.acquire(1).await);
        }
        if to_journal(store, log, &bytes, cycle).await? {
            store.enqueue(log);
            return Ok(());
        }
        // Files are recycled by those who need the pen.
        *pen = None;
        store.failed()?;
        store.chores.notify();
        sleep(store.config.retry_after).await;
        match write_out(log, Goal::Durable).await {
            // A stop does not wait for space: nobody was told that these bytes are safe.
            Err(StorageError::DiskFull) if !store.stopping.get() => {}
            other => return other,
        }
    }
}

/// The batches that the log's segments lack or may lose, one after another. Those that memory has no more are in the journal.
fn unwritten(log: &Rc<LogCore>) -> Vec<u8> {
    let state = log.state.borrow();
    let from = state.synced.max(state.tail.first_batch());
    let slices = state.tail.slices(from..state.tail.end());
    slices.iter().flat_map(|slice| slice.iter().copied()).collect()
}

/// Writes batches in frames of their own, durably. Says whether the journal had room for all of them; what is in it twice is taken
/// once by recovery.
async fn to_journal(store: &Rc<Shared>, log: &Rc<LogCore>, bytes: &[u8], cycle: u64) -> Result<bool, StorageError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (frame, behind) = fill(store, log, rest);
        if behind.len() == rest.len() {
            // A batch larger than any frame.
            return Ok(false);
        }
        let Some(place) = store.files.borrow_mut().place(frame.padded(), cycle, Reserve::Kept) else {
            return Ok(false);
        };
        note_dirty(store, log);
        let (sealed, len) = frame.seal(place.header);
        let result = place.file.file.write_at(sealed, 0..len, place.position).await.0;
        result.map_err(StorageError::io(&place.file.path, "write"))?;
        place.file.file.sync_data().await.map_err(StorageError::io(&place.file.path, "flush"))?;
        store.counters.journal_bytes.add(len as u64);
        rest = behind;
    }
    Ok(true)
}

/// A frame with as many of the batches as fit, and those that do not.
fn fill<'a>(store: &Rc<Shared>, log: &Rc<LogCore>, bytes: &'a [u8]) -> (Frame, &'a [u8]) {
    let room = bytes.len() + 2 * ENTRY_HEADER_BYTES * (1 + bytes.len() / ottla_batch::HEADER_BYTES);
    let mut frame = Frame::new(AlignedBuffer::new((FRAME_HEADER_BYTES + room).min(store.config.frame_bytes_max)));
    let mut rest = bytes;
    while let Ok((batch, behind)) = Batch::parse(rest)
        && frame.fits(batch.total_len() + ENTRY_HEADER_BYTES)
    {
        let (offset, epoch) = (batch.base_offset(), batch.leader_epoch());
        let entry = |kind, length: usize| EntryHeader { kind, key: log.key, length: length as u32, epoch, offset };
        if begins_segment(log, offset) {
            frame.push(entry(EntryKind::Roll, 0), &[], &[]);
        }
        frame.push(entry(EntryKind::Append, batch.total_len()), batch.header(), batch.payload());
        rest = behind;
    }
    (frame, rest)
}

fn begins_segment(log: &LogCore, offset: Offset) -> bool {
    let state = log.state.borrow();
    offset > Offset::new(0) && state.segments.binary_search_by_key(&offset, |segment| segment.base).is_ok()
}

/// The journal file that takes frames now holds what the log's segments lack.
fn note_dirty(store: &Rc<Shared>, log: &Rc<LogCore>) {
    let mut files = store.files.borrow_mut();
    let sequence = files.sequence();
    let mut state = log.state.borrow_mut();
    if state.dirty_since.is_none() {
        state.dirty_since = Some(sequence);
        drop(state);
        files.add_dirty(sequence, log);
    }
}
