//! Reads of older data: past the page cache, into their own buffers, under their own budget, verified.

use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use ottla_batch::{Batch, BatchError};
use ottla_reactor::file::File;
use ottla_reactor::{AlignedBuffer, BLOCK, Permit, Semaphore, Slice, monotonic};
use ottla_units::Offset;

use crate::layout::SegmentFile;
use crate::log::LogCore;
use crate::lookup;
use crate::read::{ReadRequest, Reader, Records, cut};
use crate::reindex::reindex;
use crate::store::Shared;
use crate::{Damage, StorageError};

/// The least that is read at once, in bytes.
const WINDOW_BYTES_MIN: usize = 64 << 10;
/// The most that one read brings in, unless a single batch is larger, in bytes.
const WINDOW_BYTES_MAX: usize = 4 << 20;

/// What the disk is asked for at once while the journal rests, in bytes, and how many such pieces are under way.
const PIECE_BYTES: usize = 512 << 10;
const PIECES: u64 = 4;
/// The same while the journal is in use, one piece after the other: a frame waits in the disk's queue behind what is
/// already there, whatever its class.
const PIECE_BYTES_BESIDE_JOURNAL: usize = 64 << 10;
/// How long after its last frame the journal counts as in use.
const JOURNAL_RESTS_AFTER: Duration = Duration::from_millis(10);

/// An index that leads no closer than this, in bytes, is not what it should be: entries are some KiB apart.
const INDEX_FAR_BYTES: u64 = 2 << 20;

/// Where to read: a position in a segment's file, and where the file's good bytes end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) segment: Offset,
    pub(crate) position: u64,
    pub(crate) limit: u64,
    /// What is known of the batch at the position.
    pub(crate) due: Due,
}

/// What is known of the batch that begins at a spot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// Its last offset, by an index file, which may be damaged.
    Last(Offset),
    /// Its first offset.
    First(Offset),
}

/// Reads from files what the tail does not have.
pub(crate) async fn read(log: Rc<LogCore>, request: ReadRequest) -> Result<Records, StorageError> {
    let reader = log.readers.borrow_mut().take(request.from);
    let ahead = if reader.is_some() { log.store.config.read_ahead_bytes } else { 0 };
    let mut wanted = request.bytes_max.max(ahead).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
    let mut spot = match reader.and_then(|reader| log.spot_of(&reader)) {
        Some(spot) => spot,
        None => lookup::spot(&log, request.from).await?,
    };
    let began = spot.position;
    loop {
        let window = Window::load(&log, &spot, wanted).await?;
        if window.contradicts(spot.due) {
            spot = mend_index(&log, &spot, request.from).await?;
            wanted = WINDOW_BYTES_MAX;
            continue;
        }
        match window.find(&log, &spot, request.from)? {
            Found::At(start) => {
                let records = window.answer(&log, &spot, start, &request)?;
                if spot.position.saturating_sub(began) > INDEX_FAR_BYTES {
                    reindex(&log, spot.segment).await?;
                }
                return Ok(records);
            }
            Found::Before { position, next } if position > spot.position && position < spot.limit => {
                (spot.position, spot.due) = (position, Due::First(next));
            }
            Found::Before { position, next } => match log.behind_gap(&spot, position, next) {
                Some(behind) => return read_behind(log, behind, request).await,
                None => return Err(log.corrupt(&spot, position, Damage::Short { len: spot.limit })),
            },
            Found::Larger { position, bytes } => {
                spot.position = position;
                wanted = bytes;
            }
        }
    }
}

/// What to read instead where an index entry is wrong: from the segment's beginning, and the index is made anew.
async fn mend_index(log: &Rc<LogCore>, spot: &Spot, from: Offset) -> Result<Spot, StorageError> {
    let path = SegmentFile::Index.path(&log.path(), spot.segment);
    tracing::warn!(file = %path.display(), offset = %from, "an index entry points to no batch of its offset");
    reindex(log, spot.segment).await?;
    let limit = log.limit_of(spot.segment).ok_or_else(|| log.gone(from))?;
    Ok(Spot { position: 0, limit, due: Due::First(spot.segment), ..*spot })
}

