//! A real broker in a folder of its own on a port of its own, and the command line beside it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

pub(crate) use crate::wait::PATIENCE;

/// The binary under test.
pub(crate) fn ottla() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    // What the tests run in must not show in what they test.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTTLA_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// What it printed; it must have gone well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.out
    }

    /// What it complained about; it must have ended with this status.
    #[track_caller]
    pub(crate) fn complaint(self, status: i32) -> String {
        assert_eq!(self.status, Some(status), "{self:?}");
        self.err
    }
}

/// Runs a command to its end, `input` on its standard input.
pub(crate) fn say_with(mut command: Command, input: &[u8]) -> Said {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // A command that ends early closes its end: that is no error of the test.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("output");
    writer.join().expect("written");
    Said {
        status: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `ottla` with these arguments.
pub(crate) fn say(arguments: &[&str]) -> Said {
    let mut command = ottla();
    command.args(arguments);
    say_with(command, b"")
}

/// A running broker; killed when it is dropped.
pub(crate) struct Broker {
    pub(crate) address: String,
    child: Child,
    lines: Receiver<String>,
    seen: Arc<Mutex<String>>,
}

impl Broker {
    /// Starts one on `data` and waits until it says that it is ready.
    #[track_caller]
    pub(crate) fn start(data: &Path) -> Broker {
        Broker::start_with(data, &[])
    }

    /// The same, with more arguments.
    #[track_caller]
    pub(crate) fn start_with(data: &Path, arguments: &[&str]) -> Broker {
        Broker::start_as(ottla(), data, arguments)
    }

    /// The same by a command that somebody prepared, such as with variables of its own.
    #[track_caller]
    pub(crate) fn start_as(mut command: Command, data: &Path, arguments: &[&str]) -> Broker {
        command.args(["start", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        // Small, and out of each other's way: many of these run at once.
        command.args(["--set", "ottla.admin.listen=127.0.0.1:0", "--set", "ottla.journal.bytes=16777216"]);
        command.args(["--set", "group.initial.rebalance.delay.ms=0"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let (lines, seen) = follow(&mut child);
        let mut broker = Broker { address: String::new(), child, lines, seen };
        broker.address = broker.wait_for("listening on PLAINTEXT://");
        broker.wait_for("ready ");
        broker
    }

    /// What follows `begin` in the first line that has it from here on.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, begin: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some((_, rest)) = line.split_once(begin) {
                        return rest.trim().to_owned();
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no '{begin}' in time; it said:\n{}", self.log()),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without '{begin}'; it said:\n{}", self.log()),
            }
        }
    }

    /// Everything it said so far.
    pub(crate) fn log(&self) -> String {
        self.seen.lock().expect("no panic holds it").clone()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs the command line against it.
    pub(crate) fn say(&self, arguments: &[&str]) -> Said {
        self.say_with(arguments, b"")
    }

    /// The same, with standard input.
    pub(crate) fn say_with(&self, arguments: &[&str], input: &[u8]) -> Said {
        let mut command = ottla();
        command.args(arguments).args(["--bootstrap", &self.address]);
        say_with(command, input)
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// SIGTERM, and how it ended.
    #[track_caller]
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Its outputs close when it ends.
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().expect("a child of ours"),
                Err(RecvTimeoutError::Timeout) => panic!("still running; it said:\n{}", self.log()),
            }
        }
    }

    /// kill -9, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// Where its metrics are. Its log and what it prints come by two ways: either may be first.
    #[track_caller]
    pub(crate) fn metrics_address(&mut self) -> String {
        const BEGIN: &str = "metrics on http://";
        let said = self.log();
        let rest = match said.split_once(BEGIN) {
            Some((_, rest)) => rest.to_owned(),
            None => self.wait_for(BEGIN),
        };
        rest.split('/').next().unwrap_or_default().to_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives every line that a child says, and keeps them.
fn follow(child: &mut Child) -> (Receiver<String>, Arc<Mutex<String>>) {
    let (sender, lines) = channel();
    let seen = Arc::new(Mutex::new(String::new()));
    let streams: [Box<dyn Read + Send>; 2] =
        [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
    for stream in streams {
        let (sender, seen) = (sender.clone(), Arc::clone(&seen));
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                *seen.lock().expect("no panic holds it") += &format!("{line}\n");
                // Nobody may be waiting any more.
                let _ = sender.send(line);
            }
        });
    }
    (lines, seen)
}

/// One HTTP GET: status line and body.
pub(crate) fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// Sends raw bytes, closes its end, and gives what comes back until the broker closes.
pub(crate) fn exchange(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = Vec::new();
    // The broker may close before everything is sent: then that is the answer.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// A scratch folder.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a scratch folder")
}

/// A file in a folder.
pub(crate) fn file(folder: impl AsRef<Path>, name: impl AsRef<OsStr>, text: &str) -> PathBuf {
    let path = folder.as_ref().join(Path::new(name.as_ref()));
    std::fs::write(&path, text).expect("written");
    path
}

/// Tells that a test cannot be done on this machine, and why; `cargo xtask test` counts it.
pub(crate) fn skip(what: &str, why: &str) {
    eprintln!("skipped {what}: {why}");
    if let Some(file) = std::env::var_os("OTTLA_SKIPPED_TESTS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(file);
        // One write a line: tests run side by side.
        file.unwrap().write_all(format!("{what}: {why}\n").as_bytes()).unwrap();
    }
}
