//! Generations: joining together, syncing, timeouts, the vote.

use super::*;

#[test]
fn the_first_rebalance_waits_for_more_and_longer_while_they_come() {
    let mut bench = Bench::new(Settings::default());
    let first = bench.send(Request::Join(joining("")));
    bench.pass(2_000);
    let second = bench.send(Request::Join(unique(joining(""), "2")));
    bench.pass(2_000);
    // Three seconds are over, but someone came in them.
    assert!(bench.replies.is_empty());
    bench.pass(2_001);
    let (first, second) = (bench.joined(first), bench.joined(second));
    assert_eq!((first.generation, second.generation), (1, 1));
    assert_eq!((first.members.len(), second.members.len()), (2, 0));
    assert_eq!(second.leader, first.member);
}

#[test]
fn a_second_member_rebalances_the_group() {
    let mut bench = Bench::new(prompt());
    let a = bench.stable();
    let b = bench.send(Request::Join(unique(joining(""), "2")));
    assert!(bench.take(b).is_none());
    assert_eq!(bench.beat(&a, 1), ErrorCode::RebalanceInProgress);
    assert_eq!(
        bench.ask(Request::Sync(syncing(&a, 1, &[]))),
        Reply::Sync(SyncReply::error(ErrorCode::RebalanceInProgress))
    );
    let reply = bench.join(joining(&a));
    assert_eq!((reply.generation, reply.members.len()), (2, 2));
    let b = bench.joined(b);
    assert_eq!((b.generation, b.members.len()), (2, 0));
    assert_eq!(bench.beat(&a, 2), ErrorCode::None, "a heartbeat between join and sync is well received");
    assert_eq!(bench.beat(&a, 1), ErrorCode::IllegalGeneration);
}

#[test]
fn a_leader_that_rejoins_wants_a_new_generation_but_not_between_join_and_sync() {
    let mut bench = Bench::new(prompt());
    let a = bench.join(joining("")).member;
    assert_eq!(bench.join(joining(&a)).generation, 1);
    bench.ask(Request::Sync(syncing(&a, 1, &[(&a, "all")])));
    assert_eq!(bench.join(joining(&a)).generation, 2);
}

#[test]
fn members_that_do_not_rejoin_in_time_are_left_behind() {
    let mut bench = Bench::new(prompt());
    let a = bench.stable();
    let b = bench.send(Request::Join(unique(joining(""), "2")));
    for _ in 0..6 {
        bench.pass(10_000);
        bench.beat(&a, 1);
    }
    bench.pass(1);
    let b = bench.joined(b);
    assert_eq!((b.generation, b.members.len(), b.leader == b.member), (2, 1, true));
    assert_eq!(bench.beat(&a, 1), ErrorCode::UnknownMemberId);
}

#[test]
fn members_that_do_not_sync_in_time_are_left_behind() {
    let mut bench = Bench::new(prompt());
    let a = bench.stable();
    let b = bench.send(Request::Join(unique(joining(""), "2")));
    bench.join(joining(&a));
    let b = bench.joined(b).member;
    // The leader syncs, the other one only sends heartbeats.
    assert_eq!(bench.ask(Request::Sync(syncing(&a, 2, &[(&a, "a"), (&b, "b")]))), assigned("a"));
    for _ in 0..6 {
        bench.pass(10_001);
        bench.beat(&a, 2);
        bench.beat(&b, 2);
    }
    assert_eq!(bench.beat(&b, 2), ErrorCode::UnknownMemberId);
    assert_eq!(bench.beat(&a, 2), ErrorCode::RebalanceInProgress);
}

#[test]
fn who_waits_for_an_assignment_is_told_to_rejoin() {
    let mut bench = Bench::new(prompt());
    let a = bench.stable();
    let b = bench.send(Request::Join(unique(joining(""), "2")));
    bench.join(joining(&a));
    let b = bench.joined(b).member;
    let sync = bench.send(Request::Sync(syncing(&b, 2, &[])));
    bench.send(Request::Join(unique(joining(""), "3")));
    assert_eq!(bench.synced(sync).error, ErrorCode::RebalanceInProgress);
}

#[test]
fn nothing_is_assigned_before_it_is_durable() {
    let mut bench = Bench::new(prompt());
    let a = bench.join(joining("")).member;
    bench.is_prompt = false;
    let sync = bench.send(Request::Sync(syncing(&a, 1, &[(&a, "all")])));
    assert!(bench.take(sync).is_none());
    assert_eq!(bench.describe().state, "CompletingRebalance");
    bench.flush();
    assert_eq!(bench.synced(sync).assignment, "all");
    assert_eq!(bench.describe().state, "Stable");
}

