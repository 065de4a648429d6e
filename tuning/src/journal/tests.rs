use super::*;

fn entry(file: &str, before: &str, after: Option<&str>) -> Entry {
    let after = after.map(str::to_owned);
    Entry {
        rule: "storage.scheduler".into(),
        file: file.into(),
        before: before.into(),
        altered: after.is_none(),
        after,
    }
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tune.journal");
    assert_eq!(Journal::read(&path).unwrap(), None);
    let mut journal = Journal::new("boot");
    journal.add(entry("/sys/block/vda/queue/scheduler", "mq-deadline", Some("none")));
    journal.write(&path).unwrap();
    assert_eq!(Journal::read(&path).unwrap(), Some(journal));
    Journal::remove(&path).unwrap();
    assert_eq!(Journal::read(&path).unwrap(), None);
}

#[test]
fn the_first_value_is_the_one_to_go_back_to() {
    let mut journal = Journal::new("boot");
    journal.add(entry("/sys/a", "1", None));
    journal.add(entry("/sys/a", "2", Some("3")));
    journal.add(entry("/sys/a", "3", Some("4")));
    assert_eq!(journal.entries.len(), 1);
    let kept = &journal.entries[0];
    assert_eq!((kept.before.as_str(), kept.after.as_deref(), kept.altered), ("1", Some("4"), true));
}

#[test]
fn what_is_no_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tune.journal");
    for (text, why) in [
        ("", "EOF"),
        ("{", "EOF"),
        (r#"{"version":2,"boot":"","entries":[]}"#, "version 2"),
        (r#"{"version":1,"boot":"","entries":[{"rule":"x","file":"/etc/passwd","before":"x"}]}"#, "/etc/passwd"),
        (r#"{"version":1,"boot":"","entries":[{"rule":"x","file":"/sys/../etc/shadow","before":"x"}]}"#, "shadow"),
    ] {
        fs::write(&path, text).unwrap();
        let said = Journal::read(&path).unwrap_err().to_string();
        assert!(said.contains(why) && said.contains("no journal of ours"), "{text}: {said}");
    }
}

#[test]
fn one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/tune.journal");
    let held = lock(&path).unwrap();
    assert!(matches!(lock(&path), Err(JournalError::Busy { .. })));
    drop(held);
    lock(&path).unwrap();
}
