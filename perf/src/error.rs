use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a profile could not be taken.
#[derive(Debug)]
pub enum PerfError {
    /// There is no `perf`.
    NotInstalled {
        /// The command that installs it on this system.
        install: String,
    },
    /// The kernel does not let this user.
    Forbidden {
        /// What was tried.
        what: &'static str,
        /// What `perf` said.
        said: String,
    },
    /// `perf` failed otherwise.
    Tool {
        /// What was tried.
        what: &'static str,
        /// What it said.
        said: String,
    },
    /// There is no such process, or it ended.
    NoProcess {
        /// Its number.
        pid: u32,
    },
    /// Nothing was seen: the process slept.
    NothingSeen {
        /// For how long it was looked at, in seconds.
        seconds: u64,
    },
    /// A file or a folder.
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// What should be folded stacks is none.
    NotFolded {
        /// The file.
        path: PathBuf,
        /// The line that is wrong.
        line: String,
    },
    /// The metrics endpoint does not answer as one of ours.
    Metrics {
        /// Where.
        address: String,
        /// What it did instead.
        why: String,
    },
    /// A broker of our own, or its load, did not work out.
    Child {
        /// Which.
        what: String,
        /// What it said.
        said: String,
    },
}

impl PerfError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PerfError {
        let path = path.to_path_buf();
        move |error| PerfError::Io { what, path, error }
    }

    /// What to do next.
    pub fn next_step(&self) -> String {
        match self {
            PerfError::NotInstalled { install } => install.clone(),
            PerfError::Forbidden { .. } => "run it as root; or `sysctl -w kernel.perf_event_paranoid=1 kernel.kptr_restrict=0`; \
                 in a container add --cap-add PERFMON --cap-add SYSLOG; tracepoints need read access to /sys/kernel/tracing as well"
                .to_owned(),
            PerfError::Tool { .. } => "try the same with `perf` by hand: its message says more".to_owned(),
            PerfError::NoProcess { .. } => "`pgrep -a ottla` shows what runs; --self-start starts a broker of its own".to_owned(),
            PerfError::NothingSeen { .. } => {
                "put load on it meanwhile (`ottla bench`), or use --self-start, which brings its own".to_owned()
            }
            PerfError::Io { path, .. } => format!("see what is wrong with {}", path.display()),
            PerfError::NotFolded { .. } => {
                "`ottla perf flame` writes .folded files: a stack, frames parted by `;`, then a blank and a number".to_owned()
            }
            PerfError::Metrics { .. } => {
                "`ottla.admin.listen` says where a broker serves its metrics: --metrics HOST:PORT".to_owned()
            }
            PerfError::Child { .. } => "its own log above says more".to_owned(),
        }
    }
}

impl fmt::Display for PerfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PerfError::NotInstalled { .. } => f.write_str("Linux `perf` is not installed, or not for this kernel"),
            PerfError::Forbidden { what, said } => write!(f, "{what} is not permitted here: {said}"),
            PerfError::Tool { what, said } => write!(f, "{what}: perf says: {said}"),
            PerfError::NoProcess { pid } => write!(f, "there is no process {pid}"),
            PerfError::NothingSeen { seconds } => write!(f, "nothing was seen in {seconds} s: the process slept"),
            PerfError::Io { what, path, error } => write!(f, "cannot {what} {}: {error}", path.display()),
            PerfError::NotFolded { path, line } => write!(f, "{} holds no folded stacks: {line:?}", path.display()),
            PerfError::Metrics { address, why } => write!(f, "no metrics of a broker at {address}: {why}"),
            PerfError::Child { what, said } => write!(f, "{what} failed: {said}"),
        }
    }
}

impl std::error::Error for PerfError {}
