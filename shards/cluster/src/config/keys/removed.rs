//! Keys that older Kafka brokers had, and what became of them.

const ZOOKEEPER: &str = "there is no ZooKeeper; the controller runs inside this process";
const FORMAT: &str = "records have one format, the current one";
const QUOTA: &str = "Kafka 3.0 removed it; quotas are set with kafka-configs";
const LISTENERS: &str = "Kafka 3.0 removed it; say listeners and advertised.listeners";
const SHUTDOWN: &str = "Kafka 4.0 removed it";
const AUTHORIZER: &str = "authorization comes later";

/// Begins of names, longest first where one begins another, and why the key has no effect.
static REMOVED: &[(&str, &str)] = &[
    ("zookeeper.", ZOOKEEPER),
    ("password.encoder.", ZOOKEEPER),
    ("broker.id.generation.enable", ZOOKEEPER),
    ("reserved.broker.max.id", ZOOKEEPER),
    ("control.plane.listener.name", ZOOKEEPER),
    ("inter.broker.protocol.version", "feature levels took its place"),
    ("log.message.format.version", FORMAT),
    ("log.message.downconversion.enable", FORMAT),
    (
        "log.message.timestamp.difference.max.ms",
        "say log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms",
    ),
    ("host.name", LISTENERS),
    ("port", LISTENERS),
    ("advertised.host.name", LISTENERS),
    ("advertised.port", LISTENERS),
    ("quota.producer.default", QUOTA),
    ("quota.consumer.default", QUOTA),
    ("controlled.shutdown.max.retries", SHUTDOWN),
    ("controlled.shutdown.retry.backoff.ms", SHUTDOWN),
    ("leader.imbalance.per.broker.percentage", SHUTDOWN),
    ("offsets.commit.required.acks", SHUTDOWN),
    ("auto.include.jmx.reporter", "metrics are served at /metrics"),
    ("metrics.jmx.", "metrics are served at /metrics"),
    ("group.coordinator.new.enable", "there is one group coordinator"),
    ("delegation.token.master.key", "say delegation.token.secret.key"),
    ("super.users", AUTHORIZER),
    ("allow.everyone.if.no.acl.found", AUTHORIZER),
];

/// Why a key that this broker does not have is ignored, when it is one that Kafka once had or hands to its plug-ins.
pub fn removed(name: &str) -> Option<&'static str> {
    REMOVED
        .iter()
        .find(|(begin, _)| name == *begin || begin.ends_with('.') && name.starts_with(begin))
        .map(|found| found.1)
}
