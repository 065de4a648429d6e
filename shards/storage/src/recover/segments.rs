//! What the files of one log hold: finished segments by their names and sizes, the last one by scanning its end.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use ottla_batch::{Batch, BatchError, HEADER_BYTES};
use ottla_reactor::file::{self, File, Open};
use ottla_reactor::{AlignedBuffer, BLOCK, wall_clock};
use ottla_units::{LeaderEpoch, Offset, Timestamp};

use super::{LogImage, RecoverOptions, RecoveryReport, accept};
use crate::epochs::Epochs;
use crate::journal::Mark;
use crate::layout::SegmentFile;
use crate::segment::{
    Growing, GrowingIndex, INDEX_ENTRY_BYTES, IndexEntry, Latest, Segment, TIME_ENTRY_BYTES, TimeEntry,
};
use crate::{Damage, LogSettings, Planted, StorageError, owner};

/// Bytes that a scan reads at once.
const SCAN_BYTES: usize = 1 << 20;

/// One log's files being looked at, given what a checkpoint and a mark say of them.
pub(super) struct Examination<'a> {
    folder: &'a Path,
    known: LogImage,
    /// What must at least be there.
    floor: Mark,
    /// Whether that is from a journal.
    marked: bool,
    options: &'a RecoverOptions,
    report: &'a mut RecoveryReport,
}

