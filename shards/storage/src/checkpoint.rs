//! What is known of all logs at one moment, in one file: a clean start reads nothing else.
//!
//! ```text
//! "OTCP" │ crc u32 of what follows │ version u32 │ clean u8 │ generation u64 │ logs u32 │ records…
//! record topic id 16 │ partition i32 │ start i64 │ end i64 │ has folder u8 │ file exists u8 │ index entries u32 │ time entries u32
//!        │ last time i64 │ bytes since entry u32 │ segments u32, each: base i64, bytes u64, latest i64 i64, first time i64, created i64
//!        │ epochs u32, each: epoch i32, start i64 │ snapshot: offset i64 (−1 none), length u32 (u32::MAX: in its file), bytes
//! ```

use std::path::Path;

use ottla_reactor::file;
use ottla_units::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};

use crate::epochs::{EpochStart, Epochs};
use crate::recover::LogImage;
use crate::segment::{Growing, Latest, Segment};
use crate::{Damage, StorageError};

const MAGIC: [u8; 4] = *b"OTCP";
/// The newest version that this program reads and writes.
const VERSION: u32 = 1;
/// Producers' states up to this many bytes are in the checkpoint itself.
pub(crate) const SNAPSHOT_BYTES_MAX: usize = 4 << 10;
/// Stands for a length: the bytes are in a file of their own.
const IN_FILE: u32 = u32::MAX;

/// The content of a checkpoint file.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) generation: u64,
    /// Whether the writer stopped cleanly: then nothing was appended after it.
    pub(crate) clean: bool,
    pub(crate) logs: Vec<(TopicPartition, LogImage)>,
}

impl Checkpoint {
    /// Writes the file so that a crash leaves the old one or this.
    pub(crate) async fn write(&self, path: &Path) -> Result<(), StorageError> {
        file::write_atomically(path, &self.to_bytes()).await.map_err(StorageError::io(path, "write"))
    }

    /// Reads the file; `None` when there is none.
    pub(crate) async fn read(path: &Path) -> Result<Option<Checkpoint>, StorageError> {
        if !file::exists(path) {
            return Ok(None);
        }
        let bytes = file::read(path).await.map_err(StorageError::io(path, "read"))?;
        if let Some(found) = Checkpoint::newer(&bytes) {
            return Err(StorageError::NewerFormat { file: path.to_path_buf(), found, supported: VERSION });
        }
        match Checkpoint::from_bytes(&bytes) {
            Some(checkpoint) => Ok(Some(checkpoint)),
            None => Err(StorageError::corrupt(path, 0, Damage::Checkpoint)),
        }
    }

