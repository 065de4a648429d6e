use ottla_storage::{Read, ReadRequest};
use ottla_units::{LeaderEpoch, Offset, Timestamp};

use crate::{Isolation, Partition, ReadError, Role};

/// What a Fetch asks of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// The first offset wanted.
    pub offset: Offset,
    /// The leadership that the reader knows; −1 for none.
    pub current_epoch: LeaderEpoch,
    /// The leadership of the last record that the reader has, if it asks whether that is still in the log (KIP-595); −1 for none.
    pub last_fetched_epoch: LeaderEpoch,
    /// How far it may see.
    pub isolation: Isolation,
    /// Bytes that it takes at most.
    pub bytes_max: usize,
    /// Whether one whole batch is given even if it is larger.
    pub at_least_one: bool,
}

/// What a Fetch is told of one partition.
pub struct Fetched {
    /// See [`Partition::high_watermark`].
    pub high_watermark: Offset,
    /// See [`Partition::last_stable_offset`].
    pub last_stable_offset: Offset,
    /// See [`Partition::log_start`].
    pub log_start: Offset,
    /// The records, or how to wait for them when they are not in memory; `None` when there are none to see.
    pub records: Option<Read>,
    /// Where the reader's log leaves this one: the epoch that both have, and where it ends here.
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

/// Which offset is asked for (ListOffsets).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetQuery {
    /// The first that can be read.
    Earliest,
    /// The one after the last that can be seen.
    Latest,
    /// That of the record with the latest time (KIP-734).
    MaxTimestamp,
    /// That of the first record at or after a time.
    ByTime(Timestamp),
}

/// An offset that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetFound {
    /// The offset.
    pub offset: Offset,
    /// The record's time; −1 where the question was not about one.
    pub timestamp: Timestamp,
    /// The leadership that wrote it.
    pub leader_epoch: LeaderEpoch,
}

impl Partition {
    /// What a Fetch gets of this partition now. Never waits: records that are not in memory come as a future.
    ///
    /// # Errors
    /// Not the leader, another leadership than the reader knows, an offset that is not in the log, or storage's.
    pub fn fetch(&self, fetch: &Fetch) -> Result<Fetched, ReadError> {
        self.check_epoch(fetch.current_epoch)?;
        let (start, end) = (self.log_start(), self.log_end());
        let mut fetched = Fetched {
            high_watermark: self.high_watermark(),
            last_stable_offset: self.last_stable_offset(),
            log_start: start,
            records: None,
            diverging: self.divergence(fetch)?,
        };
        if fetched.diverging.is_some() {
            return Ok(fetched);
        }
        let offset = fetch.offset;
        if offset < start || offset > end {
            return Err(ReadError::OutOfRange { offset, start, end });
        }
        let upto = self.visible_end(fetch.isolation);
        if offset < upto {
            let Fetch { bytes_max, at_least_one, .. } = *fetch;
            fetched.records = Some(self.log().read(ReadRequest { from: offset, upto, bytes_max, at_least_one })?);
        }
        Ok(fetched)
    }

    /// Whether the reader's leadership is this one (KIP-320).
    ///
    /// # Errors
    /// [`ReadError::NotLeader`], [`ReadError::FencedEpoch`], [`ReadError::UnknownEpoch`].
    pub fn check_epoch(&self, asked: LeaderEpoch) -> Result<(), ReadError> {
        let current = self.leader_epoch();
        if asked != LeaderEpoch::NONE && asked < current {
            return Err(ReadError::FencedEpoch { asked, current });
        }
        if asked > current {
            return Err(ReadError::UnknownEpoch { asked, current });
        }
        if self.role() != Role::Leader {
            return Err(ReadError::NotLeader);
        }
        Ok(())
    }

    /// `Partition.readRecords` with a last fetched epoch.
    fn divergence(&self, fetch: &Fetch) -> Result<Option<(LeaderEpoch, Offset)>, ReadError> {
        if fetch.last_fetched_epoch == LeaderEpoch::NONE {
            return Ok(None);
        }
        let (epoch, end) = self.end_of_epoch(fetch.last_fetched_epoch);
        if epoch == LeaderEpoch::NONE {
            let (offset, start, end) = (fetch.offset, self.log_start(), self.log_end());
            return Err(ReadError::OutOfRange { offset, start, end });
        }
        Ok((epoch < fetch.last_fetched_epoch || end < fetch.offset).then_some((epoch, end)))
    }

    /// The newest leadership not above `epoch`, and where it ends (OffsetForLeaderEpoch); −1 and −1 when unknown.
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        // The current leadership may have written nothing yet.
        if epoch == self.leader_epoch() { (epoch, self.log_end()) } else { self.log().end_of_epoch(epoch) }
    }

    /// The leadership that wrote `offset`, or will.
    fn epoch_of(&self, offset: Offset) -> LeaderEpoch {
        match self.log().epochs().of(offset) {
            LeaderEpoch::NONE if offset >= self.log_end() => self.leader_epoch(),
            epoch => epoch,
        }
    }

    /// Answers ListOffsets; `None` when no record is meant.
    ///
    /// # Errors
    /// Storage's.
    pub async fn offset_for(&self, query: OffsetQuery, isolation: Isolation) -> Result<Option<OffsetFound>, ReadError> {
        let upto = self.visible_end(isolation);
        let found = match query {
            OffsetQuery::Latest => {
                let leader_epoch = self.leader_epoch();
                return Ok(Some(OffsetFound { offset: upto, timestamp: Timestamp::NONE, leader_epoch }));
            }
            OffsetQuery::Earliest => Some((self.log_start(), Timestamp::NONE)),
            OffsetQuery::MaxTimestamp => self.log().max_timestamp_offset(upto).await?,
            OffsetQuery::ByTime(time) => self.log().offset_for_timestamp(time, upto).await?,
        };
        Ok(found.map(|(offset, timestamp)| OffsetFound { offset, timestamp, leader_epoch: self.epoch_of(offset) }))
    }

    /// Lets go of everything before `before` (DeleteRecords); [`Offset::NONE`] means the high watermark. Going backwards does
    /// nothing. Gives the log's start afterwards.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] above the high watermark; storage's.
    pub async fn delete_records(&self, before: Offset) -> Result<Offset, ReadError> {
        let high_watermark = self.high_watermark();
        let before = if before == Offset::NONE { high_watermark } else { before };
        if before > high_watermark || before < Offset::ZERO {
            let start = self.log_start();
            return Err(ReadError::OutOfRange { offset: before, start, end: high_watermark });
        }
        if before > self.log_start() {
            self.log().advance_start(before).await?;
        }
        Ok(self.log_start())
    }
}
