//! The real broker with small limits, and what the kernel knows about it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::wait::{PATIENCE, until};

const MIB: u64 = 1 << 20;
/// Shards of the broker under test.
const SHARDS: u64 = 2;
/// Bytes of one request at most; a produced batch must fit.
pub(crate) const REQUEST_BYTES_MAX: u64 = 4 * MIB;
/// Bytes of requests under way, all shards together.
const REQUEST_MEMORY: u64 = 16 * MIB;
/// Of each shard.
const TAIL_CACHE: u64 = 8 * MIB;
/// Of each shard.
const COLD_READS: u64 = 8 * MIB;
/// Of each shard.
const ANSWERS: u64 = 16 * MIB;
/// What the process takes besides, most of it journal frames and buffers of the allocator.
const BASE: u64 = 160 * MIB;
/// What a connection may take at most while its requests are small, in bytes: tasks and receive buffer.
const CONNECTION_BYTES: u64 = 24 << 10;

/// A running broker; killed when it is dropped.
pub(crate) struct Broker {
    pub(crate) address: String,
    process: Child,
    folder: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start() -> Broker {
        Broker::start_with(&[])
    }

    /// With more settings, `key=value`.
    pub(crate) fn start_with(settings: &[&str]) -> Broker {
        let folder = tempfile::tempdir().unwrap();
        let binary = std::env::var_os("OTTLA_HOSTILE_BINARY").map_or(env!("CARGO_BIN_EXE_ottla").into(), PathBuf::from);
        let mut command = Command::new(binary);
        command.args(["start", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data"));
        let limits = [
            format!("ottla.shards={SHARDS}"),
            format!("socket.request.max.bytes={REQUEST_BYTES_MAX}"),
            format!("queued.max.request.bytes={REQUEST_MEMORY}"),
            format!("ottla.tail.cache.bytes={TAIL_CACHE}"),
            format!("ottla.cold.read.bytes={COLD_READS}"),
            format!("ottla.answer.memory.bytes={ANSWERS}"),
            "ottla.admin.listen=127.0.0.1:0".into(),
            "ottla.journal.bytes=16777216".into(),
            "offsets.topic.num.partitions=2".into(),
            "group.initial.rebalance.delay.ms=0".into(),
        ];
        for setting in limits.iter().map(String::as_str).chain(settings.iter().copied()) {
            command.args(["--set", setting]);
        }
        let log = File::create(folder.path().join("log")).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.by_ref().find(|line| line.contains("listening on")).expect("it listens");
        let address = said.rsplit("://").next().unwrap().trim().to_owned();
        let mut rest = File::create(folder.path().join("out")).unwrap();
        std::thread::spawn(move || lines.for_each(|line| writeln!(rest, "{line}").unwrap()));
        Broker { process, address, folder }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(&self.address)
    }

    /// All that it logged.
    pub(crate) fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        read("log") + &read("out")
    }

    /// Lines of its log that tell of a defect.
    pub(crate) fn complaints(&self) -> Vec<String> {
        const DEFECTS: [&str; 4] = ["panicked", "cannot be encoded", "something else than was asked", "inbox is full"];
        let defect = |line: &&str| DEFECTS.iter().any(|defect| line.contains(defect));
        self.log().lines().filter(defect).map(str::to_owned).collect()
    }

    /// It runs, and has said nothing of a defect.
    #[track_caller]
    pub(crate) fn is_well(&mut self, when: &str) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{when}: {complaints:#?}");
        let ended = self.process.try_wait().unwrap();
        assert!(ended.is_none(), "{when}: the broker ended: {ended:?}\n{}", self.log());
    }

    /// A field of /proc/PID/status, in bytes.
    fn status(&self, field: &str) -> u64 {
        let path = Path::new("/proc").join(self.process.id().to_string()).join("status");
        let text = fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM")
    }

    /// What the limits that it was given come to, with so many connections.
    pub(crate) fn allowance(connections: u64) -> u64 {
        BASE + REQUEST_MEMORY + SHARDS * (TAIL_CACHE + COLD_READS + ANSWERS) + connections * CONNECTION_BYTES
    }

    /// Its peak is below what its limits come to.
    #[track_caller]
    pub(crate) fn kept_to_its_memory(&self, when: &str, connections: u64) {
        let (peak, allowance) = (self.peak(), Broker::allowance(connections));
        println!("{when}: peak {} MiB of {} MiB", peak / MIB, allowance / MIB);
        assert!(peak <= allowance, "{when}: {} MiB where {} MiB are allowed", peak / MIB, allowance / MIB);
    }

    /// Waits until the log has a line with `text`.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        let found = until(|| self.log().contains(text).then_some(()));
        found.unwrap_or_else(|| panic!("no '{text}' in time; it said:\n{}", self.log()));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}
