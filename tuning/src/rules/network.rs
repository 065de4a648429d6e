//! Network cards.

use crate::rule::{Area, Change, Opinion, Rule};
use crate::rules::know;
use crate::{Facts, Interface};

const SCALING_DOC: &str = "https://docs.kernel.org/networking/scaling.html";
const ETHTOOL_DOC: &str = "https://man7.org/linux/man-pages/man8/ethtool.8.html";
const FAST_MBIT: u64 = 10_000;
const RING_MIN: u64 = 1024;
const JUMBO_MTU: u64 = 9000;
/// A packet that waits longer than this for others is felt, in microseconds.
const WAIT_US_MAX: u64 = 100;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "network.speed",
        area: Area::Network,
        looks_at: "/sys/class/net/CARD/speed",
        why: "One shard alone fills a gigabit link: below 10 Gbit/s the link is the limit, whatever else is tuned.",
        source: ETHTOOL_DOC,
        risk: "None.",
        safe: false,
        opinions: |facts| each_card(facts, speed),
    },
    Rule {
        id: "network.queues",
        area: Area::Network,
        looks_at: "/sys/class/net/CARD/queues, ethtool -l",
        why: "With a queue for each core (RSS), packets are taken in on many cores instead of on one.",
        source: SCALING_DOC,
        risk: "Changing the number takes the link down for a moment.",
        safe: false,
        opinions: |facts| each_card(facts, queues),
    },
    Rule {
        id: "network.rps",
        area: Area::Network,
        looks_at: "/sys/class/net/CARD/queues/rx-*/rps_cpus",
        why: "A card with one receive queue keeps one core busy with all packets; RPS hands them on to the others by connection.",
        source: SCALING_DOC,
        risk: "An interrupt between cores for each handful of packets: at low load slower than without.",
        safe: false,
        opinions: |facts| each_card(facts, rps),
    },
    Rule {
        id: "network.xps",
        area: Area::Network,
        looks_at: "/sys/class/net/CARD/queues/tx-*/xps_cpus",
        why: "With a send queue of its own for each core, no two shards wait for one queue's lock.",
        source: SCALING_DOC,
        risk: "Drivers that choose queues themselves ignore it.",
        safe: false,
        opinions: |facts| each_card(facts, xps),
    },
    Rule {
        id: "network.ring",
        area: Area::Network,
        looks_at: "ethtool -g",
        why: "When more packets come between two polls than the ring has places, they are lost and sent again after a pause of milliseconds.",
        source: ETHTOOL_DOC,
        risk: "More memory, colder caches; the link may go down for a moment.",
        safe: false,
        opinions: |facts| each_card(facts, ring),
    },
    Rule {
        id: "network.mtu",
        area: Area::Network,
        looks_at: "/sys/class/net/CARD/mtu",
        why: "Batches of 64 KiB travel in 8 packets of 9000 bytes or in 45 of 1500.",
        source: "https://www.kernel.org/doc/html/latest/networking/netdevices.html",
        risk: "Every device of the network must agree, or large packets vanish: measure the path with `ping -M do -s 8972`.",
        safe: false,
        opinions: |facts| each_card(facts, mtu),
    },
    Rule {
        id: "network.coalescing",
        area: Area::Network,
        looks_at: "ethtool -c",
        why: "A card that waits for more packets before it interrupts adds that wait to every request; one that never waits costs an interrupt a packet. Adaptive does both.",
        source: ETHTOOL_DOC,
        risk: "None that outlives `ethtool -C CARD adaptive-rx off`.",
        safe: false,
        opinions: |facts| each_card(facts, coalescing),
    },
    Rule {
        id: "network.offloads",
        area: Area::Network,
        looks_at: "ethtool -k",
        why: "With segmentation and receive offloads the stack handles 64 KiB at a time instead of 1500 bytes.",
        source: "https://docs.kernel.org/networking/segmentation-offloads.html",
        risk: "Faulty drivers exist: some were switched off for a reason.",
        safe: false,
        opinions: |facts| each_card(facts, offloads),
    },
    Rule {
        id: "network.qdisc",
        area: Area::Network,
        looks_at: "ip link",
        why: "A card with many queues wants `mq`, a discipline for each; one `pfifo_fast` or `htb` for all is one lock for all cores, and gives a small answer no way past a large one.",
        source: "https://man7.org/linux/man-pages/man8/tc-fq.8.html",
        risk: "Rules of traffic control that hang on the old one are gone.",
        safe: false,
        opinions: |facts| each_card(facts, qdisc),
    },
];

fn each_card(facts: &Facts, opinion: fn(&Facts, &Interface) -> Option<Opinion>) -> Vec<Opinion> {
    if facts.interfaces.is_empty() {
        return vec![Opinion::unknown("no network card is seen")];
    }
    let up = |card: &&Interface| card.state.known().is_none_or(|state| state != "down");
    facts.interfaces.iter().filter(up).filter_map(|card| Some(opinion(facts, card)?.of(&card.name))).collect()
}

fn online(facts: &Facts) -> u64 {
    facts.cpu.online.known().copied().unwrap_or(1)
}

fn speed(_: &Facts, card: &Interface) -> Option<Opinion> {
    Some(know(&card.speed_mbit, |&speed| match speed {
        FAST_MBIT.. => Opinion::good(format!("{speed} Mbit/s")),
        _ => Opinion::note(format!("{speed} Mbit/s"))
            .by_hand("a faster card, switch or cable; `ethtool CARD` shows what was negotiated"),
    }))
}

