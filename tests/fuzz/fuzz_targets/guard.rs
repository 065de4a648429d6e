//! Every other request: what the walk refuses is never decoded.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ottla_wire::fuzz::guard(bytes));
