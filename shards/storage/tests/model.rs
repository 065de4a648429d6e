//! The store against a model: random appends, reads, rolls, deletions, clean stops and crashes, over several lives with
//! different numbers of cores. A failure prints the seed; `OTTLA_SEED=n` runs only that one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use ottla_batch::{Batch, Builder, Stamp, stamped_header};
use ottla_reactor::{Class, spawn, timeout};
use ottla_storage::{
    Layout, Log, LogSettings, LogSpec, ReadRequest, RecoverOptions, Recovery, StorageError, Store, StoreConfig, recover,
};
use ottla_units::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};

/// Seeds of an ordinary run.
const SEEDS: u64 = 5;
/// Lives of one seed.
const LIVES: usize = 5;
const LOGS: usize = 6;
/// No step takes nearly as long.
const STUCK_AFTER: Duration = Duration::from_secs(20);

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as usize) % limit.max(1)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// What one log should hold.
#[derive(Default)]
struct Expected {
    start: i64,
    /// Every batch as stored, from the first ever on.
    batches: Vec<(i64, Vec<u8>)>,
    end: i64,
    /// What was promised to be there after a crash.
    durable: i64,
}

impl Expected {
    fn end_of(&self, index: usize) -> i64 {
        self.batches.get(index + 1).map_or(self.end, |next| next.0)
    }

    /// Forgets what a crash took: everything from `end` on.
    fn cut(&mut self, end: i64) {
        assert!(end >= self.durable, "{end} is less than the {} that were durable", self.durable);
        assert!(end <= self.end, "{end} is more than the {} that were appended", self.end);
        assert!(end == self.end || self.batches.iter().any(|(base, _)| *base == end), "{end} is inside a batch");
        self.batches.retain(|(base, _)| *base < end);
        self.end = end;
        self.durable = end;
    }
}

fn specs() -> Vec<LogSpec> {
    (0..LOGS)
        .map(|i| LogSpec {
            key: TopicPartition::new(TopicId::from_bytes([9; 16]), PartitionIndex::new(i as i32)),
            topic: "model".into(),
        })
        .collect()
}

fn config(core: u16, generation: u64, random: &mut Random) -> StoreConfig {
    let mut config = StoreConfig::with_generation(core, generation);
    config.journal_file_bytes = 512 << 10;
    config.journal_files = 3;
    config.frame_bytes = 16 << 10;
    config.frame_bytes_max = 64 << 10;
    config.bulk_bytes = 8 << 10;
    config.bulk_bytes_max = 256 << 10;
    config.write_out_bytes = if random.chance(50) { 16 << 10 } else { 1 << 20 };
    config.cache_bytes = if random.chance(50) { 64 << 10 } else { 1 << 20 };
    config.cold_bytes = 256 << 10;
    config.read_ahead_bytes = 64 << 10;
    config.files_max = 8;
    config.reserve_bytes = 0;
    config
}

struct Life<'a> {
    stores: Vec<Store>,
    logs: Vec<Log>,
    expected: &'a mut Vec<Expected>,
    random: &'a mut Random,
}

