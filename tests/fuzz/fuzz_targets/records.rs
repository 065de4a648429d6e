//! The records of a batch, of all codecs: what comes out is bounded, whatever goes in. The checksum is not looked at, so that the
//! fuzzer gets past it.
#![no_main]

use ottla_batch::Batch;

/// Bytes that one batch may unpack to here.
const UNPACKED_BYTES_MAX: usize = 1 << 20;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok((batch, _)) = Batch::parse(bytes) else { return };
    let Ok(mut records) = ottla_batch::records(&batch, UNPACKED_BYTES_MAX) else { return };
    let mut seen = 0;
    while let Some(Ok(record)) = records.next() {
        seen += record.bytes;
        assert!(seen <= UNPACKED_BYTES_MAX + bytes.len());
        record.headers.for_each(drop);
    }
});
