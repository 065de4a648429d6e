//! Producers that are faster than the disk: latency grows, memory does not, nobody starves, and readers of the newest records go
//! on.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ottla_batch::Codec;

use crate::broker::Broker;
use crate::client::{Client, batch, behave, produce_request, receive};
use crate::mutation::Random;
use crate::wait::let_pass;

const PRODUCERS: usize = 8;
/// Requests that each producer keeps under way: together far more than all memory that the broker may use.
const IN_FLIGHT: usize = 40;
const LASTS: Duration = Duration::from_secs(8);

/// Keeps `IN_FLIGHT` requests of 900 KiB under way until told to stop, and takes every answer; counts those.
fn produce_without_end(address: &str, topic: &str, partition: i32, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let records = batch(Codec::None, &Random::new(3 + partition as u64).bytes(900 << 10));
    let mut connection = crate::broker::connect(address);
    let mut writing = connection.try_clone().unwrap();
    let (turns, taken) = std::sync::mpsc::sync_channel::<i32>(IN_FLIGHT);
    std::thread::scope(|scope| {
        // The turn is taken before the request is sent; the channel ends with the writer.
        scope.spawn(move || {
            for id in 0.. {
                if stop.load(Ordering::Relaxed) || turns.send(id).is_err() {
                    break;
                }
                writing.write_all(&produce_request(id, topic, partition, -1, &records)).unwrap();
            }
        });
        for id in taken {
            let answer =
                receive(&mut connection).unwrap_or_else(|error| panic!("producer {partition}: answer {id}: {error}"));
            assert_eq!(answer[..4], id.to_be_bytes(), "answers come in order");
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    });
}

#[test]
fn producers_faster_than_the_disk() {
    let mut broker = Broker::start();
    let mut admin = Client::new(&broker.address);
    admin.create("good", 1);
    admin.create("flood", PRODUCERS as i32);
    let stop = AtomicBool::new(false);
    let counts: Vec<AtomicU64> = (0..PRODUCERS).map(|_| AtomicU64::new(0)).collect();
    let behaved = std::thread::scope(|scope| {
        let (address, stop) = (&broker.address, &stop);
        for (partition, count) in counts.iter().enumerate() {
            scope.spawn(move || produce_without_end(address, "flood", partition as i32, stop, count));
        }
        // Reads the newest of its own records all the while: tail readers go on.
        let good = scope.spawn(move || behave(address, "good", stop));
        let_pass(LASTS);
        stop.store(true, Ordering::Relaxed);
        good.join().expect("it does not panic")
    });
    broker.is_well("overload");
    let rounds = behaved.unwrap_or_else(|error| panic!("the client that behaved: {error}\n{}", broker.log()));
    let counts: Vec<u64> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    println!(
        "acknowledged by producer: {counts:?}; rounds of the other: {}, slowest {:?}",
        rounds.len(),
        rounds.iter().max()
    );
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(*least > 0 && least * 20 >= *most, "nobody starves: {counts:?}");
    assert!(rounds.len() >= 3, "the reader went on: {} rounds", rounds.len());
    broker.kept_to_its_memory("overload", 20);
}
