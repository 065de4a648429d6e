use std::collections::BTreeSet;

use crate::gather::HALT_POLL;
use crate::rule::{Area, Change, Opinion, Rule};
use crate::rules::know;
use crate::{Facts, Governor, IdleState, Interrupt};

/// Waking up from deeper states than this is felt in the 99th percentile, in microseconds.
const WAKE_US_MAX: u64 = 50;
/// Less than this is over before the next request of a busy connection comes, in nanoseconds.
const HALT_POLL_NS_MIN: u64 = 50_000;
/// The kernel's own default, in nanoseconds.
const HALT_POLL_NS: u64 = 200_000;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "cpu.governor",
        area: Area::Cpu,
        looks_at: "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
        why: "A shard that sleeps between requests looks idle: the frequency falls, and each request meets a slow core.",
        source: "https://docs.kernel.org/admin-guide/pm/cpufreq.html",
        risk: "More power and heat when idle.",
        safe: true,
        opinions: |facts| vec![know(&facts.cpu.governors, |policies| governor(policies))],
    },
    Rule {
        id: "cpu.idle-states",
        area: Area::Cpu,
        looks_at: "/sys/devices/system/cpu/cpu*/cpuidle/state*",
        why: "A core that sank deep wakes late: the time is added to the first request after a pause.",
        source: "https://docs.kernel.org/admin-guide/pm/cpuidle.html",
        risk: "Idle cores stay warm, and busy ones may lose the headroom that lets them run faster.",
        safe: false,
        opinions: |facts| vec![idle_states(facts)],
    },
    Rule {
        id: "cpu.halt-poll",
        area: Area::Cpu,
        looks_at: HALT_POLL,
        why: "A virtual processor that halts at once is given away by the hypervisor and comes back late, with cold caches. A shard that sleeps between requests pays that for each: seen, 60 k against 95 k requests a second, for 11 against 7 CPU-seconds a million.",
        source: "https://docs.kernel.org/virt/guest-halt-polling.html",
        risk: "An idle processor costs its host up to that long after each burst of work: not where processor time is billed or shared out by credits.",
        safe: true,
        opinions: |facts| vec![halt_poll(facts)],
    },
    Rule {
        id: "cpu.smt",
        area: Area::Cpu,
        looks_at: "/sys/devices/system/cpu/smt/active",
        why: "Two shards on the two threads of one core take each other's caches and execution units: some more throughput for a less steady latency.",
        source: "https://docs.kernel.org/admin-guide/kernel-parameters.html",
        risk: "Half of the processors are gone for all programs.",
        safe: false,
        opinions: |facts| vec![smt(facts)],
    },
    Rule {
        id: "cpu.quota",
        area: Area::Cpu,
        looks_at: "cpu.max of the control group",
        why: "A control group that has used up its quota is stopped until the next period, mostly for tens of milliseconds, with all shards.",
        source: "https://docs.kernel.org/admin-guide/cgroup-v2.html",
        risk: "Without a quota, neighbours may get less.",
        safe: false,
        opinions: |facts| vec![quota(facts)],
    },
    Rule {
        id: "cpu.isolation",
        area: Area::Cpu,
        looks_at: "/sys/devices/system/cpu/isolated",
        why: "Cores that the scheduler leaves alone (isolcpus=) are used only by programs that are pinned there; shards take the cores that the process may use.",
        source: "https://docs.kernel.org/admin-guide/kernel-parameters.html",
        risk: "Needs a reboot; other programs have fewer cores.",
        safe: false,
        opinions: |facts| vec![isolation(facts)],
    },
    Rule {
        id: "cpu.irq-affinity",
        area: Area::Cpu,
        looks_at: "/proc/interrupts, /proc/irq/*/effective_affinity_list",
        why: "When one core takes the interrupts of all queues, its shard does the others' work and is the slowest.",
        source: "https://docs.kernel.org/core-api/irq/irq-affinity.html",
        risk: "irqbalance, where it runs, moves them again.",
        safe: false,
        opinions: |facts| vec![irq_affinity(facts)],
    },
    Rule {
        id: "cpu.irqbalance",
        area: Area::Cpu,
        looks_at: "/proc/*/comm",
        why: "irqbalance moves interrupts every ten seconds by load, also away from where somebody pinned them.",
        source: "https://github.com/Irqbalance/irqbalance",
        risk: "Without it, interrupts stay where the kernel put them.",
        safe: false,
        opinions: |facts| vec![irqbalance(facts)],
    },
];

fn governor(policies: &[Governor]) -> Opinion {
    let slow = |policy: &&Governor| {
        policy.governor != "performance" && policy.offered.iter().any(|name| name == "performance")
    };
    let slow: Vec<&Governor> = policies.iter().filter(slow).collect();
    let names: BTreeSet<&str> = policies.iter().map(|policy| policy.governor.as_str()).collect();
    let current = names.into_iter().collect::<Vec<_>>().join(", ");
    let file = |policy: &Governor| format!("/sys/devices/system/cpu/cpufreq/{}/scaling_governor", policy.policy);
    match slow.as_slice() {
        [] => Opinion::good(current),
        slow => slow
            .iter()
            .fold(Opinion::improve(current, "performance"), |opinion, policy| {
                opinion.change(Change::new(file(policy), "performance"))
            })
            .by_hand("cpupower frequency-set -g performance"),
    }
}

