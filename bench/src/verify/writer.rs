use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kafka_protocol::messages::InitProducerIdRequest;
use ottla_units::{ProducerEpoch, ProducerId, Sequence};

use super::commits::{Commits, RETRY_EVERY};
use super::content::{Content, Producer, Profile, Sent, Size};
use crate::connection::{Connection, connect};
use crate::coordinator::NOT_READY;
use crate::error::{BenchError, Result, error_name};
use crate::frames::{Produced, produce_frame, read_prefix, read_produced};
use crate::random::Random;
use crate::source::SocketSource;

/// Requests in flight: as many as idempotent producers may have.
const WINDOW: usize = 5;
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How often an idempotent producer tries a batch again before that is an offence.
const RETRIES_MAX: u32 = 500;
/// Codes after which an idempotent producer tries again: unknown topic, leader not available, not leader, timed out, not
/// enough replicas (before and after the append), storage error.
const RETRIABLE: [i16; 7] = [3, 5, 6, 7, 19, 20, 56];
const OUT_OF_ORDER_SEQUENCE: i16 = 45;
const DUPLICATE_SEQUENCE: i16 = 46;

/// A batch that the broker has acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acked {
    pub(super) partition: i32,
    /// The offset of its first record; -1 when the broker said only that it has it.
    pub(super) base: i64,
    pub(super) first: u64,
    pub(super) count: u64,
    /// When the answer was read.
    pub(super) at: Instant,
}

/// What writers count.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) batches: u64,
    pub(super) bytes: u64,
    /// Batches sent again because their answer had not come.
    pub(super) resent: u64,
    /// Requests that no answer came to, by producers that never send twice.
    pub(super) abandoned: u64,
    pub(super) errors: BTreeMap<i16, u64>,
}

/// One request: batches for different partitions.
type Request = Vec<Sent>;

/// One producer on one connection; outlives the broker. *Lives on: a writer thread at a time.*
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) profile: Profile,
    content: Content,
    topic: String,
    addr: SocketAddr,
    random: Random,
    producer: Option<(ProducerId, ProducerEpoch)>,
    /// The next sequence of each partition.
    sequences: Vec<i32>,
    /// The next record's number.
    pub(super) next: u64,
    /// Not answered, in order. The first `on_wire` have been sent on this connection.
    pending: VecDeque<Request>,
    on_wire: usize,
    /// Answered with an error, to be sent again before anything else.
    again: VecDeque<Request>,
    retries: u32,
    pub(super) acked: Vec<Acked>,
    pub(super) commits: Option<Commits>,
    pub(super) counts: Counts,
    /// What the broker must not have answered.
    pub(super) offences: Vec<String>,
}

/// What ends a writer's work, and what it tells meanwhile.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pub(super) stop: AtomicBool,
    pub(super) acked_bytes: AtomicU64,
}

impl Writer {
    pub(super) fn new(
        number: u32,
        content: Content,
        topic: &str,
        addr: SocketAddr,
        partitions: usize,
        seed: u64,
    ) -> Writer {
        let profile = Profile::of(number);
        Writer {
            profile,
            content,
            topic: topic.to_owned(),
            addr,
            random: Random::new(seed ^ (u64::from(number) << 32)),
            producer: None,
            sequences: vec![0; partitions],
            next: 0,
            pending: VecDeque::new(),
            on_wire: 0,
            again: VecDeque::new(),
            retries: 0,
            acked: Vec::new(),
            commits: profile.commits.then(|| Commits::new(format!("{topic}-{number}"))),
            counts: Counts::default(),
            offences: Vec::new(),
        }
    }

    /// Writes until told to stop, then waits for what is in flight; or until the broker is gone, which is an error that the
    /// caller may have caused.
    pub(super) fn write(&mut self, signals: &Signals) -> Result<()> {
        let outcome = self.write_on(signals);
        // What follows happens on another connection.
        self.again.append(&mut self.pending);
        std::mem::swap(&mut self.again, &mut self.pending);
        self.on_wire = 0;
        if let Some(commits) = &mut self.commits {
            commits.disconnect();
        }
        outcome
    }

    fn write_on(&mut self, signals: &Signals) -> Result<()> {
        self.prepare()?;
        let socket = connect(self.addr)?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut source = SocketSource::new(socket);
        let (mut sent, mut answered) = (0, 0);
        loop {
            let stop = signals.stop.load(Ordering::Relaxed);
            if self.again.is_empty() {
                while !stop && self.pending.len() < WINDOW {
                    let request = self.compose();
                    self.pending.push_back(request);
                }
                while self.on_wire < self.pending.len() {
                    sent += 1;
                    let frame = self.frame(self.on_wire, sent);
                    source.socket().write_all(&frame)?;
                    self.on_wire += 1;
                }
            } else if self.on_wire == 0 {
                self.retry()?;
                continue;
            }
            if self.on_wire == 0 {
                return Ok(());
            }
            answered += 1;
            self.take_answer(&mut source, answered, signals)?;
        }
    }

    /// What must be before the first batch leaves.
    fn prepare(&mut self) -> Result<()> {
        if self.profile.idempotent {
            self.counts.resent += self.pending.iter().map(|request| request.len() as u64).sum::<u64>();
        } else {
            self.counts.abandoned += self.pending.len() as u64;
            self.pending.clear();
        }
        if self.profile.idempotent && self.producer.is_none() {
            self.producer = Some(init_producer(self.addr)?);
        }
        Ok(())
    }

