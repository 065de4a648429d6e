//! The kernel's network stack.

use crate::rule::{Area, Change, Opinion, Rule};
use crate::rules::{at_least, know, zero};
use crate::{Fact, Facts};

const NET_DOC: &str = "https://docs.kernel.org/admin-guide/sysctl/net.html";
const IP_DOC: &str = "https://docs.kernel.org/networking/ip-sysctl.html";
/// Connections that may wait to be accepted.
const BACKLOG_MIN: u64 = 4096;
const NETDEV_BACKLOG_MIN: u64 = 5000;
/// What 10 Gbit/s hold in flight over 3 ms.
const SOCKET_BYTES_MIN: u64 = 4 << 20;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "network.somaxconn",
        area: Area::Network,
        looks_at: "/proc/sys/net/core/somaxconn",
        why: "When a thousand clients come back at once, those beyond this many are dropped and try again after a second.",
        source: NET_DOC,
        risk: "Some hundred bytes of memory for each connection that waits.",
        safe: true,
        opinions: |facts| at_least(&facts.network.somaxconn, BACKLOG_MIN, "/proc/sys/net/core/somaxconn"),
    },
    Rule {
        id: "network.syn-backlog",
        area: Area::Network,
        looks_at: "/proc/sys/net/ipv4/tcp_max_syn_backlog",
        why: "As somaxconn, one step earlier: connections whose handshake is not over.",
        source: IP_DOC,
        risk: "As somaxconn.",
        safe: true,
        opinions: |facts| at_least(&facts.network.syn_backlog, BACKLOG_MIN, "/proc/sys/net/ipv4/tcp_max_syn_backlog"),
    },
    Rule {
        id: "network.netdev-backlog",
        area: Area::Network,
        looks_at: "/proc/sys/net/core/netdev_max_backlog",
        why: "Packets handed from one core to another (RPS) beyond this many are dropped.",
        source: NET_DOC,
        risk: "A core that cannot keep up has a longer queue.",
        safe: true,
        opinions: |facts| {
            at_least(&facts.network.netdev_backlog, NETDEV_BACKLOG_MIN, "/proc/sys/net/core/netdev_max_backlog")
        },
    },
    Rule {
        id: "network.rmem-max",
        area: Area::Network,
        looks_at: "/proc/sys/net/core/rmem_max",
        why: "The most that a program gets who asks for a receive buffer: Kafka's clients do, with receive.buffer.bytes.",
        source: NET_DOC,
        risk: "A program may ask for more memory.",
        safe: true,
        opinions: |facts| at_least(&facts.network.rmem_max, SOCKET_BYTES_MIN, "/proc/sys/net/core/rmem_max"),
    },
    Rule {
        id: "network.wmem-max",
        area: Area::Network,
        looks_at: "/proc/sys/net/core/wmem_max",
        why: "The most that a program gets who asks for a send buffer: Kafka's clients do, with send.buffer.bytes.",
        source: NET_DOC,
        risk: "A program may ask for more memory.",
        safe: true,
        opinions: |facts| at_least(&facts.network.wmem_max, SOCKET_BYTES_MIN, "/proc/sys/net/core/wmem_max"),
    },
    Rule {
        id: "network.tcp-rmem",
        area: Area::Network,
        looks_at: "/proc/sys/net/ipv4/tcp_rmem",
        why: "The last figure bounds what one connection may have in flight towards us: its speed is that over the round trip.",
        source: IP_DOC,
        risk: "More memory for a connection whose reader is slow.",
        safe: true,
        opinions: |facts| vec![socket_buffer(&facts.network.tcp_rmem, "/proc/sys/net/ipv4/tcp_rmem")],
    },
    Rule {
        id: "network.tcp-wmem",
        area: Area::Network,
        looks_at: "/proc/sys/net/ipv4/tcp_wmem",
        why: "The last figure bounds what one connection may have in flight from us: a consumer's speed is that over the round trip.",
        source: IP_DOC,
        risk: "More memory for a connection whose reader is slow.",
        safe: true,
        opinions: |facts| vec![socket_buffer(&facts.network.tcp_wmem, "/proc/sys/net/ipv4/tcp_wmem")],
    },
    Rule {
        id: "network.slow-start",
        area: Area::Network,
        looks_at: "/proc/sys/net/ipv4/tcp_slow_start_after_idle",
        why: "A connection that was quiet for a moment starts slowly again: the next large answer takes several round trips more.",
        source: IP_DOC,
        risk: "A burst into a network that became crowded in between.",
        safe: true,
        opinions: |facts| zero(&facts.network.slow_start_after_idle, "/proc/sys/net/ipv4/tcp_slow_start_after_idle"),
    },
    Rule {
        id: "network.default-qdisc",
        area: Area::Network,
        looks_at: "/proc/sys/net/core/default_qdisc",
        why: "What cards get that come up later: `fq` and `fq_codel` let a small answer past a large one, `pfifo_fast` does not.",
        source: NET_DOC,
        risk: "Cards that are up keep what they have.",
        safe: true,
        opinions: |facts| vec![default_qdisc(facts)],
    },
];

fn socket_buffer(fact: &Fact<Vec<u64>>, file: &str) -> Opinion {
    know(fact, |sizes| match sizes.as_slice() {
        [_, _, most] if *most >= SOCKET_BYTES_MIN => Opinion::good(most),
        [least, first, most] => Opinion::improve(most, format!("at least {SOCKET_BYTES_MIN}"))
            .change(Change::new(file, format!("{least}\t{first}\t{SOCKET_BYTES_MIN}"))),
        _ => Opinion::unknown(format!("{file} does not hold three figures")),
    })
}

fn default_qdisc(facts: &Facts) -> Opinion {
    know(&facts.network.default_qdisc, |name| match name.as_str() {
        "fq" | "fq_codel" | "cake" => Opinion::good(name),
        other => {
            Opinion::improve(other, "fq_codel").change(Change::new("/proc/sys/net/core/default_qdisc", "fq_codel"))
        }
    })
}
