use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::Arc;

use crate::ring;

mod kept;
use kept::Window;

/// Alignment and granularity, in bytes, of everything that O_DIRECT reads or writes.
pub const BLOCK: usize = 4096;

/// One allocation aligned to [`BLOCK`], freed or kept when dropped.
#[derive(Debug)]
struct Pages {
    start: NonNull<u8>,
    capacity: usize,
    /// Whether it is kept as a [`Window`]: all of it was written once.
    is_window: bool,
}

// SAFETY: `Pages` is a uniquely owned allocation; which thread frees it does not matter.
unsafe impl Send for Pages {}
// SAFETY: shared access hands out only pointers; each user below keeps readers and the one writer on disjoint bytes.
unsafe impl Sync for Pages {}

impl Pages {
    fn zeroed(capacity: usize) -> Pages {
        let layout = Pages::layout(Pages::rounded(capacity));
        // SAFETY: the layout has a size above zero.
        Pages::own(unsafe { alloc_zeroed(layout) }, layout)
    }

    /// Nobody may look at a byte of it before it was written.
    fn uninitialised(capacity: usize) -> Pages {
        let capacity = Pages::rounded(capacity);
        if capacity == Chunk::KEPT_BYTES
            && let Some(start) = kept::chunk()
        {
            return Pages { start, capacity, is_window: false };
        }
        let layout = Pages::layout(capacity);
        // SAFETY: the layout has a size above zero.
        Pages::own(unsafe { alloc(layout) }, layout)
    }

    /// Zeros, or what was in an earlier window.
    fn window(capacity: usize) -> Pages {
        let capacity = capacity.max(1).next_multiple_of(Window::STEP);
        if let Some(Window { start, capacity }) = Window::take(capacity) {
            return Pages { start, capacity, is_window: true };
        }
        let mut pages = Pages::zeroed(capacity);
        pages.is_window = true;
        pages
    }

    fn own(start: *mut u8, layout: Layout) -> Pages {
        match NonNull::new(start) {
            Some(start) => Pages { start, capacity: layout.size(), is_window: false },
            None => handle_alloc_error(layout),
        }
    }

    fn rounded(capacity: usize) -> usize {
        capacity.max(1).next_multiple_of(BLOCK)
    }

    fn layout(capacity: usize) -> Layout {
        match Layout::from_size_align(capacity, BLOCK) {
            Ok(layout) => layout,
            Err(_) => panic!("a buffer of {capacity} bytes is larger than an address space"),
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.capacity == Chunk::KEPT_BYTES && kept::keep_chunk(self.start) {
            return;
        }
        if self.is_window && (Window { start: self.start, capacity: self.capacity }).keep() {
            return;
        }
        // SAFETY: allocated in `new` with this very layout, and dropped once.
        unsafe { dealloc(self.start.as_ptr(), Pages::layout(self.capacity)) }
    }
}

/// A block-aligned buffer with one owner; dereferences to its whole capacity, which starts as zeros unless it is a window.
#[derive(Debug)]
pub struct AlignedBuffer {
    pages: Pages,
    /// Slot in the ring's table of registered buffers.
    slot: Option<ring::BufferSlot>,
}

impl AlignedBuffer {
    /// A buffer of at least `capacity` bytes, rounded up to [`BLOCK`].
    pub fn new(capacity: usize) -> AlignedBuffer {
        AlignedBuffer { pages: Pages::zeroed(capacity), slot: None }
    }

    /// Windows are rounded up to multiples of this, in bytes.
    pub const WINDOW_STEP: usize = Window::STEP;

    /// A buffer of at least `capacity` bytes for what is read and then sent. What it holds before it is filled means nothing: memory
    /// of earlier ones is used again, since new memory is cleared page by page, which takes longer than filling it.
    pub fn window(capacity: usize) -> AlignedBuffer {
        AlignedBuffer { pages: Pages::window(capacity), slot: None }
    }

    /// As [`AlignedBuffer::new`], and known to this shard's ring, which saves the kernel pinning its pages at each
    /// operation. Where the memlock limit refuses that, it is an ordinary buffer.
    pub fn registered(capacity: usize) -> AlignedBuffer {
        let pages = Pages::zeroed(capacity);
        let slot = ring::register_buffer(pages.start.as_ptr(), pages.capacity);
        AlignedBuffer { pages, slot }
    }

