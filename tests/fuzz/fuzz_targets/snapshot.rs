//! A producers' snapshot, Kafka's or ours: what is read can be written and read again.
#![no_main]

use ottla_partition::ProducerTable;
use ottla_units::Timestamp;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(table) = ProducerTable::decode(bytes, Timestamp::new(0)) {
        let again = ProducerTable::decode(&table.encode(), Timestamp::new(0)).expect("what was encoded decodes");
        assert_eq!(again.len(), table.len());
    }
});
