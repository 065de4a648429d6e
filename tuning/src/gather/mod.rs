//! Reads facts: one file for each area. Nothing here fails: what may not be read is a fact that says so.

mod cpu;
mod host;
mod network;
mod storage;

use std::path::Path;

use crate::{Clock, Fact, Facts, Limits, Memory, Source};

/// How long a guest's idle processor looks for work before it halts, in nanoseconds.
pub(crate) const HALT_POLL: &str = "/sys/module/haltpoll/parameters/guest_halt_poll_ns";
/// What users of DAMON set, one folder a thread.
pub(crate) const DAMON: &str = "/sys/kernel/mm/damon/admin/kdamonds";

/// The form of recordings: see [`Facts::version`].
pub const FACTS_VERSION: u32 = 1;

/// Reads everything that rules look at; `data` is the broker's data folder, or where it will be made.
pub fn gather(source: &Source, data: &Path) -> Facts {
    let (mount, disks) = storage::gather(source, data);
    let interfaces = network::interfaces(source);
    Facts {
        version: FACTS_VERSION,
        host: host::gather(source),
        cpu: cpu::gather(source, &disks, &interfaces),
        disks,
        mount,
        memory: memory(source),
        interfaces,
        network: network::gather(source),
        limits: limits(source),
        clock: clock(source),
    }
}

fn memory(source: &Source) -> Memory {
    let info = source.text("/proc/meminfo");
    let field = |name: &'static str| {
        info.clone().and_then(
            || format!("/proc/meminfo has no {name}"),
            |text| {
                let line =
                    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned))?;
                line.split_whitespace().next()?.parse::<u64>().ok()
            },
        )
    };
    let kib = |name: &'static str| field(name).map(|kib| kib.saturating_mul(1024));
    let thp = "/sys/kernel/mm/transparent_hugepage";
    Memory {
        total_bytes: kib("MemTotal"),
        swap_bytes: kib("SwapTotal"),
        swappiness: source.number("/proc/sys/vm/swappiness"),
        thp_enabled: source.text(&format!("{thp}/enabled")),
        thp_defrag: source.text(&format!("{thp}/defrag")),
        hugepages: field("HugePages_Total"),
        hugepages_free: field("HugePages_Free"),
        numa_nodes: source
            .text("/sys/devices/system/node/online")
            .and_then(|| "/sys/devices/system/node/online is no list".to_owned(), |list| count_list(&list)),
        numa_balancing: source.number("/proc/sys/kernel/numa_balancing"),
        zone_reclaim_mode: source.number("/proc/sys/vm/zone_reclaim_mode"),
        // A kernel without it has no such folder.
        damon_threads: if source.has(DAMON) { source.number(&format!("{DAMON}/nr_kdamonds")) } else { Fact::Known(0) },
    }
}

/// How many numbers a list such as `0-3,8` names.
pub(crate) fn count_list(list: &str) -> Option<u64> {
    let mut count = 0_u64;
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

fn limits(source: &Source) -> Limits {
    let table = source.text("/proc/self/limits");
    // The name fills 26 columns; soft limit, hard limit and unit follow.
    let limit = |name: &'static str, column: usize| {
        table.clone().and_then(
            || format!("/proc/self/limits has no {name}"),
            |text| {
                let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned))?;
                match line.split_whitespace().nth(column)? {
                    "unlimited" => Some(None),
                    number => number.parse().ok().map(Some),
                }
            },
        )
    };
    Limits {
        nofile_hard: limit("Max open files", 1),
        memlock_bytes: limit("Max locked memory", 0),
        io_uring_disabled: source.number("/proc/sys/kernel/io_uring_disabled"),
        perf_event_paranoid: source.signed("/proc/sys/kernel/perf_event_paranoid"),
        kptr_restrict: source.number("/proc/sys/kernel/kptr_restrict"),
        file_max: source.number("/proc/sys/fs/file-max"),
    }
}

fn clock(source: &Source) -> Clock {
    let folder = "/sys/devices/system/clocksource/clocksource0";
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    let offered: Fact<Vec<String>> = source.text(&format!("{folder}/available_clocksource")).map(words);
    Clock { source: source.text(&format!("{folder}/current_clocksource")), offered }
}

#[cfg(test)]
mod tests;
