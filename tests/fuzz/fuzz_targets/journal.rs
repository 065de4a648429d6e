//! A journal file: header, frames, entries.
#![no_main]

use ottla_storage::inspect::{FrameFound, Journal, journal};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Journal::File(_, frames) = journal(bytes) else { return };
    for frame in frames {
        if let FrameFound::Frame { at, header, entries } = frame {
            assert!(at + header.length as usize <= bytes.len());
            entries.for_each(drop);
        }
    }
});
