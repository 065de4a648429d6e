use super::*;

#[test]
fn a_stall_of_a_closed_loop_counts_for_what_it_held_up() {
    let mut raw = histogram().unwrap();
    for _ in 0..9_900 {
        raw.record(1_000).unwrap();
    }
    raw.record(1_000_000).unwrap();
    let latency = Latency::closed("request", &raw, 1_000);
    // Raw: one bad of 9,901. Corrected: a second of stall held up 1,000 more, evenly from 0 to 1 s.
    assert!(latency.raw_ms.p99 < 1.1, "{:?}", latency.raw_ms);
    assert!((850.0..950.0).contains(&latency.corrected_ms.p99), "{:?}", latency.corrected_ms);
    assert!((9_900..=11_000).contains(&latency.corrected_ms.count), "{:?}", latency.corrected_ms);
}

#[test]
fn an_open_loop_counts_from_due() {
    let mut tally = Tally::new().unwrap();
    tally.took(50_000_000, 10_000_000, 49_000_000);
    let latency = Latency::scheduled("end to end", &tally);
    assert!((39.9..40.1).contains(&latency.corrected_ms.max), "{latency:?}");
    assert!((0.99..1.01).contains(&latency.raw_ms.max), "{latency:?}");
}

#[test]
fn merging_adds_histograms_not_percentiles() {
    let of = |values: &[(u64, u64)]| {
        let counts = Counts(values.to_vec());
        Latency { corrected: Some(counts.clone()), raw: Some(counts), ..Latency::default() }
    };
    let mut fast = of(&[(100, 9_900)]);
    fast.add(&of(&[(100_000, 100)])).unwrap();
    assert_eq!(fast.corrected_ms.count, 10_000);
    assert!((0.09..0.11).contains(&fast.corrected_ms.p50), "{fast:?}");
    assert!(fast.corrected_ms.p999 > 99.0, "the slow hundredth is in the tail: {fast:?}");
}

#[test]
fn a_window_covers_what_was_due_in_it() {
    let phase = Phase::default();
    assert!(!phase.covers(phase.now_ns()) && !phase.counts());
    phase.begin();
    let within = phase.now_ns();
    phase.stop();
    assert!(phase.covers(within) && !phase.covers(phase.now_ns() + 1_000_000_000) && phase.stopped());
}

#[test]
fn counts_that_cannot_be_are_refused() {
    assert!(Counts(vec![(1, 1); COUNTS_MAX + 1]).histogram().is_err());
    assert_eq!(Counts(vec![(5, 2), (7, 1)]).histogram().unwrap().len(), 3);
}
