//! `ottla produce`: lines in, records out.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use ottla_batch::Codec;

use super::Failure;
use super::connect::Connect;
use super::record::JsonRecord;
use super::text::counted;
use crate::client::producer::{Acks, NewRecord, Producer, ProducerOptions};

/// How long a batch waits for more lines.
const LINGER: Duration = Duration::from_millis(5);
/// Lines read ahead of what is sent.
const LINES_AHEAD: usize = 4096;

/// Send records: every line of standard input, or of files, becomes one
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  echo 'hello' | ottla produce orders
  ottla produce orders --key-separator : <<< 'customer-7:3 apples'
  ottla produce orders --compression zstd --header source=import lines.txt
  ottla consume orders --from beginning --exit --json | ottla produce copy --json

With --json every line is an object as `ottla consume --json` writes it; topic, partition and offset do not count:
  {\"key\": \"k\", \"value\": \"v\", \"headers\": [[\"name\", \"value\"]], \"timestamp\": 1795253400250}
A null value deletes its key on a compacted topic. Bytes that are no text: {\"value\": {\"base64\": \"3q2+7w==\"}}")]
pub(super) struct Produce {
    /// Where to; made by the broker if it may (auto.create.topics.enable)
    topic: String,
    /// Files to read instead of standard input
    files: Vec<PathBuf>,
    /// Every record to this partition, instead of by its key
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// What stands between key and value in each line; a line without it is refused
    #[arg(short, long, value_name = "TEXT", conflicts_with = "json")]
    key_separator: Option<String>,
    /// The same key for every record
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["key_separator", "json"])]
    key: Option<String>,
    /// A header for every record; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, Option<Vec<u8>>)>,
    /// A value that stands for null
    #[arg(long, value_name = "TEXT", conflicts_with = "json")]
    null: Option<String>,
    /// Every line is a JSON object
    #[arg(long)]
    json: bool,
    /// How batches are compressed
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none", value_parser = codec_parser())]
    compression: Codec,
    /// Who has to have a record before it counts as written
    #[arg(short, long, value_enum, default_value_t = AcksChoice::All)]
    acks: AcksChoice,
    /// Say nothing at the end
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum AcksChoice {
    /// Nobody: fastest, and nothing is known
    #[value(name = "0")]
    None,
    /// The leader
    #[value(name = "1")]
    Leader,
    /// Every in-sync replica, on stable storage
    #[value(name = "all", alias = "-1")]
    All,
}

impl Produce {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let acks = match self.acks {
            AcksChoice::None => Acks::None,
            AcksChoice::Leader => Acks::Leader,
            AcksChoice::All => Acks::All,
        };
        let options = ProducerOptions { acks, codec: self.compression, create_topic: true };
        let mut cluster = self.connect.cluster()?;
        let mut producer = Producer::new(&mut cluster, &self.topic, options)?;
        let lines = read_lines(self.files.clone());
        let begun = Instant::now();
        let done = self.send_all(&lines, &mut producer);
        if !self.quiet {
            let (count, took) = (counted(producer.sent(), "record"), begun.elapsed().as_secs_f64());
            let verb = if acks == Acks::None { "sent" } else { "written" };
            eprintln!("{count} {verb} to {} in {took:.3} s", self.topic);
        }
        done
    }

    /// Sends every line; what waits is sent whenever no line comes for a moment.
    fn send_all(&self, lines: &Receiver<Line>, producer: &mut Producer<'_>) -> Result<(), Failure> {
        loop {
            let next = match lines.recv_timeout(LINGER) {
                Err(RecvTimeoutError::Timeout) => {
                    producer.flush()?;
                    lines.recv().map_err(|_| RecvTimeoutError::Disconnected)
                }
                next => next,
            };
            match next {
                Ok(line) => producer.push(&self.record(line?)?)?,
                Err(_) => return Ok(producer.flush()?),
            }
        }
    }

    fn record(&self, (place, line): (String, Vec<u8>)) -> Result<NewRecord, Failure> {
        let wrong = |what: String| Failure::runtime(format!("{place}: {what}"));
        let mut record = if self.json {
            let parsed: Result<JsonRecord, _> = serde_json::from_slice(&line);
            let parsed = parsed.map_err(|error| wrong(format!("not a record in JSON: {error}")))?;
            NewRecord::try_from(parsed).map_err(wrong)?
        } else {
            self.plain(line).map_err(wrong)?
        };
        record.partition = self.partition;
        record.headers.extend(self.headers.iter().cloned());
        Ok(record)
    }

    fn plain(&self, line: Vec<u8>) -> Result<NewRecord, String> {
        let (key, value) = match &self.key_separator {
            None => (self.key.as_ref().map(|key| key.clone().into_bytes()), line),
            Some(separator) => {
                let at = find(&line, separator.as_bytes())
                    .ok_or_else(|| format!("no '{separator}' in the line to end the key"))?;
                (Some(line[..at].to_vec()), line[at + separator.len()..].to_vec())
            }
        };
        let is_null = self.null.as_ref().is_some_and(|null| null.as_bytes() == value);
        Ok(NewRecord { key, value: (!is_null).then_some(value), ..NewRecord::default() })
    }
}

/// A line and where it stood, or why there are no more.
type Line = Result<(String, Vec<u8>), Failure>;

/// Lines of these files, or of standard input, read by a thread of their own so that a slow typist keeps nothing waiting.
fn read_lines(files: Vec<PathBuf>) -> Receiver<Line> {
    let (lines, received) = sync_channel::<Line>(LINES_AHEAD);
    thread::spawn(move || {
        let send = |name: &str, input: &mut dyn BufRead| -> Result<(), Failure> {
            for number in 1_u64.. {
                let mut line = Vec::new();
                if input.read_until(b'\n', &mut line).map_err(|error| Failure::runtime(format!("{name}: {error}")))?
                    == 0
                {
                    break;
                }
                while line.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
                    line.pop();
                }
                if lines.send(Ok((format!("{name}:{number}"), line))).is_err() {
                    break;
                }
            }
            Ok(())
        };
        let done = match files.as_slice() {
            [] => send("standard input", &mut std::io::stdin().lock()),
            files => files.iter().try_for_each(|path| {
                let name = path.display().to_string();
                let file = File::open(path).map_err(|error| Failure::runtime(format!("{name}: {error}")))?;
                send(&name, &mut BufReader::new(file))
            }),
        };
        if let Err(failure) = done {
            // If nobody takes it, the command has ended already.
            let _ = lines.send(Err(failure));
        }
    });
    received
}

fn find(line: &[u8], separator: &[u8]) -> Option<usize> {
    if separator.is_empty() {
        return None;
    }
    line.windows(separator.len()).position(|window| window == separator)
}

/// `NAME=VALUE`; just `NAME` for a header whose value is null.
fn header(text: &str) -> Result<(String, Option<Vec<u8>>), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("a header has a name: NAME=VALUE".into()),
        Some((name, value)) => Ok((name.to_owned(), Some(value.as_bytes().to_vec()))),
        None => Ok((text.to_owned(), None)),
    }
}

/// The codecs by Kafka's names, so that help lists them and a wrong one is answered with the nearest.
fn codec_parser() -> impl clap::builder::TypedValueParser<Value = Codec> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(Codec::ALL.map(Codec::name)).map(|name| Codec::from_name(&name).unwrap_or_default())
}
