//! What only Ottla has. Names begin with `ottla.`, so that Kafka's future keys cannot collide with them.

use super::effects::HONOURED;
use crate::config::Rule::{Address, Any, AtLeast, Between, LogLevels, OneOf};
use crate::config::key::keys;

keys! { pub(crate) OTTLA of Ottla {
    "ottla.shards": Int = "0", Between(0, 1024), ReadOnly, HONOURED;
        "Shards; 0: one for every core this process may use.";
    "ottla.shards.pin": String = "auto", OneOf(&["auto", "true", "false"]), ReadOnly, HONOURED;
        "Whether a shard stays on one core. auto: only where cores are left over for all else.";
    "ottla.journal.dir": String = null, Any, ReadOnly, HONOURED;
        "The folder of the journal; unset: journal/ in the data folder.";
    "ottla.journal.bytes": Long = "536870912", AtLeast(8388608), ReadOnly, HONOURED;
        "Space of each shard's journal; less is taken on a small disk.";
    "ottla.journal.accept.loss": Boolean = "false", Any, ReadOnly, HONOURED;
        "Whether to start though the journal is damaged, without what comes after the damage.";
    "ottla.tail.cache.bytes": Long = "100663296", AtLeast(1048576), ReadOnly, HONOURED;
        "Memory of each shard for the newest records of its partitions.";
    "ottla.cold.read.bytes": Long = "33554432", AtLeast(1048576), ReadOnly, HONOURED;
        "Memory of each shard for records read from disk.";
    "ottla.answer.memory.bytes": Long = "268435456", AtLeast(1048576), ReadOnly, HONOURED;
        "Memory of each shard for answers that clients have not taken yet; with more, requests wait.";
    "ottla.bulk.append.bytes": Int = "262144", AtLeast(4096), ReadOnly, HONOURED;
        "From this size on, what one flush brings for one partition goes to its segment and past the journal.";
    "ottla.open.files.max": Int = "512", AtLeast(16), ReadOnly, HONOURED;
        "Files of segments that each shard keeps open.";
    "ottla.admin.listen": String = "127.0.0.1:9644", Address, ReadOnly, HONOURED;
        "Where /metrics, /healthz and /readyz are served: host:port; empty: nowhere.";
    "ottla.log.level": String = "info", LogLevels, ReadOnly, HONOURED;
        "What is logged: a level, or targets with levels as in info,ottla_storage=debug.";
    "ottla.log.format": String = "text", OneOf(&["text", "json"]), ReadOnly, HONOURED;
        "How log lines are written.";
    "ottla.shutdown.timeout.ms": Long = "30000", AtLeast(0), ReadOnly, HONOURED;
        "How long a stop waits for what is in flight.";
}}
