//! Fetch requests and responses, every version.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ottla_wire::fuzz::fetch(bytes));
