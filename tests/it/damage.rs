//! Data folders damaged in every way: what `ottla log verify` says of them, what `ottla log salvage` copies, and that a broker
//! serves exactly that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::harness::{Broker, folder, say};

/// Batches of topic `t`, records in each.
const BATCHES: usize = 16;
const RECORDS: usize = 10;

/// Runs a broker that writes: topic `t` with small segments, and `u` with three partitions. Killed or stopped.
fn written(data: &Path, killed: bool) {
    let broker = Broker::start_with(data, &["--set", "ottla.shards=2"]);
    broker.say(&["topic", "create", "t", "-p", "1", "--config", "segment.bytes=1048576"]).ok();
    broker.say(&["topic", "create", "u", "-p", "3"]).ok();
    let codecs = ["none", "gzip", "none", "snappy", "lz4", "zstd"];
    for batch in 0..BATCHES {
        broker.say_with(&["produce", "t", "-z", codecs[batch % codecs.len()]], lines(batch).as_bytes()).ok();
    }
    let many: String = (0..60).map(|i| format!("{i}\tvalue {i}\n")).collect();
    broker.say_with(&["produce", "u", "-k", "\t"], many.as_bytes()).ok();
    if killed { broker.kill() } else { assert!(broker.stop().success()) }
}

/// The lines of one batch of `t`: about 250 KB that compress badly.
fn lines(batch: usize) -> String {
    let noise = |seed: usize| -> String {
        let mut state = seed as u64 + 1;
        let mut letter = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + (state % 90) as u8)
        };
        (0..25_000).map(|_| letter()).collect()
    };
    (0..RECORDS).map(|i| format!("{}\n", noise(batch * RECORDS + i))).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below a folder with its content.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn json(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

/// What verify finds: what each finding is about.
fn findings(data: &Path) -> Vec<String> {
    let said = say(&["log", "verify", "--json", data.to_str().unwrap()]);
    let rows = json(&said.out);
    let found: Vec<String> = rows
        .iter()
        .filter(|row| row["kind"] == "finding")
        .map(|row| row["about"].as_str().unwrap().to_owned())
        .collect();
    let sound = rows.last().unwrap()["sound"].as_bool().unwrap();
    assert_eq!((said.status, sound), (Some(i32::from(!found.is_empty())), found.is_empty()), "{said:?}");
    found
}

/// What salvage left out: partition, from, to.
fn salvage(data: &Path, to: &Path) -> Vec<(String, i64, i64)> {
    let said = say(&["log", "salvage", "--json", data.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    let rows = json(&said.out);
    assert!(!rows.is_empty(), "{said:?}");
    let left = rows.iter().filter(|row| row["kind"] == "left-out");
    let left: Vec<_> = left
        .map(|row| {
            assert!(!row["why"].as_str().unwrap().is_empty(), "{row}");
            (row["partition"].as_str().unwrap().to_owned(), row["from"].as_i64().unwrap(), row["to"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(said.status, Some(i32::from(!left.is_empty())), "{said:?}");
    left
}

/// Offset and value of everything in a partition, as a consumer gets it.
fn consumed(broker: &Broker, topic: &str, partition: &str) -> BTreeMap<i64, String> {
    let arguments =
        ["consume", topic, "-p", partition, "--from", "beginning", "--exit", "--quiet", "--format", "%o %v\\n"];
    let said = broker.say(&arguments);
    // What it printed is long.
    assert_eq!(said.status, Some(0), "{topic} {partition}: {}\n{}", said.err, broker.log());
    said.out
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(offset, value)| (offset.parse().unwrap(), value.to_owned()))
        .collect()
}

/// Everything in the folders `t` and `u`, by folder name.
fn everything(broker: &Broker) -> BTreeMap<String, BTreeMap<i64, String>> {
    let partitions = [("t", "0"), ("u", "0"), ("u", "1"), ("u", "2")];
    partitions.map(|(topic, index)| (format!("{topic}-{index}"), consumed(broker, topic, index))).into()
}

/// Offsets: partition, from, to.
type Range = (String, i64, i64);

/// A way to damage a folder.
struct Case {
    name: &'static str,
    /// Does it; gives what salvage must leave out.
    damage: fn(&Path) -> Vec<Range>,
    /// What verify must name.
    about: &'static [&'static str],
}

/// The segments of a log, in order.
fn segments(data: &Path, partition: &str) -> Vec<PathBuf> {
    let names = content(&data.join("topics").join(partition));
    names.into_keys().filter(|path| path.extension().is_some_and(|end| end == "log")).collect()
}

/// A segment of `t`: the first, the second …
fn segment(data: &Path, index: usize, end: &str) -> PathBuf {
    segments(data, "t-0")[index].with_extension(end)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// The batches of a segment: where each begins, its first offset, and the offset behind its last.
fn batches(path: &Path) -> Vec<(usize, i64, i64)> {
    let bytes = fs::read(path).unwrap();
    let (mut at, mut found) = (0, Vec::new());
    while at + 61 <= bytes.len() && bytes[at + 16] == 2 {
        let base = i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        let delta = i32::from_be_bytes(bytes[at + 23..at + 27].try_into().unwrap());
        found.push((at, base, base + i64::from(delta) + 1));
        at += 12 + i32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    found
}

/// The offsets that a segment has.
fn range(path: &Path) -> Range {
    let all = batches(path);
    let partition = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    (partition, all[0].1, all.last().unwrap().2)
}

/// Flips a bit so many bytes behind the beginning of a batch in the first segment of `t`.
fn flip_in_batch(data: &Path, batch: usize, at: usize) -> Vec<Range> {
    let path = segment(data, 0, "log");
    let (begins, from, to) = batches(&path)[batch];
    flip(&path, begins + at);
    vec![("t-0".to_owned(), from, to)]
}

/// Gives two files each other's content.
fn swap(one: &Path, other: &Path) {
    let bytes = (fs::read(one).unwrap(), fs::read(other).unwrap());
    fs::write(one, bytes.1).unwrap();
    fs::write(other, bytes.0).unwrap();
}

/// Cuts a file to its first `len` bytes.
fn cut(path: &Path, len: usize) {
    fs::write(path, &fs::read(path).unwrap()[..len]).unwrap();
}

/// The first file in a folder whose name ends so.
fn first(folder: &Path, end: &str) -> PathBuf {
    let names = content(folder);
    names.into_keys().find(|path| path.to_string_lossy().ends_with(end)).expect("there is one")
}

/// A clean stop, and a start after it: the segments are the only place that has the records.
const CASES: &[Case] = &[
    Case { name: "nothing", damage: |_| vec![], about: &[] },
    Case { name: "a bit in a record", damage: |data| flip_in_batch(data, 1, 300), about: &["batch"] },
    Case { name: "a bit in a length", damage: |data| flip_in_batch(data, 1, 10), about: &["batch"] },
    Case { name: "a length beyond the file's end", damage: |data| flip_in_batch(data, 0, 8), about: &["batch"] },
    Case { name: "a bit in the magic byte", damage: |data| flip_in_batch(data, 1, 16), about: &["batch"] },
    Case {
        name: "a base offset, which no checksum covers",
        damage: |data| flip_in_batch(data, 1, 6),
        about: &["offsets"],
    },
    Case { name: "the first base offset", damage: |data| flip_in_batch(data, 0, 7), about: &["offsets"] },
    Case {
        name: "a sector of zeros",
        damage: |data| {
            let path = segment(data, 0, "log");
            let (begins, from, to) = batches(&path)[1];
            let mut bytes = fs::read(&path).unwrap();
            bytes[begins..begins + 512].fill(0);
            fs::write(&path, bytes).unwrap();
            vec![("t-0".to_owned(), from, to)]
        },
        about: &["batch"],
    },
    Case {
        name: "a finished segment cut short within its last batch",
        damage: |data| {
            let path = segment(data, 0, "log");
            let (begins, from, to) = *batches(&path).last().unwrap();
            cut(&path, begins + 100);
            vec![("t-0".to_owned(), from, to)]
        },
        about: &["batch", "segment"],
    },
    Case {
        name: "the last segment cut short behind a batch",
        damage: |data| {
            let path = segments(data, "t-0").pop().unwrap();
            let (begins, from, to) = *batches(&path).last().unwrap();
            cut(&path, begins);
            vec![("t-0".to_owned(), from, to)]
        },
        about: &["segment", "offsets"],
    },
    Case {
        name: "a segment removed",
        damage: |data| {
            let path = segment(data, 1, "log");
            let lost = range(&path);
            fs::remove_file(path).unwrap();
            vec![lost]
        },
        about: &["segment", "offsets"],
    },
    Case {
        name: "a partition's folder removed",
        damage: |data| {
            let lost = range(&segments(data, "u-1")[0]);
            fs::remove_dir_all(data.join("topics/u-1")).unwrap();
            vec![lost]
        },
        about: &["segment"],
    },
    Case {
        name: "two segments of a log with each other's names",
        damage: |data| {
            swap(&segment(data, 0, "log"), &segment(data, 1, "log"));
            vec![]
        },
        about: &["segment"],
    },
    Case {
        name: "segments of two topics swapped",
        damage: |data| {
            let paths = [segment(data, 0, "log"), segments(data, "u-0").remove(0)];
            let lost = paths.each_ref().map(|path| range(path));
            swap(&paths[0], &paths[1]);
            lost.into()
        },
        about: &["segment"],
    },
    Case {
        name: "a bit in an index",
        damage: |data| {
            flip(&segment(data, 0, "index"), 5);
            vec![]
        },
        about: &["index"],
    },
    Case {
        name: "a bit in a time index",
        damage: |data| {
            flip(&segment(data, 0, "timeindex"), 6);
            vec![]
        },
        about: &["time-index"],
    },
    Case {
        name: "an index cut short",
        damage: |data| {
            cut(&segment(data, 0, "index"), 4);
            vec![]
        },
        about: &["index"],
    },
    Case {
        name: "indexes swapped",
        damage: |data| {
            swap(&segment(data, 0, "index"), &segment(data, 0, "timeindex"));
            vec![]
        },
        about: &["index", "time-index"],
    },
    Case {
        name: "an index removed",
        damage: |data| {
            fs::remove_file(segment(data, 1, "index")).unwrap();
            vec![]
        },
        about: &["index"],
    },
    Case {
        name: "a bit in a producers' state",
        damage: |data| {
            flip(&first(&data.join("topics/t-0"), ".snapshot"), 8);
            vec![]
        },
        about: &["snapshot"],
    },
    Case {
        name: "a leader epoch checkpoint that is none",
        damage: |data| {
            fs::write(data.join("topics/t-0/leader-epoch-checkpoint"), "0\n2\n0 0\n").unwrap();
            vec![]
        },
        about: &["epochs"],
    },
    Case {
        name: "a leader epoch checkpoint that a power cut took: the first batch tells as much",
        damage: |data| {
            fs::remove_file(data.join("topics/t-0/leader-epoch-checkpoint")).unwrap();
            vec![]
        },
        about: &[],
    },
    Case {
        name: "a leader epoch checkpoint that a power cut left empty",
        damage: |data| {
            fs::write(data.join("topics/t-0/leader-epoch-checkpoint"), [0; 10]).unwrap();
            vec![]
        },
        about: &[],
    },
    Case {
        name: "a folder that names another topic",
        damage: |data| {
            let text = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ";
            fs::write(data.join("topics/t-0/partition.metadata"), text).unwrap();
            vec![]
        },
        about: &["owner"],
    },
    Case {
        name: "a bit in the whole checkpoint",
        damage: |data| {
            flip(&data.join("journal/checkpoint"), 20);
            vec![]
        },
        about: &["checkpoint"],
    },
    Case {
        name: "bits in the shards' checkpoints",
        damage: |data| {
            flip(&data.join("journal/0/checkpoint"), 20);
            flip(&data.join("journal/1/checkpoint"), 20);
            vec![]
        },
        about: &["checkpoint"],
    },
    Case {
        name: "a bit in a journal's header",
        damage: |data| {
            flip(&data.join("journal/0/000.journal"), 20);
            vec![]
        },
        about: &["journal"],
    },
    Case {
        name: "a bit in the metadata",
        damage: |data| {
            flip(&first(&data.join("metadata"), ".log"), 40);
            vec![]
        },
        about: &["metadata"],
    },
    Case {
        name: "the metadata removed",
        damage: |data| {
            fs::remove_dir_all(data.join("metadata")).unwrap();
            vec![]
        },
        about: &["metadata"],
    },
    Case {
        name: "meta.properties without a cluster",
        damage: |data| {
            fs::write(data.join("meta.properties"), "version=1\nnode.id=0\nottla.format.version=1\n").unwrap();
            vec![]
        },
        about: &["identity"],
    },
    Case {
        name: "meta.properties removed",
        damage: |data| {
            fs::remove_file(data.join("meta.properties")).unwrap();
            vec![]
        },
        about: &["identity"],
    },
];

#[test]
fn every_damage_is_named_and_all_else_is_copied_and_served() {
    let sound = folder();
    written(sound.path(), false);
    // Started again, the journals are others: only the segments have the records.
    let broker = Broker::start_with(sound.path(), &["--set", "ottla.shards=2"]);
    let all = everything(&broker);
    assert_eq!(all["t-0"].len(), BATCHES * RECORDS);
    assert!(broker.stop().success());
    assert!(segments(sound.path(), "t-0").len() >= 3, "{:?}", segments(sound.path(), "t-0"));
    // A few at once: most of the time is spent in other processes.
    let (next, folder, all) = (AtomicUsize::new(0), sound.path(), &all);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = CASES.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(case, folder, all);
                }
            });
        }
    });
}

fn check(case: &Case, sound: &Path, all: &BTreeMap<String, BTreeMap<i64, String>>) {
    let name = case.name;
    let scratch = folder();
    let (data, copied) = (scratch.path().join("data"), scratch.path().join("copied"));
    copy(sound, &data);
    let expected = (case.damage)(&data);
    let before = content(&data);
    let found = findings(&data);
    assert_eq!(found.is_empty(), case.about.is_empty(), "{name}: {found:?}");
    for about in case.about {
        assert!(found.iter().any(|found| found == about), "{name}: {about} in {found:?}");
    }
    let left = salvage(&data, &copied);
    assert_eq!(left, expected, "{name}");
    assert!(content(&data) == before, "{name}: something was written");
    assert_eq!(findings(&copied), Vec::<String>::new(), "{name}: the copy");
    let broker = Broker::start(&copied);
    for (partition, records) in everything(&broker) {
        let lost = |offset: &i64| left.iter().any(|(of, from, to)| *of == partition && (from..to).contains(&offset));
        let mut kept = all[&partition].clone();
        kept.retain(|offset, _| !lost(offset));
        assert!(records == kept, "{name}: {partition} has {:?}, not {:?}", records.keys(), kept.keys());
    }
    // It goes on behind everything that there was.
    broker.say_with(&["produce", "t"], b"new\n").ok();
    let t = consumed(&broker, "t", "0");
    assert_eq!(t.last_key_value(), Some((&((BATCHES * RECORDS) as i64), &"new".to_owned())), "{name}");
    assert!(broker.stop().success());
}

/// Where each frame of a journal file begins.
fn frames(journal: &Path) -> Vec<usize> {
    let bytes = fs::read(journal).unwrap();
    (0..bytes.len()).step_by(4096).filter(|at| bytes[*at..].starts_with(b"OTJF")).collect()
}

#[test]
fn a_damaged_batch_is_told_of_once() {
    let scratch = folder();
    let data = scratch.path().join("data");
    written(&data, false);
    flip_in_batch(&data, 0, 100);
    assert_eq!(findings(&data), ["batch"]);
    let said = say(&["log", "verify", data.to_str().unwrap()]).out;
    assert!(said.lines().any(|line| line.starts_with("checked ") && line.contains(" MiB, ")), "{said}");
}

#[test]
fn what_only_the_journal_has_is_proved_and_copied() {
    let scratch = folder();
    let (data, copied) = (scratch.path().join("data"), scratch.path().join("copied"));
    written(&data, true);
    let said = say(&["log", "verify", "--json", data.to_str().unwrap()]).ok();
    let summary = json(&said).pop().unwrap();
    assert!(summary["journal_only_records"].as_i64().unwrap() >= 60, "{summary}");
    assert_eq!(salvage(&data, &copied), []);
    assert_eq!(findings(&copied), Vec::<String>::new());
    let broker = Broker::start(&data);
    let all = everything(&broker);
    broker.kill();
    assert_eq!(all["t-0"].len() + all["u-0"].len() + all["u-1"].len() + all["u-2"].len(), BATCHES * RECORDS + 60);
    assert!(everything(&Broker::start(&copied)) == all);
}

#[test]
fn a_journal_with_a_bad_frame_costs_what_was_in_it() {
    let scratch = folder();
    let (sound, data, copied) = ("sound", "data", "copied");
    let [sound, data, copied] = [sound, data, copied].map(|name| scratch.path().join(name));
    let broker = Broker::start_with(&sound, &["--set", "ottla.shards=1"]);
    broker.say(&["topic", "create", "t", "-p", "1"]).ok();
    broker.say(&["topic", "create", "u", "-p", "3"]).ok();
    for i in 0..20 {
        broker.say_with(&["produce", "t"], format!("{i}\n").as_bytes()).ok();
    }
    broker.kill();
    let journal = sound.join("journal/0/000.journal");
    let at = frames(&journal);
    assert!(at.len() >= 20, "{at:?}");
    for (frame, place) in [(at.len() / 2, 4), (5, 60), (at.len() - 2, 100)] {
        copy(&sound, &data);
        flip(&data.join("journal/0/000.journal"), at[frame] + place);
        let found = findings(&data);
        assert!(found.iter().any(|found| found == "journal"), "frame {frame}: {found:?}");
        let left = salvage(&data, &copied);
        let lost: i64 = left.iter().map(|(_, from, to)| to - from).sum();
        assert_eq!(findings(&copied), Vec::<String>::new());
        let broker = Broker::start(&copied);
        let kept = consumed(&broker, "t", "0");
        let expected: BTreeMap<i64, String> = (0..20)
            .filter(|offset| !left.iter().any(|(_, from, to)| (*from..*to).contains(offset)))
            .map(|offset| (offset, offset.to_string()))
            .collect();
        assert!(kept == expected && lost <= 1, "frame {frame}: {left:?}, {kept:?}");
        drop(broker);
        for folder in [&data, &copied] {
            fs::remove_dir_all(folder).unwrap();
        }
    }
    // Without the file, nobody can tell that there ever was more than the segments have; with a later file of it, one can.
    copy(&sound, &data);
    fs::remove_file(data.join("journal/0/000.journal")).unwrap();
    assert_eq!(findings(&data), Vec::<String>::new());
}

#[test]
fn both_refuse_where_they_would_do_harm() {
    let scratch = folder();
    let data = scratch.path().join("data");
    let broker = Broker::start(&data);
    let folder = data.to_str().unwrap();
    let to = scratch.path().join("to");
    for arguments in [vec!["log", "verify", folder], vec!["log", "salvage", folder, "--to", to.to_str().unwrap()]] {
        let said = say(&arguments).complaint(1);
        assert!(said.contains(&format!("in use by process {}", broker.pid())), "{said}");
    }
    assert!(!to.exists());
    assert!(broker.stop().success());
    fs::create_dir(&to).unwrap();
    fs::write(to.join("mine"), "").unwrap();
    let said = say(&["log", "salvage", folder, "--to", to.to_str().unwrap()]).complaint(1);
    assert!(said.contains("is not empty"), "{said}");
    let within = data.join("copy");
    let said = say(&["log", "salvage", folder, "--to", within.to_str().unwrap()]).complaint(1);
    assert!(said.contains("lies within") && !within.exists(), "{said}");
    let said = say(&["log", "salvage", "/nowhere", "--to", to.to_str().unwrap()]).complaint(1);
    assert!(said.contains("no data folder"), "{said}");
}
