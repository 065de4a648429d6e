//! Joining, static members, leaving, sessions.

use super::*;

#[test]
fn a_new_member_is_first_told_its_id() {
    let mut bench = Bench::new(prompt());
    let mut request = joining("");
    request.requires_known_member = true;
    let told = bench.join(request.clone());
    assert_eq!((told.error, told.member.as_str(), told.generation), (ErrorCode::MemberIdRequired, "client-1", -1));
    request.member = told.member.clone();
    let reply = bench.join(request);
    assert_eq!((reply.error, reply.generation, reply.leader.as_str()), (ErrorCode::None, 1, "client-1"));
    assert_eq!(reply.protocol.as_deref(), Some("range"));
    assert_eq!(reply.members.len(), 1);
    // Kafka records the empty group as soon as somebody asks to join it.
    assert_eq!(bench.log.len(), 1);
}

#[test]
fn an_id_that_is_not_used_is_forgotten() {
    let mut bench = Bench::new(prompt());
    let mut request = joining("");
    request.requires_known_member = true;
    let told = bench.join(request.clone());
    bench.pass(30_001);
    request.member = told.member;
    assert_eq!(bench.join(request).error, ErrorCode::UnknownMemberId);
}

#[test]
fn bad_joins() {
    type Spoil = fn(&mut JoinRequest);
    let refusals: [(ErrorCode, Spoil); 8] = [
        (ErrorCode::InvalidGroupId, |join| join.group.clear()),
        (ErrorCode::InvalidSessionTimeout, |join| join.session_timeout_ms = 5_999),
        (ErrorCode::InvalidSessionTimeout, |join| join.session_timeout_ms = 1_800_001),
        (ErrorCode::UnknownMemberId, |join| join.member = "ghost".into()),
        (ErrorCode::InconsistentGroupProtocol, |join| join.protocols.clear()),
        (ErrorCode::InconsistentGroupProtocol, |join| join.protocol_type.clear()),
        (ErrorCode::InconsistentGroupProtocol, |join| {
            join.protocols = vec![Protocol { name: "range".into(), metadata: Bytes::from_static(&[0, 0, 0, 9]) }];
        }),
        (ErrorCode::InvalidRequest, |join| join.client_id = "x".repeat(40_000)),
    ];
    for (error, change) in refusals {
        let mut request = joining("");
        change(&mut request);
        let member = request.member.clone();
        let reply = Bench::new(prompt()).join(request);
        assert_eq!((reply.error, reply.member), (error, member));
    }
}

#[test]
fn others_must_share_type_and_a_protocol() {
    let mut bench = Bench::new(prompt());
    bench.stable();
    let mut request = joining("");
    request.protocols = vec![protocol("sticky")];
    assert_eq!(bench.join(request).error, ErrorCode::InconsistentGroupProtocol);
    let mut request = joining("");
    request.protocol_type = "connect".into();
    assert_eq!(bench.join(request).error, ErrorCode::InconsistentGroupProtocol);
}

#[test]
fn group_max_size() {
    let mut bench = Bench::new(Settings { members_max: 1, ..prompt() });
    bench.stable();
    let reply = bench.join(unique(joining(""), "2"));
    assert_eq!((reply.error, reply.member.as_str()), (ErrorCode::GroupMaxSizeReached, ""));
}

#[test]
fn a_silent_member_is_removed_after_its_session() {
    let mut bench = Bench::new(prompt());
    let member = bench.stable();
    bench.pass(29_000);
    assert_eq!(bench.beat(&member, 1), ErrorCode::None);
    bench.pass(29_000);
    assert_eq!(bench.beat(&member, 1), ErrorCode::None);
    bench.pass(30_001);
    assert_eq!(bench.beat(&member, 1), ErrorCode::UnknownMemberId);
    let group = bench.describe();
    assert_eq!((group.state, group.protocol_type.as_str()), ("Empty", "consumer"));
    // The generation moves by two across an emptied group.
    assert_eq!(bench.join(joining("")).generation, 3);
}

#[test]
fn leaving() {
    let mut bench = Bench::new(prompt());
    let member = bench.stable();
    let Reply::Leave(Ok(outcome)) = bench.ask(super::leaving(&["ghost", &member])) else { panic!() };
    let errors: Vec<ErrorCode> = outcome.iter().map(|left| left.error).collect();
    assert_eq!(errors, [ErrorCode::UnknownMemberId, ErrorCode::None]);
    assert_eq!(bench.describe().state, "Empty");
    let Reply::Leave(Ok(outcome)) = bench.ask(super::leaving(&[&member])) else { panic!() };
    assert_eq!(outcome[0].error, ErrorCode::UnknownMemberId);
}

#[test]
fn an_administrator_removes_a_static_member_by_instance() {
    let mut bench = Bench::new(prompt());
    bench.join(of_instance(joining(""), "static", "1"));
    let leaver = |instance: &str| Leaver { member: String::new(), instance: Some(instance.into()) };
    let members = vec![leaver("static"), leaver("other")];
    let Reply::Leave(Ok(outcome)) = bench.ask(Request::Leave(LeaveRequest { group: "g".into(), members })) else {
        panic!()
    };
    let errors: Vec<ErrorCode> = outcome.iter().map(|left| left.error).collect();
    assert_eq!(errors, [ErrorCode::None, ErrorCode::UnknownMemberId]);
    assert_eq!(bench.describe().state, "Empty");
}

