//! Where time is spent: samples of all threads of a process.

use std::path::Path;

use serde::Serialize;

use crate::{Perf, PerfError, Profile, process};

/// Samples a second: not a round number, so that nothing periodic hides between them.
const FREQUENCY: &str = "999";

/// What was recorded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Recorded {
    /// The process.
    pub pid: u32,
    /// What was sampled.
    pub event: &'static str,
    /// For how long, in seconds.
    pub seconds: u64,
    /// Samples, of all threads.
    pub samples: u64,
    /// Whether the kernel's functions have names.
    pub kernel_names: bool,
    /// The version of `perf`.
    pub perf: String,
}

/// Samples a process for some seconds; `data` is where the samples lie meanwhile.
///
/// # Errors
/// When `perf` is not there, not permitted or fails, or when the process slept all the time.
pub fn flame(perf: &Perf, pid: u32, seconds: u64, data: &Path) -> Result<(Profile, Recorded), PerfError> {
    process::must_run(pid)?;
    let event = perf.event();
    let (pid_text, seconds_text, file) = (pid.to_string(), seconds.to_string(), data.to_string_lossy().into_owned());
    let arguments = ["record", "-q", "-e", event.name(), "-F", FREQUENCY, "-g", "-p", &pid_text, "-o", &file];
    let outcome = perf.run("sampling a process", &[&arguments[..], &["--", "sleep", &seconds_text]].concat());
    if let Err(error) = outcome {
        process::must_run(pid)?;
        return Err(error);
    }
    // Inlined calls are left out: looking each one up takes minutes in a binary with line tables.
    // Without periods: each sample counts once, whatever was sampled.
    let fields = "comm,pid,tid,time,event,ip,sym,symoff,dso";
    let arguments = ["script", "--no-inline", "-F", fields, "-i", &file];
    let profile = perf.read("reading samples", &arguments, |out| Profile::fold(out))?;
    let samples = profile.total();
    if samples == 0 {
        return Err(PerfError::NothingSeen { seconds });
    }
    let kernel_names =
        profile.all().iter().any(|(stack, _)| stack.contains("_[k]") && !stack.contains("[unknown]_[k]"));
    let perf = perf.version.clone();
    Ok((profile, Recorded { pid, event: event.name(), seconds, samples, kernel_names, perf }))
}
