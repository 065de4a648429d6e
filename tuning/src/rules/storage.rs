use crate::rule::{Area, Change, Opinion, Rule};
use crate::rules::{choice, know};
use crate::{Disk, Fact, Facts, Mount};

const QUEUE_DOC: &str = "https://docs.kernel.org/block/queue-sysfs.html";
/// Fewer requests than this in the block layer keep shards waiting for one another.
const NR_REQUESTS_MIN: u64 = 64;
const NR_REQUESTS_WANTED: u64 = 256;
/// Below this much free space, file systems scatter what they are given.
const FREE_PERCENT_MIN: u64 = 15;
/// Older than this, a file system's free space lies scattered.
const AGE_DAYS_MAX: u64 = 3 * 365;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "storage.scheduler",
        area: Area::Storage,
        looks_at: "/sys/block/DISK/queue/scheduler",
        why: "A flash disk orders its requests itself. A scheduler above it takes a lock that all cores share for each request and delays flushes.",
        source: "https://docs.kernel.org/block/switching-sched.html",
        risk: "Another program's background reads are no longer held back in favour of others.",
        safe: true,
        opinions: |facts| each_disk(facts, scheduler),
    },
    Rule {
        id: "storage.nr-requests",
        area: Area::Storage,
        looks_at: "/sys/block/DISK/queue/nr_requests",
        why: "Requests beyond this many wait outside the disk's queue, those of all shards together.",
        source: QUEUE_DOC,
        risk: "A slow disk with a long queue answers a single request later.",
        safe: true,
        opinions: |facts| each_disk(facts, nr_requests),
    },
    Rule {
        id: "storage.rq-affinity",
        area: Area::Storage,
        looks_at: "/sys/block/DISK/queue/rq_affinity",
        why: "A shard waits for its writes in its own ring on its own core; a completion handled elsewhere costs an interrupt between cores and cold caches.",
        source: QUEUE_DOC,
        risk: "A core that is overloaded with completions gets no help from its neighbours.",
        safe: true,
        opinions: |facts| each_disk(facts, rq_affinity),
    },
    Rule {
        id: "storage.write-cache",
        area: Area::Storage,
        looks_at: "/sys/block/DISK/queue/{write_cache,fua}",
        why: "With a volatile cache, every acknowledgement waits until the disk has emptied it. A disk with power-loss protection says `write through` and answers in tens of microseconds.",
        source: QUEUE_DOC,
        risk: "Never switch the file to `write through` on a disk without protection: acknowledged records would be lost in a power cut.",
        safe: false,
        opinions: |facts| each_disk(facts, write_cache),
    },
    Rule {
        id: "storage.poll-queues",
        area: Area::Storage,
        looks_at: "/sys/module/nvme/parameters/poll_queues",
        why: "Queues without interrupts serve only programs that poll. Ottla sleeps for its completions: such queues are taken from those it uses.",
        source: "https://docs.kernel.org/admin-guide/kernel-parameters.html",
        risk: "Needs the driver loaded again, or a reboot.",
        safe: false,
        opinions: |facts| each_disk(facts, poll_queues),
    },
    Rule {
        id: "storage.filesystem",
        area: Area::Storage,
        looks_at: "/proc/self/mountinfo",
        why: "The journal writes in place, past the page cache, and flushes each frame. ext4 and XFS do that without copying or logging the data a second time.",
        source: "https://docs.kernel.org/filesystems/ext4/overview.html",
        risk: "A new file system needs an empty disk.",
        safe: false,
        opinions: |facts| mount(facts, filesystem),
    },
    Rule {
        id: "storage.barriers",
        area: Area::Storage,
        looks_at: "/proc/self/mountinfo",
        why: "Without barriers a flush returns before the disk has emptied its cache: what was acknowledged is lost in a power cut.",
        source: "https://docs.kernel.org/admin-guide/ext4.html",
        risk: "Flushes take as long as they really do.",
        safe: false,
        opinions: |facts| mount(facts, barriers),
    },
    Rule {
        id: "storage.data-journal",
        area: Area::Storage,
        looks_at: "/proc/self/mountinfo",
        why: "data=journal writes all data twice and takes O_DIRECT away; Ottla has its own journal.",
        source: "https://docs.kernel.org/admin-guide/ext4.html",
        risk: "Other programs on this file system that never flush may find old bytes in new files after a crash.",
        safe: false,
        opinions: |facts| mount(facts, data_journal),
    },
    Rule {
        id: "storage.atime",
        area: Area::Storage,
        looks_at: "/proc/self/mountinfo",
        why: "strictatime turns each read of a segment into a write of its inode.",
        source: "https://man7.org/linux/man-pages/man8/mount.8.html",
        risk: "Programs that ask when a file was last read learn it late.",
        safe: false,
        opinions: |facts| mount(facts, atime),
    },
    Rule {
        id: "storage.discard",
        area: Area::Storage,
        looks_at: "/proc/self/mountinfo",
        why: "With `discard`, deleting old segments sends trims to the disk at once, and flushes wait behind them. fstrim.timer does it weekly.",
        source: "https://man7.org/linux/man-pages/man8/fstrim.8.html",
        risk: "Until the next fstrim, the disk does not know that deleted blocks are free.",
        safe: false,
        opinions: |facts| mount(facts, discard),
    },
    Rule {
        id: "storage.free-space",
        area: Area::Storage,
        looks_at: "statvfs(2) of the data folder",
        why: "A nearly full file system scatters new files, and a nearly full flash disk must move blocks before it can write. Ottla refuses appends before it is quite full.",
        source: "https://docs.kernel.org/filesystems/ext4/allocators.html",
        risk: "None.",
        safe: false,
        opinions: |facts| mount(facts, free_space),
    },
    Rule {
        id: "storage.age",
        area: Area::Storage,
        looks_at: "when the root folder of the file system was made",
        why: "The free space of a file system that was filled and emptied for years lies scattered; large files then come in many pieces.",
        source: "https://man7.org/linux/man-pages/man8/e4defrag.8.html",
        risk: "None in looking: `filefrag FILE.log` counts the pieces.",
        safe: false,
        opinions: |facts| mount(facts, age),
    },
];

