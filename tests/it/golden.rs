//! Data folders as earlier versions left them, opened by this one: every record, offset and commit is there (docs/format.md).
//!
//! Each lies in `tests/golden/NAME`: `data.zst`, the folder, and `records.tsv` and `commits.tsv`, what a client must find.
//! `cargo xtask golden NAME` makes one with this version.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use ottla::client::Connection;

use crate::harness::{Broker, PATIENCE, folder, say};
use crate::wait::until;

/// Versions of OffsetCommit and OffsetFetch that name topics.
const COMMIT_VERSION: i16 = 8;
const FETCH_VERSION: i16 = 8;
/// The group that commits.
const GROUP: &str = "readers";
/// Topics, and how many partitions each has.
const TOPICS: [(&str, i32); 3] = [("codecs", 1), ("segments", 1), ("spread", 3)];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// One line for each file of a data folder that is kept: what is gone with the broker is not.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != ".lock") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Packs a data folder so that it takes little space: for each file a line with its name, its length without the zeros at its
/// end and its length, then those bytes; all of it compressed.
fn put_away(data: &Path, to: &Path) {
    let mut packed = Vec::new();
    for path in files(data) {
        let bytes = fs::read(&path).unwrap();
        let kept = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let name = path.strip_prefix(data).unwrap().display();
        packed.extend_from_slice(format!("{name}\t{kept}\t{}\n", bytes.len()).as_bytes());
        packed.extend_from_slice(&bytes[..kept]);
    }
    fs::create_dir_all(to).unwrap();
    fs::write(to.join("data.zst"), zstd::bulk::compress(&packed, 19).unwrap()).unwrap();
}

/// Makes a data folder of what [`put_away`] packed.
fn restore(golden: &Path, data: &Path) {
    let packed = zstd::stream::decode_all(fs::File::open(golden.join("data.zst")).unwrap()).unwrap();
    let mut rest = &packed[..];
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        let [name, kept, length] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes = &rest[end + 1..][..kept.parse().unwrap()];
        let target = data.join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&target, bytes).unwrap();
        OpenOptions::new().write(true).open(&target).unwrap().set_len(length.parse().unwrap()).unwrap();
        rest = &rest[end + 1 + bytes.len()..];
    }
    // Folders that hold nothing are not kept.
    fs::create_dir_all(data.join("topics")).unwrap();
}

/// Everything that a consumer gets: topic, partition, offset, time, key, value.
fn records(broker: &Broker) -> String {
    let mut all = String::new();
    for (topic, partitions) in TOPICS {
        for partition in 0..partitions {
            let partition = partition.to_string();
            let format = "%t\\t%p\\t%o\\t%T\\t%k\\t%v\\n";
            let arguments =
                ["consume", topic, "-p", &partition, "--from", "beginning", "--exit", "--quiet", "--format", format];
            all += &broker.say(&arguments).ok();
        }
    }
    all
}

fn connect(broker: &Broker) -> Connection {
    Connection::open(&broker.address, PATIENCE).unwrap()
}

/// Commits an offset for each partition of `spread`.
fn commit(broker: &Broker, offset: i64) {
    let mut connection = connect(broker);
    until(|| {
        let (_, answer) = connection
            .call(COMMIT_VERSION, |_| {
                let partitions = (0..3).map(|index| {
                    OffsetCommitRequestPartition::default()
                        .with_partition_index(index)
                        .with_committed_offset(offset + i64::from(index))
                        .with_committed_metadata(Some(StrBytes::from_static_str("seen")))
                });
                let topic = OffsetCommitRequestTopic::default()
                    .with_name(TopicName(StrBytes::from_static_str("spread")))
                    .with_partitions(partitions.collect());
                OffsetCommitRequest::default()
                    .with_group_id(GroupId(StrBytes::from_static_str(GROUP)))
                    .with_generation_id_or_member_epoch(-1)
                    .with_topics(vec![topic])
            })
            .unwrap();
        let mut codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|found| found.error_code);
        codes.all(|code| code == 0).then_some(())
    })
    .expect("a coordinator");
}