/// Reads on behind a gap: the records of `from` are gone for good, those from `behind` on follow them.
async fn read_behind(log: Rc<LogCore>, behind: Offset, request: ReadRequest) -> Result<Records, StorageError> {
    let end = log.end().min(request.upto);
    if behind >= end {
        return Ok(Records { slices: Vec::new(), bytes: 0, next: request.from });
    }
    let later = ReadRequest { from: behind, ..request };
    match log.read_tail(&later)? {
        Some(records) => Ok(records),
        None => Box::pin(read(log, later)).await,
    }
}

impl LogCore {
    /// Where a reader goes on, if its segment is still there and has more.
    fn spot_of(&self, reader: &Reader) -> Option<Spot> {
        let limit = self.limit_of(reader.segment)?;
        let due = Due::First(reader.next);
        (reader.position < limit).then_some(Spot { segment: reader.segment, position: reader.position, limit, due })
    }

    /// Where the log goes on behind a segment that ends at offset `next`, if offsets were left out there: only between two
    /// segments, where damage was (`ottla log salvage`).
    fn behind_gap(&self, spot: &Spot, position: u64, next: Offset) -> Option<Offset> {
        let state = self.state.borrow();
        let index = state.segments.binary_search_by_key(&spot.segment, |known| known.base).ok()?;
        let behind = state.segments.get(index + 1)?.base;
        (position == spot.limit && next < behind).then_some(behind)
    }

    /// Up to where a segment's file has good bytes.
    pub(crate) fn limit_of(&self, segment: Offset) -> Option<u64> {
        let state = self.state.borrow();
        if state.deleted {
            return None;
        }
        let growing = state.rolled.iter().chain([&state.active]).find(|growing| growing.base == segment);
        match growing {
            Some(growing) => {
                let bytes = state.segments.iter().rev().find(|known| known.base == segment)?.bytes;
                Some(state.written.place.saturating_sub(growing.at).min(bytes))
            }
            None => {
                let index = state.segments.binary_search_by_key(&segment, |known| known.base).ok()?;
                Some(state.segments[index].bytes)
            }
        }
    }

    /// Why a segment is not there any more.
    pub(crate) fn gone(&self, from: Offset) -> StorageError {
        let state = self.state.borrow();
        state.out_of_use().unwrap_or(StorageError::OutOfRange { from, start: state.start, end: state.end })
    }

    fn corrupt(&self, spot: &Spot, at: u64, damage: Damage) -> StorageError {
        let error = StorageError::corrupt(&SegmentFile::Log.path(&self.path(), spot.segment), at, damage);
        tracing::error!(%error, "a read found damage");
        error
    }
}

/// What the batches in a window say about an offset.
enum Found {
    /// Its batch begins here in the window.
    At(usize),
    /// The batches all end before it; `next` is due at this position of the file.
    Before { position: u64, next: Offset },
    /// The batch at this position is larger than the window.
    Larger { position: u64, bytes: usize },
}

/// Bytes of a segment's file, from a spot's position on.
struct Window {
    slice: Slice,
    permit: Permit,
}

