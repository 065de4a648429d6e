//! What fuzzers begin with and what they found, given to the same parsers as ordinary tests: `tests/fuzz/corpus/TARGET/*`. A found
//! input is put there under a name that says what it broke.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, and its helpers with it"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::{BufMut, BytesMut};
use ottla_batch::{Builder, Codec};
use ottla_units::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_wire::fuzz::author;
use ottla_wire::messages::{self, OffsetCommitResponse, OffsetFetchResponse};
use ottla_wire::{ApiKey, apis, frame};

#[allow(unreachable_pub, reason = "the same file is a crate of its own for the fuzzer")]
#[path = "fuzz/targets.rs"]
mod targets;

use targets::TARGETS;

/// Bytes of one input in the corpus at most.
const INPUT_BYTES_MAX: u64 = 16 << 10;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

#[test]
fn nothing_that_fuzzers_know_breaks_a_parser() {
    // `cargo xtask fuzz --corpus`
    if std::env::var_os("OTTLA_FUZZ_CORPUS").is_some() {
        write_corpus();
    }
    for target in TARGETS {
        let folder = corpus().join(target.name);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut inputs = 0;
        for entry in entries {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.len() as u64 <= INPUT_BYTES_MAX, "{} is no small input", path.display());
            // A panic names no input: this line does.
            println!("{}", path.display());
            (target.run)(&bytes);
            inputs += 1;
        }
        assert!(inputs > 0, "{} has no inputs", target.name);
        (target.run)(b"");
    }
}

#[test]
fn every_target_is_built_for_the_fuzzer() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{} is not in Cargo.toml", target.name);
        let binary = fs::read_to_string(fuzz.join("fuzz_targets").join(target.name).with_extension("rs")).unwrap();
        assert!(binary.contains(&format!("ottla_fuzz::{}(", target.name)), "{}", target.name);
    }
    assert_eq!(fs::read_dir(fuzz.join("fuzz_targets")).unwrap().count(), TARGETS.len());
}

/// Writes the beginnings anew, from what a broker wrote and clients send. Found inputs stay.
fn write_corpus() {
    requests();
    answers();
    batches();
    group_records();
    files();
    let text = "# a comment\nnode.id=1\nlisteners = PLAINTEXT://:9092\nlog.dirs:/tmp/a,\\\n  /tmp/b\n! more\nmessage.max.bytes 1\\u0030\n";
    put("properties", "server", text.as_bytes());
    put("epochs", "file", b"0\n2\n0 0\n3 41\n");
}

fn put(target: &str, name: &str, bytes: &[u8]) {
    let folder = corpus().join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), &bytes[..bytes.len().min(INPUT_BYTES_MAX as usize)]).unwrap();
}

fn requests() {
    for (place, api) in apis::TABLE.iter().enumerate() {
        for version in [api.accepted_min, api.max] {
            let body = author::request(api.key, version, 3);
            let pick = (version - api.accepted_min) as u8;
            let name = format!("{}-{version}", api.name.to_lowercase());
            match api.key {
                ApiKey::Produce => put("produce", &name, &[&[pick], &body[..]].concat()),
                ApiKey::Fetch => put("fetch", &name, &[&[pick], &body[..]].concat()),
                _ => put("guard", &name, &[&[place as u8, pick], &body[..]].concat()),
            }
        }
    }
    let mut whole = BytesMut::new();
    frame::begin_request(&mut whole, ApiKey::Fetch, 12, 7, Some("client")).close(&mut whole, 0);
    put("headers", "fetch-12", &whole[4..]);
    put("headers", "length", &whole);
}

fn answers() {
    let mut body = BytesMut::new();
    body.put_u8(0);
    messages::encode(&OffsetCommitResponse::default().with_topics(vec![Default::default(); 2]), 10, &mut body).unwrap();
    put("answers", "commit", &body);
    body.clear();
    body.put_u8(1);
    messages::encode(&OffsetFetchResponse::default().with_groups(vec![Default::default(); 2]), 10, &mut body).unwrap();
    put("answers", "fetch", &body);
}

fn batches() {
    for codec in Codec::ALL {
        let mut builder =
            Builder::new().codec(codec).producer(ProducerId::new(7), ProducerEpoch::new(1), Sequence::new(3));
        for i in 0..5u8 {
            builder.push(
                Timestamp::new(1_000_000),
                Some(&[i; 3]),
                Some(&[i; 40]),
                &[(&b"name"[..], Some(&b"value"[..]))],
            );
        }
        let batch = builder.build();
        put("batch", codec.name(), &batch);
        put("produced", codec.name(), &[&[0], &batch[..]].concat());
        put("records", codec.name(), &[&[codec.bits(), 5], &batch[61..]].concat());
    }
}

