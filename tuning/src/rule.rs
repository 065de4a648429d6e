//! What a rule is, and what comes of it.

use serde::Serialize;

use crate::{Facts, rules::RULES};

/// What a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Disks and file systems.
    Storage,
    /// Memory.
    Memory,
    /// Processors and interrupts.
    Cpu,
    /// Network cards and the network stack.
    Network,
    /// What a process may use.
    Limits,
    /// The clock.
    Clock,
}

impl Area {
    /// All of them, in the order of reports.
    pub const ALL: [Area; 6] = [Area::Storage, Area::Memory, Area::Cpu, Area::Network, Area::Limits, Area::Clock];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Area::Storage => "storage",
            Area::Memory => "memory",
            Area::Cpu => "cpu",
            Area::Network => "network",
            Area::Limits => "limits",
            Area::Clock => "clock",
        }
    }
}

/// One thing worth looking at on a host.
///
/// The function is pure: the same facts give the same opinions.
#[derive(Debug)]
pub struct Rule {
    /// Its name on the command line: area and thing.
    pub id: &'static str,
    /// What it is about.
    pub area: Area,
    /// The files or commands that tell.
    pub looks_at: &'static str,
    /// Why it matters to a broker.
    pub why: &'static str,
    /// Where one can read more.
    pub source: &'static str,
    /// What a change may cost.
    pub risk: &'static str,
    /// Whether `tune apply` changes it without `--all`.
    pub safe: bool,
    /// Looks.
    pub opinions: fn(&Facts) -> Vec<Opinion>,
}

/// How something stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What is acknowledged may be lost.
    Danger,
    /// It could be faster or steadier.
    Improve,
    /// It may be so on purpose; worth knowing.
    Note,
    /// As wanted.
    Good,
    /// It could not be read.
    Unknown,
}

/// A value to be written into a file of the kernel's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Change {
    /// The file.
    pub file: String,
    /// The value.
    pub to: String,
    /// Files that this change may alter as well, to be restored with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_alters: Vec<String>,
}

impl Change {
    pub(crate) fn new(file: impl Into<String>, to: impl ToString) -> Change {
        Change { file: file.into(), to: to.to_string(), also_alters: Vec::new() }
    }
}

/// What a rule thinks of one subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opinion {
    pub(crate) verdict: Verdict,
    pub(crate) subject: Option<String>,
    pub(crate) current: String,
    pub(crate) wanted: Option<String>,
    pub(crate) by_hand: Option<String>,
    pub(crate) changes: Vec<Change>,
}

impl Opinion {
    fn new(verdict: Verdict, current: impl ToString) -> Opinion {
        let current = current.to_string();
        Opinion { verdict, subject: None, current, wanted: None, by_hand: None, changes: Vec::new() }
    }

    pub(crate) fn good(current: impl ToString) -> Opinion {
        Opinion::new(Verdict::Good, current)
    }

    pub(crate) fn note(current: impl ToString) -> Opinion {
        Opinion::new(Verdict::Note, current)
    }

    pub(crate) fn unknown(why: impl ToString) -> Opinion {
        Opinion::new(Verdict::Unknown, why)
    }

    pub(crate) fn danger(current: impl ToString, wanted: impl ToString) -> Opinion {
        Opinion { wanted: Some(wanted.to_string()), ..Opinion::new(Verdict::Danger, current) }
    }

    pub(crate) fn improve(current: impl ToString, wanted: impl ToString) -> Opinion {
        Opinion { wanted: Some(wanted.to_string()), ..Opinion::new(Verdict::Improve, current) }
    }

    pub(crate) fn of(mut self, subject: impl ToString) -> Opinion {
        self.subject = Some(subject.to_string());
        self
    }

    pub(crate) fn by_hand(mut self, how: impl ToString) -> Opinion {
        self.by_hand = Some(how.to_string());
        self
    }

    /// With the change that does it; the command for doing it by hand follows from it.
    pub(crate) fn change(mut self, change: Change) -> Opinion {
        self.changes.push(change);
        let line = |change: &Change| match change.file.strip_prefix("/proc/sys/") {
            Some(key) => format!("sysctl -w {}='{}'", key.replace('/', "."), change.to),
            None => format!("echo {} > {}", change.to, change.file),
        };
        self.by_hand = Some(self.changes.iter().map(line).collect::<Vec<_>>().join("; "));
        self
    }
}

/// What a rule found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// What it is about.
    pub area: Area,
    /// Which disk or card, where there may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How it stands.
    pub verdict: Verdict,
    /// What it is now, or why that is unknown.
    pub current: String,
    /// What it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// What tells.
    pub looks_at: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// Where one can read more.
    pub source: &'static str,
    /// What a change may cost.
    pub risk: &'static str,
    /// Whether `tune apply` changes it without `--all`.
    pub safe: bool,
    /// How a person changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
    /// What `tune apply` would write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// Applies all rules to the facts.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    RULES.iter().flat_map(|rule| findings(rule, facts)).collect()
}

fn findings(rule: &Rule, facts: &Facts) -> Vec<Finding> {
    let of = |opinion: Opinion| Finding {
        rule: rule.id,
        area: rule.area,
        subject: opinion.subject,
        verdict: opinion.verdict,
        current: opinion.current,
        wanted: opinion.wanted,
        looks_at: rule.looks_at,
        why: rule.why,
        source: rule.source,
        risk: rule.risk,
        safe: rule.safe,
        by_hand: opinion.by_hand,
        changes: opinion.changes,
    };
    (rule.opinions)(facts).into_iter().map(of).collect()
}
