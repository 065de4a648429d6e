//! `ottla tune`: what the host costs a broker, and changing it there and back.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use ottla_tuning::{
    FACTS_VERSION, Facts, Finding, JournalError, LiveHost, Plan, RULES, Reverted, Rule, Shown, Source, explain,
    find_rule, gather, judge, plan, report, to_json,
};

use super::Failure;
use super::suggest::nearest;
use super::text::counted;

// Measuring a disk.
mod probe;

/// Where changes are written down unless told otherwise.
const JOURNAL: &str = "/var/lib/ottla/tune.journal";

/// Look at this host, and change what costs a broker speed or safety
#[derive(Subcommand, Debug)]
pub(super) enum Tune {
    Check(Check),
    Apply(Apply),
    Revert(Revert),
    Probe(probe::Probe),
}

impl Tune {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match self {
            Tune::Check(command) => command.run(),
            Tune::Apply(command) => command.run(),
            Tune::Revert(command) => command.run(),
            Tune::Probe(command) => command.run(),
        }
    }
}

/// Say what is good, what could be better, and what could not be read
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla tune check                                     what should change, why, and how
  ottla tune check --data /var/lib/ottla --verbose     what is good and what could not be read, too
  ottla tune check --explain storage.scheduler         one rule: what it looks at, why, where to read more
  ottla tune check --json > host.json                  facts and findings; `--facts host.json` looks at them again

Nothing is changed. Root sees more, and what cannot be read is named, never an error. It works beside any broker, or with none.")]
pub(super) struct Check {
    #[command(flatten)]
    look: Look,
    /// Show what is good and what could not be read, too
    #[arg(short, long)]
    verbose: bool,
    /// Print facts and findings as JSON
    #[arg(long)]
    json: bool,
    /// Tell all about one rule; `all` for every one
    #[arg(long, value_name = "RULE", value_parser = rule_or_all)]
    explain: Option<String>,
    /// Colours: auto only on a terminal
    #[arg(long, value_enum, default_value_t = Colour::Auto)]
    color: Colour,
}

/// What is looked at.
#[derive(Args, Debug)]
struct Look {
    /// The broker's data folder: its file system and disks are looked at
    #[arg(short, long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Only these rules; may be repeated. An area, such as `network`, stands for all of its rules
    #[arg(long = "only", value_name = "RULE", value_parser = rule_or_area)]
    only: Vec<String>,
    /// Judge facts recorded with --json instead of this host
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Colour {
    Auto,
    Always,
    Never,
}

impl Look {
    fn look(&self) -> Result<(Facts, Vec<Finding>), Failure> {
        let facts = match &self.facts {
            Some(file) => recorded(file)?,
            None => gather(&Source::host(), &self.data),
        };
        let wanted = |finding: &Finding| {
            let named = |name: &String| name == finding.rule || name == finding.area.name();
            self.only.is_empty() || self.only.iter().any(named)
        };
        let findings = judge(&facts).into_iter().filter(wanted).collect();
        Ok((facts, findings))
    }
}

/// Facts from what `--json` printed, or alone.
fn recorded(file: &Path) -> Result<Facts, Failure> {
    let text = fs::read(file).map_err(|error| Failure::runtime(format!("cannot read {}: {error}", file.display())))?;
    let wrong = |error: String| {
        Failure::runtime(format!("{} holds no recorded facts: {error}", file.display()))
            .next("`ottla tune check --json > FILE` records them")
    };
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let facts = value.get("facts").cloned().unwrap_or(value);
    if !facts.is_object() {
        return Err(wrong("it is no object".to_owned()));
    }
    let facts: Facts = serde_json::from_value(facts).map_err(|error| wrong(error.to_string()))?;
    if facts.version != FACTS_VERSION {
        return Err(wrong(format!("version {}, known is {FACTS_VERSION}", facts.version)));
    }
    Ok(facts)
}

fn rule_or_area(text: &str) -> Result<String, String> {
    let areas = RULES.iter().map(|rule| rule.area.name());
    let names: Vec<&str> = RULES.iter().map(|rule| rule.id).chain(areas).collect();
    known(text, &names)
}

fn rule_or_all(text: &str) -> Result<String, String> {
    let names: Vec<&str> = RULES.iter().map(|rule| rule.id).chain(["all"]).collect();
    known(text, &names)
}

fn known(text: &str, names: &[&str]) -> Result<String, String> {
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    let near = nearest(text, names.iter().copied()).map(|near| format!("did you mean '{near}'?"));
    Err(near.unwrap_or_else(|| "no such rule: `ottla tune check --explain all` names them".to_owned()))
}

impl Check {
    fn run(&self) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        if let Some(name) = &self.explain {
            let rules: Vec<&Rule> = match find_rule(name) {
                Some(rule) => vec![rule],
                None => RULES.clone(),
            };
            let texts: Vec<String> = rules.into_iter().map(explain).collect();
            return Ok(out.write_all(texts.join("\n").as_bytes())?);
        }
        let (facts, findings) = self.look.look()?;
        if self.json {
            let text = to_json(&facts, &findings).map_err(Failure::runtime)?;
            return Ok(writeln!(out, "{text}")?);
        }
        let shown = Shown { colour: self.coloured(), everything: self.verbose };
        Ok(out.write_all(report(&facts, &findings, shown).as_bytes())?)
    }

