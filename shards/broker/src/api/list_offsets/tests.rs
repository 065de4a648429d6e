use ottla_wire::messages::StrBytes;
use ottla_wire::messages::list_offsets_request::ListOffsetsTopic;

use super::*;

#[test]
fn special_values_belong_to_versions() {
    for (timestamp, since) in [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
        for version in 1..=11 {
            assert_eq!(wanted(version, timestamp).is_some(), version >= since, "{timestamp} in version {version}");
        }
    }
    assert_eq!(wanted(11, -7), None);
    assert_eq!(wanted(11, i64::MIN), None);
    assert_eq!(wanted(1, 0), Some(Wanted::InLog(OffsetQuery::ByTime(Timestamp::new(0)))));
}

#[test]
fn partitions_named_twice_are_found_across_topics() {
    let topic = |partitions: &[i32]| {
        let partitions = partitions.iter().map(|index| ListOffsetsPartition::default().with_partition_index(*index));
        let name = StrBytes::from_static_str("t");
        ListOffsetsTopic::default().with_name(name.into()).with_partitions(partitions.collect())
    };
    let request = ListOffsetsRequest::default().with_topics(vec![topic(&[0, 1, 1]), topic(&[2, 0])]);
    assert_eq!(repeated(&request), HashSet::from([("t", 0), ("t", 1)]));
}

#[test]
fn epochs_are_left_out_where_there_is_no_place() {
    let found = OffsetFound { timestamp: Timestamp::new(5), offset: Offset::new(7), leader_epoch: LeaderEpoch::new(3) };
    assert_eq!(respond(3, 0, Ok(found)).leader_epoch, -1);
    assert_eq!(respond(4, 0, Ok(found)).leader_epoch, 3);
    let refused = respond(4, 0, Err(ErrorCode::UnknownLeaderEpoch));
    assert_eq!((refused.error_code, refused.offset, refused.timestamp), (75, -1, -1));
}
