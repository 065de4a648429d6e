use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::shell::{Failure, cargo, program, target};

/// How long a broker may take to say where it listens.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a broker may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Builds the binary and says where it is.
pub(crate) fn build(release: bool) -> Result<PathBuf, Failure> {
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    cargo(&["build", "--package", "ottla", "--quiet"]).args(profile).run("build the broker")?;
    Ok(target().join(if release { "release" } else { "debug" }).join("ottla"))
}

/// A broker on a port of its own, with a data folder of its own below target/.
pub(crate) struct Broker {
    /// Where clients connect.
    pub(crate) address: String,
    /// What it said.
    pub(crate) log: PathBuf,
    child: Child,
}

impl Broker {
    /// Starts one with an empty folder `name` and waits until it serves.
    pub(crate) fn start(binary: &Path, name: &str, settings: &[&str]) -> Result<Broker, Failure> {
        let folder = target().join("brokers").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let log = folder.join("log");
        let data = folder.join("data");
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let mut step = program(binary)
            .args(["start", "--listen", "127.0.0.1:0", "--set", "ottla.admin.listen=127.0.0.1:0", "--data"])
            .args([&data])
            .args(settings);
        let mut child = step.spawn()?;
        let address = addresses(&mut child, &log)?.recv_timeout(START_LIMIT);
        match address {
            Ok(address) => Ok(Broker { address, log, child }),
            Err(_) => {
                // It may have ended by itself.
                let _ = child.kill();
                let status = child.wait()?;
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                Err(Failure(format!("the broker did not start ({status}):\n{said}")))
            }
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(mut self) -> Result<ExitStatus, Failure> {
        program("kill").args(["-TERM", &self.child.id().to_string()]).quietly("kill")?;
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(Failure(format!("the broker did not stop within {} s of SIGTERM", STOP_LIMIT.as_secs())))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Copies what a broker says into its log, and gives the address in its line `listening on NAME://HOST:PORT`.
fn addresses(child: &mut Child, log: &Path) -> Result<Receiver<String>, Failure> {
    let (found, addresses) = channel();
    let file = std::fs::File::create(log)?;
    let streams: [Option<Box<dyn Read + Send>>; 2] =
        [child.stdout.take().map(|pipe| Box::new(pipe) as _), child.stderr.take().map(|pipe| Box::new(pipe) as _)];
    for stream in streams.into_iter().flatten() {
        let (found, mut file) = (found.clone(), file.try_clone()?);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("listening on ").and_then(|rest| rest.rsplit("://").next()) {
                    // Only the first is waited for.
                    let _ = found.send(address.trim().to_owned());
                }
                // A log that cannot be written costs us the log, not the run.
                let _ = writeln!(file, "{line}");
            }
        });
    }
    Ok(addresses)
}
