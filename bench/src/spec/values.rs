//! Values of a workload file that are more than a number. Each has one spelling, the same in files and flags.

use std::fmt;
use std::str::FromStr;

use ottla_batch::Codec;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::nearest;

/// Reads from a file whatever the type's `FromStr` takes, and numbers as well; writes its `Display`.
macro_rules! spelled {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                deserializer.deserialize_any(Spelled(std::marker::PhantomData))
            }
        }
    };
}

/// Reads text or a number as text.
struct Spelled<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Spelled<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or text")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        value.to_string().parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        value.to_string().parse().map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        value.to_string().parse().map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        value.parse().map_err(E::custom)
    }
}

/// A number of bytes: `65536`, `64 KiB`, `1.5 GB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Bytes(pub u64);
spelled!(Bytes);

/// Units by their size.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        let wrong = || format!("'{text}' is no size; say a number of bytes, or such as 64KiB, 1.5 MiB, 2 GB");
        let (number, unit) = split_unit(text);
        let unit = match unit {
            "" => 1,
            unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?.1,
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let bytes = number * unit as f64;
        if (0.0..1e18).contains(&bytes) { Ok(Bytes(bytes as u64)) } else { Err(wrong()) }
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    (text[..at].trim_end(), text[at..].trim())
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match whole {
            Some((name, unit)) if *unit > 1 => write!(f, "{} {name}", self.0 / unit),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// How fast batches are due.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Rate {
    /// As fast as answers come: a closed loop.
    #[default]
    Max,
    /// Batches a second.
    Batches(f64),
    /// Records a second.
    Records(f64),
    /// 10⁶ bytes of batches a second.
    Megabytes(f64),
}
spelled!(Rate);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let wrong = || format!("'{text}' is no rate; say max, 2000 (batches a second), '50000 records' or '100 MB'");
        if text.trim() == "max" {
            return Ok(Rate::Max);
        }
        let (number, unit) = split_unit(text);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        if !(number > 0.0 && number < 1e10) {
            return Err(format!("the rate {number} is not above 0"));
        }
        match unit.trim_end_matches("/s") {
            "" | "batches" => Ok(Rate::Batches(number)),
            "records" => Ok(Rate::Records(number)),
            "MB" => Ok(Rate::Megabytes(number)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Max => f.write_str("max"),
            Rate::Batches(number) => write!(f, "{number}"),
            Rate::Records(number) => write!(f, "{number} records"),
            Rate::Megabytes(number) => write!(f, "{number} MB"),
        }
    }
}

/// Sizes of records: `1024`, `100..2000` (evenly), `100:9,4096:1` (weights).
#[derive(Clone, PartialEq, Debug)]
pub enum Sizes {
    /// All alike.
    Fixed(u64),
    /// Evenly from the first to the second.
    Uniform(u64, u64),
    /// Each with its weight.
    Weighted(Vec<(u64, f64)>),
}
spelled!(Sizes);

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes::Fixed(1 << 10)
    }
}

impl Sizes {
    /// The mean.
    pub fn mean(&self) -> f64 {
        match self {
            Sizes::Fixed(bytes) => *bytes as f64,
            Sizes::Uniform(from, to) => f64::midpoint(*from as f64, *to as f64),
            Sizes::Weighted(sizes) => {
                let whole: f64 = sizes.iter().map(|(_, weight)| weight).sum();
                sizes.iter().map(|(bytes, weight)| *bytes as f64 * weight).sum::<f64>() / whole
            }
        }
    }