fn queues(facts: &Facts, card: &Interface) -> Option<Opinion> {
    let online = online(facts);
    Some(know(&card.rx_queues, |&queues| match card.queues_max.known() {
        _ if queues >= online => Opinion::good(format!("{queues} for {online} processors")),
        Some(&max) if max > queues => {
            let wanted = max.min(online);
            Opinion::improve(queues, wanted).by_hand(format!("ethtool -L {} combined {wanted}", card.name))
        }
        Some(_) => Opinion::note(format!("{queues} for {online} processors: all that the card has")),
        None => {
            Opinion::note(format!("{queues} for {online} processors; {}", card.queues_max.why_unknown().unwrap_or("")))
        }
    }))
}

/// Masks are groups of eight hexadecimal digits with commas between them.
fn mask(processors: u64) -> String {
    let full = usize::try_from(processors / 32).unwrap_or(0).min(64);
    let mut words = vec!["ffffffff".to_owned(); full];
    let rest = processors % 32;
    if rest > 0 {
        words.insert(0, format!("{:x}", (1_u64 << rest) - 1));
    }
    words.join(",")
}

fn is_empty(mask: &str) -> bool {
    mask.bytes().all(|byte| matches!(byte, b'0' | b','))
}

fn rps(facts: &Facts, card: &Interface) -> Option<Opinion> {
    let online = online(facts);
    Some(know(&card.rps, |masks| match masks.as_slice() {
        [one] if online > 1 && is_empty(one) => Opinion::improve("one queue, one processor", "all processors")
            .change(Change::new(format!("/sys/class/net/{}/queues/rx-0/rps_cpus", card.name), mask(online))),
        [_] => Opinion::good("spread by software, or one processor"),
        masks if masks.iter().all(|mask| is_empty(mask)) => Opinion::good("off: the card spreads by itself"),
        masks => Opinion::note(format!("on, with {} queues", masks.len()))
            .by_hand("off, where there is a queue for each core"),
    }))
}

fn xps(facts: &Facts, card: &Interface) -> Option<Opinion> {
    let online = online(facts);
    Some(know(&card.xps, |masks| {
        let empty = masks.iter().filter(|mask| is_empty(mask)).count();
        if masks.len() < 2 || online < 2 {
            return Opinion::good("one send queue, or one processor");
        }
        if empty == 0 {
            return Opinion::good(format!("all of {} send queues have processors", masks.len()));
        }
        let file = |queue: usize| format!("/sys/class/net/{}/queues/tx-{queue}/xps_cpus", card.name);
        let own = |queue: usize| Change::new(file(queue), one_of(queue as u64 % online));
        let opinion = Opinion::improve(format!("{empty} of {} send queues have no processor", masks.len()), "one each");
        (0..masks.len()).map(own).fold(opinion, Opinion::change)
    }))
}

/// The mask of one processor.
fn one_of(processor: u64) -> String {
    let zeros = usize::try_from(processor / 32).unwrap_or(0).min(64);
    let mut words = vec![format!("{:x}", 1_u64 << (processor % 32))];
    words.extend(vec!["00000000".to_owned(); zeros]);
    words.join(",")
}

fn ring(_: &Facts, card: &Interface) -> Option<Opinion> {
    Some(know(&card.rx_ring, |ring| {
        let wanted = ring.max.min(RING_MIN * 4);
        if ring.now >= RING_MIN.min(ring.max) {
            return Opinion::good(format!("{} of {}", ring.now, ring.max));
        }
        Opinion::improve(ring.now, wanted).by_hand(format!("ethtool -G {} rx {wanted}", card.name))
    }))
}

fn mtu(_: &Facts, card: &Interface) -> Option<Opinion> {
    let fast = card.speed_mbit.known().is_some_and(|&speed| speed >= FAST_MBIT);
    Some(know(&card.mtu, |&mtu| match mtu {
        JUMBO_MTU.. => Opinion::good(mtu),
        _ if !fast => Opinion::good(format!("{mtu}, for a link that is not known to be fast")),
        _ => Opinion::improve(mtu, format!("{JUMBO_MTU}, if the whole path takes it"))
            .change(Change::new(format!("/sys/class/net/{}/mtu", card.name), JUMBO_MTU)),
    }))
}

fn coalescing(_: &Facts, card: &Interface) -> Option<Opinion> {
    Some(know(&card.rx_usecs, |&wait| {
        if card.adaptive_rx.known() == Some(&true) {
            return Opinion::good("adaptive");
        }
        match wait {
            0 => Opinion::note("never waits: an interrupt a packet"),
            1..=WAIT_US_MAX => return Opinion::good(format!("waits {wait} µs")),
            _ => Opinion::improve(format!("waits {wait} µs"), "adaptive"),
        }
        .by_hand(format!("ethtool -C {} adaptive-rx on", card.name))
    }))
}

fn offloads(_: &Facts, card: &Interface) -> Option<Opinion> {
    Some(know(&card.offloads_off, |off| match off.as_slice() {
        [] => Opinion::good("on"),
        off => Opinion::improve(format!("off: {}", off.join(", ")), "on").by_hand(format!(
            "ethtool -K {}{}",
            card.name,
            off.iter().map(|name| format!(" {name} on")).collect::<String>()
        )),
    }))
}

fn qdisc(_: &Facts, card: &Interface) -> Option<Opinion> {
    let many = card.tx_queues.known().is_some_and(|&queues| queues > 1);
    Some(know(&card.qdisc, |name| match name.as_str() {
        "mq" | "fq" | "fq_codel" | "noqueue" => Opinion::good(name),
        other if many => Opinion::improve(other, "mq").by_hand(format!("tc qdisc replace dev {} root mq", card.name)),
        other => Opinion::note(other).by_hand(format!("tc qdisc replace dev {} root fq", card.name)),
    }))
}
