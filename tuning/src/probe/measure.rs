use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::ReadWriteFlags;

use super::{Durable, FILE_WRITE_BYTES, Probe, Rate, Took, open};
use crate::{DiskProfile, Flush};

/// What O_DIRECT wants of addresses and places.
const BLOCK: usize = 4096;
/// What the file is filled with at once.
const FILL_BYTES: usize = 1 << 20;
/// A small durable write.
const SMALL_BYTES: usize = BLOCK;
/// Fewer than this say nothing of a 99th percentile.
const COUNT_MIN: usize = 100;
/// More than this say nothing new.
const COUNT_MAX: usize = 20_000;
/// However slow the disk: a measurement ends.
const PATIENCE: u32 = 20;

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Write,
    Read,
}

/// Memory at an address that O_DIRECT takes.
struct Aligned {
    memory: Vec<u8>,
    from: usize,
    len: usize,
}

impl Aligned {
    fn zeroed(len: usize) -> Aligned {
        let memory = vec![0; len + BLOCK];
        let from = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        Aligned { memory, from, len }
    }

    /// Filled so that no disk can make it smaller.
    fn filled(len: usize) -> Aligned {
        let mut aligned = Aligned::zeroed(len);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for word in aligned.bytes_mut().chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
        }
        aligned
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.from..self.from + self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.from..self.from + self.len]
    }
}

/// Writes all of the file once: what was never written costs more, and the journal is recycled for ever.
pub(super) fn fill(file: &File, bytes: u64) -> io::Result<()> {
    let block = Aligned::filled(FILL_BYTES);
    for at in (0..bytes).step_by(FILL_BYTES) {
        file.write_all_at(block.bytes(), at)?;
    }
    file.sync_all()
}

/// Operations of `bytes` one behind the other, `depth` at once.
pub(super) fn sequential(file: &File, probe: &Probe, bytes: usize, depth: usize, way: Way) -> io::Result<Rate> {
    let next = AtomicU64::new(0);
    let payload = Aligned::filled(bytes);
    let begun = Instant::now();
    let until = begun + probe.each;
    let one = || -> io::Result<u64> {
        let mut buffer = Aligned::zeroed(if way == Way::Read { bytes } else { 0 });
        let mut done = 0;
        loop {
            let at = next.fetch_add(bytes as u64, Ordering::Relaxed) % place_end(probe.bytes, bytes);
            match way {
                Way::Write => file.write_all_at(payload.bytes(), at)?,
                Way::Read => file.read_exact_at(buffer.bytes_mut(), at)?,
            }
            done += bytes as u64;
            if Instant::now() >= until {
                return Ok(done);
            }
        }
    };
    let done = all(depth, one)?;
    Ok(Rate { bytes, depth, mib_per_second: mib_per_second(done, begun.elapsed()) })
}

/// Behind the last place where an operation of `bytes` fits; a multiple of its size.
fn place_end(file_bytes: u64, bytes: usize) -> u64 {
    (file_bytes / bytes as u64).max(1) * bytes as u64
}

/// Runs `one` on `count` threads; the sum of what they give.
fn all(count: usize, one: impl Fn() -> io::Result<u64> + Sync) -> io::Result<u64> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(&one)).collect();
        let mut sum = 0;
        for thread in threads {
            sum += thread.join().map_err(|_| io::Error::other("a measuring thread panicked"))??;
        }
        Ok(sum)
    })
}

fn mib_per_second(bytes: u64, took: Duration) -> f64 {
    round(bytes as f64 / f64::from(1 << 20) / took.as_secs_f64().max(1e-9))
}

/// More digits than these were not measured.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Durable writes of `bytes`, the two ways in turn, so that what else happens happens to both.
pub(super) fn durable(file: &File, probe: &Probe, bytes: usize) -> io::Result<Durable> {
    let buffer = Aligned::filled(bytes);
    let mut took = [Vec::new(), Vec::new()];
    let begun = Instant::now();
    let mut at = 0;
    while !is_enough(begun, probe.each * 2, took[1].len()) {
        for (flush, took) in [Flush::Fdatasync, Flush::Dsync].into_iter().zip(&mut took) {
            let began = Instant::now();
            write_durably(file, &buffer, at, flush)?;
            took.push(began.elapsed());
            at = (at + bytes as u64) % place_end(probe.bytes, bytes);
        }
    }
    let [fdatasync, dsync] = took.map(summary);
    Ok(Durable { bytes, fdatasync, dsync })
}