    /// The largest.
    pub fn largest(&self) -> u64 {
        match self {
            Sizes::Fixed(bytes) | Sizes::Uniform(_, bytes) => *bytes,
            Sizes::Weighted(sizes) => sizes.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0),
        }
    }

    /// One drawn.
    pub fn draw(&self, random: &mut crate::random::Random) -> u64 {
        match self {
            Sizes::Fixed(bytes) => *bytes,
            Sizes::Uniform(from, to) => random.between(*from, *to),
            Sizes::Weighted(sizes) => {
                let whole: f64 = sizes.iter().map(|(_, weight)| weight).sum();
                let mut at = random.below(1 << 53) as f64 / (1u64 << 53) as f64 * whole;
                for (bytes, weight) in sizes {
                    at -= weight;
                    if at < 0.0 {
                        return *bytes;
                    }
                }
                self.largest()
            }
        }
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Sizes, String> {
        if let Some((from, to)) = text.split_once("..") {
            let (from, to) = (from.parse::<Bytes>()?.0, to.parse::<Bytes>()?.0);
            return if from <= to {
                Ok(Sizes::Uniform(from, to))
            } else {
                Err(format!("'{text}' begins above its end"))
            };
        }
        if !text.contains(':') {
            return Ok(Sizes::Fixed(text.parse::<Bytes>()?.0));
        }
        let part = |part: &str| {
            let (bytes, weight) = part.split_once(':').ok_or_else(|| format!("'{part}' is not SIZE:WEIGHT"))?;
            let weight = weight.trim().parse::<f64>().ok().filter(|weight| *weight > 0.0 && weight.is_finite());
            Ok((bytes.parse::<Bytes>()?.0, weight.ok_or_else(|| format!("the weight in '{part}' is not above 0"))?))
        };
        Ok(Sizes::Weighted(text.split(',').map(part).collect::<Result<_, String>>()?))
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sizes::Fixed(bytes) => write!(f, "{}", Bytes(*bytes)),
            Sizes::Uniform(from, to) => write!(f, "{from}..{to}"),
            Sizes::Weighted(sizes) => {
                let words: Vec<String> = sizes.iter().map(|(bytes, weight)| format!("{bytes}:{weight}")).collect();
                f.write_str(&words.join(","))
            }
        }
    }
}

/// Keys of records: `none`, `uniform:COUNT`, `zipf:COUNT:EXPONENT`. A key's partition follows from its hash.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Keys {
    /// No keys; partitions in turn.
    #[default]
    None,
    /// So many, all as often.
    Uniform(u32),
    /// So many, the n-th as often as 1 / n to this power.
    Zipf(u32, f64),
}
spelled!(Keys);

/// Keys told apart at most.
const KEYS_MAX: u32 = 1_000_000;

impl FromStr for Keys {
    type Err = String;

    fn from_str(text: &str) -> Result<Keys, String> {
        let wrong = || format!("'{text}' are no keys; say none, uniform:10000 or zipf:10000:0.99");
        let mut words = text.split(':');
        let kind = words.next().unwrap_or_default();
        let count = words.next().map(|word| word.parse::<u32>().ok().filter(|count| (1..=KEYS_MAX).contains(count)));
        let exponent = words.next().map(|word| word.parse::<f64>().ok().filter(|it| (0.0..=10.0).contains(it)));
        match (kind, count, exponent, words.next()) {
            ("none", None, None, None) => Ok(Keys::None),
            ("uniform", Some(Some(count)), None, None) => Ok(Keys::Uniform(count)),
            ("zipf", Some(Some(count)), None, None) => Ok(Keys::Zipf(count, 0.99)),
            ("zipf", Some(Some(count)), Some(Some(exponent)), None) => Ok(Keys::Zipf(count, exponent)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keys::None => f.write_str("none"),
            Keys::Uniform(count) => write!(f, "uniform:{count}"),
            Keys::Zipf(count, exponent) => write!(f, "zipf:{count}:{exponent}"),
        }
    }
}

/// Acknowledgements asked for: `all`, `1`, `0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acks(pub i16);
spelled!(Acks);

impl Default for Acks {
    fn default() -> Acks {
        Acks(-1)
    }
}

impl FromStr for Acks {
    type Err = String;

    fn from_str(text: &str) -> Result<Acks, String> {
        match text {
            "all" | "-1" => Ok(Acks(-1)),
            "1" => Ok(Acks(1)),
            "0" => Ok(Acks(0)),
            _ => Err(format!("acks '{text}' is none of all, 1, 0")),
        }
    }
}

impl fmt::Display for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == -1 { f.write_str("all") } else { write!(f, "{}", self.0) }
    }
}

/// The codec of batches: `none`, `gzip`, `snappy`, `lz4`, `zstd`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compression(pub Codec);
spelled!(Compression);

impl Default for Compression {
    fn default() -> Compression {
        Compression(Codec::None)
    }
}

impl Compression {
    /// Whether batches are left as they are.
    pub fn is_none(self) -> bool {
        self.0 == Codec::None
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Compression, String> {
        let codec = Codec::ALL.into_iter().find(|codec| codec.name() == text);
        codec.map(Compression).ok_or_else(|| {
            let names = Codec::ALL.map(Codec::name);
            let meant = nearest(text, names).map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
            format!("compression '{text}' is none of {}{meant}", names.join(", "))
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}