impl<'a> Examination<'a> {
    pub(super) fn new(
        folder: &'a Path,
        known: LogImage,
        mark: Option<Mark>,
        options: &'a RecoverOptions,
        report: &'a mut RecoveryReport,
    ) -> Examination<'a> {
        let floor = mark.unwrap_or_else(|| mark_of(&known));
        Examination { folder, known, floor, marked: mark.is_some(), options, report }
    }

    /// Finds out what the files hold.
    pub(super) async fn run(mut self) -> Result<LogImage, StorageError> {
        let files = Listing::read(self.folder).await?;
        if !self.marked && files.are_untouched(&self.known) {
            if files.has_snapshots_behind(self.known.end) {
                self.make_durable(&files, self.known.end).await?;
            }
            return Ok(self.known);
        }
        let losses = self.report.losses.len();
        let start = self.known.start.max(self.floor.start);
        let mut image = LogImage { start, segments: Vec::new(), has_folder: true, ..self.known.clone() };
        accept(files.check_complete(self.folder, &self.known, start), self.options, self.report)?;
        let stored = read_epochs(self.folder).await?;
        image.epochs = self.epochs(&files, stored.clone(), image.epochs).await?;
        let last = files.bases.last().copied().filter(|last| *last >= self.floor.segment);
        for base in files.bases.iter().filter(|base| Some(**base) != last) {
            image.segments.push(finished(self.folder, *base, &self.known, files.bytes_of(*base)).await?);
        }
        match last {
            Some(base) => self.scan_last(base, files.bytes_of(base), &mut image).await?,
            None => self.begin_last(&mut image)?,
        }
        let first = image.segments.first().map_or(image.end, |first| first.base);
        if first > image.start && self.report.losses.len() == losses {
            let path = SegmentFile::Log.path(self.folder, image.start);
            let missing = StorageError::corrupt(&path, 0, Damage::SegmentMissing);
            accept(Err::<(), _>(missing), self.options, self.report)?;
        }
        // Where lost segments were accepted, the log begins behind them.
        image.start = image.start.max(first).min(image.end);
        image.epochs.cut_front(image.start);
        if image.end == Offset::ZERO {
            // They tell of records that are gone, and their file goes, too.
            image.epochs = Epochs::default();
        } else {
            let stored = stored.unwrap_or_default();
            image.epochs_stale = stored != image.epochs;
            image.epochs_new = !image.epochs_stale || stored.entries().is_empty();
        }
        image.choose_snapshot(&files.snapshots);
        self.make_durable(&files, image.end).await?;
        Ok(image)
    }

    /// Makes the names in the folder durable: a process that died may not have come to it. Producers' states and leaderships of
    /// records that are gone go as well, before others take their offsets.
    async fn make_durable(&self, files: &Listing, end: Offset) -> Result<(), StorageError> {
        for offset in files.snapshots.iter().filter(|offset| **offset > end) {
            let path = SegmentFile::Snapshot.path(self.folder, *offset);
            file::remove(&path).await.map_err(StorageError::io(&path, "remove"))?;
        }
        if !file::exists(self.folder) {
            return Ok(());
        }
        let epochs = self.folder.join(owner::EPOCHS_FILE);
        if end == Offset::ZERO && file::exists(&epochs) {
            file::remove(&epochs).await.map_err(StorageError::io(&epochs, "remove"))?;
        }
        file::sync_dir(self.folder).await.map_err(StorageError::io(self.folder, "flush"))
    }

    /// The leaderships: those of the file, which is as new as what is durable, else what the first batch tells.
    async fn epochs(&self, files: &Listing, stored: Option<Epochs>, known: Epochs) -> Result<Epochs, StorageError> {
        // One without any may be what a power cut left of a log that got its first records since.
        let tells = |epochs: &Epochs| epochs.latest().is_some() && epochs.latest() >= known.latest();
        if let Some(epochs) = stored.filter(tells) {
            return Ok(epochs);
        }
        let mut epochs = known;
        if let (true, Some(first)) = (epochs.entries().is_empty(), files.bases.first()) {
            let path = SegmentFile::Log.path(self.folder, *first);
            let mut reader = SegmentReader::open(path, files.bytes_of(*first)).await?;
            if let Some((epoch, _)) = reader.header_at(0).await? {
                epochs.note(epoch, *first);
            }
        }
        Ok(epochs)
    }

    /// All files are finished, and the active segment has none yet.
    fn begin_last(&mut self, image: &mut LogImage) -> Result<(), StorageError> {
        if self.floor.position > 0 {
            let path = SegmentFile::Log.path(self.folder, self.floor.segment);
            let missing = StorageError::corrupt(&path, 0, Damage::SegmentMissing);
            accept(Err::<(), _>(missing), self.options, self.report)?;
        }
        image.end = self.floor.end;
        image.segments.push(Segment::new(image.end, wall_clock()));
        image.active = Growing::new(image.end, 0);
        Ok(())
    }

    /// Scans the last segment from the last place that its durable index knows; if that does not lead to its known end, from
    /// the beginning: the index may be what is damaged.
    async fn scan_last(&mut self, base: Offset, size: u64, image: &mut LogImage) -> Result<(), StorageError> {
        self.report.logs_scanned += 1;
        let path = SegmentFile::Log.path(self.folder, base);
        let mut reader = SegmentReader::open(path.clone(), size).await?;
        let epochs = std::mem::take(&mut image.epochs);
        let mut scan = self.begin_scan(base, epochs.clone()).await?;
        let indexed = scan.segment.bytes > 0;
        reader.take_all(&mut scan).await?;
        if indexed && self.is_short(&scan) {
            scan = self.begin_afresh(base, epochs);
            reader.take_all(&mut scan).await?;
        }
        let position = scan.segment.bytes;
        if self.is_short(&scan) {
            let short = StorageError::corrupt(&path, position, Damage::Batch);
            accept(Err::<(), _>(short), self.options, self.report)?;
        }
        // Flushed when it is finished, even if it looks finished: a process that died may not have come to it.
        scan.active.untidy = true;
        image.end = scan.end.unwrap_or(base);
        image.segments.push(scan.segment);
        image.active = scan.active;
        image.epochs = scan.epochs;
        Ok(())
    }

    /// Whether a scan ended before what is known to be durable.
    fn is_short(&self, scan: &Scanning) -> bool {
        let base = scan.segment.base;
        let end = scan.end.unwrap_or(base);
        self.floor.segment == base && (scan.segment.bytes < self.floor.position || end < self.floor.end)
    }

    /// Where a scan of the last segment begins, and what is known up to there.
    async fn begin_scan(&self, base: Offset, epochs: Epochs) -> Result<Scanning, StorageError> {
        let earlier = self.known.segments.iter().find(|segment| segment.base == base);
        let mut segment = earlier.copied().unwrap_or_else(|| Segment::new(base, wall_clock()));
        let mut active = Growing::new(base, 0);
        active.exists = true;
        let (entries, times) = (self.floor.index_entries, self.floor.time_entries);
        let interval = LogSettings::default().index_interval_bytes;
        if self.floor.segment == base
            && entries > 0
            && let Some(entry) = last_entry(self.folder, base, entries).await?
        {
            let last = last_time(self.folder, base, Some(times)).await?;
            (active.index.stored, active.index.stored_times) = (entries, times);
            active.index.last_time = last.map_or(Timestamp::NONE, |entry| entry.timestamp);
            segment.bytes = u64::from(entry.position);
            // Not the mark's: that may know of batches which were appended behind what it counts, and never became durable.
            segment.latest = last.map_or(Latest::NONE, |entry| Latest {
                timestamp: entry.timestamp,
                offset: base.plus(i64::from(entry.offset)),
            });
            return Ok(Scanning { segment, active, epochs, end: None, interval });
        }
        Ok(self.begin_afresh(base, epochs))
    }

    /// A scan of the last segment from its beginning.
    fn begin_afresh(&self, base: Offset, epochs: Epochs) -> Scanning {
        let earlier = self.known.segments.iter().find(|segment| segment.base == base);
        let segment = Segment::new(base, earlier.map_or_else(wall_clock, |segment| segment.created));
        let mut active = Growing::new(base, 0);
        active.exists = true;
        Scanning { segment, active, epochs, end: Some(base), interval: LogSettings::default().index_interval_bytes }
    }
}

