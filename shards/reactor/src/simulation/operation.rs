//! Operations on the disk: each waits until it is chosen, and happens then.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::disk::State;
use super::executor::{Flight, World, active, world};
use crate::buffer::{AlignedBuffer, BLOCK, Blocks};
use crate::file::{Entry, Open, Space};

/// A future on the heap, so that those on a real disk are no larger than without it.
type Later<T> = Pin<Box<dyn Future<Output = T>>>;

/// An open file or folder.
#[derive(Debug)]
pub(crate) struct Handle {
    inode: usize,
    direct: bool,
}

/// One operation, with all that it needs.
enum Work {
    Open(PathBuf, Open),
    Write {
        inode: usize,
        at: u64,
        data: Data,
        durably: bool,
    },
    Flush(usize),
    Allocate {
        inode: usize,
        end: u64,
        keep_size: bool,
    },
    Truncate(usize, u64),
    MakeFolder(PathBuf),
    Unlink(PathBuf, bool),
    Rename(PathBuf, PathBuf),
    /// Nothing changes: reads.
    Wait,
}

/// What is written: as it was when the write began, or as it is when it happens.
enum Data {
    Then(Vec<u8>),
    Now(Blocks),
}

impl Work {
    fn apply(self, state: &mut State) -> io::Result<usize> {
        match self {
            Work::Open(path, how) => state.open(&path, how),
            Work::Write { inode, at, data, durably } => match data {
                Data::Then(bytes) => state.write(inode, at, bytes, durably),
                Data::Now(blocks) => state.write(inode, at, blocks.bytes().to_vec(), durably),
            },
            Work::Flush(inode) => state.flush(inode).map(|()| 0),
            Work::Allocate { inode, end, keep_size } => state.allocate(inode, end, keep_size).map(|()| 0),
            Work::Truncate(inode, size) => state.truncate(inode, size).map(|()| 0),
            Work::MakeFolder(path) => state.make_folder(&path).map(|()| 0),
            Work::Unlink(path, as_folder) => state.unlink(&path, as_folder).map(|()| 0),
            Work::Rename(from, to) => state.rename(&from, &to).map(|()| 0),
            Work::Wait => Ok(0),
        }
    }

    /// What an operation does of which nobody ever learns the result: nothing is flushed for certain.
    fn apply_unseen(self, state: &mut State) {
        let _ = match self {
            Work::Write { inode, at, data, .. } => Work::Write { inode, at, data, durably: false }.apply(state),
            other => other.apply(state),
        };
    }
}

/// An operation in flight. Dropped before its end, it may have happened or not.
struct Operation {
    work: Option<Work>,
    flight: Option<Rc<Flight>>,
}

impl Operation {
    fn new(work: Work) -> Operation {
        Operation { work: Some(work), flight: None }
    }
}

impl Future for Operation {
    type Output = io::Result<usize>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let world = world();
        let Some(flight) = &self.flight else {
            let flight = Rc::new(Flight::default());
            *flight.waker.borrow_mut() = Some(context.waker().clone());
            world.flying.borrow_mut().push(Rc::clone(&flight));
            self.flight = Some(flight);
            return Poll::Pending;
        };
        if !flight.chosen.get() {
            *flight.waker.borrow_mut() = Some(context.waker().clone());
            return Poll::Pending;
        }
        if world.crashed.get() || world.reaches_crash(self.work.as_ref()) {
            return Poll::Pending;
        }
        match self.work.take() {
            Some(work) => Poll::Ready(world.disk.with(|state| work.apply(state))),
            None => panic!("an operation was polled after its end"),
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let (Some(work), true, Some(_)) = (self.work.take(), active(), &self.flight) {
            let happens = world().random.borrow_mut().chance(50);
            world().disk.with(|state| {
                state.counters.interrupted += 1;
                if happens {
                    work.apply_unseen(state);
                }
            });
        }
    }
}

impl World {
    /// Counts an operation; whether the crash comes in its course.
    fn reaches_crash(&self, work: Option<&Work>) -> bool {
        let written = match work {
            Some(Work::Write { inode, .. }) => Some(*inode),
            _ => None,
        };
        let now = self.disk.with(|state| state.reaches_crash(written));
        if now {
            self.crashed.set(true);
        }
        now
    }
}

fn check_direct(direct: bool, at: u64, len: usize) {
    let aligned = at.is_multiple_of(BLOCK as u64) && len.is_multiple_of(BLOCK);
    assert!(!direct || aligned, "a direct operation on {at}+{len}, which is not whole blocks");
}

