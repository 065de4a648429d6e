use crate::Facts;
use crate::rule::{Area, Change, Opinion, Rule};
use crate::rules::know;

const FILE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
/// Those that are read without entering the kernel.
const FAST: [&str; 6] =
    ["tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page", "riscv_clocksource", "stp"];

pub(super) const RULES: &[Rule] = &[Rule {
    id: "clock.source",
    area: Area::Clock,
    looks_at: "/sys/devices/system/clocksource/clocksource0",
    why: "Each request reads the clock several times. tsc is read within the process; hpet and acpi_pm need a system call and a slow register.",
    source: "https://docs.kernel.org/timers/timekeeping.html",
    risk: "The kernel leaves tsc out where it found it unsteady: time may run unevenly.",
    safe: false,
    opinions: |facts| vec![source(facts)],
}];

fn source(facts: &Facts) -> Opinion {
    know(&facts.clock.source, |current| {
        let offers_tsc = facts.clock.offered.known().is_some_and(|offered| offered.iter().any(|name| name == "tsc"));
        match (FAST.contains(&current.as_str()), offers_tsc) {
            (true, _) => Opinion::good(current),
            (false, true) => Opinion::improve(current, "tsc").change(Change::new(FILE, "tsc")),
            (false, false) => Opinion::improve(current, "tsc, which this kernel does not offer").by_hand(
                "dmesg | grep -i tsc says why; in a virtual machine the hypervisor must offer an invariant tsc",
            ),
        }
    })
}
