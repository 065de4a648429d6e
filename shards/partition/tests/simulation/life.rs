//! One life of a broker's data plane: recovery, a look at everything, work, and perhaps a clean stop.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ottla_partition::Partition;
use ottla_reactor::simulation;
use ottla_reactor::{Class, Task, sleep, spawn, wall_clock};
use ottla_storage::{
    DiskSettings, Layout, LogImage, LogSettings, LogSpec, RecoverOptions, Recovery, RecoveryReport, StorageError,
    Store, StoreConfig, recover,
};
use ottla_units::LeaderEpoch;

use crate::coverage::Path;
use crate::seed::{End, Phase, Run, Trouble};
use crate::{check, work};

/// The data folder.
pub(crate) const DATA: &str = "/data";
/// Shards at most.
const SHARDS_MAX: usize = 3;
/// Clients at once, at most.
const CLIENTS_MAX: usize = 4;

/// A partition that is open.
pub(crate) struct Host {
    pub(crate) spec: LogSpec,
    pub(crate) partition: Rc<Partition>,
}

/// The stores and partitions of one life.
pub(crate) struct Broker {
    pub(crate) run: Rc<Run>,
    pub(crate) layout: Layout,
    pub(crate) stores: Vec<Store>,
    /// By slot; none while a topic is being deleted.
    pub(crate) hosts: RefCell<Vec<Option<Rc<Host>>>>,
}

/// Lives until the end, or until storage reports something.
pub(crate) async fn live(run: Rc<Run>, last: bool) -> End {
    let error = match attempt(&run, last).await {
        Ok(end) => return end,
        Err(error) => error,
    };
    simulation::note(|| format!("== reported: {error}"));
    assert!(run.explains(&error), "{error}");
    assert!(!last || run.trouble == Trouble::Rot, "after all is well again: {error}");
    let refused = run.phase.get() == Phase::Recovery;
    let damage = matches!(error, StorageError::Corrupt { .. } | StorageError::NewerFormat { .. });
    run.hit_if(Path::RefusedDamage, refused && damage);
    run.hit_if(Path::Failed, matches!(error, StorageError::Failed { .. }));
    End::Refused
}

async fn attempt(run: &Rc<Run>, last: bool) -> Result<End, StorageError> {
    let broker = start(run).await?;
    check::found(&broker).await?;
    if last {
        check::files(&broker);
        return Ok(End::Dropped);
    }
    run.phase.set(Phase::Work);
    let lenient = free_the_disk_later(run);
    let clients = work::clients(&broker, 1 + run.below(CLIENTS_MAX));
    let stops = run.chance(40);
    if stops && run.chance(25) {
        // Whoever still works is refused.
        run.phase.set(Phase::Stop);
        stop(&broker).await?;
        drop(clients);
        return Ok(End::Stopped);
    }
    for client in clients {
        client.await?;
    }
    drop(lenient);
    check::contents(&broker).await?;
    if !stops {
        return Ok(End::Dropped);
    }
    run.phase.set(Phase::Stop);
    stop(&broker).await?;
    Ok(End::Stopped)
}

async fn start(run: &Rc<Run>) -> Result<Rc<Broker>, StorageError> {
    let layout = Layout::below(DATA);
    let specs = run.model.borrow().specs();
    let mut recovery = recover(&layout, &specs, &RecoverOptions::default()).await?;
    note_report(run, &recovery.report);
    let count = 1 + run.below(SHARDS_MAX);
    let before = run.shards.replace(count);
    run.hit_if(Path::Resharded, before != 0 && before != count);
    let mut stores = Vec::new();
    for core in 0..count {
        stores.push(Store::start(&layout, config(run, core, &recovery)).await?);
    }
    let broker = Rc::new(Broker { run: Rc::clone(run), layout, stores, hosts: RefCell::default() });
    for spec in specs {
        let image = recovery.logs.remove(&spec.key);
        let host = broker.open(spec, image).await?;
        broker.hosts.borrow_mut().push(Some(host));
    }
    Ok(broker)
}

