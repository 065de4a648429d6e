//! A record as JSON: what `ottla consume --json` writes and `ottla produce --json` reads.

use serde::{Deserialize, Serialize};

use super::text::{from_base64, to_base64};
use crate::client::producer::NewRecord;
use ottla_batch::Record;

/// Bytes in JSON: text where they are UTF-8, else base64.
#[derive(Serialize, Deserialize, Debug)]
#[serde(untagged)]
pub(super) enum JsonBytes {
    Text(String),
    Binary { base64: String },
}

impl JsonBytes {
    fn new(bytes: &[u8]) -> JsonBytes {
        match std::str::from_utf8(bytes) {
            Ok(text) => JsonBytes::Text(text.to_owned()),
            Err(_) => JsonBytes::Binary { base64: to_base64(bytes) },
        }
    }

    fn into_bytes(self) -> Result<Vec<u8>, String> {
        match self {
            JsonBytes::Text(text) => Ok(text.into_bytes()),
            JsonBytes::Binary { base64 } => from_base64(&base64).ok_or_else(|| format!("'{base64}' is not base64")),
        }
    }
}

/// A record, everything optional when it is read.
#[derive(Serialize, Deserialize, Default, Debug)]
#[serde(default, deny_unknown_fields)]
pub(super) struct JsonRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<i64>,
    pub(super) key: Option<JsonBytes>,
    pub(super) value: Option<JsonBytes>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) headers: Vec<(String, Option<JsonBytes>)>,
}

impl JsonRecord {
    /// A record as it was read.
    pub(super) fn new(topic: &str, partition: i32, record: &Record<'_>) -> JsonRecord {
        let header = |(name, value): (&[u8], Option<&[u8]>)| {
            (String::from_utf8_lossy(name).into_owned(), value.map(JsonBytes::new))
        };
        JsonRecord {
            topic: Some(topic.to_owned()),
            partition: Some(partition),
            offset: Some(record.offset.get()),
            timestamp: Some(record.timestamp.get()),
            key: record.key.map(JsonBytes::new),
            value: record.value.map(JsonBytes::new),
            headers: record.headers.map(header).collect(),
        }
    }
}

impl TryFrom<JsonRecord> for NewRecord {
    type Error = String;

    fn try_from(record: JsonRecord) -> Result<NewRecord, String> {
        let bytes = |bytes: Option<JsonBytes>| bytes.map(JsonBytes::into_bytes).transpose();
        let header = |(name, value)| Ok((name, bytes(value)?));
        Ok(NewRecord {
            // A copied record goes where its key belongs in the new topic, not where it was in the old one.
            partition: None,
            timestamp: record.timestamp,
            key: bytes(record.key)?,
            value: bytes(record.value)?,
            headers: record.headers.into_iter().map(header).collect::<Result<_, String>>()?,
        })
    }
}
