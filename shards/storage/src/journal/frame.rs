//! The frame being filled: entries of one flush cycle, in a buffer that the disk reads as it is.

use crc_fast::{CrcAlgorithm, Digest};
use ottla_batch::{CHECKSUMMED_FROM, HEADER_BYTES, Joint, checksum};
use ottla_reactor::{AlignedBuffer, BLOCK, stream};

use super::format::{ENTRY_HEADER_BYTES, EntryHeader, FRAME_HEADER_BYTES, FrameHeader};

/// Entries so far, behind room for the frame's header.
#[derive(Debug)]
pub(crate) struct Frame {
    buffer: AlignedBuffer,
    len: usize,
    entries: u32,
    /// The checksum of the entries in front of `summed`.
    crc: u32,
    summed: usize,
}

/// Entries are summed when there are so many bytes of them: several times faster than one by one, and still in the processor's cache.
const SUM_BYTES: usize = 16 << 10;

/// Records of this many bytes and more go past the caches, and are not looked at again for a checksum.
const STREAM_FROM_BYTES: usize = 4096;

impl Frame {
    /// An empty frame in `buffer`, whose old content does not matter.
    pub(crate) fn new(buffer: AlignedBuffer) -> Frame {
        Frame { buffer, len: FRAME_HEADER_BYTES, entries: 0, crc: 0, summed: FRAME_HEADER_BYTES }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes so far, the header's included.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// Whether an entry with a payload of `bytes` fits.
    #[inline]
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.len + ENTRY_HEADER_BYTES + bytes <= self.buffer.len()
    }

    /// Moves to a larger buffer.
    pub(crate) fn grow(&mut self, mut buffer: AlignedBuffer) {
        buffer[..self.len].copy_from_slice(&self.buffer[..self.len]);
        self.buffer = buffer;
    }

    /// Adds an entry whose payload is `first` and `second` in a row. The caller asked [`Frame::fits`].
    #[inline]
    pub(crate) fn push(&mut self, entry: EntryHeader, first: &[u8], second: &[u8]) {
        let (place, len) = self.begin(entry, first, second.len());
        place[len - second.len()..].copy_from_slice(second);
        self.end(len);
        if self.len - self.summed >= SUM_BYTES {
            self.sum_up(self.len);
        }
    }

    /// Takes the checksum of what is in front of `upto`.
    fn sum_up(&mut self, upto: usize) {
        let mut sum = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!self.crc));
        sum.update(&self.buffer[self.summed..upto]);
        (self.crc, self.summed) = (sum.finalize() as u32, upto);
    }

    /// The same for a batch with a checksum of its own, of which the frame's follows: `joint` knows how.
    #[inline]
    pub(crate) fn push_batch(
        &mut self,
        entry: EntryHeader,
        header: &[u8; HEADER_BYTES],
        records: &[u8],
        joint: &mut Joint,
    ) {
        if records.len() < STREAM_FROM_BYTES {
            return self.push(entry, header, records);
        }
        let (place, len) = self.begin(entry, header, records.len());
        let behind = HEADER_BYTES - CHECKSUMMED_FROM + records.len();
        stream(records, &mut place[len - records.len()..]);
        self.sum_up(self.len + len - behind);
        self.crc = joint.combine(self.crc, checksum(header), behind as u32);
        self.end(len);
        self.summed = self.len;
        debug_assert_eq!(self.crc, crc32c::crc32c(&self.buffer[FRAME_HEADER_BYTES..self.len]));
    }

    /// Puts an entry's header and the beginning of its payload down; gives the entry's place and length.
    #[inline]
    fn begin(&mut self, entry: EntryHeader, first: &[u8], rest: usize) -> (&mut [u8], usize) {
        debug_assert_eq!(entry.length as usize, first.len() + rest);
        let len = ENTRY_HEADER_BYTES + first.len() + rest;
        let place = &mut self.buffer[self.len..self.len + len];
        let (header, payload) = place.split_at_mut(ENTRY_HEADER_BYTES);
        header.copy_from_slice(&entry.to_bytes());
        payload[..first.len()].copy_from_slice(first);
        (place, len)
    }

    #[inline]
    fn end(&mut self, len: usize) {
        self.len += len;
        self.entries += 1;
    }

    /// Bytes that the frame will take in the file.
    pub(crate) fn padded(&self) -> u64 {
        (self.len as u64).next_multiple_of(BLOCK as u64)
    }

    /// Completes the frame: its header, its checksum, zeros up to the block's end. Gives the buffer to be written.
    pub(crate) fn seal(mut self, header: FrameHeader) -> (AlignedBuffer, usize) {
        self.sum_up(self.len);
        let Frame { mut buffer, len, entries, crc, .. } = self;
        let padded = len.next_multiple_of(BLOCK);
        buffer[len..padded].fill(0);
        FrameHeader { length: len as u32, entries, ..header }.seal(&mut buffer, crc);
        (buffer, padded)
    }
}
