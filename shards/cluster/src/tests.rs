use std::collections::HashMap;

use ottla_units::{PartitionIndex, TopicId};
use proptest::prelude::*;

use crate::frame::{self, FrameError, Frames, Kind};
use crate::{ConfigTarget, Image, Record, owner};

/// Records that fit one after another, whatever the numbers say.
fn script(steps: &[(u8, u8, u8)]) -> Vec<Record> {
    let mut records = vec![Record::Cluster { id: "cluster".to_owned() }];
    let mut image = Image::default();
    for (kind, which, value) in steps {
        let id = [which % 8 + 1; 16];
        let topic = image.topic(TopicId::from_bytes(id)).cloned();
        let partitions = |topic: &crate::Topic| i32::try_from(topic.partitions.len()).unwrap();
        let record = match (kind % 7, topic) {
            (0, None) => Record::Topic { id, name: format!("topic.{}", which % 8) },
            (1 | 0, Some(topic)) => Record::Partition {
                topic: id,
                index: i32::from(*value) % (partitions(&topic) + 1),
                leader: i32::from(*value % 3) - 1,
                leader_epoch: i32::from(*value),
                replicas: vec![0, 1],
                isr: vec![i32::from(*value % 2)],
            },
            (2, Some(_)) => Record::TopicRemoved { id },
            (3, Some(_)) => config(ConfigTarget::Topic(id), *value),
            (4, _) => config(ConfigTarget::Group(format!("g{}", which % 3)), *value),
            (5, _) => Record::ProducerIds { next: image.next_producer_id().get() + i64::from(*value) },
            (6, _) => Record::Broker {
                id: i32::from(which % 3),
                listeners: vec![("PLAINTEXT".to_owned(), "host".to_owned(), u16::from(*value))],
                rack: value.is_multiple_of(2).then(|| "r".to_owned()),
                fenced: value.is_multiple_of(5),
            },
            _ => config(ConfigTarget::BrokerDefault, *value),
        };
        image.apply(&record).unwrap();
        records.push(record);
    }
    records
}

fn config(target: ConfigTarget, value: u8) -> Record {
    let key = format!("key{}", value % 4);
    Record::Config { target, key, value: (!value.is_multiple_of(3)).then(|| value.to_string()) }
}

fn image_of(records: &[Record]) -> Image {
    let mut image = Image::default();
    image.apply_all(records).unwrap();
    image
}

