use crate::{Fact, Host, Source};

pub(super) fn gather(source: &Source) -> Host {
    let status = source.text("/proc/self/status");
    let field = |name: &'static str, radix: u32| {
        status.clone().and_then(
            || format!("/proc/self/status has no {name}"),
            |text| {
                let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim();
                u64::from_str_radix(value, radix).ok()
            },
        )
    };
    Host {
        kernel: source.text("/proc/sys/kernel/osrelease"),
        virtual_machine: virtual_machine(source),
        container: container(source),
        capabilities: field("CapEff", 16),
        seccomp: field("Seccomp", 10),
    }
}

/// x86 says so among the processor's flags; elsewhere the device tree or the hypervisor's own folder does.
fn virtual_machine(source: &Source) -> Fact<bool> {
    if source.has("/sys/hypervisor/type") || source.has("/proc/device-tree/hypervisor") {
        return Fact::Known(true);
    }
    source.text("/proc/cpuinfo").map(|text| {
        text.lines()
            .find(|line| line.starts_with("flags"))
            .is_some_and(|line| line.split_whitespace().any(|flag| flag == "hypervisor"))
    })
}

fn container(source: &Source) -> Fact<String> {
    for (file, name) in [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")] {
        if source.has(file) {
            return Fact::Known(name.to_owned());
        }
    }
    if source.has("/var/run/secrets/kubernetes.io") {
        return Fact::Known("kubernetes".to_owned());
    }
    source.text("/proc/1/cgroup").map(|text| {
        let known = ["docker", "kubepods", "containerd", "lxc", "libpod"];
        let found = known.into_iter().find(|name| text.lines().any(|line| line.contains(name)));
        found.unwrap_or("none").to_owned()
    })
}
