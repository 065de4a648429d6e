//! Entries of `.index` and `.timeindex`: what is read is written back as it was.
#![no_main]

use ottla_storage::{INDEX_ENTRY_BYTES, IndexEntry, SegmentFile, TIME_ENTRY_BYTES, TimeEntry};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for entry in bytes.as_chunks::<INDEX_ENTRY_BYTES>().0 {
        assert_eq!(IndexEntry::from_bytes(entry).to_bytes(), *entry);
    }
    for entry in bytes.as_chunks::<TIME_ENTRY_BYTES>().0 {
        assert_eq!(TimeEntry::from_bytes(entry).to_bytes(), *entry);
    }
    if let Some((kind, base)) = std::str::from_utf8(bytes).ok().and_then(SegmentFile::parse) {
        assert_eq!(kind.name(base).as_bytes(), bytes);
    }
});
