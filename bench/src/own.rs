//! Brokers of our own: this very program, started in a scratch folder for what needs a start, or a number of shards.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::broker::{BrokerCommand, RunningBroker};
use crate::error::{BenchError, During, Result};
use crate::stage::Target;

/// The word for a broker of our own where an address is expected.
pub const SELF: &str = "self";
/// How long starts and stops may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ports that the kernel does not give to whoever connects.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// A folder that is removed in the end.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Below `folder`, or below `/var/tmp`, which is on a disk where `/tmp` may not be.
    ///
    /// # Errors
    /// [`BenchError::Io`].
    pub fn make(folder: Option<&Path>) -> Result<Scratch> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let usual = [PathBuf::from("/var/tmp"), std::env::temp_dir()].into_iter().find(|folder| folder.is_dir());
        let folder = folder.map(Path::to_path_buf).or(usual).unwrap_or_default();
        let path = folder.join(format!("ottla-bench-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).during(|| format!("make {}", path.display()))?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program that is a broker: this one, or the one beside the load generator.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().during(|| "find this program".to_owned())?;
    let beside = own.with_file_name("ottla");
    if own.file_stem().is_none_or(|name| name != "ottla-bench") {
        return Ok(own);
    }
    let why = || BenchError::BadArgument { why: format!("'{SELF}' needs the program ottla beside {}", own.display()) };
    beside.is_file().then_some(beside).ok_or_else(why)
}

/// How to start a broker of our own, its data below `folder`; `more` are further arguments of `ottla start`.
///
/// # Errors
/// [`BenchError::BadArgument`] when there is no such program, [`BenchError::Io`].
pub fn command(folder: &Path, more: &[&str]) -> Result<BrokerCommand> {
    let addr = free_port()?;
    let data = folder.join("data").to_string_lossy().into_owned();
    let listen = addr.to_string();
    let program = program()?.to_string_lossy().into_owned();
    let words = [&program, "start", "--data", &data, "--listen", &listen, "--set", "ottla.admin.listen=127.0.0.1:0"];
    Ok(BrokerCommand {
        words: words.iter().chain(more).map(|word| (*word).to_owned()).collect(),
        addr,
        log: folder.join("broker.log"),
        apart: true,
    })
}

fn free_port() -> Result<SocketAddr> {
    let span = PORTS.end - PORTS.start;
    let first = (std::process::id() % u32::from(span)) as u16;
    let mut ports = (0..span).map(|at| PORTS.start + (first + at) % span);
    let free = ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let missing = || BenchError::Missing { what: "a free port for a broker of our own".to_owned() };
    free.map(|port| (Ipv4Addr::LOCALHOST, port).into()).ok_or_else(missing)
}

/// A broker that runs as long as this lives.
#[derive(Debug)]
pub struct OwnBroker {
    running: RunningBroker,
    addr: SocketAddr,
    _folder: Scratch,
}

impl OwnBroker {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(folder: Option<&Path>, more: &[&str]) -> Result<OwnBroker> {
        let scratch = Scratch::make(folder)?;
        let command = command(scratch.path(), more)?;
        let mut running = command.start(&[])?;
        running.await_answer(PATIENCE)?;
        Ok(OwnBroker { running, addr: command.addr, _folder: scratch })
    }

    /// As a broker under load.
    pub fn target(&self, label: &str) -> Target {
        Target {
            label: label.to_owned(),
            bootstrap: self.addr.to_string(),
            addr: self.addr,
            pid: Some(self.running.pid()),
        }
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        // One that does not stop is killed.
        let _ = self.running.stop(PATIENCE);
    }
}
