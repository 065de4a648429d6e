//! Reading: from the tail at once, from files as a future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ottla_batch::Batch;
use ottla_reactor::{Permit, Slice};
use ottla_units::Offset;

use crate::log::{Log, LogCore};
use crate::{StorageError, cold};

/// Places where readers of older data stopped that one log remembers.
const READERS_MAX: usize = 8;

/// What is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadRequest {
    /// The batch with this offset comes first.
    pub from: Offset,
    /// Only batches that end at or before this offset, such as the high watermark.
    pub upto: Offset,
    /// Bytes at most. Older data may come in smaller portions.
    pub bytes_max: usize,
    /// Whether the first batch comes even if it is larger.
    pub at_least_one: bool,
}

/// Whole batches, as bytes to be sent.
#[derive(Clone, Default, Debug)]
pub struct Records {
    /// The batches, in pieces that may end anywhere.
    pub slices: Vec<Slice>,
    /// Bytes in all pieces.
    pub bytes: usize,
    /// The offset after the last batch; the one asked for when there is none.
    pub next: Offset,
}

/// What a read gives.
#[derive(Debug)]
pub enum Read {
    /// It was in memory.
    Ready(Records),
    /// It comes from files.
    Cold(ColdRead),
}

impl Read {
    /// The records, waiting for files if need be.
    ///
    /// # Errors
    /// As [`ColdRead`].
    pub async fn records(self) -> Result<Records, StorageError> {
        match self {
            Read::Ready(records) => Ok(records),
            Read::Cold(read) => read.await,
        }
    }
}

/// A read from files. It fails with [`StorageError::Corrupt`] where the disk gives other bytes than were written.
pub struct ColdRead(Pin<Box<dyn Future<Output = Result<Records, StorageError>>>>);

impl Future for ColdRead {
    type Output = Result<Records, StorageError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl std::fmt::Debug for ColdRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ColdRead")
    }
}

/// Where readers of older data stopped, newest last.
#[derive(Default)]
pub(crate) struct Readers(Vec<Reader>);

/// A reader that will probably go on at `next`.
pub(crate) struct Reader {
    pub(crate) next: Offset,
    /// The segment, and the position there, of the batch that begins at `next`.
    pub(crate) segment: Offset,
    pub(crate) position: u64,
    /// Verified batches from `next` on that were read beyond what was asked for, and the memory they take.
    pub(crate) ahead: Option<(Slice, Permit)>,
}

impl Readers {
    /// Takes the reader that stopped at `from`.
    pub(crate) fn take(&mut self, from: Offset) -> Option<Reader> {
        let index = self.0.iter().position(|reader| reader.next == from)?;
        Some(self.0.remove(index))
    }

    pub(crate) fn remember(&mut self, reader: Reader) {
        if self.0.len() >= READERS_MAX {
            self.0.remove(0);
        }
        self.0.push(reader);
    }

    /// Drops what was read ahead; says whether there was anything.
    pub(crate) fn drop_ahead(&mut self) -> bool {
        self.0.iter_mut().fold(false, |any, reader| reader.ahead.take().is_some() | any)
    }
}

impl Log {
    /// Reads batches. What is in memory comes at once, without a copy.
    ///
    /// # Errors
    /// [`StorageError::OutOfRange`], [`StorageError::Deleted`].
    pub fn read(&self, request: ReadRequest) -> Result<Read, StorageError> {
        let log = &self.0;
        if let Some(records) = log.read_tail(&request)? {
            return Ok(Read::Ready(records));
        }
        if let Some(records) = log.read_ahead(&request) {
            return Ok(Read::Ready(records));
        }
        log.store.counters.cold_reads.increment();
        Ok(Read::Cold(ColdRead(Box::pin(cold::read(std::rc::Rc::clone(log), request)))))
    }

    /// The leadership that wrote `offset`; −1 when unknown.
    pub fn epoch_of(&self, offset: Offset) -> ottla_units::LeaderEpoch {
        self.0.state.borrow().epochs.of(offset)
    }
}

impl LogCore {
    /// Reads what is in the tail; nothing when `from` lies before it.
    pub(crate) fn read_tail(&self, request: &ReadRequest) -> Result<Option<Records>, StorageError> {
        let state = self.state.borrow();
        if let Some(why) = state.out_of_use() {
            return Err(why);
        }
        if request.from < state.start || request.from > state.end {
            return Err(StorageError::OutOfRange { from: request.from, start: state.start, end: state.end });
        }
        let nothing = Records { slices: Vec::new(), bytes: 0, next: request.from };
        if request.from >= request.upto.min(state.end) {
            return Ok(Some(nothing));
        }
        let ReadRequest { from, upto, bytes_max, at_least_one } = *request;
        let Some((places, next)) = state.tail.find(from, upto, state.end, bytes_max, at_least_one) else {
            return Ok(None);
        };
        self.store.counters.tail_reads.increment();
        if places.is_empty() {
            return Ok(Some(nothing));
        }
        let bytes = (places.end - places.start) as usize;
        Ok(Some(Records { slices: state.tail.slices(places), bytes, next }))
    }

    /// Reads what an earlier read brought in beyond its own need.
    fn read_ahead(&self, request: &ReadRequest) -> Option<Records> {
        let mut readers = self.readers.borrow_mut();
        let mut reader = readers.take(request.from)?;
        let Some((ahead, permit)) = reader.ahead.take() else {
            readers.remember(reader);
            return None;
        };
        let (cut, next) = cut(&ahead, request);
        let records = Records { slices: vec![ahead.slice(0..cut)], bytes: cut, next };
        if cut == 0 {
            reader.ahead = Some((ahead, permit));
            readers.remember(reader);
            return Some(Records { slices: Vec::new(), bytes: 0, next: request.from });
        }
        reader.next = next;
        reader.position += cut as u64;
        if cut < ahead.len() {
            reader.ahead = Some((ahead.slice(cut..ahead.len()), permit));
        }
        readers.remember(reader);
        self.store.counters.ahead_reads.increment();
        Some(records)
    }
}

/// How much of `batches` answers the request, and the offset after that.
pub(crate) fn cut(batches: &[u8], request: &ReadRequest) -> (usize, Offset) {
    let (mut len, mut next) = (0, request.from);
    let mut rest = batches;
    while let Ok((batch, behind)) = Batch::parse(rest) {
        let fits = len + batch.total_len() <= request.bytes_max || (len == 0 && request.at_least_one);
        if !fits || batch.next_offset() > request.upto {
            break;
        }
        len += batch.total_len();
        next = batch.next_offset();
        rest = behind;
    }
    (len, next)
}
