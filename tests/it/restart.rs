use std::path::Path;

use crate::harness::{Broker, file, folder, ottla, say_with};

/// Writes `count` records to a topic of one partition, all in one run of the command line.
fn write(broker: &Broker, topic: &str, acks: &str, from: u32, count: u32) {
    broker.say(&["topic", "create", topic, "--partitions", "1", "--if-not-exists"]).ok();
    let lines: String = (from..from + count).map(|i| format!("{i}\n")).collect();
    broker.say_with(&["produce", topic, "--acks", acks], lines.as_bytes()).ok();
}

#[track_caller]
fn expect(broker: &Broker, topic: &str, count: u32) {
    let read = broker.say(&["consume", topic, "--from", "beginning", "--exit"]).ok();
    let expected: String = (0..count).map(|i| format!("{i}\n")).collect();
    assert_eq!(read, expected, "{topic}; the broker said:\n{}", broker.log());
}

#[test]
fn a_clean_stop_keeps_everything_and_ends_with_status_0() {
    let data = folder();
    for round in 0..3 {
        let broker = Broker::start(data.path());
        expect_if_there(&broker, "t", round * 100);
        write(&broker, "t", "all", round * 100, 100);
        let status = broker.stop();
        assert_eq!(status.code(), Some(0));
    }
    let broker = Broker::start(data.path());
    expect(&broker, "t", 300);
    broker.signal("INT");
}

fn expect_if_there(broker: &Broker, topic: &str, count: u32) {
    if count > 0 {
        expect(broker, topic, count);
    }
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let data = folder();
    for round in 0..4 {
        let broker = Broker::start(data.path());
        for acks in ["1", "all"] {
            let topic = format!("acks-{acks}");
            expect_if_there(&broker, &topic, round * 150);
            write(&broker, &topic, acks, round * 150, 150);
        }
        broker.kill();
    }
    let broker = Broker::start(data.path());
    expect(&broker, "acks-1", 600);
    expect(&broker, "acks-all", 600);
}

#[test]
fn another_number_of_shards_finds_the_same_records() {
    let data = folder();
    for (round, shards) in [(0, "1"), (1, "3"), (2, "2")] {
        let broker = Broker::start_with(data.path(), &["--set", &format!("ottla.shards={shards}")]);
        for topic in 0..8 {
            let topic = format!("t{topic}");
            expect_if_there(&broker, &topic, round * 20);
            write(&broker, &topic, "all", round * 20, 20);
        }
        if round == 1 {
            broker.kill();
        } else {
            assert!(broker.stop().success());
        }
    }
}

#[test]
fn topics_and_their_settings_survive() {
    let data = folder();
    let broker = Broker::start(data.path());
    broker.say(&["topic", "create", "t", "-p", "4", "-c", "max.message.bytes=2000"]).ok();
    let before = broker.say(&["topic", "describe", "t"]).ok();
    broker.kill();
    let broker = Broker::start(data.path());
    assert_eq!(broker.say(&["topic", "describe", "t"]).ok(), before);
    let large = vec![b'x'; 4000];
    let refused = broker.say_with(&["produce", "t"], &large).complaint(1);
    assert!(refused.contains("MESSAGE_TOO_LARGE") && refused.contains("max.message.bytes"), "{refused}");
}

/// How a broker that cannot start says so.
fn refusal(data: &Path, arguments: &[&str], status: i32) -> String {
    let mut command = ottla();
    command.args(["start", "--set", "ottla.admin.listen=127.0.0.1:0", "--data"]).arg(data).args(arguments);
    say_with(command, b"").complaint(status)
}

#[test]
fn a_folder_in_use_is_refused_by_the_pid_of_its_user() {
    let data = folder();
    let broker = Broker::start(data.path());
    let said = refusal(data.path(), &["--listen", "127.0.0.1:0"], 1);
    assert!(said.contains(&broker.pid().to_string()) && said.contains("--data"), "{said}");
}

#[test]
fn a_port_in_use_is_named() {
    let (data, other) = (folder(), folder());
    let broker = Broker::start(data.path());
    let said = refusal(other.path(), &["--listen", &broker.address], 1);
    assert!(said.contains(&broker.address) && said.contains("--listen"), "{said}");
}

#[test]
fn a_folder_of_a_newer_format_is_left_alone() {
    let data = folder();
    assert!(Broker::start(data.path()).stop().success());
    let meta = data.path().join("meta.properties");
    let text = std::fs::read_to_string(&meta).unwrap();
    let newer: String = text
        .lines()
        .map(|line| match line.split_once('=') {
            Some((key, _)) if key.contains("version") => format!("{key}=99\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(newer, text, "there is a version in {text}");
    std::fs::write(&meta, &newer).unwrap();
    let said = refusal(data.path(), &["--listen", "127.0.0.1:0"], 1);
    assert!(said.contains("99"), "{said}");
    assert_eq!(std::fs::read_to_string(&meta).unwrap(), newer);
}

#[test]
fn a_folder_that_cannot_be_made_is_said_plainly() {
    let scratch = folder();
    let in_the_way = file(scratch.path(), "file", "");
    let said = refusal(&in_the_way.join("data"), &["--listen", "127.0.0.1:0"], 1);
    assert!(said.contains("file") && said.contains("--data"), "{said}");
}
