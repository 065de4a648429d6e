use super::*;

const RECORDED: &str = include_str!("../../tests/recorded/cpu.script");

#[test]
fn recorded_samples_fold_as_they_always_did() {
    let profile = Profile::fold(RECORDED.as_bytes()).unwrap();
    let folded = profile.all().folded();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/cpu.folded");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&golden, &folded).unwrap();
    }
    let golden = fs::read_to_string(golden).unwrap();
    for (line, (found, wanted)) in folded.lines().zip(golden.lines()).enumerate() {
        assert_eq!(found, wanted, "cpu.folded:{}: look at it, then BLESS=1 writes it anew", line + 1);
    }
    assert_eq!(folded.lines().count(), golden.lines().count());
    let events = RECORDED.lines().filter(|line| line.ends_with("cpu-clock: ")).count() as u64;
    assert_eq!(profile.total(), events, "each sample is counted once");
}

#[test]
fn kernel_frames_are_marked_and_ours_are_whole() {
    let all = Profile::fold(RECORDED.as_bytes()).unwrap().all();
    let stacks: Vec<&str> = all.iter().map(|(stack, _)| stack).collect();
    assert!(stacks.iter().any(|stack| stack.contains(";do_syscall_64_[k];")), "{stacks:?}");
    let whole = |stack: &&str| stack.starts_with("shard-") && stack.contains(";ottla_reactor::executor::run;");
    assert!(stacks.iter().any(whole), "frame pointers lead from the kernel to the thread's start: {stacks:?}");
}

fn thread(name: &str, tid: u32) -> Thread {
    Thread { name: name.into(), tid }
}

#[test]
fn threads_are_named_by_what_they_do() {
    let mut profile = Profile::default();
    for (name, tid) in
        [("shard-0", 10), ("shard-1", 11), ("shard-0", 12), ("iou-wrk-10", 13), ("iou-wrk-99", 14), ("ottla", 9)]
    {
        profile.add(thread(name, tid), "a;b", u64::from(tid));
    }
    let roles = profile.by_role();
    let told: Vec<(&str, u64)> = roles.iter().map(|(role, stacks)| (role.as_str(), stacks.total())).collect();
    let wanted = [("ottla", 9), ("ring.kernel-worker", 14), ("shard-0", 10), ("shard-0.helper", 12)];
    assert_eq!(told[..4], wanted);
    assert_eq!(told[4..], [("shard-0.kernel-worker", 13), ("shard-1", 11)]);
    assert_eq!(profile.all().total(), profile.total());
}

#[test]
fn the_root_frame_names_the_thread() {
    assert_eq!(Thread::of_root("shard-0-28476/28477"), Some(thread("shard-0", 28477)));
    assert_eq!(Thread::of_root("iou-wrk-28477-?/28479"), Some(thread("iou-wrk-28477", 28479)));
    assert_eq!(Thread::of_root("main"), None);
}

#[test]
fn folded_stacks_go_there_and_back() {
    let text = "a;b 3\na;b c 4\n";
    let stacks = Stacks::parse(text).unwrap();
    assert_eq!((stacks.total(), stacks.folded().as_str()), (7, text));
    assert_eq!(stacks.hottest(1), [("b c".to_owned(), 4)]);
    let recursive = Stacks::parse("a;b;a 5\n").unwrap();
    assert_eq!(recursive.functions(false), [("a".to_owned(), 5), ("b".to_owned(), 5)], "counted once");
    assert_eq!(recursive.functions(true), [("a".to_owned(), 5)]);
    for wrong in ["a;b", "a;b x", "a;b -1"] {
        assert_eq!(Stacks::parse(wrong), Err(wrong.to_owned()));
    }
    assert!(Stacks::parse("\n").is_err(), "nothing is no profile");
}
