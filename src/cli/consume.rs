//! `ottla consume`: records in, lines out.

use std::collections::BTreeMap;
use std::io::{BufWriter, StdoutLock, Write};
use std::time::{Duration, Instant};

use clap::Args;
use ottla_batch::Record;
use ottla_units::Timestamp;

use super::Failure;
use super::connect::Connect;
use super::format::Format;
use super::record::JsonRecord;
use super::text::{counted, date, parse_date};
use crate::client::Cluster;
use crate::client::consumer::{Consumer, Flow};
use crate::client::offsets::{self, Place};

/// How long one question may wait at the broker for records.
const WAIT: Duration = Duration::from_millis(500);

/// Read records and print them, one a line
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla consume orders                                     what comes from now on, until interrupted
  ottla consume orders --from beginning --exit             everything that is there
  ottla consume orders --partition 2 --from 41 --max 1     one record
  ottla consume orders --from -10 --exit                   the last ten of each partition
  ottla consume orders --from 2026-11-21T09:30 --json
  ottla consume orders --format '%p:%o %k=%v\\n'

--format knows %t topic, %p partition, %o offset, %T time in ms, %D date, %k key, %v value, %h headers, %K and %V sizes in
bytes (-1 for null), %% and the escapes \\n \\t \\r \\0 \\\\. Records are in order within a partition, not between partitions.")]
pub(super) struct Consume {
    /// Where from
    topic: String,
    /// Only these partitions
    #[arg(short, long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// Where to begin: beginning, end, an OFFSET, -N before the end, or a time as DATE or @MILLISECONDS
    #[arg(short, long, value_name = "PLACE", default_value = "end", allow_hyphen_values = true, value_parser = from)]
    from: From,
    /// Stop after so many records
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Stop at the end as it was when the command began, instead of waiting for more
    #[arg(short, long)]
    exit: bool,
    /// Stop when nothing came for so long
    #[arg(long, value_name = "SECONDS", value_parser = super::connect::seconds)]
    idle: Option<Duration>,
    /// Each record as a JSON object: topic, partition, offset, timestamp, key, value, headers
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// How a record is printed
    #[arg(long, value_name = "FORMAT", default_value = "%v\\n", value_parser = Format::parse)]
    format: Format,
    /// Leave out records of transactions that were aborted or are still open
    #[arg(long)]
    read_committed: bool,
    /// Say nothing at the end
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Where to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum From {
    Beginning,
    End,
    Offset(i64),
    BeforeEnd(i64),
    Time(Timestamp),
}

fn from(text: &str) -> Result<From, String> {
    let time = text.strip_prefix('@').map_or_else(|| parse_date(text), |millis| millis.parse().ok());
    match (text, text.parse::<i64>()) {
        ("beginning", _) => Ok(From::Beginning),
        ("end", _) => Ok(From::End),
        (_, Ok(offset @ 0..)) => Ok(From::Offset(offset)),
        (_, Ok(back @ -0x7fff_ffff_ffff_ffff..0)) => Ok(From::BeforeEnd(-back)),
        _ => time.filter(|millis| *millis >= 0).map(|millis| From::Time(Timestamp::new(millis))).ok_or_else(|| {
            "allowed: beginning, end, an offset such as 41, -10 for the last ten, 2026-11-21T09:30 (UTC) or @1795253400250".into()
        }),
    }
}

impl Consume {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut cluster = self.connect.cluster()?;
        let partitions = self.partitions(&mut cluster)?;
        let mut ends = BTreeMap::new();
        let mut positions = BTreeMap::new();
        for partition in partitions {
            if self.exit {
                let end = offsets::find(&mut cluster, &self.topic, partition, Place::End, self.read_committed)?;
                ends.insert(partition, end.unwrap_or(0));
            }
            positions.insert(partition, self.position(&mut cluster, partition)?);
        }
        let consumer = Consumer::new(&mut cluster, &self.topic, positions, self.read_committed);
        let mut printer =
            Printer { command: self, out: BufWriter::with_capacity(1 << 16, std::io::stdout().lock()), printed: 0 };
        let done = self.read_all(consumer, &ends, &mut printer).and_then(|()| Ok(printer.out.flush()?));
        if !self.quiet {
            eprintln!("{} read from {}", counted(printer.printed, "record"), self.topic);
        }
        done
    }

