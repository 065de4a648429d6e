//! Folded stacks: how often each chain of calls was seen, thread by thread.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::BufRead;
use std::path::Path;

use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options};

use crate::PerfError;

/// How often each stack was seen, or how long: frames from the outermost, parted by `;`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stacks(BTreeMap<String, u64>);

impl Stacks {
    /// Adds to a stack's count.
    pub fn add(&mut self, stack: impl Into<String>, count: u64) {
        *self.0.entry(stack.into()).or_insert(0) += count;
    }

    /// All counts together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Stacks and counts, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(stack, count)| (stack.as_str(), *count))
    }

    /// Reads the folded form: a stack, a blank, a count; a line for each.
    ///
    /// # Errors
    /// The first line that is not of that form.
    pub fn parse(text: &str) -> Result<Stacks, String> {
        let mut stacks = Stacks::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (stack, count) = line.rsplit_once(' ').ok_or_else(|| line.to_owned())?;
            stacks.add(stack, count.parse().map_err(|_| line.to_owned())?);
        }
        if stacks.0.is_empty() { Err(String::new()) } else { Ok(stacks) }
    }

    /// Reads a file of the folded form.
    ///
    /// # Errors
    /// When it cannot be read, or is not of that form.
    pub fn read(path: &Path) -> Result<Stacks, PerfError> {
        let text = fs::read_to_string(path).map_err(PerfError::io("read", path))?;
        Stacks::parse(&text).map_err(|line| PerfError::NotFolded { path: path.to_path_buf(), line })
    }

    /// The folded form.
    pub fn folded(&self) -> String {
        self.iter().map(|(stack, count)| format!("{stack} {count}\n")).collect()
    }

    /// Writes the folded form.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self, path: &Path) -> Result<(), PerfError> {
        fs::write(path, self.folded()).map_err(PerfError::io("write", path))
    }

    /// Functions with their counts, the largest first: of themselves where `own`, else with all that they call.
    pub fn functions(&self, own: bool) -> Vec<(String, u64)> {
        let mut functions: BTreeMap<&str, u64> = BTreeMap::new();
        for (stack, count) in self.iter() {
            let mut frames = stack.split(';');
            // A function that calls itself is counted once.
            let seen: BTreeSet<&str> = if own { frames.next_back().into_iter().collect() } else { frames.collect() };
            seen.into_iter().for_each(|frame| *functions.entry(frame).or_insert(0) += count);
        }
        let mut functions: Vec<(String, u64)> =
            functions.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        functions.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        functions
    }

    /// The innermost functions with the largest counts.
    pub fn hottest(&self, count: usize) -> Vec<(String, u64)> {
        let mut functions = self.functions(true);
        functions.truncate(count);
        functions
    }
}

/// A thread as the kernel names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Thread {
    /// Its name, cut to 15 bytes by the kernel.
    pub name: String,
    /// Its number.
    pub tid: u32,
}

/// The stacks of each thread.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Profile {
    threads: BTreeMap<Thread, Stacks>,
}

impl Profile {
    /// Folds what `perf script` prints. Kernel frames end on `_[k]`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn fold(mut script: impl BufRead) -> Result<Profile, PerfError> {
        let mut options = Options::default();
        options.include_tid = true;
        options.annotate_kernel = true;
        options.nthreads = 1;
        let mut folded = Vec::new();
        let source = Path::new("perf script");
        Folder::from(options).collapse(&mut script, &mut folded).map_err(PerfError::io("fold", source))?;
        let mut profile = Profile::default();
        for line in String::from_utf8_lossy(&folded).lines() {
            let Some((stack, count)) = line.rsplit_once(' ') else { continue };
            let (root, frames) = stack.split_once(';').unwrap_or((stack, "[unknown]"));
            if let (Some(thread), Ok(count)) = (Thread::of_root(root), count.parse()) {
                profile.add(thread, frames, count);
            }
        }
        Ok(profile)
    }

    /// Adds to the count of a thread's stack.
    pub fn add(&mut self, thread: Thread, stack: impl Into<String>, count: u64) {
        self.threads.entry(thread).or_default().add(stack, count);
    }

    /// All counts together.
    pub fn total(&self) -> u64 {
        self.threads.values().map(Stacks::total).sum()
    }

    /// The stacks of each thread under a name that means the same in another run: `shard-0`, `shard-0.kernel-worker`. Threads that
    /// share a name count together, but for those called as a shard that are not the shard: `shard-0.helper`.
    pub fn by_role(&self) -> BTreeMap<String, Stacks> {
        let mut roles: BTreeMap<String, Stacks> = BTreeMap::new();
        for (thread, stacks) in &self.threads {
            let role = roles.entry(self.role(thread)).or_default();
            stacks.iter().for_each(|(stack, count)| role.add(stack, count));
        }
        roles
    }

    /// All stacks, each below its thread's role.
    pub fn all(&self) -> Stacks {
        let mut all = Stacks::default();
        for (role, stacks) in self.by_role() {
            stacks.iter().for_each(|(stack, count)| all.add(format!("{role};{stack}"), count));
        }
        all
    }

    fn role(&self, thread: &Thread) -> String {
        // The kernel calls the workers of a ring after the thread that made it.
        if let Some(owner) = thread.name.strip_prefix("iou-wrk-").and_then(|tid| tid.parse::<u32>().ok()) {
            let owner = self.threads.keys().find(|known| known.tid == owner);
            return format!("{}.kernel-worker", owner.map_or("ring", |owner| owner.name.as_str()));
        }
        if !thread.name.starts_with("shard-") {
            return thread.name.clone();
        }
        // A shard's executor has a thread for blocking work that bears its name; it was started later.
        let first = self.threads.keys().find(|known| known.name == thread.name);
        let is_shard = first.is_none_or(|first| first.tid == thread.tid);
        if is_shard { thread.name.clone() } else { format!("{}.helper", thread.name) }
    }
}

impl Thread {
    /// From inferno's root frame: `shard-0-1234/1235`, or `shard-0-?/1235` where the process was not printed.
    fn of_root(root: &str) -> Option<Thread> {
        let (left, tid) = root.rsplit_once('/')?;
        let (name, _) = left.rsplit_once('-')?;
        Some(Thread { name: name.to_owned(), tid: tid.parse().ok()? })
    }
}

#[cfg(test)]
mod tests;
