use super::*;

#[test]
fn a_wrong_workload_is_answered_with_the_right_name() {
    let Err(Trouble::Usage(text)) = workload("produce-16x64") else { panic!("it is no workload") };
    assert!(text.contains("'produce-16x64k'"), "{text}");
    assert!(workload("1-topic-16-partitions-1kb").is_ok(), "the OpenMessaging Benchmark's are there");
}

#[test]
fn lengths_have_units() {
    for (text, ms) in [("10ms", 10.0), ("0.5s", 500.0), ("2m", 120_000.0), ("3", 3_000.0), ("250us", 0.25)] {
        assert!((milliseconds(text).unwrap() - ms).abs() < 1e-9, "{text}");
    }
    for text in ["", "ms", "-1s", "10 parsecs"] {
        assert!(milliseconds(text).is_err(), "{text}");
    }
}
