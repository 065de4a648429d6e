use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use ottla_units::Offset;
use ottla_wire::TopicRef;
use ottla_wire::fetch::RequestWriter;

use super::*;

/// What is asked of one partition: topic, partition, offset.
type Asked = (u8, i32, i64);

/// A request to a session: what is asked, what is forgotten.
type Step = (Vec<Asked>, Vec<(u8, i32)>);

/// Polls until it is done; how often that was.
fn run<T>(work: impl Future<Output = T>) -> (T, usize) {
    let mut work = pin!(work);
    for polls in 1.. {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return (done, polls);
        }
    }
    unreachable!()
}

/// A request and its body, topics by name or by id.
fn request(by_id: bool, asked: &[Asked], forgotten: &[(u8, i32)]) -> (Fetch, BytesMut) {
    let version = if by_id { 13 } else { 12 };
    let names: Vec<String> = (0..=u8::MAX).map(|topic| format!("topic-{topic}")).collect();
    let topic = |topic: u8| TopicRef { name: &names[topic as usize], id: TopicId::from_bytes([topic + 1; 16]) };
    let mut body = BytesMut::new();
    let groups: Vec<&[Asked]> = asked.chunk_by(|a, b| a.0 == b.0).collect();
    let mut writer = RequestWriter::begin(&mut body, version, &Fetch::default(), groups.len());
    for group in groups {
        writer.topic(topic(group[0].0), group.len());
        for (_, index, offset) in group {
            writer.partition(&FetchPartition::from_consumer(PartitionIndex::new(*index), Offset::new(*offset), 1));
        }
    }
    let gone: Vec<[PartitionIndex; 1]> = forgotten.iter().map(|(_, index)| [PartitionIndex::new(*index)]).collect();
    let gone: Vec<_> = forgotten.iter().zip(&gone).map(|((gone, _), index)| (topic(*gone), &index[..])).collect();
    writer.finish(&gone, "");
    let mut request = Fetch::default();
    request.decode(&body, version).unwrap();
    (request, body)
}

/// The same by the plainest rules.
fn expect(session: &mut Vec<Asked>, asked: &[Asked], forgotten: &[(u8, i32)]) {
    session.retain(|(topic, index, _)| !forgotten.contains(&(*topic, *index)));
    for asked in asked {
        match session.iter_mut().find(|known| (known.0, known.1) == (asked.0, asked.1)) {
            Some(known) => *known = *asked,
            None => session.push(*asked),
        }
    }
}

fn seen(wanted: &[Wanted], by_id: bool) -> Vec<Asked> {
    let topic = |wanted: &Wanted| match by_id {
        true => wanted.id.to_bytes()[0] - 1,
        false => wanted.name.strip_prefix("topic-").unwrap().parse().unwrap(),
    };
    let seen = |wanted: &Wanted| (topic(wanted), wanted.asked.index.get(), wanted.asked.fetch_offset.get());
    wanted.iter().map(seen).collect()
}

/// Several requests to one session, by name and by id: what it then fetches, and how often others had turns.
fn check(steps: &[Step]) -> usize {
    let mut turns = 0;
    for by_id in [false, true] {
        let (mut wanted, mut expected) = (Vec::new(), Vec::new());
        for (step, (asked, forgotten)) in steps.iter().enumerate() {
            let (request, body) = request(by_id, asked, forgotten);
            let work = async {
                forget(&mut wanted, &request, &body).await;
                merge(&mut wanted, &request, &body).await;
            };
            turns += run(work).1 - 1;
            expect(&mut expected, asked, forgotten);
            assert!(seen(&wanted, by_id) == expected, "step {step}, by id: {by_id}");
            let bytes = wanted.iter().map(Wanted::bytes).sum::<usize>();
            assert_eq!(run(bytes_of(&wanted)).0, bytes);
        }
    }
    turns
}

fn ascending(topic: u8, count: i32, offset: i64) -> Vec<Asked> {
    (0..count).map(|index| (topic, index, offset)).collect()
}

#[test]
fn a_few_partitions_take_one_turn() {
    let few = vec![(1, 2, 10), (0, 2, 20), (1, 2, 30), (1, 0, 40)];
    let turns = check(&[
        (few.clone(), vec![]),
        (vec![(1, 2, 50), (2, 2, 60), (2, 2, 61)], vec![(0, 2), (7, 7)]),
        (vec![], vec![]),
        (vec![(0, 2, 70)], vec![(0, 2), (1, 0)]),
        (ascending(0, PARTITIONS_AT_ONCE as i32 - 1, 0), vec![]),
    ]);
    assert_eq!(turns, 0);
}

#[test]
fn many_partitions_take_turns_and_come_to_the_same() {
    let count = PARTITIONS_AT_ONCE as i32 * 2 + 7;
    let mut mixed: Vec<Asked> = (0..count).map(|index| ((index % 3) as u8, index * 7919 % 300, index.into())).collect();
    mixed.sort_by_key(|(topic, ..)| *topic);
    let backwards: Vec<Asked> = ascending(0, count, 5).into_iter().rev().collect();
    for first in [ascending(0, count, 0), mixed.clone(), backwards, ascending(0, 3, 0), vec![]] {
        let forgotten: Vec<(u8, i32)> = (0..count).map(|index| (0, index * 2)).collect();
        let turns = check(&[
            (first.clone(), vec![]),
            (mixed.clone(), vec![]),
            (vec![(0, 1, 9), (0, 2, 9), (3, 0, 9)], vec![]),
            (ascending(3, count, 8), forgotten),
            (vec![], ascending(3, count, 0).iter().map(|(topic, index, _)| (*topic, *index)).collect()),
        ]);
        assert!(turns >= 20, "{turns} turns");
    }
}

#[test]
fn order_is_seen_across_parts() {
    let edge = PARTITIONS_AT_ONCE;
    let mut asked: Vec<FetchPartition> = (0..2 * edge as i32)
        .map(|index| FetchPartition::from_consumer(PartitionIndex::new(index), Offset::ZERO, 1))
        .collect();
    assert!(run(is_ascending(&asked)).0);
    asked[edge].index = asked[edge - 1].index;
    assert!(!run(is_ascending(&asked)).0);
}
