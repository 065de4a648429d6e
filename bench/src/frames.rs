//! Ready-made Produce and Fetch frames, and the least reading of their answers that still sees every error code.
//!
//! Produce v9 and Fetch v12: the first flexible versions, spoken by every broker of the last years, partitions by name.

use ottla_batch::HEADER_BYTES;

use crate::error::{BenchError, Result};
use crate::source::Source;

/// The version of Produce that is spoken.
pub const PRODUCE_VERSION: i16 = 9;
/// The version of Fetch that is spoken.
pub const FETCH_VERSION: i16 = 12;
/// Length, key, version, correlation id: what every frame starts with, and the only part that changes.
pub const PREFIX_BYTES: usize = 12;
/// An answer longer than this is not believed.
pub const RESPONSE_BYTES_MAX: i32 = 512 << 20;

const CLIENT_ID: &[u8] = b"ottla-bench";

/// A request whose bytes are all there; only the correlation id is set at each send.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The whole frame, its length included.
    bytes: Vec<u8>,
}

impl Frame {
    fn start(key: i16, version: i16, capacity: usize) -> Frame {
        let mut bytes = Vec::with_capacity(capacity + 64);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&key.to_be_bytes());
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(CLIENT_ID.len() as i16).to_be_bytes());
        bytes.extend_from_slice(CLIENT_ID);
        bytes.push(0);
        Frame { bytes }
    }

    fn finish(mut self) -> Frame {
        let length = (self.bytes.len() - 4) as i32;
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self
    }

    /// The whole frame as it is.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole frame with this correlation id.
    pub fn with_correlation(&mut self, correlation: i32) -> &[u8] {
        self.bytes[8..PREFIX_BYTES].copy_from_slice(&correlation.to_be_bytes());
        &self.bytes
    }

    /// Bytes of the whole frame.
    pub fn total_len(&self) -> usize {
        self.bytes.len()
    }

    /// The whole frame, to patch in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

fn put_uvarint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_compact(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uvarint(out, bytes.len() as u32 + 1);
    out.extend_from_slice(bytes);
}

/// How long a broker may take to answer a produce before it must give an error, in milliseconds.
const PRODUCE_TIMEOUT_MS: i32 = 30_000;

/// A Produce request for partitions of one topic, and where in the frame each partition's batch begins.
pub fn produce_frame(topic: &str, acks: i16, parts: &[(i32, &[u8])]) -> (Frame, Vec<usize>) {
    let records: usize = parts.iter().map(|(_, bytes)| bytes.len() + 16).sum();
    let mut frame = Frame::start(0, PRODUCE_VERSION, records + topic.len());
    let out = &mut frame.bytes;
    out.push(0);
    out.extend_from_slice(&acks.to_be_bytes());
    out.extend_from_slice(&PRODUCE_TIMEOUT_MS.to_be_bytes());
    put_uvarint(out, 2);
    put_compact(out, topic.as_bytes());
    put_uvarint(out, parts.len() as u32 + 1);
    let mut places = Vec::with_capacity(parts.len());
    for (index, batch) in parts {
        out.extend_from_slice(&index.to_be_bytes());
        put_uvarint(out, batch.len() as u32 + 1);
        places.push(out.len());
        out.extend_from_slice(batch);
        out.push(0);
    }
    out.extend_from_slice(&[0, 0]);
    (frame.finish(), places)
}

/// What a broker said of one partition of a Produce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Produced {
    /// The partition.
    pub partition: i32,
    /// Kafka's error code, 0 for none.
    pub error: i16,
    /// The offset of the first record.
    pub base_offset: i64,
}

/// Reads the body of a Produce answer, after the correlation id.
///
/// # Errors
/// [`BenchError::Malformed`] or those of the source.
pub fn read_produced<S: Source>(source: &mut S, mut each: impl FnMut(Produced)) -> Result<()> {
    source.skip_tags()?;
    for _ in 0..source.compact_len()?.unwrap_or(0) {
        source.skip_compact()?;
        for _ in 0..source.compact_len()?.unwrap_or(0) {
            let partition = source.i32()?;
            let error = source.i16()?;
            let base_offset = source.i64()?;
            source.skip(16)?;
            for _ in 0..source.compact_len()?.unwrap_or(0) {
                source.skip(4)?;
                source.skip_compact()?;
                source.skip_tags()?;
            }
            source.skip_compact()?;
            source.skip_tags()?;
            each(Produced { partition, error, base_offset });
        }
        source.skip_tags()?;
    }
    source.skip(4)?;
    source.skip_tags()
}

