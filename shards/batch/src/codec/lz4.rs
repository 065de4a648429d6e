//! The LZ4 frame format (lz4_Frame_format.md 1.6) as far as Kafka uses it: independent blocks, checksums of descriptor and
//! blocks verified, no dictionary (`org.apache.kafka.common.compress.Lz4BlockInputStream`).

use std::io::{self, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use crate::BatchError;
use crate::codec::Codec;

const MAGIC: u32 = 0x184d_2204;
const REFUSED: BatchError = BatchError::Undecompressable { codec: Codec::Lz4 };

// Bits of the first descriptor byte.
const VERSION_BITS: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const BLOCKS_INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUM: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const DICTIONARY: u8 = 1;
/// The bit of a block's length that says that it is stored as it is.
const STORED: u32 = 1 << 31;

pub(super) fn pack(plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let frame = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut writer = FrameEncoder::with_frame_info(frame, out);
    writer.write_all(plain)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(())
}

/// The blocks of one payload, one after another.
pub(crate) struct Frame<'a> {
    rest: &'a [u8],
    block_bytes_max: usize,
    block_checksum: bool,
    content_checksum: bool,
    ended: bool,
}

/// One block of a frame.
pub(crate) enum Block<'a> {
    /// Bytes as they are.
    Stored(&'a [u8]),
    /// Packed bytes that unpack to at most a block.
    Packed(&'a [u8]),
}

impl<'a> Frame<'a> {
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Frame<'a>, BatchError> {
        let (magic, descriptor) = payload.split_first_chunk::<4>().ok_or(REFUSED)?;
        if u32::from_le_bytes(*magic) != MAGIC {
            return Err(REFUSED);
        }
        let &[flags, sizes, ..] = descriptor else { return Err(REFUSED) };
        if flags & VERSION_BITS != VERSION || flags & BLOCKS_INDEPENDENT == 0 || flags & DICTIONARY != 0 {
            return Err(REFUSED);
        }
        // 4: 64 KiB, 5: 256 KiB, 6: 1 MiB, 7: 4 MiB.
        let size_code = (sizes >> 4) & 7;
        if size_code < 4 {
            return Err(REFUSED);
        }
        let described = if flags & CONTENT_SIZE != 0 { 10 } else { 2 };
        let (described, rest) = descriptor.split_at_checked(described).ok_or(REFUSED)?;
        let (&checksum, rest) = rest.split_first().ok_or(REFUSED)?;
        if checksum != (xxh32(described) >> 8) as u8 {
            return Err(REFUSED);
        }
        Ok(Frame {
            rest,
            block_bytes_max: 1 << (8 + 2 * size_code),
            block_checksum: flags & BLOCK_CHECKSUM != 0,
            content_checksum: flags & CONTENT_CHECKSUM != 0,
            ended: false,
        })
    }

    /// Room that the next block may need, unpacked. Not more than its packed bytes can give: nothing is reserved on a claim.
    pub(crate) fn room(&self, block: &Block<'_>) -> usize {
        match block {
            Block::Stored(bytes) => bytes.len(),
            // A byte of packed input adds at most 255 to a length.
            Block::Packed(bytes) => self.block_bytes_max.min(bytes.len().saturating_mul(256)),
        }
    }

    /// The next block; `None` after the last. What follows the frame is left alone, as Java does.
    pub(crate) fn next(&mut self) -> Result<Option<Block<'a>>, BatchError> {
        if self.ended {
            return Ok(None);
        }
        let length = self.word()?;
        if length == 0 {
            self.ended = true;
            if self.content_checksum {
                self.word()?;
            }
            return Ok(None);
        }
        let bytes = (length & !STORED) as usize;
        if bytes > self.block_bytes_max {
            return Err(REFUSED);
        }
        let (block, rest) = self.rest.split_at_checked(bytes).ok_or(REFUSED)?;
        self.rest = rest;
        if self.block_checksum && self.word()? != xxh32(block) {
            return Err(REFUSED);
        }
        Ok(Some(if length & STORED != 0 { Block::Stored(block) } else { Block::Packed(block) }))
    }

    fn word(&mut self) -> Result<u32, BatchError> {
        let (word, rest) = self.rest.split_first_chunk::<4>().ok_or(REFUSED)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*word))
    }
}

/// Unpacks `block` into the start of `out`.
pub(crate) fn unpack_block(block: &Block<'_>, out: &mut [u8]) -> Result<usize, BatchError> {
    match block {
        Block::Stored(bytes) => {
            out.get_mut(..bytes.len()).ok_or(REFUSED)?.copy_from_slice(bytes);
            Ok(bytes.len())
        }
        Block::Packed(bytes) => lz4_flex::block::decompress_into(bytes, out).map_err(|_| REFUSED),
    }
}

/// XXH32 with seed 0 (xxhash_spec.md), the checksum of LZ4 frames.
pub(crate) fn xxh32(bytes: &[u8]) -> u32 {
    const PRIME: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];
    let round =
        |lane: u32, word: u32| lane.wrapping_add(word.wrapping_mul(PRIME[1])).rotate_left(13).wrapping_mul(PRIME[0]);
    let word_at = |chunk: &[u8]| chunk.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
    let (stripes, tail) = bytes.split_at(bytes.len() & !15);
    let mut hash = PRIME[4];
    if !stripes.is_empty() {
        let mut lanes = [PRIME[0].wrapping_add(PRIME[1]), PRIME[1], 0, 0u32.wrapping_sub(PRIME[0])];
        for stripe in stripes.chunks_exact(16) {
            for (lane, word) in lanes.iter_mut().zip(stripe.chunks_exact(4)) {
                *lane = round(*lane, word_at(word));
            }
        }
        hash = [1, 7, 12, 18].into_iter().zip(lanes).fold(0, |sum, (by, lane)| sum.wrapping_add(lane.rotate_left(by)));
    }
    hash = hash.wrapping_add(bytes.len() as u32);
    let words = tail.chunks_exact(4);
    let last = words.remainder();
    for word in words {
        hash = hash.wrapping_add(word_at(word).wrapping_mul(PRIME[2])).rotate_left(17).wrapping_mul(PRIME[3]);
    }
    for &byte in last {
        hash = hash.wrapping_add(u32::from(byte).wrapping_mul(PRIME[4])).rotate_left(11).wrapping_mul(PRIME[0]);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(PRIME[1]);
    hash = (hash ^ (hash >> 13)).wrapping_mul(PRIME[2]);
    hash ^ (hash >> 16)
}
