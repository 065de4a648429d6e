//! The disk: one frame is made durable while the next one fills, over the same blocks again and again.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use ottla_reactor::file::{self, File, Open};
use ottla_reactor::{AlignedBuffer, BLOCK, Signal, monotonic, stream, timeout};

use super::Say;
use super::connection::Connection;

/// Bytes of a shard's file: written once before anything is measured, so that no write changes anything but content.
const FILE_BYTES: u64 = 64 << 20;
/// Bytes of a frame at most, as the broker's.
const FRAME_BYTES: usize = 4 << 20;
/// Records of this many bytes and more are copied past the caches, as the broker does.
const STREAM_FROM_BYTES: usize = 4096;
/// A frame of this many bytes does not wait for more requests, nor any longer than the one before took, at most so long. As the
/// broker: clients that were just answered ask again, and one frame for all of them costs less than two in turns.
const GATHER_BYTES_MAX: usize = 32 << 10;
const GATHER_MAX: Duration = Duration::from_millis(2);

/// Records that go to the disk together, and the answers that wait for it.
struct Frame {
    buffer: AlignedBuffer,
    len: usize,
    answers: Vec<(Rc<Connection>, Bytes)>,
}

impl Frame {
    fn new() -> Frame {
        Frame { buffer: AlignedBuffer::registered(FRAME_BYTES), len: 0, answers: Vec::new() }
    }

    /// Whether it has so many requests, or need not wait for them.
    fn has(&self, requests: usize) -> bool {
        self.answers.len() >= requests || self.len >= GATHER_BYTES_MAX
    }

    /// Copies as much as fits; says how much.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.buffer.len() - self.len);
        let (from, to) = (&bytes[..count], &mut self.buffer[self.len..self.len + count]);
        if count < STREAM_FROM_BYTES {
            to.copy_from_slice(from)
        } else {
            stream(from, to)
        }
        self.len += count;
        count
    }
}

/// *Lives on:* one shard.
pub(super) struct Journal {
    file: File,
    /// Where the next frame goes.
    at: Cell<u64>,
    filling: RefCell<Frame>,
    /// Requests in the frame that fills with which it is to be written.
    awaited: Cell<usize>,
    /// Rung when it has them, and when an empty one takes its place.
    filled: Signal,
    emptied: Signal,
}

impl Journal {
    /// Makes the shard's file, whole and without a name: it goes with the process, however that ends.
    pub(super) async fn create(folder: &Path, shard: usize, say: &Say) -> io::Result<Journal> {
        let path = folder.join(format!("floor-{}-{shard}", std::process::id()));
        let file = File::open(&path, Open { write: true, create_new: true, direct: true, ..Open::default() }).await?;
        let filled = fill(&file).await;
        file::remove(&path).await?;
        filled?;
        if !file.is_direct() {
            say(&format!("{} takes no O_DIRECT: what is measured goes through the page cache", folder.display()));
        }
        let filling = RefCell::new(Frame::new());
        let (filled, emptied) = (Signal::new(), Signal::new());
        Ok(Journal { file, at: Cell::new(0), filling, awaited: Cell::new(1), filled, emptied })
    }

    /// Takes records in, waiting for room.
    pub(super) async fn append(&self, mut bytes: &[u8]) {
        loop {
            let count = self.filling.borrow_mut().take(bytes);
            bytes = &bytes[count..];
            if bytes.is_empty() {
                return;
            }
            self.filled.notify();
            self.emptied.wait().await;
        }
    }

    /// Gives an answer to its connection once all that was appended so far is durable. Empty: nothing is sent.
    pub(super) fn answer(&self, connection: &Rc<Connection>, answer: Bytes) {
        let mut filling = self.filling.borrow_mut();
        filling.answers.push((Rc::clone(connection), answer));
        if filling.has(self.awaited.get()) {
            drop(filling);
            self.filled.notify();
        }
    }

    async fn until_filled(&self, requests: usize) {
        self.awaited.set(requests);
        while !self.filling.borrow().has(requests) {
            self.filled.wait().await;
        }
    }

    /// Makes one frame after the other durable.
    pub(super) async fn write(&self) -> io::Result<()> {
        let mut spare = Frame::new();
        let (mut company, mut patience, mut answered) = (1, Duration::ZERO, monotonic());
        loop {
            self.until_filled(1).await;
            timeout((answered + patience).saturating_duration_since(monotonic()), self.until_filled(company)).await;
            let began = monotonic();
            let Frame { mut buffer, len, mut answers } = self.filling.replace(spare);
            self.emptied.notify();
            if len > 0 {
                buffer = self.write_frame(buffer, len.next_multiple_of(BLOCK)).await?;
            }
            company = answers.len() + self.filling.borrow().answers.len();
            answered = monotonic();
            patience = (answered - began).min(GATHER_MAX);
            for (connection, answer) in answers.drain(..) {
                connection.send(answer);
            }
            spare = Frame { buffer, len: 0, answers };
        }
    }

    async fn write_frame(&self, buffer: AlignedBuffer, len: usize) -> io::Result<AlignedBuffer> {
        let at = if self.at.get() + len as u64 > FILE_BYTES { 0 } else { self.at.get() };
        self.at.set(at + len as u64);
        let (written, buffer) = self.file.write_durably(buffer, 0..len, at).await;
        written.map(|()| buffer)
    }
}

/// Gives every block its place and content.
async fn fill(file: &File) -> io::Result<()> {
    file.allocate(0, FILE_BYTES).await?;
    let mut buffer = AlignedBuffer::new(FRAME_BYTES);
    for at in (0..FILE_BYTES).step_by(FRAME_BYTES) {
        let (written, back) = file.write_at(buffer, 0..FRAME_BYTES, at).await;
        written?;
        buffer = back;
    }
    file.sync_all().await
}
