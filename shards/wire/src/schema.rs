//! What each request looks like, version by version, and a walk over it that checks every count and length against the
//! bytes that are there.
//!
//! The `kafka-protocol` crate reserves memory for as many elements as an array announces, so a hostile count would abort
//! the process. Nothing is given to it that did not pass here.
use ottla_units::limits;

use crate::{ApiKey, Reader, WireError};

/// One field of a structure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    /// The versions that have it.
    pub(crate) first: i16,
    pub(crate) last: i16,
    /// The first version that lets it be null.
    pub(crate) null_from: i16,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bool,
    /// A number or a UUID of this many bytes.
    Fixed(usize),
    String,
    Bytes,
    Strings,
    Int32s,
    Structs(&'static [Field]),
    /// One structure, an INT8 before it (−1 for null).
    Optional(&'static [Field]),
}

const fn field(kind: Kind) -> Field {
    Field { kind, first: 0, last: i16::MAX, null_from: i16::MAX }
}

const BOOL: Field = field(Kind::Bool);
const INT8: Field = field(Kind::Fixed(1));
const INT16: Field = field(Kind::Fixed(2));
const INT32: Field = field(Kind::Fixed(4));
const INT64: Field = field(Kind::Fixed(8));
const UUID: Field = field(Kind::Fixed(16));
const STRING: Field = field(Kind::String);
const BYTES: Field = field(Kind::Bytes);
const STRINGS: Field = field(Kind::Strings);
const INT32S: Field = field(Kind::Int32s);

const fn structs(fields: &'static [Field]) -> Field {
    field(Kind::Structs(fields))
}

const fn optional(fields: &'static [Field]) -> Field {
    field(Kind::Optional(fields))
}

impl Field {
    /// It is there from this version on.
    const fn from(self, first: i16) -> Field {
        Field { first, ..self }
    }

    /// It is there up to this version.
    const fn upto(self, last: i16) -> Field {
        Field { last, ..self }
    }

    /// It may be null from this version on.
    const fn null(self, null_from: i16) -> Field {
        Field { null_from, ..self }
    }

    /// The fewest bytes that it takes.
    fn bytes_min(&self, version: i16, flexible: bool) -> usize {
        if version < self.first || version > self.last {
            return 0;
        }
        match self.kind {
            Kind::Bool => 1,
            Kind::Fixed(bytes) => bytes,
            Kind::String => 2 - usize::from(flexible),
            Kind::Optional(_) => 1,
            Kind::Bytes | Kind::Strings | Kind::Int32s | Kind::Structs(_) => 4 - 3 * usize::from(flexible),
        }
    }
}

/// Builds the table of requests; each is a constant of its own.
macro_rules! requests {
    ($($api:ident: [$($field:expr),* $(,)?];)*) => {
        /// The fields of `api`'s request.
        pub(crate) const fn request(api: ApiKey) -> &'static [Field] {
            match api {
                $(ApiKey::$api => {
                    const FIELDS: &[Field] = &[$($field),*];
                    FIELDS
                })*
            }
        }
    };
}

