//! Network cards, and what the kernel's network stack is set to.

use crate::{Fact, Interface, Network, Ring, Source};

/// Offloads that a broker wants: one segment handed down instead of forty, many packets handed up as one.
const OFFLOADS: [&str; 4] =
    ["tcp-segmentation-offload", "generic-segmentation-offload", "generic-receive-offload", "scatter-gather"];

pub(super) fn gather(source: &Source) -> Network {
    let core = |name: &str| source.number(&format!("/proc/sys/net/core/{name}"));
    let tcp = |name: &str| format!("/proc/sys/net/ipv4/{name}");
    Network {
        somaxconn: core("somaxconn"),
        syn_backlog: source.number(&tcp("tcp_max_syn_backlog")),
        netdev_backlog: core("netdev_max_backlog"),
        rmem_max: core("rmem_max"),
        wmem_max: core("wmem_max"),
        tcp_rmem: source.numbers(&tcp("tcp_rmem")),
        tcp_wmem: source.numbers(&tcp("tcp_wmem")),
        slow_start_after_idle: source.number(&tcp("tcp_slow_start_after_idle")),
        default_qdisc: source.text("/proc/sys/net/core/default_qdisc"),
    }
}

/// The cards: devices of `/sys/class/net` that stand for hardware, or for a hypervisor's.
pub(super) fn interfaces(source: &Source) -> Vec<Interface> {
    let names = source.names("/sys/class/net");
    let names = names.known().map(Vec::as_slice).unwrap_or_default();
    let links = source.output("ip", &["-o", "link", "show"]);
    let hardware = names.iter().filter(|name| source.has(&format!("/sys/class/net/{name}/device")));
    hardware.map(|name| interface(source, name, &links)).collect()
}

fn interface(source: &Source, name: &str, links: &Fact<String>) -> Interface {
    let folder = format!("/sys/class/net/{name}");
    let masks = |prefix: &str, file: &str| {
        source.names(&format!("{folder}/queues")).map(|queues| {
            let of = |queue: &String| source.text(&format!("{folder}/queues/{queue}/{file}")).known().cloned();
            queues.iter().filter(|queue| queue.starts_with(prefix)).filter_map(of).collect::<Vec<_>>()
        })
    };
    let count = |prefix: &str| {
        source
            .names(&format!("{folder}/queues"))
            .map(|queues| queues.iter().filter(|queue| queue.starts_with(prefix)).count() as u64)
    };
    let coalescing = source.output("ethtool", &["-c", name]);
    Interface {
        name: name.to_owned(),
        driver: source.link_name(&format!("{folder}/device/driver")),
        state: source.text(&format!("{folder}/operstate")),
        speed_mbit: source.number(&format!("{folder}/speed")),
        mtu: source.number(&format!("{folder}/mtu")),
        rx_queues: count("rx-"),
        tx_queues: count("tx-"),
        queues_max: source.output("ethtool", &["-l", name]).and_then(
            || format!("`ethtool -l {name}` names no combined queues"),
            |text| section_number(&text, "Pre-set maximums", "Combined"),
        ),
        rps: masks("rx-", "rps_cpus"),
        xps: masks("tx-", "xps_cpus"),
        rx_ring: source.output("ethtool", &["-g", name]).and_then(
            || format!("`ethtool -g {name}` names no ring"),
            |text| {
                let max = section_number(&text, "Pre-set maximums", "RX")?;
                Some(Ring { now: section_number(&text, "Current hardware settings", "RX")?, max })
            },
        ),
        adaptive_rx: coalescing
            .clone()
            .and_then(|| format!("`ethtool -c {name}` does not say whether it adapts"), |text| adaptive(&text)),
        rx_usecs: coalescing.and_then(
            || format!("`ethtool -c {name}` names no rx-usecs"),
            |text| section_number(&text, "Coalesce", "rx-usecs"),
        ),
        offloads_off: source.output("ethtool", &["-k", name]).map(|text| offloads_off(&text)),
        qdisc: links
            .clone()
            .and_then(|| format!("`ip -o link show` names no qdisc of {name}"), |text| qdisc(&text, name)),
    }
}

/// The number behind `field:` below the line that begins with `section`.
pub(super) fn section_number(text: &str, section: &str, field: &str) -> Option<u64> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(section));
    let line = lines.find_map(|line| line.trim().strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().parse().ok()
}

pub(super) fn adaptive(text: &str) -> Option<bool> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Adaptive RX:"))?;
    match line.split_whitespace().next()? {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// What is off and could be on: `[fixed]` means that the card cannot.
pub(super) fn offloads_off(text: &str) -> Vec<String> {
    let off = |name: &str| text.lines().any(|line| line.trim().strip_prefix(name) == Some(": off"));
    OFFLOADS.into_iter().filter(|name| off(name)).map(str::to_owned).collect()
}

pub(super) fn qdisc(text: &str, name: &str) -> Option<String> {
    let of = |line: &&str| line.split(": ").nth(1).is_some_and(|found| found.split('@').next() == Some(name));
    let mut words = text.lines().find(of)?.split_whitespace().skip_while(|word| *word != "qdisc").skip(1);
    words.next().map(str::to_owned)
}
