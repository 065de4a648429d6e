//! Tracepoints counted by thread.

use std::collections::BTreeMap;

use crate::{Perf, PerfError, process};

/// What is counted: operations given to worker threads, and all system calls.
pub const TRACEPOINTS: [&str; 2] = ["io_uring:io_uring_queue_async_work", "raw_syscalls:sys_enter"];

/// How often each tracepoint was passed, by thread number and tracepoint.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counted(BTreeMap<(u32, String), u64>);

impl Counted {
    /// How often a thread passed a tracepoint.
    pub fn of(&self, tid: u32, tracepoint: &str) -> u64 {
        self.0.get(&(tid, tracepoint.to_owned())).copied().unwrap_or(0)
    }

    /// Reads `perf stat -x, --per-thread`: `name-tid,count,unit,event,…`.
    pub fn parse(text: &str) -> Counted {
        let mut counted = Counted::default();
        for line in text.lines() {
            let fields: Vec<&str> = line.split(',').collect();
            let (Some(thread), Some(count), Some(event)) = (fields.first(), fields.get(1), fields.get(3)) else {
                continue;
            };
            let tid = thread.rsplit_once('-').and_then(|(_, tid)| tid.parse::<u32>().ok());
            // What was not passed at all is `<not counted>`.
            if let (Some(tid), Ok(count)) = (tid, count.parse::<u64>()) {
                *counted.0.entry((tid, (*event).to_owned())).or_insert(0) += count;
            }
        }
        counted
    }
}

/// Counts the tracepoints of a process for some seconds.
///
/// # Errors
/// When `perf` is not there, or tracepoints are not permitted.
pub fn count(perf: &Perf, pid: u32, seconds: u64) -> Result<Counted, PerfError> {
    process::must_run(pid)?;
    let (pid, seconds, events) = (pid.to_string(), seconds.to_string(), TRACEPOINTS.join(","));
    let arguments = ["stat", "-x,", "--per-thread", "-e", &events, "-p", &pid, "--", "sleep", &seconds];
    let said = perf.run("counting tracepoints", &arguments).map_err(|error| match error {
        PerfError::Tool { what, said } if said.contains("tracefs") || said.contains("tracepoint") => {
            PerfError::Forbidden { what, said }
        }
        other => other,
    })?;
    Ok(Counted::parse(&said))
}

#[cfg(test)]
mod tests;