/// What a checkpoint knows of a log, as a mark.
fn mark_of(known: &LogImage) -> Mark {
    let last = known.segments.last();
    Mark {
        start: known.start,
        segment: known.active.base,
        position: last.map_or(0, |last| last.bytes),
        end: known.end,
        index_entries: known.active.index.stored,
        time_entries: known.active.index.stored_times,
        latest: last.map_or(Latest::NONE, |last| last.latest),
    }
}

/// The files in a log's folder.
struct Listing {
    /// Base offsets of its segments, ascending, and their sizes.
    bases: Vec<Offset>,
    sizes: Vec<u64>,
    /// Offsets of its producers' states, ascending.
    snapshots: Vec<Offset>,
}

impl Listing {
    async fn read(folder: &Path) -> Result<Listing, StorageError> {
        let mut listing = Listing { bases: Vec::new(), sizes: Vec::new(), snapshots: Vec::new() };
        if !file::exists(folder) {
            return Ok(listing);
        }
        // Names come in order, and 20 digits sort as their numbers do.
        for entry in file::list(folder).await.map_err(StorageError::io(folder, "list"))? {
            match SegmentFile::parse(&entry.name) {
                Some((SegmentFile::Log, base)) => {
                    listing.bases.push(base);
                    listing.sizes.push(entry.len);
                }
                Some((SegmentFile::Snapshot, offset)) => listing.snapshots.push(offset),
                _ => {}
            }
        }
        Ok(listing)
    }

    fn bytes_of(&self, base: Offset) -> u64 {
        self.bases.binary_search(&base).map_or(0, |i| self.sizes[i])
    }

    /// Whether nothing was written since the checkpoint: writing pads a file to whole blocks, and only a new checkpoint follows
    /// when it is cut again.
    fn are_untouched(&self, known: &LogImage) -> bool {
        let there = known.segments.iter().filter(|segment| segment.bytes > 0).map(|segment| segment.base);
        let padded = |last: &Segment| last.bytes.is_multiple_of(BLOCK as u64);
        let last = known.segments.last().filter(|last| !padded(last));
        last.is_some_and(|last| self.bytes_of(last.base) == last.bytes) && there.eq(self.bases.iter().copied())
    }

    /// Whether there are producers' states of records that never became durable: of segments that were begun and lost.
    fn has_snapshots_behind(&self, end: Offset) -> bool {
        self.snapshots.last().is_some_and(|newest| *newest > end)
    }

    /// Whether the segments that the checkpoint knows are there, but those whose removal had begun.
    fn check_complete(&self, folder: &Path, known: &LogImage, start: Offset) -> Result<(), StorageError> {
        for (i, segment) in known.segments.iter().enumerate() {
            let next = known.segments.get(i + 1).map_or(known.end, |next| next.base);
            let expected = segment.bytes > 0 && next > start;
            if expected && self.bases.binary_search(&segment.base).is_err() {
                let path = SegmentFile::Log.path(folder, segment.base);
                return Err(StorageError::corrupt(&path, 0, Damage::SegmentMissing));
            }
        }
        Ok(())
    }
}