/// What the group has committed: topic, partition, offset, metadata.
fn commits(broker: &Broker) -> String {
    let mut connection = connect(broker);
    until(|| {
        let (_, answer) = connection
            .call(FETCH_VERSION, |_| {
                let topic = OffsetFetchRequestTopics::default()
                    .with_name(TopicName(StrBytes::from_static_str("spread")))
                    .with_partition_indexes(vec![0, 1, 2]);
                let group = OffsetFetchRequestGroup::default()
                    .with_group_id(GroupId(StrBytes::from_static_str(GROUP)))
                    .with_topics(Some(vec![topic]));
                OffsetFetchRequest::default().with_groups(vec![group])
            })
            .unwrap();
        let group = answer.groups.first().filter(|group| group.error_code == 0)?;
        let mut lines = BTreeMap::new();
        for topic in &group.topics {
            for found in &topic.partitions {
                let metadata = found.metadata.as_deref().unwrap_or_default();
                let line =
                    format!("{}\t{}\t{}\t{metadata}\n", &*topic.name, found.partition_index, found.committed_offset);
                lines.insert(found.partition_index, line);
            }
        }
        Some(lines.into_values().collect())
    })
    .expect("a coordinator")
}

/// Writes something of everything. A second time it adds to it.
fn fill(broker: &Broker, round: i64) {
    for (topic, partitions) in TOPICS {
        let partitions = partitions.to_string();
        let mut arguments = vec!["topic", "create", topic, "-p", &partitions, "--if-not-exists"];
        if topic == "segments" {
            // Every batch begins a segment.
            arguments.extend(["--config", "segment.ms=1"]);
        }
        broker.say(&arguments).ok();
    }
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let lines: String = (0..10).map(|i| format!("{codec} {round} {i} {}\n", "again ".repeat(5))).collect();
        broker.say_with(&["produce", "codecs", "-z", codec], lines.as_bytes()).ok();
        broker.say_with(&["produce", "segments"], format!("{codec} {round}\n").as_bytes()).ok();
    }
    let lines: String = (0..30).map(|i| format!("key {i}\tvalue {round} {i}\n")).collect();
    broker.say_with(&["produce", "spread", "-k", "\t"], lines.as_bytes()).ok();
    commit(broker, 2 + round);
}

fn start(data: &Path, shards: &str) -> Broker {
    let shards = format!("ottla.shards={shards}");
    // Internal topics small, so that a golden folder is.
    let settings = ["--set", &shards, "--set", "offsets.topic.num.partitions=2", "--set", "segment.jitter.ms=0"];
    Broker::start_with(data, &settings)
}

/// Something done to a data folder.
type Change = fn(&Path);

/// The states that a golden folder can be of: how each is made.
const STATES: &[(&str, Change)] = &[
    ("clean", |data| {
        let broker = start(data, "1");
        fill(&broker, 0);
        assert!(broker.stop().success());
    }),
    ("killed", |data| {
        let broker = start(data, "2");
        fill(&broker, 0);
        broker.kill();
    }),
    ("killed-again", |data| {
        let broker = start(data, "2");
        fill(&broker, 0);
        broker.kill();
        let broker = start(data, "3");
        fill(&broker, 1);
        broker.kill();
    }),
    ("shards", |data| {
        let broker = start(data, "3");
        fill(&broker, 0);
        assert!(broker.stop().success());
        let broker = start(data, "2");
        fill(&broker, 1);
        assert!(broker.stop().success());
    }),
];

/// Makes a golden folder; its name begins with its state.
fn make(wanted: &str) {
    let state = STATES.iter().rev().find(|(state, _)| wanted == *state || wanted.starts_with(&format!("{state}_")));
    let known: Vec<_> = STATES.iter().map(|(state, _)| state).collect();
    let (_, make) = state.unwrap_or_else(|| panic!("{wanted} must be one of {known:?}, or begin with one and _"));
    let to = golden().join(wanted);
    assert!(!to.exists(), "{} is there already: a golden folder is never made again", to.display());
    let scratch = folder();
    make(scratch.path());
    put_away(scratch.path(), &to);
    let broker = start(scratch.path(), "2");
    fs::write(to.join("records.tsv"), records(&broker)).unwrap();
    fs::write(to.join("commits.tsv"), commits(&broker)).unwrap();
}

