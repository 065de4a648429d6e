use ottla_batch::{Builder, Codec};
use ottla_units::{ProducerEpoch, ProducerId, Sequence};

use crate::random::Random;

/// Bytes of a key: writer, number.
const KEY_BYTES: usize = 12;

/// How large a writer's batches are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Size {
    /// A few records of some hundred bytes.
    Small,
    /// Tens of KiB.
    Medium,
    /// Hundreds of KiB: more than a journal is made for.
    Large,
}

/// What kind of producer a writer is; follows from its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    pub(super) writer: u32,
    pub(super) acks: i16,
    pub(super) size: Size,
    pub(super) idempotent: bool,
    pub(super) commits: bool,
}

impl Profile {
    pub(super) fn of(writer: u32) -> Profile {
        let acks = if writer % 4 == 3 { 1 } else { -1 };
        let size = match writer % 8 {
            6 | 7 => Size::Large,
            0 | 3 => Size::Medium,
            _ => Size::Small,
        };
        Profile { writer, acks, size, idempotent: acks == -1 && writer % 4 != 1, commits: writer % 3 == 1 }
    }

    fn records(self, random: &mut Random) -> u64 {
        match self.size {
            Size::Small => random.between(1, 12),
            Size::Medium => random.between(4, 40),
            Size::Large => random.between(20, 50),
        }
    }

    fn value_bytes(self, random: &mut Random) -> u64 {
        match self.size {
            Size::Small => random.between(0, 400),
            Size::Medium => random.between(500, 1_800),
            Size::Large => random.between(10_000, 18_000),
        }
    }
}

/// Some records that one writer sent to one partition at once.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) partition: i32,
    /// The first record's number; the others count on.
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) bytes: Vec<u8>,
}

/// Who produces, as a batch's header says it.
pub(super) type Producer = (ProducerId, ProducerEpoch, Sequence);

/// Makes and recognises the records of one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    seed: u64,
}

impl Content {
    pub(super) fn new(seed: u64) -> Content {
        Content { seed }
    }

    /// The value of a record: half random, half not, so that every codec has work.
    fn value(self, profile: Profile, number: u64, out: &mut Vec<u8>) {
        let mut random = Random::new(self.seed ^ (u64::from(profile.writer) << 40) ^ number.wrapping_mul(0x9e37_79b9));
        let bytes = profile.value_bytes(&mut random) as usize;
        out.clear();
        out.resize(bytes, profile.writer as u8);
        random.fill(&mut out[..bytes / 2]);
    }

    /// The next batch of a writer, beginning with the record of this number.
    pub(super) fn batch(
        self,
        profile: Profile,
        partition: i32,
        first: u64,
        producer: Option<Producer>,
        random: &mut Random,
    ) -> Sent {
        const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        let now = crate::batches::wall_clock();
        // Mostly plain: compression would make the verifier the bottleneck.
        let codec = if random.one_in(4) { CODECS[random.below(5) as usize] } else { Codec::None };
        let mut builder = Builder::new().codec(codec);
        if let Some((id, epoch, sequence)) = producer {
            builder = builder.producer(id, epoch, sequence);
        }
        let count = profile.records(random);
        let mut value = Vec::new();
        for number in first..first + count {
            self.value(profile, number, &mut value);
            builder.push(now, Some(&key(profile.writer, number)), Some(&value), &[]);
        }
        Sent { partition, first, count, bytes: builder.build() }
    }

    /// Which record this is; `None` when nobody of this round sent such a one.
    pub(super) fn recognise(self, key: Option<&[u8]>, value: Option<&[u8]>, scratch: &mut Vec<u8>) -> Option<Identity> {
        let (key, value) = (key?, value?);
        if key.len() != KEY_BYTES {
            return None;
        }
        let writer = u32::from_be_bytes(*key.first_chunk()?);
        let number = u64::from_be_bytes(*key.last_chunk()?);
        self.value(Profile::of(writer), number, scratch);
        (scratch == value).then_some(Identity { writer, number })
    }
}

/// A record by its sender and number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) writer: u32,
    pub(super) number: u64,
}

fn key(writer: u32, number: u64) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..4].copy_from_slice(&writer.to_be_bytes());
    key[4..].copy_from_slice(&number.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use ottla_batch::{Batch, records};
    use ottla_units::Timestamp;

    use super::*;

    #[test]
    fn every_batch_is_recognised_and_a_changed_one_is_not() {
        let content = Content::new(7);
        let mut random = Random::new(1);
        let mut scratch = Vec::new();
        for writer in 0..24 {
            let sent = content.batch(Profile::of(writer), 3, 100, None, &mut random);
            let (batch, rest) = Batch::parse(&sent.bytes).unwrap();
            assert!(batch.crc_matches() && rest.is_empty());
            assert!(sent.bytes.len() < 1_000_000, "larger than max.message.bytes allows");
            let mut number = 100;
            let mut read = records(&batch, 64 << 20).unwrap();
            while let Some(record) = read.next() {
                let record = record.unwrap();
                let identity = content.recognise(record.key, record.value, &mut scratch);
                assert_eq!(identity, Some(Identity { writer, number }));
                assert_eq!(Content::new(8).recognise(record.key, Some(b"x"), &mut scratch), None);
                assert!(record.timestamp > Timestamp::new(0));
                number += 1;
            }
            assert_eq!(number, 100 + sent.count);
        }
    }
}
