//! What files hold: now, and for certain after a crash.

use std::collections::BTreeSet;
use std::io;

use super::disk::{SECTOR, State, os_error};
use super::random::Random;
use crate::buffer::BLOCK;

/// One file.
#[derive(Default, Debug)]
pub(super) struct FileData {
    /// What a reader sees.
    now: Image,
    /// What a crash keeps in any case.
    kept: Image,
    /// What was done since, in order.
    pending: Vec<Pending>,
    /// Sectors that cannot be read.
    bad: BTreeSet<u64>,
    /// Whether no name leads to it any more: what is written to it takes no space that is counted.
    pub(super) removed: bool,
    /// Bytes of the disk that it takes.
    pub(super) allocated: u64,
}

/// Bytes and a size; bytes that are not there read as zeros.
#[derive(Clone, Default, Debug)]
struct Image {
    bytes: Vec<u8>,
    size: u64,
}

#[derive(Debug)]
enum Pending {
    Write {
        at: u64,
        bytes: Vec<u8>,
        /// A flush of it failed: no later flush will bring it to the disk.
        forsaken: bool,
    },
    Size(u64),
}

/// How much of what was not flushed a crash keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Share {
    Nothing,
    Everything,
    Some,
}

/// What became of the writes of a file in a crash.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Losses {
    pub(super) lost: u64,
    pub(super) torn: u64,
}

impl Image {
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let (from, to) = (at as usize, at as usize + bytes.len());
        if self.bytes.len() < to {
            self.bytes.resize(to, 0);
        }
        self.bytes[from..to].copy_from_slice(bytes);
    }

    fn resize(&mut self, size: u64) {
        self.size = size;
        if self.bytes.len() as u64 > size {
            self.bytes.truncate(size as usize);
        }
    }

    fn copy_out(&self, at: u64, out: &mut [u8]) {
        let there = self.bytes.get(at as usize..).unwrap_or_default();
        let count = there.len().min(out.len());
        out[..count].copy_from_slice(&there[..count]);
        out[count..].fill(0);
    }
}

impl FileData {
    pub(super) fn size(&self) -> u64 {
        self.now.size
    }

    pub(super) fn copy_out(&self, at: u64, out: &mut [u8]) {
        self.now.copy_out(at, out);
    }

    fn write(&mut self, at: u64, bytes: Vec<u8>) {
        self.now.put(at, &bytes);
        self.heal(at, bytes.len());
        let end = at + bytes.len() as u64;
        self.pending.push(Pending::Write { at, bytes, forsaken: false });
        if end > self.now.size {
            self.now.size = end;
            self.pending.push(Pending::Size(end));
        }
    }

    pub(super) fn resize(&mut self, size: u64) {
        if size != self.now.size {
            self.now.resize(size);
            self.pending.push(Pending::Size(size));
        }
    }

    /// Everything done so far is kept from now on, but what an earlier flush failed for.
    fn flush(&mut self) {
        for pending in self.pending.drain(..) {
            match pending {
                Pending::Write { at, bytes, forsaken: false } => self.kept.put(at, &bytes),
                Pending::Write { .. } => {}
                Pending::Size(size) => self.kept.resize(size),
            }
        }
        self.kept.resize(self.now.size);
    }

    /// As [`FileData::flush`], of some bytes and the size only.
    fn flush_range(&mut self, at: u64, len: u64) {
        let overlaps = |from: u64, count: usize| from < at + len && at < from + count as u64;
        self.pending.retain(|pending| match pending {
            Pending::Write { at: from, bytes, forsaken } => {
                let inside = overlaps(*from, bytes.len());
                if inside && !forsaken {
                    self.kept.put(*from, bytes);
                }
                !inside
            }
            Pending::Size(size) => {
                self.kept.resize(*size);
                false
            }
        });
        self.kept.resize(self.now.size);
    }

    fn forsake(&mut self, random: &mut Random) {
        for pending in &mut self.pending {
            if let Pending::Write { forsaken, .. } = pending {
                *forsaken |= random.chance(50);
            }
        }
    }

