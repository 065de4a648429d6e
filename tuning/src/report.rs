//! How findings are told: a table for people, JSON for programs.

use std::fmt::Write;

use serde::Serialize;

use crate::rule::{Area, Finding, Rule, Verdict};
use crate::{Fact, Facts};

/// How much is shown, and how.
#[derive(Clone, Copy, Default, Debug)]
pub struct Shown {
    /// Escape sequences for colours.
    pub colour: bool,
    /// What is as wanted and what is unknown, too.
    pub everything: bool,
}

impl Verdict {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Danger => "DANGER",
            Verdict::Improve => "improve",
            Verdict::Note => "note",
            Verdict::Good => "good",
            Verdict::Unknown => "unknown",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Verdict::Danger => "1;31",
            Verdict::Improve => "33",
            Verdict::Note => "36",
            Verdict::Good => "32",
            Verdict::Unknown => "2",
        }
    }
}

/// Findings for a person, area by area, then how to change what should change.
pub fn report(facts: &Facts, findings: &[Finding], shown: Shown) -> String {
    let mut text = host_line(facts);
    for area in Area::ALL {
        let of: Vec<&Finding> =
            findings.iter().filter(|finding| finding.area == area && is_shown(finding, shown)).collect();
        if !of.is_empty() {
            let _ = writeln!(text, "\n{}", painted(shown, "1", area.name()));
            table(&mut text, &of, shown);
        }
    }
    for finding in findings.iter().filter(|finding| finding.verdict <= Verdict::Improve) {
        advice(&mut text, finding, shown);
    }
    summary(&mut text, findings, shown);
    text
}

fn is_shown(finding: &Finding, shown: Shown) -> bool {
    shown.everything || finding.verdict <= Verdict::Note
}

fn host_line(facts: &Facts) -> String {
    let told = |fact: &Fact<String>| fact.known().cloned().unwrap_or_else(|| "?".to_owned());
    let machine = match facts.host.virtual_machine.known() {
        Some(true) => "virtual machine",
        Some(false) => "hardware",
        None => "machine of unknown kind",
    };
    let container = match told(&facts.host.container).as_str() {
        "none" => String::new(),
        "?" => ", in a container or not".to_owned(),
        name => format!(", in a container ({name})"),
    };
    let processors = facts.cpu.online.known().map_or_else(|| "?".to_owned(), u64::to_string);
    let memory = facts
        .memory
        .total_bytes
        .known()
        .map_or_else(|| "?".to_owned(), |bytes| format!("{:.1}", *bytes as f64 / f64::from(1 << 30)));
    let data =
        facts.mount.known().map_or_else(|| "?".to_owned(), |mount| format!("{} on {}", mount.filesystem, mount.source));
    format!(
        "Linux {}, {machine}{container}, {processors} processors, {memory} GiB of memory, data on {data}\n",
        told(&facts.host.kernel)
    )
}

fn label(finding: &Finding) -> String {
    match &finding.subject {
        Some(subject) => format!("{} {subject}", finding.rule),
        None => finding.rule.to_owned(),
    }
}

fn table(text: &mut String, findings: &[&Finding], shown: Shown) {
    let width = |cells: Vec<String>| cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
    let names = width(findings.iter().map(|finding| label(finding)).collect());
    for finding in findings {
        let verdict = painted(shown, finding.verdict.colour(), &format!("{:8}", finding.verdict.word()));
        let wanted = finding.wanted.as_ref().map(|wanted| format!("  → {wanted}")).unwrap_or_default();
        let _ = writeln!(text, "  {verdict} {:names$}  {}{wanted}", label(finding), finding.current);
    }
}

fn advice(text: &mut String, finding: &Finding, shown: Shown) {
    let _ = writeln!(text, "\n{}", painted(shown, "1", &label(finding)));
    let mut line = |name: &str, what: &str| {
        if !what.is_empty() {
            let _ = writeln!(text, "  {name:8} {what}");
        }
    };
    line("why", finding.why);
    line("risk", finding.risk);
    line("by hand", finding.by_hand.as_deref().unwrap_or_default());
    let how = match (finding.changes.is_empty(), finding.safe) {
        (true, _) => "",
        (false, true) => "`ottla tune apply` does it",
        (false, false) => "`ottla tune apply --all` does it: not marked safe",
    };
    line("apply", how);
    line("source", finding.source);
}

fn summary(text: &mut String, findings: &[Finding], shown: Shown) {
    let count = |verdict: Verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let words = [Verdict::Danger, Verdict::Improve, Verdict::Note, Verdict::Good, Verdict::Unknown];
    let counts: Vec<String> =
        words.into_iter().map(|verdict| format!("{} {}", count(verdict), verdict.word())).collect();
    let _ = writeln!(text, "\n{}", counts.join(", "));
    let fixable = findings.iter().any(|finding| finding.safe && !finding.changes.is_empty());
    let next = match (fixable, shown.everything) {
        (true, _) => "`ottla tune apply --dry-run` shows what it would change; `ottla tune revert` takes it back",
        (false, false) => "`ottla tune check --verbose` shows what is good and what could not be read",
        (false, true) => "`ottla tune check --explain RULE` tells more about one rule",
    };
    let _ = writeln!(text, "next: {next}");
}

fn painted(shown: Shown, colour: &str, text: &str) -> String {
    if shown.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// All that is known about a rule.
pub fn explain(rule: &Rule) -> String {
    let apply = if rule.safe { "changed by `ottla tune apply`" } else { "changed only with --all, or by hand" };
    format!(
        "{}\n  looks at {}\n  why      {}\n  source   {}\n  risk     {}\n  safe     {} ({apply})\n",
        rule.id,
        rule.looks_at,
        rule.why,
        rule.source,
        rule.risk,
        if rule.safe { "yes" } else { "no" },
    )
}

#[derive(Serialize)]
struct Whole<'a> {
    facts: &'a Facts,
    findings: &'a [Finding],
}

/// Facts and findings as JSON.
///
/// # Errors
/// Never for what this crate makes; the serialiser's, if it ever were.
pub fn to_json(facts: &Facts, findings: &[Finding]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Whole { facts, findings })
}
