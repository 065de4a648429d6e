//! Valid requests from the table of APIs, and what becomes of them in bad hands. The same seed gives the same bytes.

use bytes::BytesMut;
use ottla_wire::apis::{self, Api};
use ottla_wire::frame;
use ottla_wire::fuzz::author;

use crate::client::framed;

/// Where randomness comes from: xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit.max(1)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 40) as u8).collect()
    }
}

/// One request to send, and what to say when it breaks something.
#[derive(Clone)]
pub(crate) struct Shot {
    pub(crate) name: String,
    pub(crate) frame: Vec<u8>,
}

impl std::fmt::Display for Shot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OTTLA_HOSTILE_SHOT={} ", self.name)?;
        self.frame.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What seed `seed` makes of a version of an API: valid where it is even, damaged where it is odd.
pub(crate) fn shot(api: &Api, version: i16, seed: u64) -> Shot {
    let body = author::request(api.key, version, seed / 2);
    let mut frame = framed(api.key, version, 7, &body);
    if seed % 2 == 1 {
        let mut random = Random::new(seed);
        for _ in 0..1 + random.below(3) {
            damage(&mut frame, &mut random);
        }
        // The length is right as a rule: what is behind it should be reached.
        if random.below(8) > 0 {
            let length = (frame.len() - frame::LENGTH_BYTES) as u32;
            frame[..4].copy_from_slice(&length.to_be_bytes());
        }
    }
    Shot { name: format!("{}:{version}:{seed}", api.name), frame: frame.to_vec() }
}

/// The shot of a name, for replays.
pub(crate) fn named(name: &str) -> Option<Shot> {
    let mut parts = name.split(':');
    let (api, version, seed) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let api = apis::served().find(|known| known.name == api)?;
    Some(shot(api, version, seed))
}

/// Numbers that counts and lengths should not be.
const EXTREMES: [u32; 8] = [0, 1, 0x7f, 0xff, 0x7fff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
/// The same as variable-length numbers.
const LONG_VARINTS: [&[u8]; 4] = [
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x80, 0x80, 0x80, 0x80, 0x00],
    &[0xff, 0xff, 0x7f],
];

fn damage(frame: &mut BytesMut, random: &mut Random) {
    let length = frame.len() - frame::LENGTH_BYTES;
    let at = frame::LENGTH_BYTES + random.below(length);
    match random.below(9) {
        0 => frame[at] ^= 1 << random.below(8),
        1 => frame[at] = random.next() as u8,
        // A count or length of another size.
        2 if at + 4 <= frame.len() => {
            let extreme = EXTREMES[random.below(EXTREMES.len())];
            frame[at..at + 4].copy_from_slice(&extreme.to_be_bytes());
        }
        3 => splice(frame, at, 1, LONG_VARINTS[random.below(LONG_VARINTS.len())]),
        4 => frame.truncate(at),
        5 => {
            let count = 1 + random.below(64);
            let more = random.bytes(count);
            splice(frame, at, 0, &more);
        }
        6 => splice(frame, at, random.below(16), &[]),
        // A part of it twice: deeper and longer than it should be.
        7 => {
            let part = frame[at..frame.len().min(at + 1 + random.below(64))].to_vec();
            splice(frame, at, 0, &part.repeat(1 + random.below(20)));
        }
        // Another API or version over the same body.
        _ => {
            let at = 4 + random.below(2) * 2;
            frame[at + 1] = random.below(80) as u8;
        }
    }
    // Its length, API and version are always there.
    if frame.len() < frame::LENGTH_BYTES + 4 {
        frame.resize(frame::LENGTH_BYTES + 4, 0);
    }
}

fn splice(frame: &mut BytesMut, at: usize, remove: usize, insert: &[u8]) {
    let tail = frame[(at + remove).min(frame.len())..].to_vec();
    frame.truncate(at);
    frame.extend_from_slice(insert);
    frame.extend_from_slice(&tail);
}
