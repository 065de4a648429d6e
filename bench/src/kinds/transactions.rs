use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, ProduceRequest, ProducerId as WireProducerId,
    TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use ottla_batch::Builder;
use ottla_units::{ProducerEpoch, ProducerId, Sequence};

use super::{Outcome, Run};
use crate::batches::wall_clock;
use crate::connection::Connection;
use crate::coordinator::{self, Of};
use crate::error::{BenchError, Result};
use crate::measure::{Latency, Phase, Role, Sampler, Tally};
use crate::random::Random;
use crate::result::{Flow, Stage};
use crate::stage::Moment;
use crate::stamp::{STAMP_BYTES, Stamp, Stamper};
use crate::topics::{Topic, topic_name};
use crate::usage::Look;
use crate::verifier::Ledger;

/// Kafka's code for "the last transaction is not quite over yet".
const CONCURRENT_TRANSACTIONS: i16 = 51;
/// How long a transaction may take.
const TIMEOUT_MS: i32 = 60_000;
/// Pause before something that is not ready is asked again.
const RETRY: Duration = Duration::from_millis(1);

/// *Lives on: a thread of its own. Talks by: the phase, the sampler's channel.*
struct Committer<'a> {
    number: u32,
    id: TransactionalId,
    coordinator: Connection,
    leaders: Vec<Connection>,
    producer: (i64, i16),
    /// The next sequence of each partition, as Kafka counts: records.
    sequences: Vec<i32>,
    ledgers: Vec<Ledger>,
    topic: &'a Topic,
    random: Random,
}

impl Run<'_> {
    pub(super) fn transactions(&mut self) -> Outcome {
        if !self.facts.transactions {
            let what = "transactions: this broker's ApiVersions offers no AddPartitionsToTxn or EndTxn; \
                        run this workload against a broker that has them";
            return Err(BenchError::Missing { what: what.to_owned() });
        }
        let topics = self.create()?;
        let (phase, stop) = (Phase::default(), AtomicBool::new(false));
        let (out, samples) = channel();
        let mut committers = Vec::new();
        for number in 0..self.spec.produce.producers {
            let id = format!("{}-{number}", self.prefix);
            committers.push(Committer::open(self.target.addr, number, &id, &topics[0], self.control.seed)?);
        }
        let mut looks = Vec::new();
        let done = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for committer in committers {
                let sampler = Sampler::new(Role::Produce, out.clone())?;
                let (phase, stop, spec) = (&phase, &stop, self.spec);
                threads.push(scope.spawn(move || committer.run(spec, phase, stop, sampler)));
            }
            drop(out);
            let look = || (Instant::now(), self.target.pid.map(Look::at), Look::at(std::process::id()));
            self.pass_time(self.spec.warm_seconds, false, &stop);
            phase.begin();
            looks.push(look());
            self.pass_time(self.spec.seconds, true, &stop);
            phase.stop();
            looks.push(look());
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Vec<Ledger>>>| {
                let panicked = || Err(BenchError::Missing { what: "a load thread, which panicked".to_owned() });
                thread.join().unwrap_or_else(|_| panicked())
            };
            threads.into_iter().map(join).collect::<Result<Vec<_>>>()
        })?;
        let mut all = Tally::new()?;
        samples.try_iter().try_for_each(|sample| all.add(&sample.tally))?;
        let ledgers: Vec<Ledger> = done.into_iter().flatten().collect();
        let verdict = self.read_back(&topics, &ledgers)?;
        Ok((vec![stage_of(&all, &looks)], verdict))
    }

    fn pass_time(&self, seconds: f64, counts: bool, stop: &AtomicBool) {
        let begun = Instant::now();
        while begun.elapsed().as_secs_f64() < seconds && !self.control.stopped() && !stop.load(Ordering::Relaxed) {
            super::pause(self.control, Duration::from_millis(200));
            let progress = (begun.elapsed().as_secs_f64(), seconds);
            (self.control.live)(&Moment {
                stage: "transactions",
                counts,
                progress,
                second: crate::result::Second::default(),
            });
        }
    }
}

fn stage_of(all: &Tally, looks: &[(Instant, Option<Look>, Look)]) -> Stage {
    let [before, after] = looks else { return Stage::default() };
    let seconds = (after.0 - before.0).as_secs_f64();
    let mut stage = Stage {
        seconds,
        produced: Flow::of(all, seconds),
        latency: vec![Latency::closed("a transaction, from its first batch to its commit", &all.raw, 0)],
        broker: after.1.zip(before.1).map(|(after, before)| after.since(&before)),
        client: after.2.since(&before.2),
        errors: all.errors.clone(),
        ..Stage::default()
    };
    stage.extra.insert("transactions_per_second".to_owned(), all.raw.len() as f64 / seconds);
    stage.price();
    stage
}

