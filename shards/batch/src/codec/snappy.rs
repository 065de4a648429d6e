//! Snappy as Kafka's clients write it: blocks in snappy-java's framing (a header of 16 bytes, then length and block), or one
//! bare block (older librdkafka and sarama).

use std::io;

use crate::BatchError;
use crate::codec::Codec;

/// Magic, version 1, compatible with version 1 (`org.xerial.snappy.SnappyCodec`).
const HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
/// Magic alone; the versions behind it are not looked at.
const MAGIC_BYTES: usize = 8;
/// Bytes that the Java client puts in one block.
const BLOCK_BYTES: usize = 32 << 10;
/// No snappy block unpacks to more than this many times its size: a copy of 64 bytes takes at least two.
const RATIO_MAX: usize = 32;

const REFUSED: BatchError = BatchError::Undecompressable { codec: Codec::Snappy };

pub(super) fn pack(plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&HEADER);
    let mut encoder = snap::raw::Encoder::new();
    for block in plain.chunks(BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).map_err(io::Error::other)?;
        out.extend_from_slice(&(packed.len() as u32).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(())
}

/// The blocks of one payload, one after another.
pub(crate) struct Blocks<'a> {
    rest: &'a [u8],
    framed: bool,
}

impl<'a> Blocks<'a> {
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Blocks<'a>, BatchError> {
        let framed = payload.starts_with(&HEADER[..MAGIC_BYTES]);
        let rest = if framed { payload.get(HEADER.len()..) } else { Some(payload) };
        if payload.is_empty() { Err(REFUSED) } else { Ok(Blocks { rest: rest.ok_or(REFUSED)?, framed }) }
    }

    /// The next block, still packed, and what it says to unpack to; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<(&'a [u8], usize)>, BatchError> {
        // Fewer bytes than a length behind the last block are ignored, as by snappy-java.
        if self.rest.is_empty() || self.framed && self.rest.len() < 4 {
            return Ok(None);
        }
        let block = if self.framed { self.framed_block()? } else { std::mem::take(&mut self.rest) };
        let plain_bytes = snap::raw::decompress_len(block).map_err(|_| REFUSED)?;
        if plain_bytes / RATIO_MAX > block.len() {
            return Err(REFUSED);
        }
        Ok(Some((block, plain_bytes)))
    }

    fn framed_block(&mut self) -> Result<&'a [u8], BatchError> {
        // Streams that were concatenated repeat the header between blocks.
        if self.rest.starts_with(&HEADER[..MAGIC_BYTES]) && self.rest.len() >= HEADER.len() {
            self.rest = &self.rest[HEADER.len()..];
        }
        let (length, rest) = self.rest.split_first_chunk::<4>().ok_or(REFUSED)?;
        let (block, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(REFUSED)?;
        self.rest = rest;
        Ok(block)
    }
}

/// Unpacks `block` into the start of `out`, which has room for what it says to hold.
pub(crate) fn unpack_block(block: &[u8], out: &mut [u8]) -> Result<usize, BatchError> {
    snap::raw::Decoder::new().decompress(block, out).map_err(|_| REFUSED)
}
