//! `ottla tune` on this host, and in a network namespace whose settings may be changed without harm.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Broker, file, folder, ottla, say, say_with, skip};

/// A setting that each namespace has for itself.
const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";
const SLOW_START: &str = "/proc/sys/net/ipv4/tcp_slow_start_after_idle";

/// A network namespace of its own, removed in the end.
struct Namespace(String);

impl Namespace {
    /// Makes one; says why where it may not.
    fn make(name: &str) -> Result<Namespace, String> {
        let name = format!("ottla-{name}-{}", std::process::id());
        let output =
            Command::new("ip").args(["netns", "add", &name]).output().map_err(|error| format!("ip: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(Namespace(name))
    }

    /// A program within.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, name]);
        command
    }

    fn ottla(&self, arguments: &[&str]) -> String {
        let mut command = self.program(env!("CARGO_BIN_EXE_ottla"));
        command.args(arguments);
        say_with(command, b"").ok()
    }

    fn read(&self, file: &str) -> String {
        let mut command = self.program("cat");
        command.arg(file);
        say_with(command, b"").ok().trim().to_owned()
    }

    fn write(&self, file: &str, value: &str) {
        let mut command = self.program("sh");
        command.args(["-c", &format!("echo {value} > {file}")]);
        say_with(command, b"").ok();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

#[test]
fn a_check_never_fails_and_says_what_comes_next() {
    let data = folder();
    let text = say(&["tune", "check", "--data", data.path().to_str().unwrap()]).ok();
    assert!(text.starts_with("Linux ") && text.contains("\nnext: "), "{text}");
    assert!(!text.contains('\x1b'), "no colours into a pipe");
    let json = say(&["tune", "check", "--json", "--data", data.path().to_str().unwrap()]).ok();
    let recorded = file(data.path(), "host.json", &json);
    // Neither time nor this host show in what recorded facts say.
    let again = say(&["tune", "check", "--json", "--facts", recorded.to_str().unwrap()]).ok();
    assert_eq!(json, again);
    let painted = say(&["tune", "check", "--color", "always", "--only", "limits"]).ok();
    assert!(painted.contains("\x1b["), "{painted}");
}

#[test]
fn rules_are_explained_and_wrong_names_corrected() {
    let text = say(&["tune", "check", "--explain", "storage.scheduler"]).ok();
    for part in ["looks at", "why", "source", "risk", "safe"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let said = say(&["tune", "check", "--only", "storage.schedular"]).complaint(2);
    assert!(said.contains("'storage.scheduler'"), "{said}");
    let scratch = folder();
    let wrong = file(scratch.path(), "facts.json", "[1]");
    let said = say(&["tune", "check", "--facts", wrong.to_str().unwrap()]).complaint(1);
    assert!(said.contains("no recorded facts") && said.contains("next: "), "{said}");
    let said = say(&["tune", "apply", "--facts", wrong.to_str().unwrap()]).complaint(1);
    assert!(said.contains("no recorded facts"), "{said}");
}

#[test]
fn settings_are_applied_and_restored_exactly() {
    let namespace = match Namespace::make("apply") {
        Ok(namespace) => namespace,
        Err(why) => return skip("tune apply in a network namespace", &why),
    };
    let folder = folder();
    let journal = folder.path().join("tune.journal");
    let journal = journal.to_str().unwrap();
    let outside = fs::read_to_string(SOMAXCONN).unwrap();
    namespace.write(SOMAXCONN, "321");
    namespace.write(SLOW_START, "1");
    let only = ["--only", "network.somaxconn", "--only", "network.slow-start", "--journal", journal];
    let said = namespace.ottla(&[["tune", "apply", "--dry-run"].as_slice(), &only].concat());
    assert!(said.contains("would change") && said.contains("321 → 4096"), "{said}");
    assert_eq!(namespace.read(SOMAXCONN), "321", "a dry run changes nothing");
    assert!(!Path::new(journal).exists());

    let said = namespace.ottla(&[["tune", "apply"].as_slice(), &only].concat());
    assert!(said.contains("321 → 4096"), "{said}");
    assert_eq!((namespace.read(SOMAXCONN), namespace.read(SLOW_START)), ("4096".into(), "0".into()));
    assert_eq!(fs::read_to_string(SOMAXCONN).unwrap(), outside, "the host itself is not touched");

    let said = namespace.ottla(&["tune", "revert", "--journal", journal]);
    assert!(said.contains("321 again"), "{said}");
    assert_eq!((namespace.read(SOMAXCONN), namespace.read(SLOW_START)), ("321".into(), "1".into()));
    assert!(!Path::new(journal).exists(), "nothing is left to take back");
    namespace.ottla(&["tune", "revert", "--journal", journal]);
}

/// As a crash in the middle leaves it: the journal names two changes, one was made.
#[test]
fn half_of_an_apply_is_restored() {
    let namespace = match Namespace::make("crash") {
        Ok(namespace) => namespace,
        Err(why) => return skip("tune revert after a crash", &why),
    };
    let folder = folder();
    namespace.write(SOMAXCONN, "321");
    namespace.write(SLOW_START, "1");
    let only = ["--only", "network.somaxconn", "--only", "network.slow-start", "--journal"];
    let journal = folder.path().join("tune.journal");
    let journal = journal.to_str().unwrap();
    namespace.ottla(&[["tune", "apply"].as_slice(), &only, &[journal]].concat());
    namespace.write(SLOW_START, "1");
    namespace.ottla(&["tune", "revert", "--journal", journal]);
    assert_eq!((namespace.read(SOMAXCONN), namespace.read(SLOW_START)), ("321".into(), "1".into()));
    assert!(!Path::new(journal).exists());
}

#[test]
fn what_somebody_else_has_set_is_named_and_left_alone() {
    let namespace = match Namespace::make("foreign") {
        Ok(namespace) => namespace,
        Err(why) => return skip("tune revert of foreign changes", &why),
    };
    let folder = folder();
    let journal = folder.path().join("tune.journal");
    let journal = journal.to_str().unwrap();
    namespace.write(SOMAXCONN, "321");
    namespace.ottla(&["tune", "apply", "--only", "network.somaxconn", "--journal", journal]);
    namespace.write(SOMAXCONN, "777");
    let mut revert = namespace.program(env!("CARGO_BIN_EXE_ottla"));
    revert.args(["tune", "revert", "--journal", journal]);
    let said = say_with(revert, b"").complaint(1);
    assert!(said.contains("holds 777") && said.contains("--force"), "{said}");
    namespace.ottla(&["tune", "revert", "--force", "--journal", journal]);
    assert_eq!(namespace.read(SOMAXCONN), "321");
}

#[test]
fn what_is_no_journal_is_refused() {
    let scratch = folder();
    let evil = r#"{"version":1,"boot":"","entries":[{"rule":"x","file":"/etc/hostname","before":"x","after":"y"}]}"#;
    let journal = file(scratch.path(), "tune.journal", evil);
    let mut command = ottla();
    command.args(["tune", "revert", "--force", "--journal"]).arg(&journal);
    let said = say_with(command, b"").complaint(1);
    assert!(said.contains("no journal of ours"), "{said}");
}

/// The probe's file is followed, one that is not understood is not; both are said in one line, and the broker serves.
#[test]
fn a_disk_is_probed_and_the_broker_follows() {
    let data = folder();
    let path = data.path().to_str().unwrap();
    let quick = ["tune", "probe", path, "--each", "1", "--size", "2", "--shards", "2"];
    let text = say(&quick).ok();
    for part in ["sequential writes", "sequential reads", "durable writes", "while the disk is busy", "chosen: "] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let written = fs::read_to_string(data.path().join("io.toml")).unwrap();
    assert!(written.contains("[journal]") && written.contains("[measured]"), "{written}");
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1, "nothing else is left behind");

    let followed = Broker::start(data.path());
    followed.say_with(&["produce", "t"], b"x\n").ok();
    assert!(followed.log().contains("as io.toml says"), "{}", followed.log());
    assert!(followed.stop().success());

    fs::write(data.path().join("io.toml"), written.replace("write_depth", "write_deepness")).unwrap();
    let defaults = Broker::start(data.path());
    assert_eq!(defaults.log().matches("io.toml").count(), 1, "one line: {}", defaults.log());
    assert!(defaults.log().contains("write_deepness"), "{}", defaults.log());
    assert_eq!(defaults.say(&["consume", "t", "--from", "beginning", "--max", "1"]).ok(), "x\n");
}

#[test]
fn a_folder_that_cannot_be_probed_is_told_with_the_next_step() {
    let said = say(&["tune", "probe", "/nonexistent/data"]).complaint(1);
    assert!(said.contains("/nonexistent/data") && said.contains("mkdir"), "{said}");
    let scratch = folder();
    let said = say(&["tune", "probe", scratch.path().to_str().unwrap(), "--size", "1"]).complaint(2);
    assert!(said.contains("--size"), "{said}");
}