fn group_records() {
    use ottla_coordinator::records::{GroupValue, MemberValue, group_record, offset_record};
    let member = MemberValue {
        member: "member-1".into(),
        instance: Some("static".into()),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        rebalance_timeout_ms: 1,
        session_timeout_ms: 2,
        subscription: vec![0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 0].into(),
        assignment: vec![0; 8].into(),
    };
    let value = GroupValue {
        protocol_type: "consumer".into(),
        generation: 3,
        protocol: Some("range".into()),
        leader: Some("member-1".into()),
        state_since: Timestamp::new(5),
        members: vec![member],
    };
    for (name, record) in
        [("group", group_record("g", Some(&value))), ("tombstone", offset_record("g", "topic", 3, None))]
    {
        let value = record.value.unwrap_or_default();
        let lengths = [record.key.len() as u8, value.len() as u8];
        put("offsets", name, &[&lengths[..], &record.key, &value].concat());
        put("offsets", &format!("{name}-key"), &record.key);
        put("offsets", &format!("{name}-value"), &value);
    }
}

/// Files of a broker that took some records and was stopped.
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let binary = env!("CARGO_BIN_EXE_ottla");
    let mut broker = Command::new(binary)
        .args([
            "start",
            "--listen",
            "127.0.0.1:0",
            "--set",
            "ottla.admin.listen=127.0.0.1:0",
            "--set",
            "ottla.shards=1",
        ])
        .args(["--set", "ottla.journal.bytes=8388608", "--data"])
        .arg(&data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(broker.stdout.take().unwrap()));
    let said = lines.find_map(|line| line.ok().filter(|line| line.contains("listening on"))).unwrap();
    let address = said.rsplit("://").next().unwrap().trim().to_owned();
    for codec in Codec::ALL {
        let mut cli = Command::new(binary)
            .args(["produce", "t", "--bootstrap", &address, "-z", codec.name()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        cli.stdin.take().unwrap().write_all(b"one\ntwo\nthree\n").unwrap();
        assert!(cli.wait().unwrap().success());
    }
    let journal = find(&data, ".journal")
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .max_by_key(|bytes| bytes.chunks(4096).take_while(|block| block[0] != 0).count());
    Command::new("kill").args(["-TERM", &broker.id().to_string()]).status().unwrap();
    assert!(broker.wait().unwrap().success());
    // The header and the first frames; the entries of the first.
    const ENTRIES_AT: usize = 4096 + ottla_storage::inspect::FRAME_HEADER_BYTES;
    let journal = &journal.unwrap()[..12 << 10];
    put("journal", "first-frames", journal);
    put("journal", "entries", &journal[ENTRIES_AT..4096 + 600]);
    let mut owner = fs::read(data.join("topics/t-0/partition.metadata")).unwrap();
    owner.resize(owner.len().next_multiple_of(4), b'\n');
    let mut parts = vec![owner];
    for (pick, end) in
        [".log", ".index", ".timeindex", "", ".snapshot", "checkpoint", "leader-epoch-checkpoint"].iter().enumerate()
    {
        let of_topic = |path: &&PathBuf| path.to_string_lossy().contains("topics") || *end == "checkpoint";
        let found = if end.is_empty() { Vec::new() } else { find(&data, end) };
        let bytes = found.iter().find(of_topic).map(|path| fs::read(path).unwrap()).unwrap_or_default();
        put("dump", &format!("{}{pick}", end.trim_start_matches('.')), &[&[pick as u8], &bytes[..]].concat());
        match *end {
            ".index" => put("index", "index", &bytes),
            ".timeindex" => put("index", "timeindex", &bytes),
            ".snapshot" => put("snapshot", "file", &bytes),
            "checkpoint" => put("checkpoint", "file", &bytes),
            _ => {}
        }
        if pick < 5 && !end.is_empty() {
            parts.push(bytes[..bytes.len().min(1000) / 4 * 4].to_vec());
        }
    }
    put("index", "name", b"00000000000000000041.timeindex");
    put("dump", "journal", &[&[7], &journal[ENTRIES_AT..4096 + 600]].concat());
    parts.push(journal[ENTRIES_AT..ENTRIES_AT + 552].to_vec());
    let cuts: Vec<u8> = parts.iter().map(|part| (part.len() / 4) as u8).collect();
    put("verify", "folder", &[&cuts[..], &parts.concat()].concat());
    for (place, path) in find(&data.join("metadata"), "").iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        put("metadata", &format!("file-{place}"), &bytes);
        put("metadata", &format!("body-{place}"), bytes.get(32..).unwrap_or_default());
    }
}

fn find(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(find(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}
