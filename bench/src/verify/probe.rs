//! What a file system answers while its power is cut, without a broker: durable writes, each noted when it was answered, and what
//! is there of them afterwards.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, OFlags, fallocate};

use super::ground::Image;
use crate::error::{During, Result};

/// Files, each written by a thread of its own.
const FILES: usize = 16;
const BLOCK: usize = 4096;
/// Blocks that a file has space for.
const BLOCKS: u64 = 16_384;
/// How long is written before and after the cut.
const BEFORE: Duration = Duration::from_millis(400);
const AFTER: Duration = Duration::from_millis(30);

/// What became of the writes that were answered.
#[derive(Clone, Copy, Default, Debug)]
pub struct Probed {
    /// Answered before the cut.
    pub before: u64,
    /// Of those, what is not there: a disk that lies.
    pub lost: u64,
    /// Answered after the cut had begun.
    pub late: u64,
    /// Of those, what is not there.
    pub late_lost: u64,
    /// The latest of them, after the cut had begun.
    pub latest: Duration,
}

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Probed { before, lost, late, late_lost, latest } = self;
        write!(
            f,
            "{before} durable writes answered before the cut, {lost} lost; {late} after it had begun, {late_lost} lost"
        )?;
        if *late_lost > 0 {
            write!(f, ", the latest answered {:.1} ms after", latest.as_secs_f64() * 1000.0)?;
        }
        Ok(())
    }
}

/// One cut on an empty file system: writes with O_DIRECT and O_DSYNC into space that was reserved, as a journal does.
///
/// # Errors
/// [`crate::BenchError::Io`].
pub fn probe(image: &Image) -> Result<Probed> {
    image.renew()?;
    let paths: Vec<PathBuf> = (0..FILES).map(|file| image.folder().join(format!("file-{file}"))).collect();
    let files = paths.iter().map(|path| prepare(path)).collect::<Result<Vec<File>>>()?;
    rustix::fs::syncfs(&files[0]).map_err(std::io::Error::from).during(|| "flush the file system".to_owned())?;
    let switch = image.arm()?;
    let stop = AtomicBool::new(false);
    let (cut_at, answered) = std::thread::scope(|scope| {
        let threads: Vec<_> = files.iter().map(|file| scope.spawn(|| write(file, &stop))).collect();
        std::thread::sleep(BEFORE);
        let cut_at = switch.cut();
        std::thread::sleep(AFTER);
        stop.store(true, Ordering::Relaxed);
        let answered: Vec<Vec<Instant>> = threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect();
        (cut_at, answered)
    });
    drop(files);
    image.power_up()?;
    let (cut_at, mut probed) = (cut_at?, Probed::default());
    for (path, answered) in paths.iter().zip(answered) {
        probed.look(path, &answered, cut_at)?;
    }
    Ok(probed)
}

impl Probed {
    fn look(&mut self, path: &Path, answered: &[Instant], cut_at: Instant) -> Result<()> {
        let there = std::fs::read(path).during(|| format!("read {}", path.display()))?;
        for (number, at) in (0..).zip(answered) {
            let place = number as usize * BLOCK;
            let gone =
                there.get(place..place + BLOCK).is_none_or(|block| block.iter().any(|byte| *byte != mark(number)));
            match at.checked_duration_since(cut_at) {
                None => (self.before, self.lost) = (self.before + 1, self.lost + u64::from(gone)),
                Some(after) => {
                    (self.late, self.late_lost) = (self.late + 1, self.late_lost + u64::from(gone));
                    self.latest = if gone { self.latest.max(after) } else { self.latest };
                }
            }
        }
        Ok(())
    }
}

fn prepare(path: &Path) -> Result<File> {
    let during = || format!("make {}", path.display());
    let how = (OFlags::DIRECT | OFlags::DSYNC).bits() as i32;
    let file = OpenOptions::new().create_new(true).write(true).custom_flags(how).open(path).during(during)?;
    let space = fallocate(&file, FallocateFlags::empty(), 0, BLOCKS * BLOCK as u64);
    space.map_err(std::io::Error::from).during(during)?;
    file.sync_all().during(during)?;
    Ok(file)
}

/// Writes block after block until told to stop or refused; when each was answered.
fn write(file: &File, stop: &AtomicBool) -> Vec<Instant> {
    let mut answered = Vec::new();
    // Direct writes come from memory that begins at a block.
    let mut memory = vec![0; 2 * BLOCK];
    let at = memory.as_ptr().align_offset(BLOCK);
    let block = &mut memory[at..at + BLOCK];
    for number in 0..BLOCKS {
        block.fill(mark(number));
        if stop.load(Ordering::Relaxed) || file.write_all_at(block, number * BLOCK as u64).is_err() {
            break;
        }
        answered.push(Instant::now());
    }
    answered
}

/// What a block is filled with; never what was never written.
fn mark(number: u64) -> u8 {
    (number % 255) as u8 + 1
}
