//! What the checks of a client's batch cost beside its checksum alone, which nothing can go below.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ottla_batch::{Batch, Checks, Depth, Stamp, stamped_header, validate};
use ottla_bench::batches::batch_of;
use ottla_bench::random::Random;
use ottla_units::{LeaderEpoch, Offset, Timestamp};

const NOW: Timestamp = Timestamp::new(1_700_000_000_000);
/// Bytes of a batch, bytes of its values: one record; 64 records; many small records.
const SHAPES: [(usize, usize); 3] = [(1 << 10, 1 << 10), (64 << 10, 1 << 10), (64 << 10, 100)];

/// What cannot fail on input of our own; a bench that fails to make it should stop.
fn made<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(made) => made,
        Err(why) => panic!("{why:?}"),
    }
}

fn validation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch validation");
    for (bytes, value_bytes) in SHAPES {
        let batch = batch_of(bytes, value_bytes, NOW, &mut Random::new(1));
        let shape = format!("{bytes} B of {value_bytes} B values");
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_with_input(BenchmarkId::new("checksum alone", &shape), &batch, |bencher, batch| {
            let (batch, _) = made(Batch::parse(batch));
            bencher.iter(|| batch.crc_matches());
        });
        for (name, depth) in [("header", Depth::Header), ("every record", Depth::AllRecords)] {
            let checks = Checks { depth, ..Checks::default() };
            group.bench_with_input(BenchmarkId::new(name, &shape), &batch, |bencher, batch| {
                bencher.iter(|| made(validate(batch, &checks, NOW)).batch.record_count());
            });
        }
    }
    group.finish();
}

/// The header that the log stores.
fn stamping(criterion: &mut Criterion) {
    let bytes = batch_of(1 << 10, 1 << 10, NOW, &mut Random::new(1));
    let (batch, _) = made(Batch::parse(&bytes));
    let stamp = Stamp::at(Offset::new(7), LeaderEpoch::new(3));
    criterion.bench_function("stamped header", |bencher| bencher.iter(|| stamped_header(&batch, &stamp)));
}

criterion_group!(benches, validation, stamping);
criterion_main!(benches);
