//! The end of a log in memory: exactly the bytes of its newest segment files, in chunks that lie as the files' blocks do.

use std::collections::VecDeque;
use std::ops::Range;

use ottla_reactor::{BLOCK, Blocks, Chunk, Slice, prefetch};
use ottla_units::Offset;

/// The chunks and batches at the end of one log.
///
/// Places are *log places*: bytes counted over the boundaries of segments, so that a read may cross them. A log place minus
/// the place where its segment begins is the position in the segment's file.
#[derive(Debug)]
pub(crate) struct Tail {
    chunks: VecDeque<TailChunk>,
    batches: VecDeque<TailBatch>,
    /// The place behind the last byte.
    end: u64,
    /// Where the active segment's file begins.
    segment_at: u64,
    /// Capacity of all chunks.
    memory: usize,
    /// The largest chunk, in bytes: each is one write.
    chunk_bytes_max: usize,
    /// While there is no chunk: the bytes of the file's last block, if the last chunk had them. What follows is written with them.
    rest: Vec<u8>,
}

#[derive(Debug)]
struct TailChunk {
    chunk: Chunk,
    /// The place of its first byte in memory, which is at a block boundary of its file.
    base: u64,
    /// The first place that it really holds: before it lie bytes that are in the file only.
    from: u64,
    /// Where its segment's file begins.
    segment_at: u64,
}

impl TailChunk {
    fn end(&self) -> u64 {
        self.base + self.chunk.len() as u64
    }

    /// The bytes of the last block, if it is not full and all of them are here.
    fn last_block(&self) -> Vec<u8> {
        let len = self.chunk.len();
        let start = len / BLOCK * BLOCK;
        if self.base + start as u64 >= self.from { self.chunk.slice(start..len).to_vec() } else { Vec::new() }
    }
}

/// Where a batch in the tail lies; it ends where the next begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailBatch {
    pub(crate) base_offset: Offset,
    pub(crate) at: u64,
}

/// Bytes of the tail for the disk.
pub(crate) struct Run {
    /// Whole blocks of a chunk.
    pub(crate) blocks: Blocks,
    /// Where they belong in the file.
    pub(crate) position: u64,
}

/// A block whose first part is in the file only.
pub(crate) struct Seam {
    /// Where the block begins in the file.
    pub(crate) position: u64,
    /// Bytes of it that are in the file only.
    pub(crate) gap: usize,
    /// What follows them.
    pub(crate) bytes: Slice,
}

