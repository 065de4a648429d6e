//! A broker as a process: started, awaited, stopped, killed.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::connection::answers;
use crate::error::{BenchError, During, Result};
use crate::process::signal;

/// How often a broker that starts is asked.
const ASK_EVERY: Duration = Duration::from_micros(500);
/// How often the end of a process is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How to start a broker.
#[derive(Clone, Debug)]
pub struct BrokerCommand {
    /// Program and arguments.
    pub words: Vec<String>,
    /// Where it will listen.
    pub addr: SocketAddr,
    /// Where its output goes, appended.
    pub log: PathBuf,
    /// In a process group of its own, which a Ctrl-C does not reach: it serves until this program ends it.
    pub apart: bool,
}

/// Brokers in groups of their own.
static APART: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Kills brokers that a Ctrl-C does not reach: this program is about to end without stopping them.
pub fn kill_all() {
    let Ok(pids) = APART.lock() else { return };
    for pid in pids.iter() {
        let _ = signal(*pid, Signal::KILL);
    }
}

impl BrokerCommand {
    /// Starts it, with some more arguments.
    ///
    /// # Errors
    /// [`BenchError::Io`], [`BenchError::BadArgument`] for no program, or a port that is taken already.
    pub fn start(&self, more: &[String]) -> Result<RunningBroker> {
        if answers(self.addr) {
            return Err(BenchError::BadArgument { why: format!("a broker answers on {} already", self.addr) });
        }
        let (program, arguments) =
            self.words.split_first().ok_or_else(|| BenchError::BadArgument { why: "no broker command".to_owned() })?;
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.during(|| format!("open {}", self.log.display()))?;
        let errors = log.try_clone().during(|| "duplicate a descriptor".to_owned())?;
        let started = Instant::now();
        let mut command = Command::new(program);
        if self.apart {
            command.process_group(0);
        }
        let child = command
            .args(arguments)
            .args(more)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .during(|| format!("start {program}"))?;
        if self.apart
            && let Ok(mut pids) = APART.lock()
        {
            pids.push(child.id());
        }
        Ok(RunningBroker { child, started, addr: self.addr, log: self.log.clone() })
    }
}

/// A broker that was started here. Dropped, it is killed.
#[derive(Debug)]
pub struct RunningBroker {
    child: Child,
    started: Instant,
    addr: SocketAddr,
    log: PathBuf,
}

impl RunningBroker {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Time since it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until it answers ApiVersions; the time from its start.
    ///
    /// # Errors
    /// [`BenchError::BrokerEnded`], [`BenchError::TimedOut`].
    pub fn await_answer(&mut self, timeout: Duration) -> Result<Duration> {
        loop {
            if answers(self.addr) {
                return Ok(self.age());
            }
            self.must_run()?;
            if self.age() > timeout {
                return Err(BenchError::TimedOut { what: format!("first answer of the broker on {}", self.addr) });
            }
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// Checks that it has not ended.
    ///
    /// # Errors
    /// [`BenchError::BrokerEnded`].
    pub fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait().during(|| "wait for the broker".to_owned())? {
            None => Ok(()),
            Some(status) => Err(BenchError::BrokerEnded { status: status.to_string(), log: self.log.clone() }),
        }
    }

    /// Kills it (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// [`BenchError::Io`].
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().during(|| "kill the broker".to_owned())?;
        self.child.wait().during(|| "wait for the broker".to_owned())?;
        Ok(())
    }

    /// Stops it (SIGTERM) and waits for its end: how it ended and how long that took.
    ///
    /// # Errors
    /// [`BenchError::Io`], [`BenchError::TimedOut`].
    pub fn stop(&mut self, timeout: Duration) -> Result<(ExitStatus, Duration)> {
        let asked = Instant::now();
        signal(self.pid(), Signal::TERM)?;
        loop {
            if let Some(status) = self.child.try_wait().during(|| "wait for the broker".to_owned())? {
                return Ok((status, asked.elapsed()));
            }
            if asked.elapsed() > timeout {
                return Err(BenchError::TimedOut { what: "end of the broker after SIGTERM".to_owned() });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Ok(mut pids) = APART.lock() {
            pids.retain(|pid| *pid != self.child.id());
        }
    }
}