impl<'a> Life<'a> {
    async fn begin(
        layout: &Layout,
        mut recovery: Recovery,
        expected: &'a mut Vec<Expected>,
        random: &'a mut Random,
    ) -> Life<'a> {
        let cores = 1 + random.below(3);
        let mut stores = Vec::new();
        for core in 0..cores {
            stores.push(Store::start(layout, config(core as u16, recovery.generation, random)).await.unwrap());
        }
        let settings = LogSettings { segment_bytes: 40_000, index_interval_bytes: 512, ..LogSettings::default() };
        let logs: Vec<Log> = specs()
            .iter()
            .map(|spec| stores[random.below(cores)].open_log(spec, recovery.logs.remove(&spec.key), settings))
            .collect();
        Life { stores, logs, expected, random }
    }

    fn store_of(&self, log: usize) -> &Store {
        self.stores.iter().find(|store| store.log(self.logs[log].key()).is_some()).unwrap()
    }

    async fn append(&mut self, index: usize) {
        let log = self.logs[index].clone();
        let size = if self.random.chance(10) { 1 + self.random.below(30_000) } else { 1 + self.random.below(600) };
        let mut builder = Builder::new();
        for i in 0..1 + self.random.below(4) {
            let value: Vec<u8> = (0..size).map(|_| self.random.below(256) as u8).collect();
            builder.push(Timestamp::new(1_000_000 + self.expected[index].end + i as i64), None, Some(&value), &[]);
        }
        let bytes = builder.build();
        let (batch, _) = Batch::parse(&bytes).unwrap();
        let stamp = Stamp::at(log.end(), LeaderEpoch::new(1 + (self.expected[index].end / 100) as i32));
        loop {
            match log.append(&batch, &stamp) {
                Ok(_) => break,
                Err(StorageError::Busy) => self.store_of(index).room(bytes.len()).await,
                Err(error) => panic!("{error}"),
            }
        }
        let mut stored = stamped_header(&batch, &stamp).to_vec();
        stored.extend_from_slice(batch.payload());
        let expected = &mut self.expected[index];
        expected.batches.push((expected.end, stored));
        expected.end += i64::from(batch.record_count());
        assert_eq!(log.end().get(), expected.end);
    }

    /// Reads from a random offset and compares byte for byte.
    async fn read(&mut self, index: usize) {
        let log = &self.logs[index];
        let expected = &self.expected[index];
        let span = (expected.end - expected.start) as usize;
        let from = expected.start + self.random.below(span + 1) as i64;
        let upto = if self.random.chance(50) {
            expected.end
        } else {
            (from + self.random.below(span + 1) as i64).min(expected.end)
        };
        let bytes_max = self.random.below(50_000);
        let request = ReadRequest {
            from: Offset::new(from),
            upto: Offset::new(upto),
            bytes_max,
            at_least_one: self.random.chance(70),
        };
        let records = log.read(request).unwrap().records().await.unwrap();
        let found: Vec<u8> = records.slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        assert_eq!(found.len(), records.bytes);
        let first = expected.batches.partition_point(|(base, _)| *base <= from).saturating_sub(1);
        let mut wanted = Vec::new();
        let mut next = from;
        for i in first..expected.batches.len() {
            let bytes = &expected.batches[i].1;
            if wanted.len() >= found.len() || expected.end_of(i) > upto {
                break;
            }
            wanted.extend_from_slice(bytes);
            next = expected.end_of(i);
        }
        assert!(found == wanted, "log {index}: {request:?} gave {} bytes, not {}", found.len(), wanted.len());
        assert_eq!(records.next.get(), next);
        assert!(found.len() <= bytes_max || request.at_least_one);
        let first_end = expected.batches.get(first).map(|_| expected.end_of(first));
        if request.at_least_one && from < upto && first_end.is_some_and(|end| end <= upto) {
            assert!(!found.is_empty(), "log {index}: {request:?} gave nothing");
        }
    }

    async fn advance_start(&mut self, index: usize) {
        let expected = &mut self.expected[index];
        let start = expected.start + self.random.below((expected.durable - expected.start) as usize + 1) as i64;
        loop {
            match self.logs[index].advance_start(Offset::new(start)).await {
                Ok(()) => break,
                Err(StorageError::Busy) => self.stores[0].room(4096).await,
                Err(error) => panic!("{error}"),
            }
        }
        expected.start = start;
    }

    async fn make_durable(&mut self) {
        for store in &self.stores {
            store.durable(store.latest_ticket()).await.unwrap();
        }
        for (log, expected) in self.logs.iter().zip(self.expected.iter_mut()) {
            expected.durable = expected.end;
            assert_eq!(log.durable_end().get(), expected.end);
        }
    }

    async fn search(&mut self, index: usize) {
        let expected = &self.expected[index];
        let span = (expected.end - expected.start) as usize;
        let offset = expected.start + self.random.below(span + 2) as i64;
        let time = Timestamp::new(1_000_000 + offset);
        let found = self.logs[index].offset_for_timestamp(time, Offset::new(expected.end)).await.unwrap();
        let wanted = (offset < expected.end).then_some((Offset::new(offset), time));
        assert_eq!(found, wanted, "log {index}: time {time} of {}..{}", expected.start, expected.end);
        let latest = self.logs[index].max_timestamp_offset(Offset::new(expected.end)).await.unwrap();
        let last = expected.end - 1;
        let wanted = (expected.end > expected.start).then_some((Offset::new(last), Timestamp::new(1_000_000 + last)));
        assert_eq!(latest, wanted, "log {index}: latest");
    }

    async fn step(&mut self, index: usize, choice: usize) {
        match choice {
            0..70 => self.append(index).await,
            70..82 => self.read(index).await,
            82..88 => self.search(index).await,
            88..90 => self.advance_start(index).await,
            90..94 => self.make_durable().await,
            _ => ottla_reactor::yield_now().await,
        }
    }

    async fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            let index = self.random.below(LOGS);
            let choice = self.random.below(100);
            if timeout(STUCK_AFTER, self.step(index, choice)).await.is_none() {
                let gauges: Vec<_> = self.stores.iter().map(Store::gauges).collect();
                panic!("step {choice} of log {index} does not end: {gauges:?}");
            }
        }
    }
}

