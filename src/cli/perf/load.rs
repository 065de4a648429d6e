//! A broker of our own, and load on it by this very binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ottla_perf::{OwnBroker, PerfError, await_end, get, metrics_address, parse};

use crate::cli::Failure;

/// What is put on a broker unless told otherwise.
pub(super) const WORKLOAD: &str = "produce-16x1k";
/// How long the load runs beyond what is recorded: it must not end before that is understood, and is ended then.
const MARGIN_SECONDS: u64 = 120;
/// How long the load may take to begin, and what it has sent then.
const WORK_PATIENCE: Duration = Duration::from_secs(20);
const WORK_BYTES: f64 = 65_536.0;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A folder that is removed in the end.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn make() -> Result<Scratch, PerfError> {
        end_in_order();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ottla-perf-{}-{number}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => Ok(Scratch(path)),
            Err(error) => Err(PerfError::Io { what: "make", path, error }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Being interrupted ends what this has started, in its process group; what follows from that is told and cleared away as after any
/// other failure. Being interrupted again ends this at once.
fn end_in_order() {
    let seen = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Where a signal cannot be caught, a scratch folder may be left behind: no reason not to go on.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&seen));
        let _ = signal_hook::flag::register(signal, Arc::clone(&seen));
    }
}

/// This binary.
pub(super) fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::runtime(format!("this program does not know where it lies: {error}")))
}

/// `ottla bench run` at work; ended when this is dropped.
pub(super) struct Load(Child);

impl Load {
    /// Starts it: `seconds` are those that it counts; `more` are further flags.
    pub(super) fn start(workload: &str, bootstrap: &str, seconds: u64, more: &[String]) -> Result<Load, Failure> {
        let program = own_program()?;
        let mut command = Command::new(&program);
        command.args(["bench", "run", workload, "--bootstrap", bootstrap, "--duration", &format!("{seconds}s")]);
        command.args(["--no-probe", "--quiet"]).args(more);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        Ok(child.map(Load).map_err(|error| PerfError::Io { what: "start", path: program, error })?)
    }

    /// Waits until the broker has something to do: before that, nothing is worth recording. Does not wait for ever: a broker
    /// whose metrics cannot be found is recorded at once.
    pub(super) fn await_work(&mut self, pid: u32) -> Result<(), PerfError> {
        let Some(address) = metrics_address(pid) else { return Ok(()) };
        let begun = Instant::now();
        let idle = received(&address)?;
        while begun.elapsed() < WORK_PATIENCE && received(&address)? < idle + WORK_BYTES {
            self.must_run()?;
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Waits for its own end.
    pub(super) fn finish(mut self, patience: Duration) -> Result<(), PerfError> {
        match await_end(&mut self.0, patience) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(ended(&status.to_string())),
            None => Err(ended("it did not end in time")),
        }
    }

    /// Fails when it has ended already.
    pub(super) fn must_run(&mut self) -> Result<(), PerfError> {
        match self.0.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                Err(PerfError::Child { what: "the load".to_owned(), said: format!("it ended with {status}") })
            }
            Err(error) => Err(PerfError::Child { what: "the load".to_owned(), said: error.to_string() }),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        if await_end(&mut self.0, STOP_PATIENCE).is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn ended(said: &str) -> PerfError {
    PerfError::Child { what: "`ottla bench run`".to_owned(), said: said.to_owned() }
}

/// Bytes that a broker has received from clients.
fn received(address: &str) -> Result<f64, PerfError> {
    let samples = parse(&get(address)?);
    Ok(samples.iter().filter(|sample| sample.name == "ottla_received_bytes_total").map(|sample| sample.value).sum())
}

/// Starts a broker in a scratch folder, puts the workload on it, and calls `look` with its process.
pub(super) fn under_load<T>(
    workload: &str,
    seconds: u64,
    look: impl FnOnce(u32) -> Result<T, PerfError>,
) -> Result<T, Failure> {
    let program = own_program()?;
    let scratch = Scratch::make()?;
    let broker = OwnBroker::start(&program, scratch.path())?;
    eprintln!("a broker of its own at {}, process {}, with {workload} on it", broker.bootstrap, broker.pid());
    let mut load = Load::start(workload, &broker.bootstrap, seconds + MARGIN_SECONDS, &[])?;
    load.await_work(broker.pid())?;
    let seen = look(broker.pid());
    // What is seen of a broker without load is not worth showing: the load's failure goes first.
    load.must_run()?;
    Ok(seen?)
}
