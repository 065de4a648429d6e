//! What this machine could do at best, measured right before a run: the disk with O_DIRECT and flushes, and loopback.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::error::{BenchError, During, Result};

/// How long each probe may take.
const PROBE: Duration = Duration::from_millis(400);
/// Bytes of one write.
const BLOCK: usize = 512 << 10;
/// Writers at once, a part of the file each.
const WRITERS: u64 = 4;
/// Bytes of a part, written round and round.
const PART: u64 = 32 << 20;
/// What buffers of O_DIRECT are aligned to.
const ALIGN: usize = 4096;
/// Bytes written to a socket at once.
const SEND: usize = 256 << 10;

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Where the disk was measured; empty: it was not.
    pub disk: String,
    /// 10⁶ bytes a second written with O_DIRECT, 512 KiB at a time, four at once; flushed at the end.
    pub disk_mb_per_second: f64,
    /// 4 KiB writes flushed (`fdatasync`) one after the other, a second.
    pub flushes_per_second: f64,
    /// 10⁶ bytes a second over loopback, one connection.
    pub loopback_mb_per_second: f64,
    /// What could not be measured, and why.
    pub notes: Vec<String>,
}

impl Limits {
    /// Measures; about 1.3 s. `folder` should lie on the broker's disk.
    pub fn probe(folder: Option<&Path>) -> Limits {
        let mut limits = Limits::default();
        match folder {
            Some(folder) => {
                if let Err(why) = limits.probe_disk(folder) {
                    limits.notes.push(format!("disk not measured: {why}"));
                }
            }
            None => limits.notes.push("disk not measured: no folder on the broker's disk; say --data DIR".to_owned()),
        }
        match loopback() {
            Ok(rate) => limits.loopback_mb_per_second = rate,
            Err(why) => limits.notes.push(format!("loopback not measured: {why}")),
        }
        limits
    }

    fn probe_disk(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join(format!(".ottla-bench-probe-{}", std::process::id()));
        let outcome = self.probe_file(&path);
        let _ = fs::remove_file(&path);
        self.disk = folder.display().to_string();
        outcome
    }

    fn probe_file(&mut self, path: &Path) -> Result<()> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600));
        let file = file.map_err(std::io::Error::from).during(|| format!("open {} with O_DIRECT", path.display()))?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, WRITERS * PART)?;
        let begun = Instant::now();
        let written: u64 = std::thread::scope(|scope| {
            let write = |part: u64| {
                let file = &file;
                scope.spawn(move || write_part(file, part * PART, begun + PROBE))
            };
            let writers: Vec<_> = (0..WRITERS).map(write).collect();
            writers.into_iter().map(|writer| writer.join().unwrap_or(Ok(0))).sum::<std::io::Result<u64>>()
        })?;
        rustix::fs::fdatasync(&file)?;
        self.disk_mb_per_second = written as f64 / 1e6 / begun.elapsed().as_secs_f64();
        let block = vec![0x55; ALIGN * 2];
        let block = aligned(&block, ALIGN);
        let begun = Instant::now();
        let mut flushes = 0u64;
        while begun.elapsed() < PROBE {
            rustix::io::pwrite(&file, block, (flushes % 4096) * ALIGN as u64)?;
            rustix::fs::fdatasync(&file)?;
            flushes += 1;
        }
        self.flushes_per_second = flushes as f64 / begun.elapsed().as_secs_f64();
        Ok(())
    }
}

/// The first `bytes` of the buffer that begin at a multiple of [`ALIGN`].
fn aligned(buffer: &[u8], bytes: usize) -> &[u8] {
    let at = buffer.as_ptr().align_offset(ALIGN);
    &buffer[at..at + bytes]
}

fn write_part(file: &rustix::fd::OwnedFd, from: u64, until: Instant) -> std::io::Result<u64> {
    let buffer = vec![0xa5; BLOCK + ALIGN];
    let block = aligned(&buffer, BLOCK);
    let mut written = 0;
    while Instant::now() < until {
        written += rustix::io::pwrite(file, block, from + written % PART)? as u64;
    }
    Ok(written)
}

fn loopback() -> Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let begun = Instant::now();
    let received = std::thread::scope(|scope| {
        scope.spawn(move || {
            let bytes = vec![0; SEND];
            while begun.elapsed() < PROBE && sender.write_all(&bytes).is_ok() {}
        });
        let mut bytes = vec![0; SEND];
        let mut received = 0u64;
        loop {
            match receiver.read(&mut bytes) {
                Ok(0) => return Ok::<u64, BenchError>(received),
                Ok(count) => received += count as u64,
                Err(error) => return Err(error.into()),
            }
        }
    })?;
    Ok(received as f64 / 1e6 / begun.elapsed().as_secs_f64())
}

/// A folder of ours on the disk that a process keeps its data on: where its largest open file lies.
pub fn folder_beside(pid: u32) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let open = descriptors.flatten().filter_map(|entry| fs::metadata(entry.path()).ok());
    let data = open.filter(|file| file.is_file()).max_by_key(std::fs::Metadata::len)?;
    let ours = [std::env::temp_dir(), PathBuf::from("/var/tmp"), std::env::current_dir().ok()?];
    ours.into_iter().find(|folder| fs::metadata(folder).is_ok_and(|folder| folder.dev() == data.dev()))
}
