use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use ottla_batch::{Batch, records};

use super::content::{Content, Identity};
use super::observer::{Mark, Observer};
use super::rounds::Written;
use super::writer::Writer;
use crate::connection::Connection;
use crate::error::{BenchError, Result, error_name};
use crate::frames::{FetchTerms, fetch_frame, read_fetched};
use crate::source::Source;
use crate::topics;

/// Bytes asked of a partition at once.
const FETCH_BYTES: i32 = 8 << 20;
/// A batch unpacks to no more.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// What is wrong, counted and in words.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    /// Acknowledged records that are not where they must be.
    pub(super) lost: u64,
    /// The same where acks=1 was asked and a power cut came: allowed, and counted apart.
    pub(super) lost_unflushed: u64,
    /// Records whose acknowledgement was read after the power cut had begun: a machine without power sends none.
    pub(super) answered_late: u64,
    /// Records that are there more than once.
    pub(super) doubled: u64,
    /// Everything else: bytes, order, offsets, commits, answers.
    pub(super) wrong: u64,
    /// The first of them, in words.
    pub(super) words: Vec<String>,
}

/// Findings said in words; the rest is only counted.
const WORDS_MAX: usize = 20;

impl Findings {
    pub(super) fn wrong(&mut self, words: String) {
        self.wrong += 1;
        self.say(words);
    }

    /// Takes in what another look at the same records found: what is gone is gone once.
    pub(super) fn merge(&mut self, other: Findings) {
        self.lost = self.lost.max(other.lost);
        self.lost_unflushed = self.lost_unflushed.max(other.lost_unflushed);
        self.answered_late = self.answered_late.max(other.answered_late);
        self.doubled = self.doubled.max(other.doubled);
        self.wrong += other.wrong;
        other.words.into_iter().for_each(|words| self.say(words));
    }

    fn say(&mut self, words: String) {
        if self.words.len() < WORDS_MAX {
            self.words.push(words);
        }
    }
}

/// What is in a partition.
#[derive(Clone, Debug, Default)]
struct Log {
    /// Each record, by offset.
    records: Vec<Identity>,
    /// Each batch.
    batches: Vec<Mark>,
}

/// Reads a topic and holds it against what its writers remember and its observer has seen. How many records it has.
pub(super) fn verify(addr: SocketAddr, written: &Written, findings: &mut Findings) -> Result<u64> {
    let Written { topic, content, writers, observer, cut_at } = written;
    let (content, partitions) = (*content, observer.seen.len());
    let mut connection = Connection::open(addr)?;
    topics::await_leaders(&mut connection, topic, partitions)?;
    let ends = topics::await_ends(&mut connection, topic, partitions)?;
    let mut logs = Vec::new();
    for (index, end) in ends.iter().enumerate() {
        let reading = Reading { topic, partition: index as i32, end: *end, content };
        logs.push(reading.read(&mut connection, findings)?);
    }
    find_doubled(&logs, findings);
    for writer in writers {
        find_lost(writer, &logs, *cut_at, findings);
    }
    find_vanished(observer, &logs, findings);
    Ok(logs.iter().map(|log| log.records.len() as u64).sum())
}

struct Reading<'a> {
    topic: &'a str,
    partition: i32,
    end: i64,
    content: Content,
}

impl Reading<'_> {
    /// Every record of the partition up to its end, by offset.
    fn read(&self, connection: &mut Connection, findings: &mut Findings) -> Result<Log> {
        let mut log = Log::default();
        let mut bytes = Vec::new();
        while (log.records.len() as i64) < self.end {
            let code = self.fetch(connection, log.records.len() as i64, &mut bytes)?;
            if code != 0 {
                let words =
                    format!("partition {} from {}: {code} {}", self.partition, log.records.len(), error_name(code));
                findings.wrong(words);
                return Ok(log);
            }
            let before = log.records.len();
            self.take_batches(&bytes, &mut log, findings);
            if log.records.len() == before {
                findings.wrong(format!(
                    "partition {}: nothing readable from {before} on, though it ends at {}",
                    self.partition, self.end
                ));
                return Ok(log);
            }
        }
        Ok(log)
    }

    fn fetch(&self, connection: &mut Connection, from: i64, bytes: &mut Vec<u8>) -> Result<i16> {
        let terms = FetchTerms {
            max_wait_ms: 1_000,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            partition_max_bytes: FETCH_BYTES,
            session_id: 0,
            session_epoch: -1,
        };
        let (mut frame, _) = fetch_frame(self.topic, terms, &[(self.partition, from)]);
        let mut code = 0;
        bytes.clear();
        let source = connection.exchange(&mut frame)?;
        let session = read_fetched(source, |fetched, source| {
            code = fetched.error;
            bytes.resize(fetched.records_bytes, 0);
            source.fill(bytes)
        })?;
        Ok(if session.error == 0 { code } else { session.error })
    }

    /// Takes the whole batches; a cut one at the end comes again with the next fetch.
    fn take_batches(&self, mut rest: &[u8], log: &mut Log, findings: &mut Findings) {
        let mut scratch = Vec::new();
        while let Ok((batch, after)) = Batch::parse(rest) {
            rest = after;
            let place = format!("partition {} offset {}", self.partition, batch.base_offset().get());
            if batch.base_offset().get() != log.records.len() as i64 {
                findings.wrong(format!("{place}: {} was due", log.records.len()));
                return;
            }
            if !batch.crc_matches() {
                findings.wrong(format!("{place}: checksum does not match"));
                return;
            }
            log.batches.push((batch.base_offset().get(), batch.crc()));
            if !self.take_records(&batch, log, findings, &mut scratch) {
                return;
            }
        }
    }

    fn take_records(&self, batch: &Batch<'_>, log: &mut Log, findings: &mut Findings, scratch: &mut Vec<u8>) -> bool {
        let mut read = match records(batch, UNPACKED_BYTES_MAX) {
            Ok(read) => read,
            Err(why) => {
                findings.wrong(format!("partition {} offset {}: {why}", self.partition, log.records.len()));
                return false;
            }
        };
        while let Some(record) = read.next() {
            let identity = record.ok().and_then(|record| {
                let due = record.offset.get() == log.records.len() as i64;
                self.content.recognise(record.key, record.value, scratch).filter(|_| due)
            });
            match identity {
                Some(identity) => log.records.push(identity),
                None => {
                    findings.wrong(format!(
                        "partition {} offset {}: a record that nobody sent",
                        self.partition,
                        log.records.len()
                    ));
                    return false;
                }
            }
        }
        true
    }
}

