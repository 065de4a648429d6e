//! Which partitions a request, or its session, is about.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ottla_units::{PartitionIndex, TopicId};
use ottla_wire::Topic;
use ottla_wire::fetch::{Fetch, FetchPartition};

use super::{PARTITIONS_AT_ONCE, breathe};
use crate::sessions::Wanted;

/// Partitions from which on a map is worth its making; fewer are looked for one by one.
const MAP_FROM: usize = 16;

/// How a request names a partition.
type Name<'b> = (&'b str, TopicId, PartitionIndex);

fn name<'b>(topics: &[Topic], body: &'b [u8], topic: u32, index: PartitionIndex) -> Name<'b> {
    let topic = topics[topic as usize];
    (topic.name.text(body), topic.id, index)
}

/// Takes the partitions that a request forgets out of those of its session.
pub(super) async fn forget(wanted: &mut Vec<Wanted>, request: &Fetch, body: &[u8]) {
    if request.forgotten.is_empty() {
        return;
    }
    let mut forgotten = HashSet::with_capacity(request.forgotten.len());
    for some in request.forgotten.chunks(PARTITIONS_AT_ONCE) {
        forgotten.extend(some.iter().map(|gone| name(&request.forgotten_topics, body, gone.topic, gone.index)));
        breathe(some.len()).await;
    }
    let mut before = std::mem::take(wanted).into_iter();
    wanted.reserve(before.len());
    while before.len() > 0 {
        let some = before.len().min(PARTITIONS_AT_ONCE);
        wanted.extend(before.by_ref().take(some).filter(|wanted| !forgotten.contains(&wanted.name())));
        breathe(some).await;
    }
}

/// Takes in the partitions of a request: those that are there already are asked for anew, others go to the end. Of one that
/// the request has twice, the last counts.
pub(super) async fn merge(wanted: &mut Vec<Wanted>, request: &Fetch, body: &[u8]) {
    let mut additions = Additions { wanted, request, body, topic: None };
    if request.partitions.len() < MAP_FROM {
        additions.take_in_few().await;
    } else if additions.wanted.is_empty() && request.topics.len() == 1 && is_ascending(&request.partitions).await {
        additions.append().await;
    } else {
        additions.take_in_many().await;
    }
}

/// About what they take.
pub(super) async fn bytes_of(wanted: &[Wanted]) -> usize {
    let mut bytes = 0;
    for some in wanted.chunks(PARTITIONS_AT_ONCE) {
        bytes += some.iter().map(Wanted::bytes).sum::<usize>();
        breathe(some.len()).await;
    }
    bytes
}

async fn is_ascending(partitions: &[FetchPartition]) -> bool {
    let mut last = None;
    for some in partitions.chunks(PARTITIONS_AT_ONCE) {
        let before = last;
        last = some.last().map(|partition| partition.index);
        let ascends = some.windows(2).all(|pair| pair[0].index < pair[1].index);
        if !ascends || before.is_some_and(|before| some[0].index <= before) {
            return false;
        }
        breathe(some.len()).await;
    }
    true
}

/// What a request adds to the partitions that are fetched.
struct Additions<'a> {
    wanted: &'a mut Vec<Wanted>,
    request: &'a Fetch,
    body: &'a [u8],
    /// The topic of the last one that was added, and its name: its other partitions share that.
    topic: Option<(u32, Arc<str>)>,
}

impl<'a> Additions<'a> {
    /// How the request names its partitions.
    fn names(&self) -> impl Fn(&FetchPartition) -> Name<'a> + use<'a> {
        let (topics, body) = (&self.request.topics, self.body);
        move |asked| name(topics, body, asked.topic, asked.index)
    }

    fn push(&mut self, asked: FetchPartition) {
        let topic = self.request.topics[asked.topic as usize];
        let name = match &self.topic {
            Some((last, name)) if *last == asked.topic => Arc::clone(name),
            _ => Arc::from(topic.name.text(self.body)),
        };
        self.topic = Some((asked.topic, Arc::clone(&name)));
        self.wanted.push(Wanted { name, id: topic.id, asked, told: None });
    }

    /// Adds all: none is there yet.
    async fn append(&mut self) {
        for some in self.request.partitions.chunks(PARTITIONS_AT_ONCE) {
            some.iter().for_each(|asked| self.push(*asked));
            breathe(some.len()).await;
        }
    }

    async fn take_in_few(&mut self) {
        let (asked, name) = (&self.request.partitions, self.names());
        let mut found = [false; MAP_FROM];
        for some in self.wanted.chunks_mut(PARTITIONS_AT_ONCE) {
            for wanted in some.iter_mut() {
                for (asked, found) in asked.iter().zip(&mut found) {
                    if wanted.asked.index == asked.index && wanted.name() == name(asked) {
                        wanted.asked = *asked;
                        *found = true;
                    }
                }
            }
            breathe(some.len()).await;
        }
        let added = self.wanted.len();
        for (asked, _) in asked.iter().zip(found).filter(|(_, found)| !found) {
            match self.wanted[added..].iter_mut().find(|wanted| wanted.name() == name(asked)) {
                Some(wanted) => wanted.asked = *asked,
                None => self.push(*asked),
            }
        }
    }

    async fn take_in_many(&mut self) {
        // Where each is asked last, and whether that has been taken in.
        let (asked, name) = (&self.request.partitions, self.names());
        let mut places = HashMap::with_capacity(asked.len());
        let mut taken = vec![false; asked.len()];
        for (turn, some) in asked.chunks(PARTITIONS_AT_ONCE).enumerate() {
            let first = turn * PARTITIONS_AT_ONCE;
            places.extend((first..).zip(some).map(|(place, asked)| (name(asked), place)));
            breathe(some.len()).await;
        }
        for some in self.wanted.chunks_mut(PARTITIONS_AT_ONCE) {
            for wanted in some.iter_mut() {
                if let Some(place) = places.get(&wanted.name()).copied() {
                    wanted.asked = asked[place];
                    taken[place] = true;
                }
            }
            breathe(some.len()).await;
        }
        // Grown in between, it would be copied whole at once.
        self.wanted.reserve(taken.iter().filter(|taken| !**taken).count());
        for some in asked.chunks(PARTITIONS_AT_ONCE) {
            for partition in some {
                if let Some(place) = places.get(&name(partition)).copied()
                    && !std::mem::replace(&mut taken[place], true)
                {
                    self.push(asked[place]);
                }
            }
            breathe(some.len()).await;
        }
    }
}

#[cfg(test)]
mod tests;
