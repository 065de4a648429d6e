//! `meta.properties`: whose data folder it is, in Kafka's form.

use std::fmt::Write;

use ottla_reactor::file;
use ottla_units::BrokerId;

use crate::StorageError;
use crate::layout::Layout;

/// The newest format of a data folder that this program reads and writes.
const FORMAT_VERSION: u32 = 1;
/// Kafka's version of the file.
const KAFKA_VERSION: u32 = 1;

/// What `meta.properties` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaProperties {
    /// `cluster.id`: 22 characters of base64.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: BrokerId,
    /// `directory.id` (KIP-858).
    pub directory_id: String,
}

impl MetaProperties {
    /// Reads the file; `None` in a fresh folder.
    ///
    /// # Errors
    /// [`StorageError::NewerFormat`], [`StorageError::Meta`] for a line that is missing or cannot be, [`StorageError::Io`].
    pub async fn read(layout: &Layout) -> Result<Option<MetaProperties>, StorageError> {
        let path = layout.meta_properties();
        if !file::exists(&path) {
            return Ok(None);
        }
        let bytes = file::read(&path).await.map_err(StorageError::io(&path, "read"))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let value = |key: &'static str| {
            let found = text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == key);
            found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let wrong = |key: &'static str| StorageError::Meta { file: path.clone(), key, value: value(key) };
        let number = |key: &'static str| value(key).parse::<u32>().map_err(|_| wrong(key));
        let found = number("ottla.format.version")?;
        if found > FORMAT_VERSION {
            return Err(StorageError::NewerFormat { file: path.clone(), found, supported: FORMAT_VERSION });
        }
        let node_id = value("node.id").parse().map_err(|_| wrong("node.id"))?;
        let meta = MetaProperties {
            cluster_id: value("cluster.id"),
            node_id: BrokerId::new(node_id),
            directory_id: value("directory.id"),
        };
        if meta.cluster_id.is_empty() {
            return Err(wrong("cluster.id"));
        }
        Ok(Some(meta))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::DiskFull`].
    pub async fn write(&self, layout: &Layout) -> Result<(), StorageError> {
        let path = layout.meta_properties();
        file::write_atomically(&path, self.to_file().as_bytes()).await.map_err(StorageError::io(&path, "write"))
    }

    fn to_file(&self) -> String {
        let mut text = String::from("# Whose data this is. Written once, when the folder was made.\n");
        let lines = [
            ("version", KAFKA_VERSION.to_string()),
            ("cluster.id", self.cluster_id.clone()),
            ("node.id", self.node_id.to_string()),
            ("directory.id", self.directory_id.clone()),
            ("ottla.format.version", FORMAT_VERSION.to_string()),
        ];
        for (key, value) in lines {
            let _ = writeln!(text, "{key}={value}");
        }
        text
    }
}