fn find_doubled(logs: &[Log], findings: &mut Findings) {
    let mut seen: HashMap<(u32, u64), (usize, usize)> = HashMap::new();
    for (partition, log) in logs.iter().enumerate() {
        let mut last: HashMap<u32, u64> = HashMap::new();
        for (offset, record) in log.records.iter().enumerate() {
            let who = format_args!("writer {} record {}", record.writer, record.number);
            if let Some((first, at)) = seen.insert((record.writer, record.number), (partition, offset)) {
                findings.doubled += 1;
                findings.say(format!("doubled: {who} at {first}@{at} and {partition}@{offset}"));
            }
            let before = last.insert(record.writer, record.number);
            if before.is_some_and(|before| before > record.number) {
                findings.wrong(format!(
                    "order: {who} at {partition}@{offset} follows record {}",
                    before.unwrap_or_default()
                ));
            }
        }
    }
}

/// Looks for what was acknowledged and is gone; `cut_at` is when the power was cut, if it was.
fn find_lost(writer: &Writer, logs: &[Log], cut_at: Option<Instant>, findings: &mut Findings) {
    let empty = Log::default();
    for acked in &writer.acked {
        let log = &logs.get(acked.partition as usize).unwrap_or(&empty).records;
        let is_there = |number: &u64| {
            let due = Identity { writer: writer.profile.writer, number: *number };
            let offset = (acked.base + (number - acked.first) as i64) as usize;
            if acked.base < 0 { log.contains(&due) } else { log.get(offset) == Some(&due) }
        };
        let gone: Vec<u64> = (acked.first..acked.first + acked.count).filter(|number| !is_there(number)).collect();
        if !gone.is_empty() && cut_at.is_some_and(|cut| acked.at >= cut) {
            findings.answered_late += gone.len() as u64;
        } else if !gone.is_empty() && cut_at.is_some() && writer.profile.acks == 1 {
            findings.lost_unflushed += gone.len() as u64;
        } else if let Some(first) = gone.first() {
            findings.lost += gone.len() as u64;
            let before = cut_at.map_or_else(String::new, |cut| {
                format!(" {:.1} ms before the power cut", (cut - acked.at).as_secs_f64() * 1000.0)
            });
            findings.say(format!(
                "lost: writer {} (acks {}) {} of {} records from {first} on, acknowledged{before} at {}@{}, which ends at {}",
                writer.profile.writer,
                writer.profile.acks,
                gone.len(),
                acked.count,
                acked.partition,
                acked.base,
                log.len()
            ));
        }
    }
}

/// What a consumer has read and what is not there, or is another batch now.
fn find_vanished(observer: &Observer, logs: &[Log], findings: &mut Findings) {
    for (partition, (seen, log)) in observer.seen.iter().zip(logs).enumerate() {
        let there: HashMap<i64, u32> = log.batches.iter().copied().collect();
        for (base, crc) in seen {
            if there.get(base) != Some(crc) {
                let now = there.get(base).map_or("gone", |_| "another batch");
                findings.wrong(format!("a consumer has read the batch at {partition}@{base}, which is {now}"));
            }
        }
    }
}

/// Whether an error only says that the broker is gone, which is what a crash does.
pub(super) fn is_gone(error: &BenchError) -> bool {
    matches!(error, BenchError::Closed | BenchError::Io { .. })
}

#[cfg(test)]
mod tests;
