//! Listeners, connections and requests.

use super::effects::{BYTES_BOUND, HONOURED, KERNEL_SIZES, NO_SECURITY, NO_THREADS, NOT_HERE, ONE_NODE};
use crate::config::Rule::{Any, AtLeast, FilledSet, OneOf, Set};
use crate::config::key::keys;

keys! { pub(crate) LISTEN of Broker {
    "listeners": List = "PLAINTEXT://:9092", FilledSet, PerBroker, HONOURED;
        "Where to listen: NAME://host:port with commas between.";
    "advertised.listeners": List = null, FilledSet, ReadOnly, HONOURED;
        "What clients are told to connect to; unset: the listeners themselves.";
    "listener.security.protocol.map": String = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        Any, PerBroker, HONOURED;
        "The security protocol of each listener's name.";
    "early.start.listeners": List = null, Set, ReadOnly, ONE_NODE;
        "Listeners that open before the authorizer is ready.";
    "security.inter.broker.protocol": String = "PLAINTEXT",
        OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly, ONE_NODE;
        "The protocol between brokers when no listener is named for it.";
    "inter.broker.listener.name": String = null, Any, ReadOnly, ONE_NODE;
        "The listener that brokers use among themselves.";
    "socket.send.buffer.bytes": Int = "102400", Any, ReadOnly, HONOURED;
        "The kernel's send buffer of each connection; -1 or not set: the kernel chooses and adapts it.";
    "socket.receive.buffer.bytes": Int = "102400", Any, ReadOnly, HONOURED;
        "The kernel's receive buffer of each connection; -1 or not set: the kernel chooses and adapts it.";
    "socket.request.max.bytes": Int = "104857600", AtLeast(1), ReadOnly, HONOURED;
        "The longest request that is read.";
    "socket.listen.backlog.size": Int = "50", AtLeast(1), ReadOnly, KERNEL_SIZES;
        "How many connections may wait to be accepted.";
    "max.connections": Int = "2147483647", AtLeast(0), ClusterWide, HONOURED;
        "Connections that may be open at once.";
    "max.connections.per.ip": Int = "2147483647", AtLeast(0), ClusterWide, HONOURED;
        "Connections that one address may have open at once.";
    "max.connections.per.ip.overrides": String = "", Any, ClusterWide, HONOURED;
        "Addresses with another such limit: address:count with commas between.";
    "max.connection.creation.rate": Int = "2147483647", AtLeast(0), ClusterWide, HONOURED;
        "Connections accepted in one second; others wait.";
    "connections.max.idle.ms": Long = "600000", Any, ReadOnly, HONOURED;
        "How long a connection may be silent before it is closed.";
    "connection.failed.authentication.delay.ms": Int = "100", AtLeast(0), ReadOnly, NO_SECURITY;
        "How long the refusal of a failed login is held back.";
    "queued.max.requests": Int = "500", AtLeast(1), ReadOnly, BYTES_BOUND;
        "Requests that may be in work at once.";
    "queued.max.request.bytes": Long = "-1", Any, ReadOnly, HONOURED;
        "Bytes of requests that may be in work at once; -1: no limit but memory's own.";
    "num.network.threads": Int = "3", AtLeast(1), ClusterWide, NO_THREADS;
        "Threads that move bytes between sockets and requests.";
    "num.io.threads": Int = "8", AtLeast(1), ClusterWide, NO_THREADS;
        "Threads that answer requests.";
    "background.threads": Int = "10", AtLeast(1), ClusterWide, NO_THREADS;
        "Threads for housekeeping.";
    "message.max.bytes": Int = "1048588", AtLeast(0), ClusterWide, HONOURED;
        "The largest batch a producer may send, as compressed.";
    "fetch.max.bytes": Int = "57671680", AtLeast(1024), ReadOnly, HONOURED;
        "The most that one fetch answers.";
    "max.incremental.fetch.session.cache.slots": Int = "1000", AtLeast(0), ReadOnly, HONOURED;
        "Fetch sessions that are kept (KIP-227).";
    "max.request.partition.size.limit": Int = "2000", AtLeast(1), ReadOnly, HONOURED;
        "Partitions in one answer of DescribeTopicPartitions.";
    "request.timeout.ms": Int = "30000", Any, ReadOnly, ONE_NODE;
        "How long the broker waits for the answer of another.";
    "socket.connection.setup.timeout.ms": Long = "10000", Any, ReadOnly, ONE_NODE;
        "How long the broker waits for a connection to another.";
    "socket.connection.setup.timeout.max.ms": Long = "30000", Any, ReadOnly, ONE_NODE;
        "How far that wait may grow with each failure.";
    "unstable.api.versions.enable" internal: Boolean = "false", Any, ReadOnly, NOT_HERE;
        "Whether versions of requests still in development are offered.";
    "unstable.feature.versions.enable" internal: Boolean = "false", Any, ReadOnly, NOT_HERE;
        "Whether feature levels still in development are offered.";
    "server.max.startup.time.ms" internal: Long = "9223372036854775807", AtLeast(0), ReadOnly, NOT_HERE;
        "How long the start may take.";
} }