    pub(crate) fn slot_index(&self) -> Option<u16> {
        self.slot.as_ref().map(ring::BufferSlot::index)
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the whole capacity was zeroed when it was first allocated (`Pages::zeroed`), and `self` owns it.
        unsafe { std::slice::from_raw_parts(self.pages.start.as_ptr(), self.pages.capacity) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.pages.start.as_ptr(), self.pages.capacity) }
    }
}

/// An append-only block-aligned buffer: one writer, any number of readers of what was already appended.
///
/// *Lives on:* the shard whose partition it is the tail of. Its [`Slice`]s may travel to other shards.
#[derive(Debug)]
pub struct Chunk {
    pages: Arc<Pages>,
    /// Those of `pages`, which lie elsewhere in memory: appending looks at nothing but this and its target.
    start: NonNull<u8>,
    capacity: usize,
    len: usize,
}

impl Chunk {
    /// Chunks of this capacity are kept for reuse, a few of them on each thread.
    pub const KEPT_BYTES: usize = 256 << 10;

    /// An empty chunk for at least `capacity` bytes, rounded up to [`BLOCK`].
    pub fn new(capacity: usize) -> Chunk {
        let pages = Pages::uninitialised(capacity);
        let Pages { start, capacity, .. } = pages;
        Chunk { pages: Arc::new(pages), start, capacity, len: 0 }
    }

    /// Bytes appended so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was appended yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes it can ever hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that still fit.
    pub fn remaining(&self) -> usize {
        self.capacity - self.len
    }

    /// Copies `bytes` behind what is there, past the caches where it is many: with more logs than caches hold, what lay there
    /// before would be read from memory only to be overwritten.
    ///
    /// # Panics
    /// When they do not fit: the caller asks [`Chunk::remaining`] first.
    pub fn append(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.remaining(), "{} bytes do not fit into the {} left", bytes.len(), self.remaining());
        // SAFETY: the range lies inside the allocation (asserted), and no `Slice` reaches past `len`, so nobody reads it.
        unsafe {
            let place = self.start.as_ptr().add(self.len);
            match bytes.len() {
                STREAM_FROM_BYTES.. => stream_raw(bytes.as_ptr(), place, bytes.len()),
                _ => std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()),
            }
        };
        self.len += bytes.len();
    }

    /// Brings what [`Chunk::append`] of so many bytes reads of the memory behind the last byte into this core's caches: see
    /// [`prefetch`].
    #[inline]
    pub fn prefetch_room(&self, bytes: usize) {
        let behind = self.start.as_ptr().wrapping_add(self.len);
        // The rest goes past the caches.
        for line in [0, STEP_BYTES, bytes] {
            prefetch_line(behind.wrapping_add(line));
        }
    }

    /// A shared view of `range`.
    ///
    /// # Panics
    /// When `range` reaches past [`Chunk::len`].
    pub fn slice(&self, range: Range<usize>) -> Slice {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} bytes", self.len);
        Slice { pages: Arc::clone(&self.pages), start: range.start, len: range.end - range.start }
    }

    /// The blocks that cover `range`, to be written to a file as they are. They may reach past [`Chunk::len`]: what lies
    /// there is zeros, or bytes appended while the write runs.
    ///
    /// # Panics
    /// When `range` reaches past the capacity.
    pub fn blocks(&self, range: Range<usize>) -> Blocks {
        let start = range.start / BLOCK * BLOCK;
        let end = range.end.next_multiple_of(BLOCK);
        assert!(start <= end && end <= self.capacity, "{range:?} of {} bytes", self.capacity);
        if end > self.len {
            // SAFETY: inside the allocation (asserted); behind `len`, where nobody reads and only `append`, on this same
            // thread, writes.
            unsafe { std::ptr::write_bytes(self.start.as_ptr().add(self.len), 0, end - self.len) };
        }
        Blocks { pages: Arc::clone(&self.pages), start, len: end - start }
    }
}

/// Brings the memory of a value itself, not what it points to, into this core's caches, without waiting for it. For what is
/// looked at a microsecond later, when there are too many such places for caches to hold.
#[inline]
pub fn prefetch<T>(value: Option<&T>) {
    let Some(value) = value else { return };
    let start = std::ptr::from_ref(value).cast::<u8>();
    for at in (0..size_of::<T>()).step_by(STEP_BYTES) {
        prefetch_line(start.wrapping_add(at));
    }
}

