use std::collections::HashSet;

use super::*;
use crate::{Area, Disk, Facts, Interface, Verdict, judge};

#[test]
fn every_rule_says_what_a_person_needs() {
    let mut seen = HashSet::new();
    for rule in RULES.iter() {
        assert!(seen.insert(rule.id), "{} is there twice", rule.id);
        assert!(rule.id.starts_with(&format!("{}.", rule.area.name())), "{} and its area", rule.id);
        for text in [rule.looks_at, rule.why, rule.risk] {
            assert!(!text.is_empty(), "{}", rule.id);
        }
        assert!(rule.why.ends_with('.') && rule.risk.ends_with('.'), "{}: sentences", rule.id);
        assert!(rule.source.starts_with("https://"), "{}: {}", rule.id, rule.source);
        assert_eq!(find_rule(rule.id).map(|found| found.id), Some(rule.id));
    }
    for area in Area::ALL {
        assert!(RULES.iter().any(|rule| rule.area == area), "{} has rules", area.name());
    }
}

#[test]
fn of_a_host_that_says_nothing_everything_is_unknown() {
    let findings = judge(&Facts::default());
    assert!(findings.len() >= RULES.len() - 8, "{}", findings.len());
    for finding in findings {
        assert_eq!(finding.verdict, Verdict::Unknown, "{}: {}", finding.rule, finding.current);
        assert!(!finding.current.is_empty() && finding.changes.is_empty(), "{}", finding.rule);
    }
}

#[test]
fn choices_are_read_as_the_kernel_writes_them() {
    assert_eq!(choice("none [mq-deadline] kyber"), ("mq-deadline", vec!["none", "mq-deadline", "kyber"]));
    assert_eq!(choice("none"), ("none", vec!["none"]));
    assert_eq!(choice(""), ("", vec![]));
}

/// What one rule says of facts.
fn said(id: &str, facts: &Facts) -> Opinion {
    let mut opinions = (find_rule(id).unwrap().opinions)(facts);
    assert_eq!(opinions.len(), 1, "{id}");
    opinions.remove(0)
}

#[test]
fn a_turning_disk_keeps_its_scheduler_and_a_virtual_one_does_not_turn() {
    for (name, rotational, scheduler, wanted) in [
        ("sda", 1, "[mq-deadline] none", None),
        ("sda", 1, "mq-deadline [none]", Some("mq-deadline")),
        ("sda", 0, "[mq-deadline] none", Some("none")),
        ("vda", 1, "[mq-deadline] none", Some("none")),
        ("nvme0n1", 0, "[none] mq-deadline", None),
        ("nvme0n1", 0, "[bfq] kyber", None),
    ] {
        let disk = Disk {
            name: name.to_owned(),
            rotational: Fact::Known(rotational),
            scheduler: Fact::Known(scheduler.to_owned()),
            ..Disk::default()
        };
        let opinion = said("storage.scheduler", &Facts { disks: vec![disk], ..Facts::default() });
        let to = opinion.changes.first().map(|change| change.to.as_str());
        assert_eq!(to, wanted, "{name} {scheduler}");
        let altered = opinion.changes.first().map_or(0, |change| change.also_alters.len());
        assert_eq!(altered, if wanted.is_some() { 2 } else { 0 });
    }
}

#[test]
fn masks_are_written_as_the_kernel_reads_them() {
    for (processors, wanted) in
        [(2, "3"), (31, "7fffffff"), (32, "ffffffff"), (40, "ff,ffffffff"), (64, "ffffffff,ffffffff")]
    {
        let mut facts = Facts::default();
        facts.cpu.online = Fact::Known(processors);
        let rps = Fact::Known(vec!["00000000".to_owned()]);
        let xps = Fact::Known(vec!["0".to_owned(); 34]);
        facts.interfaces = vec![Interface { name: "eth0".into(), rps, xps, ..Interface::default() }];
        assert_eq!(said("network.rps", &facts).changes[0].to, wanted);
        let own = said("network.xps", &facts).changes;
        assert_eq!(own[1].to, "2");
        assert_eq!(own[33].to, if processors > 33 { "2,00000000" } else { own[33 - processors as usize].to.as_str() });
    }
}

#[test]
fn changes_of_sysctls_are_told_as_sysctls() {
    let mut facts = Facts::default();
    facts.network.somaxconn = Fact::Known(128);
    let opinion = said("network.somaxconn", &facts);
    assert_eq!(opinion.by_hand.as_deref(), Some("sysctl -w net.core.somaxconn='4096'"));
    assert_eq!(opinion.changes, [Change::new("/proc/sys/net/core/somaxconn", 4096)]);
}

#[test]
fn three_figures_stay_three_figures() {
    let mut facts = Facts::default();
    facts.network.tcp_rmem = Fact::Known(vec![4096, 131_072, 1 << 20]);
    assert_eq!(said("network.tcp-rmem", &facts).changes[0].to, "4096\t131072\t4194304");
    facts.network.tcp_rmem = Fact::Known(vec![4096]);
    assert_eq!(said("network.tcp-rmem", &facts).verdict, Verdict::Unknown);
}
