//! Ready-made produce requests, to be stamped and sent: sizes, keys and compression are paid for before the clock runs.

use std::net::SocketAddr;

use ottla_batch::Builder;

use crate::batches::wall_clock;
use crate::error::{BenchError, Result};
use crate::frames::{Frame, produce_frame};
use crate::random::Random;
use crate::spec::{Keys, Shape, Sizes, Spec};
use crate::stamp::{STAMP_BYTES, Stamp, Stamper};
use crate::topics::{Topic, spread};

/// Memory of all prepared requests.
const PREPARED_BYTES_MAX: usize = 1 << 30;
/// Memory of one producer's copies of the same request, so that one can leave while the next is stamped.
const COPIES_BYTES_MAX: usize = 4 << 20;
/// Different batches for each partition where sizes or keys differ.
const VARIANTS: usize = 8;

/// One request: a batch for each of some partitions.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The bytes.
    pub frame: Frame,
    parts: Vec<(std::ops::Range<usize>, Stamper)>,
    /// Bytes of its batches.
    pub bytes: u64,
    /// Records in them.
    pub records: u64,
    /// Whether it has not left completely.
    pub leaving: bool,
}

impl Prepared {
    /// Stamps every batch and sets the correlation id.
    pub fn stamp(&mut self, correlation: i32, stamp: &Stamp, wall_ms: i64) {
        self.frame.with_correlation(correlation);
        let bytes = self.frame.bytes_mut();
        for (range, stamper) in &self.parts {
            stamper.stamp(&mut bytes[range.clone()], stamp, wall_ms);
        }
    }
}

/// Partitions that get their batches together, in one request.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which.
    pub partitions: Vec<i32>,
    /// How often, beside the others.
    pub weight: f64,
    /// Requests, sent in turn.
    pub slots: Vec<Prepared>,
}

/// What one producer sends: one connection.
#[derive(Clone, Debug)]
pub struct Share {
    /// Its number.
    pub producer: u32,
    /// Its topic.
    pub topic: usize,
    /// The leader of its partitions.
    pub addr: SocketAddr,
    /// Its requests.
    pub groups: Vec<Group>,
    /// Requests in flight.
    pub in_flight: usize,
    /// Acknowledgements.
    pub acks: i16,
}

/// Requests for all producers of a workload. Producers are numbered from `first` on.
///
/// # Errors
/// [`BenchError::BadArgument`] when they would take too much memory.
pub fn shares(spec: &Spec, topics: &[Topic], first: u32, seed: u64) -> Result<Vec<Share>> {
    let mut maker = Maker { spec, shape: spec.shape(), random: Random::new(seed), keys: Vec::new(), memory: 0 };
    let mut shares = Vec::new();
    for (topic_at, topic) in topics.iter().enumerate() {
        maker.keys = keys_of(spec.produce.keys, topic.leaders.len());
        for (addr, partitions) in connections(topic, spec.produce.producers as usize) {
            let groups = maker.groups(&topic.name, &partitions)?;
            shares.push(Share {
                producer: first + shares.len() as u32,
                topic: topic_at,
                addr,
                groups,
                in_flight: spec.produce.in_flight as usize,
                acks: spec.produce.acks.0,
            });
        }
    }
    Ok(shares)
}

/// Leader and partitions of each connection. More connections than partitions share them in turn.
fn connections(topic: &Topic, count: usize) -> Vec<(SocketAddr, Vec<i32>)> {
    let partitions = topic.leaders.len();
    if count <= partitions {
        return spread(topic, count);
    }
    (0..count).map(|at| (topic.leaders[at % partitions], vec![(at % partitions) as i32])).collect()
}

/// The keys that belong to one partition: each with the sum of the weights up to it.
type Ring = Vec<(f64, Vec<u8>)>;

/// Keys by the partition that their hash gives.
fn keys_of(keys: Keys, partitions: usize) -> Vec<Ring> {
    let (count, exponent) = match keys {
        Keys::None => return Vec::new(),
        Keys::Uniform(count) => (count, 0.0),
        Keys::Zipf(count, exponent) => (count, exponent),
    };
    let mut rings: Vec<Ring> = vec![Vec::new(); partitions];
    for at in 0..count {
        let bytes = format!("key-{at:08}").into_bytes();
        let hash = Random::new(u64::from(crc32c::crc32c(&bytes))).bits();
        let ring = &mut rings[(hash % partitions as u64) as usize];
        let before = ring.last().map_or(0.0, |(sum, _)| *sum);
        ring.push((before + f64::from(at + 1).powf(-exponent), bytes));
    }
    rings
}

fn whole_weight(ring: &Ring) -> f64 {
    ring.last().map_or(0.0, |(sum, _)| *sum)
}