impl Window {
    /// Reads about `wanted` bytes from the spot on.
    async fn load(log: &Rc<LogCore>, spot: &Spot, wanted: usize) -> Result<Window, StorageError> {
        let from = spot.position / BLOCK as u64 * BLOCK as u64;
        let lead = (spot.position - from) as usize;
        let left = usize::try_from(spot.limit - from).unwrap_or(usize::MAX);
        let len = (lead + wanted).min(left);
        let permit = log.store.cold_memory(len.next_multiple_of(AlignedBuffer::WINDOW_STEP)).await;
        let path = SegmentFile::Log.path(&log.path(), spot.segment);
        let file = match log.store.open.segment(log, spot.segment, false).await {
            Ok(file) => file,
            Err(_) if log.limit_of(spot.segment).is_none() => return Err(log.gone(spot.segment)),
            Err(error) => return Err(error),
        };
        if log.limit_of(spot.segment).is_none() {
            // Deleted before the file was opened: its path may lead to another log's by now.
            log.store.open.close(log.key, spot.segment);
            return Err(log.gone(spot.segment));
        }
        let buffer = AlignedBuffer::window(len);
        let (count, buffer) = log.store.read_in_pieces(&file, buffer, len.next_multiple_of(BLOCK), from).await;
        let count = count.map_err(StorageError::io(&path, "read"))?;
        log.store.counters.cold_bytes.add(count as u64);
        if count < len {
            return Err(log.corrupt(spot, from + count as u64, Damage::Short { len: from + count as u64 }));
        }
        Ok(Window { slice: Slice::from(buffer, lead..len), permit })
    }

    /// Whether the batch here is another than an index says. A batch that cannot be one is, too.
    fn contradicts(&self, due: Due) -> bool {
        let Due::Last(last) = due else { return false };
        let field = |at: usize| self.slice.get(at..at + 8).and_then(|bytes| bytes.first_chunk::<8>());
        let base = field(0).map(|bytes| i64::from_be_bytes(*bytes));
        let delta = field(23).map(|bytes| i64::from_be_bytes(*bytes) >> 32);
        let found = base.zip(delta).and_then(|(base, delta)| base.checked_add(delta));
        self.slice.get(16) != Some(&2) || found != Some(last.get())
    }

    /// Looks for the batch that holds `from`; every batch before it must follow the one before.
    fn find(&self, log: &LogCore, spot: &Spot, from: Offset) -> Result<Found, StorageError> {
        let mut at = 0;
        let mut due = match spot.due {
            Due::First(base) => Some(base),
            Due::Last(_) => None,
        };
        let mut last_is_whole = true;
        loop {
            let position = spot.position + at as u64;
            if let (0, Some(next)) = (self.slice.len() - at, due) {
                // Only a whole batch may say that nothing follows it.
                let found = Found::Before { position, next };
                return if last_is_whole { Ok(found) } else { Err(log.corrupt(spot, position, Damage::BatchChecksum)) };
            }
            match Batch::parse(&self.slice[at..]) {
                Ok((batch, _)) if due.is_some_and(|due| due != batch.base_offset()) => {
                    let damage = Damage::Gap { expected: due.unwrap_or(from), found: batch.base_offset() };
                    return Err(log.corrupt(spot, position, damage));
                }
                Ok((batch, _)) if batch.next_offset() > from => return Ok(Found::At(at)),
                Ok((batch, _)) => {
                    at += batch.total_len();
                    due = Some(batch.next_offset());
                    last_is_whole = at < self.slice.len() || batch.crc_matches();
                }
                Err(BatchError::Truncated { needed, .. }) => {
                    if position + needed as u64 > spot.limit {
                        return Err(log.corrupt(spot, position, Damage::Batch));
                    }
                    return Ok(match due {
                        Some(next) if at > 0 => Found::Before { position, next },
                        _ => Found::Larger { position, bytes: needed },
                    });
                }
                Err(_) => return Err(log.corrupt(spot, position, Damage::Batch)),
            }
        }
    }

    /// Verifies what follows from `start` on and gives what was asked for; the rest is kept for the reader's next request.
    fn answer(
        self,
        log: &Rc<LogCore>,
        spot: &Spot,
        start: usize,
        request: &ReadRequest,
    ) -> Result<Records, StorageError> {
        let good = self.verified(log, spot, start, request)?;
        let (len, next) = cut(&self.slice[start..good], request);
        if len == 0 {
            return Ok(Records { slices: Vec::new(), bytes: 0, next: request.from });
        }
        let end = start + len;
        let Window { slice, permit } = self;
        let ahead = (good > end).then(|| (slice.slice(end..good), permit));
        let position = spot.position + end as u64;
        log.store.keep_ahead(log, Reader { next, segment: spot.segment, position, ahead });
        Ok(Records { slices: vec![slice.slice(start..end)], bytes: len, next })
    }