impl Tail {
    /// An empty tail of a log whose active segment holds `position` bytes already, in chunks of at most `chunk_bytes_max`.
    pub(crate) fn new(position: u64, chunk_bytes_max: usize) -> Tail {
        let (chunks, batches) = (VecDeque::new(), VecDeque::new());
        Tail { chunks, batches, end: position, segment_at: 0, memory: 0, chunk_bytes_max, rest: Vec::new() }
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The place of the first batch that is here whole.
    pub(crate) fn first_batch(&self) -> u64 {
        self.batches.front().map_or(self.end, |first| first.at)
    }

    /// Bytes of the active segment.
    pub(crate) fn position(&self) -> u64 {
        self.end - self.segment_at
    }

    pub(crate) fn segment_at(&self) -> u64 {
        self.segment_at
    }

    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Brings the descriptions of the last chunk and batch into this core's caches.
    #[inline]
    pub(crate) fn prefetch_ends(&self) {
        prefetch(self.chunks.back());
        prefetch(self.batches.back());
    }

    /// Brings the memory of the next `bytes` into this core's caches, as far as there is some.
    #[inline]
    pub(crate) fn prefetch_room(&self, bytes: usize) {
        if let Some(last) = self.chunks.back() {
            last.chunk.prefetch_room(bytes);
        }
    }

    /// Takes in one batch; returns how much memory that took.
    pub(crate) fn append(&mut self, batch: TailBatch, header: &[u8], payload: &[u8]) -> usize {
        let before = self.memory;
        let needed = header.len() + payload.len();
        self.push(header, needed);
        self.push(payload, payload.len());
        self.batches.push_back(batch);
        self.memory - before
    }

    /// Appends `bytes`, of which `expected` will come in a row.
    fn push(&mut self, mut bytes: &[u8], mut expected: usize) {
        while !bytes.is_empty() {
            if self.chunks.back().is_none_or(|last| last.chunk.remaining() == 0 || last.segment_at != self.segment_at) {
                self.grow(expected);
            }
            let Some(last) = self.chunks.back_mut() else { return };
            let count = bytes.len().min(last.chunk.remaining());
            last.chunk.append(&bytes[..count]);
            bytes = &bytes[count..];
            expected -= count;
            self.end += count as u64;
        }
    }

    /// Adds a chunk: twice as large as the one before, since a log that filled that one is likely to fill this.
    fn grow(&mut self, expected: usize) {
        let gap = (self.position() % BLOCK as u64) as usize;
        let doubled = self.chunks.back().map_or(BLOCK, |last| last.chunk.capacity() * 2);
        let capacity = doubled.max((gap + expected).next_power_of_two()).min(self.chunk_bytes_max);
        let mut chunk = Chunk::new(capacity);
        let (base, rest) = (self.end - gap as u64, std::mem::take(&mut self.rest));
        let from = if rest.len() == gap {
            chunk.append(&rest);
            base
        } else {
            chunk.append(&[0; BLOCK][..gap]);
            self.end
        };
        self.memory += chunk.capacity();
        self.chunks.push_back(TailChunk { chunk, base, from, segment_at: self.segment_at });
    }

    /// From here on bytes belong to a new segment.
    pub(crate) fn roll(&mut self) {
        self.rest = Vec::new();
        self.segment_at = self.end;
    }

    /// Views of the bytes in `places`, which must be in the tail.
    pub(crate) fn slices(&self, places: Range<u64>) -> Vec<Slice> {
        let first = self.chunks.partition_point(|chunk| chunk.end() <= places.start);
        let mut slices = Vec::with_capacity(2);
        for chunk in self.chunks.range(first..) {
            if chunk.from >= places.end {
                break;
            }
            let from = places.start.max(chunk.from) - chunk.base;
            let to = places.end.min(chunk.end()) - chunk.base;
            slices.push(chunk.chunk.slice(from as usize..to as usize));
        }
        slices
    }

    /// What must be written so that `places`, all of one segment, are in its file.
    pub(crate) fn runs(&self, places: Range<u64>) -> (Option<Seam>, Vec<Run>) {
        let (mut seam, mut runs) = (None, Vec::new());
        let first = self.chunks.partition_point(|chunk| chunk.end() <= places.start);
        for chunk in self.chunks.range(first..) {
            if chunk.from >= places.end {
                break;
            }
            let from = places.start.max(chunk.from) - chunk.base;
            let to = places.end.min(chunk.end()) - chunk.base;
            let mut block = from / BLOCK as u64 * BLOCK as u64;
            let gap = (chunk.from - chunk.base) as usize;
            if block == 0 && gap > 0 {
                let bytes = chunk.chunk.slice(gap..(to as usize).min(BLOCK));
                seam = Some(Seam { position: chunk.base - chunk.segment_at, gap, bytes });
                block = BLOCK as u64;
            }
            if block < to {
                let blocks = chunk.chunk.blocks(block as usize..to as usize);
                runs.push(Run { blocks, position: chunk.base + block - chunk.segment_at });
            }
        }
        (seam, runs)
    }

    /// Drops the oldest chunk if all of it lies before `written`; returns the memory that this gave back.
    pub(crate) fn evict(&mut self, written: u64) -> usize {
        let Some(oldest) = self.chunks.front() else { return 0 };
        if oldest.end() > written {
            return 0;
        }
        let Some(oldest) = self.chunks.pop_front() else { return 0 };
        let from = self.chunks.front().map_or(self.end, |next| next.from);
        let gone = self.batches.partition_point(|batch| batch.at < from);
        self.batches.drain(..gone);
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
            self.batches = VecDeque::new();
            self.rest = oldest.last_block();
        }
        self.memory -= oldest.chunk.capacity();
        oldest.chunk.capacity()
    }

    /// How many chunks there are.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// The batches from the one that holds `from` that end at or before offset `upto` and within `bytes_max`, at least one
    /// if asked: their places and the offset after them. `None` when `from` lies before the tail.
    pub(crate) fn find(
        &self,
        from: Offset,
        upto: Offset,
        log_end: Offset,
        bytes_max: usize,
        at_least_one: bool,
    ) -> Option<(Range<u64>, Offset)> {
        let first = self.batches.partition_point(|batch| batch.base_offset <= from).checked_sub(1)?;
        let start = self.batches[first].at;
        let by_offset = self.ending_by(upto, log_end);
        let by_bytes = self.ending_within(start.saturating_add(bytes_max as u64));
        let mut stop = by_offset.min(by_bytes);
        if at_least_one && stop <= first && by_offset > first {
            stop = first + 1;
        }
        let stop = stop.max(first);
        let next = self.batches.get(stop).map_or(log_end, |batch| batch.base_offset);
        Some((start..self.batches.get(stop).map_or(self.end, |batch| batch.at), next))
    }

    /// How many batches end at or before offset `upto`.
    fn ending_by(&self, upto: Offset, log_end: Offset) -> usize {
        if upto >= log_end {
            return self.batches.len();
        }
        // The batch before the first that begins behind `upto` reaches past it.
        self.batches.partition_point(|batch| batch.base_offset <= upto).saturating_sub(1)
    }

    /// How many batches end at or before the place `limit`.
    fn ending_within(&self, limit: u64) -> usize {
        if limit >= self.end {
            return self.batches.len();
        }
        self.batches.partition_point(|batch| batch.at <= limit).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests;
