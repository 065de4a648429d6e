//! The errors in an answer, at whatever level of it they stand: what `errors_total` counts.

use ottla_wire::messages::*;

/// An answer that may carry errors.
pub(crate) trait Faults {
    /// Shows every code in it, "no error" too.
    fn each_code(&self, see: impl FnMut(i16));
}

macro_rules! faults {
    ($($response:ident: |$answer:ident| $codes:expr;)*) => {
        $(impl Faults for $response {
            fn each_code(&self, see: impl FnMut(i16)) {
                let $answer = self;
                IntoIterator::into_iter($codes).for_each(see);
            }
        })*
    };
}

faults! {
    ListOffsetsResponse: |a| a.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    MetadataResponse: |a| a.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| partition.error_code).chain([topic.error_code])
    });
    OffsetCommitResponse: |a| a.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    OffsetFetchResponse: |a| {
        let old = a.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
        let groups = a.groups.iter().flat_map(|group| {
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.map(|partition| partition.error_code).chain([group.error_code])
        });
        old.chain(groups).chain([a.error_code])
    };
    FindCoordinatorResponse: |a| a.coordinators.iter().map(|found| found.error_code).chain([a.error_code]);
    JoinGroupResponse: |a| [a.error_code];
    HeartbeatResponse: |a| [a.error_code];
    LeaveGroupResponse: |a| a.members.iter().map(|member| member.error_code).chain([a.error_code]);
    SyncGroupResponse: |a| [a.error_code];
    DescribeGroupsResponse: |a| a.groups.iter().map(|group| group.error_code);
    ListGroupsResponse: |a| [a.error_code];
    SaslHandshakeResponse: |a| [a.error_code];
    ApiVersionsResponse: |a| [a.error_code];
    CreateTopicsResponse: |a| a.topics.iter().map(|topic| topic.error_code);
    DeleteTopicsResponse: |a| a.responses.iter().map(|topic| topic.error_code);
    DeleteRecordsResponse: |a| a.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    InitProducerIdResponse: |a| [a.error_code];
    OffsetForLeaderEpochResponse: |a| {
        a.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code)
    };
    DescribeConfigsResponse: |a| a.results.iter().map(|resource| resource.error_code);
    AlterConfigsResponse: |a| a.responses.iter().map(|resource| resource.error_code);
    DescribeLogDirsResponse: |a| a.results.iter().map(|folder| folder.error_code).chain([a.error_code]);
    SaslAuthenticateResponse: |a| [a.error_code];
    CreatePartitionsResponse: |a| a.results.iter().map(|topic| topic.error_code);
    DeleteGroupsResponse: |a| a.results.iter().map(|group| group.error_code);
    IncrementalAlterConfigsResponse: |a| a.responses.iter().map(|resource| resource.error_code);
    OffsetDeleteResponse: |a| {
        let partitions = a.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|partition| partition.error_code).chain([a.error_code])
    };
    DescribeClusterResponse: |a| [a.error_code];
    ListConfigResourcesResponse: |a| [a.error_code];
    DescribeTopicPartitionsResponse: |a| a.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| partition.error_code).chain([topic.error_code])
    });
}
