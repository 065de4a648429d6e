//! Folders against metadata: which topic each belongs to, and topics that only their folders still tell of.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use ottla_cluster::{Image, Record};
use ottla_storage::{Epochs, inspect};
use ottla_units::{PartitionIndex, TopicId};

use crate::controller::Identity;

/// A folder that no topic of the image owns.
struct Unowned {
    topic: String,
    index: i32,
    id: Option<TopicId>,
    epoch: i32,
}

/// Names the folders that no topic owns. Where the metadata are damaged, makes topics of them again instead, as far as they
/// say which they were.
pub(super) fn complete(
    image: &mut Image,
    identity: Option<&Identity>,
    folders: &[PathBuf],
    damaged: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    let mut lost: BTreeMap<(String, [u8; 16]), Vec<Unowned>> = BTreeMap::new();
    let owned: HashSet<String> = owned(image);
    for folder in folders.iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if owned.contains(&name) {
            continue;
        }
        match unowned(folder, &name) {
            Some(found) if damaged && found.id.is_some() => {
                let id = found.id.unwrap_or(TopicId::ZERO).to_bytes();
                lost.entry((found.topic.clone(), id)).or_default().push(found);
            }
            _ => notes.push(format!("{}: no topic owns this folder; it is left aside", folder.display())),
        }
    }
    if damaged {
        notes.extend(begin(image, identity));
    }
    for ((name, id), partitions) in lost {
        match add(image, identity, &name, id, &partitions) {
            true => notes.push(format!("topic {name} was found again by its folders; its settings are lost")),
            false => notes.push(format!("the folders of a second topic {name} are left aside")),
        }
    }
    notes
}

fn owned(image: &Image) -> HashSet<String> {
    let topics = image.topics();
    let folder = |name: &str, index: PartitionIndex| ottla_storage::partition_folder(name, index);
    topics.flat_map(|topic| topic.indexed().map(|(index, _)| folder(&topic.name, index)).collect::<Vec<_>>()).collect()
}

fn unowned(folder: &Path, name: &str) -> Option<Unowned> {
    let (topic, index) = name.rsplit_once('-')?;
    let index = index.parse().ok().filter(|index| *index >= 0)?;
    let owner = fs::read_to_string(folder.join("partition.metadata")).unwrap_or_default();
    let epochs = fs::read_to_string(folder.join("leader-epoch-checkpoint")).unwrap_or_default();
    let epoch = Epochs::from_file(&epochs).and_then(|epochs| epochs.latest()).map_or(0, |epoch| epoch.get());
    Some(Unowned { topic: topic.to_owned(), index, id: inspect::owner(&owner), epoch })
}

/// Gives an image that lost even its beginning the cluster's id.
fn begin(image: &mut Image, identity: Option<&Identity>) -> Option<String> {
    let id = identity.filter(|_| image.cluster_id().is_empty())?.cluster_id.clone();
    image.apply(&Record::Cluster { id }).ok()?;
    Some("the metadata are lost from their first record on; the cluster's id is from meta.properties".to_owned())
}

/// Adds a topic, or partitions that a topic of the image lacks.
fn add(image: &mut Image, identity: Option<&Identity>, name: &str, id: [u8; 16], partitions: &[Unowned]) -> bool {
    let broker = identity.map(|identity| identity.node_id).or_else(|| image.brokers().next().map(|broker| broker.id));
    let broker = broker.map_or(0, |broker| broker.get());
    let known = image.topic(TopicId::from_bytes(id)).is_some();
    if !known && image.apply(&Record::Topic { id, name: name.to_owned() }).is_err() {
        return false;
    }
    let first = image.topic(TopicId::from_bytes(id)).map_or(0, |topic| topic.indexed().count() as i32);
    let last = partitions.iter().map(|found| found.index).max().unwrap_or(-1);
    let records = (first..=last).map(|index| {
        let epoch = partitions.iter().find(|found| found.index == index).map_or(0, |found| found.epoch);
        let (replicas, isr) = (vec![broker], vec![broker]);
        Record::Partition { topic: id, index, leader: broker, leader_epoch: epoch, replicas, isr }
    });
    records.collect::<Vec<_>>().iter().all(|record| image.apply(record).is_ok())
}
