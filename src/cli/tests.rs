use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

/// What the parser says to a command line.
fn refusal(line: &str) -> (ErrorKind, String) {
    let error = Arguments::try_parse_from(std::iter::once("ottla").chain(line.split_whitespace())).unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn the_parser_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_teaches_by_example() {
    fn check(command: &clap::Command, path: &str) {
        let commands: Vec<_> = command.get_subcommands().collect();
        assert!(command.get_about().is_some(), "{path} says what it does");
        if commands.is_empty() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:\n  "), "{path} has examples");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path} explains {}", argument.get_id());
            }
        }
        commands.into_iter().for_each(|sub| check(sub, &format!("{path} {}", sub.get_name())));
    }
    check(&Arguments::command(), "ottla");
}

#[test]
fn what_is_typed_wrongly_is_answered_with_the_right_name() {
    for (line, expected) in [
        ("strat", "'start'"),
        ("start --lissen :9092", "'--listen'"),
        ("produce t --compression zst", "'zstd'"),
        ("topic create t --config retention.mss=1", "did you mean 'retention.ms'?"),
        ("topic create t --config num.partitions=1", "is a broker's setting"),
        ("topic create t --config retention.ms", "not KEY=VALUE"),
        ("topic alter t --delete-config cleanup.polic", "did you mean 'cleanup.policy'?"),
        ("topic create t --partitions 0", "0 is not in 1.."),
        ("consume t --from begining", "allowed: beginning"),
        ("consume t --format %x", "allowed are %t"),
        ("consume t --timeout never", "not a number of seconds"),
        ("completions basch", "'bash'"),
    ] {
        let (_, text) = refusal(line);
        assert!(text.contains(expected), "{line}: {text}");
    }
}

#[test]
fn what_was_typed_is_named_in_the_answer() {
    let (kind, text) = refusal("consume t --max many");
    assert_eq!(kind, ErrorKind::ValueValidation);
    assert!(text.contains("'many'") && text.contains("--max"), "{text}");
}
