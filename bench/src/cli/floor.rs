use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use ottla_units::limits::SHARDS_MAX;

use super::{Trouble, interrupts};
use crate::connection::resolve;
use crate::floor::{Floor, Settings};

/// How often it is looked for a signal.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Serve only what a durable produce must ask of the kernel: the least that any broker pays on this machine
///
/// It receives requests, copies their records once into the frame that the disk reads, writes that durably (O_DIRECT and RWF_DSYNC, 512 KiB
/// an operation; one frame is written while the next one fills; a small one waits, no longer than the one before took, for clients that
/// were just answered), and answers with rising offsets. So "of the broker's 0.9 CPU-s/GB, 0.7 are what any server pays here" can be
/// measured instead of guessed.
///
/// It is NOT a broker: no checksum is looked at, records are overwritten after 64 MiB and can never be read, topics are kept in memory
/// alone, nothing is recovered. Threads, sockets and disk calls are those of `ottla start`. Only workloads that produce and do not consume
/// run against it, and nothing can be read back: say --verify-seconds 0, or each run tries for as long as it may, in vain.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla bench floor --listen 127.0.0.1:19192 --data /var/tmp/floor      on the disk that the broker is measured on
  ottla bench compare --a ottla=self --b floor=127.0.0.1:19192 --data /var/tmp --verify-seconds 0 produce-1x64k produce-16x64k \\
      produce-16x1k produce-1000x1k
  ottla bench run produce-16x1k --bootstrap 127.0.0.1:19192 --label floor --verify-seconds 0

It ends with Ctrl-C or SIGTERM; its files (64 MiB a shard) have no names and are gone then.")]
pub(super) struct Serve {
    /// Where clients connect, HOST:PORT; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:19192", value_name = "HOST:PORT")]
    listen: String,
    /// A folder on the disk to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Threads [default: one per core, as the broker]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=SHARDS_MAX as i64))]
    shards: Option<u16>,
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let listen =
            resolve(&self.listen).map_err(|why| Trouble::Usage(format!("'{}' is no HOST:PORT: {why}", self.listen)))?;
        let shards = self.shards.map_or_else(|| ottla_reactor::cores().len(), usize::from);
        let stop = interrupts("")?;
        let settings = Settings { listen, data: self.data.clone(), shards: shards.max(1) };
        let floor = Floor::start(&settings, Arc::new(|line| eprintln!("{line}")))?;
        println!("listening on {}", floor.address());
        while !stop.load(Ordering::Relaxed) && !floor.is_broken() {
            std::thread::sleep(LOOK_EVERY);
        }
        let broken = floor.is_broken();
        floor.stop()?;
        if broken { Err(Trouble::Run("the floor could not go on".to_owned(), None)) } else { Ok(()) }
    }
}
