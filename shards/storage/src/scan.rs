//! Going through a log batch by batch, and questions about time that need it.

use ottla_batch::{Batch, records};
use ottla_reactor::Slice;
use ottla_units::limits::UNCOMPRESSED_BATCH_BYTES_MAX;
use ottla_units::{Offset, Timestamp};

use crate::log::{Log, LogCore};
use crate::lookup;
use crate::read::ReadRequest;
use crate::reindex::reindex;
use crate::{Damage, StorageError};

/// Bytes that a scan reads at once.
const SCAN_BYTES: usize = 1 << 20;
/// Bytes that a search reads at once: what it looks for is close to where it begins.
const SEARCH_BYTES: usize = 64 << 10;

/// The batches of a log, one after another, up to where it ended when the scan began.
pub struct Scan {
    log: Log,
    next: Offset,
    upto: Offset,
    bytes: usize,
    slices: std::vec::IntoIter<Slice>,
    current: Option<Slice>,
    at: usize,
    /// A batch whose bytes lie in several slices.
    joined: Vec<u8>,
}

impl Log {
    /// Goes through the batches from the one with `from` on, to the end as it is now.
    pub fn scan(&self, from: Offset) -> Scan {
        self.scan_to(from, self.end(), SCAN_BYTES)
    }

    fn scan_to(&self, from: Offset, upto: Offset, bytes: usize) -> Scan {
        Scan {
            log: self.clone(),
            next: from,
            upto,
            bytes,
            slices: Vec::new().into_iter(),
            current: None,
            at: 0,
            joined: Vec::new(),
        }
    }

    /// The first record before offset `upto` whose time is at or after `timestamp`: its offset and time (ListOffsets by
    /// time; `LogSegment.findOffsetByTimestamp`).
    ///
    /// # Errors
    /// Those of reading.
    pub async fn offset_for_timestamp(
        &self,
        timestamp: Timestamp,
        upto: Offset,
    ) -> Result<Option<(Offset, Timestamp)>, StorageError> {
        let late = |latest: Timestamp| latest >= timestamp;
        let mut passed = self.start();
        while let Some(segment) = self.0.segment_with(passed, late) {
            let known = self.latest_before(segment, timestamp).await?;
            let begin = known.map_or(segment.0, |known| known.offset).max(passed).max(self.start());
            let mut scan = self.scan_to(begin, segment.1.min(upto), SEARCH_BYTES);
            while let Some(batch) = scan.next().await? {
                if batch.max_timestamp() < timestamp {
                    continue;
                }
                let found = first_record(&batch, |offset, time| offset >= begin && time >= timestamp);
                if found.is_some() {
                    return Ok(found.filter(|(offset, _)| *offset < upto));
                }
            }
            if segment.1 >= upto {
                break;
            }
            passed = segment.1;
        }
        Ok(None)
    }

    /// What the time index of a segment says, if the batch that it names is as it says. Else the index is made anew.
    async fn latest_before(
        &self,
        segment: (Offset, Offset),
        timestamp: Timestamp,
    ) -> Result<Option<crate::Latest>, StorageError> {
        let Some(known) = lookup::latest_before(&self.0, segment.0, timestamp).await? else { return Ok(None) };
        if known.offset < self.start() {
            return Ok(Some(known));
        }
        if known.offset < segment.1 {
            let mut scan = self.scan_to(known.offset, segment.1, SEARCH_BYTES);
            let batch = scan.next().await?;
            if batch
                .is_some_and(|batch| batch.last_offset() == known.offset && batch.max_timestamp() == known.timestamp)
            {
                return Ok(Some(known));
            }
        }
        tracing::warn!(log = ?self.0, segment = %segment.0, "a time index entry names no batch of its time");
        reindex(&self.0, segment.0).await?;
        Ok(None)
    }

    /// The first of the records before offset `upto` that have the latest time: its offset and time (KIP-734).
    ///
    /// # Errors
    /// Those of reading.
    pub async fn max_timestamp_offset(&self, upto: Offset) -> Result<Option<(Offset, Timestamp)>, StorageError> {
        let Some((latest, from)) = self.0.latest_below(upto) else { return Ok(None) };
        if let Some(offset) = from {
            let mut scan = self.scan_to(offset, upto, SEARCH_BYTES);
            if let Some(batch) = scan.next().await? {
                return Ok(first_record(&batch, |_, time| time == latest));
            }
        }
        // The latest record is not to be seen yet: look at all that are.
        let mut best: Option<(Offset, Timestamp)> = None;
        let mut scan = self.scan_to(self.start(), upto, SCAN_BYTES);
        while let Some(batch) = scan.next().await? {
            let time = batch.max_timestamp();
            if best.is_none_or(|(_, best)| time > best) {
                best = first_record(&batch, |_, found| found == time).or(best);
            }
        }
        Ok(best)
    }
}