fn each_disk(facts: &Facts, opinion: fn(&Disk) -> Option<Opinion>) -> Vec<Opinion> {
    if facts.disks.is_empty() {
        return vec![Opinion::unknown("no disk is seen below the data folder")];
    }
    facts.disks.iter().filter_map(|disk| Some(opinion(disk)?.of(&disk.name))).collect()
}

fn mount(facts: &Facts, opinion: fn(&Mount) -> Option<Opinion>) -> Vec<Opinion> {
    match &facts.mount {
        Fact::Known(mount) => opinion(mount).map(|opinion| opinion.of(&mount.point)).into_iter().collect(),
        Fact::Unknown { unknown } => vec![Opinion::unknown(unknown)],
    }
}

fn queue(disk: &Disk, file: &str) -> String {
    format!("/sys/block/{}/queue/{file}", disk.name)
}

fn scheduler(disk: &Disk) -> Option<Opinion> {
    // What a hypervisor offers says that it turns, whatever is below.
    let is_virtual = ["vd", "xvd"].iter().any(|prefix| disk.name.starts_with(prefix));
    let turns = !is_virtual && disk.rotational.known().is_some_and(|&turns| turns != 0);
    let wanted = if turns { "mq-deadline" } else { "none" };
    Some(know(&disk.scheduler, |text| {
        let (chosen, offered) = choice(text);
        if chosen == wanted || offered.len() < 2 {
            return Opinion::good(chosen);
        }
        if !offered.contains(&wanted) {
            return Opinion::note(format!("{chosen}; {wanted} is not offered"));
        }
        let mut change = Change::new(queue(disk, "scheduler"), wanted);
        // The kernel sets these anew with each scheduler.
        change.also_alters = ["nr_requests", "wbt_lat_usec"].map(|file| queue(disk, file)).to_vec();
        Opinion::improve(chosen, wanted).change(change)
    }))
}

fn nr_requests(disk: &Disk) -> Option<Opinion> {
    Some(know(&disk.nr_requests, |&current| {
        if current >= NR_REQUESTS_MIN {
            return Opinion::good(current);
        }
        let change = Change::new(queue(disk, "nr_requests"), NR_REQUESTS_WANTED);
        Opinion::improve(current, format!("at least {NR_REQUESTS_MIN}")).change(change)
    }))
}

fn rq_affinity(disk: &Disk) -> Option<Opinion> {
    Some(know(&disk.rq_affinity, |&current| {
        if current == 2 {
            return Opinion::good(2);
        }
        Opinion::improve(current, 2).change(Change::new(queue(disk, "rq_affinity"), 2))
    }))
}

