use bytes::BytesMut;
use ottla_units::{Offset, PartitionIndex, TopicId};
use proptest::prelude::*;

use super::*;
use crate::{TopicRef, fetch as f, produce as p};

const TOPIC: TopicRef<'static> = TopicRef { name: "topic", id: TopicId::from_bytes([3; 16]) };
const PARTITION: PartitionIndex = PartitionIndex::new(1);

/// One of each of the four messages, as bytes.
fn messages(produce_version: i16, fetch_version: i16) -> [BytesMut; 4] {
    let mut all = [(); 4].map(|()| BytesMut::new());
    let [asked, answered, wanted, found] = &mut all;
    let mut writer = p::RequestWriter::begin(asked, produce_version, Some("tx"), 1, 2, 1);
    writer.topic(TOPIC, 1);
    writer.partition(PARTITION, b"records");
    writer.finish();
    let mut writer = p::ResponseWriter::begin(answered, produce_version, 1);
    writer.topic(TOPIC, 1);
    writer.partition(&p::PartitionAnswer { error_message: Some("no"), ..p::PartitionAnswer::refused(PARTITION, 87) });
    writer.finish(0, &[]);
    let mut writer = f::RequestWriter::begin(wanted, fetch_version, &Fetch::default(), 1);
    writer.topic(TOPIC, 1);
    writer.partition(&f::FetchPartition::from_consumer(PARTITION, Offset::ZERO, 1000));
    writer.finish(&[(TOPIC, &[PARTITION])], "rack");
    let mut gaps = Vec::new();
    let mut writer = f::ResponseWriter::begin(found, fetch_version, &mut gaps, 0, 0, 0, 1);
    writer.topic(TOPIC, 1);
    writer.partition(&f::PartitionAnswer::refused(PARTITION, 1));
    writer.finish(&[]);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changed_messages_do_not_panic(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        for pick in 0..15 {
            for message in messages(3 + i16::from(pick % 11), 4 + i16::from(pick)) {
                let mut bytes = [&[pick], &message[..]].concat();
                for (at, byte) in &changes {
                    let at = 1 + at % (bytes.len() - 1);
                    bytes[at] = *byte;
                }
                bytes[0] = pick % 11;
                produce(&bytes);
                bytes[0] = pick;
                fetch(&bytes);
            }
        }
    }

    #[test]
    fn noise_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        headers(&bytes);
        produce(&bytes);
        fetch(&bytes);
        guard(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Produce and Fetch have no line in the schema table; what is written for them is decoded all the same.
    #[test]
    fn authored_requests_decode(seed in any::<u64>()) {
        for version in 3..=13 {
            let body = author::request(apis::ApiKey::Produce, version, seed);
            assert_eq!(Produce::default().decode(&body, version), Ok(()));
        }
        for version in 4..=18 {
            let body = author::request(apis::ApiKey::Fetch, version, seed);
            assert_eq!(Fetch::default().decode(&body, version), Ok(()));
        }
    }
}
