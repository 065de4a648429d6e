//! Linux `perf`, as a program.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

use crate::PerfError;

/// Words in what `perf` says that mean: the kernel does not let you.
const FORBIDDEN: [&str; 6] = [
    "perf_event_paranoid",
    "Permission denied",
    "Operation not permitted",
    "Access to performance",
    "not permitted",
    "No permission",
];
/// What it says of a process that is not there.
const NO_PROCESS: [&str; 2] = ["No such process", "couldn't monitor"];

/// What is sampled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The processor's own counter.
    Cycles,
    /// A timer of the kernel's: where there are no counters, as in most virtual machines.
    CpuClock,
}

impl Event {
    /// As `perf` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Event::Cycles => "cycles",
            Event::CpuClock => "cpu-clock",
        }
    }
}

/// The program, which is there and runs on this kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Perf {
    program: String,
    /// As it says itself.
    pub version: String,
}

impl Perf {
    /// Finds it: `PERF` in the environment, or `perf` on the path.
    ///
    /// # Errors
    /// [`PerfError::NotInstalled`], with the command that installs it.
    pub fn find() -> Result<Perf, PerfError> {
        let program = std::env::var("PERF").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "perf".to_owned());
        // Ubuntu's `perf` is a script that fails where the kernel's own package is missing.
        match Command::new(&program).arg("--version").stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => {
                let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                Ok(Perf { program, version })
            }
            _ => Err(PerfError::NotInstalled {
                install: install(&fs::read_to_string("/etc/os-release").unwrap_or_default()),
            }),
        }
    }

    /// What can be sampled here.
    pub fn event(&self) -> Event {
        let output = self.command().args(["stat", "-x,", "-e", "cycles", "--", "true"]).output();
        let said = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
        let counts = |line: &str| line.split(',').next().is_some_and(|count| count.parse::<u64>().is_ok());
        if said.lines().any(counts) { Event::Cycles } else { Event::CpuClock }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Its messages are read, so they must be in English; its pager would wait for a person.
        command.env("LC_ALL", "C").env("PERF_PAGER", "cat").stdin(Stdio::null());
        command
    }

    /// Runs it to its end; gives what it says on standard error.
    pub(crate) fn run(&self, what: &'static str, arguments: &[&str]) -> Result<String, PerfError> {
        let output = self.command().args(arguments).output().map_err(PerfError::io("run", Path::new(&self.program)))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(said) } else { Err(refused(what, &said)) }
    }

    /// Runs it and reads what it prints.
    pub(crate) fn read<T>(
        &self,
        what: &'static str,
        arguments: &[&str],
        take: impl FnOnce(&mut dyn BufRead) -> Result<T, PerfError>,
    ) -> Result<T, PerfError> {
        let mut command = self.command();
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(PerfError::io("run", Path::new(&self.program)))?;
        let complaints = complaints(&mut child);
        let Some(output) = child.stdout.take() else { return Err(refused(what, "it has no output")) };
        let taken = take(&mut BufReader::<ChildStdout>::with_capacity(1 << 16, output));
        let status = child.wait().map_err(PerfError::io("run", Path::new(&self.program)))?;
        let said = complaints.and_then(|thread| thread.join().ok()).unwrap_or_default();
        // What was read first explains more than how it ended.
        let taken = taken?;
        if status.success() { Ok(taken) } else { Err(refused(what, &said)) }
    }
}

/// Reads what a program complains about while somebody else reads what it prints.
fn complaints(child: &mut Child) -> Option<JoinHandle<String>> {
    let mut stream = child.stderr.take()?;
    Some(thread::spawn(move || {
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        said
    }))
}

fn refused(what: &'static str, said: &str) -> PerfError {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("Error:"));
    let said = lines.take(3).collect::<Vec<_>>().join(" ");
    if has(&FORBIDDEN) && !has(&NO_PROCESS) {
        return PerfError::Forbidden { what, said };
    }
    PerfError::Tool { what, said }
}

/// How `perf` is installed on the system that `/etc/os-release` describes.
fn install(release: &str) -> String {
    let field = |name: &str| {
        let of = |line: &str| Some(line.strip_prefix(name)?.strip_prefix('=')?.trim_matches('"').to_owned());
        release.lines().find_map(of).unwrap_or_default()
    };
    let names = format!("{} {}", field("ID"), field("ID_LIKE"));
    let has = |name: &str| names.split_whitespace().any(|known| known == name);
    if has("ubuntu") {
        "apt install linux-tools-common linux-tools-$(uname -r)".to_owned()
    } else if has("debian") {
        "apt install linux-perf".to_owned()
    } else if has("fedora") || has("rhel") || has("centos") {
        "dnf install perf".to_owned()
    } else if has("suse") || has("opensuse") {
        "zypper install perf".to_owned()
    } else if has("arch") {
        "pacman -S perf".to_owned()
    } else if has("alpine") {
        "apk add perf".to_owned()
    } else {
        "install your system's package of Linux perf (tools/perf of the kernel's sources), or set PERF to where it is"
            .to_owned()
    }
}

#[cfg(test)]
mod tests;