/// One of a partition's keys, as often as its weight says.
fn draw_key<'a>(ring: &'a Ring, random: &mut Random) -> Option<&'a [u8]> {
    let at = random.below(1 << 53) as f64 / (1u64 << 53) as f64 * whole_weight(ring);
    ring.get(ring.partition_point(|(sum, _)| *sum <= at)).map(|(_, key)| &key[..])
}

/// Makes batches and requests.
struct Maker<'a> {
    spec: &'a Spec,
    shape: Shape,
    random: Random,
    keys: Vec<Ring>,
    memory: usize,
}

impl Maker<'_> {
    fn groups(&mut self, topic: &str, partitions: &[i32]) -> Result<Vec<Group>> {
        let varied = !matches!(self.spec.produce.record_bytes, Sizes::Fixed(_)) || !self.keys.is_empty();
        let per_request = self.spec.produce.partitions_per_request as usize;
        let requests = partitions.len().div_ceil(per_request);
        let mut groups = Vec::with_capacity(requests);
        for chunk in partitions.chunks(per_request) {
            let mut slots = Vec::new();
            let request_bytes = self.shape.batch_bytes as usize * chunk.len();
            // Enough copies that as many as are in flight can be leaving.
            let wanted = (self.spec.produce.in_flight as usize).div_ceil(requests).max(2);
            let copies = wanted.min(COPIES_BYTES_MAX / (request_bytes * requests).max(1)).clamp(1, 64);
            for _ in 0..copies.max(if varied { VARIANTS } else { 1 }) {
                slots.push(self.request(topic, chunk)?);
            }
            groups.push(Group { partitions: chunk.to_vec(), weight: self.weight(chunk), slots });
        }
        Ok(groups)
    }

    fn weight(&self, partitions: &[i32]) -> f64 {
        if self.keys.is_empty() {
            return 1.0;
        }
        partitions.iter().map(|index| self.keys.get(*index as usize).map_or(0.0, whole_weight)).sum()
    }

    fn request(&mut self, topic: &str, partitions: &[i32]) -> Result<Prepared> {
        let batches: Vec<(Vec<u8>, u64)> = partitions.iter().map(|index| self.batch(*index)).collect();
        let parts: Vec<(i32, &[u8])> =
            partitions.iter().zip(&batches).map(|(index, (batch, _))| (*index, &batch[..])).collect();
        let (frame, places) = produce_frame(topic, self.spec.produce.acks.0, &parts);
        self.memory += frame.total_len();
        if self.memory > PREPARED_BYTES_MAX {
            let why = "prepared requests take more than 1 GiB: fewer producers, or smaller batches".to_owned();
            return Err(BenchError::BadArgument { why });
        }
        let stamper = |(at, (batch, _)): (&usize, &(Vec<u8>, u64))| {
            let stamper = Stamper::of(batch).ok_or(BenchError::Malformed { what: "own batch" })?;
            Ok((*at..*at + batch.len(), stamper))
        };
        let stampers = places.iter().zip(&batches).map(stamper).collect::<Result<Vec<_>>>()?;
        Ok(Prepared {
            frame,
            parts: stampers,
            bytes: batches.iter().map(|(batch, _)| batch.len() as u64).sum(),
            records: batches.iter().map(|(_, records)| records).sum(),
            leaving: false,
        })
    }

    /// A batch for a partition, and its records.
    fn batch(&mut self, partition: i32) -> (Vec<u8>, u64) {
        let now = wall_clock();
        let produce = &self.spec.produce;
        let mut builder = Builder::new().codec(produce.compression.0);
        let room = (self.shape.batch_bytes as usize).saturating_sub(ottla_batch::HEADER_BYTES);
        let uncompressed = produce.compression.is_none();
        let mut value = Vec::new();
        for at in 0..self.shape.records.max(1) {
            let mut bytes = produce.record_bytes.draw(&mut self.random) as usize;
            if let Sizes::Fixed(_) = produce.record_bytes {
                // All alike, and the batch as large as it was asked for.
                bytes = (room / self.shape.records.max(1) as usize).saturating_sub(9).min(bytes + bytes / 64);
            }
            if at == 0 && uncompressed {
                bytes = bytes.max(STAMP_BYTES);
            }
            value.resize(bytes, 0);
            let random_bytes = (bytes as f64 * (1.0 - produce.compressibility)) as usize;
            self.random.fill(&mut value[..random_bytes]);
            let key = self.keys.get(partition as usize).and_then(|ring| draw_key(ring, &mut self.random));
            builder.push(now, key, Some(&value), &[]);
            if at > 0 && builder.records_bytes() + bytes > room {
                break;
            }
        }
        (builder.build(), builder.count() as u64)
    }
}

#[cfg(test)]
mod tests;
