//! What is known about a host. Sizes are in bytes, times in the unit that the name ends on.

use serde::{Deserialize, Serialize};

use crate::Fact;

/// Everything that rules look at. A recording of it stands for the host.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Counts changes of this form that make older recordings unreadable.
    pub version: u32,
    /// What kind of machine it is.
    pub host: Host,
    /// The disks below the data folder.
    pub disks: Vec<Disk>,
    /// The file system of the data folder.
    pub mount: Fact<Mount>,
    /// Memory.
    pub memory: Memory,
    /// Processors and their interrupts.
    pub cpu: Cpu,
    /// Network cards.
    pub interfaces: Vec<Interface>,
    /// What the kernel's network stack is set to.
    pub network: Network,
    /// What a process may use.
    pub limits: Limits,
    /// The clock.
    pub clock: Clock,
}

/// What kind of machine it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// As `uname -r` prints it.
    pub kernel: Fact<String>,
    /// Whether a hypervisor is below.
    pub virtual_machine: Fact<bool>,
    /// Which container this runs in, `none` outside of one.
    pub container: Fact<String>,
    /// The process's effective capabilities, as in `/proc/self/status`.
    pub capabilities: Fact<u64>,
    /// 0 none, 1 strict, 2 a filter.
    pub seccomp: Fact<u64>,
}

/// A block device.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// As in `/sys/block`.
    pub name: String,
    /// What the maker calls it.
    pub model: Fact<String>,
    /// Whether it turns.
    pub rotational: Fact<u64>,
    /// The offered schedulers, the chosen one in brackets.
    pub scheduler: Fact<String>,
    /// Requests that may wait in the block layer.
    pub nr_requests: Fact<u64>,
    /// On which core a completion is handled: 0 any, 1 the group, 2 the very core that asked.
    pub rq_affinity: Fact<u64>,
    /// `write back` or `write through`.
    pub write_cache: Fact<String>,
    /// Whether a single write can be made to bypass the cache (FUA).
    pub fua: Fact<u64>,
    /// Queues of the NVMe driver that are polled and have no interrupt.
    pub poll_queues: Fact<u64>,
}

/// A mounted file system.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// Where.
    pub point: String,
    /// What it is mounted from.
    pub source: String,
    /// Its type.
    pub filesystem: String,
    /// Of the mount and of the file system.
    pub options: Vec<String>,
    /// Days since it was made.
    pub age_days: Fact<u64>,
    /// Percent of its space that is free.
    pub free_percent: Fact<u64>,
}

/// Memory.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// All of it.
    pub total_bytes: Fact<u64>,
    /// Swap space.
    pub swap_bytes: Fact<u64>,
    /// `vm.swappiness`.
    pub swappiness: Fact<u64>,
    /// Transparent huge pages: choices, the chosen one in brackets.
    pub thp_enabled: Fact<String>,
    /// When they are made by moving memory: choices, the chosen one in brackets.
    pub thp_defrag: Fact<String>,
    /// Huge pages set aside.
    pub hugepages: Fact<u64>,
    /// Those of them that nobody uses.
    pub hugepages_free: Fact<u64>,
    /// NUMA nodes.
    pub numa_nodes: Fact<u64>,
    /// `kernel.numa_balancing`.
    pub numa_balancing: Fact<u64>,
    /// `vm.zone_reclaim_mode`.
    pub zone_reclaim_mode: Fact<u64>,
    /// Threads that watch which memory is used (DAMON).
    pub damon_threads: Fact<u64>,
}

/// Processors and their interrupts.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Those in use.
    pub online: Fact<u64>,
    /// What governs the frequency, for each policy.
    pub governors: Fact<Vec<Governor>>,
    /// Idle states of the first processor.
    pub idle_states: Fact<Vec<IdleState>>,
    /// How long an idle processor looks for work before it halts, in nanoseconds; `None` where nobody does (cpuidle's governor is
    /// not `haltpoll`).
    pub halt_poll_ns: Fact<Option<u64>>,
    /// Whether two threads share a core.
    pub smt_active: Fact<u64>,
    /// Processors that the scheduler leaves alone, as a list.
    pub isolated: Fact<String>,
    /// Percent of one processor that the control group may use; `None` for no quota.
    pub quota_percent: Fact<Option<u64>>,
    /// Whether irqbalance runs.
    pub irqbalance: Fact<bool>,
    /// Interrupts of disks and network cards.
    pub interrupts: Fact<Vec<Interrupt>>,
}