/// Everything in the log equals what is expected.
async fn compare(log: &Log, expected: &Expected) {
    assert_eq!((log.start().get(), log.end().get()), (expected.start, expected.end));
    let first = expected.batches.partition_point(|(base, _)| *base <= expected.start).saturating_sub(1);
    let mut scan = log.scan(log.start());
    for (base, bytes) in &expected.batches[first..] {
        if expected.end <= expected.start {
            break;
        }
        let batch = scan.next().await.unwrap().unwrap_or_else(|| panic!("the batch at {base} is missing"));
        assert_eq!(batch.bytes(), bytes, "the batch at {base}");
        let epoch = LeaderEpoch::new(1 + (base / 100) as i32);
        let found = log.epoch_of(Offset::new((*base).max(expected.start)));
        assert_eq!(found, epoch, "the leadership at {base} of {:?} in {:?}", log.key(), log.epochs());
    }
    assert!(scan.next().await.unwrap().is_none());
}

fn run_seed(seed: u64, folder: &Path) {
    let layout = Layout::below(folder);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut expected: Vec<Expected> = (0..LOGS).map(|_| Expected::default()).collect();
    let mut clean = true;
    for life in 0..LIVES {
        ottla_reactor::block_on(async {
            let recovery = recover(&layout, &specs(), &RecoverOptions::default()).await.unwrap();
            assert!(recovery.report.clean || !clean, "life {life}: {:?}", recovery.report);
            let ends: HashMap<_, _> = recovery.logs.iter().map(|(key, log)| (*key, log.end.get())).collect();
            for (spec, expected) in specs().iter().zip(&mut expected) {
                expected.cut(ends.get(&spec.key).copied().unwrap_or(0));
            }
            let mut life = Life::begin(&layout, recovery, &mut expected, &mut random).await;
            for (log, expected) in life.logs.iter().zip(life.expected.iter()) {
                compare(log, expected).await;
            }
            let steps = life.random.below(600);
            life.run(steps).await;
            clean = life.random.chance(40);
            if clean {
                for store in &life.stores {
                    store.stop().await.unwrap();
                }
                for expected in life.expected.iter_mut() {
                    expected.durable = expected.end;
                }
            }
            drop(life);
            // What the tasks of the stores had under way is cancelled in their next turn, and what that spawned in the one after.
            for class in [Class::Data, Class::Background, Class::Data, Class::Background, Class::Background] {
                spawn(class, async {}).await;
            }
        })
        .unwrap();
    }
}

#[test]
fn the_store_does_what_the_model_does() {
    let only = std::env::var("OTTLA_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let count = std::env::var("OTTLA_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(SEEDS);
    let seeds = only.map_or(1..count + 1, |seed| seed..seed + 1);
    for seed in seeds {
        let folder = tempfile::tempdir().unwrap();
        let result = std::panic::catch_unwind(|| run_seed(seed, folder.path()));
        if let Err(panic) = result {
            eprintln!(
                "replay with: OTTLA_SEED={seed} cargo test -p ottla-storage --test model; files in {:?}",
                folder.keep()
            );
            std::panic::resume_unwind(panic);
        }
    }
}