impl LogImage {
    /// Takes the newest producers' state that does not reach past the log's end; its bytes are read later.
    fn choose_snapshot(&mut self, files: &[Offset]) {
        let known = self.snapshot.as_ref().map(|(offset, _)| *offset).filter(|offset| *offset <= self.end);
        let newest = files.iter().rev().find(|offset| **offset <= self.end).copied();
        if newest > known {
            self.snapshot = newest.map(|offset| (offset, Vec::new()));
        } else if known.is_none() {
            self.snapshot = None;
        }
    }
}

/// What the file of leaderships says; nothing when there is none, or a torn one.
async fn read_epochs(folder: &Path) -> Result<Option<Epochs>, StorageError> {
    let bytes = read_if_there(&folder.join(owner::EPOCHS_FILE)).await?;
    Ok(std::str::from_utf8(&bytes).ok().and_then(Epochs::from_file))
}

/// A segment that is followed by another: its files were finished before that one was begun.
async fn finished(folder: &Path, base: Offset, known: &LogImage, bytes: u64) -> Result<Segment, StorageError> {
    let last_known = known.segments.last().map(|last| last.base);
    if let Some(segment) = known.segments.iter().find(|segment| segment.base == base && last_known != Some(base)) {
        return Ok(*segment);
    }
    let mut segment = Segment { bytes, ..Segment::new(base, wall_clock()) };
    if let Some(entry) = last_time(folder, base, None).await? {
        segment.latest = Latest { timestamp: entry.timestamp, offset: base.plus(i64::from(entry.offset)) };
    }
    let mut reader = SegmentReader::open(SegmentFile::Log.path(folder, base), bytes).await?;
    if let Some((_, latest)) = reader.header_at(0).await? {
        segment.first_timestamp = latest;
    }
    Ok(segment)
}

/// The last of the first `stored` entries of a time index, or of all.
async fn last_time(folder: &Path, base: Offset, stored: Option<u32>) -> Result<Option<TimeEntry>, StorageError> {
    let path = SegmentFile::TimeIndex.path(folder, base);
    let bytes = read_if_there(&path).await?;
    let (entries, _) = bytes.as_chunks::<TIME_ENTRY_BYTES>();
    let count = stored.map_or(entries.len(), |stored| entries.len().min(stored as usize));
    Ok(entries[..count].last().map(TimeEntry::from_bytes))
}

/// The last of the first `stored` entries of an index.
async fn last_entry(folder: &Path, base: Offset, stored: u32) -> Result<Option<IndexEntry>, StorageError> {
    let bytes = read_if_there(&SegmentFile::Index.path(folder, base)).await?;
    let (entries, _) = bytes.as_chunks::<INDEX_ENTRY_BYTES>();
    Ok(entries.get((stored as usize).wrapping_sub(1)).map(IndexEntry::from_bytes))
}

async fn read_if_there(path: &Path) -> Result<Vec<u8>, StorageError> {
    match file::read(path).await {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StorageError::io(path, "read")(error)),
    }
}

/// What a scan has found so far.
struct Scanning {
    segment: Segment,
    active: Growing,
    epochs: Epochs,
    /// The offset that must come next; unknown at a place from an index.
    end: Option<Offset>,
    /// Bytes between two entries of the index.
    interval: u32,
}

impl Scanning {
    /// Takes a batch in, if it is whole and follows; gives its size.
    fn note(&mut self, batch: &Batch<'_>) -> Option<u64> {
        let follows = self.end.is_none_or(|end| end == batch.base_offset());
        let whole = Planted::BatchUnchecked.is_there() || batch.crc_matches();
        if !follows || batch.last_offset_delta() < 0 || !whole {
            return None;
        }
        let (base, position) = (self.segment.base, self.segment.bytes);
        let offset = u32::try_from(batch.last_offset().since(base)).ok()?;
        self.segment.note(batch.last_offset(), batch.max_timestamp(), batch.total_len());
        let entry = IndexEntry { offset, position: u32::try_from(position).ok()? };
        self.active.index.note(entry, batch.total_len(), self.interval, base, self.segment.latest);
        self.epochs.note(batch.leader_epoch(), batch.base_offset());
        self.end = Some(batch.next_offset());
        Some(batch.total_len() as u64)
    }
}

