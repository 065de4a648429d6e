//! Copying what is sound: batch by batch, with the offsets that they have, into a folder that a broker starts from.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ottla_batch::{Batch, Builder};
use ottla_cluster::Record;
use ottla_partition::ProducerTable;
use ottla_storage::{Layout, LogImage, Rebuild, RebuiltLog, SegmentFile, StorageError};
use ottla_units::{BrokerId, LeaderEpoch, Offset, Timestamp, TopicPartition};

use super::crew::{self, Progress, Work};
use super::folder::Folder;
use super::log::{GAPS_FILE, Judged, Log};
use super::segment::Place;
use super::verify::open_logs;
use crate::controller::{self, Identity};

/// Offsets that are not in the copy.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// The partition's folder.
    pub partition: String,
    /// The first offset.
    pub from: i64,
    /// The offset behind the last.
    pub to: i64,
    /// Bytes in the files that were left out; 0 where there are none.
    pub bytes: u64,
    /// Why, with files and places.
    pub why: String,
}

/// What was copied, and what not.
#[derive(Default, Debug)]
pub struct Salvaged {
    /// What is not in the copy, by partition and offset.
    pub left_out: Vec<LeftOut>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// Partitions in the copy.
    pub partitions: u64,
    /// Batches in it.
    pub batches: u64,
    /// Records in it.
    pub records: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Batches that came from a journal.
    pub from_journal: u64,
    /// Producer ids from here on were never seen in a log.
    pub next_producer_id: i64,
}

/// Why there is no copy.
#[derive(Debug)]
pub enum SalvageError {
    /// There is something already where the copy should go.
    NotEmpty(PathBuf),
    /// The copy would lie within the folder that it is made of.
    Inside(PathBuf),
    /// Something of the folder is of a format that this program does not know.
    NewerFormat(String),
    /// A file cannot be read or written.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The copy cannot be written.
    Storage(StorageError),
    /// Its metadata cannot be written.
    Metadata(controller::LogError),
    /// There is no reactor on this machine.
    Reactor(String),
}