#[test]
fn golden_folders_are_opened_with_every_record_and_commit() {
    // `cargo xtask golden NAME`: the new one is opened as the others are.
    if let Ok(wanted) = std::env::var("OTTLA_GOLDEN") {
        make(&wanted);
    }
    let mut names: Vec<PathBuf> = fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.is_dir());
    names.sort();
    assert!(names.len() >= STATES.len(), "{names:?}");
    for name in names {
        println!("{}", name.display());
        let scratch = folder();
        restore(&name, scratch.path());
        open(&name, scratch.path());
    }
}

fn open(golden: &Path, data: &Path) {
    let expected = fs::read_to_string(golden.join("records.tsv")).unwrap();
    let committed = fs::read_to_string(golden.join("commits.tsv")).unwrap();
    assert!(expected.lines().count() > 80 && committed.lines().count() == 3);
    say(&["log", "verify", data.to_str().unwrap()]).ok();
    let broker = start(data, "2");
    assert!(records(&broker) == expected, "{}: {}", golden.display(), broker.log());
    assert_eq!(commits(&broker), committed, "{}", golden.display());
    // It is written to, killed, and opened once more.
    broker.say_with(&["produce", "codecs"], b"new\n").ok();
    commit(&broker, 5);
    broker.kill();
    say(&["log", "verify", data.to_str().unwrap()]).ok();
    let broker = start(data, "1");
    let now = records(&broker);
    let (old, new): (Vec<&str>, Vec<&str>) = now.lines().partition(|line| !line.ends_with("\tnew"));
    assert_eq!((old.join("\n") + "\n", new.len()), (expected, 1), "{}", golden.display());
    assert!(commits(&broker).starts_with("spread\t0\t5\tseen\n"), "{}", commits(&broker));
    assert!(broker.stop().success());
}

/// Changes bytes of a file, and the checksum at 4..8 of what follows it up to `end` if one is named.
fn patch(path: &Path, at: usize, bytes: &[u8], checksummed: Option<usize>) {
    let mut content = fs::read(path).unwrap();
    content[at..at + bytes.len()].copy_from_slice(bytes);
    if let Some(end) = checksummed {
        let end = end.min(content.len());
        let crc = crc32c::crc32c(&content[8..end]);
        content[4..8].copy_from_slice(&crc.to_le_bytes());
    }
    fs::write(path, content).unwrap();
}

#[test]
fn a_folder_of_a_newer_format_is_refused_by_all() {
    let newer: [(&str, Change); 4] = [
        ("meta.properties", |data| {
            let path = data.join("meta.properties");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replace("ottla.format.version=1", "ottla.format.version=2")).unwrap();
        }),
        ("journal/0/000.journal", |data| patch(&data.join("journal/0/000.journal"), 8, &2_u32.to_le_bytes(), Some(64))),
        ("journal/checkpoint", |data| {
            patch(&data.join("journal/checkpoint"), 8, &2_u32.to_le_bytes(), Some(usize::MAX));
        }),
        ("metadata", |data| {
            let log = files(&data.join("metadata")).remove(0);
            patch(&log, 8, &2_u32.to_le_bytes(), None);
        }),
    ];
    for (name, change) in newer {
        let scratch = folder();
        let data = scratch.path().join("data");
        restore(&golden().join("killed"), &data);
        change(&data);
        let before: Vec<_> = files(&data).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
        let data = data.to_str().unwrap();
        let said =
            say(&["start", "--data", data, "--listen", "127.0.0.1:0", "--set", "ottla.admin.listen=127.0.0.1:0"]);
        let said = said.complaint(1);
        assert!(said.contains(name) && said.contains("format") && said.contains('2'), "{name}: {said}");
        let verified = say(&["log", "verify", "--json", data]);
        assert!(verified.out.contains("\"about\":\"newer-format\""), "{name}: {verified:?}");
        let copied = scratch.path().join("copied");
        let said = say(&["log", "salvage", data, "--to", copied.to_str().unwrap()]).complaint(1);
        assert!(said.contains(name) && !copied.exists(), "{name}: {said}");
        // It says so before it touches anything.
        for (bytes, path) in before {
            assert!(fs::read(&path).unwrap() == bytes, "{name}: {} was changed", path.display());
        }
    }
}
