//! The controller's log: frames of records.
#![no_main]

use ottla_cluster::frame::{Frames, Kind};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut frames) = Frames::open(bytes, Kind::Log, 0) {
        while let Some(Ok(_)) = frames.next() {}
    }
});
