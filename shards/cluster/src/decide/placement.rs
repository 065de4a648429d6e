//! Where replicas go.

use std::sync::Arc;

use ottla_units::{BrokerId, ErrorCode, LeaderEpoch};

use super::active_brokers;
use crate::command::Refusal;
use crate::image::{Image, Partition};

/// Places `count` partitions over the active brokers, beginning at broker number `first`: leaders go round, followers
/// follow them.
pub(super) fn place(image: &Image, first: usize, count: usize, factor: i16) -> Result<Vec<Partition>, Refusal> {
    let brokers = active_brokers(image);
    let wanted = usize::try_from(factor).unwrap_or(0);
    if wanted > brokers.len() || wanted == 0 {
        return Err(too_few(factor, brokers.len()));
    }
    // One list for each beginning; partitions share them.
    let lists: Vec<Arc<[BrokerId]>> =
        (0..brokers.len()).map(|at| (0..wanted).map(|i| brokers[(at + i) % brokers.len()]).collect()).collect();
    Ok((0..count).map(|index| fresh(lists[(first + index) % lists.len()].clone())).collect())
}

fn too_few(factor: i16, brokers: usize) -> Refusal {
    let reason = if brokers == 0 {
        "All brokers are currently fenced.".to_owned()
    } else {
        format!(
            "The target replication factor of {factor} cannot be reached because only {brokers} broker(s) are registered or some \
             brokers have all their log directories cordoned."
        )
    };
    let message = format!("Unable to replicate the partition {factor} time(s): {reason}");
    Refusal::new(ErrorCode::InvalidReplicationFactor, message)
}

/// A partition on brokers that the client chose.
///
/// `factor`: how many replicas the partitions before it have.
pub(super) fn assigned(
    image: &Image,
    index: i32,
    brokers: &[BrokerId],
    factor: Option<usize>,
) -> Result<Partition, Refusal> {
    let refused = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    if brokers.is_empty() {
        return refused("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut sorted = brokers.to_vec();
    sorted.sort_unstable();
    for (at, id) in sorted.iter().enumerate() {
        if image.broker(*id).is_none() {
            return refused(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
        if at > 0 && sorted[at - 1] == *id {
            return refused(format!("The manual partition assignment includes the broker {id} more than once."));
        }
    }
    if let Some(before) = factor.filter(|before| *before != brokers.len()) {
        return refused(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with \
             previous partitions, which have {before} replica(s).",
            brokers.len()
        ));
    }
    let isr: Arc<[BrokerId]> = brokers.iter().copied().filter(|id| image.is_active(*id)).collect();
    let Some(leader) = isr.first().copied() else {
        return refused(format!(
            "All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled \
             shutdown."
        ));
    };
    let replicas = if isr.len() == brokers.len() { isr.clone() } else { brokers.iter().copied().collect() };
    Ok(Partition { leader: Some(leader), leader_epoch: LeaderEpoch::ZERO, replicas, isr })
}

fn fresh(replicas: Arc<[BrokerId]>) -> Partition {
    Partition { leader: replicas.first().copied(), leader_epoch: LeaderEpoch::ZERO, isr: replicas.clone(), replicas }
}