    fn coloured(&self) -> bool {
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            // https://no-color.org
            Colour::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
        }
    }
}

/// Where changes are written down.
#[derive(Args, Debug)]
struct Place {
    /// Where the values from before are kept until `revert`
    #[arg(long, value_name = "FILE", default_value = JOURNAL)]
    journal: PathBuf,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Change what should change, having written down what it was
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla tune apply --dry-run                    what would be changed
  sudo ottla tune apply                         rules marked safe
  sudo ottla tune apply --only storage          those of one area
  sudo ottla tune apply --all                   rules that are not marked safe, too: read `ottla tune check` first

The values from before are on stable storage before the first change; `ottla tune revert` restores exactly those, also after a crash in
the middle. Nothing outlives a reboot: what proved right belongs into sysctl.d, udev rules or the unit file.")]
pub(super) struct Apply {
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    place: Place,
    /// Change nothing, only say what would be changed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Rules that are not marked safe, too
    #[arg(long)]
    all: bool,
}

impl Apply {
    fn run(&self) -> Result<(), Failure> {
        let (_, findings) = self.look.look()?;
        if self.look.facts.is_some() && !self.dry_run {
            return Err(Failure::usage("facts recorded elsewhere cannot be changed here")
                .next("add --dry-run, or leave --facts out"));
        }
        let mut host = LiveHost::new("/");
        let plan = plan(&host, &findings, self.all);
        let mut out = io::stdout().lock();
        if self.dry_run {
            return if self.place.json { json(&mut out, &plan) } else { Ok(tell_plan(&mut out, &plan)?) };
        }
        let applied = ottla_tuning::apply(&mut host, &plan, &self.place.journal).map_err(journal_failure)?;
        if self.place.json {
            json(&mut out, &applied)?;
        } else {
            for step in &applied.done {
                writeln!(out, "{}: {} → {}  ({})", step.file, step.before, step.after, step.rule)?;
            }
            tell_rest(&mut out, &plan)?;
        }
        for (step, why) in &applied.refused {
            eprintln!("refused: {} stays {}: {why}", step.file, step.before);
        }
        match applied.refused.len() {
            0 if applied.done.is_empty() => Ok(writeln!(io::stderr(), "nothing to change")?),
            0 => Ok(writeln!(
                io::stderr(),
                "{}; `ottla tune revert` takes them back",
                counted(applied.done.len() as u64, "change")
            )?),
            count => Err(Failure::runtime(format!("{} refused", counted(count as u64, "change")))
                .next(format!("{}; what was changed is taken back by `ottla tune revert`", ottla_tuning::way_out()))),
        }
    }
}

fn json(out: &mut impl Write, what: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(what).map_err(Failure::runtime)?;
    Ok(writeln!(out, "{text}")?)
}

fn tell_plan(out: &mut impl Write, plan: &Plan) -> io::Result<()> {
    for step in &plan.steps {
        writeln!(out, "would change {}: {} → {}  ({})", step.file, step.before, step.after, step.rule)?;
    }
    if plan.steps.is_empty() {
        writeln!(out, "nothing would be changed")?;
    }
    tell_rest(out, plan)
}

fn tell_rest(out: &mut impl Write, plan: &Plan) -> io::Result<()> {
    for (file, why) in &plan.unreadable {
        writeln!(out, "left alone: {file} cannot be read, so it could not be restored: {why}")?;
    }
    if !plan.unsafe_left_out.is_empty() {
        writeln!(out, "only with --all: {}", plan.unsafe_left_out.join(", "))?;
    }
    for (rule, how) in &plan.by_hand {
        writeln!(out, "by hand: {rule}: {how}")?;
    }
    Ok(())
}

fn journal_failure(error: JournalError) -> Failure {
    let next = match &error {
        JournalError::Io { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
            "run it as root, or keep the journal elsewhere: --journal FILE".to_owned()
        }
        JournalError::Io { path, .. } => format!("see what is wrong with {}, or use --journal FILE", path.display()),
        JournalError::Malformed { path, .. } => format!("look into {}: nothing was changed", path.display()),
        JournalError::Busy { .. } => "wait for it, then try again".to_owned(),
    };
    Failure::runtime(error).next(next)
}

/// Restore what `apply` has changed
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sudo ottla tune revert
  sudo ottla tune revert --force              what somebody else has changed since, too

Restores each file to what it held before the first `apply`, last change first, and checks it. Safe to repeat, also after a crash.")]
pub(super) struct Revert {
    #[command(flatten)]
    place: Place,
    /// Restore also what somebody else has changed since
    #[arg(long)]
    force: bool,
}

impl Revert {
    fn run(&self) -> Result<(), Failure> {
        let mut host = LiveHost::new("/");
        let reverted = ottla_tuning::revert(&mut host, &self.place.journal, self.force).map_err(journal_failure)?;
        let Some(reverted) = reverted else {
            return Ok(writeln!(io::stderr(), "nothing to take back: {} is not there", self.place.journal.display())?);
        };
        let mut out = io::stdout().lock();
        if self.place.json {
            json(&mut out, &reverted)?;
        } else {
            for entry in &reverted.restored {
                writeln!(out, "{}: {} again  ({})", entry.file, entry.before, entry.rule)?;
            }
        }
        self.outcome(&reverted)
    }

    fn outcome(&self, reverted: &Reverted) -> Result<(), Failure> {
        for (entry, now) in &reverted.foreign {
            eprintln!("left alone: {} holds {now}, which is neither what it was nor what was applied", entry.file);
        }
        for (entry, why) in &reverted.failed {
            eprintln!("failed: {} should hold {}: {why}", entry.file, entry.before);
        }
        if !reverted.failed.is_empty() {
            return Err(Failure::runtime(format!("{} not restored", counted(reverted.failed.len() as u64, "file")))
                .next(format!("{}; the journal keeps what is left to do", ottla_tuning::way_out())));
        }
        if !reverted.foreign.is_empty() {
            return Err(Failure::runtime(format!("{} left alone", counted(reverted.foreign.len() as u64, "file")))
                .next("`ottla tune revert --force` restores them too"));
        }
        let (restored, same) = (reverted.restored.len() as u64, reverted.untouched.len() as u64);
        Ok(writeln!(io::stderr(), "{} restored, {same} held it already", counted(restored, "file"))?)
    }
}
