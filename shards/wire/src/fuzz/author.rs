//! Random requests that are valid, written from the schema table alone: what a fuzzer starts from, and what shows that
//! table and decoder agree.
use bytes::{BufMut, Bytes, BytesMut};
use ottla_units::{Offset, PartitionIndex, TopicId};

use crate::fetch::{self, Fetch, FetchPartition};
use crate::schema::{self, Field, Kind};
use crate::write::{put_length, put_null, put_nullable_string, put_string, put_uvarint};
use crate::{ApiKey, TopicRef, produce};

/// Texts that mean something to a broker, beside those that mean nothing.
const WORDS: [&str; 16] = [
    "",
    "a",
    "topic",
    "topic-2",
    "__consumer_offsets",
    "group",
    "consumer",
    "range",
    "1",
    "-1",
    "retention.ms",
    "cleanup.policy",
    "compact",
    "max.message.bytes",
    "bad name/é",
    "a-word-that-is-longer-than-one-hundred-and-twenty-seven-bytes-so-that-its-compact-length-takes-two-bytes-and-not-merely-one-of-them",
];
/// Numbers at the edges of what they may be, and those that stand for something.
const NUMBERS: [i64; 14] = [-1, -2, -3, 0, 0, 1, 1, 2, 3, 1000, i16::MAX as i64, i32::MAX as i64, i64::MAX, i64::MIN];

/// The body of a random request; the same for the same `seed`.
pub fn request(api: ApiKey, version: i16, seed: u64) -> Bytes {
    // Codecs of our own drop unknown tagged fields, which who compares would notice.
    let tags = !(version == 10 && matches!(api, ApiKey::OffsetCommit | ApiKey::OffsetFetch));
    let flexible = api.is_flexible(version);
    // A seed of 0 would stay 0.
    let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut author = Author { state, version, flexible, tags, out: BytesMut::new() };
    match api {
        ApiKey::Produce => author.produce(),
        ApiKey::Fetch => author.fetch(),
        _ => author.structure(schema::request(api)),
    }
    author.out.freeze()
}

struct Author {
    state: u64,
    version: i16,
    flexible: bool,
    tags: bool,
    out: BytesMut,
}

impl Author {
    /// xorshift64*
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn number(&mut self) -> i64 {
        NUMBERS[self.below(NUMBERS.len())]
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len())]
    }

    fn structure(&mut self, fields: &[Field]) {
        for field in fields {
            if (field.first..=field.last).contains(&self.version) {
                self.field(field);
            }
        }
        if self.flexible {
            self.tagged_fields();
        }
    }

    fn tagged_fields(&mut self) {
        let count = if self.tags && self.below(4) == 0 { 2 } else { 0 };
        put_uvarint(&mut self.out, count);
        for i in 0..count {
            put_uvarint(&mut self.out, 100 + i * 100);
            put_uvarint(&mut self.out, 3);
            self.out.put_slice(b"tag");
        }
    }

    fn field(&mut self, field: &Field) {
        let null = self.version >= field.null_from && self.below(4) == 0;
        match field.kind {
            Kind::Bool => {
                let value = self.below(2) == 1;
                self.out.put_u8(value.into());
            }
            Kind::Fixed(16) => {
                let byte = self.below(2) as u8;
                self.out.put_bytes(byte, 16);
            }
            Kind::Fixed(bytes) => {
                // The low bytes: −1 stays −1, the largest number becomes −1 or the largest of its size.
                let number = self.number().to_be_bytes();
                self.out.put_slice(&number[8 - bytes..]);
            }
            Kind::String if null => put_nullable_string(&mut self.out, self.flexible, None),
            Kind::String => self.string(),
            Kind::Optional(_) if null => self.out.put_i8(-1),
            Kind::Optional(fields) => {
                self.out.put_i8(1);
                self.structure(fields);
            }
            _ if null => put_null(&mut self.out, self.flexible),
            Kind::Bytes => {
                let count = self.count();
                self.out.put_slice(&[0, 1, 2][..count]);
            }
            Kind::Strings => (0..self.count()).for_each(|_| self.string()),
            Kind::Int32s => (0..self.count()).for_each(|i| self.out.put_i32(i as i32)),
            Kind::Structs(fields) => (0..self.count()).for_each(|_| self.structure(fields)),
        }
    }

    fn count(&mut self) -> usize {
        let count = self.below(4);
        put_length(&mut self.out, self.flexible, count);
        count
    }

    fn string(&mut self) {
        let word = self.word();
        put_string(&mut self.out, self.flexible, word);
    }

    fn topic(&mut self) -> TopicRef<'static> {
        TopicRef { name: self.word(), id: TopicId::from_bytes([self.below(2) as u8; 16]) }
    }

    /// Records that are none: their checks are the batch's own, and have their own tests.
    fn produce(&mut self) {
        let (acks, topics) = (self.number() as i16, self.below(4));
        let mut out = std::mem::take(&mut self.out);
        let mut writer = produce::RequestWriter::begin(&mut out, self.version, None, acks, 1000, topics);
        for _ in 0..topics {
            let partitions = self.below(4);
            writer.topic(self.topic(), partitions);
            for _ in 0..partitions {
                let noise = [self.below(3) as u8; 80];
                let length = self.below(noise.len());
                writer.partition(PartitionIndex::new(self.number() as i32), &noise[..length]);
            }
        }
        writer.finish();
        self.out = out;
    }

    fn fetch(&mut self) {
        let topics = self.below(4);
        let limits = Fetch {
            min_bytes: self.number() as i32,
            max_bytes: self.number() as i32,
            isolation_level: self.below(3) as i8,
            session_id: self.number() as i32,
            session_epoch: self.number() as i32,
            ..Fetch::default()
        };
        let mut out = std::mem::take(&mut self.out);
        let mut writer = fetch::RequestWriter::begin(&mut out, self.version, &limits, topics);
        for _ in 0..topics {
            let partitions = self.below(4);
            writer.topic(self.topic(), partitions);
            for _ in 0..partitions {
                let (index, offset) = (self.number() as i32, Offset::new(self.number()));
                let bytes_max = self.number() as i32;
                writer.partition(&FetchPartition::from_consumer(PartitionIndex::new(index), offset, bytes_max));
            }
        }
        let forgotten = [PartitionIndex::new(self.number() as i32)];
        writer.finish(&[(self.topic(), &forgotten)], self.word());
        self.out = out;
    }
}
