//! One seed: a disk, a model, and several lives of a broker with crashes in between.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ottla_reactor::simulation::{self, Disk, DiskCounters, Ended, Faults, Kept, Random, Within};
use ottla_storage::StorageError;

use crate::coverage::{Coverage, Path};
use crate::model::Model;
use crate::{life, rot};

/// Bytes of a disk that nobody fills.
const DISK_BYTES: u64 = 1 << 40;

/// What goes wrong besides crashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// The disk is full at times.
    Full,
    /// Reads, writes and flushes fail at times.
    Errors,
    /// Bytes change without a word.
    Rot,
}

/// How far a life had come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Recovery,
    Work,
    Stop,
}

/// One seed's run.
pub(crate) struct Run {
    pub(crate) random: RefCell<Random>,
    pub(crate) model: RefCell<Model>,
    pub(crate) coverage: RefCell<Coverage>,
    pub(crate) trouble: Trouble,
    pub(crate) phase: Cell<Phase>,
    pub(crate) shards: Cell<usize>,
    /// Whether batches mostly take more than a sector: a crash tears frames of such.
    pub(crate) long_batches: bool,
    /// Whether something changed on the disk that nobody can tell from a crash: then less than was promised may be there.
    pub(crate) doubtful: Cell<bool>,
    pub(crate) disk: Disk,
}

impl Run {
    pub(crate) fn below(&self, limit: usize) -> usize {
        self.random.borrow_mut().below(limit)
    }

    pub(crate) fn chance(&self, percent: usize) -> bool {
        self.random.borrow_mut().chance(percent)
    }

    pub(crate) fn hit(&self, path: Path) {
        self.coverage.borrow_mut().hit(path);
    }

    pub(crate) fn hit_if(&self, path: Path, happened: bool) {
        self.coverage.borrow_mut().hit_if(path, happened);
    }

    /// Whether an error is one that this trouble explains.
    pub(crate) fn explains(&self, error: &StorageError) -> bool {
        match error {
            StorageError::DiskFull => self.trouble == Trouble::Full,
            StorageError::Failed { .. } | StorageError::Io { .. } => self.trouble != Trouble::None,
            StorageError::Corrupt { .. } | StorageError::NewerFormat { .. } | StorageError::Removed { .. } => {
                self.trouble == Trouble::Rot
            }
            // A topic's folder that says that it is another's was set aside.
            StorageError::OutOfRange { .. } => self.doubtful.get(),
            _ => false,
        }
    }
}

/// How a life ended that did not crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// All stores stopped cleanly.
    Stopped,
    /// The process just ended.
    Dropped,
    /// Storage reported what went wrong and the process ended.
    Refused,
}

/// Runs a seed; panics with what is wrong.
pub(crate) fn run(seed: u64, traced: bool) -> Coverage {
    let run = play(seed, traced);
    run.coverage.take()
}

/// What a seed did, in numbers.
pub(crate) fn fingerprint(seed: u64) -> (DiskCounters, Vec<i64>) {
    let run = play(seed, false);
    let ends = run.model.borrow().topics.iter().map(|topic| topic.log.end()).collect();
    (run.disk.counters(), ends)
}

fn play(seed: u64, traced: bool) -> Rc<Run> {
    let mut random = Random::new(seed);
    let disk = Disk::new(random.number(), DISK_BYTES);
    if traced {
        disk.trace();
    }
    let trouble = match random.below(10) {
        0 => Trouble::Full,
        1 => Trouble::Errors,
        2 => Trouble::Rot,
        _ => Trouble::None,
    };
    disk.note(|| format!("== seed {seed}, trouble: {trouble:?}"));
    let topics = 1 + random.below(4);
    let lives = 2 + random.below(3);
    let long_batches = random.chance(40);
    let run = Rc::new(Run {
        random: RefCell::new(random),
        model: RefCell::new(Model::new(topics)),
        coverage: RefCell::default(),
        trouble,
        phase: Cell::new(Phase::Recovery),
        shards: Cell::new(0),
        long_batches,
        doubtful: Cell::new(false),
        disk,
    });
    for number in 1..=lives {
        live(&run, number, false);
    }
    live(&run, lives + 1, true);
    run
}

/// One life, and what ends it. The last one only looks at what there is.
fn live(run: &Rc<Run>, number: usize, last: bool) {
    let crash_after = match run.below(10) {
        0 => Some(run.below(60)),
        1..=6 => Some(run.below(700)),
        _ => None,
    };
    prepare_disk(run, last);
    let within = match run.below(10) {
        0..3 => Within::WriteBelow(life::DATA),
        3..6 => Within::WriteBelow(rot::JOURNALS),
        _ => Within::Anything,
    };
    run.disk.crash_after(crash_after.filter(|_| !last).map(|operations| operations as u64), within);
    run.phase.set(Phase::Recovery);
    run.disk.note(|| format!("== life {number}: {}", if last { "the last look" } else { "works" }));
    let seed = run.random.borrow_mut().number();
    let ended = simulation::run(&run.disk, seed, life::live(Rc::clone(run), last));
    run.disk.note(|| format!("== life {number} ended: {ended:?} in {:?}", run.phase.get()));
    end_life(run, ended);
}

/// Decides what goes wrong in a life.
fn prepare_disk(run: &Run, last: bool) {
    let mut faults = Faults { short_reads: if run.chance(20) { 500 } else { 0 }, ..Faults::default() };
    if run.trouble == Trouble::Errors && !last && run.chance(70) {
        let some = |often| if run.chance(50) { often } else { 0 };
        faults.read_errors = some(30);
        faults.write_errors = some(60);
        faults.flush_errors = some(60);
    }
    if run.trouble == Trouble::Rot && !last && run.chance(30) {
        faults.lost_writes = if run.chance(50) { 30 } else { 0 };
        faults.misdirected_writes = if run.chance(50) { 30 } else { 0 };
    }
    run.disk.set_faults(faults);
    let full = run.trouble == Trouble::Full && !last && run.chance(80);
    run.disk.set_capacity(if full { run.disk.used() + run.below(2 << 20) as u64 } else { DISK_BYTES });
}

fn end_life(run: &Rc<Run>, ended: Ended<End>) {
    // What a failed flush covered is in memory only, and no flush of a next process brings it to the disk: nothing survives that.
    let process_dies = run.chance(40) && run.trouble != Trouble::Errors;
    let kept = if process_dies { Kept::AllDone } else { Kept::Flushed };
    let stopped = ended == Ended::Done(End::Stopped);
    let mut coverage = run.coverage.borrow_mut();
    let counters = run.disk.counters();
    coverage.hit_if(Path::Full, counters.refused_full > 0);
    coverage.hit_if(Path::IoError, counters.errors > 0);
    coverage.hit_if(Path::CrashInRecovery, ended == Ended::Crashed && run.phase.get() == Phase::Recovery);
    coverage.hit_if(Path::CrashInStop, ended == Ended::Crashed && run.phase.get() == Phase::Stop);
    coverage.hit_if(Path::Stopped, stopped);
    coverage.hit(if kept == Kept::Flushed { Path::PowerFailed } else { Path::ProcessDied });
    drop(coverage);
    {
        let mut model = run.model.borrow_mut();
        // What a clean stop left, no power cut takes.
        model.clean = stopped && std::mem::take(&mut model.deleting) == 0;
        model.power_failed |= kept == Kept::Flushed;
    }
    if counters.silent_faults > 0 {
        run.doubtful.set(true);
    }
    run.disk.crash(kept);
    if run.trouble == Trouble::Rot && run.chance(50) {
        rot::strike(run);
    }
}
