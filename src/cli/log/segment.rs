//! Segments: batches one after the other, as Kafka writes them.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use ottla_batch::{Batch, BatchError, Record};
use ottla_units::limits::UNCOMPRESSED_BATCH_BYTES_MAX;
use serde_json::Value;

use super::row::{More, Row, Rows};
use crate::cli::text::{date, readable};

/// Bytes before a batch's length is over.
const PREFIX_BYTES: usize = 12;

/// What of a segment is wanted.
pub(super) struct Wanted {
    /// Every record too.
    pub(super) records: bool,
    /// Only batches that reach this offset.
    pub(super) from: i64,
}

/// What stands at a position of a segment.
pub(super) enum Found<'a> {
    /// A whole batch; its checksum was not looked at.
    Batch(Batch<'a>),
    /// Zeros up to the end: the broker that writes here did not stop cleanly, or still runs.
    Padding(u64),
    /// Nothing that a batch could be, up to the end.
    Damaged(String),
}

/// Walks over a segment, one batch in memory at a time.
pub(super) struct Walk {
    reader: BufReader<File>,
    /// Where the next batch begins, in bytes.
    position: u64,
    file_bytes: u64,
    buffer: Vec<u8>,
}

impl Walk {
    pub(super) fn open(path: &Path) -> io::Result<Walk> {
        let file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        Ok(Walk { reader: BufReader::with_capacity(1 << 18, file), position: 0, file_bytes, buffer: Vec::new() })
    }

    /// What comes next, and where it begins; nothing at the file's end.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Found<'_>)>> {
        let (position, left) = (self.position, self.file_bytes - self.position);
        if left == 0 {
            return Ok(None);
        }
        if left < PREFIX_BYTES as u64 {
            self.position = self.file_bytes;
            return Ok(Some((position, Found::Damaged(format!("{left} bytes, too few for a batch")))));
        }
        self.fill(0, PREFIX_BYTES)?;
        let length = i32::from_be_bytes([self.buffer[8], self.buffer[9], self.buffer[10], self.buffer[11]]);
        if self.buffer.iter().all(|byte| *byte == 0) {
            self.position = self.file_bytes;
            return Ok(Some((position, self.padding(left)?)));
        }
        let total =
            u64::try_from(length).ok().map(|length| length + PREFIX_BYTES as u64).filter(|total| *total <= left);
        let Some(total) = total.and_then(|total| usize::try_from(total).ok()) else {
            self.position = self.file_bytes;
            return Ok(Some((position, Found::Damaged(format!("a length of {length} where {left} bytes are left")))));
        };
        self.fill(PREFIX_BYTES, total)?;
        self.position += total as u64;
        match Batch::parse(&self.buffer) {
            Ok((batch, _)) => Ok(Some((position, Found::Batch(batch)))),
            Err(error) => {
                self.position = self.file_bytes;
                Ok(Some((position, Found::Damaged(error.to_string()))))
            }
        }
    }

    /// Reads on until the buffer holds `total` bytes, of which it has `have`.
    fn fill(&mut self, have: usize, total: usize) -> io::Result<()> {
        self.buffer.resize(total, 0);
        self.reader.read_exact(&mut self.buffer[have..])
    }

    fn padding(&mut self, left: u64) -> io::Result<Found<'static>> {
        let mut rest = vec![0; 1 << 16];
        loop {
            match self.reader.read(&mut rest)? {
                0 => return Ok(Found::Padding(left)),
                count if rest[..count].iter().all(|byte| *byte == 0) => {}
                _ => return Ok(Found::Damaged("zeros where a batch should be, and more behind them".into())),
            }
        }
    }
}

/// What is wrong with a batch beyond its lengths, looked at record by record.
pub(super) fn fault(batch: &Batch<'_>) -> Option<BatchError> {
    if !batch.crc_matches() {
        return Some(BatchError::ChecksumMismatch { stored: batch.crc(), computed: batch.computed_crc() });
    }
    let mut records = match ottla_batch::records(batch, UNCOMPRESSED_BATCH_BYTES_MAX) {
        Ok(records) => records,
        Err(error) => return Some(error),
    };
    while let Some(record) = records.next() {
        if let Err(error) = record {
            return Some(error);
        }
    }
    None
}

/// Prints a segment.
pub(super) fn dump(path: &Path, wanted: &Wanted, rows: &mut Rows<impl Write>) -> io::Result<()> {
    let mut walk = Walk::open(path)?;
    while let Some((position, found)) = walk.next()? {
        let more = match found {
            Found::Padding(bytes) => rows.put(Row::new("padding").with("position", position).with("bytes", bytes))?,
            Found::Damaged(what) => rows.damage(path, position, &what)?,
            Found::Batch(batch) if batch.last_offset().get() < wanted.from => More::Wanted,
            Found::Batch(batch) => dump_batch(path, position, &batch, wanted, rows)?,
        };
        if more == More::Enough {
            break;
        }
    }
    Ok(())
}

fn dump_batch(
    path: &Path,
    position: u64,
    batch: &Batch<'_>,
    wanted: &Wanted,
    rows: &mut Rows<impl Write>,
) -> io::Result<More> {
    let mut more = rows.put(batch_row(batch).with("position", position))?;
    if let Some(fault) = fault(batch) {
        more = rows.damage(path, position, &fault.to_string())?;
    } else if wanted.records
        && let Ok(mut records) = ottla_batch::records(batch, UNCOMPRESSED_BATCH_BYTES_MAX)
    {
        while let (More::Wanted, Some(Ok(record))) = (more, records.next()) {
            if record.offset.get() >= wanted.from {
                more = rows.put(record_row(&record))?;
            }
        }
    }
    Ok(more)
}

/// A batch's header.
pub(super) fn batch_row(batch: &Batch<'_>) -> Row {
    let attributes = batch.attributes();
    let codec = attributes.codec().map_or("unknown", |codec| codec.name());
    let idempotent = batch.producer_id().is_some();
    Row::new("batch")
        .with("base_offset", batch.base_offset().get())
        .with("last_offset", batch.last_offset().get())
        .with("records", batch.record_count())
        .with("bytes", batch.total_len())
        .with("codec", codec)
        .with("leader_epoch", batch.leader_epoch().get())
        .with("max_time", date(batch.max_timestamp().get()))
        .with("time_type", format!("{:?}", attributes.timestamp_type()))
        .with("crc", batch.crc())
        .with_some("producer_id", idempotent.then(|| batch.producer_id().get()))
        .with_some("producer_epoch", idempotent.then(|| batch.producer_epoch().get()))
        .with_some("base_sequence", idempotent.then(|| batch.base_sequence().get()))
        .with_some("transactional", attributes.is_transactional().then_some(true))
        .with_some("control", attributes.is_control().then_some(true))
}

fn record_row(record: &Record<'_>) -> Row {
    let text = |bytes: Option<&[u8]>| bytes.map_or(Value::Null, |bytes| readable(bytes).into());
    let headers: Vec<Value> =
        record.headers.map(|(name, value)| Value::Array(vec![readable(name).into(), text(value)])).collect();
    Row::new("record")
        .with("offset", record.offset.get())
        .with("time", date(record.timestamp.get()))
        .with("key", text(record.key))
        .with("value", text(record.value))
        .with_some("headers", (!headers.is_empty()).then_some(headers))
}