/// The first record of a batch that is wanted; a batch that cannot be unpacked counts as having one record, at its base.
fn first_record(batch: &Batch<'_>, wanted: impl Fn(Offset, Timestamp) -> bool) -> Option<(Offset, Timestamp)> {
    let Ok(mut records) = records(batch, UNCOMPRESSED_BATCH_BYTES_MAX) else {
        return Some((batch.base_offset(), batch.max_timestamp()));
    };
    while let Some(Ok(record)) = records.next() {
        if wanted(record.offset, record.timestamp) {
            return Some((record.offset, record.timestamp));
        }
    }
    None
}

impl LogCore {
    /// The first segment that ends behind `from` and whose latest time is as wanted: its base and its end.
    fn segment_with(&self, from: Offset, wanted: impl Fn(Timestamp) -> bool) -> Option<(Offset, Offset)> {
        let state = self.state.borrow();
        let end_of = |i: usize| state.segments.get(i + 1).map_or(state.end, |next| next.base);
        (0..state.segments.len())
            .find(|i| end_of(*i) > from && wanted(state.segments[*i].latest.timestamp))
            .map(|i| (state.segments[i].base, end_of(i)))
    }

    /// The latest time in the log, and the last offset of the first batch with it if that lies below `upto`.
    fn latest_below(&self, upto: Offset) -> Option<(Timestamp, Option<Offset>)> {
        let state = self.state.borrow();
        if state.start >= upto {
            return None;
        }
        let mut best: Option<crate::Latest> = None;
        for segment in state.segments.iter().filter(|segment| segment.bytes > 0) {
            if best.is_none_or(|best| segment.latest.timestamp > best.timestamp) {
                best = Some(segment.latest);
            }
        }
        let best = best?;
        Some((best.timestamp, (best.offset < upto && best.offset >= state.start).then_some(best.offset)))
    }
}

impl Scan {
    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn next(&mut self) -> Result<Option<Batch<'_>>, StorageError> {
        loop {
            if self.current.is_some() {
                break;
            }
            match self.slices.next() {
                Some(slice) => (self.current, self.at) = (Some(slice), 0),
                None => {
                    if self.next >= self.upto {
                        return Ok(None);
                    }
                    let request =
                        ReadRequest { from: self.next, upto: self.upto, bytes_max: self.bytes, at_least_one: true };
                    let records = self.log.read(request)?.records().await?;
                    if records.bytes == 0 {
                        return Ok(None);
                    }
                    self.next = records.next;
                    self.slices = records.slices.into_iter();
                }
            }
        }
        self.take()
    }

    /// The batch at the place reached, joined from several slices if need be.
    fn take(&mut self) -> Result<Option<Batch<'_>>, StorageError> {
        let Some(current) = self.current.take() else { return Ok(None) };
        let rest = &current[self.at..];
        self.joined.clear();
        let Ok((batch, behind)) = Batch::parse(rest) else {
            self.joined.extend_from_slice(rest);
            return self.join();
        };
        if behind.is_empty() {
            // The slice goes; its last batch stays.
            self.joined.extend_from_slice(rest);
            return self.joined_batch();
        }
        let from = self.at;
        self.at += batch.total_len();
        let current = self.current.insert(current);
        match Batch::parse(&current[from..]) {
            Ok((batch, _)) => Ok(Some(batch)),
            Err(_) => Err(corrupt(&self.log)),
        }
    }

    /// Adds slices to what was begun until a whole batch is there.
    fn join(&mut self) -> Result<Option<Batch<'_>>, StorageError> {
        while let Some(slice) = self.slices.next() {
            let before = self.joined.len();
            self.joined.extend_from_slice(&slice);
            let Ok((batch, _)) = Batch::parse(&self.joined) else { continue };
            let (len, used) = (batch.total_len(), batch.total_len() - before);
            if used < slice.len() {
                (self.current, self.at) = (Some(slice), used);
            }
            self.joined.truncate(len);
            return self.joined_batch();
        }
        Err(corrupt(&self.log))
    }

    fn joined_batch(&self) -> Result<Option<Batch<'_>>, StorageError> {
        match Batch::parse(&self.joined) {
            Ok((batch, _)) => Ok(Some(batch)),
            Err(_) => Err(corrupt(&self.log)),
        }
    }
}

fn corrupt(log: &Log) -> StorageError {
    StorageError::corrupt(&log.0.path(), 0, Damage::Batch)
}
