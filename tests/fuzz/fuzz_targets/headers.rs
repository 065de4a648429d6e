//! Request and response headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ottla_wire::fuzz::headers(bytes));
