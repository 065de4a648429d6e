use super::*;
use crate::parse;

fn text(enters: u32, submitted: u32) -> String {
    format!(
        "ottla_ring_enters_total{{shard=\"0\"}} {enters}\nottla_ring_submitted_total{{shard=\"0\"}} {submitted}\n\
         ottla_ring_completed_total{{shard=\"0\"}} {submitted}\nottla_ring_sleeps_total{{shard=\"0\"}} 5\n\
         ottla_shard_busy_seconds_total{{shard=\"0\"}} {}\nottla_other{{shard=\"7\"}} 1\n",
        f64::from(enters) / 1000.0
    )
}

#[test]
fn rates_are_differences_over_time() {
    let (before, after) = (totals(&parse(&text(100, 300))), totals(&parse(&text(1100, 4300))));
    let rates = rates(&before, &after, 2.0);
    assert_eq!(rates.len(), 1, "a shard without a ring is none");
    let rate = &rates[0];
    assert_eq!((rate.shard, rate.enters_per_second, rate.submissions_per_enter), (0, 500.0, 4.0));
    assert_eq!((rate.completions_per_enter, rate.sleeps_per_second, rate.busy), (4.0, 0.0, 0.5));
    let table = table(&rates);
    assert!(table.contains("SUBM/ENTER") && table.contains("4.00") && table.contains(" 50%"), "{table}");
    assert!(table.contains('?'), "what was not counted is not 0: {table}");
}

#[test]
fn an_idle_ring_divides_by_nothing() {
    let same = totals(&parse(&text(100, 300)));
    let rates = rates(&same, &same, 0.0);
    assert_eq!((rates[0].submissions_per_enter, rates[0].enters_per_second), (0.0, 0.0));
}
