//! What a process has used so far, and the difference between two such looks.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::process::{cpu_seconds, resident_bytes};

/// What a process has used since its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    cpu: f64,
    switches: (u64, u64),
    disk: (u64, u64),
    resident: u64,
}

/// What a process used in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU-seconds, user and system, of all threads.
    pub cpu_seconds: f64,
    /// Times that its threads went to sleep.
    pub voluntary_switches: u64,
    /// Times that they were put aside.
    pub involuntary_switches: u64,
    /// Bytes that it caused to be read from the disk.
    pub disk_read_bytes: u64,
    /// Bytes that it caused to be written to it.
    pub disk_written_bytes: u64,
    /// Resident memory at the end, in bytes.
    pub resident_bytes: u64,
}

impl Look {
    /// At a process. What may not be read is 0.
    pub fn at(pid: u32) -> Look {
        Look {
            cpu: cpu_seconds(pid).unwrap_or(0.0),
            switches: switches(pid),
            disk: disk(pid),
            resident: resident_bytes(pid).unwrap_or(0),
        }
    }

    /// CPU-seconds since its start.
    pub fn cpu(&self) -> f64 {
        self.cpu
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        self.resident
    }

    /// From an earlier look to this one.
    pub fn since(&self, earlier: &Look) -> Usage {
        Usage {
            cpu_seconds: (self.cpu - earlier.cpu).max(0.0),
            voluntary_switches: self.switches.0.saturating_sub(earlier.switches.0),
            involuntary_switches: self.switches.1.saturating_sub(earlier.switches.1),
            disk_read_bytes: self.disk.0.saturating_sub(earlier.disk.0),
            disk_written_bytes: self.disk.1.saturating_sub(earlier.disk.1),
            resident_bytes: self.resident,
        }
    }
}

impl Usage {
    /// As if the window had been so many times as long.
    pub fn scale(&mut self, factor: f64) {
        let scaled = |count: u64| (count as f64 * factor) as u64;
        self.cpu_seconds *= factor;
        self.voluntary_switches = scaled(self.voluntary_switches);
        self.involuntary_switches = scaled(self.involuntary_switches);
        self.disk_read_bytes = scaled(self.disk_read_bytes);
        self.disk_written_bytes = scaled(self.disk_written_bytes);
    }

    /// Together with another's; memory added.
    pub fn add(&mut self, other: &Usage) {
        self.cpu_seconds += other.cpu_seconds;
        self.voluntary_switches += other.voluntary_switches;
        self.involuntary_switches += other.involuntary_switches;
        self.disk_read_bytes += other.disk_read_bytes;
        self.disk_written_bytes += other.disk_written_bytes;
        self.resident_bytes += other.resident_bytes;
    }
}

/// Context switches of the threads that live now: voluntary, involuntary.
fn switches(pid: u32) -> (u64, u64) {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return (0, 0) };
    let mut sum = (0, 0);
    for task in tasks.flatten() {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        sum.0 += field(&status, "voluntary_ctxt_switches:");
        sum.1 += field(&status, "nonvoluntary_ctxt_switches:");
    }
    sum
}

/// Bytes from and to the disk: only its owner may know.
fn disk(pid: u32) -> (u64, u64) {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    (field(&io, "read_bytes:"), field(&io, "write_bytes:"))
}

fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or(0)
}
