use super::*;

fn profile() -> DiskProfile {
    let journal = JournalProfile { flush: Flush::Fdatasync, dsync_bytes_max: 4096 };
    let segments = SegmentProfile { write_bytes: 131_072, write_depth: 4 };
    let mut measured = toml::Table::new();
    measured.insert("flush_us".into(), 17.5.into());
    DiskProfile::new(journal, segments, Some(measured))
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(DiskProfile::read(folder.path()).unwrap().is_none());
    profile().write(folder.path()).unwrap();
    assert_eq!(DiskProfile::read(folder.path()).unwrap(), Some(profile()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let good = toml::to_string(&profile()).unwrap();
    assert_eq!(DiskProfile::parse(&good), Ok(profile()));
    for (from, to, why) in [
        ("version = 1", "version = 2", "version 2"),
        ("\"fdatasync\"", "\"sometimes\"", "line 4: "),
        ("write_depth = 4", "write_depth = -4", "line 9: "),
        ("write_depth", "write_deep", "line 9: unknown field `write_deep`"),
        ("[journal]", "[journal", "line 3: "),
    ] {
        let said = DiskProfile::parse(&good.replace(from, to)).unwrap_err();
        assert!(said.contains(why), "{to}: {said}\n{good}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(PROFILE_FILE), vec![b'#'; 70_000]).unwrap();
    assert!(DiskProfile::read(folder.path()).unwrap_err().to_string().contains("more than"));
    fs::write(folder.path().join(PROFILE_FILE), b"\xff\xff").unwrap();
    assert!(DiskProfile::read(folder.path()).unwrap_err().to_string().contains("cannot be read"));
}
