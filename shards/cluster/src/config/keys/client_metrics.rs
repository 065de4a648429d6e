//! A metrics subscription's settings (`ClientMetricsConfigs`).

use super::effects::NO_TELEMETRY;
use crate::config::Rule::{Any, Set};
use crate::config::key::keys;

keys! { pub(crate) CLIENT_METRICS of ClientMetrics {
    "interval.ms": Int = "300000", Any, ClusterWide, NO_TELEMETRY;
        "How often a client pushes its metrics.";
    "match": List = "", Set, ClusterWide, NO_TELEMETRY;
        "Which clients are meant: key=pattern with commas between.";
    "metrics": List = "", Set, ClusterWide, NO_TELEMETRY;
        "What the names of the wanted metrics begin with; * is all.";
} }