fn idle_states(facts: &Facts) -> Opinion {
    know(&facts.cpu.idle_states, |states| {
        let deep = |state: &&IdleState| state.latency_us > WAKE_US_MAX && !state.disabled;
        let deep: Vec<&IdleState> = states.iter().filter(deep).collect();
        let Some(deepest) = deep.iter().max_by_key(|state| state.latency_us) else {
            return Opinion::good(format!("none that takes longer than {WAKE_US_MAX} µs to wake from"));
        };
        let current = format!("{}: {} µs to wake", deepest.name, deepest.latency_us);
        let opinion = Opinion::improve(current, format!("at most {WAKE_US_MAX} µs"));
        let processors = 0..facts.cpu.online.known().copied().unwrap_or(0);
        let file = |cpu: u64, state: u64| format!("/sys/devices/system/cpu/cpu{cpu}/cpuidle/state{state}/disable");
        let all = processors.flat_map(|cpu| deep.iter().map(move |state| Change::new(file(cpu, state.number), 1)));
        all.fold(opinion, Opinion::change).by_hand(format!("cpupower idle-set -D {WAKE_US_MAX}"))
    })
}

fn halt_poll(facts: &Facts) -> Opinion {
    know(&facts.cpu.halt_poll_ns, |polled| match polled {
        None if facts.host.virtual_machine.known() == Some(&true) => {
            Opinion::note("not done").by_hand("modprobe cpuidle_haltpoll, where the kernel has it")
        }
        None => Opinion::good("not done: for virtual machines only"),
        Some(ns) if *ns >= HALT_POLL_NS_MIN => Opinion::good(format!("{ns} ns")),
        Some(ns) => Opinion::improve(format!("{ns} ns"), format!("{HALT_POLL_NS} ns"))
            .change(Change::new(HALT_POLL, HALT_POLL_NS)),
    })
}

fn smt(facts: &Facts) -> Opinion {
    know(&facts.cpu.smt_active, |&active| {
        match active {
        0 => Opinion::good("off, or none"),
        _ if facts.host.virtual_machine.known() == Some(&true) => {
            Opinion::note("on: what shares a core is the hypervisor's to say")
        }
        _ => Opinion::note("on")
            .by_hand("one shard a core, half as many as processors: `--set ottla.shards=N`; or echo off > /sys/devices/system/cpu/smt/control"),
    }
    })
}

fn quota(facts: &Facts) -> Opinion {
    know(&facts.cpu.quota_percent, |quota| match (quota, facts.cpu.online.known()) {
        (None, _) => Opinion::good("no quota"),
        (Some(quota), Some(online)) if quota / 100 < *online => {
            let shards = (quota / 100).max(1);
            Opinion::improve(
                format!("{quota} % of one processor, {online} in sight"),
                "as many shards as the quota has processors",
            )
            .by_hand(format!("--set ottla.shards={shards}, or whole processors for the container (cpuset)"))
        }
        (Some(quota), _) => Opinion::good(format!("{quota} % of one processor")),
    })
}

fn isolation(facts: &Facts) -> Opinion {
    know(&facts.cpu.isolated, |list| match list.as_str() {
        "" => Opinion::good("none isolated"),
        list => Opinion::note(format!("{list} isolated"))
            .by_hand(format!("taskset -c {list} ottla start …: without it those cores stay idle")),
    })
}

fn irq_affinity(facts: &Facts) -> Opinion {
    know(&facts.cpu.interrupts, |interrupts| {
        let queues: Vec<&Interrupt> = interrupts.iter().collect();
        let places: BTreeSet<&str> = queues.iter().map(|interrupt| interrupt.processors.as_str()).collect();
        let online = facts.cpu.online.known().copied().unwrap_or(1);
        let current = format!(
            "{} of disks and cards on processors {}",
            queues.len(),
            places.iter().copied().collect::<Vec<_>>().join(" ")
        );
        match (queues.len(), places.first()) {
            (0, _) => Opinion::unknown("no interrupt of a disk or a card is seen"),
            (2.., Some(place))
                if online > 1 && places.len() == 1 && place.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                spread(Opinion::improve(current, "spread over all processors"), &queues, online)
            }
            _ => Opinion::good(current),
        }
    })
}

fn spread(opinion: Opinion, queues: &[&Interrupt], online: u64) -> Opinion {
    let place = |(index, interrupt): (usize, &&Interrupt)| {
        Change::new(format!("/proc/irq/{}/smp_affinity_list", interrupt.number), index as u64 % online)
    };
    queues.iter().enumerate().map(place).fold(opinion, Opinion::change)
}

fn irqbalance(facts: &Facts) -> Opinion {
    know(&facts.cpu.irqbalance, |&runs| match runs {
        true => Opinion::note("runs")
            .by_hand("pinning interrupts by hand? stop it first: systemctl disable --now irqbalance"),
        false => Opinion::good("does not run"),
    })
}
