//! `ottla bench` beside a real broker: interrupted, from two machines, by another client.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::{Broker, folder, ottla, say, say_with};

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn an_interrupted_comparison_keeps_what_it_has() {
    let scratch = folder();
    let broker = Broker::start(&scratch.path().join("data"));
    let out = scratch.path().join("results");
    let (a, b) = (format!("a={}", broker.address), format!("b={}", broker.address));
    let mut compare = ottla();
    compare.args(["bench", "compare", "--a", &a, "--b", &b, "produce", "--no-probe", "--settle", "0", "--name", "cut"]);
    compare.args(["--duration", "1s", "--warm-up", "100ms", "--rounds", "500", "--out"]).arg(&out);
    let mut child = compare.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let runs = lines.by_ref().filter(|line| line.starts_with("produce ")).take(2).count();
    assert_eq!(runs, 2, "each run is told");
    assert_eq!(json(&out.join("cut.json"))["runs"].as_array().unwrap().len(), 2, "what is told is kept already");
    interrupt(&child);
    let rest: Vec<String> = lines.collect();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{rest:?} {said}");
    assert!(said.contains("written to ") && rest.iter().any(|line| line.contains("of 1000 runs")), "{rest:?} {said}");
    let kept = json(&out.join("cut.json"));
    assert_eq!(kept["interrupted"], true);
    let runs = kept["runs"].as_array().unwrap();
    assert!(runs.len() >= 2 && runs[..2].iter().all(|run| run["interrupted"] == false), "{kept}");
    assert!(runs[2..].iter().all(|run| run["interrupted"] == true), "what was cut short is marked: {kept}");
    assert!(out.join("cut.md").is_file() && out.join("cut.html").is_file());
}

/// A subcommand that listens; ended when this is dropped.
struct Listening {
    child: Child,
    address: String,
}

impl Listening {
    fn start(what: &str, more: &[&str]) -> Listening {
        let mut command = ottla();
        command.args(["bench", what, "--listen", "127.0.0.1:0"]).args(more).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut first = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut first).unwrap();
        // What it says further goes nowhere, and must not fill the pipe.
        std::thread::spawn(move || out.lines().count());
        let address = first.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        Listening { child, address }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_agents_share_a_load_out_and_nothing_is_lost() {
    let scratch = folder();
    let broker = Broker::start(&scratch.path().join("data"));
    let mut agents = [Listening::start("agent", &[]), Listening::start("agent", &[])];
    let result = scratch.path().join("result.json");
    let addresses = agents.iter().map(|agent| agent.address.as_str()).collect::<Vec<_>>().join(",");
    let run = ["bench", "run", "end-to-end-2k", "--agents", &addresses, "--bootstrap", &broker.address];
    let more = ["--duration", "2s", "--warm-up", "200ms", "--rate", "200", "--no-probe", "-q", "--json"];
    say(&[&run[..], &more, &[&result.to_string_lossy()]].concat()).ok();
    let result = json(&result);
    assert_eq!(result["agents"].as_array().unwrap().len(), 2);
    let stage = &result["stages"][0];
    let count = stage["latency"][0]["corrected_ms"]["count"].as_u64().unwrap();
    assert!((350..=450).contains(&count), "two agents together take the schedule's turns, each once: {count} of 400");
    assert!(result["verification"]["checked"].as_u64().unwrap() >= count, "{result}");
    assert!(stage["errors"].as_object().unwrap().is_empty() && stage["broker"]["cpu_seconds"].is_number(), "{stage}");
    for agent in &mut agents {
        interrupt(&agent.child);
        assert_eq!(agent.child.wait().unwrap().code(), Some(0), "an agent ends when it is told to");
    }
}

#[test]
fn brokers_of_our_own_are_started_measured_and_cleared_away() {
    let scratch = folder();
    let data = scratch.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut compare = ottla();
    compare.args([
        "bench",
        "compare",
        "--a",
        "ottla=self",
        "--suite",
        "growth",
        "--brief",
        "--rounds",
        "1",
        "--no-probe",
    ]);
    compare.args(["--settle", "0", "--name", "own", "--out"]).arg(scratch.path()).arg("--data").arg(&data);
    let said = say_with(compare, b"").ok();
    let found = json(&scratch.path().join("own.json"));
    let starts = found["own"]["starts"].as_array().unwrap();
    assert_eq!(starts.iter().map(|start| start["partitions"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 100]);
    assert!(starts.iter().all(|start| start["starts"][2]["first_fetch_ms"].as_f64().unwrap() > 0.0), "{starts:?}");
    let shards = found["own"]["shards"].as_array().unwrap();
    let commands: Vec<&str> = shards.iter().map(|run| run["broker"]["command"].as_str().unwrap()).collect();
    assert!(commands.len() == 2 && commands[0].ends_with("ottla.shards=1") && commands[1].ends_with("ottla.shards=2"));
    assert_eq!(found["runs"].as_array().unwrap().len(), 2, "{said}");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn the_floor_takes_a_load_that_is_not_read_back_and_ends_when_told() {
    let scratch = folder();
    let data = scratch.path().join("data");
    let mut floor = Listening::start("floor", &["--shards", "1", "--data", &data.to_string_lossy()]);
    let result = scratch.path().join("result.json");
    let run = ["bench", "run", "produce-16x1k", "--bootstrap", &floor.address, "--no-probe", "--verify-seconds", "0"];
    let more = ["--duration", "500ms", "--warm-up", "100ms", "-q", "--json", &result.to_string_lossy()];
    say(&[&run[..], &more].concat()).ok();
    let result = json(&result);
    assert!(result["stages"][0]["produced"]["requests_per_second"].as_f64().unwrap() > 0.0, "{result}");
    assert_eq!(result["broker"]["pid"], floor.child.id(), "its cost is found by its port");
    assert_eq!((&result["broker"]["fetch_version"], &result["verification"]["checked"]), (&(-1).into(), &0.into()));
    interrupt(&floor.child);
    assert_eq!(floor.child.wait().unwrap().code(), Some(0), "it ends when it is told to");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "nothing is left behind");
}

#[cfg(feature = "librdkafka")]
#[test]
fn librdkafka_brings_the_same_load() {
    let scratch = folder();
    let broker = Broker::start(&scratch.path().join("data"));
    for (workload, latencies) in [("produce", 1), ("end-to-end", 2)] {
        let result = scratch.path().join(format!("{workload}.json"));
        let run = ["bench", "run", workload, "--client", "librdkafka", "--bootstrap", &broker.address, "--no-probe"];
        let more = ["--duration", "2s", "--warm-up", "500ms", "-q", "--json", &result.to_string_lossy()];
        say(&[&run[..], &more].concat()).ok();
        let result = json(&result);
        let stage = &result["stages"][0];
        assert!(stage["produced"]["records_per_second"].as_f64().unwrap() > 0.0, "{stage}");
        let told = stage["latency"].as_array().unwrap();
        assert_eq!(told.len(), latencies, "{told:?}");
        assert!(told.iter().all(|latency| latency["raw_ms"]["count"].as_u64().unwrap() > 0), "{told:?}");
        assert!(result["notes"][0].as_str().unwrap().contains("librdkafka "), "{result}");
    }
}
