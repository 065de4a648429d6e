//! A broker of our own, started to be looked at.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::PerfError;

const READY: &str = "bootstrap.servers=";
/// How long stopping may take before it is ended.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A broker that runs as long as this lives.
#[derive(Debug)]
pub struct OwnBroker {
    child: Child,
    /// Kept open: a broker that cannot print ends.
    _output: BufReader<ChildStdout>,
    /// Where clients connect.
    pub bootstrap: String,
}

impl OwnBroker {
    /// Starts `program start` with its data below `folder`, on free ports; its log goes to `folder/broker.log`.
    ///
    /// # Errors
    /// When it does not come up: what it said last is in the message.
    pub fn start(program: &Path, folder: &Path) -> Result<OwnBroker, PerfError> {
        let log = folder.join("broker.log");
        let file = File::create(&log).map_err(PerfError::io("write", &log))?;
        let mut command = Command::new(program);
        command.arg("start").arg("--data").arg(folder.join("data"));
        command.args(["--listen", "127.0.0.1:0", "--set", "ottla.admin.listen=127.0.0.1:0"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().map_err(PerfError::io("start", program))?;
        let Some(output) = child.stdout.take() else { return Err(failed(&log)) };
        let mut output = BufReader::new(output);
        let mut lines = output.by_ref().lines().map_while(Result::ok);
        let ready = lines.find_map(|line| line.split_once(READY).map(|(_, address)| address.trim().to_owned()));
        match ready {
            Some(bootstrap) => Ok(OwnBroker { child, _output: output, bootstrap }),
            None => {
                let _ = child.wait();
                Err(failed(&log))
            }
        }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

fn failed(log: &Path) -> PerfError {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing").to_owned();
    PerfError::Child { what: "the broker".to_owned(), said: last }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        // The standard library knows only how to kill; being asked, a broker stops cleanly.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        if await_end(&mut self.child, STOP_PATIENCE).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits for a program's end, but not for longer than `patience`.
pub fn await_end(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if begun.elapsed() < patience => std::thread::sleep(LOOK_EVERY),
            _ => return None,
        }
    }
}