pub(crate) fn open(path: &Path, how: Open) -> Later<io::Result<Handle>> {
    let operation = Operation::new(Work::Open(path.to_path_buf(), how));
    Box::pin(async move { Ok(Handle { inode: operation.await?, direct: how.direct }) })
}

pub(crate) fn make_folder(path: &Path) -> Later<io::Result<usize>> {
    Box::pin(Operation::new(Work::MakeFolder(path.to_path_buf())))
}

pub(crate) fn unlink(path: &Path, as_folder: bool) -> Later<io::Result<usize>> {
    Box::pin(Operation::new(Work::Unlink(path.to_path_buf(), as_folder)))
}

pub(crate) fn rename(from: &Path, to: &Path) -> Later<io::Result<usize>> {
    Box::pin(Operation::new(Work::Rename(from.to_path_buf(), to.to_path_buf())))
}

/// Writes `range` of a buffer, durably if asked.
pub(crate) fn write(
    handle: &Handle,
    buffer: AlignedBuffer,
    range: Range<usize>,
    at: u64,
    durably: bool,
) -> Later<(io::Result<()>, AlignedBuffer)> {
    check_direct(handle.direct, at, range.len());
    let data = Data::Then(buffer[range].to_vec());
    let operation = Operation::new(Work::Write { inode: handle.inode, at, data, durably });
    Box::pin(async move { (operation.await.map(drop), buffer) })
}

fn write_blocks(handle: &Handle, blocks: Blocks, at: u64) -> Later<io::Result<()>> {
    check_direct(handle.direct, at, blocks.len());
    let early = world().random.borrow_mut().chance(50);
    let data = if early { Data::Then(blocks.bytes().to_vec()) } else { Data::Now(blocks) };
    let operation = Operation::new(Work::Write { inode: handle.inode, at, data, durably: false });
    Box::pin(async move { operation.await.map(drop) })
}

/// The writes of a row end in any order.
pub(crate) fn write_row(handle: &Handle, row: Vec<Blocks>, at: u64) -> Later<io::Result<()>> {
    let mut at = at;
    let mut writes = Vec::with_capacity(row.len());
    for blocks in row {
        let len = blocks.len() as u64;
        writes.push(write_blocks(handle, blocks, at));
        at += len;
    }
    Box::pin(async move {
        let mut outcome = Ok(());
        for write in writes {
            outcome = outcome.and(write.await);
        }
        outcome
    })
}

impl Handle {
    /// Reads into `range` of a buffer; less than that at the end of the file, or when the disk feels like it.
    pub(crate) fn read(
        &self,
        mut buffer: AlignedBuffer,
        range: Range<usize>,
        at: u64,
    ) -> Later<(io::Result<usize>, AlignedBuffer)> {
        check_direct(self.direct, at, range.len());
        let (inode, direct) = (self.inode, self.direct);
        Box::pin(async move {
            if let Err(error) = Operation::new(Work::Wait).await {
                return (Err(error), buffer);
            }
            let count = world().disk.with(|state| state.read(inode, at, &mut buffer[range], direct));
            (count, buffer)
        })
    }

    pub(crate) fn flush(&self) -> Later<io::Result<usize>> {
        Box::pin(Operation::new(Work::Flush(self.inode)))
    }

    pub(crate) fn allocate(&self, at: u64, len: u64, keep_size: bool) -> Later<io::Result<usize>> {
        Box::pin(Operation::new(Work::Allocate { inode: self.inode, end: at + len, keep_size }))
    }

    pub(crate) fn truncate(&self, size: u64) -> Later<io::Result<usize>> {
        Box::pin(Operation::new(Work::Truncate(self.inode, size)))
    }

    pub(crate) fn is_removed(&self) -> bool {
        world().disk.with(|state| state.file(self.inode).is_ok_and(|file| file.removed))
    }

    pub(crate) fn size(&self) -> io::Result<u64> {
        world().disk.with(|state| Ok(state.file(self.inode).map_or(0, |file| file.size())))
    }
}

pub(crate) fn list(path: &Path) -> io::Result<Vec<Entry>> {
    world().disk.with(|state| state.list(path))
}

pub(crate) fn exists(path: &Path) -> bool {
    world().disk.with(|state| state.resolve(path).is_ok())
}

pub(crate) fn space() -> Space {
    world().disk.with(|state| Space { total: state.capacity, free: state.capacity.saturating_sub(state.used) })
}