fn log_of(records: &[Record]) -> Vec<u8> {
    let mut bytes = frame::file_header(Kind::Log).to_vec();
    for (sequence, chunk) in (7..).zip(records.chunks(3)) {
        frame::encode(sequence, &chunk.to_vec(), &mut bytes).unwrap();
    }
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<Record>, FrameError> {
    let mut records = Vec::new();
    for frame in Frames::open(bytes, Kind::Log, 7)? {
        records.extend(frame?.records);
    }
    Ok(records)
}

fn steps() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    proptest::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_image_from_its_snapshot_is_the_image_from_the_log(steps in steps()) {
        let records = script(&steps);
        let image = image_of(&read(&log_of(&records)).unwrap());
        prop_assert_eq!(&image, &image_of(&records));
        prop_assert_eq!(&image, &image_of(&image.snapshot()));
        let partitions: usize = image.topics().map(|topic| topic.partitions.len()).sum();
        prop_assert_eq!(image.partition_count(), partitions);
        let mut bytes = Vec::new();
        frame::encode(0, &records, &mut bytes).unwrap();
        prop_assert!(bytes.len() <= frame::bytes_of(&records) + frame::FRAME_HEADER_BYTES + 16);
        for topic in image.topics() {
            prop_assert!(std::sync::Arc::ptr_eq(topic, image.topic_named(&topic.name).unwrap()));
        }
    }

    #[test]
    fn a_log_cut_anywhere_gives_what_came_before(steps in steps(), cut in any::<proptest::sample::Index>()) {
        let records = script(&steps);
        let bytes = log_of(&records);
        let length = frame::FILE_HEADER_BYTES + cut.index(bytes.len() - frame::FILE_HEADER_BYTES);
        let mut whole = Vec::new();
        for frame in Frames::open(&bytes[..length], Kind::Log, 7).unwrap() {
            match frame {
                Ok(frame) => whole.extend(frame.records),
                Err(error) => prop_assert!(matches!(error, FrameError::Damaged { at_end: true, .. }), "{error}"),
            }
        }
        prop_assert_eq!(&whole[..], &records[..whole.len()]);
    }

    #[test]
    fn a_flipped_bit_is_never_read(steps in steps(), place in any::<proptest::sample::Index>(), bit in 0..8) {
        let records = script(&steps);
        let mut bytes = log_of(&records);
        let at = frame::FILE_HEADER_BYTES + place.index(bytes.len() - frame::FILE_HEADER_BYTES);
        bytes[at] ^= 1_u8 << bit;
        let error = read(&bytes).unwrap_err();
        let last = log_of(&records[..(records.len() - 1) / 3 * 3]).len();
        match error {
            FrameError::Damaged { offset, at_end } => {
                prop_assert!(offset <= at);
                prop_assert_eq!(at_end, at >= last);
            }
            other => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn noise_is_refused_without_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = frame::file_header(Kind::Log).to_vec();
        bytes.extend(&noise);
        prop_assert!(read(&bytes).is_err() || noise.is_empty());
        prop_assert!(read(&noise).is_err());
    }
}

#[test]
fn other_files_are_told_apart() {
    let snapshot = frame::file_header(Kind::Snapshot);
    assert_eq!(read(&snapshot), Err(FrameError::WrongKind { found: 2 }));
    let mut newer = frame::file_header(Kind::Log);
    newer[8] = 9;
    assert_eq!(read(&newer), Err(FrameError::NewerFormat { found: 9 }));
}

/// The bytes on disk stay readable: these were written by format 1.
#[test]
fn format_one_is_still_read() {
    let mut bytes = Vec::new();
    let records = vec![
        Record::Topic { id: [7; 16], name: "golden-topic".to_owned() },
        Record::Partition { topic: [7; 16], index: 0, leader: 1, leader_epoch: 2, replicas: vec![1, 2], isr: vec![1] },
        Record::ProducerIds { next: 1000 },
    ];
    frame::encode(7, &records, &mut bytes).unwrap();
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, include_str!("golden/frame-1.hex").trim());
    let mut file = frame::file_header(Kind::Log).to_vec();
    file.extend(bytes);
    assert_eq!(read(&file), Ok(records));
}

#[test]
fn records_that_do_not_fit_are_refused() {
    let mut image = Image::default();
    let id = [1; 16];
    assert!(image.apply(&Record::TopicRemoved { id }).is_err());
    image.apply(&Record::Topic { id, name: "t".to_owned() }).unwrap();
    assert!(image.apply(&Record::Topic { id: [2; 16], name: "t".to_owned() }).is_err());
    let partition =
        |index| Record::Partition { topic: id, index, leader: 0, leader_epoch: 0, replicas: vec![0], isr: vec![0] };
    assert!(image.apply(&partition(1)).is_err());
    assert!(image.apply(&partition(-1)).is_err());
    assert_eq!(image.partition_count(), 0);
}

#[test]
fn partitions_spread_evenly_over_shards() {
    for shards in [1, 2, 3, 8, 64] {
        let mut count = HashMap::new();
        for topic in 0..50_u128 {
            let id = TopicId::from_bytes((topic * 0x1234_5678_9abc_def0_1234_5678_9abc).to_be_bytes());
            let first = owner(id, PartitionIndex::new(0), shards).index();
            for partition in 0..i32::try_from(shards * 2).unwrap() {
                let shard = owner(id, PartitionIndex::new(partition), shards).index();
                assert_eq!(shard, (first + partition.unsigned_abs() as usize) % shards);
                *count.entry(shard).or_insert(0) += 1;
            }
        }
        assert_eq!(count.len(), shards);
        assert!(count.values().all(|n| *n == 100));
    }
}
