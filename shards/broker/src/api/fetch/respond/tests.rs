use ottla_units::{Offset, TopicId};
use ottla_wire::fetch::FetchPartition;

use super::*;

#[test]
fn a_session_keeps_all_partitions_however_many_got_something() {
    for every in [2, 3, 7] {
        let count = 2 * PARTITIONS_AT_ONCE + 50;
        let wanted = (0..count).map(|index| Wanted {
            name: "orders".into(),
            id: TopicId::default(),
            asked: FetchPartition::from_consumer(PartitionIndex::new(index as i32), Offset::ZERO, 1),
            told: None,
        });
        let mut session = Session::new(false, wanted.collect(), 0, monotonic());
        let served: Vec<bool> = (0..count).map(|index| index % every == 0).collect();
        ottla_reactor::block_on(session.rotate(&served)).unwrap();
        let (last, first): (Vec<usize>, Vec<usize>) = (0..count).partition(|index| served[*index]);
        let found: Vec<usize> = session.wanted.iter().map(|wanted| wanted.asked.index.get() as usize).collect();
        assert_eq!(found, [first, last].concat(), "every {every}");
    }
}