    /// Everything that failed comes first again, in order.
    fn retry(&mut self) -> Result<()> {
        self.retries += 1;
        if self.retries > RETRIES_MAX {
            return Err(BenchError::TimedOut {
                what: format!("a batch of writer {} to be taken", self.profile.writer),
            });
        }
        std::thread::sleep(RETRY_EVERY);
        self.again.append(&mut self.pending);
        std::mem::swap(&mut self.again, &mut self.pending);
        Ok(())
    }

    /// The next request: one batch, or a few small ones for different partitions.
    fn compose(&mut self) -> Request {
        let partitions = self.sequences.len() as u64;
        let count = if self.profile.size == Size::Small { self.random.between(1, 4.min(partitions)) } else { 1 };
        let start = self.random.below(partitions);
        (0..count).map(|at| self.compose_batch(((start + at) % partitions) as i32)).collect()
    }

    fn compose_batch(&mut self, partition: i32) -> Sent {
        let sequence = self.sequences[partition as usize];
        let producer: Option<Producer> = self.producer.map(|(id, epoch)| (id, epoch, Sequence::new(sequence)));
        let sent = self.content.batch(self.profile, partition, self.next, producer, &mut self.random);
        self.next += sent.count;
        self.sequences[partition as usize] += sent.count as i32;
        sent
    }

    fn frame(&self, at: usize, correlation: i32) -> Vec<u8> {
        let parts: Vec<(i32, &[u8])> = self.pending[at].iter().map(|sent| (sent.partition, &sent.bytes[..])).collect();
        produce_frame(&self.topic, self.profile.acks, &parts).0.with_correlation(correlation).to_vec()
    }

    fn take_answer(&mut self, source: &mut SocketSource, correlation: i32, signals: &Signals) -> Result<()> {
        read_prefix(source, correlation)?;
        let mut answers: Vec<Produced> = Vec::new();
        read_produced(source, |produced| answers.push(produced))?;
        let request = self.pending.pop_front().ok_or(BenchError::Malformed { what: "answer without a request" })?;
        self.on_wire -= 1;
        let mut failed = Vec::new();
        let mut commit = None;
        for sent in request {
            let answer = answers.iter().find(|answer| answer.partition == sent.partition);
            // A partition that is not in the answer was not answered.
            let absent = Produced { partition: sent.partition, error: -1, base_offset: -1 };
            let answer = answer.copied().unwrap_or(absent);
            match answer.error {
                0 | DUPLICATE_SEQUENCE => commit = self.acknowledged(&sent, answer, signals).or(commit),
                code => {
                    *self.counts.errors.entry(code).or_default() += 1;
                    self.judge(&sent, code);
                    failed.push(sent);
                }
            }
        }
        if self.profile.idempotent && !failed.is_empty() {
            self.again.push_back(failed);
        }
        // Last: from here on the broker may be gone, and what it answered must have been taken down.
        match (commit, &mut self.commits) {
            (Some((partition, offset)), Some(commits)) => commits.commit(self.addr, &self.topic, partition, offset),
            _ => Ok(()),
        }
    }

    /// Takes an acknowledgement down; the offset to commit, once in a while.
    fn acknowledged(&mut self, sent: &Sent, answer: Produced, signals: &Signals) -> Option<(i32, i64)> {
        let base = if answer.error == 0 { answer.base_offset } else { -1 };
        let at = Instant::now();
        self.acked.push(Acked { partition: sent.partition, base, first: sent.first, count: sent.count, at });
        self.retries = 0;
        self.counts.batches += 1;
        self.counts.bytes += sent.bytes.len() as u64;
        signals.acked_bytes.fetch_add(sent.bytes.len() as u64, Ordering::Relaxed);
        let due = base >= 0 && self.counts.batches.is_multiple_of(4);
        due.then_some((sent.partition, base + sent.count as i64))
    }

    /// Whether an error may be: a broker that starts may say that it does not lead yet; a gap in the sequence may only follow
    /// from an earlier batch that was refused.
    fn judge(&mut self, sent: &Sent, code: i16) {
        let follows = code == OUT_OF_ORDER_SEQUENCE && {
            let mut refused = self.again.iter().flatten();
            refused.any(|earlier| earlier.partition == sent.partition)
        };
        if !RETRIABLE.contains(&code) && !follows {
            self.offences.push(format!(
                "writer {} partition {}: records from {} answered with {code} {}",
                self.profile.writer,
                sent.partition,
                sent.first,
                error_name(code)
            ));
        }
    }
}

/// A producer id without a transaction.
fn init_producer(addr: SocketAddr) -> Result<(ProducerId, ProducerEpoch)> {
    let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(-1);
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    let mut connection = Connection::open(addr)?;
    loop {
        let answer = connection.call(4, &request)?;
        match answer.error_code {
            0 => return Ok((ProducerId::new(answer.producer_id.0), ProducerEpoch::new(answer.producer_epoch))),
            code if NOT_READY.contains(&code) && Instant::now() < deadline => std::thread::sleep(RETRY_EVERY),
            code => return Err(BenchError::Refused { api: "InitProducerId", code }),
        }
    }
}
