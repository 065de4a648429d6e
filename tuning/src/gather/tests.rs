use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// A folder that shows files as a host would.
fn host(files: &[(&str, &str)]) -> (TempDir, Source) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let place = root.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }
    let source = Source::folder(root.path());
    (root, source)
}

#[test]
fn lists_are_counted() {
    for (list, count) in [("0", Some(1)), ("0-3", Some(4)), ("0-3,8,10-11\n", Some(7)), ("", Some(0))] {
        assert_eq!(count_list(list), count, "{list}");
    }
    for wrong in ["a", "3-0", "0-", "0-18446744073709551615"] {
        assert_eq!(count_list(wrong), None, "{wrong}");
    }
}

#[test]
fn an_empty_host_is_unknown_in_all_it_could_say() {
    let (_root, source) = host(&[]);
    let facts = gather(&source, Path::new("/var/lib/ottla"));
    let why = facts.memory.swappiness.why_unknown().unwrap();
    assert_eq!(why, "/proc/sys/vm/swappiness is not there");
    assert!(facts.disks.is_empty() && facts.interfaces.is_empty());
    assert!(facts.limits.nofile_hard.known().is_none() && facts.host.capabilities.known().is_none());
}

#[test]
fn who_watches_memory_is_counted() {
    let facts = |files: &[(&str, &str)]| {
        let (_root, source) = host(files);
        gather(&source, Path::new("/")).memory
    };
    assert_eq!(facts(&[]).damon_threads.known(), Some(&0), "a kernel without DAMON");
    let path = "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds";
    assert!(facts(&[(path, "a few\n")]).damon_threads.why_unknown().is_some());
    assert_eq!(facts(&[(path, "1\n")]).damon_threads.known(), Some(&1));
}

#[test]
fn halting_is_polled_for_only_where_the_governor_does_it() {
    let facts = |files: &[(&str, &str)]| {
        let (_root, source) = host(files);
        gather(&source, Path::new("/")).cpu.halt_poll_ns
    };
    let governor = "/sys/devices/system/cpu/cpuidle/current_governor_ro";
    assert!(facts(&[(HALT_POLL, "200000\n")]).why_unknown().is_some(), "no cpuidle at all");
    assert_eq!(facts(&[(governor, "menu\n"), (HALT_POLL, "200000\n")]).known(), Some(&None));
    assert_eq!(facts(&[(governor, "haltpoll\n"), (HALT_POLL, "200000\n")]).known(), Some(&Some(200_000)));
    assert!(facts(&[(governor, "haltpoll\n")]).why_unknown().is_some());
}

#[test]
fn numbers_that_are_none_are_unknown() {
    let (_root, source) = host(&[("/proc/sys/vm/swappiness", "many\n"), ("/proc/sys/net/ipv4/tcp_rmem", "1 2 x\n")]);
    let facts = gather(&source, Path::new("/"));
    assert!(facts.memory.swappiness.why_unknown().unwrap().contains("no whole number"));
    assert!(facts.network.tcp_rmem.why_unknown().unwrap().contains("other things than numbers"));
}

#[test]
fn limits_are_read_column_by_column() {
    let table = "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max open files            1024                 524288               files     \n\
                 Max locked memory         unlimited            unlimited            bytes     \n";
    let (_root, source) = host(&[("/proc/self/limits", table)]);
    let limits = gather(&source, Path::new("/")).limits;
    assert_eq!(limits.nofile_hard, Fact::Known(Some(524_288)));
    assert_eq!(limits.memlock_bytes, Fact::Known(None));
}

