//! Changing the host and taking it back.
//!
//! The order is what makes it safe: first everything is read, then the journal is on stable storage, then the first file changes. Whatever happens in
//! between, `revert` finds each file as it was, as it was to be, or as somebody else has set it since.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::journal::{Entry, Journal, JournalError, lock};
use crate::rule::{Finding, Verdict};

/// Something whose files can be read and changed.
pub trait Host {
    /// What `file` holds.
    ///
    /// # Errors
    /// The operating system's.
    fn read(&self, file: &str) -> io::Result<String>;

    /// Puts `value` into `file`, which must be there.
    ///
    /// # Errors
    /// The operating system's: the kernel refuses what it does not understand.
    fn write(&mut self, file: &str, value: &str) -> io::Result<()>;

    /// Names this start of the kernel.
    fn boot(&self) -> String {
        self.read("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
    }
}

/// This host, or a folder that stands for one.
#[derive(Clone, Debug)]
pub struct LiveHost {
    root: PathBuf,
}

impl LiveHost {
    /// Files below `root`; `/` for this host.
    pub fn new(root: impl Into<PathBuf>) -> LiveHost {
        LiveHost { root: root.into() }
    }

    fn place(&self, file: &str) -> PathBuf {
        self.root.join(file.trim_start_matches('/'))
    }
}

impl Host for LiveHost {
    fn read(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.place(file))
    }

    fn write(&mut self, file: &str, value: &str) -> io::Result<()> {
        // Never made, only changed; in one call, as the kernel takes each call for a whole value.
        let mut file = fs::OpenOptions::new().write(true).truncate(true).open(self.place(file))?;
        file.write_all(value.as_bytes())
    }
}

/// A change that would be made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Kept {
    /// The rule that wants it.
    pub rule: String,
    /// The file.
    pub file: String,
    /// What it holds.
    pub before: String,
    /// What it is to hold.
    pub after: String,
}

/// What `apply` would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Default)]
pub struct Plan {
    /// Changes, in order.
    pub steps: Vec<Kept>,
    /// Findings that call for a person: their rules, and how it is done by hand.
    pub by_hand: Vec<(String, String)>,
    /// Changes that are left out because the rule is not marked safe.
    pub unsafe_left_out: Vec<String>,
    /// Files that cannot be read, and why: what cannot be restored is not changed.
    pub unreadable: Vec<(String, String)>,
    #[serde(skip)]
    entries: Vec<Entry>,
}

/// What the findings call for; rules that are not safe only with `all`.
pub fn plan(host: &impl Host, findings: &[Finding], all: bool) -> Plan {
    let mut plan = Plan::default();
    let wanted = |finding: &&Finding| matches!(finding.verdict, Verdict::Danger | Verdict::Improve);
    for finding in findings.iter().filter(wanted) {
        if finding.changes.is_empty() {
            plan.by_hand.push((name(finding), finding.by_hand.clone().unwrap_or_default()));
        } else if finding.safe || all {
            add(&mut plan, host, finding);
        } else {
            plan.unsafe_left_out.push(name(finding));
        }
    }
    plan
}

fn name(finding: &Finding) -> String {
    match &finding.subject {
        Some(subject) => format!("{} ({subject})", finding.rule),
        None => finding.rule.to_owned(),
    }
}

fn add(plan: &mut Plan, host: &impl Host, finding: &Finding) {
    for change in &finding.changes {
        let before = match host.read(&change.file) {
            Ok(text) => chosen(&text),
            Err(error) => {
                plan.unreadable.push((change.file.clone(), error.to_string()));
                continue;
            }
        };
        if is_same(&before, &change.to) {
            continue;
        }
        let rule = finding.rule.to_owned();
        for file in &change.also_alters {
            // Not every kernel has each of these; what is not there is not altered.
            if let Ok(before) = host.read(file) {
                let before = chosen(&before);
                plan.entries.push(Entry { rule: rule.clone(), file: file.clone(), before, after: None, altered: true });
            }
        }
        let (file, after) = (change.file.clone(), change.to.clone());
        let entry = Entry {
            rule: rule.clone(),
            file: file.clone(),
            before: before.clone(),
            after: Some(after.clone()),
            altered: false,
        };
        plan.entries.push(entry);
        plan.steps.push(Kept { rule, file, before, after });
    }
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Default)]
pub struct Applied {
    /// Changes made.
    pub done: Vec<Kept>,
    /// Changes refused, and why.
    pub refused: Vec<(Kept, String)>,
}

