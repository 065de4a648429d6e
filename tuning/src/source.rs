use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fact;

/// Where facts are read: this host, or a folder that holds files as a host would show them.
#[derive(Clone, Debug)]
pub struct Source {
    root: PathBuf,
    /// Whether programs can be asked: not of a folder.
    live: bool,
}

impl Source {
    /// This host.
    pub fn host() -> Source {
        Source { root: PathBuf::from("/"), live: true }
    }

    /// Files below `root`, as `root/proc/meminfo`.
    pub fn folder(root: impl Into<PathBuf>) -> Source {
        Source { root: root.into(), live: false }
    }

    /// Whether this is a running host.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Where `path`, which begins with a slash, lies.
    pub fn place(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A small file's text, without the end of the line.
    pub fn text(&self, path: &str) -> Fact<String> {
        match fs::read(self.place(path)) {
            Ok(bytes) => Fact::Known(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
            Err(error) => Fact::unknown(because(path, &error)),
        }
    }

    /// A file that holds one whole number.
    pub fn number(&self, path: &str) -> Fact<u64> {
        self.text(path).and_then(|| format!("{path} holds no whole number"), |text| text.trim().parse().ok())
    }

    /// A file that holds one number, which may be below zero.
    pub fn signed(&self, path: &str) -> Fact<i64> {
        self.text(path).and_then(|| format!("{path} holds no number"), |text| text.trim().parse().ok())
    }

    /// A file that holds whole numbers in a row.
    pub fn numbers(&self, path: &str) -> Fact<Vec<u64>> {
        let why = || format!("{path} holds other things than numbers");
        self.text(path).and_then(why, |text| text.split_whitespace().map(|word| word.parse().ok()).collect())
    }

    /// The names in a folder, in order.
    pub fn names(&self, path: &str) -> Fact<Vec<String>> {
        let entries = match fs::read_dir(self.place(path)) {
            Ok(entries) => entries,
            Err(error) => return Fact::unknown(because(path, &error)),
        };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        Fact::Known(names)
    }

    /// Whether anything is at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.place(path).exists()
    }

    /// The last name of what a link leads to.
    pub fn link_name(&self, path: &str) -> Fact<String> {
        match fs::read_link(self.place(path)) {
            Ok(to) => Fact::Known(name_of(&to)),
            Err(error) => Fact::unknown(because(path, &error)),
        }
    }

    /// What a program prints.
    pub fn output(&self, program: &str, arguments: &[&str]) -> Fact<String> {
        let line = format!("{program} {}", arguments.join(" "));
        if !self.live {
            return Fact::unknown(format!("`{line}` was not run"));
        }
        match Command::new(program).args(arguments).output() {
            Ok(output) if output.status.success() => Fact::Known(String::from_utf8_lossy(&output.stdout).into_owned()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                Fact::unknown(format!("`{line}` says: {}", said.lines().next().unwrap_or("nothing").trim()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Fact::unknown(format!("{program} is not installed"))
            }
            Err(error) => Fact::unknown(format!("`{line}`: {error}")),
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn because(path: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("{path} is not there"),
        io::ErrorKind::PermissionDenied => format!("{path} may not be read"),
        _ => format!("{path}: {error}"),
    }
}
