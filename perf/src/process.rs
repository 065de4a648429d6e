//! What `/proc` tells of processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::{PerfError, exposition};

/// Fails unless the process runs.
pub(crate) fn must_run(pid: u32) -> Result<(), PerfError> {
    if Path::new(&format!("/proc/{pid}/task")).exists() { Ok(()) } else { Err(PerfError::NoProcess { pid }) }
}

fn numbers(folder: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Processes that look like a broker of ours: `ottla start`.
pub fn brokers() -> Vec<u32> {
    let is_broker = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        let program = words.next().map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default();
        Path::new(&program).file_name().is_some_and(|name| name == "ottla") && words.next() == Some(b"start")
    };
    let mut found: Vec<u32> = numbers("/proc").filter(is_broker).collect();
    found.sort_unstable();
    found
}

/// The threads of a process and their names.
pub fn thread_names(pid: u32) -> BTreeMap<u32, String> {
    let name = |tid: u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).ok()?;
        Some((tid, name.trim_end().to_owned()))
    };
    numbers(&format!("/proc/{pid}/task")).filter_map(name).collect()
}

/// Where a process serves metrics: the first of the ports it listens on that answers so.
pub fn metrics_address(pid: u32) -> Option<String> {
    let sockets: BTreeSet<u64> = numbers(&format!("/proc/{pid}/fd")).filter_map(|fd| socket(pid, fd)).collect();
    let mut places = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        places.extend(text.lines().filter_map(|line| listening(line, &sockets)));
    }
    places.into_iter().find(|place| exposition::get(place).is_ok_and(|text| text.contains("ottla_build_info")))
}

fn socket(pid: u32, fd: u32) -> Option<u64> {
    let link = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// A line of `/proc/net/tcp` (proc(5)): where it listens, if it is one of the sockets.
fn listening(line: &str, sockets: &BTreeSet<u64>) -> Option<String> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != LISTEN || !sockets.contains(&fields.get(9)?.parse().ok()?) {
        return None;
    }
    let (host, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // An IPv4 address is one number in the machine's own order; of IPv6, only all and loopback are looked for.
    let host = match (host.len(), u32::from_str_radix(host, 16)) {
        (8, Ok(0)) => "127.0.0.1".to_owned(),
        (8, Ok(bits)) => std::net::Ipv4Addr::from(bits.to_le_bytes()).to_string(),
        _ if host.bytes().all(|byte| byte == b'0') => "127.0.0.1".to_owned(),
        _ => "[::1]".to_owned(),
    };
    Some(format!("{host}:{port}"))
}
