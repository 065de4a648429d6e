use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::folder;
use crate::wait::until;

/// Whether this machine can play such a test; says loudly when it cannot. `cargo xtask test` counts it as skipped.
pub(super) fn can(what: &str) -> bool {
    let root = is_root();
    let loops = Path::new("/dev/loop-control").exists();
    let tools = ["mount", "umount", "mkfs.ext4", "xfs_io"].iter().all(|tool| is_there(tool));
    if !(root && loops && tools) {
        eprintln!("SKIPPED {what}: it needs root, loop devices, e2fsprogs and xfsprogs");
    }
    root && loops && tools
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default().to_owned();
        ids.split_whitespace().nth(1) == Some("0")
    })
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs a program that must succeed.
#[track_caller]
pub(super) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A file system of its own in a file, mounted. Dropped, it is unmounted and removed.
pub(super) struct Disk {
    place: TempDir,
    /// Where it is mounted.
    folder: PathBuf,
}

impl Disk {
    /// Makes an ext4 of so many MiB and mounts it.
    #[track_caller]
    pub(super) fn new(mib: u64) -> Disk {
        let place = folder();
        let at = place.path().join("mnt");
        std::fs::create_dir(&at).expect("a folder");
        Disk::at(place, &at, mib)
    }

    /// The same over a folder that is there; what that holds moves onto it.
    #[track_caller]
    pub(super) fn over(at: &Path, mib: u64) -> Disk {
        let place = folder();
        let aside = place.path().join("aside");
        run("cp", &["-a", text(at), text(&aside)]);
        let disk = Disk::at(place, at, mib);
        run("cp", &["-a", text(&aside.join(".")), text(at)]);
        run("sync", &["-f", text(at)]);
        disk
    }

    fn at(place: TempDir, at: &Path, mib: u64) -> Disk {
        let disk = Disk { place, folder: at.to_owned() };
        let image = disk.image();
        std::fs::File::create(&image).and_then(|file| file.set_len(mib << 20)).expect("an image");
        // No blocks kept for root: full is full. Small inode tables and journal: most of it is for data.
        run("mkfs.ext4", &["-q", "-F", "-m", "0", "-N", "4096", "-J", "size=4", text(&image)]);
        disk.mount();
        disk
    }

    fn image(&self) -> PathBuf {
        self.place.path().join("image")
    }

    /// Where files go.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn mount(&self) {
        run("mount", &["-o", "loop,errors=remount-ro", text(&self.image()), text(&self.folder)]);
    }

    fn unmount(&self) {
        let unmounts = || Command::new("umount").arg(&self.folder).output().expect("umount runs").status.success();
        until(|| unmounts().then_some(())).expect("it is in use no more");
    }

    /// Breaks it: from now on every read and write ends with an I/O error.
    pub(super) fn fail(&self) {
        run("xfs_io", &["-x", "-c", "shutdown -f", text(&self.folder)]);
    }

    /// What a kernel does with `errors=remount-ro` when it finds damage.
    pub(super) fn turn_read_only(&self) {
        let name = self.device();
        std::fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "a test").expect("the kernel takes it");
        until(|| std::fs::write(self.folder.join("probe"), "x").err()).expect("it turns read-only");
    }

    /// Mends it, as a repair and a restart of the machine do.
    pub(super) fn mend(&self) {
        self.unmount();
        // It may find and mend what the test broke: then it ends with status 1.
        let checked = Command::new("e2fsck").args(["-p", "-f", text(&self.image())]).output().expect("e2fsck runs");
        assert!(checked.status.code().is_some_and(|code| code < 4), "{}", String::from_utf8_lossy(&checked.stdout));
        self.mount();
    }

    /// The name of its loop device.
    pub(super) fn device(&self) -> String {
        let mounts = std::fs::read_to_string("/proc/mounts").expect("a list of mounts");
        let at = self.folder.canonicalize().expect("it is there");
        let line = mounts.lines().rev().find(|line| line.split(' ').nth(1) == at.to_str());
        let device = line.and_then(|line| line.split(' ').next()).expect("it is mounted");
        device.trim_start_matches("/dev/").to_owned()
    }

    /// Fills it up to the last `free` bytes with a file that is not the broker's.
    pub(super) fn fill(&self, free: u64) -> Ballast {
        let path = self.folder.join("ballast");
        let there = self.free();
        if free == 0 {
            // Until no block is left; that it then fails is what is wanted.
            let target = format!("of={}", text(&path));
            let arguments = ["if=/dev/zero", &target, "bs=64k", "conv=fsync"];
            let status = Command::new("dd").args(arguments).output().expect("dd runs").status;
            assert!(!status.success() && self.free() < 64 << 10, "{} bytes are free", self.free());
        } else if there > free {
            run("fallocate", &["-l", &(there - free).to_string(), text(&path)]);
        }
        Ballast(path)
    }

    /// Bytes that a program may still take.
    pub(super) fn free(&self) -> u64 {
        let output = Command::new("stat").args(["-f", "-c", "%a %S", text(&self.folder)]).output().expect("stat runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.split_whitespace().map(|number| number.parse::<u64>().expect("a number")).product()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).output();
    }
}

/// Somebody else's file on the disk. Dropped, it is gone.
pub(super) struct Ballast(PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}
