//! `meta.properties`: whose data folder this is.
//!
//! Kafka's file and keys (`version`, `cluster.id`, `node.id`), so that its tools know the folder for what it is, and one of
//! ours: the format of everything else in the folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ottla_units::{BrokerId, TopicId};

/// The format of the data folder that this version writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;
/// The version of the file itself, as Kafka counts (`MetaPropertiesVersion.V1`).
const FILE_VERSION: &str = "1";
const FORMAT_KEY: &str = "ottla.format.version";

/// Who a data folder belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster, as clients are told it.
    pub cluster_id: String,
    /// The broker.
    pub node_id: BrokerId,
}

/// Why a data folder is not this broker's.
#[derive(Debug)]
pub enum IdentityError {
    /// The file cannot be read or written.
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A key is missing, or its value is not one.
    Malformed {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// A newer version of Ottla wrote the folder.
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// The format it has.
        found: u32,
    },
    /// Another broker's folder.
    OtherNode {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        found: BrokerId,
        /// Who wants it.
        expected: BrokerId,
    },
}

impl std::fmt::Display for IdentityError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            IdentityError::Io { path, error } => write!(f, "{}: {error}", path.display()),
            IdentityError::Malformed { path, key } => write!(f, "{}: {key} is missing or not valid", path.display()),
            IdentityError::NewerFormat { path, found } => write!(
                f,
                "{}: the folder has format {found}; this version reads up to {FORMAT_VERSION}. Start it with the Ottla \
                 that wrote it.",
                path.display()
            ),
            IdentityError::OtherNode { path, found, expected } => write!(
                f,
                "{}: the folder belongs to node {found}, and node.id is {expected}. Set node.id={found}, or use another \
                 folder.",
                path.display()
            ),
        }
    }
}

impl std::error::Error for IdentityError {}

impl Identity {
    /// Reads the file at `path`, or writes it for a new cluster. `node_id` is what the configuration says.
    ///
    /// # Errors
    /// The file is there and says something else, or cannot be used.
    pub fn load_or_create(path: &Path, node_id: BrokerId) -> Result<Identity, IdentityError> {
        let io = |error| IdentityError::Io { path: path.to_owned(), error };
        match fs::read_to_string(path) {
            Ok(text) => Identity::parse(path, &text)?.check(path, node_id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = Identity { cluster_id: new_cluster_id(), node_id };
                identity.write(path).map_err(io)?;
                Ok(identity)
            }
            Err(error) => Err(io(error)),
        }
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It is not there, or says what cannot be.
    pub fn read(path: &Path) -> Result<Identity, IdentityError> {
        let text = fs::read_to_string(path).map_err(|error| IdentityError::Io { path: path.to_owned(), error })?;
        Identity::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Identity, IdentityError> {
        let value = |key: &'static str| {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            let mut found = lines.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
            found.next_back().ok_or(IdentityError::Malformed { path: path.to_owned(), key })
        };
        let malformed = |key| IdentityError::Malformed { path: path.to_owned(), key };
        let format = value(FORMAT_KEY)?.parse().map_err(|_| malformed(FORMAT_KEY))?;
        if format > FORMAT_VERSION {
            return Err(IdentityError::NewerFormat { path: path.to_owned(), found: format });
        }
        let node_id = value("node.id")?.parse().map_err(|_| malformed("node.id"))?;
        let cluster_id = value("cluster.id").ok().filter(|id| !id.is_empty()).ok_or_else(|| malformed("cluster.id"))?;
        Ok(Identity { cluster_id: cluster_id.to_owned(), node_id: BrokerId::new(node_id) })
    }

    fn check(self, path: &Path, expected: BrokerId) -> Result<Identity, IdentityError> {
        if self.node_id == expected {
            return Ok(self);
        }
        Err(IdentityError::OtherNode { path: path.to_owned(), found: self.node_id, expected })
    }

    /// Writes it beside, then renames it: the file is whole or not there.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("properties.unfinished");
        let mut file = File::create(&beside)?;
        write!(
            file,
            "version={FILE_VERSION}\ncluster.id={}\nnode.id={}\n{FORMAT_KEY}={FORMAT_VERSION}\n",
            self.cluster_id, self.node_id
        )?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// A random id, printed as Kafka prints them.
fn new_cluster_id() -> String {
    let id: TopicId = super::random_id();
    id.to_string()
}
