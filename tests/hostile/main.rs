//! Whatever clients send, the broker lives on, keeps to its memory and serves the others. Each case runs against the real
//! binary, a client that behaves beside it.
//!
//! `OTTLA_HOSTILE_SHOT=API:VERSION:SEED` replays one request of `the_broker_outlives_damaged_requests`;
//! `OTTLA_HOSTILE_SEEDS=N` sends so many of each version (8 without). `cargo xtask hostile` measures what attacks cost others.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, and its helpers with it"
)]

use std::time::{Duration, Instant};

// The broker under test, and its memory.
mod broker;

// A client that behaves.
mod client;

// Waiting.
#[path = "../it/wait.rs"]
mod wait;

// Requests, valid and damaged.
mod mutation;

// What clients do to a broker, one function for each attack.
mod attacks;

// Producers that are faster than the disk.
mod overload;

// What attacks cost a client that behaves.
mod cost;

use broker::Broker;
use client::Client;
use wait::{PATIENCE, let_pass};

/// Does `attack` while another client behaves; that one must be served correctly throughout, and the broker be well and within
/// its memory afterwards.
#[track_caller]
fn under(name: &str, connections: u64, attack: impl Fn(&mut Broker) + Send) {
    under_settings(name, connections, &[], attack);
}

#[track_caller]
fn under_settings(name: &str, connections: u64, settings: &[&str], attack: impl Fn(&mut Broker) + Send) {
    beside(name, connections, settings, |_| (), |_, lasts| let_pass(lasts), attack);
}

/// As [`under`], after something was made ready, and beside something that is no attack and costs what it costs.
#[track_caller]
fn beside(
    name: &str,
    connections: u64,
    settings: &[&str],
    prepare: impl FnOnce(&Broker),
    usual: impl Fn(&mut Broker, Duration) + Send,
    attack: impl Fn(&mut Broker) + Send,
) {
    let mut broker = Broker::start_with(settings);
    Client::new(&broker.address).create("good", 1);
    prepare(&broker);
    let rounds = cost::measure(&mut broker, usual, attack);
    broker.is_well(name);
    let rounds = rounds.unwrap_or_else(|error| panic!("{name}: the client that behaved: {error}\n{}", broker.log()));
    assert!(rounds.during.iter().all(|took| *took < PATIENCE), "{name}: {:?}", rounds.during);
    broker.kept_to_its_memory(name, connections + 10);
    Client::new(&broker.address).round("good", b"afterwards").unwrap_or_else(|error| panic!("{name}: {error}"));
    rounds.tell(name);
}

#[test]
fn the_broker_outlives_damaged_requests() {
    if let Ok(name) = std::env::var("OTTLA_HOSTILE_SHOT") {
        let shot = mutation::named(&name).expect("API:VERSION:SEED");
        println!("{shot}");
        return under("replay", 10, |broker| attacks::shoot(broker, [shot.clone()]));
    }
    let seeds = std::env::var("OTTLA_HOSTILE_SEEDS").map_or(8, |text| text.parse().expect("a number"));
    under("damaged requests", 100, |broker| {
        // The first round makes topics and groups, the next meets them.
        for round in 0..2 {
            for api in ottla_wire::apis::served() {
                for version in api.accepted_min..=api.max {
                    let shots = (round * seeds..(round + 1) * seeds).map(|seed| mutation::shot(api, version, seed));
                    attacks::shoot(broker, shots);
                }
            }
        }
    });
}

#[test]
fn a_shot_is_replayed_by_its_name() {
    let shot = mutation::named("Fetch:12:3").unwrap();
    assert_eq!(shot.frame, mutation::shot(ottla_wire::ApiKey::Fetch.api(), 12, 3).frame);
    assert!(shot.to_string().starts_with("OTTLA_HOSTILE_SHOT=Fetch:12:3 00"));
}

#[test]
fn random_bytes() {
    under("random bytes", 300, attacks::random_bytes);
}

#[test]
fn half_open_connections_and_one_byte_at_a_time() {
    under("half open", 700, attacks::half_open_and_slow);
}

#[test]
fn frames_that_are_announced_and_never_come() {
    under("announced frames", 400, attacks::announced_frames);
}

#[test]
fn answers_that_nobody_reads() {
    under("unread answers", 200, attacks::unread_answers);
}

#[test]
fn old_records_that_nobody_takes() {
    let fill = |broker: &Broker| attacks::fill(broker, "old", 8, 64);
    beside("unread old records", 100, &[], fill, attacks::read_old_records, attacks::unread_old_records);
}

#[test]
fn thousands_of_idle_connections() {
    let count = attacks::idle_connections_max();
    under("idle connections", count as u64, |broker| attacks::idle_connections(broker, count));
}

#[test]
fn connections_that_come_and_go() {
    under("churn", 200, attacks::churn);
}

#[test]
fn thousands_of_requests_in_one_pipeline() {
    under("pipeline", 20, attacks::pipeline);
}

#[test]
fn lists_as_long_as_a_request_can_be() {
    under("long lists", 20, attacks::long_lists);
}

#[test]
fn compressed_bombs() {
    under("bombs", 20, attacks::bombs);
}

#[test]
fn ten_thousand_members() {
    under("members", 2500, attacks::members);
}

#[test]
fn fetch_sessions_of_everything() {
    under("fetch sessions", 100, attacks::fetch_sessions);
}

#[test]
fn fetch_sessions_that_grow_and_shrink() {
    under("growing sessions", 20, attacks::growing_sessions);
}

#[test]
fn fetches_that_wait_at_a_thousand_partitions() {
    under("waiting fetches", 100, attacks::waiting_fetches);
}

#[test]
fn a_limit_on_the_rate_of_connections() {
    under_settings("rate of connections", 100, &["max.connection.creation.rate=50"], |broker| {
        let begun = Instant::now();
        let open: Vec<_> = (0..120).map(|_| Client::new(&broker.address)).collect();
        for mut client in open {
            client
                .ask(ottla_wire::ApiKey::ApiVersions, 0, |id| {
                    client::framed(ottla_wire::ApiKey::ApiVersions, 0, id, b"")
                })
                .unwrap();
        }
        // Fifty in each second: the last ones are served in the third.
        assert!(begun.elapsed() > Duration::from_millis(1000), "{:?}", begun.elapsed());
    });
}
