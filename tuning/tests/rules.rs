//! Rules on recorded hosts: what is said of each of them, word by word.
//!
//! `facts/NAME.json` is a host, `facts/NAME.findings` is what is said of it. `vm` and `container` (one without any right, of whose
//! system nearly nothing is to be seen) were recorded with `ottla tune check --json`; `good` and `bad` are written by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use ottla_tuning::{Facts, Finding, RULES, Shown, Verdict, judge, report, to_json};

const HOSTS: [&str; 4] = ["good", "bad", "container", "vm"];

fn place(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/facts").join(name)
}

fn recorded(host: &str) -> Facts {
    let text = fs::read(place(&format!("{host}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// A finding in one line, with what `apply` would write.
fn line(finding: &Finding) -> String {
    let mut line = format!("{:8} {}", finding.verdict.word(), finding.rule);
    let subject = finding.subject.iter().map(|subject| format!(" {subject}")).collect::<String>();
    write!(line, "{subject}: {}", finding.current).unwrap();
    if let Some(wanted) = &finding.wanted {
        write!(line, " → {wanted}").unwrap();
    }
    if let Some(first) = finding.changes.first() {
        write!(line, " [{} := {}", first.file, first.to.replace('\t', " ")).unwrap();
        let more = finding.changes.len() - 1;
        write!(line, "{}]", if more > 0 { format!(" and {more} more") } else { String::new() }).unwrap();
    }
    line
}

#[test]
fn what_is_said_of_each_recorded_host() {
    for host in HOSTS {
        let said: String = judge(&recorded(host)).iter().map(|finding| line(finding) + "\n").collect();
        let file = place(&format!("{host}.findings"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&file, &said).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap();
        for (number, (said, expected)) in said.lines().zip(expected.lines()).enumerate() {
            assert_eq!(said, expected, "{host}.findings:{}: look at it, then BLESS=1 writes it anew", number + 1);
        }
        assert_eq!(said.lines().count(), expected.lines().count(), "{host}: another number of findings");
    }
}

#[test]
fn a_good_host_is_left_in_peace() {
    let findings = judge(&recorded("good"));
    for finding in &findings {
        assert_eq!(finding.verdict, Verdict::Good, "{}", line(finding));
        assert!(finding.changes.is_empty(), "{}", line(finding));
    }
}

/// Each rule has something to say of a host on which everything is wrong.
#[test]
fn on_a_bad_host_every_rule_speaks() {
    let findings = judge(&recorded("bad"));
    for rule in RULES.iter() {
        let worst = findings.iter().filter(|finding| finding.rule == rule.id).map(|finding| finding.verdict).min();
        if !["storage.filesystem", "network.speed"].contains(&rule.id) {
            assert!(worst.unwrap() < Verdict::Good, "{}", rule.id);
        }
    }
    let improvable = findings.iter().filter(|finding| finding.verdict <= Verdict::Improve);
    for finding in improvable {
        assert!(finding.wanted.is_some(), "{}: wanted", line(finding));
        assert!(finding.by_hand.is_some(), "{}: by hand", line(finding));
    }
}

#[test]
fn a_container_without_rights_is_no_error() {
    let findings = judge(&recorded("container"));
    let unknown = findings.iter().filter(|finding| finding.verdict == Verdict::Unknown).count();
    assert!(unknown > 20, "{unknown}");
    assert!(findings.iter().any(|finding| finding.verdict == Verdict::Danger), "a tmpfs keeps nothing");
    assert!(findings.iter().all(|finding| finding.changes.is_empty()), "nothing could be changed");
}

#[test]
fn both_forms_of_the_report_name_everything() {
    for host in HOSTS {
        let facts = recorded(host);
        let findings = judge(&facts);
        let text = report(&facts, &findings, Shown { colour: false, everything: true });
        let coloured = report(&facts, &findings, Shown { colour: true, everything: true });
        assert!(!text.contains('\x1b') && coloured.contains("\x1b["), "{host}");
        for finding in &findings {
            assert!(text.contains(finding.rule) && text.contains(&finding.current), "{host}: {}", line(finding));
        }
        let json: serde_json::Value = serde_json::from_str(&to_json(&facts, &findings).unwrap()).unwrap();
        assert_eq!(json["findings"].as_array().unwrap().len(), findings.len());
        assert_eq!(serde_json::from_value::<Facts>(json["facts"].clone()).unwrap(), facts, "facts go there and back");
    }
}
