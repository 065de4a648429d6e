//! What clients say is kept within a bound.

use super::*;

fn bounded(bytes: usize) -> Bench {
    Bench::new(Settings { memory_bytes_max: bytes, ..prompt() })
}

fn large(member: &str, bytes: usize) -> JoinRequest {
    let mut request = joining(member);
    request.protocols[0].metadata = Bytes::from(vec![0; bytes]);
    request
}

#[test]
fn members_beyond_the_bound_are_told_to_come_later() {
    let mut bench = bounded(100_000);
    let mut request = large("", 40_000);
    for (group, error) in [("a", ErrorCode::None), ("b", ErrorCode::None), ("c", ErrorCode::CoordinatorNotAvailable)] {
        request.group = group.into();
        request.unique = group.into();
        assert_eq!(bench.join(request.clone()).error, error, "{group}");
    }
    // Those who are there go on, and room comes back with those who leave.
    bench.pass(400_000);
    request.group = "d".into();
    assert_eq!(bench.join(request).error, ErrorCode::None);
}

#[test]
fn saying_the_same_again_takes_nothing_more() {
    let mut bench = bounded(100_000);
    let reply = bench.join(large("", 20_000));
    for round in 0..40 {
        bench.pass(600);
        let again = bench.join(large(&reply.member, 20_000));
        assert_eq!(again.error, ErrorCode::None, "round {round}");
    }
}
