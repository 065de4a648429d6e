//! The data folder's file system and the disks below it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{Disk, Fact, Mount, Source};

/// How many layers of mapped devices are followed down to a disk.
const LAYERS_MAX: usize = 8;
/// Older file systems than this do not exist: the image was made without a date.
const AGE_DAYS_MAX: u64 = 40 * 365;

pub(super) fn gather(source: &Source, data: &Path) -> (Fact<Mount>, Vec<Disk>) {
    let folder = nearest_existing(source, data);
    let mount = mount_of(source, &folder);
    let disks = match mount.known() {
        Some((_, device)) => disks_below(source, device).iter().map(|name| disk(source, name)).collect(),
        None => Vec::new(),
    };
    (mount.map(|(mount, _)| mount), disks)
}

/// The folder, or the nearest one above it that is there.
fn nearest_existing(source: &Source, data: &Path) -> PathBuf {
    let absolute = if source.is_live() {
        std::path::absolute(data).unwrap_or_else(|_| data.to_path_buf())
    } else {
        data.to_path_buf()
    };
    let there = absolute.ancestors().find(|folder| source.place(&folder.to_string_lossy()).exists());
    let there = there.unwrap_or(Path::new("/")).to_path_buf();
    if source.is_live() { there.canonicalize().unwrap_or(there) } else { there }
}

/// The mount with the longest path above `folder`, and the device's name in `/sys/class/block` where there is one.
fn mount_of(source: &Source, folder: &Path) -> Fact<(Mount, Option<String>)> {
    let why = || format!("/proc/self/mountinfo has no mount above {}", folder.display());
    source.text("/proc/self/mountinfo").and_then(why, |text| {
        // Later lines lie over earlier ones.
        let found = text.lines().filter_map(parse_mount).filter(|(mount, _)| folder.starts_with(&mount.point));
        let (mut mount, numbers) = found.max_by_key(|(mount, _)| Path::new(&mount.point).components().count())?;
        let device = device_name(source, &mount.source, &numbers);
        fill(source, &mut mount);
        Some((mount, device))
    })
}

/// One line of `/proc/self/mountinfo` (proc(5)) and its `major:minor`.
fn parse_mount(line: &str) -> Option<(Mount, String)> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let mut right = right.split(' ');
    let (filesystem, from, of_filesystem) = (right.next()?, right.next()?, right.next().unwrap_or(""));
    let mut options: Vec<String> = left.get(5)?.split(',').map(str::to_owned).collect();
    for option in of_filesystem.split(',').filter(|option| !option.is_empty()) {
        if !options.iter().any(|known| known == option) {
            options.push(option.to_owned());
        }
    }
    let mount = Mount {
        point: left.get(4)?.replace("\\040", " "),
        source: from.to_owned(),
        filesystem: filesystem.to_owned(),
        options,
        ..Mount::default()
    };
    Some((mount, (*left.get(2)?).to_owned()))
}

fn fill(source: &Source, mount: &mut Mount) {
    let point = source.place(&mount.point);
    // The root folder was made with the file system.
    mount.age_days = match point.metadata().and_then(|data| data.created()) {
        Ok(made) => match SystemTime::now().duration_since(made).map(|age| age.as_secs() / 86_400) {
            Ok(days) if days < AGE_DAYS_MAX => Fact::Known(days),
            Ok(_) => Fact::unknown(format!("{} does not say when it was made", mount.point)),
            Err(_) => Fact::unknown(format!("{} says that it was made in the future", mount.point)),
        },
        Err(error) => Fact::unknown(format!("when {} was made: {error}", mount.point)),
    };
    mount.free_percent = match rustix::fs::statvfs(&point) {
        Ok(space) if space.f_blocks > 0 => Fact::Known(space.f_bavail.saturating_mul(100) / space.f_blocks),
        Ok(_) => Fact::unknown(format!("{} says no size", mount.point)),
        Err(error) => Fact::unknown(format!("free space of {}: {error}", mount.point)),
    };
}

fn device_name(source: &Source, from: &str, numbers: &str) -> Option<String> {
    if let Some(name) = source.link_name(&format!("/sys/dev/block/{numbers}")).known() {
        return Some(name.clone());
    }
    let path = from.strip_prefix("/dev/")?;
    let name = if source.is_live() {
        // A name such as /dev/mapper/data is a link to the device.
        Path::new(from).canonicalize().ok()?.file_name()?.to_string_lossy().into_owned()
    } else {
        path.to_owned()
    };
    source.has(&format!("/sys/class/block/{name}")).then_some(name)
}

/// The disks that a device lies on: a partition's disk, what a mapped device is made of.
fn disks_below(source: &Source, device: &Option<String>) -> Vec<String> {
    let mut disks = Vec::new();
    let mut layer: Vec<String> = device.iter().cloned().collect();
    for _ in 0..LAYERS_MAX {
        let mut below = Vec::new();
        for name in layer {
            let parts = source.names(&format!("/sys/class/block/{name}/slaves"));
            if source.has(&format!("/sys/class/block/{name}/partition")) {
                below.extend(disk_of_partition(source, &name));
            } else if let Some(parts) = parts.known().filter(|parts| !parts.is_empty()) {
                below.extend(parts.iter().cloned());
            } else if !disks.contains(&name) {
                disks.push(name);
            }
        }
        if below.is_empty() {
            break;
        }
        layer = below;
    }
    disks
}

/// `/sys/class/block/nvme0n1p1` leads into the folder of its disk.
fn disk_of_partition(source: &Source, name: &str) -> Option<String> {
    let place = source.place(&format!("/sys/class/block/{name}"));
    let disk = place.canonicalize().ok()?.parent()?.file_name()?.to_string_lossy().into_owned();
    Some(disk)
}

fn disk(source: &Source, name: &str) -> Disk {
    let queue = format!("/sys/block/{name}/queue");
    let poll_queues = if name.starts_with("nvme") {
        source.number("/sys/module/nvme/parameters/poll_queues")
    } else {
        Fact::unknown("only NVMe has poll queues")
    };
    Disk {
        name: name.to_owned(),
        model: source.text(&format!("/sys/block/{name}/device/model")).map(|text| text.trim().to_owned()),
        rotational: source.number(&format!("{queue}/rotational")),
        scheduler: source.text(&format!("{queue}/scheduler")),
        nr_requests: source.number(&format!("{queue}/nr_requests")),
        rq_affinity: source.number(&format!("{queue}/rq_affinity")),
        write_cache: source.text(&format!("{queue}/write_cache")),
        fua: source.number(&format!("{queue}/fua")),
        poll_queues,
    }
}
