//! Offsets: committing, fetching, deleting, expiring; groups that come and go.

use super::*;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[test]
fn a_consumer_without_a_group_commits() {
    let mut bench = Bench::new(prompt());
    assert_eq!(bench.commit(committing(42)), ErrorCode::None);
    assert_eq!(bench.fetch(), 42);
    let group = bench.describe();
    assert_eq!((group.state, group.protocol_type.as_str(), group.error), ("Empty", "", ErrorCode::None));
    assert_eq!(bench.restarted(prompt()).fetch(), 42);
    let all = FetchRequest { group: "g".into(), topics: None, require_stable: false };
    let Reply::Fetch(Ok(topics)) = bench.ask(Request::Fetch(all)) else { panic!() };
    let expected = FetchedOffset {
        partition: 0,
        offset: Offset::new(42),
        leader_epoch: LeaderEpoch::new(4),
        metadata: "note".into(),
    };
    assert_eq!((topics[0].name.as_str(), &topics[0].partitions), ("t", &vec![expected]));
}

#[test]
fn who_may_commit() {
    let mut bench = Bench::new(prompt());
    let a = bench.stable();
    let by = |member: &str, generation| CommitRequest { member: member.into(), generation, ..committing(9) };
    assert_eq!(bench.commit(by(&a, 1)), ErrorCode::None);
    assert_eq!(bench.commit(by(&a, 2)), ErrorCode::IllegalGeneration);
    assert_eq!(bench.commit(by("ghost", 1)), ErrorCode::UnknownMemberId);
    assert_eq!(bench.commit(by("", -1)), ErrorCode::UnknownMemberId);
    let unknown = CommitRequest { group: "x".into(), ..by("ghost", 3) };
    assert_eq!(bench.commit(unknown.clone()), ErrorCode::IllegalGeneration);
    assert_eq!(bench.commit(CommitRequest { tells_unknown_group: true, ..unknown }), ErrorCode::GroupIdNotFound);
    // Between join and sync a member knows the generation, but not what it reads in it.
    bench.join(joining(&a));
    assert_eq!(bench.commit(by(&a, 2)), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_commit_keeps_the_session_alive() {
    let mut bench = Bench::new(prompt());
    let a = bench.stable();
    for _ in 0..4 {
        bench.pass(20_000);
        let by_member = CommitRequest { member: a.clone(), generation: 1, ..committing(9) };
        assert_eq!(bench.commit(by_member), ErrorCode::None);
    }
}

#[test]
fn long_notes() {
    let mut bench = Bench::new(prompt());
    let noted = |length| {
        let mut request = committing(length as i64);
        request.topics[0].partitions[0].metadata = Some("m".repeat(length));
        request
    };
    assert_eq!(bench.commit(noted(4096)), ErrorCode::None);
    assert_eq!(bench.commit(noted(4097)), ErrorCode::OffsetMetadataTooLarge);
    assert_eq!(bench.fetch(), 4096);
}

#[test]
fn readers_see_only_what_is_durable() {
    let mut bench = Bench::new(prompt());
    bench.commit(committing(1));
    bench.is_prompt = false;
    let two = bench.send(Request::Commit(committing(2)));
    let three = bench.send(Request::Commit(committing(3)));
    assert!(bench.replies.is_empty());
    assert_eq!(bench.fetch(), 1);
    let topics = Some(vec![FetchTopic { name: "t".into(), id: TopicId::ZERO, partitions: vec![0] }]);
    let stable = FetchRequest { group: "g".into(), topics, require_stable: true };
    let waiting = bench.send(Request::Fetch(stable));
    assert!(bench.take(waiting).is_none());
    let first = bench.pending.remove(0);
    bench.event(Event::Durable(first));
    assert!(bench.take(two).is_some() && bench.take(three).is_none());
    assert_eq!(bench.fetch(), 2);
    bench.flush();
    assert!(bench.take(three).is_some());
    let Some(Reply::Fetch(Ok(topics))) = bench.take(waiting) else { panic!() };
    assert_eq!(topics[0].partitions[0].offset.get(), 3);
}

#[test]
fn a_refused_commit_never_happened() {
    let mut bench = Bench::new(prompt());
    bench.refusal = Some(ErrorCode::KafkaStorageError);
    assert_eq!(bench.commit(committing(1)), ErrorCode::NotCoordinator);
    assert_eq!(bench.describe().error, ErrorCode::GroupIdNotFound);
    bench.commit(committing(2));
    bench.refusal = Some(ErrorCode::MessageTooLarge);
    assert_eq!(bench.commit(committing(3)), ErrorCode::UnknownServerError);
    assert_eq!(bench.fetch(), 2);
}

#[test]
fn an_offset_of_a_topic_made_anew_is_not_returned() {
    let mut bench = Bench::new(prompt());
    bench.commit(committing(1));
    let fetch = |id: u8| {
        let topics = vec![FetchTopic { name: "t".into(), id: TopicId::from_bytes([id; 16]), partitions: vec![0] }];
        Request::Fetch(FetchRequest { group: "g".into(), topics: Some(topics), require_stable: false })
    };
    let offset = |reply: Reply| match reply {
        Reply::Fetch(Ok(topics)) => topics[0].partitions[0].offset.get(),
        other => panic!("{other:?}"),
    };
    assert_eq!(offset(bench.ask(fetch(7))), 1);
    assert_eq!(offset(bench.ask(fetch(8))), -1);
    bench.event(Event::TopicsDeleted(vec![("t".into(), TopicId::from_bytes([8; 16]))]));
    assert_eq!(bench.fetch(), 1);
    bench.event(Event::TopicsDeleted(vec![("t".into(), TopicId::from_bytes([7; 16]))]));
    assert_eq!(bench.fetch(), -1);
    assert_eq!(bench.describe().error, ErrorCode::None, "the group stays");
    assert_eq!(bench.restarted(prompt()).fetch(), -1);
}

#[test]
fn deleting_offsets() {
    let mut bench = Bench::new(prompt());
    let delete = |topic: &str| {
        Request::DeleteOffsets(DeleteOffsetsRequest { group: "g".into(), topics: vec![(topic.into(), vec![0])] })
    };
    assert_eq!(bench.ask(delete("t")), Reply::DeleteOffsets(Err(ErrorCode::GroupIdNotFound)));
    let a = bench.stable();
    for topic in ["s", "t"] {
        let mut request = CommitRequest { member: a.clone(), generation: 1, ..committing(1) };
        request.topics[0].name = topic.into();
        assert_eq!(bench.commit(request), ErrorCode::None);
    }
    let error = |reply: Reply| match reply {
        Reply::DeleteOffsets(Ok(topics)) => topics[0].partitions[0].error,
        other => panic!("{other:?}"),
    };
    assert_eq!(error(bench.ask(delete("s"))), ErrorCode::GroupSubscribedToTopic);
    assert_eq!(error(bench.ask(delete("t"))), ErrorCode::None);
    assert_eq!(bench.fetch(), -1);
}

#[test]
fn only_groups_of_type_consumer_can_lose_offsets_while_they_have_members() {
    let mut bench = Bench::new(prompt());
    let mut request = joining("");
    request.protocol_type = "connect".into();
    bench.join(request);
    let delete = DeleteOffsetsRequest { group: "g".into(), topics: vec![("t".into(), vec![0])] };
    assert_eq!(bench.ask(Request::DeleteOffsets(delete)), Reply::DeleteOffsets(Err(ErrorCode::NonEmptyGroup)));
}

#[test]
fn deleting_groups() {
    let mut bench = Bench::new(prompt());
    let delete = || Request::Delete(vec!["g".into(), "nobody".into()]);
    let expect = |first| Reply::Delete(vec![("g".into(), first), ("nobody".into(), ErrorCode::GroupIdNotFound)]);
    let a = bench.stable();
    assert_eq!(bench.ask(delete()), expect(ErrorCode::NonEmptyGroup));
    bench.commit(CommitRequest { member: a.clone(), generation: 1, ..committing(1) });
    bench.ask(leaving(&[&a]));
    bench.refusal = Some(ErrorCode::KafkaStorageError);
    assert_eq!(
        bench.ask(Request::Delete(vec!["g".into()])),
        Reply::Delete(vec![("g".into(), ErrorCode::NotCoordinator)])
    );
    assert_eq!(bench.fetch(), 1, "a refused deletion never happened");
    assert_eq!(bench.ask(delete()), expect(ErrorCode::None));
    assert_eq!(bench.fetch(), -1);
    assert_eq!(bench.ask(delete()), expect(ErrorCode::GroupIdNotFound));
    assert!(bench.restarted(prompt()).groups.is_empty());
}

#[test]
fn listing_groups() {
    let mut bench = Bench::new(prompt());
    bench.stable();
    bench.commit(CommitRequest { group: "simple".into(), ..committing(1) });
    let mut list = |states: &[&str], types: &[&str]| {
        let own = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        match bench.ask(Request::List(ListRequest { states: own(states), types: own(types) })) {
            Reply::List(Ok(groups)) => groups.iter().map(|group| group.group.clone()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(list(&[], &[]), ["g", "simple"]);
    assert_eq!(list(&["stable"], &[]), ["g"]);
    assert_eq!(list(&["Empty"], &["Classic"]), ["simple"]);
    assert!(list(&["Nonsense"], &[]).is_empty());
    assert!(list(&[], &["consumer"]).is_empty());
}

#[test]
fn offsets_expire_a_week_after_the_group_became_empty() {
    let mut bench = Bench::new(prompt());
    let a = bench.stable();
    bench.commit(CommitRequest { member: a.clone(), generation: 1, ..committing(1) });
    bench.ask(leaving(&[&a]));
    let mut again = bench.restarted(prompt());
    for bench in [&mut bench, &mut again] {
        bench.pass(7 * DAY_MS - 1_000_000);
        assert_eq!(bench.fetch(), 1);
        bench.pass(2_000_000);
        assert_eq!(bench.fetch(), -1);
        assert_eq!(bench.describe().error, ErrorCode::GroupIdNotFound, "nothing is left of it");
        assert!(bench.restarted(prompt()).groups.is_empty());
    }
}

#[test]
fn in_a_stable_group_only_offsets_of_topics_it_does_not_read_expire() {
    let mut bench = Bench::new(prompt());
    let a = bench.stable();
    for topic in ["s", "t"] {
        let mut request = CommitRequest { member: a.clone(), generation: 1, ..committing(1) };
        request.topics[0].name = topic.into();
        bench.commit(request);
    }
    for _ in 0..8 * 24 * 180 {
        bench.pass(20_000);
        assert_eq!(bench.beat(&a, 1), ErrorCode::None);
    }
    let left: Vec<String> =
        bench.groups.summaries().flat_map(|group| group.committed()).map(|offset| offset.topic.to_owned()).collect();
    assert_eq!(left, ["s"]);
}

#[test]
fn a_commit_may_set_its_own_end() {
    let mut bench = Bench::new(prompt());
    bench.commit(CommitRequest { retention_ms: 3_600_000, ..committing(1) });
    let mut again = bench.restarted(prompt());
    for bench in [&mut bench, &mut again] {
        bench.pass(3_000_000);
        assert_eq!(bench.fetch(), 1);
        bench.pass(1_300_000);
        assert_eq!(bench.fetch(), -1);
    }
}
