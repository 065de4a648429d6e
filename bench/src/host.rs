//! Facts of the machine, kept beside every raw result.

use std::fs;

use serde::{Deserialize, Serialize};

/// Where something was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// The processor's name.
    pub cpu: String,
    /// How many the scheduler sees.
    pub cpus: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
    /// What runs the machine: `none` for bare metal, as far as `/proc` and `/sys` tell.
    pub virtualization: String,
    /// File system and device of the data folder, from `/proc/mounts`.
    pub data_mount: String,
    /// Scheduler and write cache of the disk under it.
    #[serde(default)]
    pub disk: String,
    /// What sets the processor's clock: its governor, `none` where the kernel sets none.
    #[serde(default)]
    pub governor: String,
    /// What an idle processor does: the governor of its idle states, and how long it looks for work before it halts, where it does.
    #[serde(default)]
    pub idle: String,
    /// Load average over one minute when the measuring began: others' work shows here.
    pub load_before: f64,
    /// Seconds since 1970 when the measuring began.
    pub unix_seconds: u64,
}

impl Host {
    /// Looks around. `data` is a path whose mount matters.
    pub fn look(data: &str) -> Host {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Host {
            cpu: field_of("/proc/cpuinfo", "model name").unwrap_or_default(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: field_of("/proc/meminfo", "MemTotal")
                .and_then(|line| line.trim_end_matches(" kB").trim().parse::<u64>().ok())
                .map_or(0, |kib| kib >> 10),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            virtualization: virtualization(),
            data_mount: mount_of(data),
            disk: disk_of(data),
            governor: trimmed("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .unwrap_or_else(|| "none".to_owned()),
            idle: idle(),
            load_before: load_average(),
            unix_seconds: since.as_secs(),
        }
    }

    /// One line for a table's head.
    pub fn line(&self) -> String {
        format!(
            "{} × {}, {} MiB, Linux {}, {}, data on {}, load {:.2}",
            self.cpus, self.cpu, self.memory_mib, self.kernel, self.virtualization, self.data_mount, self.load_before
        )
    }
}

fn trimmed(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// Scheduler, write cache and kind of the block device that a path lies on; empty where there is none to see.
fn disk_of(path: &str) -> String {
    use std::os::unix::fs::MetadataExt;
    let Ok(facts) = fs::metadata(path) else { return String::new() };
    let (major, minor) = (rustix::fs::major(facts.dev()), rustix::fs::minor(facts.dev()));
    let Ok(device) = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")) else { return String::new() };
    // A partition's queue is its disk's.
    let queue = [device.join("queue"), device.join("../queue")].into_iter().find(|path| path.is_dir());
    let Some(queue) = queue else { return String::new() };
    let read = |name: &str| trimmed(&queue.join(name).to_string_lossy()).unwrap_or_else(|| "unknown".to_owned());
    let scheduler = read("scheduler");
    let chosen = scheduler.split(['[', ']']).nth(1).unwrap_or(&scheduler).to_owned();
    let kind = if read("rotational") == "1" { "rotating" } else { "solid state" };
    format!("{kind}, scheduler {chosen}, {}, {} requests deep", read("write_cache"), read("nr_requests"))
}

fn idle() -> String {
    let governor = trimmed("/sys/devices/system/cpu/cpuidle/current_governor_ro").unwrap_or_else(|| "none".to_owned());
    match trimmed("/sys/module/haltpoll/parameters/guest_halt_poll_ns") {
        Some(ns) if governor == "haltpoll" => format!("{governor}, {ns} ns"),
        _ => governor,
    }
}

/// Load average over one minute.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

fn field_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn virtualization() -> String {
    let vendor = fs::read_to_string("/sys/class/dmi/id/sys_vendor").unwrap_or_default();
    let guest =
        field_of("/proc/cpuinfo", "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    match (guest, vendor.trim()) {
        (false, _) => "bare metal".to_owned(),
        (true, "") => "virtual machine".to_owned(),
        (true, vendor) => format!("virtual machine ({vendor})"),
    }
}

/// The longest mount point that `path` lies under.
fn mount_of(path: &str) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut best = ("", String::new());
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(device), Some(point), Some(kind)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if path.starts_with(point) && point.len() >= best.0.len() {
            best = (point, format!("{kind} ({device})"));
        }
    }
    best.1
}