/// A partition of an NVMe disk, below a mapped device, mounted at the data folder.
#[test]
fn the_disk_below_a_mapped_partition_is_found() {
    let mounts = "22 1 254:0 / / rw,relatime - ext4 /dev/sda1 rw\n\
                  31 22 253:1 / /var/lib/ottla rw,noatime shared:1 - xfs /dev/mapper/data rw,attr2\n\
                  32 22 0:30 / /var/lib/other rw - tmpfs tmpfs rw\n";
    let (root, source) = host(&[
        ("/proc/self/mountinfo", mounts),
        ("/var/lib/ottla/.keep", ""),
        ("/sys/devices/virtual/block/dm-1/slaves/nvme0n1p1/partition", "1"),
        ("/sys/devices/pci/nvme0/nvme0n1/nvme0n1p1/partition", "1"),
        ("/sys/devices/pci/nvme0/nvme0n1/queue/scheduler", "[none] mq-deadline\n"),
        ("/sys/devices/pci/nvme0/nvme0n1/queue/write_cache", "write through\n"),
        ("/sys/module/nvme/parameters/poll_queues", "0\n"),
    ]);
    let link = |from: &str, to: &str| {
        let from = root.path().join(from);
        fs::create_dir_all(from.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(root.path().join(to), from).unwrap();
    };
    link("sys/dev/block/253:1", "sys/devices/virtual/block/dm-1");
    link("sys/class/block/dm-1", "sys/devices/virtual/block/dm-1");
    link("sys/class/block/nvme0n1p1", "sys/devices/pci/nvme0/nvme0n1/nvme0n1p1");
    link("sys/class/block/nvme0n1", "sys/devices/pci/nvme0/nvme0n1");
    link("sys/block/nvme0n1", "sys/devices/pci/nvme0/nvme0n1");
    let facts = gather(&source, Path::new("/var/lib/ottla/not-made-yet"));
    let mount = facts.mount.known().unwrap();
    assert_eq!((mount.point.as_str(), mount.filesystem.as_str()), ("/var/lib/ottla", "xfs"));
    assert_eq!(mount.options, ["rw", "noatime", "attr2"]);
    assert_eq!(facts.disks.len(), 1);
    assert_eq!(facts.disks[0].name, "nvme0n1");
    assert_eq!(facts.disks[0].scheduler, Fact::Known("[none] mq-deadline".to_owned()));
    assert_eq!(facts.disks[0].poll_queues, Fact::Known(0));
}

#[test]
fn interrupts_of_queues_are_told_with_their_processors() {
    let table = "           CPU0       CPU1\n  0:   5  0  IO-APIC   2-edge      timer\n 36:  0  9  PCI-MSIX  1-edge      virtio1-req.0\n\
                 37: 0 9 PCI-MSIX 1-edge virtio1-config\n 40: 0 9 PCI-MSIX 1-edge eth0-rx-0\nNMI: 0 0 Non-maskable interrupts\n";
    let (_root, source) = host(&[
        ("/proc/interrupts", table),
        ("/proc/irq/36/effective_affinity_list", "1\n"),
        ("/proc/irq/40/effective_affinity_list", "\n"),
        ("/proc/irq/40/smp_affinity_list", "0-1\n"),
        ("/sys/class/net/eth0/device/vendor", "x"),
    ]);
    let facts = gather(&source, Path::new("/"));
    let found = facts.cpu.interrupts.known().unwrap();
    let told: Vec<_> = found.iter().map(|irq| (irq.number, irq.name.as_str(), irq.processors.as_str())).collect();
    assert_eq!(told, [(36, "virtio1-req.0", "1"), (40, "eth0-rx-0", "0-1")]);
}

#[test]
fn quotas_of_both_versions_are_understood() {
    for (files, wanted) in [
        (vec![("/proc/self/cgroup", "0::/app\n"), ("/sys/fs/cgroup/app/cpu.max", "150000 100000\n")], Some(150)),
        (vec![("/sys/fs/cgroup/cpu.max", "max 100000\n")], None),
        (
            vec![
                ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n"),
                ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ],
            Some(200),
        ),
        (
            vec![("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"), ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")],
            None,
        ),
    ] {
        let (_root, source) = host(&files);
        assert_eq!(gather(&source, Path::new("/")).cpu.quota_percent, Fact::Known(wanted), "{files:?}");
    }
}

#[test]
fn ethtool_is_understood() {
    let ring = "Ring parameters for eth0:\nPre-set maximums:\nRX:\t\t4096\nRX Mini:\tn/a\nTX:\t\t4096\n\
                Current hardware settings:\nRX:\t\t512\nTX:\t\t512\n";
    assert_eq!(network::section_number(ring, "Pre-set maximums", "RX"), Some(4096));
    assert_eq!(network::section_number(ring, "Current hardware settings", "RX"), Some(512));
    assert_eq!(network::section_number(ring, "Current hardware settings", "Combined"), None);
    let coalescing = "Coalesce parameters for eth0:\nAdaptive RX: off  TX: off\nrx-usecs: 3\nrx-frames: 0\n";
    assert_eq!(network::section_number(coalescing, "Coalesce", "rx-usecs"), Some(3));
    assert_eq!(network::adaptive(coalescing), Some(false));
    let offloads = "Features for eth0:\ntcp-segmentation-offload: off\n\ttx-tcp-segmentation: off\n\
                    generic-receive-offload: on\nscatter-gather: off [fixed]\n";
    assert_eq!(network::offloads_off(offloads), ["tcp-segmentation-offload"]);
    let links =
        "1: lo: <LOOPBACK> mtu 65536 qdisc noqueue state UNKNOWN\n2: eth0@if5: <UP> mtu 1500 qdisc mq state UP\n";
    assert_eq!(network::qdisc(links, "eth0").as_deref(), Some("mq"));
    assert_eq!(network::qdisc(links, "eth1"), None);
}