fn write_cache(disk: &Disk) -> Option<Opinion> {
    Some(know(&disk.write_cache, |cache| {
        let fua = disk.fua.known().is_some_and(|&fua| fua != 0);
        match (cache.as_str(), fua) {
            ("write through", _) => Opinion::good("write through: no volatile cache, or a protected one"),
            (cache, true) => Opinion::note(format!("{cache}, with FUA: one write can bypass the cache")),
            (cache, false) => Opinion::note(format!("{cache}, no FUA: each acknowledgement empties the whole cache")),
        }
        .by_hand("`ottla tune probe DIR` measures what a flush costs; the maker's data sheet says whether power loss is covered")
    }))
}

fn poll_queues(disk: &Disk) -> Option<Opinion> {
    if !disk.name.starts_with("nvme") {
        return None;
    }
    Some(know(&disk.poll_queues, |&queues| match queues {
        0 => Opinion::good(0),
        queues => Opinion::improve(queues, 0).by_hand("nvme.poll_queues=0 on the kernel's command line"),
    }))
}

fn filesystem(mount: &Mount) -> Option<Opinion> {
    let name = mount.filesystem.as_str();
    let by_hand = "mkfs.xfs or mkfs.ext4 on a disk of its own, mounted at the data folder";
    Some(match name {
        "ext4" | "xfs" => Opinion::good(name),
        "tmpfs" | "ramfs" => {
            Opinion::danger(format!("{name}: memory, gone at power off"), "xfs or ext4").by_hand(by_hand)
        }
        "overlay" => Opinion::improve("overlay: a container's own layer", "a volume with xfs or ext4")
            .by_hand("mount a volume of the host at the data folder"),
        "nfs" | "nfs4" | "cifs" | "9p" | "virtiofs" | "ceph" => {
            Opinion::improve(format!("{name}: over the network or from the host"), "a local xfs or ext4")
                .by_hand(by_hand)
        }
        "btrfs" | "bcachefs" | "zfs" | "f2fs" => {
            Opinion::improve(format!("{name}: copies on each write"), "xfs or ext4").by_hand(by_hand)
        }
        other => Opinion::note(format!("{other}: nobody measured it with Ottla")),
    })
}

fn has(mount: &Mount, option: &str) -> bool {
    mount.options.iter().any(|found| found == option)
}

fn remount(mount: &Mount, option: &str) -> String {
    format!("mount -o remount,{option} {}, and the same in /etc/fstab", mount.point)
}

fn barriers(mount: &Mount) -> Option<Opinion> {
    Some(match ["nobarrier", "barrier=0"].into_iter().find(|option| has(mount, option)) {
        Some(option) => Opinion::danger(option, "barriers on").by_hand(remount(mount, "barrier=1")),
        None => Opinion::good("on"),
    })
}

fn data_journal(mount: &Mount) -> Option<Opinion> {
    if mount.filesystem != "ext4" {
        return None;
    }
    Some(if has(mount, "data=journal") {
        Opinion::improve("data=journal", "data=ordered")
            .by_hand(format!("data=ordered for {} in /etc/fstab, then mount it anew", mount.point))
    } else {
        Opinion::good("no")
    })
}

fn atime(mount: &Mount) -> Option<Opinion> {
    let calm = ["noatime", "relatime", "lazytime"].into_iter().find(|option| has(mount, option));
    Some(match calm {
        Some(option) => Opinion::good(option),
        None => Opinion::improve("strictatime", "noatime").by_hand(remount(mount, "noatime")),
    })
}

fn discard(mount: &Mount) -> Option<Opinion> {
    Some(if has(mount, "discard") {
        let how = format!("{}; systemctl enable --now fstrim.timer", remount(mount, "nodiscard"));
        Opinion::improve("discard", "nodiscard and fstrim.timer").by_hand(how)
    } else {
        Opinion::good("off")
    })
}

fn free_space(mount: &Mount) -> Option<Opinion> {
    Some(know(&mount.free_percent, |&free| {
        if free >= FREE_PERCENT_MIN {
            return Opinion::good(format!("{free} % free"));
        }
        Opinion::improve(format!("{free} % free"), format!("at least {FREE_PERCENT_MIN} %"))
            .by_hand("a shorter retention.ms or retention.bytes (`ottla topic alter`), or a larger disk")
    }))
}

fn age(mount: &Mount) -> Option<Opinion> {
    Some(know(&mount.age_days, |&days| {
        let told = format!("made {days} days ago");
        if days <= AGE_DAYS_MAX {
            return Opinion::good(told);
        }
        Opinion::note(told).by_hand("`filefrag` a segment; hundreds of pieces: copy the data to a fresh file system")
    }))
}
