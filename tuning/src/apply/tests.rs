use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;
use crate::{Fact, Facts, judge};

const SCHEDULER: &str = "/sys/block/sda/queue/scheduler";
const REQUESTS: &str = "/sys/block/sda/queue/nr_requests";
const SWAPPINESS: &str = "/proc/sys/vm/swappiness";

/// A host that is a map, and whose power may fail: a write beyond the budget changes nothing, nor does any after it.
#[derive(Clone, Default)]
struct Fake {
    files: BTreeMap<String, String>,
    writes_left: Cell<usize>,
    refuses: Option<(&'static str, io::ErrorKind)>,
}

impl Fake {
    fn new() -> Fake {
        let files = [
            (SCHEDULER, "none [mq-deadline] bfq\n"),
            (REQUESTS, "48\n"),
            (SWAPPINESS, "60\n"),
            ("/proc/sys/kernel/random/boot_id", "first\n"),
        ];
        let files = files.into_iter().map(|(file, text)| (file.to_owned(), text.to_owned())).collect();
        Fake { files, writes_left: Cell::new(usize::MAX), refuses: None }
    }
}

impl Host for Fake {
    fn read(&self, file: &str) -> io::Result<String> {
        self.files.get(file).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, file: &str, value: &str) -> io::Result<()> {
        if let Some((_, why)) = self.refuses.filter(|(refused, _)| *refused == file) {
            return Err(why.into());
        }
        let left = self.writes_left.get().checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
        self.writes_left.set(left);
        let text = match file {
            SCHEDULER => {
                // As the kernel does: another scheduler, another number of requests.
                self.files.insert(REQUESTS.to_owned(), "256\n".to_owned());
                ["none", "mq-deadline", "bfq"]
                    .map(|name| if name == value { format!("[{name}]") } else { name.to_owned() })
                    .join(" ")
            }
            _ => format!("{value}\n"),
        };
        self.files.insert(file.to_owned(), text);
        Ok(())
    }
}

fn facts() -> Facts {
    let mut facts = Facts::default();
    facts.memory.swappiness = Fact::Known(60);
    facts.memory.swap_bytes = Fact::Known(1 << 30);
    facts.disks = vec![crate::Disk {
        name: "sda".into(),
        rotational: Fact::Known(0),
        scheduler: Fact::Known("none [mq-deadline] bfq".into()),
        nr_requests: Fact::Known(48),
        ..crate::Disk::default()
    }];
    facts
}

fn settings(host: &Fake) -> [String; 3] {
    [SCHEDULER, REQUESTS, SWAPPINESS].map(|file| chosen(&host.files[file]))
}

#[test]
fn what_was_applied_is_taken_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tune.journal");
    let mut host = Fake::new();
    let before = settings(&host);
    let plan = plan(&host, &judge(&facts()), false);
    assert_eq!(plan.steps.len(), 3, "{plan:?}");
    let applied = apply(&mut host, &plan, &path).unwrap();
    assert!(applied.refused.is_empty(), "{applied:?}");
    assert_eq!(settings(&host), ["none", "256", "1"]);
    let reverted = revert(&mut host, &path, false).unwrap().unwrap();
    assert!(reverted.foreign.is_empty() && reverted.failed.is_empty(), "{reverted:?}");
    assert_eq!(settings(&host), before);
    assert_eq!(revert(&mut host, &path, false).unwrap(), None, "nothing is left to take back");
}

/// The power fails after each number of writes, in `apply` and in `revert`.
#[test]
fn a_crash_at_any_point_is_taken_back_exactly() {
    let findings = judge(&facts());
    for writes in 0..6 {
        for reverted_writes in 0..6 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("tune.journal");
            let mut host = Fake::new();
            let before = settings(&host);
            let plan = plan(&host, &findings, false);
            host.writes_left.set(writes);
            apply(&mut host, &plan, &path).unwrap();
            host.writes_left.set(reverted_writes);
            revert(&mut host, &path, false).unwrap();
            host.writes_left.set(usize::MAX);
            // Nothing is left when the first one went through.
            let _ = revert(&mut host, &path, false).unwrap();
            assert_eq!(settings(&host), before, "after {writes} and {reverted_writes} writes");
            assert!(!path.exists());
        }
    }
}