// As in Kafka's `clients/src/main/resources/common/message/*Request.json`.
requests! {
    // Decoded by hand.
    Produce: [];
    Fetch: [];
    ListOffsets: [
        INT32,
        INT8.from(2),
        structs(&[STRING, structs(&[INT32, INT32.from(4), INT64])]),
        INT32.from(10),
    ];
    Metadata: [
        structs(&[UUID.from(10), STRING.null(10)]).null(1),
        BOOL.from(4),
        BOOL.from(8).upto(10),
        BOOL.from(8),
    ];
    OffsetCommit: [
        STRING,
        INT32,
        STRING,
        STRING.from(7).null(7),
        INT64.upto(4),
        structs(&[
            STRING.upto(9),
            UUID.from(10),
            structs(&[INT32, INT64, INT32.from(6), STRING.null(0)]),
        ]),
    ];
    OffsetFetch: [
        STRING.upto(7),
        structs(&[STRING, INT32S]).upto(7).null(2),
        structs(&[
            STRING,
            STRING.from(9).null(9),
            INT32.from(9),
            structs(&[STRING.upto(9), UUID.from(10), INT32S]).null(8),
        ])
        .from(8),
        BOOL.from(7),
    ];
    FindCoordinator: [STRING.upto(3), INT8.from(1), STRINGS.from(4)];
    JoinGroup: [
        STRING,
        INT32,
        INT32.from(1),
        STRING,
        STRING.from(5).null(5),
        STRING,
        structs(&[STRING, BYTES]),
        STRING.from(8).null(8),
    ];
    Heartbeat: [STRING, INT32, STRING, STRING.from(3).null(3)];
    LeaveGroup: [
        STRING,
        STRING.upto(2),
        structs(&[STRING, STRING.null(3), STRING.from(5).null(5)]).from(3),
    ];
    SyncGroup: [
        STRING,
        INT32,
        STRING,
        STRING.from(3).null(3),
        STRING.from(5).null(5),
        STRING.from(5).null(5),
        structs(&[STRING, BYTES]),
    ];
    DescribeGroups: [STRINGS, BOOL.from(3)];
    ListGroups: [STRINGS.from(4), STRINGS.from(5)];
    SaslHandshake: [STRING];
    ApiVersions: [STRING.from(3), STRING.from(3)];
    CreateTopics: [
        structs(&[STRING, INT32, INT16, structs(&[INT32, INT32S]), structs(&[STRING, STRING.null(0)])]),
        INT32,
        BOOL,
    ];
    DeleteTopics: [structs(&[STRING.null(6), UUID]).from(6), STRINGS.upto(5), INT32];
    DeleteRecords: [structs(&[STRING, structs(&[INT32, INT64])]), INT32];
    InitProducerId: [STRING.null(0), INT32, INT64.from(3), INT16.from(3)];
    OffsetForLeaderEpoch: [INT32.from(3), structs(&[STRING, structs(&[INT32, INT32, INT32])])];
    DescribeConfigs: [structs(&[INT8, STRING, STRINGS.null(0)]), BOOL, BOOL.from(3)];
    AlterConfigs: [structs(&[INT8, STRING, structs(&[STRING, STRING.null(0)])]), BOOL];
    DescribeLogDirs: [structs(&[STRING, INT32S]).null(0)];
    SaslAuthenticate: [BYTES];
    CreatePartitions: [structs(&[STRING, INT32, structs(&[INT32S]).null(0)]), INT32, BOOL];
    DeleteGroups: [STRINGS];
    IncrementalAlterConfigs: [structs(&[INT8, STRING, structs(&[STRING, INT8, STRING.null(0)])]), BOOL];
    OffsetDelete: [STRING, structs(&[STRING, structs(&[INT32])])];
    DescribeCluster: [BOOL, INT8.from(1), BOOL.from(2)];
    // An array of INT8 lies there as bytes do.
    ListConfigResources: [BYTES.from(1)];
    DescribeTopicPartitions: [structs(&[STRING]), INT32, optional(&[STRING, INT32]).null(0)];
}

/// Walks over `body`, a request of `api`: every length and count fits into it, nothing is left over, and decoding it takes
/// no more than [`limits::ARRAY_ELEMENTS_MAX`] elements in all.
pub(crate) fn check(api: ApiKey, version: i16, body: &[u8]) -> Result<(), WireError> {
    let mut walk = Walk { reader: Reader::new(body), version, flexible: api.is_flexible(version), elements: 0 };
    walk.structure(request(api))
}

struct Walk<'a> {
    reader: Reader<'a>,
    version: i16,
    flexible: bool,
    /// Seen in all arrays so far. The frame bounds them, but one byte on the wire can be 100 in memory.
    elements: usize,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field]) -> Result<(), WireError> {
        for field in fields {
            if (field.first..=field.last).contains(&self.version) {
                self.field(field)?;
            }
        }
        self.reader.skip_tags(self.flexible)
    }

    fn field(&mut self, field: &Field) -> Result<(), WireError> {
        let present = match field.kind {
            Kind::Bool => self.reader.take(1).map(|_| true),
            Kind::Fixed(bytes) => self.reader.take(bytes).map(|_| true),
            Kind::String => match self.reader.string_length(self.flexible)? {
                Some(length) => self.reader.take(length).map(|_| true),
                None => Ok(false),
            },
            Kind::Bytes => Ok(self.reader.nullable_bytes(self.flexible)?.is_some()),
            Kind::Strings => self.array(&[STRING], false),
            Kind::Int32s => self.array(&[INT32], false),
            Kind::Structs(fields) => self.array(fields, true),
            Kind::Optional(fields) => self.optional(fields),
        }?;
        if present || self.version >= field.null_from { Ok(()) } else { Err(WireError::UnexpectedNull) }
    }

    /// Whether the array is there at all. `structures` end with tagged fields, plain elements do not.
    fn array(&mut self, element: &'static [Field], structures: bool) -> Result<bool, WireError> {
        let fields_min: usize = element.iter().map(|field| field.bytes_min(self.version, self.flexible)).sum();
        let bytes_min = fields_min + usize::from(structures && self.flexible);
        let Some(count) = self.reader.nullable_count(self.flexible, bytes_min)? else { return Ok(false) };
        self.elements += count;
        if self.elements > limits::ARRAY_ELEMENTS_MAX {
            return Err(WireError::TooManyElements(self.elements));
        }
        for _ in 0..count {
            if structures {
                self.structure(element)?;
            } else {
                self.field(&element[0])?;
            }
        }
        Ok(true)
    }

    fn optional(&mut self, fields: &'static [Field]) -> Result<bool, WireError> {
        if self.reader.i8()? < 0 {
            return Ok(false);
        }
        self.structure(fields).map(|()| true)
    }
}

#[cfg(test)]
mod tests;
