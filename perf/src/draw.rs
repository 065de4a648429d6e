//! Flame graphs as SVG that can be searched and zoomed in any browser.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use inferno::flamegraph::color::{BackgroundColor, BasicPalette, MultiPalette, Palette};
use inferno::flamegraph::{self, Options};
use serde::Serialize;

use crate::{PerfError, Profile, Stacks};

/// A graph that was drawn.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Graph {
    /// Whose stacks: `all`, `shard-0`, ….
    pub name: String,
    /// The picture's file name.
    pub svg: PathBuf,
    /// The stacks' file name.
    pub folded: PathBuf,
    /// Counts, together.
    pub total: u64,
    /// The innermost frames with the largest counts.
    pub hottest: Vec<(String, u64)>,
}

/// How many of the innermost frames are told in text.
const HOTTEST: usize = 10;

/// Draws stacks into a file. `unit` is what is counted: samples, µs.
///
/// # Errors
/// When the file cannot be written.
pub fn draw(stacks: &Stacks, title: &str, unit: &str, waits: bool, path: &Path) -> Result<(), PerfError> {
    let mut options = Options::default();
    options.title = title.to_owned();
    options.count_name = unit.to_owned();
    options.name_type = "Function:".to_owned();
    // By name, so that a function has the same colour in each picture.
    options.hash = true;
    if waits {
        options.colors = Palette::Basic(BasicPalette::Blue);
        options.bgcolors = Some(BackgroundColor::Blue);
    } else {
        // Kernel, our code and what it is linked with in hues of their own: its marks are those of the Java palette.
        options.colors = Palette::Multi(MultiPalette::Java);
    }
    let lines: Vec<String> = stacks.folded().lines().map(str::to_owned).collect();
    let file = File::create(path).map_err(PerfError::io("write", path))?;
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), BufWriter::new(file))
        .map_err(PerfError::io("draw", path))
}

/// Draws a graph of all threads and one for each role into a folder, and their stacks beside them.
///
/// # Errors
/// When a file cannot be written.
pub fn write_graphs(
    profile: &Profile,
    title: &str,
    unit: &str,
    waits: bool,
    folder: &Path,
) -> Result<Vec<Graph>, PerfError> {
    fs::create_dir_all(folder).map_err(PerfError::io("make", folder))?;
    let mut graphs = Vec::new();
    for (name, stacks) in std::iter::once(("all".to_owned(), profile.all())).chain(profile.by_role()) {
        if stacks.total() == 0 {
            continue;
        }
        let file = file_name(&name);
        let (svg, folded) = (PathBuf::from(format!("{file}.svg")), PathBuf::from(format!("{file}.folded")));
        draw(&stacks, &format!("{title}: {name}"), unit, waits, &folder.join(&svg))?;
        stacks.write(&folder.join(&folded))?;
        graphs.push(Graph { name, svg, folded, total: stacks.total(), hottest: stacks.hottest(HOTTEST) });
    }
    Ok(graphs)
}

/// A thread's name is its own to choose: not the path of its file.
fn file_name(name: &str) -> String {
    let keep =
        |character: char| if character.is_ascii_alphanumeric() || "-_.".contains(character) { character } else { '_' };
    name.chars().map(keep).collect::<String>().trim_start_matches('.').to_owned()
}

/// What changed between two profiles.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Difference {
    /// Counts before.
    pub before: u64,
    /// Counts after.
    pub after: u64,
    /// Innermost functions whose share changed most: name, share before and after, of 1.
    pub moved: Vec<(String, f64, f64)>,
    /// The same of functions with all that they call.
    pub moved_with_callees: Vec<(String, f64, f64)>,
}

/// Draws what changed from `before` to `after`: red grew, blue shrank. Counts are compared as shares, so that both may have run for
/// different times.
///
/// # Errors
/// When the file cannot be written.
pub fn diff(before: &Stacks, after: &Stacks, path: &Path) -> Result<Difference, PerfError> {
    let options = inferno::differential::Options { normalize: true, ..Default::default() };
    let mut both = Vec::new();
    inferno::differential::from_readers(options, before.folded().as_bytes(), after.folded().as_bytes(), &mut both)
        .map_err(PerfError::io("compare for", path))?;
    let mut options = Options::default();
    options.title = "Difference: red grew, blue shrank".to_owned();
    options.count_name = "samples".to_owned();
    let file = File::create(path).map_err(PerfError::io("write", path))?;
    flamegraph::from_reader(&mut options, both.as_slice(), BufWriter::new(file))
        .map_err(PerfError::io("draw", path))?;
    Ok(Difference {
        before: before.total(),
        after: after.total(),
        moved: moved(before, after, true),
        moved_with_callees: moved(before, after, false),
    })
}

fn moved(before: &Stacks, after: &Stacks, own: bool) -> Vec<(String, f64, f64)> {
    let shares = |stacks: &Stacks| {
        let total = stacks.total().max(1) as f64;
        stacks.functions(own).into_iter().map(move |(name, count)| (name, count as f64 / total))
    };
    let mut both: std::collections::BTreeMap<String, (f64, f64)> = std::collections::BTreeMap::new();
    shares(before).for_each(|(name, share)| both.entry(name).or_default().0 = share);
    shares(after).for_each(|(name, share)| both.entry(name).or_default().1 = share);
    let mut moved: Vec<(String, f64, f64)> = both.into_iter().map(|(name, (was, is))| (name, was, is)).collect();
    moved.sort_by(|a, b| (b.2 - b.1).abs().total_cmp(&(a.2 - a.1).abs()));
    moved.truncate(HOTTEST);
    moved.retain(|(_, was, is)| (was - is).abs() > f64::EPSILON);
    moved
}

#[cfg(test)]
mod tests;
