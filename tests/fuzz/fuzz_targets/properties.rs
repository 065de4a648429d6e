//! A file in Kafka's server.properties format.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(ottla::config::parse(bytes)));