impl fmt::Display for SalvageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SalvageError::NotEmpty(path) => write!(f, "{} is not empty", path.display()),
            SalvageError::Inside(path) => write!(f, "{} lies within the folder to be salvaged", path.display()),
            SalvageError::NewerFormat(what) => f.write_str(what),
            SalvageError::Io { path, error } => write!(f, "{}: {error}", path.display()),
            SalvageError::Storage(error) => write!(f, "the copy cannot be written: {error}"),
            SalvageError::Metadata(error) => write!(f, "the copy's metadata cannot be written: {error}"),
            SalvageError::Reactor(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for SalvageError {}

impl From<StorageError> for SalvageError {
    fn from(error: StorageError) -> SalvageError {
        SalvageError::Storage(error)
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> SalvageError + use<> {
    let path = path.to_owned();
    move |error| SalvageError::Io { path, error }
}

/// Copies all that is sound in `folder` to `to`, which must not exist or be empty.
///
/// # Errors
/// There is no copy then, or an unfinished one that no broker starts from.
pub fn salvage(mut folder: Folder, to: &Path, progress: impl Fn(Progress) + Sync) -> Result<Salvaged, SalvageError> {
    refuse(&folder, to)?;
    let logs = open_logs(&mut folder).map_err(io_error(&folder.layout.topics()))?;
    progress(Progress::Begun { bytes: logs.iter().map(|log| log.bytes).sum() });
    let layout = Layout::below(to);
    let work = Work::new(logs);
    let parts = crew::run(|| copy_logs(&layout, &work, &progress));
    let mut salvaged = Salvaged { notes: std::mem::take(&mut folder.notes), ..Salvaged::default() };
    let mut images = Vec::new();
    for part in parts {
        let (part, logs) = part?;
        salvaged.add(part);
        images.extend(logs);
    }
    salvaged.left_out.sort_by(|a, b| (&a.partition, a.from).cmp(&(&b.partition, b.from)));
    // With the newest metadata lost, ids could be given again that the logs know.
    let next = salvaged.next_producer_id;
    if next > folder.image.next_producer_id().get() {
        // It only goes up, so it fits.
        let _ = folder.image.apply(&Record::ProducerIds { next });
    }
    finish(&folder, &layout, images)?;
    Ok(salvaged)
}

/// Refuses before anything is written.
fn refuse(folder: &Folder, to: &Path) -> Result<(), SalvageError> {
    let newer =
        folder.findings.iter().chain(&folder.journals.findings).find(|found| found.kind == super::Kind::NewerFormat);
    if let Some(newer) = newer {
        return Err(SalvageError::NewerFormat(newer.to_string()));
    }
    if !super::folder::listed(to).map_err(io_error(to))?.is_empty() {
        return Err(SalvageError::NotEmpty(to.to_owned()));
    }
    let within = |inner: &Path| {
        let there =
            inner.ancestors().filter(|path| !path.as_os_str().is_empty()).find_map(|path| path.canonicalize().ok());
        let there = there.or_else(|| Path::new(".").canonicalize().ok());
        let data = folder.layout.data.canonicalize().ok();
        there.zip(data).is_some_and(|(there, data)| there.starts_with(data))
    };
    if within(to) { Err(SalvageError::Inside(to.to_owned())) } else { Ok(()) }
}

/// Writes what makes the copy a data folder; its `meta.properties` last, without which no broker takes it for whole.
fn finish(folder: &Folder, layout: &Layout, images: Vec<(TopicPartition, LogImage)>) -> Result<(), SalvageError> {
    on_reactor(Rebuild::finish(layout, images))??;
    controller::write_new(&layout.metadata(), &folder.image.snapshot()).map_err(SalvageError::Metadata)?;
    let identity = folder.identity.clone().unwrap_or_else(|| {
        let node_id = folder.image.brokers().next().map_or(BrokerId::new(0), |broker| broker.id);
        Identity { cluster_id: folder.image.cluster_id().to_owned(), node_id }
    });
    let path = layout.meta_properties();
    identity.write(&path).map_err(io_error(&path))
}

fn on_reactor<F: Future>(future: F) -> Result<F::Output, SalvageError> {
    ottla_reactor::block_on(future).map_err(|error| SalvageError::Reactor(ottla_reactor::probe::explain(&error)))
}

type Copied = (Salvaged, Vec<(TopicPartition, LogImage)>);

fn copy_logs(layout: &Layout, work: &Work<Log>, progress: &impl Fn(Progress)) -> Result<Copied, SalvageError> {
    on_reactor(async {
        let rebuild = Rebuild::begin(layout).await?;
        let (mut part, mut images) = (Salvaged::default(), Vec::new());
        while let Some(log) = work.take() {
            let copy = Copy::begin(&rebuild, &log);
            let image = copy.run(layout, progress, &mut part).await?;
            images.push((log.spec.key, image));
        }
        Ok((part, images))
    })?
}

impl Salvaged {
    fn add(&mut self, other: Salvaged) {
        self.left_out.extend(other.left_out);
        self.notes.extend(other.notes);
        self.partitions += other.partitions;
        self.batches += other.batches;
        self.records += other.records;
        self.bytes += other.bytes;
        self.from_journal += other.from_journal;
        self.next_producer_id = self.next_producer_id.max(other.next_producer_id);
    }
}

/// One log being copied.
struct Copy<'a> {
    log: &'a Log,
    out: RebuiltLog,
    /// The offset that is due.
    next: i64,
    /// What the journal has, by offset.
    journal: BTreeMap<i64, (&'a Path, &'a Place)>,
    producers: ProducerTable,
    /// The producers' states of batches from here on are not in the table yet.
    producers_from: i64,
    /// The leadership of the newest batch.
    epoch: i32,
    /// Why what is due may not come: place, bytes.
    reasons: Vec<(String, u64)>,
    left_out: Vec<LeftOut>,
    gaps: Vec<(i64, i64)>,
}

impl<'a> Copy<'a> {
    fn begin(rebuild: &Rebuild, log: &'a Log) -> Copy<'a> {
        let start = log.start();
        let first = log.segments.first().map_or(start, |segment| segment.base.min(start));
        let journaled = log.expected.journaled.iter();
        let journal = journaled.map(|batch| (batch.place.base, (&*batch.file, &batch.place))).collect();
        let known = log.expected.known.as_ref();
        let (producers_from, producers) = newest_producers(log);
        Copy {
            log,
            out: rebuild.log(&log.spec, Offset::new(first)),
            next: start,
            journal,
            producers,
            producers_from,
            epoch: known.and_then(|known| known.image.epochs.latest()).map_or(0, |epoch| epoch.get()),
            reasons: Vec::new(),
            left_out: Vec::new(),
            gaps: Vec::new(),
        }
    }

    async fn run(
        mut self,
        layout: &Layout,
        progress: &impl Fn(Progress),
        part: &mut Salvaged,
    ) -> Result<LogImage, SalvageError> {
        let log = self.log;
        let mut walk = log.walk();
        while let Some(judged) = walk.next() {
            self.segment(&judged, part).await?;
            progress(Progress::Done { bytes: judged.segment.bytes });
        }
        self.fill(i64::MAX, part).await?;
        let end = log.promised().max(self.next);
        if end > self.next {
            let empty = empty_batch(self.next, end, self.epoch);
            self.leave_out(end);
            self.gaps.pop();
            if let Some((batch, _)) = empty.as_deref().and_then(|bytes| Batch::parse(bytes).ok()) {
                self.out.append(&batch).await?;
            }
        }
        let newest = self.producers.iter().map(|(producer, _)| producer.get() + 1).max();
        part.next_producer_id = part.next_producer_id.max(newest.unwrap_or(0));
        let producers = self.producers.encode();
        let image = self.out.finish(Offset::new(log.start()), Offset::new(end), producers).await?;
        if !self.gaps.is_empty() {
            write_gaps(&layout.partition(&log.spec.folder()), &self.gaps)?;
        }
        part.partitions += 1;
        part.left_out.append(&mut self.left_out);
        Ok(image)
    }

    async fn segment(&mut self, judged: &Judged<'_>, part: &mut Salvaged) -> Result<(), SalvageError> {
        let path = &judged.segment.path;
        if let Some((_, why)) = &judged.foreign {
            self.reasons.push((format!("{}: {why}", path.display()), judged.segment.bytes));
            return Ok(());
        }
        let file = File::open(path).map_err(io_error(path))?;
        let mut holes = judged.content.holes.iter().peekable();
        let mut begun = false;
        for (place, verdict) in judged.content.places.iter().zip(&judged.verdicts) {
            while let Some(hole) = holes.next_if(|hole| hole.position < place.position) {
                self.reasons.push((format!("{} at {}: {}", path.display(), hole.position, hole.what), hole.bytes));
            }
            if let Some(why) = verdict {
                self.reasons.push((format!("{} at {}: {why}", path.display(), place.position), u64::from(place.bytes)));
            } else if place.next > self.next && (place.base >= self.next || self.out.end().get() <= place.base) {
                self.fill(place.base, part).await?;
                self.leave_out(place.base);
                if !std::mem::replace(&mut begun, true) {
                    self.out.begin_segment(Offset::new(place.base));
                }
                self.copy(&file, path, place, part).await?;
            }
        }
        for hole in holes {
            self.reasons.push((format!("{} at {}: {}", path.display(), hole.position, hole.what), hole.bytes));
        }
        Ok(())
    }

    /// Copies what the journal has from the offset that is due up to `until`.
    async fn fill(&mut self, until: i64, part: &mut Salvaged) -> Result<(), SalvageError> {
        while let Some((base, (path, place))) =
            self.journal.range(self.next..until).next().map(|(at, found)| (*at, *found))
        {
            if place.next > until {
                break;
            }
            self.leave_out(base);
            let file = File::open(path).map_err(io_error(path))?;
            self.copy(&file, path, place, part).await?;
            part.from_journal += 1;
        }
        Ok(())
    }

    async fn copy(&mut self, file: &File, path: &Path, place: &Place, part: &mut Salvaged) -> Result<(), SalvageError> {
        let mut bytes = vec![0; place.bytes as usize];
        file.read_exact_at(&mut bytes, place.position).map_err(io_error(path))?;
        let changed =
            || SalvageError::Io { path: path.to_owned(), error: io::Error::other("it changes while it is read") };
        let (batch, _) = Batch::parse(&bytes).map_err(|_| changed())?;
        if !batch.crc_matches() || batch.base_offset().get() != place.base {
            return Err(changed());
        }
        self.out.append(&batch).await?;
        if place.base >= self.producers_from {
            self.producers.replay(&batch, now());
        }
        self.next = place.next;
        self.epoch = place.epoch;
        // What was wrong before this did no harm.
        self.reasons.clear();
        let producer = place.producer.map_or(-1, |(producer, ..)| producer);
        part.next_producer_id = part.next_producer_id.max(producer.saturating_add(1));
        part.batches += 1;
        part.records += u64::from(place.records);
        part.bytes += u64::from(place.bytes);
        Ok(())
    }

    /// Takes note that nothing sound was found from the offset that is due up to `to`.
    fn leave_out(&mut self, to: i64) {
        if to <= self.next {
            return;
        }
        let from = std::mem::replace(&mut self.next, to);
        self.gaps.push((from, to));
        if self.log.gaps.get(&from) == Some(&to) {
            return;
        }
        let bytes = self.reasons.iter().map(|(_, bytes)| bytes).sum();
        let whys: Vec<String> = self.reasons.drain(..).map(|(why, _)| why).collect();
        let why = if whys.is_empty() { "no file has them".to_owned() } else { whys.join("; ") };
        self.left_out.push(LeftOut { partition: self.log.spec.folder(), from, to, bytes, why });
    }
}

/// A batch without records, as Kafka's compaction leaves them: it stands for the offsets at a log's end that are lost, so that
/// they are not given again and readers come to the end.
fn empty_batch(from: i64, to: i64, epoch: i32) -> Option<Vec<u8>> {
    let delta = i32::try_from(to - from - 1).ok()?;
    let mut bytes = Builder::new().base_offset(Offset::new(from)).leader_epoch(LeaderEpoch::new(epoch)).build();
    bytes[23..27].copy_from_slice(&delta.to_be_bytes());
    let crc = Batch::parse(&bytes).ok()?.0.computed_crc();
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Some(bytes)
}

/// The newest sound state of the producers, and the offset that it reaches to.
fn newest_producers(log: &Log) -> (i64, ProducerTable) {
    let (mut best, end) = ((i64::MIN, ProducerTable::new()), log.promised());
    let mut offer = |offset: i64, bytes: &[u8]| {
        if let Some(table) = ProducerTable::decode(bytes, now()).ok().filter(|_| offset > best.0 && offset <= end) {
            best = (offset, table);
        }
    };
    if let Some((offset, bytes)) = log.expected.known.as_ref().and_then(|known| known.image.snapshot.as_ref()) {
        offer(offset.get(), bytes);
    }
    for path in super::folder::listed(&log.folder).unwrap_or_default() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some((SegmentFile::Snapshot, offset)) = SegmentFile::parse(&name) {
            offer(offset.get(), &fs::read(&path).unwrap_or_default());
        }
    }
    best
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Lists what is missing beside the log, so that who checks the copy knows.
fn write_gaps(folder: &Path, gaps: &[(i64, i64)]) -> Result<(), SalvageError> {
    let mut text =
        String::from("# Offsets that no sound batch had when this log was salvaged: from, to (not included).\n");
    for (from, to) in gaps {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{from} {to}");
    }
    let path = folder.join(GAPS_FILE);
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    fs::write(&path, text).map_err(io_error(&path))
}
