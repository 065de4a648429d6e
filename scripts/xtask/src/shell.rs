use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Why a step did not go well, in one line.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure(error.to_string())
    }
}

/// The checkout's root: two folders above this crate.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.ancestors().nth(2).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Where things that need not be kept go.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Whether this is a machine that must have everything: nothing may be skipped.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// Whether a program is on the path.
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A program to run from the checkout's root.
pub(crate) struct Step(Command);

/// Cargo, the one that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Step {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut step = program(cargo).args(arguments);
    // What cargo set for us is not meant for the one we start.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_MANIFEST_PATH"] {
        step.0.env_remove(name);
    }
    step
}

/// Any program.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Step {
    let mut command = Command::new(name);
    command.current_dir(root()).stdin(Stdio::null());
    Step(command)
}

impl Step {
    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Step {
        self.0.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Step {
        self.0.env(name, value);
        self
    }

    pub(crate) fn within(mut self, folder: impl AsRef<Path>) -> Step {
        self.0.current_dir(folder);
        self
    }

    /// Runs it, its output going to ours.
    pub(crate) fn run(mut self, what: &str) -> Result<(), Failure> {
        heading(what);
        let begun = Instant::now();
        let status = self.0.status().map_err(|error| Failure(format!("{what}: {error}")))?;
        succeeded(what, status)?;
        println!("   {what}: {}", seconds(begun.elapsed()));
        Ok(())
    }

    /// Runs it, its output going to ours, and says how it ended.
    pub(crate) fn status(mut self, what: &str) -> Result<ExitStatus, Failure> {
        self.0.status().map_err(|error| Failure(format!("{what}: {error}")))
    }

    /// Runs it in silence; its output is shown only when it fails.
    pub(crate) fn quietly(mut self, what: &str) -> Result<String, Failure> {
        let output = self.0.output().map_err(|error| Failure(format!("{what}: {error}")))?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        println!("{text}");
        succeeded(what, output.status).map(|()| text)
    }

    /// Runs it, gives every line of standard output and error to `take`, and says how it ended. After `limit` it is killed.
    pub(crate) fn lines(
        mut self,
        what: &str,
        limit: Duration,
        mut take: impl FnMut(&str),
    ) -> Result<ExitStatus, Failure> {
        let mut child = self.spawn().map_err(|error| Failure(format!("{what}: {error}")))?;
        let (lines, received) = channel::<String>();
        let streams: [Option<Box<dyn std::io::Read + Send>>; 2] =
            [child.stdout.take().map(|pipe| Box::new(pipe) as _), child.stderr.take().map(|pipe| Box::new(pipe) as _)];
        for stream in streams.into_iter().flatten() {
            let lines = lines.clone();
            thread::spawn(move || {
                BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
            });
        }
        drop(lines);
        let deadline = Instant::now() + limit;
        loop {
            match received.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => take(&line),
                Err(RecvTimeoutError::Disconnected) => return Ok(child.wait()?),
                Err(RecvTimeoutError::Timeout) => {
                    child.kill()?;
                    child.wait()?;
                    return Err(Failure(format!("{what}: not done after {}", seconds(limit))));
                }
            }
        }
    }

    /// Starts it with both outputs piped to us.
    pub(crate) fn spawn(&mut self) -> std::io::Result<Child> {
        self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }
}

pub(crate) fn heading(what: &str) {
    println!("── {what}");
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn succeeded(what: &str, status: ExitStatus) -> Result<(), Failure> {
    if status.success() { Ok(()) } else { Err(Failure(format!("{what}: {status}"))) }
}
