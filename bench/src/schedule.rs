//! When requests are due: evenly, whatever the broker does.

/// Due times of one of several load threads (or machines) that share one schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    start_ns: u64,
    interval_ns: f64,
    /// The next turn of all.
    turn: u64,
    /// How many share it.
    stride: u64,
}

impl Schedule {
    /// `rate` a second over all `of` sharers, of which this is number `at`.
    pub fn new(start_ns: u64, rate: f64, at: u64, of: u64) -> Schedule {
        Schedule { start_ns, interval_ns: 1e9 / rate, turn: at, stride: of.max(1) }
    }

    /// The first request is due then.
    pub fn begin(&mut self, start_ns: u64) {
        self.start_ns = start_ns;
    }

    /// When the next request is due. Computed from the start, so that rounding never adds up.
    pub fn due_ns(&self) -> u64 {
        self.start_ns + (self.turn as f64 * self.interval_ns) as u64
    }

    /// The next one has been taken.
    pub fn advance(&mut self) {
        self.turn += self.stride;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(mut schedule: Schedule, count: usize) -> Vec<u64> {
        (0..count)
            .map(|_| {
                let due = schedule.due_ns();
                schedule.advance();
                due
            })
            .collect()
    }

    #[test]
    fn is_even_and_does_not_drift() {
        let dues = dues(Schedule::new(5, 3.0, 0, 1), 3_000_001);
        assert_eq!(dues[0], 5);
        assert_eq!(dues[3], 1_000_000_005);
        assert_eq!(dues[3_000_000], 1_000_000_000_000_005, "a million seconds later it is still exact");
    }

    #[test]
    fn sharers_together_make_the_whole() {
        let mut together: Vec<u64> = (0..3).flat_map(|at| dues(Schedule::new(0, 1000.0, at, 3), 100)).collect();
        together.sort_unstable();
        assert_eq!(together, dues(Schedule::new(0, 1000.0, 0, 1), 300));
    }

    #[test]
    fn a_late_look_finds_all_that_became_due() {
        let mut schedule = Schedule::new(0, 1000.0, 0, 1);
        let mut found = 0;
        while schedule.due_ns() <= 250_000_000 {
            found += 1;
            schedule.advance();
        }
        assert_eq!(found, 251);
    }
}