/// What governs a frequency.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Governor {
    /// As in `/sys/devices/system/cpu/cpufreq`.
    pub policy: String,
    /// The chosen one.
    pub governor: String,
    /// Those that could be chosen.
    pub offered: Vec<String>,
}

/// A state that an idle processor may sink into.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IdleState {
    /// Its number, as in `cpuidle/stateN`.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// How long waking up from it takes, in microseconds.
    pub latency_us: u64,
    /// Whether it is switched off.
    pub disabled: bool,
}

/// An interrupt of a disk or a network card.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Interrupt {
    /// Its number.
    pub number: u64,
    /// Who raises it.
    pub name: String,
    /// The processors that take it, as a list.
    pub processors: String,
}

/// A network card.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: Fact<String>,
    /// `up`, `down`, `unknown`.
    pub state: Fact<String>,
    /// Megabits a second.
    pub speed_mbit: Fact<u64>,
    /// Largest packet.
    pub mtu: Fact<u64>,
    /// Queues in use, to receive.
    pub rx_queues: Fact<u64>,
    /// Queues in use, to send.
    pub tx_queues: Fact<u64>,
    /// Queues that the card could use for both.
    pub queues_max: Fact<u64>,
    /// Processors that each receive queue is spread over by software, as masks.
    pub rps: Fact<Vec<String>>,
    /// Processors that use each send queue, as masks.
    pub xps: Fact<Vec<String>>,
    /// Places for received packets.
    pub rx_ring: Fact<Ring>,
    /// Whether coalescing adapts itself.
    pub adaptive_rx: Fact<bool>,
    /// How long a received packet may wait for others, in microseconds.
    pub rx_usecs: Fact<u64>,
    /// Offloads that are off although the card has them.
    pub offloads_off: Fact<Vec<String>>,
    /// What orders outgoing packets.
    pub qdisc: Fact<String>,
}

/// Places for packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Ring {
    /// In use.
    pub now: u64,
    /// That the card has.
    pub max: u64,
}

/// What the kernel's network stack is set to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// `net.core.somaxconn`.
    pub somaxconn: Fact<u64>,
    /// `net.ipv4.tcp_max_syn_backlog`.
    pub syn_backlog: Fact<u64>,
    /// `net.core.netdev_max_backlog`.
    pub netdev_backlog: Fact<u64>,
    /// `net.core.rmem_max`.
    pub rmem_max: Fact<u64>,
    /// `net.core.wmem_max`.
    pub wmem_max: Fact<u64>,
    /// `net.ipv4.tcp_rmem`: least, at first, most.
    pub tcp_rmem: Fact<Vec<u64>>,
    /// `net.ipv4.tcp_wmem`: least, at first, most.
    pub tcp_wmem: Fact<Vec<u64>>,
    /// `net.ipv4.tcp_slow_start_after_idle`.
    pub slow_start_after_idle: Fact<u64>,
    /// `net.core.default_qdisc`.
    pub default_qdisc: Fact<String>,
}

/// What a process may use. A limit of `None` is none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Descriptors that may be open, at most.
    pub nofile_hard: Fact<Option<u64>>,
    /// Memory that may be locked, as it is set.
    pub memlock_bytes: Fact<Option<u64>>,
    /// `kernel.io_uring_disabled`: 0 allowed, 1 for those in a group, 2 for nobody.
    pub io_uring_disabled: Fact<u64>,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Fact<i64>,
    /// `kernel.kptr_restrict`.
    pub kptr_restrict: Fact<u64>,
    /// `fs.file-max`.
    pub file_max: Fact<u64>,
}

/// The clock.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Clock {
    /// The chosen source.
    pub source: Fact<String>,
    /// The sources that could be chosen.
    pub offered: Fact<Vec<String>>,
}