/// Nothing is read: any address will do.
#[inline]
fn prefetch_line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64; a hint touches nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Copies all of `from` to the front of `to` past the caches, for bytes that only a device reads next: what the device had
/// read before is in another core's cache, and to get it back only to overwrite it costs five times the copy.
///
/// # Panics
/// When `to` is the shorter one.
pub fn stream(from: &[u8], to: &mut [u8]) {
    assert!(from.len() <= to.len(), "{} bytes do not fit into {}", from.len(), to.len());
    // SAFETY: both ranges are inside their slices (asserted), which cannot overlap.
    unsafe { stream_raw(from.as_ptr(), to.as_mut_ptr(), from.len()) };
}

/// # Safety
/// `from` may be read and `to` written for `len` bytes, and they do not overlap.
#[cfg(target_arch = "x86_64")]
unsafe fn stream_raw(from: *const u8, to: *mut u8, len: usize) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
    const WORDS: usize = STEP_BYTES / size_of::<__m128i>();
    let head = to.align_offset(STEP_BYTES).min(len);
    let body = (len - head) / STEP_BYTES * STEP_BYTES;
    // SAFETY: all of it within `len`, as the caller promises; the stores are aligned, the loads need not be. SSE2 is part
    // of x86-64, and the fence puts these stores before whatever follows.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, head);
        for at in (head..head + body).step_by(STEP_BYTES) {
            let (source, target) = (from.add(at).cast::<__m128i>(), to.add(at).cast::<__m128i>());
            let line: [__m128i; WORDS] = std::array::from_fn(|word| _mm_loadu_si128(source.add(word)));
            for (word, bytes) in line.into_iter().enumerate() {
                _mm_stream_si128(target.add(word), bytes);
            }
        }
        std::ptr::copy_nonoverlapping(from.add(head + body), to.add(head + body), len - head - body);
        _mm_sfence();
    }
}

/// # Safety
/// As above.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn stream_raw(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(from, to, len) };
}

/// Appends of this many bytes and more go past the caches. That is also proof against targets 1 to 127 bytes ahead of their
/// source, pages left out, which slow a plain copy down (Zen 4 takes its loads for the stores before): 26 GB/s instead of 3.5.
const STREAM_FROM_BYTES: usize = 512;
/// What is moved at a time: a cache line.
const STEP_BYTES: usize = 64;

/// A shared, immutable view of bytes in a [`Chunk`] or a former [`AlignedBuffer`]; keeps them alive.
#[derive(Clone, Debug)]
pub struct Slice {
    pages: Arc<Pages>,
    start: usize,
    len: usize,
}

impl Slice {
    /// Turns `range` of a buffer into a shareable view.
    ///
    /// # Panics
    /// When `range` reaches past the buffer.
    pub fn from(buffer: AlignedBuffer, range: Range<usize>) -> Slice {
        assert!(range.start <= range.end && range.end <= buffer.len(), "{range:?} of {} bytes", buffer.len());
        let AlignedBuffer { pages, slot } = buffer;
        drop(slot);
        Slice { pages: Arc::new(pages), start: range.start, len: range.end - range.start }
    }

    /// A view of a part of this view.
    ///
    /// # Panics
    /// When `range` reaches past this view.
    pub fn slice(&self, range: Range<usize>) -> Slice {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} bytes", self.len);
        Slice { pages: Arc::clone(&self.pages), start: self.start + range.start, len: range.end - range.start }
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range was inside the appended bytes when the view was made, and appended bytes never change again.
        unsafe { std::slice::from_raw_parts(self.pages.start.as_ptr().add(self.start), self.len) }
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Whole blocks of a [`Chunk`], for the kernel to read while they are written to a file.
#[derive(Clone, Debug)]
pub struct Blocks {
    pages: Arc<Pages>,
    start: usize,
    len: usize,
}

impl Blocks {
    /// How many bytes, a multiple of [`BLOCK`].
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes as they are now; for a simulated disk, which copies them at once and on the thread of the chunk's writer.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: inside the allocation (asserted when made) and written: appended, or zeroed by `Chunk::blocks`. Nobody
        // writes while this thread looks at them: the one who appends is on it too.
        unsafe { std::slice::from_raw_parts(self.as_raw(), self.len) }
    }

    pub(crate) fn as_raw(&self) -> *const u8 {
        // SAFETY: `start` lies inside the allocation (asserted when made).
        unsafe { self.pages.start.as_ptr().add(self.start) }
    }
}