/// Does what the plan says, after the journal at `path` says how to take it back.
///
/// # Errors
/// When the journal cannot be written: nothing was changed then.
pub fn apply(host: &mut impl Host, plan: &Plan, path: &Path) -> Result<Applied, JournalError> {
    let mut applied = Applied::default();
    if plan.steps.is_empty() {
        return Ok(applied);
    }
    let _lock = lock(path)?;
    let boot = host.boot();
    // A reboot has undone what an older journal is about.
    let known = Journal::read(path)?.filter(|known| known.boot == boot);
    let mut journal = known.unwrap_or_else(|| Journal::new(boot));
    plan.entries.iter().cloned().for_each(|entry| journal.add(entry));
    journal.write(path)?;
    for step in &plan.steps {
        match change(host, step) {
            Ok(()) => applied.done.push(step.clone()),
            Err(why) => applied.refused.push((step.clone(), why)),
        }
    }
    Ok(applied)
}

/// Writes one value, and looks whether the kernel took it as it is.
fn change(host: &mut impl Host, step: &Kept) -> Result<(), String> {
    host.write(&step.file, &step.after).map_err(|error| match error.kind() {
        // The file is there, it was read: what is not found is what the value names.
        io::ErrorKind::NotFound => format!("this kernel has no {}", step.after),
        _ => error.to_string(),
    })?;
    let now = host.read(&step.file).map(|text| chosen(&text)).map_err(|error| error.to_string())?;
    if is_same(&now, &step.after) {
        return Ok(());
    }
    let back = host.write(&step.file, &step.before);
    let back =
        back.map_or_else(|error| format!("and it cannot be set back: {error}"), |()| "it was set back".to_owned());
    Err(format!("the kernel made {now} of it; {back}"))
}

/// What to do about files that could not be written.
pub fn way_out() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "a container may not change its host: run it there; a value that the kernel does not have needs a module"
    } else {
        "run it as root, outside of a container"
    }
}

/// What was taken back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Default)]
pub struct Reverted {
    /// Files that hold again what they held before.
    pub restored: Vec<Entry>,
    /// Files that held it already.
    pub untouched: Vec<Entry>,
    /// Files that somebody else has changed since, and what they hold; they are left alone.
    pub foreign: Vec<(Entry, String)>,
    /// Files that could not be restored, and why.
    pub failed: Vec<(Entry, String)>,
}

/// Takes back what the journal at `path` says; `None` when there is no journal. What somebody else has changed since is left
/// alone without `force`. The journal is removed when nothing is left to take back.
///
/// # Errors
/// When the journal cannot be read, written or removed.
pub fn revert(host: &mut impl Host, path: &Path, force: bool) -> Result<Option<Reverted>, JournalError> {
    let Some(_) = Journal::read(path)? else { return Ok(None) };
    let _lock = lock(path)?;
    let Some(mut journal) = Journal::read(path)? else { return Ok(None) };
    let mut reverted = Reverted::default();
    for entry in journal.entries.iter().rev() {
        restore(host, entry, force, &mut reverted);
    }
    let left: Vec<&str> =
        reverted.foreign.iter().chain(&reverted.failed).map(|(entry, _)| entry.file.as_str()).collect();
    journal.entries.retain(|entry| left.contains(&entry.file.as_str()));
    if journal.entries.is_empty() {
        Journal::remove(path)?
    } else {
        journal.write(path)?
    }
    Ok(Some(reverted))
}

fn restore(host: &mut impl Host, entry: &Entry, force: bool, reverted: &mut Reverted) {
    let now = match host.read(&entry.file) {
        Ok(text) => chosen(&text),
        Err(error) => return reverted.failed.push((entry.clone(), error.to_string())),
    };
    let ours = entry.altered || entry.after.as_ref().is_some_and(|after| is_same(after, &now));
    if is_same(&now, &entry.before) {
        return reverted.untouched.push(entry.clone());
    }
    if !ours && !force {
        return reverted.foreign.push((entry.clone(), now));
    }
    let outcome = host.write(&entry.file, &entry.before).and_then(|()| host.read(&entry.file));
    match outcome.map(|text| chosen(&text)) {
        Ok(now) if is_same(&now, &entry.before) => reverted.restored.push(entry.clone()),
        Ok(now) => reverted.failed.push((entry.clone(), format!("it holds {now} after writing"))),
        Err(error) => reverted.failed.push((entry.clone(), error.to_string())),
    }
}

/// What a file holds, in the form in which it is written: `always [madvise] never` is `madvise`.
fn chosen(text: &str) -> String {
    let text = text.trim();
    let marked = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    marked.unwrap_or(text).to_owned()
}

/// The kernel writes blanks and leading zeros of masks as it likes.
fn is_same(one: &str, other: &str) -> bool {
    let words = |text: &str| text.split_whitespace().map(plain).collect::<Vec<_>>();
    words(one) == words(other)
}

/// `00000003` is `3`, `0000,00000003` too.
fn plain(word: &str) -> String {
    let is_mask = word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b',');
    if !is_mask {
        return word.to_owned();
    }
    let short = word.trim_start_matches(['0', ',']);
    if short.is_empty() { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests;