/// The entries of a segment's indexes from its first `bytes`; nothing when the batches up to there are not whole.
pub(crate) async fn index_of(
    folder: &Path,
    base: Offset,
    bytes: u64,
    interval: u32,
) -> Result<Option<GrowingIndex>, StorageError> {
    let (segment, active) = (Segment::new(base, wall_clock()), Growing::new(base, 0));
    let mut scan = Scanning { segment, active, epochs: Epochs::default(), end: Some(base), interval };
    let mut reader = SegmentReader::open(SegmentFile::Log.path(folder, base), bytes).await?;
    reader.take_all(&mut scan).await?;
    scan.active.index.note_time(base, scan.segment.latest);
    Ok((scan.segment.bytes == bytes).then_some(scan.active.index))
}

/// Reads a segment's file from front to back.
struct SegmentReader {
    file: Rc<File>,
    path: PathBuf,
    size: u64,
    buffer: AlignedBuffer,
    from: u64,
    len: usize,
}

impl SegmentReader {
    async fn open(path: PathBuf, size: u64) -> Result<SegmentReader, StorageError> {
        let file = File::open(&path, Open { read: true, direct: true, ..Open::default() }).await;
        let file = Rc::new(file.map_err(StorageError::io(&path, "open"))?);
        let bytes = usize::try_from(size).unwrap_or(SCAN_BYTES).clamp(BLOCK, SCAN_BYTES);
        Ok(SegmentReader { file, path, size, buffer: AlignedBuffer::new(bytes), from: 0, len: 0 })
    }

    /// Makes `count` bytes from `at` on present, or as many as there are.
    async fn load(&mut self, at: u64, count: usize) -> Result<&[u8], StorageError> {
        let count = count.min(usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX));
        if at < self.from || at + count as u64 > self.from + self.len as u64 {
            let from = at / BLOCK as u64 * BLOCK as u64;
            let wanted = ((at - from) as usize + count).max(self.buffer.len()).next_multiple_of(BLOCK);
            let buffer = AlignedBuffer::new(wanted);
            let (read, buffer) = self.file.read_at(buffer, wanted, from).await;
            self.len = read.map_err(StorageError::io(&self.path, "read"))?;
            (self.buffer, self.from) = (buffer, from);
        }
        let start = ((at - self.from) as usize).min(self.len);
        Ok(&self.buffer[start..self.len])
    }

    /// The leadership and the latest time of the batch at `at`, if a header could be there.
    async fn header_at(&mut self, at: u64) -> Result<Option<(LeaderEpoch, Timestamp)>, StorageError> {
        let bytes = self.load(at, HEADER_BYTES).await?;
        let epoch = bytes.get(12..16).and_then(|field| field.first_chunk());
        let latest = bytes.get(35..43).and_then(|field| field.first_chunk());
        let found = epoch.zip(latest).filter(|_| bytes[16] == 2);
        Ok(found.map(|(epoch, latest)| {
            (LeaderEpoch::new(i32::from_be_bytes(*epoch)), Timestamp::new(i64::from_be_bytes(*latest)))
        }))
    }

    /// Gives the scan every batch from where it begins, up to the end of what is good.
    async fn take_all(&mut self, scan: &mut Scanning) -> Result<(), StorageError> {
        let mut position = scan.segment.bytes;
        if position > 0 && scan.segment.first_timestamp == Timestamp::NONE {
            scan.segment.first_timestamp = self.header_at(0).await?.map_or(Timestamp::NONE, |(_, latest)| latest);
        }
        while let Some(next) = self.take(position, scan).await? {
            position = next;
        }
        Ok(())
    }

    /// Gives the batch at `at` to the scan; the position behind it, or nothing at the end of what is good.
    async fn take(&mut self, at: u64, scan: &mut Scanning) -> Result<Option<u64>, StorageError> {
        if at >= self.size {
            return Ok(None);
        }
        let left = self.size - at;
        let bytes = self.load(at, HEADER_BYTES).await?;
        let needed = match Batch::parse(bytes) {
            Ok((batch, _)) => return Ok(scan.note(&batch).map(|len| at + len)),
            Err(BatchError::Truncated { needed, .. }) if needed as u64 <= left => needed,
            Err(_) => return Ok(None),
        };
        let bytes = self.load(at, needed).await?;
        Ok(Batch::parse(bytes).ok().and_then(|(batch, _)| scan.note(&batch)).map(|len| at + len))
    }
}