    fn partitions(&self, cluster: &mut Cluster) -> Result<Vec<i32>, Failure> {
        let topic = cluster.topic(&self.topic, false)?;
        if self.partition.is_empty() {
            return Ok(topic.partitions.iter().map(|partition| partition.index).collect());
        }
        for partition in &self.partition {
            cluster.leader_id(&self.topic, *partition)?;
        }
        Ok(self.partition.clone())
    }

    /// The offset to begin at in one partition.
    fn position(&self, cluster: &mut Cluster, partition: i32) -> Result<i64, Failure> {
        let mut find = |place| offsets::find(cluster, &self.topic, partition, place, self.read_committed);
        Ok(match self.from {
            From::Offset(offset) => offset,
            From::Beginning => find(Place::Beginning)?.unwrap_or(0),
            From::End => find(Place::End)?.unwrap_or(0),
            From::BeforeEnd(back) => {
                let (start, end) = (find(Place::Beginning)?.unwrap_or(0), find(Place::End)?.unwrap_or(0));
                end.saturating_sub(back).max(start)
            }
            From::Time(time) => match find(Place::At(time))? {
                Some(offset) => offset,
                None => find(Place::End)?.unwrap_or(0),
            },
        })
    }

    fn read_all(
        &self,
        mut consumer: Consumer<'_>,
        ends: &BTreeMap<i32, i64>,
        printer: &mut Printer<'_>,
    ) -> Result<(), Failure> {
        let mut last = Instant::now();
        loop {
            let at_end =
                |(partition, end): (&i32, &i64)| consumer.positions().get(partition).is_some_and(|at| at >= end);
            if self.exit && ends.iter().all(at_end) {
                return Ok(());
            }
            let before = printer.printed;
            let flow = consumer.poll(WAIT, |partition, record| {
                let past = ends.get(&partition).is_some_and(|end| record.offset.get() >= *end);
                if past { Ok(Flow::Continue) } else { printer.print(partition, record) }
            })?;
            if flow == Flow::Stop {
                return Ok(());
            }
            // Shown at once: somebody may be looking on.
            printer.out.flush()?;
            if printer.printed > before {
                last = Instant::now();
            } else if self.idle.is_some_and(|idle| last.elapsed() >= idle) {
                return Ok(());
            }
        }
    }
}

struct Printer<'a> {
    command: &'a Consume,
    out: BufWriter<StdoutLock<'static>>,
    printed: u64,
}

impl Printer<'_> {
    fn print(&mut self, partition: i32, record: &Record<'_>) -> Result<Flow, Failure> {
        if self.command.json {
            let record = JsonRecord::new(&self.command.topic, partition, record);
            serde_json::to_writer(&mut self.out, &record).map_err(std::io::Error::from)?;
            self.out.write_all(b"\n")?;
        } else {
            self.command.format.write(&mut self.out, &self.command.topic, partition, record, date)?;
        }
        self.printed += 1;
        Ok(if self.command.max == Some(self.printed) { Flow::Stop } else { Flow::Continue })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_begin_is_read_in_each_of_its_forms() {
        assert_eq!(from("beginning"), Ok(From::Beginning));
        assert_eq!(from("end"), Ok(From::End));
        assert_eq!(from("41"), Ok(From::Offset(41)));
        assert_eq!(from("-10"), Ok(From::BeforeEnd(10)));
        assert_eq!(from("@1000"), Ok(From::Time(Timestamp::new(1000))));
        assert_eq!(from("1970-01-02"), Ok(From::Time(Timestamp::new(86_400_000))));
        for wrong in ["begin", "@-1", "-9223372036854775808", "", "1.5"] {
            assert!(from(wrong).is_err(), "{wrong}");
        }
    }
}
