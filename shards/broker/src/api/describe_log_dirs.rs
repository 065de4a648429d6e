//! DescribeLogDirs (key 35). Version 2 is flexible, 3 has an error for the whole answer, 4 the folder's size (KIP-827),
//! 5 whether it is cordoned.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use ottla_cluster::Image;
use ottla_reactor::file;
use ottla_units::{ErrorCode, PartitionIndex, TopicPartition};
use ottla_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_wire::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

/// The first version that says how large the folder is.
const SIZES_FROM: i16 = 4;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let image = shard.image();
    let keys: Arc<[TopicPartition]> = asked(&image, &request).into();
    let sizes = shard.on_all(move |shard| std::future::ready(sizes_here(&shard, &keys))).await;
    let data = &shard.settings().node.data;
    let space = file::space(data)
        .inspect_err(|error| tracing::warn!(folder = %data.display(), %error, "the data folder's size is not known"));
    let folder = Folder { path: &data.to_string_lossy(), space: space.ok().map(|space| (space.total, space.free)) };
    respond(&image, context.version, &folder, &sizes.concat())
}

/// The bytes of the logs that this shard has among `keys`.
fn sizes_here(shard: &Shard, keys: &[TopicPartition]) -> Vec<(TopicPartition, u64)> {
    let size = |key: &TopicPartition| Some((*key, shard.hosts.get(*key)?.partition.log().size_bytes()));
    keys.iter().filter_map(size).collect()
}

/// The data folder as it stands.
pub(crate) struct Folder<'a> {
    /// Where it is.
    pub(crate) path: &'a str,
    /// Bytes that the file system has, and how many of them are free, if it says so.
    pub(crate) space: Option<(u64, u64)>,
}

/// Which partitions a request is about: those that exist, each once.
pub(crate) fn asked(image: &Image, request: &DescribeLogDirsRequest) -> Vec<TopicPartition> {
    let Some(topics) = &request.topics else {
        let of_topic = |topic: &ottla_cluster::Topic| {
            let id = topic.id;
            (0..).take(topic.partitions.len()).map(move |index| TopicPartition::new(id, PartitionIndex::new(index)))
        };
        return image.topics().flat_map(|topic| of_topic(topic)).collect();
    };
    let mut seen = HashSet::new();
    let known = topics.iter().filter_map(|topic| Some((image.topic_named(&topic.topic.0)?.id, &topic.partitions)));
    let each = known.flat_map(|(id, partitions)| {
        partitions.iter().map(move |index| TopicPartition::new(id, PartitionIndex::new(*index)))
    });
    each.filter(|key| image.partition(*key).is_some() && seen.insert(*key)).collect()
}

/// `sizes`: bytes of each partition's log.
pub(crate) fn respond(
    image: &Image,
    version: i16,
    folder: &Folder<'_>,
    sizes: &[(TopicPartition, u64)],
) -> DescribeLogDirsResponse {
    let mut topics = BTreeMap::<&str, Vec<DescribeLogDirsPartition>>::new();
    for (key, bytes) in sizes {
        // Deleted meanwhile.
        let Some(topic) = image.topic(key.topic) else { continue };
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(key.partition.get())
            .with_partition_size(i64::try_from(*bytes).unwrap_or(i64::MAX));
        topics.entry(&topic.name).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, mut partitions)| {
        partitions.sort_unstable_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic::default().with_name(fields::topic_name(name)).with_partitions(partitions)
    });
    let result = DescribeLogDirsResult::default()
        .with_error_code(ErrorCode::None.code())
        .with_log_dir(fields::text(folder.path))
        .with_topics(topics.collect());
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let result = match folder.space.filter(|_| version >= SIZES_FROM) {
        Some((total, free)) => result.with_total_bytes(number(total)).with_usable_bytes(number(free)),
        None => result,
    };
    DescribeLogDirsResponse::default().with_results(vec![result])
}

#[cfg(test)]
mod tests;
