//! What storage wrote down of all logs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(ottla_storage::inspect::checkpoint(bytes)));
