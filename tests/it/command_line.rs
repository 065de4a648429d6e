use crate::harness::{Broker, file, folder, ottla, say, say_with};

#[test]
fn help_and_version_are_there() {
    assert!(say(&["--version"]).ok().starts_with("ottla "));
    let help = say(&["--help"]).ok();
    for command in ["start", "topic", "produce", "consume", "log", "config", "metrics", "perf", "tune", "completions"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} in {help}");
        assert!(say(&[command, "--help"]).ok().contains("Usage: ottla"), "{command}");
    }
}

#[test]
fn what_is_typed_wrongly_ends_with_status_2_and_the_right_name() {
    for (line, expected) in [
        ("strat", "'start'"),
        ("start --lissen 127.0.0.1:0", "'--listen'"),
        ("start --set num.partitions", "key=value"),
        ("start --set num.partitions=many", "num.partitions=many"),
        ("start --listen nowhere", "nowhere"),
        ("topic create t --config retention.mss=1", "'retention.ms'"),
        ("topic alter t", "--config"),
        ("produce t --compression zip", "gzip"),
        ("consume t --from begining", "beginning"),
        ("config list retenton.ms", "retention.ms"),
        ("completions powerbash", "bash"),
    ] {
        let said = say(&line.split(' ').collect::<Vec<_>>()).complaint(2);
        assert!(said.contains(expected), "{line}: {said}");
    }
}

#[test]
fn a_configuration_file_is_checked_line_by_line() {
    let scratch = folder();
    let wrong = file(scratch.path(), "wrong.properties", "num.partitions=4\nlog.retention.ms=soon\n");
    let mut command = ottla();
    command.arg("start").arg("--config").arg(&wrong);
    let said = say_with(command, b"").complaint(2);
    assert!(said.contains("log.retention.ms=soon") && said.contains("line 2"), "{said}");
    let mut command = ottla();
    command.args(["start", "--config"]).arg(scratch.path().join("missing.properties"));
    let said = say_with(command, b"").complaint(1);
    assert!(said.contains("missing.properties"), "{said}");
}

#[test]
fn keys_that_nothing_bears_are_warned_about_with_the_nearest() {
    let data = folder();
    let right =
        file(data.path(), "server.properties", "zookeeper.connect=localhost:2181\nnum.partitons=7\nnum.partitions=3\n");
    let arguments = ["--config", right.to_str().unwrap(), "--set", "num.io.threads=9"];
    let broker = Broker::start_with(&data.path().join("data"), &arguments);
    let log = broker.log();
    for expected in ["did you mean num.partitions?", "zookeeper.connect is ignored", "num.io.threads is ignored"] {
        assert!(log.contains(expected), "{expected} in {log}");
    }
    broker.say_with(&["produce", "t"], b"x\n").ok();
    assert!(broker.say(&["topic", "list"]).ok().contains("t     3"), "{log}");
}

#[test]
fn no_broker_no_record_and_the_next_step() {
    let said = say(&["topic", "list", "--bootstrap", "127.0.0.1:1"]).complaint(1);
    assert!(
        said.contains("cannot connect to 127.0.0.1:1") && said.contains("ottla start --listen 127.0.0.1:1"),
        "{said}"
    );
    let said = say(&["topic", "list", "--bootstrap", "nowhere"]).complaint(1);
    assert!(said.contains("HOST:PORT"), "{said}");
}

#[test]
fn completions_are_there_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(say(&["completions", shell]).ok().contains("ottla"), "{shell}");
    }
}

#[test]
fn a_reader_that_has_enough_ends_the_command_quietly() {
    let data = folder();
    let broker = Broker::start(data.path());
    let lines = "x".repeat(100) + "\n";
    broker.say_with(&["produce", "t"], lines.repeat(20_000).as_bytes()).ok();
    let line = format!(
        "{} consume t --from beginning --exit --quiet --bootstrap {} | head -1",
        env!("CARGO_BIN_EXE_ottla"),
        broker.address
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &line]);
    let said = say_with(command, b"");
    assert_eq!((said.status, said.err.as_str()), (Some(0), ""));
    assert_eq!(said.out, lines);
}
