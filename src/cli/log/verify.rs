use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::BinaryBytes;

use super::bar::Bar;
use super::row::{Row, Rows};
use crate::cli::Failure;
use crate::cli::text::counted;
use crate::offline::{self, Finding, Folder, OpenError, Verified};

/// Prove every file of a data folder; repairs nothing
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla log verify data
  ottla log verify data --journal /nvme/ottla-journal
  ottla log verify data --quiet && echo sound
  ottla log verify data --json | jq 'select(.kind == \"finding\")'

No broker may run on the folder. Checked, several partitions at once: every batch's checksum, counts and offsets, every record in it,
unpacked; that offsets go on over segments, and from segments to journal; each entry of both indexes; producers' states against the
batches; leaderships; checkpoints; journal frames; the metadata log; meta.properties. Exit status 0: sound. 1: something is not, named
by file and position, with what to do next.")]
pub(in crate::cli) struct Verify {
    /// The data folder, as given to `ottla start --data`
    #[arg(value_name = "DIR", default_value = "data")]
    folder: PathBuf,
    /// The journals' folder, if it is not in the data folder (ottla.journal.dir)
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Only say what is wrong
    #[arg(short, long)]
    quiet: bool,
    /// Each line as a JSON object; the last one is the summary
    #[arg(long)]
    json: bool,
}

/// What is said of a folder that cannot be looked at.
pub(super) fn refused(error: OpenError) -> Failure {
    let next = match &error {
        OpenError::NoDataFolder(_) => "name the folder that `ottla start --data` was given",
        OpenError::InUse { .. } => "stop that broker first: kill -TERM PID",
        OpenError::Io { .. } => "run this as the user whose broker it is",
    };
    Failure::runtime(&error).next(next)
}

impl Verify {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let folder = Folder::open(&self.folder, self.journal.as_deref()).map_err(refused)?;
        let bar = Bar::new("verifying", !self.quiet);
        let verified = offline::verify(folder, |progress| bar.show(progress));
        bar.finish();
        let verified =
            verified.map_err(|error| Failure::runtime(format!("cannot list {}: {error}", self.folder.display())))?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        if self.json {
            let mut rows = Rows::new(&mut out, true, None);
            verified.findings.iter().try_for_each(|finding| rows.put(finding_row(finding)).map(drop))?;
            verified
                .notes
                .iter()
                .try_for_each(|note| rows.put(Row::new("note").with("what", note.as_str())).map(drop))?;
            rows.put(summary_row(&verified))?;
            rows.finish()?;
        } else {
            self.tell(&verified, &mut out)?;
        }
        out.flush()?;
        match verified.findings.len() as u64 {
            0 => Ok(()),
            count => Err(Failure::runtime(format!("{}, named above", counted(count, "finding")))
                .next("keep the folder as it is; `ottla log salvage DIR --to DIR2` copies everything that is sound")),
        }
    }

    fn tell(&self, verified: &Verified, out: &mut impl Write) -> Result<(), Failure> {
        for finding in &verified.findings {
            writeln!(out, "{finding}\n  next: {}", finding.kind.next())?;
        }
        if !self.quiet {
            for note in &verified.notes {
                writeln!(out, "note: {note}")?;
            }
            writeln!(out, "{}", summary(verified))?;
        }
        Ok(())
    }
}

fn finding_row(finding: &Finding) -> Row {
    Row::new("finding")
        .with("about", finding.kind.name())
        .with("file", finding.file.display().to_string())
        .with("position", finding.position)
        .with_some("from", finding.offsets.map(|(from, _)| from))
        .with_some("to", finding.offsets.map(|(_, to)| to))
        .with("what", finding.what.as_str())
        .with("next", finding.kind.next())
}

fn summary_row(verified: &Verified) -> Row {
    Row::new("summary")
        .with("sound", verified.findings.is_empty())
        .with("findings", verified.findings.len())
        .with("partitions", verified.partitions)
        .with("segments", verified.segments)
        .with("batches", verified.batches)
        .with("records", verified.records)
        .with("bytes", verified.bytes)
        .with("journal_frames", verified.frames)
        .with("journal_only_batches", verified.journal_batches)
        .with("journal_only_records", verified.journal_records)
        .with("journal_only_bytes", verified.journal_bytes)
        .with("unfinished_segments", verified.unfinished)
}

fn summary(verified: &Verified) -> String {
    let parts = [
        counted(verified.partitions, "partition"),
        counted(verified.segments, "segment"),
        counted(verified.batches, "batch"),
        counted(verified.records, "record"),
        BinaryBytes(verified.bytes).to_string(),
        counted(verified.frames, "journal frame"),
    ];
    let mut text = format!("checked {}", parts.join(", "));
    if verified.journal_batches > 0 {
        text += &format!(
            "\nonly in the journal: {} with {} ({}), acknowledged; the next start puts them into their segments",
            counted(verified.journal_batches, "batch"),
            counted(verified.journal_records, "record"),
            BinaryBytes(verified.journal_bytes)
        );
    }
    if verified.unfinished > 0 {
        text += &format!(
            "\n{} not finished: the broker was killed; the next start mends that from the journal",
            counted(verified.unfinished, "segment")
        );
    }
    text
}
