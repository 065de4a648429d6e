//! Whatever clients send, the broker lives on and serves the others: random valid requests of every API and version, and
//! the same ones damaged.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test has no users, and a panic is how it fails")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use ottla_wire::fuzz::author;
use ottla_wire::{ApiKey, apis, frame};

/// Requests of each version in a round, half of them damaged.
const SEEDS: u64 = 24;
/// The first round makes topics and groups, the next meets them.
const ROUNDS: u64 = 2;
/// How long an answer is waited for. Joins and fetches may be held back: then the connection is dropped.
const PATIENCE: Duration = Duration::from_millis(200);

struct Broker {
    process: Child,
    address: String,
    data: tempfile::TempDir,
}

impl Broker {
    fn start() -> Broker {
        let data = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(data.path().join("log")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_ottla"))
            .args(["start", "--listen", "127.0.0.1:0", "--set", "ottla.admin.listen=127.0.0.1:0"])
            .args(["--set", "offsets.topic.num.partitions=2", "--set", "offsets.topic.replication.factor=1", "--data"])
            .arg(data.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.by_ref().find(|line| line.contains("listening on")).unwrap();
        let address = said.rsplit("://").next().unwrap().trim().to_owned();
        let mut rest = std::fs::File::create(data.path().join("out")).unwrap();
        std::thread::spawn(move || lines.for_each(|line| writeln!(rest, "{line}").unwrap()));
        Broker { process, address, data }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// What it said of defects, if anything.
    fn complaints(&self) -> Vec<String> {
        let read = |name: &str| std::fs::read_to_string(PathBuf::from(self.data.path()).join(name)).unwrap();
        let said = read("log") + &read("out");
        let defects = ["panicked", "cannot be encoded"];
        said.lines().filter(|line| defects.iter().any(|defect| line.contains(defect))).map(str::to_owned).collect()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A whole request, or with `damage` one with a byte changed somewhere behind its header.
fn request(api: ApiKey, version: i16, seed: u64, damage: bool) -> BytesMut {
    let mut out = BytesMut::new();
    let open = frame::begin_request(&mut out, api, version, 7, Some("hostile"));
    let body_at = out.len();
    out.put(author::request(api, version, seed));
    open.close(&mut out, 0);
    if damage && out.len() > body_at {
        let at = body_at + seed as usize * 31 % (out.len() - body_at);
        out[at] = out[at].wrapping_add(1 + seed as u8);
    }
    out
}

/// Sends a request and takes whatever comes. Whether the connection can be used for another one.
fn exchange(connection: &mut TcpStream, request: &[u8]) -> io::Result<bool> {
    connection.write_all(request)?;
    let mut field = [0; frame::LENGTH_BYTES];
    connection.read_exact(&mut field)?;
    let mut answer = vec![0; frame::length(field, 1 << 20).unwrap()];
    connection.read_exact(&mut answer)?;
    Ok(answer.starts_with(&[0, 0, 0, 7]))
}

#[test]
fn the_broker_outlives_its_clients() {
    let mut broker = Broker::start();
    for (round, api) in (0..ROUNDS).flat_map(|round| apis::served().map(move |api| (round, api))) {
        for version in api.accepted_min..=api.max {
            let mut connection = broker.connect();
            for seed in round * SEEDS..(round + 1) * SEEDS {
                let request = request(api.key, version, seed, seed % 2 == 1);
                if !exchange(&mut connection, &request).unwrap_or(false) {
                    connection = broker.connect();
                }
            }
            let complaints = broker.complaints();
            assert!(complaints.is_empty(), "{} version {version}: {complaints:#?}", api.name);
            assert_eq!(broker.process.try_wait().unwrap(), None, "{} version {version} ended the broker", api.name);
        }
    }
    // And it still answers.
    let mut asked = BytesMut::new();
    frame::begin_request(&mut asked, ApiKey::ApiVersions, 0, 7, None).close(&mut asked, 0);
    assert!(exchange(&mut broker.connect(), &asked).unwrap());
}