fn is_enough(begun: Instant, each: Duration, count: usize) -> bool {
    let elapsed = begun.elapsed();
    count >= COUNT_MAX || (elapsed >= each && count >= COUNT_MIN) || elapsed >= each * PATIENCE
}

fn write_durably(file: &File, buffer: &Aligned, at: u64, flush: Flush) -> io::Result<()> {
    match flush {
        Flush::Fdatasync => {
            file.write_all_at(buffer.bytes(), at)?;
            file.sync_data()
        }
        Flush::Dsync => {
            let written = rustix::io::pwritev2(file, &[IoSlice::new(buffer.bytes())], at, ReadWriteFlags::DSYNC)?;
            if written == buffer.len { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
        }
    }
}

fn summary(mut took: Vec<Duration>) -> Took {
    took.sort_unstable();
    let at = |share: usize| {
        let place = (took.len() * share / 100).min(took.len().saturating_sub(1));
        took.get(place).map_or(0.0, |took| round(took.as_secs_f64() * 1e6))
    };
    Took { median_us: at(50), p99_us: at(99), count: took.len() }
}

/// `count` files, each written and flushed again and again by a thread of its own: as logs are written out.
pub(super) fn files(probe: &Probe, count: usize) -> io::Result<Rate> {
    let each_bytes =
        (probe.bytes / count as u64).next_multiple_of(FILE_WRITE_BYTES as u64).max(FILE_WRITE_BYTES as u64);
    let opened = (0..count).map(|_| open(&probe.folder)).collect::<io::Result<Vec<_>>>()?;
    for (file, _) in &opened {
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, each_bytes)?;
        file.sync_all()?;
    }
    let place = AtomicU64::new(0);
    let payload = Aligned::filled(FILE_WRITE_BYTES);
    let begun = Instant::now();
    let until = begun + probe.each;
    let one = || -> io::Result<u64> {
        let mine = usize::try_from(place.fetch_add(1, Ordering::Relaxed)).unwrap_or(0) % opened.len();
        let (mut at, mut done) = (0, 0);
        loop {
            opened[mine].0.write_all_at(payload.bytes(), at)?;
            opened[mine].0.sync_data()?;
            at = (at + FILE_WRITE_BYTES as u64) % each_bytes;
            done += FILE_WRITE_BYTES as u64;
            if Instant::now() >= until {
                return Ok(done);
            }
        }
    };
    let done = all(count, one)?;
    Ok(Rate { bytes: FILE_WRITE_BYTES, depth: count, mib_per_second: mib_per_second(done, begun.elapsed()) })
}

/// Small durable writes in the chosen way, with or without others that write as fast as they can.
pub(super) fn small(file: &File, probe: &Probe, profile: &DiskProfile, loaded: bool) -> io::Result<Took> {
    let (own, _) = open(&probe.folder)?;
    fill(&own, FILL_BYTES as u64)?;
    let over = AtomicBool::new(false);
    let next = AtomicU64::new(0);
    let bytes = profile.segments.write_bytes;
    let noise = || -> io::Result<()> {
        let buffer = Aligned::filled(bytes);
        while !over.load(Ordering::Relaxed) {
            let at = next.fetch_add(bytes as u64, Ordering::Relaxed) % place_end(probe.bytes, bytes);
            file.write_all_at(buffer.bytes(), at)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let count = if loaded { profile.segments.write_depth } else { 0 };
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(noise)).collect();
        let took = small_alone(&own, probe, profile.journal.flush);
        over.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().map_err(|_| io::Error::other("a measuring thread panicked"))??;
        }
        took
    })
}

fn small_alone(own: &File, probe: &Probe, flush: Flush) -> io::Result<Took> {
    let buffer = Aligned::filled(SMALL_BYTES);
    let mut took = Vec::new();
    let begun = Instant::now();
    let mut at = 0;
    while !is_enough(begun, probe.each * 3, took.len()) {
        let began = Instant::now();
        write_durably(own, &buffer, at, flush)?;
        took.push(began.elapsed());
        at = (at + SMALL_BYTES as u64) % FILL_BYTES as u64;
    }
    Ok(summary(took))
}
