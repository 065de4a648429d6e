//! Hostile bytes never make the decoders reserve much more memory than the bytes themselves take.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{BufMut, Bytes, BytesMut};
use ottla_wire::{apis, fuzz, messages};

thread_local! {
    /// The largest block that this thread asked for.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

struct Watching;

// SAFETY: hands everything to the system's allocator and only looks at the sizes.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// The largest block reserved while `f` runs, in bytes.
fn largest_block(f: impl FnOnce()) -> usize {
    LARGEST.with(|largest| largest.set(0));
    f();
    LARGEST.with(Cell::get)
}

/// Every API and version, with bodies that are one huge count after some bytes of the kinds that lead deepest into a
/// message: zeros, ones, twos (one element each, in compact arrays).
#[test]
fn huge_counts_anywhere() {
    for index in 0..apis::TABLE.len() {
        for version in 0..20 {
            for filler in [0, 1, 2] {
                for lead in 0..40 {
                    let mut bytes = vec![index as u8, version];
                    bytes.extend(vec![filler; lead]);
                    bytes.extend([0x7f, 0xff, 0xff, 0xff, 0x0f]);
                    bytes.extend([1; 20]);
                    let largest = largest_block(|| {
                        fuzz::guard(&bytes);
                        fuzz::produce(&bytes[1..]);
                        fuzz::fetch(&bytes[1..]);
                        fuzz::headers(&bytes[2..]);
                    });
                    assert!(
                        largest < 64 << 10,
                        "{largest} bytes for API {index}, version {version}, {lead} × {filler}"
                    );
                }
            }
        }
    }
}

/// The check above can fail: the crate alone reserves what a count announces.
#[test]
fn the_crate_alone_would_reserve_it() {
    use kafka_protocol::protocol::Decodable;
    let mut body = BytesMut::new();
    body.put_i32(1 << 20);
    let body = body.freeze();
    let guarded = largest_block(|| {
        assert!(messages::decode::<messages::MetadataRequest>(1, body.clone()).is_err());
    });
    let alone = largest_block(|| {
        assert!(messages::MetadataRequest::decode(&mut Bytes::clone(&body), 1).is_err());
    });
    assert!(guarded < 1 << 10 && alone > 32 << 20, "{guarded} guarded, {alone} alone");
}
