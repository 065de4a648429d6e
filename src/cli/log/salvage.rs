use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::BinaryBytes;

use super::bar::Bar;
use super::row::{Row, Rows};
use super::verify::refused;
use crate::cli::Failure;
use crate::cli::text::counted;
use crate::offline::{self, Folder, LeftOut, SalvageError, Salvaged};

/// Copy everything that is sound into a new data folder
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla log salvage data --to data-2 && ottla start --data data-2
  ottla log salvage data --to /other-disk/data --json | jq 'select(.kind == \"left-out\")'

No broker may run on the folder; nothing is written there. Batches keep their offsets and their bytes, topics their ids and settings,
groups what they committed. A damaged batch is taken from the journal if that still has it; else it is left out and its offsets stay
empty: consumers go on behind them, and no offset is given twice. Each range that is missing is listed with its reason. Exit status 0:
all is copied. 1: the copy is whole, but something was left out, or there is no copy, as the message says.")]
pub(in crate::cli) struct Salvage {
    /// The data folder, as given to `ottla start --data`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The folder to make; it must not exist, or be empty
    #[arg(long, value_name = "DIR2")]
    to: PathBuf,
    /// The journals' folder, if it is not in the data folder (ottla.journal.dir)
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Each line as a JSON object; the last one is the summary
    #[arg(long)]
    json: bool,
}

impl Salvage {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let folder = Folder::open(&self.folder, self.journal.as_deref()).map_err(refused)?;
        let bar = Bar::new("copying", true);
        let salvaged = offline::salvage(folder, &self.to, |progress| bar.show(progress));
        bar.finish();
        let salvaged = salvaged.map_err(|error| self.failed(&error))?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        if self.json {
            let mut rows = Rows::new(&mut out, true, None);
            salvaged.left_out.iter().try_for_each(|left| rows.put(left_row(left)).map(drop))?;
            salvaged
                .notes
                .iter()
                .try_for_each(|note| rows.put(Row::new("note").with("what", note.as_str())).map(drop))?;
            rows.put(summary_row(&salvaged))?;
            rows.finish()?;
        } else {
            tell(&salvaged, &mut out)?;
        }
        out.flush()?;
        match salvaged.left_out.len() as u64 {
            0 => Ok(()),
            count => {
                Err(Failure::runtime(format!("{} left out, named above; all else is copied", counted(count, "range")))
                    .next(format!("ottla start --data {}", self.to.display())))
            }
        }
    }

    fn failed(&self, error: &SalvageError) -> Failure {
        let next = match error {
            SalvageError::NotEmpty(_) | SalvageError::Inside(_) => {
                "name a folder that does not exist yet: --to DIR2".to_owned()
            }
            SalvageError::NewerFormat(_) => "use the version of ottla that wrote it, or a newer one".to_owned(),
            _ => format!("remove {} before you try again: it is not whole", self.to.display()),
        };
        Failure::runtime(error).next(next)
    }
}

fn left_row(left: &LeftOut) -> Row {
    Row::new("left-out")
        .with("partition", left.partition.as_str())
        .with("from", left.from)
        .with("to", left.to)
        .with("bytes", left.bytes)
        .with("why", left.why.as_str())
}

fn summary_row(salvaged: &Salvaged) -> Row {
    Row::new("summary")
        .with("left_out", salvaged.left_out.len())
        .with("partitions", salvaged.partitions)
        .with("batches", salvaged.batches)
        .with("records", salvaged.records)
        .with("bytes", salvaged.bytes)
        .with("from_journal", salvaged.from_journal)
}

fn tell(salvaged: &Salvaged, out: &mut impl Write) -> Result<(), Failure> {
    for left in &salvaged.left_out {
        let (last, bytes) = (left.to - 1, BinaryBytes(left.bytes));
        writeln!(out, "{}: offsets {} to {last} are left out ({bytes}): {}", left.partition, left.from, left.why)?;
    }
    for note in &salvaged.notes {
        writeln!(out, "note: {note}")?;
    }
    let parts = [
        counted(salvaged.partitions, "partition"),
        counted(salvaged.batches, "batch"),
        counted(salvaged.records, "record"),
        BinaryBytes(salvaged.bytes).to_string(),
    ];
    writeln!(out, "copied {}; {} from the journal", parts.join(", "), counted(salvaged.from_journal, "batch"))?;
    Ok(())
}
