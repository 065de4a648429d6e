//! Questions about partitions, each answered by the shard that owns the partition.

use std::future::Future;
use std::rc::Rc;

use ottla_units::TopicPartition;

use crate::shard::Shard;

/// Asks `ask` of each partition on the shard that owns it, all shards at the same time. The answers in the order of the
/// questions.
pub(crate) async fn ask<Q, A, F>(
    shard: &Rc<Shard>,
    questions: Vec<(TopicPartition, Q)>,
    ask: impl Fn(Rc<Shard>, TopicPartition, Q) -> F + Copy + Send + 'static,
) -> Vec<A>
where
    Q: Send + 'static,
    A: Send + 'static,
    F: Future<Output = A> + 'static,
{
    let mut answers: Vec<Option<A>> = questions.iter().map(|_| None).collect();
    let mut calls = Vec::new();
    for (owner, questions) in by_owner(shard, questions) {
        calls.push(shard.on(owner, move |there| async move {
            let mut answers = Vec::with_capacity(questions.len());
            for (place, key, question) in questions {
                answers.push((place, ask(Rc::clone(&there), key, question).await));
            }
            answers
        }));
    }
    for call in calls {
        for (place, answer) in call.await {
            answers[place] = Some(answer);
        }
    }
    // Every question went to one owner, and every owner has answered.
    answers.into_iter().flatten().collect()
}

/// Questions for one shard, each with its place among all.
type Share<Q> = Vec<(usize, TopicPartition, Q)>;

fn by_owner<Q>(shard: &Shard, questions: Vec<(TopicPartition, Q)>) -> Vec<(ottla_units::ShardId, Share<Q>)> {
    let mut shares: Vec<(ottla_units::ShardId, Share<Q>)> = Vec::new();
    for (place, (key, question)) in questions.into_iter().enumerate() {
        let owner = shard.owner(key);
        match shares.iter_mut().find(|(shard, _)| *shard == owner) {
            Some((_, share)) => share.push((place, key, question)),
            None => shares.push((owner, vec![(place, key, question)])),
        }
    }
    shares
}
