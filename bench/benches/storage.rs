//! One shard's store: what an append costs before any flush, and what finding a place to read from costs.
//!
//! Appends go through the journal or past it (`bulk_bytes` 0): the difference is the journal frame's fill. Only the calls are
//! timed; the flushes in between are not.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ottla_batch::{Batch, Stamp};
use ottla_bench::batches::batch_of;
use ottla_bench::random::Random;
use ottla_reactor::block_on;
use ottla_storage::{Layout, Log, LogSettings, LogSpec, Read, ReadRequest, Store, StoreConfig};
use ottla_units::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};

const NOW: Timestamp = Timestamp::new(1_700_000_000_000);
/// Bytes appended between two flushes: less than a frame holds.
const CYCLE_BYTES: usize = 512 << 10;

/// What cannot fail on input of our own; a bench that fails to make it should stop.
fn made<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(made) => made,
        Err(why) => panic!("{why:?}"),
    }
}

/// A store in a folder of its own.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    logs: Vec<Log>,
}

impl Bench {
    async fn start(logs: usize, change: impl FnOnce(&mut StoreConfig)) -> Bench {
        let folder = made(tempfile::tempdir());
        // As recovery leaves it.
        made(std::fs::create_dir(folder.path().join("topics")));
        let mut config = StoreConfig::with_generation(0, 1);
        config.reserve_bytes = 0;
        config.journal_file_bytes = 16 << 20;
        change(&mut config);
        let store = made(Store::start(&Layout::below(folder.path()), config).await);
        let log = |index| {
            let key = TopicPartition::new(TopicId::from_bytes([1; 16]), PartitionIndex::new(index as i32));
            store.open_log(&LogSpec { key, topic: "bench".to_owned() }, None, LogSettings::default())
        };
        let logs = (0..logs).map(log).collect();
        Bench { folder, store, logs }
    }

    /// Appends the batch `count` times, log after log; how long the calls took.
    async fn append(&self, bytes: &[u8], count: u64) -> Duration {
        let (batch, _) = made(Batch::parse(bytes));
        let per_cycle = (CYCLE_BYTES / bytes.len()).max(1) as u64;
        let (mut done, mut took) = (0, Duration::ZERO);
        while done < count {
            let upto = count.min(done + per_cycle);
            let begun = Instant::now();
            let mut ticket = self.store.latest_ticket();
            for turn in done..upto {
                ticket = append_one(&self.logs[turn as usize % self.logs.len()], &batch);
            }
            took += begun.elapsed();
            done = upto;
            made(self.store.durable(ticket).await);
        }
        took
    }

    async fn stop(self) {
        made(self.store.stop().await);
        drop(self.folder);
    }
}

fn append_one(log: &Log, batch: &Batch<'_>) -> ottla_storage::Ticket {
    let stamp = Stamp::at(log.end(), LeaderEpoch::ZERO);
    made(log.append(batch, &stamp))
}

fn appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for (logs, bytes) in [(16, 1 << 10), (1000, 1 << 10), (16, 64 << 10)] {
        let batch = batch_of(bytes, 1 << 10, NOW, &mut Random::new(1));
        let shape = format!("{logs} logs, {bytes} B");
        group.throughput(Throughput::Bytes(batch.len() as u64));
        for (name, bulk_bytes) in [("tail and journal frame", 256 << 10), ("tail alone", 0)] {
            group.bench_with_input(BenchmarkId::new(name, &shape), &batch, |bencher, batch| {
                bencher.iter_custom(|count| {
                    let run = async {
                        let bench = Bench::start(logs, |config| config.bulk_bytes = bulk_bytes).await;
                        let took = bench.append(batch, count).await;
                        bench.stop().await;
                        took
                    };
                    made(block_on(run))
                });
            });
        }
    }
    group.finish();
}

/// Batches of one record in the log that is read.
const BATCHES: u64 = 16 << 10;

fn request(random: &mut Random, upto: u64, bytes_max: usize) -> ReadRequest {
    let from = Offset::new(random.below(upto) as i64);
    ReadRequest { from, upto: Offset::MAX, bytes_max, at_least_one: true }
}

/// Reads at random offsets: of the tail, and of a segment, where the index is looked up first.
fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read at a random offset");
    group.sample_size(20);
    let batch = batch_of(1 << 10, 1 << 10, NOW, &mut Random::new(1));
    for (name, cache_bytes, bytes_max) in [
        ("tail, 1 batch", 96 << 20, 1),
        ("tail, 1 MiB as slices", 96 << 20, 1 << 20),
        ("index and segment, 1 batch", 0, 1),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let run = async {
                    let change = |config: &mut StoreConfig| {
                        config.cache_bytes = cache_bytes.max(4 << 20);
                        config.read_ahead_bytes = 4096;
                    };
                    let bench = Bench::start(1, change).await;
                    bench.append(&batch, BATCHES).await;
                    let log = &bench.logs[0];
                    // With the small cache only the first quarter is surely not in memory any more.
                    let upto = if cache_bytes == 0 { BATCHES / 4 } else { BATCHES };
                    let mut random = Random::new(2);
                    let begun = Instant::now();
                    for _ in 0..count {
                        let read = made(log.read(request(&mut random, upto, bytes_max)));
                        let records = match read {
                            Read::Ready(records) => records,
                            Read::Cold(read) => made(read.await),
                        };
                        black_box(records.bytes);
                    }
                    let took = begun.elapsed();
                    bench.stop().await;
                    took
                };
                made(block_on(run))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, appends, lookups);
criterion_main!(benches);
