use std::path::PathBuf;

use clap::Args;

use super::{Trouble, workload, write_text};
use crate::comparison::Comparison;
use crate::goals::table;
use crate::result::RunResult;
use crate::spec::{self, Spec};
use crate::tell::{comparison_page, page};

/// List the workloads, with what they are
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla bench list
  ottla bench list --all                  the OpenMessaging Benchmark's too
  ottla bench list --json")]
pub(super) struct List {
    /// Also those of the OpenMessaging Benchmark
    #[arg(long)]
    all: bool,
    /// As JSON, with all settings
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let (_, own) = spec::names();
        let specs = spec::builtin();
        let shown = if self.all || self.json { specs } else { &specs[..own.min(specs.len())] };
        if self.json {
            return super::write_json(std::path::Path::new("-"), &shown);
        }
        let width = shown.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
        let line = |spec: &Spec| format!("{:<width$}  {}\n", spec.name, spec.about);
        let mut out: String = shown.iter().map(line).collect();
        if !self.all {
            out.push_str(&format!("and {} of the OpenMessaging Benchmark under its names: --all\n", specs.len() - own));
        }
        out.push_str("\nottla bench run NAME runs one, ottla bench show NAME prints it to begin your own with.\n");
        write_text(std::path::Path::new("-"), &out)
    }
}

/// Print a workload's file, to begin your own with
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla bench show end-to-end > my.toml
  ottla bench show end-to-end --whole      every setting, defaults too")]
pub(super) struct Show {
    /// Its name
    workload: String,
    /// With every setting
    #[arg(long)]
    whole: bool,
}

impl Show {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let spec = workload(&self.workload)?;
        let text = match spec::text(&spec.name) {
            Some(text) if !self.whole => text.to_owned(),
            _ => toml::to_string(&spec).map_err(|why| Trouble::Run(why.to_string(), None))?,
        };
        write_text(std::path::Path::new("-"), &text)
    }
}

/// Lay several results over each other, in one page
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla bench report before.json after.json
  ottla bench report results/*.json --html all.html")]
pub(super) struct Report {
    /// Results: of `run --json` or `--out`, or of `compare`
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// Where the page goes
    #[arg(long, default_value = "ottla-bench.html", value_name = "FILE")]
    html: PathBuf,
}

impl Report {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let mut results: Vec<RunResult> = Vec::new();
        for path in &self.results {
            results.extend(RunResult::load(path)?);
        }
        if results.is_empty() {
            return Err(Trouble::Usage("these files hold no runs".to_owned()));
        }
        write_text(&self.html, &self.page(&results))?;
        println!("{} runs in {}", results.len(), self.html.display());
        Ok(())
    }
}

impl Report {
    /// A comparison alone has its tables and goals.
    fn page(&self, results: &[RunResult]) -> String {
        match &self.results[..] {
            [one] => Comparison::load(one).map_or_else(
                |_| page(results),
                |comparison| comparison_page(&comparison, &one.file_stem().unwrap_or_default().to_string_lossy()),
            ),
            _ => page(results),
        }
    }
}

/// Write the table of a page anew, from the raw results of a comparison
///
/// What stands between the lines `<!-- table: FILE -->` and `<!-- end of table -->` is replaced by the table of that file, which lies beside the page.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla bench table                        bench/README.md
  ottla bench table --check                fails when it is not up to date")]
pub(super) struct Table {
    /// The page
    #[arg(default_value = "bench/README.md")]
    page: PathBuf,
    /// Only look whether it is up to date
    #[arg(long)]
    check: bool,
}

const BEGIN: &str = "<!-- table: ";
const END: &str = "<!-- end of table -->";

impl Table {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let text = std::fs::read_to_string(&self.page)
            .map_err(|why| Trouble::Usage(format!("{}: {why}", self.page.display())))?;
        let folder = self.page.parent().unwrap_or(std::path::Path::new(""));
        let fresh = renewed(&text, |file| {
            let comparison = Comparison::load(&folder.join(file))?;
            let goals = if comparison.goals.is_empty() { String::new() } else { table(&comparison.goals) + "\n" };
            Ok(format!("{}.\n\n{goals}{}", comparison.host.line(), comparison.table()))
        })?;
        if !self.check {
            return write_text(&self.page, &fresh);
        }
        if fresh == text {
            return Ok(());
        }
        Err(Trouble::Run(format!("{} is not up to date", self.page.display()), Some("ottla bench table".to_owned())))
    }
}

/// The page with every table made anew.
fn renewed(text: &str, table: impl Fn(&str) -> Result<String, Trouble>) -> Result<String, Trouble> {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some(file) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix("-->")).map(str::trim) else {
            continue;
        };
        if !lines.any(|line| line == END) {
            return Err(Trouble::Usage(format!("no line '{END}' after the one for {file}")));
        }
        out.push_str(&format!("\n{}\n{END}\n", table(file)?));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_between_its_lines_and_nowhere_else() {
        let page = "# A\n<!-- table: results/x.json -->\nold\n<!-- end of table -->\ntext\n";
        let once = renewed(page, |file| Ok(format!("new of {file}\n"))).unwrap();
        assert_eq!(
            once,
            "# A\n<!-- table: results/x.json -->\n\nnew of results/x.json\n\n<!-- end of table -->\ntext\n"
        );
        assert_eq!(renewed(&once, |file| Ok(format!("new of {file}\n"))).unwrap(), once, "twice is once");
        assert!(renewed("<!-- table: x -->\n", |_| Ok(String::new())).is_err());
        let told = "the lines `<!-- table: x -->` and `<!-- end of table -->`\n";
        assert_eq!(renewed(told, |_| Ok(String::new())).unwrap(), told, "a page may speak of them");
    }
}
