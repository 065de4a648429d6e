use std::fs;

/// Clock ticks in a second, as `/proc` counts them: the same on every Linux that Rust supports (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What the operating system says of this process, in the units of Prometheus' own client libraries.
#[derive(Default, Debug)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: f64,
    pub(super) virtual_bytes: f64,
    pub(super) start_seconds: f64,
    pub(super) threads: f64,
    pub(super) open_files: f64,
    pub(super) open_files_max: f64,
}

impl Process {
    /// Reads `/proc/self`. What cannot be read stays 0.
    pub(super) fn read() -> Process {
        let mut process = Process {
            open_files: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as f64,
            open_files_max: open_files_max().unwrap_or(0.0),
            ..Process::default()
        };
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name in brackets may hold anything: the fields begin behind the last bracket, with the third.
        let fields: Vec<f64> = (stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace())
            .map(|field| field.parse().unwrap_or(0.0))
            .collect();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0.0);
        process.cpu_seconds = (field(14) + field(15)) / TICKS_PER_SECOND;
        process.threads = field(20);
        process.start_seconds = boot_seconds().map_or(0.0, |boot| boot + field(22) / TICKS_PER_SECOND);
        process.virtual_bytes = field(23);
        process.resident_bytes = resident_bytes().unwrap_or(0.0);
        process
    }
}

/// A line of `path` that begins with `name`: its first number.
fn number_after(path: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn resident_bytes() -> Option<f64> {
    Some(number_after("/proc/self/status", "VmRSS:")? * 1024.0)
}

fn open_files_max() -> Option<f64> {
    number_after("/proc/self/limits", "Max open files")
}

fn boot_seconds() -> Option<f64> {
    number_after("/proc/stat", "btime ")
}
