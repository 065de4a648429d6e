use std::net::Ipv4Addr;

use super::*;
use crate::measure::{Counts, Latency};
use crate::result::Flow;

#[test]
fn parts_make_the_whole() {
    let mut spec = Spec::default();
    spec.topics.partitions = 17;
    spec.produce.producers = 5;
    let parts: Vec<Spec> = (0..3).map(|at| part_of(&spec, at, 3)).collect();
    assert_eq!(parts.iter().map(|part| part.topics.partitions).sum::<u32>(), 17);
    assert_eq!(parts.iter().map(|part| part.produce.producers).sum::<u32>(), 5);
    assert!(part_of(&spec, 0, 30).produce.producers >= 1, "nobody is idle");
}

fn result_of(mb: f64, counts: Vec<(u64, u64)>) -> RunResult {
    let counts = Some(Counts(counts));
    let latency = Latency { corrected: counts.clone(), raw: counts, ..Latency::default() };
    let produced = Flow { mb_per_second: mb, ..Flow::default() };
    RunResult { stages: vec![Stage { produced, latency: vec![latency], ..Stage::default() }], ..RunResult::default() }
}

#[test]
fn throughput_is_added_and_histograms_merged() {
    let merged = merge(vec![result_of(10.0, vec![(1_000, 990)]), result_of(5.0, vec![(500_000, 10)])]).unwrap();
    let stage = &merged.stages[0];
    assert!((stage.produced.mb_per_second - 15.0).abs() < 1e-9);
    let latency = &stage.latency[0].corrected_ms;
    assert_eq!(latency.count, 1_000);
    assert!(latency.p50 < 1.1 && latency.p999 > 490.0, "{latency:?}");
}

#[test]
fn different_stages_are_refused() {
    let mut other = result_of(1.0, Vec::new());
    other.stages.clear();
    assert!(merge(vec![result_of(1.0, Vec::new()), other]).is_err());
    assert!(merge(Vec::new()).is_err());
}

#[test]
fn a_message_that_claims_too_much_is_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    sender.write_all(&u32::MAX.to_be_bytes()).unwrap();
    assert!(matches!(receive::<Word>(&mut receiver, ORDER_BYTES_MAX), Err(BenchError::Malformed { .. })));
    send(&mut sender, &Word::Go).unwrap();
    assert!(matches!(receive::<Word>(&mut receiver, ORDER_BYTES_MAX), Ok(Word::Go)));
    sender.write_all(&8u32.to_be_bytes()).unwrap();
    drop(sender);
    assert!(matches!(receive::<Word>(&mut receiver, ORDER_BYTES_MAX), Err(BenchError::Closed)));
}
