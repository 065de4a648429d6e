use super::*;

const RECORDED: &str = include_str!("../../tests/recorded/offcpu.script");

#[test]
fn waits_are_measured_from_leaving_to_coming_back() {
    let script = "shard-0 10 [000] 5.000100: sched:sched_switch: prev_comm=shard-0 prev_pid=10 prev_state=S ==> next_pid=0\n\
                  \tffffffff81 schedule+0x23 ([kernel.kallsyms])\n\
                  \t      5e95 ottla_reactor::run;odd+0x13c (/usr/bin/ottla)\n\
                  \tffffffff81 schedule+0x23 ([kernel.kallsyms])\n\
                  \n\
                  shard-0 10 [000] 5.000110: PERF_RECORD_SWITCH OUT          next pid/tid: 0/0\n\
                  my thread 11 [001] 5.000200: sched:sched_switch: prev_comm=my thread prev_state=R+ ==> next_pid=0\n\
                  \tffffffff81 schedule+0x23 ([kernel.kallsyms])\n\
                  \tffffffff81 do_syscall_64+0x23 ([kernel.kallsyms])\n\
                  \n\
                  my thread 11 [001] 5.001200: PERF_RECORD_SWITCH IN\n\
                  shard-0 10 [001] 6.000100: PERF_RECORD_SWITCH IN           prev pid/tid: 0/0\n\
                  shard-0 10 [001] 7.000100: PERF_RECORD_SWITCH IN\n";
    let all = fold_waits(script.as_bytes()).unwrap().all();
    let wanted = "my thread;do_syscall_64_[k];[preempted] 1000\nshard-0;schedule_[k];ottla_reactor::run:odd 1000000\n";
    assert_eq!(all.folded(), wanted);
}

#[test]
fn a_recording_is_understood() {
    let profile = fold_waits(RECORDED.as_bytes()).unwrap();
    let roles = profile.by_role();
    let shard = &roles["shard-0"];
    assert!(shard.iter().any(|(stack, _)| stack.contains("io_cqring_wait_[k]")), "{}", shard.folded());
    // Nobody waits for longer than the recording took.
    let times: Vec<u64> = RECORDED.lines().filter_map(Head::parse).map(|head| head.micros).collect();
    let took = times.iter().max().unwrap() - times.iter().min().unwrap();
    for (role, stacks) in roles {
        assert!(stacks.total() <= took, "{role}: {} of {took} µs", stacks.total());
    }
}

#[test]
fn what_is_cut_off_or_strange_is_left_out() {
    let middle = RECORDED.len() / 2;
    fold_waits(&RECORDED.as_bytes()[middle..]).unwrap();
    for strange in
        ["", "\tffff f+0x1 (x)\n", "x 1 [0] 5.1: PERF_RECORD_SWITCH IN\n", "x [ 1] 99999999999999999999.1: y\n"]
    {
        assert_eq!(fold_waits(strange.as_bytes()).unwrap().total(), 0, "{strange}");
    }
    assert_eq!(frame("  ffff func+0x1c2 (/lib/x.so)").as_deref(), Some("func"));
    assert_eq!(frame("  ffff [unknown] ([kernel.kallsyms])").as_deref(), Some("[unknown]_[k]"));
}
