//! Memory that is kept for those who come next: what goes back to the system is cleared page by page when it comes again.

use std::alloc::dealloc;
use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::Mutex;

use super::{Chunk, Pages};

/// Allocations of [`Chunk::KEPT_BYTES`] that a thread keeps for its next chunks.
const CHUNKS_MAX: usize = 64;

/// What this thread keeps; given back when the thread ends.
#[derive(Default)]
struct Chunks(Vec<NonNull<u8>>);

impl Drop for Chunks {
    fn drop(&mut self) {
        for start in self.0.drain(..) {
            // SAFETY: allocated with this layout, and in no other hands.
            unsafe { dealloc(start.as_ptr(), Pages::layout(Chunk::KEPT_BYTES)) }
        }
    }
}

thread_local! {
    static CHUNKS: RefCell<Chunks> = RefCell::default();
}

/// One of the allocations that this thread has kept.
pub(super) fn chunk() -> Option<NonNull<u8>> {
    CHUNKS.with_borrow_mut(|chunks| chunks.0.pop())
}

/// Keeps an allocation for later; says whether there was room.
pub(super) fn keep_chunk(start: NonNull<u8>) -> bool {
    // A thread that is ending keeps nothing.
    CHUNKS
        .try_with(|chunks| {
            let chunks = &mut chunks.borrow_mut().0;
            let room = chunks.len() < CHUNKS_MAX;
            if room {
                chunks.push(start);
            }
            room
        })
        .unwrap_or(false)
}

/// Memory of windows that the process keeps, in bytes. For all threads together: a window is filled by the shard that owns the
/// partition and let go by the one that sends it.
const WINDOWS_BYTES_MAX: usize = 16 << 20;

/// Nobody waits for it: who finds it taken allocates, or frees.
static WINDOWS: Mutex<Vec<Window>> = Mutex::new(Vec::new());

/// A window that nobody uses.
pub(super) struct Window {
    pub(super) start: NonNull<u8>,
    pub(super) capacity: usize,
}

// SAFETY: it is in no other hands.
unsafe impl Send for Window {}

impl Window {
    /// Windows are multiples of this, so that one fits where another was, in bytes.
    pub(super) const STEP: usize = 64 << 10;

    /// One of this capacity.
    pub(super) fn take(capacity: usize) -> Option<Window> {
        let mut windows = WINDOWS.try_lock().ok()?;
        let found = windows.iter().rposition(|window| window.capacity == capacity)?;
        Some(windows.swap_remove(found))
    }

    /// Keeps it for later; says whether there was room.
    pub(super) fn keep(self) -> bool {
        let Ok(mut windows) = WINDOWS.try_lock() else { return false };
        let kept: usize = windows.iter().map(|window| window.capacity).sum();
        let room = kept + self.capacity <= WINDOWS_BYTES_MAX;
        if room {
            windows.push(self);
        }
        room
    }
}
