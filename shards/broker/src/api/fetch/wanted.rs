//! Which partitions a request, or its session, is about.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_units::{PartitionIndex, TopicId};
use ottla_wire::Topic;
use ottla_wire::fetch::Fetch;

use crate::sessions::{Session, Wanted};

/// The partitions of a request; of one that is there twice, the last counts.
pub(super) fn listed(request: &Fetch, body: &Bytes) -> Vec<Wanted> {
    let names: Vec<Arc<str>> = request.topics.iter().map(|topic| topic.name.text(body).into()).collect();
    let mut wanted: Vec<Wanted> = Vec::with_capacity(request.partitions.len());
    let ascending =
        request.partitions.windows(2).all(|pair| (pair[0].topic, pair[0].index) < (pair[1].topic, pair[1].index));
    let suspicious = !ascending || request.topics.len() > 1;
    let mut seen = HashMap::new();
    for partition in &request.partitions {
        let topic = partition.topic as usize;
        let entry =
            Wanted { name: Arc::clone(&names[topic]), id: request.topics[topic].id, asked: *partition, told: None };
        if suspicious {
            let key = (Arc::clone(&entry.name), entry.id, partition.index);
            if let Some(place) = seen.get(&key) {
                wanted[*place] = entry;
                continue;
            }
            seen.insert(key, wanted.len());
        }
        wanted.push(entry);
    }
    wanted
}

impl Session {
    /// Takes in what the request changes.
    pub(super) fn update(&mut self, request: &Fetch, body: &Bytes) {
        for forgotten in &request.forgotten {
            let topic: &Topic = &request.forgotten_topics[forgotten.topic as usize];
            self.wanted.retain(|wanted| !wanted.is(topic.name.text(body), topic.id, forgotten.index));
        }
        let mut places = Places::default();
        for partition in &request.partitions {
            let topic = request.topics[partition.topic as usize];
            let name = topic.name.text(body);
            match places.find(&self.wanted, name, topic.id, partition.index, request.partitions.len()) {
                Some(place) => self.wanted[place].asked = *partition,
                None => {
                    self.wanted.push(Wanted { name: name.into(), id: topic.id, asked: *partition, told: None });
                    places.forget();
                }
            }
        }
    }
}

/// How a request names a partition.
type Name = (Arc<str>, TopicId, PartitionIndex);

/// Finds partitions of a session: by looking along it for a few, by a map for many.
#[derive(Default)]
struct Places {
    map: Option<HashMap<Name, usize>>,
}

impl Places {
    /// Updates from which on a map is worth its making.
    const MAP_FROM: usize = 16;

    fn find(
        &mut self,
        wanted: &[Wanted],
        name: &str,
        id: TopicId,
        index: PartitionIndex,
        updates: usize,
    ) -> Option<usize> {
        if updates < Places::MAP_FROM {
            return wanted.iter().position(|wanted| wanted.is(name, id, index));
        }
        let map = self.map.get_or_insert_with(|| {
            let entries = wanted.iter().enumerate();
            entries.map(|(place, entry)| ((Arc::clone(&entry.name), entry.id, entry.asked.index), place)).collect()
        });
        map.get(&(Arc::from(name), id, index)).copied()
    }

    fn forget(&mut self) {
        self.map = None;
    }
}
