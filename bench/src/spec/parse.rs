use std::fmt;
use std::path::Path;

use serde::Deserialize;

use super::{Fault, Spec, check};

/// What is wrong with a workload file, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpecError {
    /// Which file.
    pub file: String,
    /// Which line, from 1.
    pub line: usize,
    /// What, with the key.
    pub what: String,
    /// What was probably meant.
    pub meant: Option<String>,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)?;
        match &self.meant {
            Some(meant) => write!(f, "; did you mean '{meant}'?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SpecError {}

/// Reads a workload. `file` is what messages call it and, without folder and ending, the name of one that has none.
///
/// # Errors
/// [`SpecError`]: what is no TOML, a key that does not exist, a value out of range.
pub fn parse(text: &str, file: &str) -> Result<Spec, SpecError> {
    let wrong = |error: toml::de::Error| {
        let (what, meant) = words(text, error.message(), error.span());
        SpecError { file: file.to_owned(), line: line_of(text, error.span()), what, meant }
    };
    let mut spec = Spec::deserialize(toml::Deserializer::parse(text).map_err(wrong)?).map_err(wrong)?;
    if spec.name.is_empty() {
        spec.name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    }
    let misfit = |fault: Fault| SpecError {
        file: file.to_owned(),
        line: line_of_key(text, fault.key),
        what: format!("{}: {}", fault.key, fault.why),
        meant: None,
    };
    check(&spec).map_err(misfit)?;
    Ok(spec)
}

/// The parser's message in our words, and what was meant by an unknown name.
fn words(text: &str, message: &str, span: Option<std::ops::Range<usize>>) -> (String, Option<String>) {
    let named: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let first = message.lines().next().unwrap_or_default();
    match named.split_first() {
        Some((wrong, known)) if first.starts_with("unknown") => {
            let what = if first.starts_with("unknown field") { "no such key" } else { "no such value" };
            let meant = nearest(wrong, known.iter().copied()).map(str::to_owned);
            (format!("'{wrong}': {what}; known are {}", known.join(", ")), meant)
        }
        _ => match key_at(text, span) {
            Some(key) => (format!("'{key}': {first}"), None),
            None => (first.to_owned(), None),
        },
    }
}

fn key_at(text: &str, span: Option<std::ops::Range<usize>>) -> Option<&str> {
    let line = text.lines().nth(line_of(text, span) - 1)?;
    Some(line.split_once('=')?.0.trim())
}

fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> usize {
    let at = span.map_or(0, |span| span.start.min(text.len()));
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The line that sets `section.key` or `key`; of the section, or the first, when none does.
fn line_of_key(text: &str, path: &str) -> usize {
    let (section, key) = path.split_once('.').unwrap_or(("", path));
    let mut within = "";
    let mut begun = 1;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            within = name.trim_end_matches(']').trim();
            if within == section {
                begun = at + 1;
            }
        } else if within == section && line.split_once('=').is_some_and(|(name, _)| name.trim() == key) {
            return at + 1;
        }
    }
    begun
}

/// Of `names`, the one that `wrong` was most likely meant to be.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let ranked = names.into_iter().map(|name| (strsim::damerau_levenshtein(wrong, name), name));
    let (distance, name) = ranked.min_by_key(|(distance, _)| *distance)?;
    (distance <= (wrong.chars().count() / 3).clamp(1, 4)).then_some(name)
}