    /// The version of a file that this program is too old for.
    pub(crate) fn newer(bytes: &[u8]) -> Option<u32> {
        let version = bytes.get(8..12).and_then(|field| field.first_chunk()).map(|field| u32::from_le_bytes(*field));
        version.filter(|found| *found > VERSION && bytes[..4] == MAGIC)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + 160 * self.logs.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.push(u8::from(self.clean));
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&(self.logs.len() as u32).to_le_bytes());
        for (key, log) in &self.logs {
            write_log(&mut out, *key, log);
        }
        let crc = crc32c::crc32c(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Checkpoint> {
        let mut fields = Fields(bytes);
        if fields.take::<4>()? != MAGIC || u32::from_le_bytes(fields.take()?) != crc32c::crc32c(fields.0) {
            return None;
        }
        let _version = fields.u32()?;
        let clean = fields.flag()?;
        let generation = fields.u64()?;
        let count = fields.u32()?;
        let mut logs = Vec::new();
        for _ in 0..count {
            logs.push(read_log(&mut fields)?);
        }
        Some(Checkpoint { generation, clean, logs })
    }
}

fn write_log(out: &mut Vec<u8>, key: TopicPartition, log: &LogImage) {
    out.extend_from_slice(&key.topic.to_bytes());
    out.extend_from_slice(&key.partition.get().to_le_bytes());
    out.extend_from_slice(&log.start.get().to_le_bytes());
    out.extend_from_slice(&log.end.get().to_le_bytes());
    out.extend_from_slice(&[u8::from(log.has_folder), u8::from(log.active.exists)]);
    out.extend_from_slice(&log.active.index.stored.to_le_bytes());
    out.extend_from_slice(&log.active.index.stored_times.to_le_bytes());
    out.extend_from_slice(&log.active.index.last_time.get().to_le_bytes());
    out.extend_from_slice(&log.active.index.bytes_since.to_le_bytes());
    out.extend_from_slice(&(log.segments.len() as u32).to_le_bytes());
    for segment in &log.segments {
        out.extend_from_slice(&segment.base.get().to_le_bytes());
        out.extend_from_slice(&segment.bytes.to_le_bytes());
        out.extend_from_slice(&segment.latest.timestamp.get().to_le_bytes());
        out.extend_from_slice(&segment.latest.offset.get().to_le_bytes());
        out.extend_from_slice(&segment.first_timestamp.get().to_le_bytes());
        out.extend_from_slice(&segment.created.get().to_le_bytes());
    }
    out.extend_from_slice(&(log.epochs.entries().len() as u32).to_le_bytes());
    for entry in log.epochs.entries() {
        out.extend_from_slice(&entry.epoch.get().to_le_bytes());
        out.extend_from_slice(&entry.start.get().to_le_bytes());
    }
    let (offset, bytes) = log.snapshot.as_ref().map_or((Offset::NONE, &[][..]), |(at, bytes)| (*at, bytes));
    let inline = bytes.len() <= SNAPSHOT_BYTES_MAX;
    out.extend_from_slice(&offset.get().to_le_bytes());
    out.extend_from_slice(&(if inline { bytes.len() as u32 } else { IN_FILE }).to_le_bytes());
    if inline {
        out.extend_from_slice(bytes);
    }
}

fn read_log(fields: &mut Fields<'_>) -> Option<(TopicPartition, LogImage)> {
    let topic = TopicId::from_bytes(fields.take()?);
    let key = TopicPartition::new(topic, PartitionIndex::new(fields.i32()?));
    let (start, end) = (fields.offset()?, fields.offset()?);
    let (has_folder, exists) = (fields.flag()?, fields.flag()?);
    let mut active = Growing::new(end, 0);
    active.exists = exists;
    active.index.stored = fields.u32()?;
    active.index.stored_times = fields.u32()?;
    active.index.last_time = fields.time()?;
    active.index.bytes_since = fields.u32()?;
    let mut segments = Vec::new();
    for _ in 0..fields.u32()? {
        segments.push(Segment {
            base: fields.offset()?,
            bytes: fields.u64()?,
            latest: Latest { timestamp: fields.time()?, offset: fields.offset()? },
            first_timestamp: fields.time()?,
            created: fields.time()?,
        });
    }
    active.base = segments.last().map_or(end, |last| last.base);
    let mut epochs = Vec::new();
    for _ in 0..fields.u32()? {
        epochs.push(EpochStart { epoch: LeaderEpoch::new(fields.i32()?), start: fields.offset()? });
    }
    let epochs = Epochs::new(epochs);
    let epochs_new = epochs.entries().is_empty();
    let snapshot = read_snapshot(fields)?;
    let epochs_stale = false;
    Some((key, LogImage { start, end, segments, active, epochs_stale, epochs_new, epochs, snapshot, has_folder }))
}

/// A snapshot that is in its file comes without bytes, which no snapshot is.
fn read_snapshot(fields: &mut Fields<'_>) -> Option<Option<(Offset, Vec<u8>)>> {
    let offset = fields.offset()?;
    let length = fields.u32()?;
    let bytes = if length == IN_FILE { Vec::new() } else { fields.bytes(length as usize)?.to_vec() };
    Some((offset != Offset::NONE).then_some((offset, bytes)))
}

/// Little-endian fields, one after another.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn offset(&mut self) -> Option<Offset> {
        self.i64().map(Offset::new)
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.i64().map(Timestamp::new)
    }

    fn flag(&mut self) -> Option<bool> {
        self.take::<1>().map(|[flag]| flag != 0)
    }
}

#[cfg(test)]
mod tests;
