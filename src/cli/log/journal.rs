//! Journals and checkpoints, which only Ottla has.

use std::io::{self, Write};
use std::path::Path;

use ottla_batch::Batch;
use ottla_storage::inspect::{
    self, CheckpointFile, EntryContent, EntryHeader, FrameEntries, FrameFound, FrameHeader, Journal,
};

use super::row::{More, Row, Rows};
use super::segment::batch_row;

/// Prints a journal file.
pub(super) fn dump(path: &Path, rows: &mut Rows<impl Write>) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    let (file, frames) = match inspect::journal(&bytes) {
        Journal::Blank => return rows.put(Row::new("journal").with("blank", true)).map(drop),
        Journal::Newer(version) => return rows.damage(path, 0, &newer(version)).map(drop),
        Journal::Damaged => return rows.damage(path, 0, DAMAGED_HEADER).map(drop),
        Journal::File(file, frames) => (file, frames),
    };
    let head = Row::new("journal")
        .with("shard", file.core)
        .with("generation", file.generation)
        .with("sequence", file.sequence);
    let mut more = rows.put(head.with("bytes", file.bytes).with("zeroed", file.zeroed))?;
    for found in frames {
        if more == More::Enough {
            break;
        }
        more = match found {
            FrameFound::Frame { at, header, entries } => dump_frame(path, at, &header, entries, rows)?,
            FrameFound::Torn { at } => rows.put(Row::new("torn").with("position", at))?,
            FrameFound::Damaged { at, next } => rows.damage(path, at as u64, &damaged_frame(next))?,
        };
    }
    Ok(())
}

const DAMAGED_HEADER: &str = "the first block does not verify";

fn newer(version: u32) -> String {
    format!("format version {version}, which this program does not know")
}

fn damaged_frame(next: usize) -> String {
    format!("a frame that does not verify, though a good one follows at {next}")
}

fn dump_frame(
    path: &Path,
    at: usize,
    header: &FrameHeader,
    entries: FrameEntries<'_>,
    rows: &mut Rows<impl Write>,
) -> io::Result<More> {
    let frame =
        Row::new("frame").with("number", header.number).with("cycle", header.cycle).with("entries", header.entries);
    let mut more = rows.put(frame.with("bytes", header.length).with("position", at))?;
    let mut seen = 0;
    for (entry, content) in entries {
        seen += 1;
        if more == More::Wanted {
            more = rows.put(entry_row(&entry, &content))?;
        }
    }
    if seen < header.entries {
        more = rows.damage(path, at as u64, &format!("{} entries where {seen} make sense", header.entries))?;
    }
    Ok(more)
}

fn entry_row(entry: &EntryHeader, content: &EntryContent<'_>) -> Row {
    let place =
        |row: Row| row.with("topic_id", entry.key.topic.to_string()).with("partition", entry.key.partition.get());
    match content {
        EntryContent::Batch(bytes) => match Batch::parse(bytes) {
            Ok((batch, _)) => place(batch_row(&batch)),
            Err(error) => place(Row::new("append").with("unreadable", error.to_string())),
        },
        EntryContent::Mark(mark) => place(Row::new("mark"))
            .with("start", mark.start.get())
            .with("end", mark.end.get())
            .with("segment", mark.segment.get())
            .with("segment_position", mark.position),
        EntryContent::Bare => place(Row::new("entry").with("what", format!("{:?}", entry.kind).to_lowercase()))
            .with("offset", entry.offset.get())
            .with("leader_epoch", entry.epoch.get()),
    }
}

/// Prints a checkpoint.
pub(super) fn dump_checkpoint(path: &Path, rows: &mut Rows<impl Write>) -> io::Result<()> {
    let found = match inspect::checkpoint(&std::fs::read(path)?) {
        CheckpointFile::Found(found) => found,
        CheckpointFile::Newer(version) => return rows.damage(path, 0, &newer(version)).map(drop),
        CheckpointFile::Damaged => return rows.damage(path, 0, "no checkpoint, or a damaged one").map(drop),
    };
    let head = Row::new("checkpoint").with("generation", found.generation).with("clean", found.clean);
    let mut more = rows.put(head.with("logs", found.logs.len()))?;
    for (key, known) in found.logs {
        if more == More::Enough {
            break;
        }
        let row = Row::new("log").with("topic_id", key.topic.to_string()).with("partition", key.partition.get());
        more = rows.put(
            row.with("start", known.image.start.get())
                .with("end", known.image.end.get())
                .with("segments", known.image.segments.len())
                .with("index_entries", known.index_entries)
                .with_some("snapshot", known.image.snapshot.map(|(offset, _)| offset.get())),
        )?;
    }
    Ok(())
}
