//! `ottla log`: the files of a data folder, read without a broker and left as they are.

use std::io::BufWriter;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Failure;
use super::text::counted;

// What is printed: one row for each thing found.
mod row;

// The files, each in its own way.
mod journal;
mod segment;
mod side;

// All of them together: proved, or copied as far as they are sound.
mod bar;
mod salvage;
mod verify;

/// Look into the files of a data folder
#[derive(Subcommand, Debug)]
pub(super) enum Log {
    Dump(Dump),
    Verify(verify::Verify),
    Salvage(salvage::Salvage),
}

impl Log {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match self {
            Log::Dump(command) => command.run(),
            Log::Verify(command) => command.run(),
            Log::Salvage(command) => command.run(),
        }
    }
}

/// Print what a file holds: segments, indexes, snapshots, checkpoints, journals
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla log dump data/topics/orders-0/00000000000000000000.log
  ottla log dump data/topics/orders-0/00000000000000000000.log --records --from 41 --max 1
  ottla log dump data/topics/orders-0/00000000000000000000.index
  ottla log dump data/journal/0/*.journal
  ottla log dump data/topics/orders-0/00000000000000000000.log --json | jq 'select(.codec == \"zstd\")'

A file's name says what it is. One line for each batch, record, entry or frame: its kind, then key=value. A running broker's newest
records are in its journal and memory; its segments follow. Exit status 1 when something in the file is damaged.")]
pub(super) struct Dump {
    /// The file; several are printed one after the other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also every record of a segment's batches
    #[arg(short, long)]
    records: bool,
    /// Begin with the batch that holds this offset
    #[arg(short, long, value_name = "OFFSET", default_value_t = 0)]
    from: i64,
    /// Stop after so many lines
    #[arg(short = 'n', long, value_name = "N")]
    max: Option<u64>,
    /// Each line as a JSON object
    #[arg(long)]
    json: bool,
}

impl Dump {
    fn run(&self) -> Result<(), Failure> {
        let out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
        let mut rows = row::Rows::new(out, self.json, self.max);
        for path in &self.files {
            let wanted = segment::Wanted { records: self.records, from: self.from };
            side::dump(path, &wanted, &mut rows)?;
        }
        let damaged = rows.finish()?;
        match damaged {
            0 => Ok(()),
            _ => Err(Failure::runtime(format!("{} of damage, named above", counted(damaged, "place")))
                .next("stop the broker and check everything: ottla log verify DIR")),
        }
    }
}