/// What a fetch asks for beside its partitions.
#[derive(Clone, Copy, Debug)]
pub struct FetchTerms {
    /// How long the broker may wait for data, in milliseconds.
    pub max_wait_ms: i32,
    /// What it waits for.
    pub min_bytes: i32,
    /// What it answers at most.
    pub max_bytes: i32,
    /// What it answers at most of one partition.
    pub partition_max_bytes: i32,
    /// The fetch session (KIP-227); 0 for none.
    pub session_id: i32,
    /// The session's epoch: -1 for a fetch without session, 0 to begin one.
    pub session_epoch: i32,
}

/// A Fetch request for partitions of one topic, each from an offset, and where in the frame each offset stands.
pub fn fetch_frame(topic: &str, terms: FetchTerms, parts: &[(i32, i64)]) -> (Frame, Vec<usize>) {
    let mut frame = Frame::start(1, FETCH_VERSION, parts.len() * 33 + topic.len() + 64);
    let out = &mut frame.bytes;
    for field in [-1, terms.max_wait_ms, terms.min_bytes, terms.max_bytes] {
        out.extend_from_slice(&i32::to_be_bytes(field));
    }
    out.push(0);
    out.extend_from_slice(&terms.session_id.to_be_bytes());
    out.extend_from_slice(&terms.session_epoch.to_be_bytes());
    let mut places = Vec::with_capacity(parts.len());
    if parts.is_empty() {
        put_uvarint(out, 1);
    } else {
        put_uvarint(out, 2);
        put_compact(out, topic.as_bytes());
        put_uvarint(out, parts.len() as u32 + 1);
        for (index, offset) in parts {
            out.extend_from_slice(&index.to_be_bytes());
            out.extend_from_slice(&(-1i32).to_be_bytes());
            places.push(out.len());
            out.extend_from_slice(&offset.to_be_bytes());
            out.extend_from_slice(&(-1i32).to_be_bytes());
            out.extend_from_slice(&(-1i64).to_be_bytes());
            out.extend_from_slice(&terms.partition_max_bytes.to_be_bytes());
            out.push(0);
        }
        out.push(0);
    }
    out.extend_from_slice(&[1, 1, 0]);
    (frame.finish(), places)
}

/// What a broker said of one partition of a Fetch. Its records follow in the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// The partition.
    pub partition: i32,
    /// Kafka's error code, 0 for none.
    pub error: i16,
    /// The high watermark.
    pub high_watermark: i64,
    /// Bytes of records: exactly these the callback must take from the source.
    pub records_bytes: usize,
}

/// The error code and session id of a whole Fetch answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchedSession {
    /// Kafka's error code, 0 for none.
    pub error: i16,
    /// The session that the broker keeps, 0 for none.
    pub session_id: i32,
}

/// Reads the body of a Fetch answer, after the correlation id.
///
/// # Errors
/// [`BenchError::Malformed`], those of the source, those of the callback.
pub fn read_fetched<S: Source>(
    source: &mut S,
    mut each: impl FnMut(Fetched, &mut S) -> Result<()>,
) -> Result<FetchedSession> {
    source.skip_tags()?;
    source.skip(4)?;
    let error = source.i16()?;
    let session_id = source.i32()?;
    for _ in 0..source.compact_len()?.unwrap_or(0) {
        source.skip_compact()?;
        for _ in 0..source.compact_len()?.unwrap_or(0) {
            let fetched = read_fetched_partition(source)?;
            each(fetched, source)?;
            source.skip_tags()?;
        }
        source.skip_tags()?;
    }
    source.skip_tags()?;
    Ok(FetchedSession { error, session_id })
}

fn read_fetched_partition<S: Source>(source: &mut S) -> Result<Fetched> {
    let partition = source.i32()?;
    let error = source.i16()?;
    let high_watermark = source.i64()?;
    source.skip(16)?;
    for _ in 0..source.compact_len()?.unwrap_or(0) {
        source.skip(16)?;
        source.skip_tags()?;
    }
    source.skip(4)?;
    let records_bytes = source.compact_len()?.unwrap_or(0);
    Ok(Fetched { partition, error, high_watermark, records_bytes })
}

/// Reads length and correlation id of an answer and checks the latter; the length that is left.
///
/// # Errors
/// [`BenchError::WrongCorrelation`], [`BenchError::Malformed`], those of the source.
pub fn read_prefix<S: Source>(source: &mut S, expected: i32) -> Result<usize> {
    let length = source.i32()?;
    if !(4..=RESPONSE_BYTES_MAX).contains(&length) {
        return Err(BenchError::Malformed { what: "length of an answer" });
    }
    let got = source.i32()?;
    if got != expected {
        return Err(BenchError::WrongCorrelation { expected, got });
    }
    Ok(length as usize - 4)
}

/// Sets the checksum of the batch that begins at the start of `bytes` and spans them.
pub fn seal_batch(bytes: &mut [u8]) {
    debug_assert!(bytes.len() > HEADER_BYTES);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
}