#[test]
fn an_assignment_that_cannot_be_recorded_is_tried_again() {
    let mut bench = Bench::new(prompt());
    let a = bench.join(joining("")).member;
    bench.refusal = Some(ErrorCode::NotEnoughReplicas);
    let sync = bench.send(Request::Sync(syncing(&a, 1, &[(&a, "all")])));
    assert_eq!(bench.synced(sync).error, ErrorCode::CoordinatorNotAvailable);
    assert_eq!(bench.beat(&a, 1), ErrorCode::RebalanceInProgress);
    assert_eq!(bench.join(joining(&a)).generation, 2);
}

#[test]
fn bad_syncs() {
    let mut bench = Bench::new(prompt());
    let a = bench.join(joining("")).member;
    let wrong = [
        (ErrorCode::IllegalGeneration, syncing(&a, 2, &[])),
        (ErrorCode::UnknownMemberId, syncing("ghost", 1, &[])),
        (ErrorCode::UnknownMemberId, SyncRequest { group: "nobody".into(), ..syncing(&a, 1, &[]) }),
        (ErrorCode::InvalidGroupId, SyncRequest { group: String::new(), ..syncing(&a, 1, &[]) }),
        (ErrorCode::InconsistentGroupProtocol, SyncRequest { protocol: Some("x".into()), ..syncing(&a, 1, &[]) }),
        (ErrorCode::InconsistentGroupProtocol, SyncRequest { protocol_type: Some("x".into()), ..syncing(&a, 1, &[]) }),
    ];
    for (error, request) in wrong {
        assert_eq!(bench.ask(Request::Sync(request)), Reply::Sync(SyncReply::error(error)));
    }
}

#[test]
fn most_votes_win_and_ties_go_javas_way() {
    let mut bench = Bench::new(Settings::default());
    for (n, protocols) in [["b", "a"], ["a", "b"], ["a", "b"]].iter().enumerate() {
        let mut request = unique(joining(""), &n.to_string());
        request.protocols = protocols.iter().map(|name| protocol(name)).collect();
        bench.send(Request::Join(request));
    }
    bench.pass(60_000);
    let chosen = |bench: &Bench| match bench.replies.values().next() {
        Some(Reply::Join(reply)) => reply.protocol.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(chosen(&bench).as_deref(), Some("a"));
    // In a Java HashMap of 16, "roundrobin" (bucket 8) comes before "range" (bucket 13).
    let mut bench = Bench::new(Settings::default());
    for (n, protocols) in [["range", "roundrobin"], ["roundrobin", "range"]].iter().enumerate() {
        let mut request = unique(joining(""), &n.to_string());
        request.protocols = protocols.iter().map(|name| protocol(name)).collect();
        bench.send(Request::Join(request));
    }
    bench.pass(60_000);
    let spread = |name: &str| (java_hash(name) as u32 ^ (java_hash(name) as u32 >> 16)) & 15;
    let expected = if spread("range") < spread("roundrobin") { "range" } else { "roundrobin" };
    assert_eq!(chosen(&bench).as_deref(), Some(expected));
}

#[test]
fn a_restart_keeps_a_stable_group() {
    let mut bench = Bench::new(prompt());
    let a = bench.stable();
    let mut restarted = bench.restarted(prompt());
    assert_eq!(restarted.beat(&a, 1), ErrorCode::None);
    assert_eq!(restarted.describe(), bench.describe());
    restarted.pass(30_001);
    assert_eq!(restarted.beat(&a, 1), ErrorCode::UnknownMemberId, "sessions run again after a restart");
}

#[test]
fn unloading_answers_everyone() {
    let mut bench = Bench::new(prompt());
    bench.stable();
    let held = bench.send(Request::Join(unique(joining(""), "2")));
    bench.is_prompt = false;
    let commit = bench.send(Request::Commit(CommitRequest { group: "h".into(), ..committing(1) }));
    bench.event(Event::Unload(ErrorCode::NotCoordinator));
    assert_eq!(bench.joined(held).error, ErrorCode::NotCoordinator);
    let Some(Reply::Commit(topics)) = bench.take(commit) else { panic!() };
    assert_eq!(topics[0].partitions[0].error, ErrorCode::NotCoordinator);
    assert_eq!(bench.groups.next_deadline(), None);
}
