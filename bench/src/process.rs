//! What the kernel says of a process: CPU time, memory, who listens on a port.

use std::fs;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::error::{BenchError, During, Result};

/// CPU time of a process in seconds, user and system, all its threads and kernel workers (io-wq) included.
/// The clock of `/proc` ticks a hundred times a second: measure over seconds.
///
/// # Errors
/// [`BenchError::Io`] when the process is gone, [`BenchError::Missing`] when the file makes no sense.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).during(|| format!("read {path}"))?;
    // The command's name, in parentheses, may hold blanks and parentheses.
    let after = stat.rfind(')').map_or("", |at| &stat[at + 1..]);
    let mut fields = after.split_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    let (user, system) =
        fields.next().zip(fields.next()).ok_or(BenchError::Missing { what: format!("times in {path}") })?;
    Ok((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// CPU time of this process in seconds.
///
/// # Errors
/// As [`cpu_seconds`].
pub fn own_cpu_seconds() -> Result<f64> {
    cpu_seconds(std::process::id())
}

/// Resident memory of a process in bytes.
///
/// # Errors
/// [`BenchError::Io`] when the process is gone, [`BenchError::Missing`] when the file makes no sense.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).during(|| format!("read {path}"))?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or(BenchError::Missing { what: format!("VmRSS in {path}") })
}

/// Sends a signal to a process.
///
/// # Errors
/// The operating system's: there is no such process, or it is another user's.
pub fn signal(pid: u32, signal: Signal) -> rustix::io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    kill_process(pid, signal)
}

/// The process that listens on a TCP port of this host.
///
/// # Errors
/// [`BenchError::Missing`] when none does, or it belongs to another user.
pub fn listener_pid(port: u16) -> Result<u32> {
    let missing = || BenchError::Missing { what: format!("a process that listens on port {port}; say --pid") };
    let inode = listening_inode(port).ok_or_else(missing)?;
    let target = PathBuf::from(format!("socket:[{inode}]"));
    let entries = fs::read_dir("/proc").during(|| "read /proc".to_owned())?;
    let mut pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| holds(*pid, &target)).ok_or_else(missing)
}

fn holds(pid: u32, target: &PathBuf) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|link| link == *target))
}

/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

fn listening_inode(port: u16) -> Option<u64> {
    let wanted = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|path| {
        let table = fs::read_to_string(path).ok()?;
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listens = fields.get(1)?.ends_with(&wanted) && *fields.get(3)? == LISTEN;
            if listens { fields.get(9)?.parse().ok() } else { None }
        })
    })
}
