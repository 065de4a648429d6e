//! `ottla perf` on a real broker, where the kernel permits it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::{Broker, Said, file, folder, ottla, say, say_with, skip};

/// What it printed; nothing, and a skip that is counted, where this machine has no `perf` or does not permit it.
fn permitted(what: &str, said: Said) -> Option<String> {
    let lacks = |text: &str| ["not permitted here", "not installed"].iter().any(|words| text.contains(words));
    if said.status == Some(1) && lacks(&said.err) {
        assert!(said.err.contains("next: "), "what is lacking is told with its remedy: {}", said.err);
        skip(what, said.err.lines().next().unwrap_or_default());
        return None;
    }
    Some(said.ok())
}

/// Runs `look` while records are written to the broker.
fn under_load<T>(broker: &Broker, look: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    let records: Vec<u8> = (0..20_000).flat_map(|number| format!("record {number}\n").into_bytes()).collect();
    let address = broker.address.as_str();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let mut produce = ottla();
                // A machine that compiles beside the tests may take long.
                produce.args(["produce", "orders", "--timeout", "60", "--bootstrap", address]);
                say_with(produce, &records).ok();
            }
        });
        // Also when `look` panics: the scope waits for the load.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&done);
        look()
    })
}

#[test]
fn a_broker_is_seen_shard_by_shard() {
    let scratch = folder();
    let broker = Broker::start(&scratch.path().join("data"));
    let pid = broker.pid().to_string();
    let out = scratch.path().join("flame");
    let mut flame = ottla();
    flame.args(["perf", "flame", "--pid", &pid, "-s", "2", "--json", "--out"]).arg(&out);
    let Some(json) = permitted("perf flame", under_load(&broker, || say_with(flame, b""))) else { return };
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["recorded"]["samples"].as_u64().unwrap() > 0, "{json}");
    let names: Vec<&str> =
        json["graphs"].as_array().unwrap().iter().map(|graph| graph["name"].as_str().unwrap()).collect();
    assert_eq!(names[0], "all");
    assert!(names.iter().any(|name| name.starts_with("shard-")), "{names:?}");
    for name in ["all.svg", "all.folded", "index.html"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    assert!(!out.join("perf.data").exists(), "samples are not left behind");
    let folded = fs::read_to_string(out.join("all.folded")).unwrap();
    let whole = |line: &str| line.starts_with("shard-") && line.contains("ottla_reactor::executor");
    assert!(folded.lines().any(whole), "frame pointers lead up to the shard's loop: {folded}");
    same_is_no_difference(&out);
}

fn same_is_no_difference(out: &Path) {
    let all = out.join("all.folded");
    let mut diff = ottla();
    diff.args(["perf", "diff", "--json"]).args([&all, &all]).arg("--out").arg(out.join("diff.svg"));
    let json: serde_json::Value = serde_json::from_str(&say_with(diff, b"").ok()).unwrap();
    assert_eq!(json["moved"].as_array().unwrap().len(), 0, "{json}");
    assert!(out.join("diff.svg").is_file());
}

#[test]
fn waits_are_seen() {
    let scratch = folder();
    let broker = Broker::start(&scratch.path().join("data"));
    let pid = broker.pid().to_string();
    let out = scratch.path().join("offcpu");
    let mut offcpu = ottla();
    offcpu.args(["perf", "offcpu", "--pid", &pid, "-s", "1", "--out"]).arg(&out);
    let Some(text) = permitted("perf offcpu", under_load(&broker, || say_with(offcpu, b""))) else { return };
    assert!(text.contains("shard-") && text.contains("µs"), "{text}");
    assert!(out.join("index.html").is_file() && out.join("all.svg").is_file());
}

#[test]
fn rings_are_counted_with_and_without_tracepoints() {
    let scratch = folder();
    let mut broker = Broker::start(&scratch.path().join("data"));
    let pid = broker.pid().to_string();
    let metrics = broker.metrics_address();
    for target in [["--pid", &pid], ["--metrics", &metrics]] {
        let arguments = [["perf", "syscalls", "-s", "1", "--json"].as_slice(), &target].concat();
        let json = under_load(&broker, || say(&arguments)).ok();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let shards = json["shards"].as_array().unwrap();
        let enters: f64 = shards.iter().map(|shard| shard["enters_per_second"].as_f64().unwrap()).sum();
        assert!(enters > 0.0, "{json}");
        if let Some(why) = json["tracepoints"].as_str() {
            assert!(shards[0]["punted_per_second"].is_null(), "unknown is not 0: {json}");
            if target[0] == "--pid" {
                skip("tracepoints of perf syscalls", why);
            }
        }
    }
    let text = say(&["perf", "syscalls", "-s", "1", "--metrics", &metrics]).ok();
    assert!(text.contains("SUBM/ENTER") && text.contains("no tracepoints"), "{text}");
}

#[test]
fn what_cannot_be_looked_at_is_told_with_the_next_step() {
    let scratch = folder();
    let out = scratch.path().join("out");
    let mut flame = ottla();
    flame.args(["perf", "flame", "--pid", "4194304", "--out"]).arg(&out);
    let said = say_with(flame, b"").complaint(1);
    assert!(said.contains("no process 4194304") || said.contains("not installed"), "{said}");
    assert!(said.contains("next: "), "{said}");
    let wrong = file(scratch.path(), "wrong.folded", "no stacks here\n");
    let said = say(&["perf", "diff", wrong.to_str().unwrap(), wrong.to_str().unwrap()]).complaint(1);
    assert!(said.contains("wrong.folded holds no folded stacks") && said.contains("next: "), "{said}");
    let said = say(&["perf", "syscalls", "--metrics", "127.0.0.1:1", "-s", "1"]).complaint(1);
    assert!(said.contains("127.0.0.1:1") && said.contains("ottla.admin.listen"), "{said}");
    // As on a host without perf.
    let mut flame = ottla();
    flame.env("PERF", "/nonexistent/perf").args(["perf", "flame", "--pid", "1", "--out"]).arg(&out);
    let said = say_with(flame, b"").complaint(1);
    assert!(said.contains("not installed") && said.contains("next: "), "{said}");
}

/// A whole session on a broker of its own: every part is there and linked, or told as left out.
#[test]
fn a_session_is_one_page() {
    let scratch = folder();
    let out = scratch.path().join("session");
    let mut session = ottla();
    session.args(["perf", "session", "produce", "-s", "1", "--out"]).arg(&out);
    let said = say_with(session, b"");
    assert_eq!(said.status, Some(0), "{said:?}");
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    for part in ["bench.html", "bench.json", "syscalls.json"] {
        assert!(page.contains(part) && out.join(part).is_file(), "{part} in {page}");
    }
    for part in ["flame/all.svg", "offcpu/all.svg"] {
        let linked = page.contains(part) && out.join(part).is_file();
        assert!(linked || page.contains("Left out"), "{part}: {said:?}");
    }
    if page.contains("Left out") {
        skip("parts of perf session", said.err.lines().find(|line| line.contains("left out")).unwrap_or_default());
    }
}