    /// The end of the batches from `start` on whose checksums are right and that follow one another. An error only when the
    /// first is damaged: what lies behind is found when it is asked for.
    fn verified(&self, log: &LogCore, spot: &Spot, start: usize, request: &ReadRequest) -> Result<usize, StorageError> {
        let (mut good, mut expected) = (start, None);
        while let Ok((batch, _)) = Batch::parse(&self.slice[good..]) {
            let follows = expected.is_none_or(|expected| batch.base_offset() == expected);
            let damage = if !batch.crc_matches() {
                Some(Damage::BatchChecksum)
            } else if !follows {
                Some(Damage::Gap { expected: expected.unwrap_or(request.from), found: batch.base_offset() })
            } else {
                None
            };
            match damage {
                Some(damage) if good == start => return Err(log.corrupt(spot, spot.position + good as u64, damage)),
                Some(_) => break,
                None => {}
            }
            good += batch.total_len();
            expected = Some(batch.next_offset());
        }
        if good == start {
            // The first batch reaches past the window: the caller loads a larger one before it asks.
            return Err(log.corrupt(spot, spot.position + start as u64, Damage::Batch));
        }
        Ok(good)
    }
}

impl Shared {
    /// Memory for a read of older data; what readers keep ahead is given up for it.
    async fn cold_memory(&self, bytes: usize) -> Permit {
        loop {
            if let Some(permit) = self.cold.try_acquire(bytes as u64) {
                return permit;
            }
            let Some(log) = self.ahead.borrow_mut().pop_front() else { break };
            if let Some(log) = Weak::upgrade(&log) {
                log.readers.borrow_mut().drop_ahead();
            }
        }
        self.cold.acquire(bytes as u64).await
    }

    /// Fills `len` bytes of `buffer` from `at` of the file on, and leaves the disk to the journal in between.
    async fn read_in_pieces(
        &self,
        file: &File,
        mut buffer: AlignedBuffer,
        len: usize,
        at: u64,
    ) -> (io::Result<usize>, AlignedBuffer) {
        let mut done = 0;
        while done < len {
            let (piece, permits) =
                if self.journal_in_use() { (PIECE_BYTES_BESIDE_JOURNAL, PIECES) } else { (PIECE_BYTES, 1) };
            let upto = (done + piece).min(len);
            let _turn = self.pieces.acquire(permits).await;
            let (count, back) = file.read_into(buffer, done..upto, at + done as u64).await;
            buffer = back;
            match count {
                Ok(count) => done += count,
                Err(error) => return (Err(error), buffer),
            }
            if done < upto {
                break;
            }
        }
        (Ok(done), buffer)
    }

    /// Whether a frame was written a moment ago, so that another is likely.
    pub(crate) fn journal_in_use(&self) -> bool {
        self.flushed.get().is_some_and(|flushed| monotonic().duration_since(flushed) < JOURNAL_RESTS_AFTER)
    }

    /// The right to read old records from the disk, for as many pieces as may be under way.
    pub(crate) fn pieces() -> Semaphore {
        Semaphore::new(PIECES)
    }

    /// Remembers where a reader stopped, and what it will probably ask for next.
    fn keep_ahead(&self, log: &Rc<LogCore>, reader: Reader) {
        if reader.ahead.is_some() {
            let mut order = self.ahead.borrow_mut();
            if order.back().is_none_or(|last| !std::ptr::eq(last.as_ptr(), Rc::as_ptr(log))) {
                order.push_back(Rc::downgrade(log));
            }
        }
        log.readers.borrow_mut().remember(reader);
    }
}
