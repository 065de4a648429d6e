//! What this kernel and this process's limits allow, said so that a person can act on it.

use std::fmt;
use std::io;
use std::path::Path;

use io_uring::{IoUring, Probe, opcode};

/// What was found.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// As `uname -r` prints it.
    pub release: String,
    /// Completions run when the shard asks for them, not by interrupting it.
    pub defer_taskrun: bool,
    /// Files can be cut through the ring.
    pub ftruncate: bool,
    /// Zero-copy sends are there.
    pub send_zero_copy: bool,
    /// How much memory may be locked, in bytes; `None` for no limit.
    pub memlock: Option<u64>,
    /// How many descriptors may be open.
    pub nofile: u64,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Linux {}, io_uring", self.release)?;
        for (there, name) in
            [(self.defer_taskrun, "defer_taskrun"), (self.ftruncate, "ftruncate"), (self.send_zero_copy, "send_zc")]
        {
            if there {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

/// Asks the kernel.
///
/// # Errors
/// When it refuses a ring; [`explain`] says what to do.
pub fn kernel() -> io::Result<Kernel> {
    let ring: IoUring = IoUring::new(8)?;
    let mut probe = Probe::new();
    // A kernel too old to answer has none of what is asked below.
    let _ = ring.submitter().register_probe(&mut probe);
    let deferred: io::Result<IoUring> = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(8);
    Ok(Kernel {
        release: std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        defer_taskrun: deferred.is_ok(),
        ftruncate: probe.is_supported(opcode::Ftruncate::CODE),
        send_zero_copy: probe.is_supported(opcode::SendZc::CODE),
        memlock: limit(libc::RLIMIT_MEMLOCK),
        nofile: limit(libc::RLIMIT_NOFILE).unwrap_or(u64::MAX),
    })
}

fn limit(which: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one `rlimit` into the local place.
    if unsafe { libc::getrlimit(which, &raw mut limit) } != 0 || limit.rlim_cur == libc::RLIM_INFINITY {
        return None;
    }
    Some(limit.rlim_cur)
}

/// Raises the limit of open files as far as this process may; says what it is now.
pub fn raise_nofile() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one `rlimit` into the local place.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 0;
    }
    if limit.rlim_cur < limit.rlim_max {
        let wanted = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
        // SAFETY: reads one `rlimit` from the local place.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) } == 0 {
            return wanted.rlim_cur;
        }
    }
    limit.rlim_cur
}

/// Why a ring was refused, and the command that mends it.
pub fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => "this kernel has no io_uring: Ottla needs Linux 5.19 or later".to_owned(),
        Some(libc::EPERM) => match std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled") {
            Ok(value) if value.trim() != "0" => format!(
                "io_uring is switched off on this host (kernel.io_uring_disabled={}): run `sysctl -w kernel.io_uring_disabled=0`",
                value.trim()
            ),
            _ => "io_uring is forbidden to this process, as the default seccomp profiles of containers do: \
                  run the container with `--security-opt seccomp=unconfined` or a profile that allows io_uring_setup, io_uring_enter and io_uring_register"
                .to_owned(),
        },
        Some(libc::ENOMEM) => {
            "too little memory may be locked for io_uring: run `ulimit -l unlimited`, or `LimitMEMLOCK=infinity` in the unit file".to_owned()
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            "too few files may be open: run `ulimit -n 1048576`, or `LimitNOFILE=1048576` in the unit file".to_owned()
        }
        _ => {
            let text = error.to_string();
            if text.contains("memlock") || text.contains("memory") {
                "too little memory may be locked for io_uring: run `ulimit -l unlimited`, or `LimitMEMLOCK=infinity` in the unit file".to_owned()
            } else {
                format!("io_uring cannot be used: {text}")
            }
        }
    }
}

/// Whether files under `folder` can be read and written past the page cache.
pub fn direct_io(folder: &Path) -> bool {
    use std::os::unix::fs::OpenOptionsExt;
    let path = folder.join(format!(".direct-{}", std::process::id()));
    let opened =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).custom_flags(libc::O_DIRECT).open(&path);
    let _ = std::fs::remove_file(&path);
    opened.is_ok()
}
