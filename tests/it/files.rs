use std::path::{Path, PathBuf};

use crate::harness::{Broker, folder, say};

/// Files below a folder whose names end so, by name.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Writes 300 records in three batches, one of them compressed, and stops the broker.
fn written(data: &Path) -> PathBuf {
    let broker = Broker::start(data);
    broker.say(&["topic", "create", "t", "-p", "1"]).ok();
    let lines: String = (0..100).map(|i| format!("value {i}\n")).collect();
    for codec in ["none", "zstd", "none"] {
        broker.say_with(&["produce", "t", "-z", codec], lines.as_bytes()).ok();
    }
    assert!(broker.stop().success());
    files(data, ".log").pop().expect("a segment")
}

#[test]
fn every_file_of_a_stopped_broker_can_be_shown() {
    let data = folder();
    let segment = written(data.path());
    let shown = say(&["log", "dump", segment.to_str().unwrap()]).ok();
    assert_eq!(shown.lines().filter(|line| line.starts_with("batch ")).count(), 3, "{shown}");
    assert!(shown.contains("base_offset=100 last_offset=199 records=100") && shown.contains("codec=zstd"), "{shown}");
    let arguments = ["log", "dump", "--records", "--json", "--from", "250", segment.to_str().unwrap()];
    let shown = say(&arguments).ok();
    let records: Vec<serde_json::Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 51, "one batch and its last 50 records: {shown}");
    assert_eq!((&records[1]["offset"], &records[1]["value"]), (&250.into(), &"value 50".into()));
    for end in [".index", ".timeindex", ".journal", "checkpoint", "leader-epoch-checkpoint", "meta.properties"] {
        let found = files(data.path(), end);
        assert!(!found.is_empty(), "{end}");
        for path in found {
            let shown = say(&["log", "dump", path.to_str().unwrap()]).ok();
            // So few records may need no entry in an index.
            assert!(!shown.is_empty() || end.ends_with("index"), "{}", path.display());
        }
    }
    let said = say(&["log", "verify", data.path().to_str().unwrap()]).ok();
    assert!(said.contains("1 segment, 3 batches, 300 records"), "{said}");
}

#[test]
fn a_flipped_bit_is_found_and_named_by_all_who_read_it() {
    let data = folder();
    let segment = written(data.path());
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let name = segment.to_str().unwrap();
    let dumped = say(&["log", "dump", name]);
    assert!(dumped.out.contains(&format!("damage file={name}")), "{dumped:?}");
    dumped.complaint(1);
    let verified = say(&["log", "verify", data.path().to_str().unwrap()]);
    assert!(verified.out.contains(&format!("{name}: at ")), "{verified:?}");
    verified.complaint(1);
    let broker = Broker::start(data.path());
    broker.say(&["consume", "t", "--from", "beginning", "--exit"]).complaint(1);
    broker.say_with(&["produce", "other"], b"still here\n").ok();
    assert_eq!(broker.say(&["consume", "other", "--from", "beginning", "--exit"]).ok(), "still here\n");
}

#[test]
fn what_cannot_be_shown_is_explained() {
    let said = say(&["log", "dump", "README.md"]).complaint(2);
    assert!(said.contains(".timeindex") && said.contains("*.journal"), "{said}");
    let said = say(&["log", "dump", "00000000000000000000.log"]).complaint(1);
    assert!(said.contains("there is no 00000000000000000000.log"), "{said}");
    let scratch = folder();
    let said = say(&["log", "verify", scratch.path().to_str().unwrap()]).complaint(1);
    assert!(said.contains("meta.properties"), "{said}");
}
