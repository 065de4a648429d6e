//! The small files beside segments, and which file is what.

use std::io::{self, Write};
use std::path::Path;

use ottla_partition::ProducerTable;
use ottla_storage::{INDEX_ENTRY_BYTES, IndexEntry, SegmentFile, TIME_ENTRY_BYTES, TimeEntry};
use ottla_units::Timestamp;

use super::row::{More, Row, Rows};
use super::{journal, segment};
use crate::cli::Failure;
use crate::cli::text::date;

/// Bytes of an entry in `.txnindex`: version, producer, first and last offset, last stable offset (Kafka's `AbortedTxn`).
pub(super) const ABORTED_BYTES: usize = 34;

/// Prints a file as what its name says it is.
pub(super) fn dump(path: &Path, wanted: &segment::Wanted, rows: &mut Rows<impl Write>) -> Result<(), Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let dumped = match (SegmentFile::parse(&name), name.as_str()) {
        (Some((SegmentFile::Log, _)), _) => segment::dump(path, wanted, rows),
        (Some((SegmentFile::Index, base)), _) => index(path, base.get(), rows),
        (Some((SegmentFile::TimeIndex, base)), _) => time_index(path, base.get(), rows),
        (Some((SegmentFile::TransactionIndex, _)), _) => aborted(path, rows),
        (Some((SegmentFile::Snapshot, _)), _) => snapshot(path, rows),
        (None, "checkpoint") => journal::dump_checkpoint(path, rows),
        (None, "leader-epoch-checkpoint" | "partition.metadata" | "meta.properties") => text(path, rows),
        (None, name) if name.ends_with(".journal") => journal::dump(path, rows),
        (None, _) => return Err(unknown(path)),
    };
    dumped.map_err(|error| unreadable(path, error))
}

/// What is said of a file that cannot be read; a reader of ours that has gone stays what it is.
pub(super) fn unreadable(path: &Path, error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => error.into(),
        io::ErrorKind::NotFound => Failure::runtime(format!("there is no {}", path.display())).next("ls its folder"),
        _ => Failure::runtime(format!("cannot read {}: {error}", path.display())),
    }
}

fn unknown(path: &Path) -> Failure {
    let known = "allowed: 20 digits and .log, .index, .timeindex, .txnindex or .snapshot; *.journal; checkpoint; leader-epoch-checkpoint; \
                 partition.metadata; meta.properties";
    Failure::usage(format!("the name of {} does not say what it is\n  {known}", path.display()))
}

/// Rows for the entries of a file of equal entries; bytes left over are damage, zeros at the end are not: an index is grown ahead.
fn entries<const N: usize>(path: &Path, rows: &mut Rows<impl Write>, row: impl Fn(&[u8; N]) -> Row) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    let (whole, rest) = bytes.as_chunks::<N>();
    for (at, entry) in whole.iter().enumerate() {
        if at > 0 && *entry == [0; N] {
            let padding = Row::new("padding").with("position", at * N).with("bytes", bytes.len() - at * N);
            return rows.put(padding).map(drop);
        }
        if rows.put(row(entry))? == More::Enough {
            return Ok(());
        }
    }
    if rest.iter().any(|byte| *byte != 0) {
        rows.damage(path, (bytes.len() - rest.len()) as u64, "a part of an entry")?;
    }
    Ok(())
}

fn index(path: &Path, base: i64, rows: &mut Rows<impl Write>) -> io::Result<()> {
    entries::<INDEX_ENTRY_BYTES>(path, rows, |bytes| {
        let entry = IndexEntry::from_bytes(bytes);
        Row::new("entry").with("offset", base + i64::from(entry.offset)).with("position", entry.position)
    })
}

fn time_index(path: &Path, base: i64, rows: &mut Rows<impl Write>) -> io::Result<()> {
    entries::<TIME_ENTRY_BYTES>(path, rows, |bytes| {
        let entry = TimeEntry::from_bytes(bytes);
        Row::new("entry").with("time", date(entry.timestamp.get())).with("offset", base + i64::from(entry.offset))
    })
}

fn aborted(path: &Path, rows: &mut Rows<impl Write>) -> io::Result<()> {
    entries::<ABORTED_BYTES>(path, rows, |bytes| {
        let number = |at: usize| {
            let mut field = [0; 8];
            field.copy_from_slice(&bytes[at..at + 8]);
            i64::from_be_bytes(field)
        };
        let row = Row::new("aborted").with("producer_id", number(2)).with("first_offset", number(10));
        row.with("last_offset", number(18)).with("last_stable_offset", number(26))
    })
}

fn snapshot(path: &Path, rows: &mut Rows<impl Write>) -> io::Result<()> {
    let table = match ProducerTable::decode(&std::fs::read(path)?, Timestamp::NONE) {
        Ok(table) => table,
        Err(error) => return rows.damage(path, 0, &error.to_string()).map(drop),
    };
    let mut producers: Vec<_> = table.iter().collect();
    producers.sort_by_key(|(id, _)| id.get());
    for (id, state) in producers {
        let row = Row::new("producer")
            .with("producer_id", id.get())
            .with("epoch", state.epoch().get())
            .with("last_sequence", state.last_sequence().get())
            .with("batches", state.batches().len())
            .with_some("last_time", state.batches().last().map(|batch| date(batch.timestamp.get())))
            .with("coordinator_epoch", state.coordinator_epoch())
            .with_some("transaction_start", state.transaction_start().map(|offset| offset.get()));
        if rows.put(row)? == More::Enough {
            break;
        }
    }
    Ok(())
}

fn text(path: &Path, rows: &mut Rows<impl Write>) -> io::Result<()> {
    for line in std::fs::read_to_string(path)?.lines() {
        if rows.put(Row::new("line").with("text", line))? == More::Enough {
            break;
        }
    }
    Ok(())
}
