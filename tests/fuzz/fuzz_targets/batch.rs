//! Record batches one after the other: lengths, header, checksum, and what a broker checks of a client's batch.
#![no_main]

use ottla_batch::{Batch, Batches};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        assert!(batch.total_len() <= bytes.len());
    }
    if let Ok((batch, rest)) = Batch::parse(bytes) {
        assert_eq!(batch.total_len() + rest.len(), bytes.len());
        let _ = (batch.crc_matches(), batch.next_offset(), batch.last_sequence(), batch.attributes().codec());
    }
});
