use std::collections::BTreeSet;

use crate::records::Reader;

/// The topics in a ConsumerProtocolSubscription, the metadata of members of type `consumer`. Version 0 is a prefix of
/// every version, so only it is read (`ClassicGroup.computeSubscribedTopics`). `None`: not such bytes.
pub fn subscribed_topics(metadata: &[u8]) -> Option<BTreeSet<String>> {
    let mut reader = Reader::new(metadata);
    let version = reader.i16().ok()?;
    if version < 0 {
        return None;
    }
    let count = reader.i32().ok()?;
    let mut topics = BTreeSet::new();
    for _ in 0..count.max(0) {
        topics.insert(reader.string().ok()?);
    }
    (count >= 0).then_some(topics)
}
