use crate::Facts;
use crate::gather::DAMON;
use crate::rule::{Area, Change, Opinion, Rule};
use crate::rules::{choice, know, zero};

const THP: &str = "/sys/kernel/mm/transparent_hugepage";
const THP_DOC: &str = "https://docs.kernel.org/admin-guide/mm/transhuge.html";
const VM_DOC: &str = "https://docs.kernel.org/admin-guide/sysctl/vm.html";
const SWAPPINESS_MAX: u64 = 10;
/// Bit of CAP_IPC_LOCK (capability.h): who has it is not bound by the limit of locked memory.
const CAP_IPC_LOCK: u64 = 14;
/// What a shard's registered journal buffers may grow to: two frames of 4 MiB, and its ring.
const LOCKED_BYTES_A_SHARD: u64 = 16 << 20;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "memory.thp",
        area: Area::Memory,
        looks_at: "/sys/kernel/mm/transparent_hugepage/enabled",
        why: "`always` lets the kernel zero and merge 2 MiB at a time in the middle of a request, for any memory. `madvise` does it for programs that ask.",
        source: THP_DOC,
        risk: "Programs that never ask have more misses in the translation cache.",
        safe: true,
        opinions: |facts| vec![thp(facts)],
    },
    Rule {
        id: "memory.thp-defrag",
        area: Area::Memory,
        looks_at: "/sys/kernel/mm/transparent_hugepage/defrag",
        why: "`always` stops a thread that touches new memory until pages were moved together: stalls of milliseconds.",
        source: THP_DOC,
        risk: "Huge pages are made later, in the background.",
        safe: true,
        opinions: |facts| vec![thp_defrag(facts)],
    },
    Rule {
        id: "memory.swappiness",
        area: Area::Memory,
        looks_at: "/proc/sys/vm/swappiness, /proc/meminfo",
        why: "Ottla reads and writes past the page cache: all its memory is in use. Memory swapped out stops a whole shard until it is back.",
        source: VM_DOC,
        risk: "With little memory, the page cache of other programs shrinks first.",
        safe: true,
        opinions: |facts| vec![swappiness(facts)],
    },
    Rule {
        id: "memory.hugepages",
        area: Area::Memory,
        looks_at: "/proc/meminfo",
        why: "Huge pages set aside can be used by nobody who does not ask for them, and Ottla does not.",
        source: "https://docs.kernel.org/admin-guide/mm/hugetlbpage.html",
        risk: "A program that relies on them does not start.",
        safe: false,
        opinions: |facts| vec![hugepages(facts)],
    },
    Rule {
        id: "memory.memlock",
        area: Area::Memory,
        looks_at: "/proc/self/limits, /proc/self/status",
        why: "The journal's buffers are registered with the ring, which locks them. Without the limit's leave, each write pins its pages again.",
        source: "https://man7.org/linux/man-pages/man2/io_uring_register.2.html",
        risk: "Locked memory is not given back under pressure.",
        safe: false,
        opinions: |facts| vec![memlock(facts)],
    },
    Rule {
        id: "memory.numa-balancing",
        area: Area::Memory,
        looks_at: "/proc/sys/kernel/numa_balancing",
        why: "Shards are pinned, and their memory is where they are. Balancing unmaps pages now and then only to see who touches them.",
        source: "https://docs.kernel.org/admin-guide/sysctl/kernel.html",
        risk: "Programs that are not pinned keep memory on a distant node.",
        safe: true,
        opinions: |facts| {
            several_nodes(facts, || zero(&facts.memory.numa_balancing, "/proc/sys/kernel/numa_balancing"))
        },
    },
    Rule {
        id: "memory.zone-reclaim",
        area: Area::Memory,
        looks_at: "/proc/sys/vm/zone_reclaim_mode",
        why: "Not 0: a node that runs short frees its own pages, waiting, while another node has plenty.",
        source: VM_DOC,
        risk: "Some memory comes from a distant node.",
        safe: true,
        opinions: |facts| {
            several_nodes(facts, || zero(&facts.memory.zone_reclaim_mode, "/proc/sys/vm/zone_reclaim_mode"))
        },
    },
    Rule {
        id: "memory.damon",
        area: Area::Memory,
        looks_at: "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds",
        why: "A kdamond walks page tables for milliseconds without giving way; a shard, or the end of a write, waits on that core. Seen: 2 to 4 ms twice a second, most of p99.9.",
        source: "https://docs.kernel.org/admin-guide/mm/damon/usage.html",
        risk: "Whoever set it up, such as the host of a virtual machine, takes unused memory back by it.",
        safe: false,
        opinions: |facts| vec![damon(facts)],
    },
];