fn note_report(run: &Run, report: &RecoveryReport) {
    simulation::note(|| format!("== recovered: {report:?}"));
    let clean = run.model.borrow().clean;
    assert!(report.clean || !clean || run.trouble == Trouble::Rot, "a clean stop was not recognised: {report:?}");
    assert!(report.losses.is_empty(), "losses that nobody accepted: {report:?}");
    let mut coverage = run.coverage.borrow_mut();
    coverage.hit_if(Path::CleanStart, report.clean);
    coverage.hit_if(Path::Frames, report.frames > 0);
    coverage.hit_if(Path::Restored, report.batches_restored > 0);
    coverage.hit_if(Path::TornFrame, report.torn_frames > 0);
    coverage.hit_if(Path::Leftover, report.removed > 0 || !report.strays.is_empty());
}

/// A store so small that everything happens after a few appends.
fn config(run: &Run, core: usize, recovery: &Recovery) -> StoreConfig {
    let mut config = StoreConfig::new(core as u16, recovery);
    config.journal_file_bytes = [32 << 10, 64 << 10][run.below(2)];
    config.journal_files = 3 + run.below(4);
    config.frame_bytes = 8 << 10;
    config.frame_bytes_max = 16 << 10;
    config.bulk_bytes = 4 << 10;
    config.bulk_bytes_max = 64 << 10;
    config.write_out_bytes = [4 << 10, 16 << 10, 1 << 20][run.below(3)];
    config.disk.write_depth = 1 + run.below(4);
    config.disk.durable_write_bytes = [0, DiskSettings::DURABLE_WRITE_BYTES_MAX][run.below(2)];
    config.cache_bytes = [16 << 10, 256 << 10][run.below(2)];
    config.cold_bytes = 256 << 10;
    config.read_ahead_bytes = 16 << 10;
    config.files_max = 8;
    config.reserve_bytes = if run.trouble == Trouble::Full { 64 << 10 } else { 0 };
    config.retry_after = Duration::from_millis(2);
    config
}

pub(crate) fn log_settings(run: &Run) -> LogSettings {
    let segment_bytes = [6_000, 20_000, 1 << 30][run.below(3)];
    let segment_index_bytes = [60, 10 << 20][run.below(2)];
    LogSettings { segment_bytes, segment_index_bytes, index_interval_bytes: 512, ..LogSettings::default() }
}

/// A disk that was full has space again after a while.
fn free_the_disk_later(run: &Rc<Run>) -> Option<Task<()>> {
    let disk = run.disk.clone();
    let after = Duration::from_millis(run.below(60) as u64);
    (run.trouble == Trouble::Full).then(|| {
        spawn(Class::Background, async move {
            sleep(after).await;
            disk.note(|| "== the disk has space again".to_owned());
            disk.set_capacity(1 << 40);
        })
    })
}

async fn stop(broker: &Broker) -> Result<(), StorageError> {
    for store in &broker.stores {
        store.stop().await?;
    }
    for host in broker.hosts.borrow().iter().flatten() {
        // What was appended before the stop is durable now, whoever waited for it.
        let end = host.partition.log_end().get();
        if let Some(log) = broker.run.model.borrow_mut().log(host.spec.key) {
            log.sure = log.sure.max(end);
        }
    }
    Ok(())
}

impl Broker {
    /// Opens a partition on some shard.
    pub(crate) async fn open(&self, spec: LogSpec, image: Option<LogImage>) -> Result<Rc<Host>, StorageError> {
        let store = self.stores[self.run.below(self.stores.len())].clone();
        let log = store.open_log(&spec, image, log_settings(&self.run));
        let epoch = log.latest_epoch().map_or(0, LeaderEpoch::get) + self.run.below(2) as i32;
        let partition = Partition::open(store, log, LeaderEpoch::new(epoch), wall_clock()).await?;
        Ok(Rc::new(Host { spec, partition }))
    }

    pub(crate) fn host(&self, slot: usize) -> Option<Rc<Host>> {
        self.hosts.borrow().get(slot).cloned().flatten()
    }
}
