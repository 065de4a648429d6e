//! A broker of our own, and load on it by this very binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ottla_perf::{OwnBroker, PerfError, await_end};

use crate::cli::Failure;

/// What is put on a broker unless told otherwise.
pub(super) const WORKLOAD: &str = "produce-16x1k";
/// How long the load runs beyond what is recorded: it must not end first.
const MARGIN_SECONDS: u64 = 20;
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A folder that is removed in the end.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn make() -> Result<Scratch, PerfError> {
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

/// This binary.
pub(super) fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::runtime(format!("this program does not know where it lies: {error}")))
}

/// `ottla bench run` at work; ended when this is dropped.
struct Load(Child);

impl Load {
    fn start(program: &Path, workload: &str, bootstrap: &str, seconds: u64) -> Result<Load, PerfError> {
        let mut command = Command::new(program);
        command.args(["bench", "run", workload, "--bootstrap", bootstrap, "--duration", &format!("{seconds}s")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        child.map(Load).map_err(|error| PerfError::Io { what: "start", path: program.to_path_buf(), error })
    }

    /// Fails when it has ended already.
    fn must_run(&mut self) -> Result<(), PerfError> {
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
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        if await_end(&mut self.0, STOP_PATIENCE).is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
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
    let mut load = Load::start(&program, workload, &broker.bootstrap, seconds + MARGIN_SECONDS)?;
    let seen = look(broker.pid());
    // What is seen of a broker without load is not worth showing: the load's failure goes first.
    load.must_run()?;
    Ok(seen?)
}
