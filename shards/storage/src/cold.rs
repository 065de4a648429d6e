//! Reads of older data: past the page cache, into their own buffers, under their own budget, verified.

use std::rc::{Rc, Weak};

use ottla_batch::{Batch, BatchError};
use ottla_reactor::{AlignedBuffer, BLOCK, Permit, Slice};
use ottla_units::Offset;

use crate::layout::SegmentFile;
use crate::log::LogCore;
use crate::lookup;
use crate::read::{ReadRequest, Reader, Records, cut};
use crate::store::Shared;
use crate::{Damage, StorageError};

/// The least that is read at once, in bytes.
const WINDOW_BYTES_MIN: usize = 64 << 10;
/// The most that one read brings in, unless a single batch is larger, in bytes.
const WINDOW_BYTES_MAX: usize = 4 << 20;

/// Where to read: a position in a segment's file, and where the file's good bytes end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) segment: Offset,
    pub(crate) position: u64,
    pub(crate) limit: u64,
}

/// Reads from files what the tail does not have.
pub(crate) async fn read(log: Rc<LogCore>, request: ReadRequest) -> Result<Records, StorageError> {
    let reader = log.readers.borrow_mut().take(request.from);
    let sequential = reader.is_some();
    let mut spot = match reader {
        Some(reader) => log.spot_of(&reader),
        None => None,
    };
    if spot.is_none() {
        spot = Some(lookup::spot(&log, request.from).await?);
    }
    let Some(mut spot) = spot else { return Err(log.gone(request.from)) };
    let ahead = if sequential { log.store.config.read_ahead_bytes } else { 0 };
    let mut wanted = request.bytes_max.max(ahead).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
    loop {
        let window = Window::load(&log, &spot, wanted).await?;
        match window.find(&log, &spot, request.from)? {
            Found::At(start) => return window.answer(&log, &spot, start, &request),
            Found::Before(position) if position > spot.position => spot.position = position,
            Found::Before(_) => return Err(log.corrupt(&spot, spot.position, Damage::Short { len: spot.limit })),
            Found::Larger { position, bytes } => {
                spot.position = position;
                wanted = bytes;
            }
        }
    }
}

impl LogCore {
    /// Where a reader goes on, if its segment is still there and has more.
    fn spot_of(&self, reader: &Reader) -> Option<Spot> {
        let limit = self.limit_of(reader.segment)?;
        (reader.position < limit).then_some(Spot { segment: reader.segment, position: reader.position, limit })
    }

    /// Up to where a segment's file has good bytes.
    pub(crate) fn limit_of(&self, segment: Offset) -> Option<u64> {
        let state = self.state.borrow();
        let growing = state.rolled.iter().chain([&state.active]).find(|growing| growing.base == segment);
        match growing {
            Some(growing) => {
                let bytes = state.segments.iter().rev().find(|known| known.base == segment)?.bytes;
                Some(state.synced.saturating_sub(growing.at).min(bytes))
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
        if state.deleted {
            StorageError::Deleted
        } else {
            StorageError::OutOfRange { from, start: state.start, end: state.end }
        }
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
    /// The batches all end before it; the next begins at this position of the file.
    Before(u64),
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
        let permit = log.store.cold_memory(len.next_multiple_of(BLOCK)).await;
        let path = SegmentFile::Log.path(&log.path(), spot.segment);
        let file = match log.store.open.segment(log, spot.segment, false).await {
            Ok(file) => file,
            Err(_) if log.limit_of(spot.segment).is_none() => return Err(log.gone(spot.segment)),
            Err(error) => return Err(error),
        };
        let buffer = AlignedBuffer::new(len);
        let (count, buffer) = file.read_at(buffer, len.next_multiple_of(BLOCK), from).await;
        let count = count.map_err(StorageError::io(&path, "read"))?;
        log.store.counters.cold_bytes.add(count as u64);
        if count < len {
            return Err(log.corrupt(spot, from + count as u64, Damage::Short { len: from + count as u64 }));
        }
        Ok(Window { slice: Slice::from(buffer, lead..len), permit })
    }

    /// Looks for the batch that holds `from`.
    fn find(&self, log: &LogCore, spot: &Spot, from: Offset) -> Result<Found, StorageError> {
        let mut at = 0;
        loop {
            let position = spot.position + at as u64;
            match Batch::parse(&self.slice[at..]) {
                Ok((batch, _)) if batch.next_offset() > from => {
                    let base = batch.base_offset();
                    if base > from {
                        let damage = Damage::Gap { expected: from, found: base };
                        return Err(log.corrupt(spot, position, damage));
                    }
                    return Ok(Found::At(at));
                }
                Ok((batch, _)) => at += batch.total_len(),
                Err(BatchError::Truncated { needed, .. }) => {
                    if position + needed as u64 > spot.limit {
                        return Err(log.corrupt(spot, position, Damage::Batch));
                    }
                    let larger = at == 0 && needed > self.slice.len();
                    return Ok(if larger {
                        Found::Larger { position, bytes: needed }
                    } else {
                        Found::Before(position)
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
