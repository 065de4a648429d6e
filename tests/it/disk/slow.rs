use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::ground::{Disk, can};
use super::{create, start};
use crate::ledger::{Ledger, connect_to};
use crate::wait::until;

/// What the disk takes in a second.
const BYTES_PER_SECOND: u64 = 2 << 20;
/// Producers, and how long each goes on.
const PRODUCERS: usize = 8;
const LOAD: Duration = Duration::from_secs(8);
/// Memory that the broker may hold: tails of twice 4 MiB, requests of 32 MiB, journal frames, and the process itself, in a debug build.
const RESIDENT_BYTES_MAX: u64 = 192 << 20;

/// A group of processes whose writes to a device are slow (cgroup v1, or v2 where the controller is there).
struct Throttle(PathBuf);

impl Throttle {
    /// Puts a process into such a group; nothing where the kernel has none.
    fn put(pid: u32, device: &str) -> Option<Throttle> {
        let number = std::fs::read_to_string(format!("/sys/block/{device}/dev")).ok()?;
        let number = number.trim();
        let name = format!("ottla-slow-{pid}");
        let first = PathBuf::from("/sys/fs/cgroup/blkio").join(&name);
        let limits = if std::fs::create_dir(&first).is_ok() {
            std::fs::write(first.join("blkio.throttle.write_bps_device"), format!("{number} {BYTES_PER_SECOND}"))
                .map(|()| first)
        } else {
            let second = PathBuf::from("/sys/fs/cgroup").join(&name);
            std::fs::create_dir(&second).ok()?;
            std::fs::write(second.join("io.max"), format!("{number} wbps={BYTES_PER_SECOND}")).map(|()| second)
        };
        let group = Throttle(limits.ok()?);
        std::fs::write(group.0.join("cgroup.procs"), pid.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        // Empty once its process has ended; a group that stays does nothing.
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") << 10
}

#[test]
fn a_slow_disk_holds_producers_back_and_not_memory() {
    if !can("a slow disk") {
        return;
    }
    let disk = Disk::new(512);
    let data = disk.folder().join("data");
    let more = ["queued.max.request.bytes=33554432", "socket.request.max.bytes=4194304"];
    let broker = start(&data, &more);
    create(&broker, "t", "8", &[]);
    let Some(_slow) = Throttle::put(broker.pid(), &disk.device()) else {
        return eprintln!("SKIPPED a slow disk: the kernel has no cgroup that throttles writes");
    };
    let ends = Instant::now() + LOAD;
    let mut highest = 0;
    let ledgers: Vec<Ledger> = thread::scope(|scope| {
        let (pid, address) = (broker.pid(), &broker.address);
        let produce = |number: usize| {
            let mut cluster = connect_to(address);
            // Some go through the journal, some past it.
            let mut ledger = Ledger::new("t", if number.is_multiple_of(2) { 40_000 } else { 600_000 });
            while Instant::now() < ends {
                let codes = ledger.write(&mut cluster, &[number as i32]).expect("an answer, however late");
                assert_eq!(codes, [0]);
            }
            ledger
        };
        let threads: Vec<_> = (0..PRODUCERS).map(|number| scope.spawn(move || produce(number))).collect();
        until(|| {
            highest = highest.max(resident(pid));
            (Instant::now() >= ends).then_some(())
        })
        .expect("the load ends");
        threads.into_iter().map(|thread| thread.join().expect("no producer fails")).collect()
    });
    assert!(highest < RESIDENT_BYTES_MAX, "{} MiB resident", highest >> 20);
    let acked: usize = ledgers.iter().map(Ledger::acked).sum();
    assert!(acked >= PRODUCERS, "only {acked} records were acknowledged");
    for (number, ledger) in ledgers.iter().enumerate() {
        ledger.check(&broker, &[number as i32]);
    }
    broker.kill();
    let broker = start(&data, &more);
    for (number, ledger) in ledgers.iter().enumerate() {
        ledger.check(&broker, &[number as i32]);
    }
}