#[test]
fn applying_twice_goes_back_to_the_first_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tune.journal");
    let mut host = Fake::new();
    let before = settings(&host);
    let findings = judge(&facts());
    let first = plan(&host, &findings, false);
    apply(&mut host, &first, &path).unwrap();
    host.files.insert(SWAPPINESS.into(), "10".into());
    let second = plan(&host, &findings, false);
    assert_eq!(second.steps.len(), 1, "only what is not so yet: {second:?}");
    apply(&mut host, &second, &path).unwrap();
    revert(&mut host, &path, false).unwrap();
    assert_eq!(settings(&host), before);
}

#[test]
fn what_somebody_else_has_set_is_left_alone_without_force() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tune.journal");
    let mut host = Fake::new();
    let plan = plan(&host, &judge(&facts()), false);
    apply(&mut host, &plan, &path).unwrap();
    host.files.insert(SWAPPINESS.into(), "33".into());
    let reverted = revert(&mut host, &path, false).unwrap().unwrap();
    assert_eq!(reverted.foreign.len(), 1);
    assert_eq!(host.files[SWAPPINESS], "33");
    let forced = revert(&mut host, &path, true).unwrap().unwrap();
    assert_eq!(forced.restored.len(), 1);
    assert_eq!(chosen(&host.files[SWAPPINESS]), "60");
}

#[test]
fn what_is_refused_is_told_and_the_rest_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tune.journal");
    let mut host = Fake::new();
    host.refuses = Some((SCHEDULER, io::ErrorKind::PermissionDenied));
    let plan = plan(&host, &judge(&facts()), false);
    let applied = apply(&mut host, &plan, &path).unwrap();
    assert_eq!((applied.done.len(), applied.refused.len()), (2, 1), "{applied:?}");
    assert_eq!(applied.refused[0].1, "permission denied");
    assert_eq!(settings(&host), ["mq-deadline", "256", "1"]);
}

/// `default_qdisc` is refused so where the module of the wanted one is missing.
#[test]
fn a_value_that_the_kernel_does_not_know_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = Fake::new();
    host.refuses = Some((SCHEDULER, io::ErrorKind::NotFound));
    let plan = plan(&host, &judge(&facts()), false);
    let applied = apply(&mut host, &plan, &folder.path().join("tune.journal")).unwrap();
    assert_eq!(applied.refused[0].1, "this kernel has no none", "{applied:?}");
}

#[test]
fn nothing_changes_where_the_journal_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("is-a-file/tune.journal");
    fs::write(folder.path().join("is-a-file"), "x").unwrap();
    let mut host = Fake::new();
    let before = settings(&host);
    let plan = plan(&host, &judge(&facts()), false);
    apply(&mut host, &plan, &path).unwrap_err();
    assert_eq!(settings(&host), before);
}

#[test]
fn a_journal_from_before_a_reboot_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tune.journal");
    let mut host = Fake::new();
    let findings = judge(&facts());
    let first = plan(&host, &findings, false);
    apply(&mut host, &first, &path).unwrap();
    // The new kernel starts with a swappiness of its own.
    let mut host = Fake::new();
    host.files.insert(SWAPPINESS.into(), "50".into());
    host.files.insert("/proc/sys/kernel/random/boot_id".into(), "second".into());
    let second = plan(&host, &findings, false);
    apply(&mut host, &second, &path).unwrap();
    revert(&mut host, &path, false).unwrap();
    assert_eq!(chosen(&host.files[SWAPPINESS]), "50");
}

#[test]
fn rules_that_are_not_safe_wait_for_all() {
    let mut facts = Facts::default();
    facts.clock.source = Fact::Known("hpet".into());
    facts.clock.offered = Fact::Known(vec!["tsc".into(), "hpet".into()]);
    let mut host = Fake::new();
    let file = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    host.files.insert(file.into(), "hpet".into());
    let findings = judge(&facts);
    let careful = plan(&host, &findings, false);
    assert_eq!((careful.steps.len(), careful.unsafe_left_out), (0, vec!["clock.source".to_owned()]));
    assert_eq!(plan(&host, &findings, true).steps[0].after, "tsc");
}

#[test]
fn values_are_compared_as_the_kernel_means_them() {
    for (one, other, same) in [
        ("4096 131072\t6291456", "4096\t131072\t6291456", true),
        ("00000003", "3", true),
        ("00000000,00000000", "0", true),
        ("60", "6", false),
        ("none", "mq-deadline", false),
    ] {
        assert_eq!(is_same(one, other), same, "{one} {other}");
    }
    assert_eq!(chosen("always [madvise] never\n"), "madvise");
    assert_eq!(chosen("0-1\n"), "0-1");
}
