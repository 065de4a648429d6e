use ottla_units::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::varint::{varlong_bytes, write_varlong};
use crate::{Attributes, Codec, HEADER_BYTES, TimestampType};

/// What a control record says (`org.apache.kafka.common.record.ControlRecordType`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlKind {
    /// The transaction is aborted.
    Abort,
    /// The transaction is committed.
    Commit,
}

impl ControlKind {
    const fn code(self) -> i16 {
        match self {
            ControlKind::Abort => 0,
            ControlKind::Commit => 1,
        }
    }

    /// What the key of a control record says; `None` for kinds that are not a transaction's end, and for bytes that are no
    /// such key.
    pub fn from_key(key: &[u8]) -> Option<ControlKind> {
        match *key {
            [_, _, 0, 0, ..] => Some(ControlKind::Abort),
            [_, _, 0, 1, ..] => Some(ControlKind::Commit),
            _ => None,
        }
    }
}

/// Builds one batch, record by record. For tests, tools, load clients and the internal topics: the data path never builds.
///
/// ```
/// use ottla_batch::{Batch, Builder, Codec};
/// use ottla_units::Timestamp;
///
/// let bytes = Builder::new().codec(Codec::Lz4).record(Timestamp::new(1000), Some(b"key"), Some(b"value")).build();
/// let (batch, rest) = Batch::parse(&bytes).unwrap();
/// assert!(batch.crc_matches() && rest.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    attributes: Attributes,
    producer: (ProducerId, ProducerEpoch, Sequence),
    base_timestamp: Option<Timestamp>,
    max_timestamp: Timestamp,
    count: i32,
    records: Vec<u8>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::NONE,
            attributes: Attributes::default(),
            producer: (ProducerId::NONE, ProducerEpoch::NONE, Sequence::NONE),
            base_timestamp: None,
            max_timestamp: Timestamp::NONE,
            count: 0,
            records: Vec::new(),
        }
    }
}

impl Builder {
    /// An empty batch as a client without idempotence sends it.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// The end of a transaction: a transactional control batch with one record
    /// (`org.apache.kafka.common.record.EndTransactionMarker`).
    pub fn end_of_transaction(
        kind: ControlKind,
        id: ProducerId,
        epoch: ProducerEpoch,
        coordinator_epoch: i32,
        now: Timestamp,
    ) -> Builder {
        let mut key = [0; 4];
        key[2..].copy_from_slice(&kind.code().to_be_bytes());
        let mut value = [0; 6];
        value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
        let builder = Builder::new().producer(id, epoch, Sequence::NONE).transactional(true).control(true);
        builder.record(now, Some(&key), Some(&value))
    }

    /// Sets the base offset.
    #[must_use]
    pub fn base_offset(mut self, offset: Offset) -> Builder {
        self.base_offset = offset;
        self
    }

    /// Sets the partition leader epoch.
    #[must_use]
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Builder {
        self.leader_epoch = epoch;
        self
    }

    /// Sets the compression.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Builder {
        self.attributes = self.attributes.with_codec(codec);
        self
    }

    /// Sets what the timestamps mean.
    #[must_use]
    pub fn timestamp_type(mut self, kind: TimestampType) -> Builder {
        self.attributes = self.attributes.with_timestamp_type(kind);
        self
    }

    /// Makes it an idempotent producer's.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: Sequence) -> Builder {
        self.producer = (id, epoch, base_sequence);
        self
    }

    /// Makes it part of a transaction.
    #[must_use]
    pub fn transactional(mut self, yes: bool) -> Builder {
        self.attributes = self.attributes.with_transactional(yes);
        self
    }

    /// Makes it a control batch.
    #[must_use]
    pub fn control(mut self, yes: bool) -> Builder {
        self.attributes = self.attributes.with_control(yes);
        self
    }

    /// Adds a record without headers.
    #[must_use]
    pub fn record(self, timestamp: Timestamp, key: Option<&[u8]>, value: Option<&[u8]>) -> Builder {
        self.record_with_headers(timestamp, key, value, &[])
    }

    /// Adds a record.
    #[must_use]
    pub fn record_with_headers(
        mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> Builder {
        self.push(timestamp, key, value, headers);
        self
    }

    /// Adds a record, in place.
    pub fn push(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        let base = *self.base_timestamp.get_or_insert(timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let time_delta = timestamp.since(base);
        let offset_delta = i64::from(self.count);
        self.count += 1;
        let headers_bytes: usize =
            headers.iter().map(|(key, value)| field_bytes(Some(key)) + field_bytes(*value)).sum();
        let bytes = 1
            + varlong_bytes(time_delta)
            + varlong_bytes(offset_delta)
            + field_bytes(key)
            + field_bytes(value)
            + varlong_bytes(headers.len() as i64)
            + headers_bytes;
        let out = &mut self.records;
        write_varlong(out, bytes as i64);
        out.push(0);
        write_varlong(out, time_delta);
        write_varlong(out, offset_delta);
        write_field(out, key);
        write_field(out, value);
        write_varlong(out, headers.len() as i64);
        for (key, value) in headers {
            write_field(out, Some(key));
            write_field(out, *value);
        }
    }

    /// Records so far.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Bytes of the records so far, before compression.
    pub fn records_bytes(&self) -> usize {
        self.records.len()
    }

    /// The batch.
    pub fn build(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.records.len());
        out.resize(HEADER_BYTES, 0);
        let codec = self.attributes.codec().unwrap_or_default();
        let mut attributes = self.attributes;
        if codec.pack(&self.records, &mut out).is_err() {
            // No codec refuses memory; were one to, the records go as they are.
            attributes = attributes.with_codec(Codec::None);
            out.truncate(HEADER_BYTES);
            out.extend_from_slice(&self.records);
        }
        self.write_header(&mut out, attributes);
        out
    }

    fn write_header(&self, out: &mut [u8], attributes: Attributes) {
        let (id, epoch, sequence) = self.producer;
        let length = (out.len() - 12) as i32;
        out[0..8].copy_from_slice(&self.base_offset.get().to_be_bytes());
        out[8..12].copy_from_slice(&length.to_be_bytes());
        out[12..16].copy_from_slice(&self.leader_epoch.get().to_be_bytes());
        out[16] = 2;
        out[21..23].copy_from_slice(&attributes.bits().to_be_bytes());
        out[23..27].copy_from_slice(&(self.count - 1).to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.unwrap_or(Timestamp::NONE).get().to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.get().to_be_bytes());
        out[43..51].copy_from_slice(&id.get().to_be_bytes());
        out[51..53].copy_from_slice(&epoch.get().to_be_bytes());
        out[53..57].copy_from_slice(&sequence.get().to_be_bytes());
        out[57..61].copy_from_slice(&self.count.to_be_bytes());
        let crc = crc32c::crc32c(&out[21..]);
        out[17..21].copy_from_slice(&crc.to_be_bytes());
    }
}

fn field_bytes(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varlong_bytes(bytes.len() as i64) + bytes.len())
}

fn write_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => write_varlong(out, -1),
        Some(bytes) => {
            write_varlong(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
