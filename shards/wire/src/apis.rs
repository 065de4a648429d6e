//! The one table of APIs: what ApiVersions answers, what the dispatcher accepts and what the docs list derive from it.
//!
//! Keys, names, ranges and first flexible versions are those of Apache Kafka 4.3.1 on a broker's listener.

/// One API as this broker serves it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Api {
    /// Which.
    pub key: ApiKey,
    /// Kafka's name for it.
    pub name: &'static str,
    /// The lowest version that ApiVersions names.
    pub min: i16,
    /// The highest version that ApiVersions names.
    pub max: i16,
    /// The lowest version that is really served. It differs for Produce only: librdkafka before 2.11 sends uncompressed
    /// when version 0 is not named (KAFKA-18659), so Kafka names 0 and refuses 0 to 2.
    pub accepted_min: i16,
    /// The first version with compact lengths and tagged fields (KIP-482).
    pub flexible_from: i16,
    /// Whether it is served at all.
    pub served: bool,
}

/// Not flexible in any version.
const NEVER: i16 = i16::MAX;

/// Builds the enum and the table from one list. An API whose line says `withheld` is neither named nor accepted.
macro_rules! apis {
    ($($name:ident = $key:literal, $min:literal..=$max:literal accepts $accepted:literal, flexible $flexible:expr, $served:ident;)*) => {
        /// An API of the Kafka protocol that this broker knows.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i16)]
        pub enum ApiKey {
            $(#[doc = concat!("API key ", stringify!($key), ".")] $name = $key,)*
        }

        /// Every API that this broker knows, by rising key.
        pub const TABLE: &[Api] = &[
            $(Api {
                key: ApiKey::$name,
                name: stringify!($name),
                min: $min,
                max: $max,
                accepted_min: $accepted,
                flexible_from: $flexible,
                served: served!($served),
            },)*
        ];

        impl ApiKey {
            /// The API with this key, if it is known (served or not).
            pub const fn from_code(code: i16) -> Option<ApiKey> {
                match code {
                    $($key => Some(ApiKey::$name),)*
                    _ => None,
                }
            }

            /// Its line in [`TABLE`].
            pub const fn api(self) -> &'static Api {
                let mut i = 0;
                while i < TABLE.len() {
                    if TABLE[i].key as i16 == self as i16 {
                        return &TABLE[i];
                    }
                    i += 1;
                }
                // Both come from the same list: the loop always returns.
                &TABLE[0]
            }
        }
    };
}

macro_rules! served {
    (served) => {
        true
    };
    (withheld) => {
        false
    };
}

apis! {
    Produce                 = 0,  0..=13 accepts 3, flexible 9,     served;
    Fetch                   = 1,  4..=18 accepts 4, flexible 12,    served;
    ListOffsets             = 2,  1..=11 accepts 1, flexible 6,     served;
    Metadata                = 3,  0..=13 accepts 0, flexible 9,     served;
    OffsetCommit            = 8,  2..=10 accepts 2, flexible 8,     served;
    OffsetFetch             = 9,  1..=10 accepts 1, flexible 6,     served;
    FindCoordinator         = 10, 0..=6  accepts 0, flexible 3,     served;
    JoinGroup               = 11, 0..=9  accepts 0, flexible 6,     served;
    Heartbeat               = 12, 0..=4  accepts 0, flexible 4,     served;
    LeaveGroup              = 13, 0..=5  accepts 0, flexible 4,     served;
    SyncGroup               = 14, 0..=5  accepts 0, flexible 4,     served;
    DescribeGroups          = 15, 0..=6  accepts 0, flexible 5,     served;
    ListGroups              = 16, 0..=5  accepts 0, flexible 3,     served;
    SaslHandshake           = 17, 0..=1  accepts 0, flexible NEVER, served;
    ApiVersions             = 18, 0..=4  accepts 0, flexible 3,     served;
    CreateTopics            = 19, 2..=7  accepts 2, flexible 5,     served;
    DeleteTopics            = 20, 1..=6  accepts 1, flexible 4,     served;
    DeleteRecords           = 21, 0..=2  accepts 0, flexible 2,     served;
    InitProducerId          = 22, 0..=5  accepts 0, flexible 2,     served;
    OffsetForLeaderEpoch    = 23, 2..=4  accepts 2, flexible 4,     served;
    DescribeConfigs         = 32, 1..=4  accepts 1, flexible 4,     served;
    AlterConfigs            = 33, 0..=2  accepts 0, flexible 2,     served;
    DescribeLogDirs         = 35, 1..=5  accepts 1, flexible 2,     served;
    SaslAuthenticate        = 36, 0..=2  accepts 0, flexible 2,     served;
    CreatePartitions        = 37, 0..=3  accepts 0, flexible 2,     served;
    DeleteGroups            = 42, 0..=2  accepts 0, flexible 2,     served;
    IncrementalAlterConfigs = 44, 0..=1  accepts 0, flexible 1,     served;
    OffsetDelete            = 47, 0..=0  accepts 0, flexible NEVER, served;
    DescribeCluster         = 60, 0..=2  accepts 0, flexible 0,     served;
    ListConfigResources     = 74, 0..=1  accepts 0, flexible 0,     served;
    DescribeTopicPartitions = 75, 0..=0  accepts 0, flexible 0,     served;
}

impl ApiKey {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Kafka's name for it.
    pub const fn name(self) -> &'static str {
        self.api().name
    }

    /// Whether a request of this version is answered.
    pub const fn accepts(self, version: i16) -> bool {
        let api = self.api();
        api.served && version >= api.accepted_min && version <= api.max
    }

    /// Whether this version uses compact lengths and tagged fields (KIP-482).
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.api().flexible_from
    }

    /// Which request header goes before this version: 1, or 2 where flexible. (Header 0 was ControlledShutdown's.)
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// Which response header goes before this version: 0, or 1 where flexible. ApiVersions always has 0, because a client
    /// that asks does not yet know what the broker speaks (KIP-511).
    pub const fn response_header_version(self, version: i16) -> i16 {
        match self {
            ApiKey::ApiVersions => 0,
            _ if self.is_flexible(version) => 1,
            _ => 0,
        }
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What ApiVersions names, by rising key.
pub fn served() -> impl Iterator<Item = &'static Api> {
    TABLE.iter().filter(|api| api.served)
}

/// The table as the docs print it, in Markdown.
pub fn markdown() -> String {
    let mut table = String::from("| key | API | versions | flexible from |\n|---|---|---|---|\n");
    for api in served() {
        let flexible = match api.flexible_from {
            NEVER => "–".to_owned(),
            version => version.to_string(),
        };
        let refused = match api.accepted_min - api.min {
            0 => String::new(),
            _ => format!(" (below {} refused)", api.accepted_min),
        };
        let (key, Api { name, min, max, .. }) = (api.key.code(), api);
        table += &format!("| {key} | {name} | {min}–{max}{refused} | {flexible} |\n");
    }
    table
}

#[cfg(test)]
mod tests;
