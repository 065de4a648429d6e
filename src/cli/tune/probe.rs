//! `ottla tune probe`.

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ottla_storage::DiskSettings;
use ottla_tuning::{DiskProfile, Flush, Measured, Probe as Prober, ProbeError, Rate, choose};

use crate::cli::Failure;
use crate::cli::text::table;

/// A 99th percentile beyond this many medians is no property of a disk at rest.
const NOISE: f64 = 20.0;

/// Measure a disk, and write how the broker should use it
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla tune probe /var/lib/ottla               measure, and write /var/lib/ottla/io.toml
  ottla tune probe /var/lib/ottla --dry-run     measure, write nothing
  ottla tune probe data --journal /fast         flushes are measured where the journal lies
  ottla tune probe data --json                  all that was measured

Measured are sequential O_DIRECT writes and reads by size and depth, durable writes in one operation (O_DSYNC) against a write and
fdatasync, files flushed side by side, and a small durable write while the disk is busy. From it follow the flush method, the size
and the number of writes; the broker reads them when it starts. Stop it meanwhile: it would be measured too. Nothing is left behind
but io.toml; remove that, and the broker goes back to its defaults.")]
pub(in crate::cli) struct Probe {
    /// The broker's data folder
    dir: PathBuf,
    /// The journal's folder, where it has a disk of its own (ottla.journal.dir)
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// How long each of some ninety measurements takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 150, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    each: u64,
    /// The size of the file that is written to, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(2..=65_536))]
    size: u64,
    /// How many shards will share the disk [default: one for each processor]
    #[arg(long, value_name = "N")]
    shards: Option<NonZeroUsize>,
    /// Write no io.toml
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print what was measured and chosen as JSON
    #[arg(long)]
    json: bool,
}

impl Probe {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut measured = self.measure(&self.dir)?;
        if let Some(journal) = &self.journal {
            let there = self.measure(journal)?;
            (measured.durable, measured.idle, measured.loaded) = (there.durable, there.idle, there.loaded);
        }
        let profile = choose(&measured);
        let mut out = io::stdout().lock();
        if self.json {
            let text = serde_json::to_string_pretty(&profile).map_err(Failure::runtime)?;
            writeln!(out, "{text}")?;
        } else {
            write!(out, "{}", told(&measured, &profile))?;
        }
        if self.dry_run {
            return Ok(());
        }
        let path = profile.write(&self.dir).map_err(|error| {
            Failure::runtime(format!("cannot write io.toml into {}: {error}", self.dir.display()))
                .next("make the folder writable")
        })?;
        Ok(writeln!(io::stderr(), "written to {}: the broker follows it from its next start on", path.display())?)
    }

    fn measure(&self, folder: &std::path::Path) -> Result<Measured, Failure> {
        let shards = self.shards.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
        let prober = Prober {
            folder: folder.to_path_buf(),
            bytes: self.size << 20,
            each: Duration::from_millis(self.each),
            shards,
        };
        let bar =
            if io::stderr().is_terminal() { ProgressBar::new(Prober::steps() as u64) } else { ProgressBar::hidden() };
        // The template is a constant: were it wrong, the bar would look plain.
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        let outcome = prober.run(&mut |what| {
            bar.inc(1);
            bar.set_message(what.to_owned());
        });
        bar.finish_and_clear();
        outcome.map_err(|error| {
            let next = match &error {
                ProbeError::Space { .. } => "make room, or probe with a smaller file: --size MIB",
                ProbeError::Io { error, .. } if error.kind() == io::ErrorKind::NotFound => {
                    "make the folder first: mkdir -p DIR"
                }
                ProbeError::Io { .. } => "see what the kernel says of the disk: dmesg",
            };
            Failure::runtime(&error).next(next)
        })
    }
}

fn told(measured: &Measured, profile: &DiskProfile) -> String {
    let way = if measured.direct { "O_DIRECT" } else { "through the page cache: this file system has no O_DIRECT" };
    let flush = match profile.journal.flush {
        Flush::Dsync => {
            let most = profile.journal.dsync_bytes_max;
            let above = match most {
                DiskSettings::DURABLE_WRITE_BYTES_MAX => "several of them side by side",
                _ => "a write and fdatasync",
            };
            format!("one operation up to {} KiB, above {above}", most >> 10)
        }
        Flush::Fdatasync => "a write, then fdatasync".to_owned(),
    };
    let mut text = format!("sequential writes, MiB/s, {way}\n{}", grid(&measured.writes));
    text += &format!("\nsequential reads, MiB/s\n{}", grid(&measured.reads));
    text += &format!("\ndurable writes, µs\n{}", durable(measured));
    text += "\nfiles written and flushed at once, MiB/s\n";
    text += &table(
        &["FILES", "MIB/S"],
        &measured
            .files
            .iter()
            .map(|rate| vec![rate.depth.to_string(), format!("{:.0}", rate.mib_per_second)])
            .collect::<Vec<_>>(),
    );
    text += &format!(
        "\na durable write of 4 KiB takes {:.0} µs (p99 {:.0}), {:.0} µs (p99 {:.0}) while the disk is busy\n",
        measured.idle.median_us, measured.idle.p99_us, measured.loaded.median_us, measured.loaded.p99_us
    );
    if measured.idle.p99_us > measured.idle.median_us * NOISE {
        text += "note: that is unsteady: was the machine, or its disk, busy? Measure again when it is quiet\n";
    }
    text += &format!(
        "\nchosen: flush in {flush}; segments in writes of {} KiB, {} logs of a shard at once\n",
        profile.segments.write_bytes >> 10,
        profile.segments.write_depth
    );
    text
}

/// Sizes down, depths across.
fn grid(rates: &[Rate]) -> String {
    let mut depths: Vec<usize> = rates.iter().map(|rate| rate.depth).collect();
    let mut sizes: Vec<usize> = rates.iter().map(|rate| rate.bytes).collect();
    for list in [&mut depths, &mut sizes] {
        list.sort_unstable();
        list.dedup();
    }
    let heading: Vec<String> =
        std::iter::once("SIZE".to_owned()).chain(depths.iter().map(|depth| format!("{depth} AT ONCE"))).collect();
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    let cell = |size: usize, depth: usize| {
        let rate = rates.iter().find(|rate| (rate.bytes, rate.depth) == (size, depth));
        rate.map_or_else(String::new, |rate| format!("{:.0}", rate.mib_per_second))
    };
    let row = |&size: &usize| {
        std::iter::once(format!("{} KiB", size >> 10)).chain(depths.iter().map(|&depth| cell(size, depth))).collect()
    };
    table(&heading, &sizes.iter().map(row).collect::<Vec<_>>())
}

fn durable(measured: &Measured) -> String {
    let row = |both: &ottla_tuning::Durable| {
        let figures = [both.fdatasync.median_us, both.fdatasync.p99_us, both.dsync.median_us, both.dsync.p99_us];
        std::iter::once(format!("{} KiB", both.bytes >> 10))
            .chain(figures.map(|figure| format!("{figure:.0}")))
            .collect()
    };
    table(&["SIZE", "FDATASYNC", "P99", "DSYNC", "P99"], &measured.durable.iter().map(row).collect::<Vec<_>>())
}
