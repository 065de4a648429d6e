//! Kafka's own dump tool reads what a stopped store leaves, indexes included. Needs `OTTLA_KAFKA`, the path of a script that runs
//! Kafka's tools; without it the test says so and ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use ottla_batch::{Batch, Builder, Codec, Stamp};
use ottla_storage::{Layout, LogSettings, LogSpec, RecoverOptions, StorageError, Store, StoreConfig, recover};
use ottla_units::{LeaderEpoch, PartitionIndex, Timestamp, TopicId, TopicPartition};

fn dump(tool: &str, file: &Path, options: &[&str]) -> String {
    let output = Command::new(tool).arg("kafka-dump-log").args(options).arg("--files").arg(file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", file.display());
    for complaint in
        ["mismatch", "Mismatch", "isvalid: false", "non-consecutive", "out of order", "Exception", "invalid bytes"]
    {
        assert!(!text.contains(complaint), "{}: {text}", file.display());
    }
    text
}

#[test]
fn kafka_reads_our_segments() {
    let Ok(tool) = std::env::var("OTTLA_KAFKA") else {
        eprintln!("skipped: OTTLA_KAFKA does not name a script that runs Kafka's tools");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::below(folder.path());
    let key = TopicPartition::new(TopicId::from_bytes([5; 16]), PartitionIndex::new(0));
    let spec = LogSpec { key, topic: "dumped".into() };
    ottla_reactor::block_on(async {
        let recovery = recover(&layout, std::slice::from_ref(&spec), &RecoverOptions::default()).await.unwrap();
        let store = Store::start(&layout, StoreConfig::new(0, &recovery)).await.unwrap();
        let settings = LogSettings { segment_bytes: 30_000, ..LogSettings::default() };
        let log = store.open_log(&spec, None, settings);
        for i in 0..300_i64 {
            let codec = Codec::ALL[i as usize % 5];
            let mut builder = Builder::new().codec(codec);
            for r in 0..1 + i % 7 {
                // Times go up and down, as clients' clocks do.
                let time = Timestamp::new(1_700_000_000_000 + i * 10 - (i % 3) * 25 + r);
                builder.push(
                    time,
                    Some(b"key"),
                    Some(&vec![b'a' + (i % 26) as u8; 100 + (i * 37 % 900) as usize]),
                    &[],
                );
            }
            let bytes = builder.build();
            let (batch, _) = Batch::parse(&bytes).unwrap();
            while let Err(error) = log.append(&batch, &Stamp::at(log.end(), LeaderEpoch::new((i / 100) as i32))) {
                assert!(matches!(error, StorageError::Busy));
                store.room(bytes.len()).await;
            }
        }
        store.stop().await.unwrap();
    })
    .unwrap();
    let mut logs = 0;
    for entry in std::fs::read_dir(layout.partition("dumped-0")).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("log") => {
                assert!(dump(&tool, &path, &["--deep-iteration"]).contains("isvalid: true"));
                logs += 1;
            }
            Some("index") => {
                dump(&tool, &path, &["--index-sanity-check"]);
                dump(&tool, &path, &["--verify-index-only"]);
            }
            Some("timeindex") => {
                dump(&tool, &path, &["--index-sanity-check"]);
                dump(&tool, &path, &["--verify-index-only"]);
            }
            _ => {}
        }
    }
    assert!(logs > 1);
}
