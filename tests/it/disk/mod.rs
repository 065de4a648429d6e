//! Disks that fill up, fail, turn read-only, vanish or crawl, under a real broker: file systems of their own through loop devices.

// A file system that can be broken.
mod ground;

// No space.
mod full;
// Reads, writes and flushes that fail.
mod broken;
// Folders that are removed underneath.
mod gone;
// A disk that is slower than its producers.
mod slow;

use std::path::Path;

use crate::harness::{Broker, ottla, say_with};
use crate::wait::until;

/// Settings of a broker with one shard and small memory, on `data`, and some more.
fn small<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let settings = ["ottla.shards=1", "ottla.journal.bytes=33554432", "ottla.tail.cache.bytes=4194304"];
    settings.iter().chain(more).flat_map(|setting| ["--set", *setting]).collect()
}

fn start(data: &Path, more: &[&str]) -> Broker {
    Broker::start_with(data, &small(more))
}

/// A start that must be refused: what was said.
#[track_caller]
fn refused(data: &Path, more: &[&str]) -> String {
    let mut command = ottla();
    command.args(["start", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    command.args(["--set", "ottla.admin.listen=127.0.0.1:0"]).args(small(more));
    say_with(command, b"").complaint(1)
}

/// The broker must have ended with an error that has all of `words` in its log.
#[track_caller]
fn has_given_up(mut broker: Broker, words: &[&str]) {
    let status = broker.ended();
    let log = broker.log();
    assert!(!status.success(), "it ended with {status}; it said:\n{log}");
    has_said(&log, words);
}

#[track_caller]
fn has_said(log: &str, words: &[&str]) {
    for word in words {
        assert!(log.contains(word), "'{word}' is not in:\n{log}");
    }
}

/// The broker must say all of `words`, by and by: its log comes through a pipe.
#[track_caller]
fn says(broker: &Broker, words: &[&str]) {
    let _ = until(|| words.iter().all(|word| broker.log().contains(word)).then_some(()));
    has_said(&broker.log(), words);
}

/// The files must be sound.
#[track_caller]
fn verify(data: &Path, journal: &Path) {
    let mut command = ottla();
    command.args(["log", "verify"]).arg(data).arg("--journal").arg(journal);
    let said = say_with(command, b"");
    assert!(said.ok().contains("checked "));
}

fn create(broker: &Broker, topic: &str, partitions: &str, settings: &[&str]) {
    let settings = settings.iter().flat_map(|setting| ["-c", *setting]);
    let arguments: Vec<&str> = ["topic", "create", topic, "-p", partitions].into_iter().chain(settings).collect();
    broker.say(&arguments).ok();
}
