use std::path::PathBuf;

use crate::broker;
use crate::shell::{Failure, cargo, heading, program, target};

/// What is told to a person who asks; facts here are the tests' own.
const HELP: &str = "\
cargo xtask torture kill  [--rounds N] [--seed S] [--freezes N] [--freeze-seconds S] [--foreign-check COMMAND]
cargo xtask torture power [--rounds N] [--seed S] [--file-systems ext4,ext4-writeback,xfs] [--image-mib M]
cargo xtask torture power --control [--rounds N]
cargo xtask torture power --probe [--rounds N] [--file-systems xfs]

kill   Sixteen producers (acks 1 and all, idempotent and not, every codec, 100 B to 900 KiB a batch, 1 to 1,000 partitions), offset
       commits and a consumer at the tail. Then the broker is ended: kill -9 at a random moment, kill -9 during a clean stop, a clean
       stop, or SIGSTOP for 30 s under load and then kill -9. One restart in three is killed while it recovers. Each start has another
       number of shards. After the restart everything of this round and the one before is read back, byte for byte.
       Must hold: nothing acknowledged (acks=1 too) is lost, nothing is doubled, offsets have no gaps, what a consumer read is still
       there, commits are the acknowledged ones, the broker starts, and recovery takes at most 2 s per GiB of journal.
       --foreign-check lets Apache Kafka's kafka-dump-log read every segment, index and snapshot that remains after the last round.
power  The same on a file system of its own in a file (loop device): ext4, ext4 data=writeback, xfs. EXT4_IOC_SHUTDOWN (0x8004587D, no
       flush of the log) under load, kill -9, unmount, mount, start, read back. acks=all must lose nothing; acks=1 may, and is counted.
       The ioctl drops dirty pages and metadata that is not in the file system's log: extents that were reserved but never flushed read
       as nothing afterwards. What was written with O_DIRECT into blocks that were flushed before stays, as on a disk without a cache.
       Needs root, loop devices, xfsprogs; elsewhere it says so and counts its rounds as skipped.
--control   The test of the test: a broker whose flushes do nothing (feature `unflushed`) must show loss on each file system.
--probe     No broker: sixteen threads write durably while the power is cut. What was answered before the cut must be there; how much of
            what was answered later is not says how far answers read after a cut can be believed.

Everything after the command is given to the verifier; `--help` there shows all of it. --debug takes the broker's debug build.
A failed round prints the seed that plays it again.";

/// Builds broker and verifier, and lets them at each other.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let Some((what, rest)) = arguments.split_first().filter(|(what, _)| matches!(what.as_str(), "kill" | "power"))
    else {
        println!("{HELP}");
        let asked = arguments.iter().all(|word| matches!(word.as_str(), "help" | "--help" | "-h"));
        return if asked { Ok(()) } else { Err(Failure("say `kill` or `power`".into())) };
    };
    let debug = rest.iter().any(|word| word == "--debug");
    let control = rest.iter().any(|word| word == "--control");
    let binary = if control { unflushed()? } else { broker::build(!debug)? };
    let verifier = verifier()?;
    heading(&format!("torture {what}"));
    let folder = target().join("torture");
    let status = program(verifier)
        .args([what.as_str(), "--binary"])
        .args([&binary])
        .args(["--folder"])
        .args([&folder])
        .args(rest.iter().filter(|word| *word != "--debug"))
        .status("torture")?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure(format!("torture {what}: {status}; logs are in {}", folder.display())))
    }
}

fn verifier() -> Result<PathBuf, Failure> {
    let step = cargo(&["build", "--release", "--quiet", "--package", "ottla-bench", "--bin", "ottla-torture"]);
    step.run("build the verifier")?;
    Ok(target().join("release").join("ottla-torture"))
}

/// A broker that claims to flush and does not, aside from the one that other tests use.
fn unflushed() -> Result<PathBuf, Failure> {
    let step = cargo(&["build", "--quiet", "--package", "ottla", "--features", "ottla-reactor/unflushed"]);
    step.run("build a broker without flushes")?;
    let aside = target().join("torture-unflushed");
    std::fs::copy(target().join("debug").join("ottla"), &aside)?;
    Ok(aside)
}
