use crate::gather::{HALT_POLL, count_list};
use crate::{Cpu, Disk, Fact, Governor, IdleState, Interface, Interrupt, Source};

const FOLDER: &str = "/sys/devices/system/cpu";

pub(super) fn gather(source: &Source, disks: &[Disk], interfaces: &[Interface]) -> Cpu {
    Cpu {
        online: source
            .text(&format!("{FOLDER}/online"))
            .and_then(|| format!("{FOLDER}/online is no list"), |list| count_list(&list)),
        governors: governors(source),
        idle_states: idle_states(source),
        halt_poll_ns: halt_poll(source),
        smt_active: source.number(&format!("{FOLDER}/smt/active")),
        isolated: source.text(&format!("{FOLDER}/isolated")),
        quota_percent: quota(source),
        irqbalance: irqbalance(source),
        interrupts: interrupts(source, disks, interfaces),
    }
}

fn governors(source: &Source) -> Fact<Vec<Governor>> {
    let folder = format!("{FOLDER}/cpufreq");
    source.names(&folder).and_then(
        || format!("{folder} has no policy: the frequency is not this system's to choose"),
        |names| {
            let of = |policy: &String| {
                let governor = source.text(&format!("{folder}/{policy}/scaling_governor"));
                let offered = source.text(&format!("{folder}/{policy}/scaling_available_governors"));
                Some(Governor {
                    policy: policy.clone(),
                    governor: governor.known()?.clone(),
                    offered: offered.known().map(|text| words(text)).unwrap_or_default(),
                })
            };
            let found: Vec<Governor> = names.iter().filter(|name| name.starts_with("policy")).filter_map(of).collect();
            (!found.is_empty()).then_some(found)
        },
    )
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn idle_states(source: &Source) -> Fact<Vec<IdleState>> {
    let folder = format!("{FOLDER}/cpu0/cpuidle");
    source.names(&folder).map(|names| {
        let of = |name: &String| {
            let read = |what: &str| source.number(&format!("{folder}/{name}/{what}")).known().copied();
            Some(IdleState {
                number: name.strip_prefix("state")?.parse().ok()?,
                name: source.text(&format!("{folder}/{name}/name")).known()?.clone(),
                latency_us: read("latency")?,
                disabled: read("disable").unwrap_or(0) != 0,
            })
        };
        names.iter().filter_map(of).collect()
    })
}

/// Guest halt polling, where cpuidle's governor does it.
fn halt_poll(source: &Source) -> Fact<Option<u64>> {
    let path = format!("{FOLDER}/cpuidle/current_governor_ro");
    match source.text(&path) {
        Fact::Known(governor) if governor == "haltpoll" => source.number(HALT_POLL).map(Some),
        Fact::Known(_) => Fact::Known(None),
        Fact::Unknown { unknown } => Fact::Unknown { unknown },
    }
}

/// `cpu.max` of the control group (version 2), else `cpu.cfs_quota_us` (version 1).
fn quota(source: &Source) -> Fact<Option<u64>> {
    let path = source.text("/proc/self/cgroup");
    let own = path.known().and_then(|text| text.lines().find_map(|line| line.strip_prefix("0::").map(str::to_owned)));
    let own = own.unwrap_or_default();
    for folder in [format!("/sys/fs/cgroup{}", own.trim_end_matches('/')), "/sys/fs/cgroup".to_owned()] {
        if let Some(text) = source.text(&format!("{folder}/cpu.max")).known() {
            return parse_cpu_max(text);
        }
    }
    let period = source.signed("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    match (source.signed("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), period.known()) {
        (Fact::Known(quota), Some(&period)) if quota > 0 && period > 0 => {
            Fact::Known(u64::try_from(quota.saturating_mul(100) / period).ok())
        }
        (Fact::Known(_), Some(_)) => Fact::Known(None),
        (Fact::Unknown { unknown }, _) => Fact::Unknown { unknown },
        (Fact::Known(_), None) => Fact::unknown("cpu.cfs_period_us is not readable"),
    }
}

/// `max 100000` or `150000 100000`: time allowed, period.
fn parse_cpu_max(text: &str) -> Fact<Option<u64>> {
    let mut words = text.split_whitespace();
    match (words.next(), words.next().and_then(|word| word.parse::<u64>().ok())) {
        (Some("max"), _) => Fact::Known(None),
        (Some(quota), Some(period)) if period > 0 => match quota.parse::<u64>() {
            Ok(quota) => Fact::Known(Some(quota.saturating_mul(100) / period)),
            Err(_) => Fact::unknown(format!("cpu.max holds {text:?}")),
        },
        _ => Fact::unknown(format!("cpu.max holds {text:?}")),
    }
}

fn irqbalance(source: &Source) -> Fact<bool> {
    source.names("/proc").map(|names| {
        let processes = names.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let name = |process: &String| source.text(&format!("/proc/{process}/comm"));
        processes.map(name).any(|comm| comm.known().is_some_and(|comm| comm == "irqbalance"))
    })
}

/// Lines of `/proc/interrupts` whose last words name a disk or a network card, with the processors that may take them.
fn interrupts(source: &Source, disks: &[Disk], interfaces: &[Interface]) -> Fact<Vec<Interrupt>> {
    // nvme0n1 raises nvme0q3; virtio devices are all called virtioN-….
    let controllers =
        disks.iter().map(|disk| match disk.name.strip_prefix("nvme").and_then(|rest| rest.split_once('n')) {
            Some((number, _)) => format!("nvme{number}q"),
            None => disk.name.clone(),
        });
    let known: Vec<String> =
        controllers.chain(interfaces.iter().map(|card| card.name.clone())).chain(["virtio".into()]).collect();
    source.text("/proc/interrupts").map(|text| {
        let of = |line: &str| {
            let (number, rest) = line.split_once(':')?;
            let number = number.trim().parse().ok()?;
            let name = rest.split_whitespace().last()?.to_owned();
            // virtio1-req.0, virtio2-input.0; its balloon and its console are no matter.
            let is_queue =
                !name.starts_with("virtio") || ["-req", "-input.", "-output."].iter().any(|kind| name.contains(kind));
            if !is_queue || !known.iter().any(|known| name.starts_with(known.as_str())) {
                return None;
            }
            let effective = source.text(&format!("/proc/irq/{number}/effective_affinity_list"));
            let allowed = source.text(&format!("/proc/irq/{number}/smp_affinity_list"));
            let processors = effective.known().filter(|list| !list.is_empty()).or(allowed.known())?.clone();
            Some(Interrupt { number, name, processors })
        };
        text.lines().filter_map(of).collect()
    })
}