    /// What is left after a power cut.
    pub(super) fn crash(&mut self, share: Share, random: &mut Random) -> Losses {
        let mut losses = Losses::default();
        let mut sizes_stop = false;
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Write { at, bytes, .. } => match keep_sectors(&mut self.kept, at, &bytes, share, random) {
                    (0, _) => losses.lost += 1,
                    (kept, all) if kept < all => losses.torn += 1,
                    _ => {}
                },
                // Changes of the size reach the disk in their order.
                Pending::Size(size) => {
                    sizes_stop |= share == Share::Nothing || (share == Share::Some && random.chance(30));
                    if !sizes_stop {
                        self.kept.resize(size);
                    }
                }
            }
        }
        let size = self.kept.size;
        self.kept.resize(size);
        self.now = self.kept.clone();
        // A removal may be undone, and a file that no name leads to is forgotten.
        self.removed = false;
        self.allocated = size.next_multiple_of(BLOCK as u64);
        losses
    }

    fn heal(&mut self, at: u64, len: usize) {
        if !self.bad.is_empty() {
            let sectors = at / SECTOR as u64..(at + len as u64).div_ceil(SECTOR as u64);
            self.bad.retain(|sector| !sectors.contains(sector));
        }
    }

    fn is_bad(&self, at: u64, len: usize) -> bool {
        self.bad.range(at / SECTOR as u64..(at + len as u64).div_ceil(SECTOR as u64)).next().is_some()
    }

    pub(super) fn change(&mut self, at: u64, change: impl Fn(u8) -> u8) -> bool {
        let there = at < self.now.size;
        for image in [&mut self.now, &mut self.kept] {
            if at < image.size {
                let mut byte = [0];
                image.copy_out(at, &mut byte);
                image.put(at, &[change(byte[0])]);
            }
        }
        there
    }

    pub(super) fn spoil(&mut self, at: u64) -> bool {
        at < self.now.size && self.bad.insert(at / SECTOR as u64)
    }
}

/// Which sectors of a write a crash keeps.
enum Surviving {
    /// Each so many times in a hundred.
    Percent(usize),
    /// The first ones: a disk that writes in order.
    First(usize),
}

impl Surviving {
    fn of(share: Share, sectors: usize, random: &mut Random) -> Surviving {
        match share {
            Share::Nothing => Surviving::Percent(0),
            Share::Everything => Surviving::Percent(100),
            Share::Some if random.chance(25) => Surviving::First(random.below(sectors + 1)),
            Share::Some => Surviving::Percent([0, 0, 10, 50, 90, 100][random.below(6)]),
        }
    }
}

/// Keeps some sectors of a write; says how many, of how many.
fn keep_sectors(image: &mut Image, at: u64, bytes: &[u8], share: Share, random: &mut Random) -> (usize, usize) {
    let sector = SECTOR as u64;
    let all = ((at + bytes.len() as u64).div_ceil(sector) - at / sector) as usize;
    let keep = Surviving::of(share, all, random);
    let (mut kept, mut from) = (0, 0);
    for i in 0..all {
        let to = bytes.len().min(from + SECTOR - (at as usize + from) % SECTOR);
        let stays = match keep {
            Surviving::Percent(percent) => random.chance(percent),
            Surviving::First(count) => i < count,
        };
        if stays {
            image.put(at + from as u64, &bytes[from..to]);
            kept += 1;
        }
        from = to;
    }
    (kept, all)
}

impl State {
    /// Reads into `out`; how much there was.
    pub(super) fn read(&mut self, inode: usize, at: u64, out: &mut [u8], direct: bool) -> io::Result<usize> {
        self.counters.reads += 1;
        if self.strikes(self.faults.read_errors) {
            self.counters.errors += 1;
            self.say(inode, || format!("read {at}+{} fails", out.len()));
            return Err(os_error(libc::EIO));
        }
        let short = self.strikes(self.faults.short_reads);
        let file = self.file(inode)?;
        let mut count = usize::try_from(file.size().saturating_sub(at)).unwrap_or(usize::MAX).min(out.len());
        if file.is_bad(at, count) {
            self.counters.errors += 1;
            self.say(inode, || format!("read {at}+{count} meets a bad sector"));
            return Err(os_error(libc::EIO));
        }
        // A direct read ends at a block boundary, unless at the end of the file.
        let unit = if direct { BLOCK } else { 1 };
        if short && count > unit {
            count = (count / 2).next_multiple_of(unit).min(count);
        }
        self.file(inode)?.copy_out(at, &mut out[..count]);
        self.say(inode, || format!("read {at}+{count}"));
        Ok(count)
    }

