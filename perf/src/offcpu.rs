//! Where a process waits: the stack with which each thread leaves its processor, and how long it is away.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;

use crate::{Perf, PerfError, Profile, Thread, process};

const EVENT: &str = "sched:sched_switch";
/// Stands innermost where a thread did not wait but was sent away.
const PREEMPTED: &str = "[preempted]";

/// The scheduler's own functions, innermost in every wait: they tell nothing.
const SCHEDULER: [&str; 5] =
    ["__schedule", "schedule", "schedule_timeout", "schedule_hrtimeout_range", "schedule_hrtimeout_range_clock"];

/// Records for some seconds where the threads of a process wait; counts are microseconds.
///
/// # Errors
/// When `perf` is not there, tracepoints are not permitted, or nothing was seen.
pub fn offcpu(perf: &Perf, pid: u32, seconds: u64, data: &Path) -> Result<Profile, PerfError> {
    process::must_run(pid)?;
    let (pid_text, seconds_text, file) = (pid.to_string(), seconds.to_string(), data.to_string_lossy().into_owned());
    let arguments = ["record", "-q", "-e", EVENT, "--switch-events", "-g", "-p", &pid_text, "-o", &file];
    perf.run("tracing the scheduler", &[&arguments[..], &["--", "sleep", &seconds_text]].concat())
        .map_err(tracing_refused)?;
    let arguments = ["script", "--no-inline", "--show-switch-events", "-i", &file];
    let profile = perf.read("reading samples", &arguments, |out| fold_waits(out))?;
    if profile.total() == 0 {
        return Err(PerfError::NothingSeen { seconds });
    }
    Ok(profile)
}

/// A missing tracefs is told as an unknown event.
fn tracing_refused(error: PerfError) -> PerfError {
    match error {
        PerfError::Tool { what, said }
            if said.contains("tracefs") || said.contains("unknown tracepoint") || said.contains(EVENT) =>
        {
            PerfError::Forbidden { what, said }
        }
        other => other,
    }
}

/// A thread that is away: since when, in microseconds, and with which stack.
struct Away {
    since_us: u64,
    /// From the innermost on.
    frames: Vec<String>,
    /// Those in front that are no functions.
    marks: usize,
}

fn is_scheduler(frame: &str) -> bool {
    frame.strip_suffix("_[k]").is_some_and(|name| SCHEDULER.contains(&name))
}

/// Folds what `perf script --show-switch-events` prints of `sched:sched_switch`; counts are microseconds.
///
/// # Errors
/// When it cannot be read.
pub fn fold_waits(script: impl BufRead) -> Result<Profile, PerfError> {
    let mut profile = Profile::default();
    let mut away: HashMap<u32, Away> = HashMap::new();
    let mut leaving: Option<u32> = None;
    for line in script.split(b'\n') {
        let line = line.map_err(PerfError::io("read", Path::new("perf script")))?;
        let line = String::from_utf8_lossy(&line);
        if line.starts_with('\t') || line.starts_with("    ") {
            if let Some(away) = leaving.and_then(|tid| away.get_mut(&tid)) {
                away.frames.extend(frame(&line).filter(|name| away.frames.len() > away.marks || !is_scheduler(name)));
            }
            continue;
        }
        leaving = None;
        let Some(head) = Head::parse(&line) else { continue };
        if head.rest.contains(EVENT) {
            let preempted = head.rest.contains("prev_state=R");
            let frames = if preempted { vec![PREEMPTED.to_owned()] } else { Vec::new() };
            let marks = frames.len();
            away.insert(head.thread.tid, Away { since_us: head.micros, frames, marks });
            leaving = Some(head.thread.tid);
        } else if head.rest.contains("PERF_RECORD_SWITCH IN")
            && let Some(away) = away.remove(&head.thread.tid)
        {
            let stack = away.frames.into_iter().rev().collect::<Vec<_>>().join(";");
            let stack = if stack.is_empty() { "[unknown]".to_owned() } else { stack };
            profile.add(head.thread, stack, head.micros.saturating_sub(away.since_us));
        }
    }
    Ok(profile)
}

/// The first line of an event: `name tid [cpu] seconds.micros: what`.
struct Head<'a> {
    thread: Thread,
    micros: u64,
    rest: &'a str,
}

impl Head<'_> {
    fn parse(line: &str) -> Option<Head<'_>> {
        // A name may hold blanks; what follows it does not begin before the processor's number in brackets.
        let (left, right) = line.split_once(" [")?;
        let (_, right) = right.split_once("] ")?;
        let (name, tid) = left.trim().rsplit_once(' ')?;
        let (time, rest) = right.trim_start().split_once(": ")?;
        let (seconds, micros) = time.split_once('.')?;
        let micros = seconds
            .parse::<u64>()
            .ok()?
            .checked_mul(1_000_000)?
            .checked_add(format!("{micros:0<6}").get(..6)?.parse().ok()?)?;
        let tid = tid.rsplit('/').next()?.parse().ok()?;
        Some(Head { thread: Thread { name: name.trim().to_owned(), tid }, micros, rest })
    }
}

/// `  ffffffff81b46d9f io_cqring_wait+0x68f ([kernel.kallsyms])`: the function, marked where it is the kernel's.
fn frame(line: &str) -> Option<String> {
    let (_, rest) = line.trim().split_once(' ')?;
    let (function, module) = rest.rsplit_once(" (").unwrap_or((rest, ""));
    let function = function.rsplit_once("+0x").map_or(function, |(function, _)| function);
    let kernel = if module.starts_with("[kernel") || module.ends_with(".ko)") { "_[k]" } else { "" };
    // What parts frames must not be in one.
    Some(format!("{}{kernel}", function.replace(';', ":")))
}

#[cfg(test)]
mod tests;