fn thp(facts: &Facts) -> Opinion {
    know(&facts.memory.thp_enabled, |text| match choice(text).0 {
        "always" => Opinion::improve("always", "madvise").change(Change::new(format!("{THP}/enabled"), "madvise")),
        other => Opinion::good(other),
    })
}

fn thp_defrag(facts: &Facts) -> Opinion {
    know(&facts.memory.thp_defrag, |text| match choice(text) {
        ("always", offered) => {
            let wanted = if offered.contains(&"defer+madvise") { "defer+madvise" } else { "madvise" };
            Opinion::improve("always", wanted).change(Change::new(format!("{THP}/defrag"), wanted))
        }
        (other, _) => Opinion::good(other),
    })
}

fn swappiness(facts: &Facts) -> Opinion {
    know(&facts.memory.swappiness, |&current| match facts.memory.swap_bytes.known() {
        Some(0) => Opinion::good(format!("{current}; there is no swap")),
        _ if current <= SWAPPINESS_MAX => Opinion::good(current),
        _ => Opinion::improve(current, format!("at most {SWAPPINESS_MAX}"))
            .change(Change::new("/proc/sys/vm/swappiness", 1)),
    })
}

fn hugepages(facts: &Facts) -> Opinion {
    know(&facts.memory.hugepages, |&all| match facts.memory.hugepages_free.known() {
        _ if all == 0 => Opinion::good("none set aside"),
        Some(&free) if free > 0 => Opinion::note(format!("{free} of {all} are used by nobody"))
            .by_hand("sysctl -w vm.nr_hugepages=0, if no other program wants them"),
        _ => Opinion::good(format!("{all}, all in use")),
    })
}

fn memlock(facts: &Facts) -> Opinion {
    let wanted = facts.cpu.online.known().copied().unwrap_or(1).saturating_mul(LOCKED_BYTES_A_SHARD);
    let privileged = facts.host.capabilities.known().is_some_and(|held| held >> CAP_IPC_LOCK & 1 == 1);
    know(&facts.limits.memlock_bytes, |limit| match limit {
        None => Opinion::good("unlimited"),
        Some(limit) if *limit >= wanted => Opinion::good(format!("{limit} bytes")),
        Some(limit) if privileged => Opinion::good(format!("{limit} bytes, but CAP_IPC_LOCK is held here")),
        Some(limit) => Opinion::improve(format!("{limit} bytes"), format!("at least {wanted} bytes"))
            .by_hand("LimitMEMLOCK=infinity in the unit file, or `ulimit -l unlimited`"),
    })
}

fn damon(facts: &Facts) -> Opinion {
    know(&facts.memory.damon_threads, |&threads| match threads {
        0 => Opinion::good("nobody watches"),
        _ => Opinion::note(format!("{threads} watching"))
            .by_hand(format!("echo off > {DAMON}/0/state, if nobody needs what it finds")),
    })
}

fn several_nodes(facts: &Facts, opinions: impl FnOnce() -> Vec<Opinion>) -> Vec<Opinion> {
    match facts.memory.numa_nodes.known() {
        Some(0 | 1) => vec![Opinion::good("one node")],
        _ => opinions(),
    }
}
