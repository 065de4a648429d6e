use crate::Facts;
use crate::rule::{Area, Change, Opinion, Rule};
use crate::rules::{at_least, know};

const KERNEL_DOC: &str = "https://docs.kernel.org/admin-guide/sysctl/kernel.html";
/// Connections, segments and their indexes of a broker of some size.
const NOFILE_MIN: u64 = 65_536;
const NOFILE_WANTED: u64 = 1_048_576;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "limits.nofile",
        area: Area::Limits,
        looks_at: "/proc/self/limits",
        why: "Each connection and each open segment takes a descriptor. Ottla raises its own limit up to the hard one.",
        source: "https://man7.org/linux/man-pages/man2/getrlimit.2.html",
        risk: "None.",
        safe: false,
        opinions: |facts| vec![nofile(facts)],
    },
    Rule {
        id: "limits.file-max",
        area: Area::Limits,
        looks_at: "/proc/sys/fs/file-max",
        why: "Descriptors of all processes together.",
        source: "https://docs.kernel.org/admin-guide/sysctl/fs.html",
        risk: "None.",
        safe: true,
        opinions: |facts| at_least(&facts.limits.file_max, NOFILE_WANTED, "/proc/sys/fs/file-max"),
    },
    Rule {
        id: "limits.io-uring",
        area: Area::Limits,
        looks_at: "/proc/sys/kernel/io_uring_disabled",
        why: "Ottla reads and writes through io_uring; where it is switched off, no broker starts.",
        source: KERNEL_DOC,
        risk: "More of the kernel is within reach of any program: some hosts switch it off for that.",
        safe: false,
        opinions: |facts| vec![io_uring(facts)],
    },
    Rule {
        id: "limits.seccomp",
        area: Area::Limits,
        looks_at: "/proc/self/status",
        why: "The default filters of container engines forbid io_uring.",
        source: "https://docs.docker.com/engine/security/seccomp/",
        risk: "A profile of one's own that adds three calls gives away less than none at all.",
        safe: false,
        opinions: |facts| vec![seccomp(facts)],
    },
    Rule {
        id: "limits.perf",
        area: Area::Limits,
        looks_at: "/proc/sys/kernel/{perf_event_paranoid,kptr_restrict}",
        why: "`ottla perf` sees the kernel's part of a flame graph only where these allow it; root always may.",
        source: "https://docs.kernel.org/admin-guide/perf-security.html",
        risk: "Any user may look at what the kernel does: switch it back after the session.",
        safe: false,
        opinions: |facts| vec![perf(facts)],
    },
];

fn nofile(facts: &Facts) -> Opinion {
    know(&facts.limits.nofile_hard, |limit| match limit {
        None => Opinion::good("unlimited"),
        Some(limit) if *limit >= NOFILE_MIN => Opinion::good(limit),
        Some(limit) => Opinion::improve(limit, format!("at least {NOFILE_MIN}"))
            .by_hand(format!("LimitNOFILE={NOFILE_WANTED} in the unit file, or `ulimit -Hn {NOFILE_WANTED}` as root")),
    })
}

fn io_uring(facts: &Facts) -> Opinion {
    let file = "/proc/sys/kernel/io_uring_disabled";
    match facts.limits.io_uring_disabled.known() {
        Some(0) => Opinion::good("allowed"),
        Some(1) => Opinion::improve("for the group kernel.io_uring_group only", "allowed").change(Change::new(file, 0)),
        Some(_) => Opinion::improve("switched off", "allowed").change(Change::new(file, 0)),
        // Kernels before 6.6 have no such switch.
        None => Opinion::unknown(facts.limits.io_uring_disabled.why_unknown().unwrap_or_default()),
    }
}

fn seccomp(facts: &Facts) -> Opinion {
    know(&facts.host.seccomp, |&mode| {
        match mode {
        0 => Opinion::good("no filter"),
        _ => Opinion::note("a filter: it may forbid io_uring").by_hand(
            "a profile that allows io_uring_setup, io_uring_enter and io_uring_register, or --security-opt seccomp=unconfined",
        ),
    }
    })
}

fn perf(facts: &Facts) -> Opinion {
    let paranoid = know(&facts.limits.perf_event_paranoid, |&level| match level {
        ..=1 => Opinion::good(format!("perf_event_paranoid {level}")),
        _ => Opinion::note(format!("perf_event_paranoid {level}: root only"))
            .by_hand("sysctl -w kernel.perf_event_paranoid=1 kernel.kptr_restrict=0"),
    });
    match facts.limits.kptr_restrict.known() {
        Some(&hidden) if hidden > 0 && paranoid.verdict == crate::Verdict::Good => {
            Opinion::note(format!("kptr_restrict {hidden}: the kernel's functions have no names"))
                .by_hand("sysctl -w kernel.kptr_restrict=0")
        }
        _ => paranoid,
    }
}
