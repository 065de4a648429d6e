use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;

use super::*;
use crate::measure::{Role, Tally};
use crate::prepared;
use crate::spec::Spec;
use crate::topics::Topic;

const NOT_LEADER: i16 = 6;
const NOT_ALLOWED: i16 = 29;

/// A Produce answer (version 9) for partition 0.
fn answer(correlation: [u8; 4], error: i16) -> Vec<u8> {
    let mut body = correlation.to_vec();
    body.extend_from_slice(&[0, 2, 2, b't', 2]);
    body.extend_from_slice(&0i32.to_be_bytes());
    body.extend_from_slice(&error.to_be_bytes());
    body.extend_from_slice(&[0; 24]);
    body.extend_from_slice(&[1, 0, 0, 0]);
    body.extend_from_slice(&[0; 5]);
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame
}

/// Answers the n-th request with what `says` says, from 0, until the client goes.
fn broker(mut says: impl FnMut(u64) -> i16 + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        for number in 0.. {
            let Some(request) = next(&mut socket) else { return };
            let correlation = [request[4], request[5], request[6], request[7]];
            if socket.write_all(&answer(correlation, says(number))).is_err() {
                return;
            }
        }
    });
    addr
}

fn next(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    socket.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut frame).ok().map(|()| frame)
}

/// Drives one producer of one partition; what it has done and counted.
fn drive_one(addr: SocketAddr, turn: Loop, phase: &Phase) -> (Result<Done>, Tally) {
    let mut spec = Spec::default();
    spec.produce.producers = 1;
    spec.topics.partitions = 1;
    let topic = Topic { name: "t".to_owned(), leaders: vec![addr] };
    let shares = prepared::shares(&spec, &[topic], 0, 1).unwrap();
    let meeting = Meeting { start_ns: 0.into(), ..Meeting::default() };
    let (out, samples) = channel();
    let manner = Manner { fail_fast: true, churn: 0.0, seed: 1 };
    let done = drive(shares, turn, phase, &meeting, Sampler::new(Role::Produce, out).unwrap(), manner);
    let mut all = Tally::new().unwrap();
    samples.try_iter().for_each(|sample| all.add(&sample.tally).unwrap());
    (done, all)
}

#[test]
fn a_partition_that_has_no_leader_yet_gets_its_first_batch_again() {
    let addr = broker(|number| if number < 3 { NOT_LEADER } else { 0 });
    let (done, tally) = drive_one(addr, Loop::Closed { rounds: 20 }, &Phase::default());
    let ledger = &done.unwrap().ledgers[0];
    assert_eq!(tally.postponed, [(NOT_LEADER, 3)].into(), "each is counted");
    assert!(tally.errors.is_empty(), "and none of them is an error of the load: {:?}", tally.errors);
    assert!(ledger.sent >= 20, "the load came after: {ledger:?}");
}

#[test]
fn what_is_refused_for_good_ends_the_run_with_its_reason() {
    let addr = broker(|_| NOT_ALLOWED);
    let (done, _) = drive_one(addr, Loop::Closed { rounds: 20 }, &Phase::default());
    assert!(matches!(done, Err(BenchError::Refused { code: NOT_ALLOWED, .. })), "{done:?}");
}

#[test]
fn what_is_refused_for_now_under_load_is_sent_again_and_counts_from_when_it_was_due() {
    const REFUSED: u64 = 5;
    const GOOD: u64 = 40;
    let phase = Arc::new(Phase::default());
    let clock = Arc::clone(&phase);
    let addr = broker(move |number| {
        if number == 0 {
            clock.begin();
        }
        if number == 2 * REFUSED + GOOD {
            clock.stop();
        }
        // The first is the one before the clock; then every other of some.
        if (1..=2 * REFUSED).contains(&number) && number % 2 == 1 { NOT_LEADER } else { 0 }
    });
    let (done, tally) = drive_one(addr, Loop::Open(Schedule::new(0, 2_000.0, 0, 1)), &phase);
    let sent = done.unwrap().ledgers[0].sent;
    assert_eq!(tally.errors, [(NOT_LEADER, REFUSED)].into(), "each is counted");
    assert_eq!(tally.requests + tally.late.0, sent - REFUSED, "all else was taken, and what was refused as well");
    assert!(tally.corrected.max() >= 20_000, "from when it was due: a producer rests 20 ms before it tries again");
}
