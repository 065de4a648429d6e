use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::error::{During, Result};

/// How long a file system may say that it is still in use after its last user has ended.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Where the kernel lists file systems.
const MOUNTS: &str = "/proc/mounts";

/// A file system whose power can be cut, and how it is mounted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileSystem {
    /// ext4 as it comes: `data=ordered`.
    Ext4,
    /// ext4 with `data=writeback`: after a crash a file may hold blocks that were never written.
    Ext4Writeback,
    /// XFS.
    Xfs,
}

impl FileSystem {
    /// All of them.
    pub const ALL: [FileSystem; 3] = [FileSystem::Ext4, FileSystem::Ext4Writeback, FileSystem::Xfs];

    /// What it is called here.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Ext4Writeback => "ext4-writeback",
            FileSystem::Xfs => "xfs",
        }
    }

    /// The program that makes one, and its arguments.
    fn maker(self) -> (&'static str, [&'static str; 2]) {
        match self {
            FileSystem::Ext4 | FileSystem::Ext4Writeback => ("mkfs.ext4", ["-q", "-F"]),
            FileSystem::Xfs => ("mkfs.xfs", ["-q", "-f"]),
        }
    }

    fn options(self) -> &'static str {
        match self {
            FileSystem::Ext4Writeback => "loop,data=writeback",
            FileSystem::Ext4 | FileSystem::Xfs => "loop",
        }
    }
}

/// What this machine lacks for cutting the power of a file system; nothing where it can.
pub fn lacks() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("mounting needs root".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("the kernel has no loop devices".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    ["mount", "umount", "mkfs.ext4", "mkfs.xfs", "xfs_io"]
        .into_iter()
        .find(|name| !is_there(name))
        .map(|missing| format!("{missing} is not on the PATH (apt install e2fsprogs xfsprogs mount)"))
}

/// A file system in a file, mounted through a loop device. Dropped, it is unmounted and removed.
#[derive(Debug)]
pub struct Image {
    kind: FileSystem,
    file: PathBuf,
    folder: PathBuf,
    bytes: u64,
}

impl Image {
    /// Makes and mounts one: its file and the folder where it is mounted lie in `place`.
    ///
    /// # Errors
    /// [`crate::BenchError::Io`] with what a program said.
    pub fn make(place: &Path, kind: FileSystem, bytes: u64) -> Result<Image> {
        let image = Image {
            kind,
            file: place.join(format!("{}.img", kind.name())),
            folder: place.join(format!("{}.mnt", kind.name())),
            bytes,
        };
        std::fs::create_dir_all(&image.folder).during(|| format!("make {}", image.folder.display()))?;
        image.format()?;
        image.mount()?;
        Ok(image)
    }

    /// The folder where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Which file system it is.
    pub fn kind(&self) -> FileSystem {
        self.kind
    }

    /// Begins anew with an empty file system.
    ///
    /// # Errors
    /// As [`Image::make`].
    pub fn renew(&self) -> Result<()> {
        self.unmount()?;
        self.format()?;
        self.mount()
    }

    /// Lays a hand on the switch: to begin only then would give a broker milliseconds more.
    ///
    /// # Errors
    /// [`crate::BenchError::Io`].
    pub fn arm(&self) -> Result<Switch> {
        let program = Command::new("xfs_io")
            .arg("-x")
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .during(|| "run xfs_io".to_owned())?;
        Ok(Switch(program))
    }

    /// Unmounts and mounts it, as a restarted machine does.
    ///
    /// # Errors
    /// [`crate::BenchError::Io`].
    pub fn power_up(&self) -> Result<()> {
        self.unmount()?;
        self.mount()
    }

    fn format(&self) -> Result<()> {
        let file = std::fs::File::create(&self.file).during(|| format!("make {}", self.file.display()))?;
        file.set_len(self.bytes).during(|| format!("grow {}", self.file.display()))?;
        let (program, arguments) = self.kind.maker();
        run(program, &arguments, &[&self.file])
    }

    fn mount(&self) -> Result<()> {
        run("mount", &["-o", self.kind.options()], &[&self.file, &self.folder])
    }

    fn unmount(&self) -> Result<()> {
        let deadline = Instant::now() + UNMOUNT_LIMIT;
        loop {
            match run("umount", &[], &[&self.folder]) {
                // What a killed process had under way may hold it for some moments more.
                Err(_) if Instant::now() < deadline && self.is_mounted() => std::thread::sleep(LOOK_EVERY),
                other => return other,
            }
        }
    }

    fn is_mounted(&self) -> bool {
        let mounts = std::fs::read_to_string(MOUNTS).unwrap_or_default();
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        mounts.lines().any(|line| line.split(' ').nth(1).is_some_and(|at| Path::new(at) == folder))
    }
}

/// The power of an image, about to be cut.
#[derive(Debug)]
pub struct Switch(Child);

impl Switch {
    /// Cuts the power: what is not on stable storage is gone, and the file system refuses everything from now on. Gives the
    /// moment before which nothing was cut.
    ///
    /// This is the ioctl `EXT4_IOC_SHUTDOWN` (0x8004587D; XFS has it under the same number) without a flush of the file
    /// system's own log, by way of `xfs_io`.
    ///
    /// # Errors
    /// [`crate::BenchError::Io`].
    pub fn cut(mut self) -> Result<Instant> {
        let during = || "cut the power".to_owned();
        let at = Instant::now();
        if let Some(mut commands) = self.0.stdin.take() {
            commands.write_all(b"shutdown\n").during(during)?;
        }
        let output = self.0.wait_with_output().during(during)?;
        judge(&output).during(during)?;
        Ok(at)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.is_mounted() && self.unmount().is_err() {
            eprintln!("{} stays mounted", self.folder.display());
            return;
        }
        let _ = std::fs::remove_file(&self.file);
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// Runs a program; what it said is the error when it fails.
fn run(program: &str, arguments: &[&str], paths: &[&Path]) -> Result<()> {
    let during = || format!("run {program} {}", arguments.join(" "));
    let output = Command::new(program).args(arguments).args(paths).output().during(during)?;
    judge(&output).during(during)
}

/// What a program said is the error when it failed.
fn judge(output: &Output) -> std::io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(std::io::Error::other(said.trim().to_owned()))
}