    /// Writes `bytes`; durably, if asked.
    pub(super) fn write(&mut self, inode: usize, at: u64, mut bytes: Vec<u8>, durably: bool) -> io::Result<usize> {
        let count = bytes.len();
        self.counters.writes += 1;
        self.reserve(inode, at + count as u64)?;
        let manner = if durably { "durably" } else { "unflushed" };
        if self.strikes(self.faults.write_errors) {
            self.counters.errors += 1;
            self.say(inode, || format!("write {at}+{count} fails"));
            let part = self.random.below(count / SECTOR + 1) * SECTOR;
            bytes.truncate(part);
            self.file_mut(inode)?.write(at, bytes);
            return Err(os_error(libc::EIO));
        }
        if self.strikes(self.faults.lost_writes) {
            self.counters.silent_faults += 1;
            self.say(inode, || format!("write {at}+{count} is lost"));
            let file = self.file_mut(inode)?;
            file.resize(file.size().max(at + count as u64));
            return Ok(count);
        }
        let mut place = at;
        if self.strikes(self.faults.misdirected_writes) {
            let blocks = self.file(inode)?.size() / BLOCK as u64 + 1;
            place = self.random.below(blocks as usize) as u64 * BLOCK as u64;
            self.counters.silent_faults += u64::from(place != at);
        }
        self.say(inode, || format!("write {place}+{count} {manner}"));
        let file = self.file_mut(inode)?;
        file.write(place, bytes);
        if durably {
            file.flush_range(place, count as u64);
        }
        Ok(count)
    }

    /// Takes space for a file that is to reach up to `end`.
    pub(super) fn reserve(&mut self, inode: usize, end: u64) -> io::Result<()> {
        let wanted = end.next_multiple_of(BLOCK as u64);
        let had = self.file(inode)?.allocated;
        if wanted <= had || self.file(inode)?.removed {
            return Ok(());
        }
        if self.used + (wanted - had) > self.capacity {
            self.counters.refused_full += 1;
            self.say(inode, || "the disk is full".to_owned());
            return Err(os_error(libc::ENOSPC));
        }
        self.used += wanted - had;
        self.file_mut(inode)?.allocated = wanted;
        Ok(())
    }

    pub(super) fn truncate(&mut self, inode: usize, size: u64) -> io::Result<()> {
        self.say(inode, || format!("cut to {size}"));
        let file = self.file_mut(inode)?;
        file.resize(size);
        let wanted = size.next_multiple_of(BLOCK as u64);
        let back = file.allocated.saturating_sub(wanted);
        file.allocated -= back;
        let back = if file.removed { 0 } else { back };
        self.used = self.used.saturating_sub(back);
        Ok(())
    }

    pub(super) fn allocate(&mut self, inode: usize, end: u64, keep_size: bool) -> io::Result<()> {
        self.reserve(inode, end)?;
        self.say(inode, || format!("reserve up to {end}"));
        let file = self.file_mut(inode)?;
        if !keep_size {
            file.resize(file.size().max(end));
        }
        Ok(())
    }

    /// Flushes a file's data and size, or a folder's names.
    pub(super) fn flush(&mut self, inode: usize) -> io::Result<()> {
        self.counters.flushes += 1;
        let fails = self.strikes(self.faults.flush_errors);
        self.say(inode, || if fails { "flush fails" } else { "flush" }.to_owned());
        if let Ok(folder) = self.folder_mut(inode) {
            if !fails {
                folder.flush();
            }
        } else if fails {
            let mut random = self.random.clone();
            self.file_mut(inode)?.forsake(&mut random);
            self.random = random;
        } else {
            self.file_mut(inode)?.flush();
        }
        if fails {
            self.counters.errors += 1;
            return Err(os_error(libc::EIO));
        }
        Ok(())
    }
}
