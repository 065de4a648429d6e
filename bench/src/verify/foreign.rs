//! Apache Kafka's own log dump tool over the files that remain: an implementation that is not ours must find them sound.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{BenchError, During, Result};

/// Files given to the tool at once: it starts a virtual machine each time.
const FILES_AT_ONCE: usize = 1000;
/// The tool refuses larger batches.
const BATCH_BYTES_MAX: &str = "67108864";
/// Complaints kept in words.
const WORDS_MAX: usize = 20;
/// What the tool says when something is wrong (`kafka.tools.DumpLogSegments`).
const COMPLAINTS: [&str; 9] = [
    "The following indexed offsets are not found",
    "isvalid: false",
    "Found ",
    "Mismatches in",
    "Non-consecutive offsets",
    "Exception",
    "Error",
    "corrupt",
    "Could not",
];
/// The files that it reads.
const KINDS: [&str; 4] = ["log", "index", "timeindex", "snapshot"];

/// What the tool found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Segments that were read.
    pub segments: u64,
    /// Files that were read: segments, their indexes and producer snapshots.
    pub files: u64,
    /// Batches in them.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// What it complained about: all of them counted, the first in words.
    pub complaints: u64,
    /// The first complaints.
    pub words: Vec<String>,
}

impl Report {
    /// Whether there was something to read and all of it was sound.
    pub fn passed(&self) -> bool {
        self.complaints == 0 && self.segments > 0 && self.batches > 0
    }

    fn take(&mut self, line: &str) {
        // Each batch, deeply read, is followed by its records, which begin with a bar.
        if line.starts_with("baseOffset: ") {
            self.batches += 1;
        } else if line.starts_with("| offset: ") {
            self.records += 1;
        }
        if COMPLAINTS.iter().any(|complaint| line.contains(complaint)) {
            self.complain(line.to_owned());
        }
    }

    fn complain(&mut self, words: String) {
        self.complaints += 1;
        if self.words.len() < WORDS_MAX {
            self.words.push(words);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.passed() { "passed" } else { "FAILED" };
        write!(
            f,
            "foreign check {outcome}: {} segments, {} files, {} batches, {} records; {} complaints",
            self.segments, self.files, self.batches, self.records, self.complaints
        )?;
        self.words.iter().try_for_each(|words| write!(f, "\n    {words}"))
    }
}

/// Lets the tool read every file of every partition in a data folder whose broker has stopped. `command` is the tool with its
/// first arguments, blanks between them, as in `/opt/kafka/bin/kafka-dump-log.sh`.
///
/// # Errors
/// [`BenchError::Io`] where files cannot be listed or the tool cannot be run.
pub fn check(data: &Path, command: &str) -> Result<Report> {
    let mut report = Report::default();
    let files = files(&data.join("topics"))?;
    for chunk in files.chunks(FILES_AT_ONCE) {
        read(chunk, command, &mut report)?;
    }
    Ok(report)
}

/// Every file that the tool reads; a segment's indexes stand beside it.
fn files(topics: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in list(topics)?.into_iter().filter(|path| path.is_dir()) {
        let is_read = |path: &PathBuf| path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known));
        // An empty file holds nothing that could be wrong, and the tool cannot map it.
        let holds = |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.len() > 0);
        found.extend(list(&folder)?.into_iter().filter(is_read).filter(holds));
    }
    found.sort();
    Ok(found)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).during(|| format!("list {}", folder.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

fn read(files: &[PathBuf], command: &str, report: &mut Report) -> Result<()> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or_else(|| BenchError::BadArgument { why: "no dump tool is named".to_owned() })?;
    let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let during = || format!("run {program}");
    let mut child = Command::new(program)
        .args(words)
        .args(["--deep-iteration", "--max-message-size", BATCH_BYTES_MAX, "--files", &names.join(",")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .during(during)?;
    // What it complains about goes to the other stream.
    let errors = child.stderr.take();
    let complaints = std::thread::spawn(move || {
        let mut report = Report::default();
        let lines = errors.into_iter().flat_map(|errors| BufReader::new(errors).lines().map_while(std::io::Result::ok));
        lines.for_each(|line| report.complain(line));
        report
    });
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).lines().map_while(std::io::Result::ok).for_each(|line| report.take(&line));
    }
    if let Ok(said) = complaints.join() {
        said.words.into_iter().for_each(|words| report.complain(words));
    }
    let status = child.wait().during(during)?;
    if !status.success() {
        report.complain(format!("the tool ended with {status}"));
    }
    report.files += files.len() as u64;
    report.segments += files.iter().filter(|path| path.extension().is_some_and(|kind| kind == "log")).count() as u64;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_counted_and_complaints_kept() {
        let mut report = Report { segments: 1, ..Report::default() };
        report.take("baseOffset: 0 lastOffset: 1 count: 2 position: 0 size: 80 magic: 2 crc: 1 isvalid: true");
        report.take("| offset: 0 CreateTime: 1 keySize: 12 valueSize: 3 sequence: -1 headerKeys: []");
        report.take("| offset: 1 CreateTime: 1 keySize: 12 valueSize: 3 sequence: -1 headerKeys: []");
        assert!(report.passed() && report.batches == 1 && report.records == 2, "{report}");
        report.take("baseOffset: 2 lastOffset: 2 count: 1 position: 80 size: 80 magic: 2 crc: 1 isvalid: false");
        report.take("Found 17 invalid bytes at the end of 00000000000000000000.log");
        report.take("Mismatches in :/t-0/00000000000000000000.index");
        assert!(!report.passed() && report.complaints == 3, "{report}");
    }

    #[test]
    fn nothing_read_is_no_success() {
        assert!(!Report::default().passed());
    }
}