/// A stable group of the static members "a" (leader) and "b".
fn two_statics(bench: &mut Bench) -> (String, String) {
    let a = bench.join(of_instance(joining(""), "a", "1")).member;
    let b = bench.send(Request::Join(of_instance(joining(""), "b", "1")));
    let rejoin = of_instance(joining(&a), "a", "");
    assert_eq!(bench.join(rejoin).generation, 2);
    let b = bench.joined(b).member;
    let sync_b = bench.send(Request::Sync(SyncRequest { instance: Some("b".into()), ..syncing(&b, 2, &[]) }));
    assert!(bench.take(sync_b).is_none(), "held until the leader assigns");
    let sync_a = SyncRequest { instance: Some("a".into()), ..syncing(&a, 2, &[(&a, "for a"), (&b, "for b")]) };
    assert_eq!(bench.ask(Request::Sync(sync_a)), assigned("for a"));
    assert_eq!(Some(assigned("for b")), bench.take(sync_b));
    (a, b)
}

#[test]
fn a_static_member_comes_back_unnoticed() {
    let mut bench = Bench::new(prompt());
    let (a, b) = two_statics(&mut bench);
    let reply = bench.join(of_instance(joining(""), "b", "2"));
    assert_eq!((reply.error, reply.generation, reply.member.as_str()), (ErrorCode::None, 2, "b-2"));
    assert_eq!((reply.leader.as_str(), reply.members.len()), (a.as_str(), 0));
    // It gets its old assignment, the old id is fenced, the others go on.
    assert_eq!(bench.ask(Request::Sync(syncing("b-2", 2, &[]))), assigned("for b"));
    let old = HeartbeatRequest { group: "g".into(), member: b, instance: Some("b".into()), generation: 2 };
    assert_eq!(bench.ask(Request::Heartbeat(old)), Reply::Heartbeat(ErrorCode::FencedInstanceId));
    assert_eq!(bench.beat(&a, 2), ErrorCode::None);
    // And a restart knows the new id.
    let mut restarted = bench.restarted(prompt());
    assert_eq!(restarted.beat("b-2", 2), ErrorCode::None);
    assert_eq!(restarted.ask(Request::Sync(syncing("b-2", 2, &[]))), assigned("for b"));
}

#[test]
fn a_static_leader_that_comes_back_may_skip_the_assignment() {
    let mut bench = Bench::new(prompt());
    let (a, _) = two_statics(&mut bench);
    // Before version 9 it is told that its old id leads, so that it does not assign.
    let reply = bench.join(of_instance(joining(""), "a", "2"));
    assert_eq!((reply.leader.as_str(), reply.skip_assignment, reply.members.len()), (a.as_str(), false, 0));
    let mut request = of_instance(joining(""), "a", "3");
    request.can_skip_assignment = true;
    let reply = bench.join(request);
    assert_eq!((reply.leader.as_str(), reply.skip_assignment, reply.members.len()), ("a-3", true, 2));
}

#[test]
fn a_static_member_whose_place_cannot_be_recorded_keeps_the_old_one() {
    let mut bench = Bench::new(prompt());
    let (_, b) = two_statics(&mut bench);
    bench.refusal = Some(ErrorCode::KafkaStorageError);
    assert_eq!(bench.join(of_instance(joining(""), "b", "2")).error, ErrorCode::NotCoordinator);
    assert_eq!(bench.beat("b-2", 2), ErrorCode::UnknownMemberId);
    assert_eq!(bench.beat(&b, 2), ErrorCode::None);
    assert_eq!(bench.ask(Request::Sync(syncing(&b, 2, &[]))), assigned("for b"));
}

#[test]
fn a_static_member_with_other_protocols_makes_the_group_rebalance() {
    let mut bench = Bench::new(prompt());
    let (a, _) = two_statics(&mut bench);
    let mut request = of_instance(joining(""), "b", "2");
    request.protocols = vec![protocol("roundrobin")];
    let held = bench.send(Request::Join(request));
    assert!(bench.take(held).is_none());
    assert_eq!(bench.beat(&a, 2), ErrorCode::RebalanceInProgress);
    let reply = bench.join(of_instance(joining(&a), "a", ""));
    assert_eq!((reply.generation, reply.protocol.as_deref()), (3, Some("roundrobin")));
    assert_eq!(bench.joined(held).generation, 3);
}

#[test]
fn a_wrong_instance_is_fenced_or_unknown() {
    let mut bench = Bench::new(prompt());
    let (a, _) = two_statics(&mut bench);
    let beat = |bench: &mut Bench, instance: &str| {
        let member = a.clone();
        bench.ask(Request::Heartbeat(HeartbeatRequest {
            group: "g".into(),
            member,
            instance: Some(instance.into()),
            generation: 2,
        }))
    };
    assert_eq!(beat(&mut bench, "b"), Reply::Heartbeat(ErrorCode::FencedInstanceId));
    assert_eq!(beat(&mut bench, "c"), Reply::Heartbeat(ErrorCode::UnknownMemberId));
    assert_eq!(beat(&mut bench, "a"), Reply::Heartbeat(ErrorCode::None));
    let held = bench.join(of_instance(joining(&a), "b", ""));
    assert_eq!(held.error, ErrorCode::FencedInstanceId);
}