impl<'a> Committer<'a> {
    fn open(addr: SocketAddr, number: u32, id: &str, topic: &'a Topic, seed: u64) -> Result<Committer<'a>> {
        let mut coordinator = coordinator::connect(addr, Of::Transactions, id)?;
        let id = TransactionalId(StrBytes::from_string(id.to_owned()));
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(id.clone()))
            .with_transaction_timeout_ms(TIMEOUT_MS);
        let producer = loop {
            let answer = coordinator.call(2, &request)?;
            match answer.error_code {
                0 => break (answer.producer_id.0, answer.producer_epoch),
                code if coordinator::NOT_READY.contains(&code) || code == CONCURRENT_TRANSACTIONS => {
                    std::thread::sleep(RETRY)
                }
                code => return Err(BenchError::Refused { api: "InitProducerId", code }),
            }
        };
        let ledger = |partition| Ledger { producer: number, partitions: vec![partition], ..Ledger::default() };
        Ok(Committer {
            number,
            id,
            coordinator,
            leaders: topic.leaders.iter().map(|leader| Connection::open(*leader)).collect::<Result<_>>()?,
            producer,
            sequences: vec![0; topic.leaders.len()],
            ledgers: (0..topic.leaders.len() as i32).map(ledger).collect(),
            topic,
            random: Random::new(seed + u64::from(number)),
        })
    }

    fn run(
        mut self,
        spec: &crate::spec::Spec,
        phase: &Phase,
        stop: &AtomicBool,
        mut sampler: Sampler,
    ) -> Result<Vec<Ledger>> {
        while !phase.stopped() && !stop.load(Ordering::Relaxed) {
            sampler.turn(phase)?;
            let begun = phase.now_ns();
            let outcome = self.transact(spec, phase, sampler.tally());
            if outcome.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            outcome?;
            if phase.covers(begun) {
                let now = phase.now_ns();
                sampler.tally().took(now, begun, begun);
            }
        }
        sampler.hand_over()?;
        Ok(self.ledgers)
    }

    /// One transaction: its partitions are added, batches produced to each in turn, and it is committed.
    fn transact(&mut self, spec: &crate::spec::Spec, phase: &Phase, tally: &mut Tally) -> Result<()> {
        self.add_partitions()?;
        let bytes = spec.produce.record_bytes.mean() as usize;
        for at in 0..spec.produce.batches_per_transaction as usize {
            let partition = at % self.sequences.len();
            let batch = self.batch(partition, bytes.max(STAMP_BYTES), phase);
            let length = batch.len() as u64;
            self.produce(partition, batch)?;
            if phase.counts() {
                tally.requests += 1;
                tally.batches += 1;
                tally.records += 1;
                tally.bytes += length;
            }
        }
        let (id, epoch) = self.producer;
        let request = EndTxnRequest::default()
            .with_transactional_id(self.id.clone())
            .with_producer_id(WireProducerId(id))
            .with_producer_epoch(epoch)
            .with_committed(true);
        match self.coordinator.call(1, &request)?.error_code {
            0 => Ok(()),
            code => Err(BenchError::Refused { api: "EndTxn", code }),
        }
    }

    fn add_partitions(&mut self) -> Result<()> {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(topic_name(&self.topic.name))
            .with_partitions((0..self.sequences.len() as i32).collect());
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.id.clone())
            .with_v3_and_below_producer_id(WireProducerId(self.producer.0))
            .with_v3_and_below_producer_epoch(self.producer.1)
            .with_v3_and_below_topics(vec![topic]);
        loop {
            let answer = self.coordinator.call(1, &request)?;
            let results = answer.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
            match results.map(|result| result.partition_error_code).find(|code| *code != 0) {
                None => return Ok(()),
                Some(CONCURRENT_TRANSACTIONS) => std::thread::sleep(RETRY),
                Some(code) if coordinator::NOT_READY.contains(&code) => std::thread::sleep(RETRY),
                Some(code) => return Err(BenchError::Refused { api: "AddPartitionsToTxn", code }),
            }
        }
    }

    fn batch(&mut self, partition: usize, bytes: usize, phase: &Phase) -> Vec<u8> {
        let mut value = vec![0; bytes];
        self.random.fill(&mut value);
        let (id, epoch) = self.producer;
        let sequence = Sequence::new(self.sequences[partition]);
        let mut builder =
            Builder::new().producer(ProducerId::new(id), ProducerEpoch::new(epoch), sequence).transactional(true);
        builder.push(wall_clock(), None, Some(&value), &[]);
        self.sequences[partition] = self.sequences[partition].wrapping_add(1) & i32::MAX;
        let mut batch = builder.build();
        let ledger = &mut self.ledgers[partition];
        let now = phase.now_ns();
        let stamp = Stamp { producer: self.number, sequence: ledger.sent, due_ns: now, sent_ns: now, rest_crc: None };
        if let Some(stamper) = Stamper::of(&batch) {
            stamper.stamp(&mut batch, &stamp, phase.wall_ms());
        }
        ledger.sent += 1;
        batch
    }

    fn produce(&mut self, partition: usize, batch: Vec<u8>) -> Result<()> {
        let part = PartitionProduceData::default().with_index(partition as i32).with_records(Some(batch.into()));
        let topic = TopicProduceData::default().with_name(topic_name(&self.topic.name)).with_partition_data(vec![part]);
        let request = ProduceRequest::default()
            .with_transactional_id(Some(self.id.clone()))
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![topic]);
        let answer = self.leaders[partition].call(9, &request)?;
        match answer
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses)
            .map(|part| part.error_code)
            .find(|it| *it != 0)
        {
            None => Ok(()),
            Some(code) => Err(BenchError::Refused { api: "Produce", code }),
        }
    }
}
