//! Company: whether a frame that could be written now waits a moment for those who were answered just before.
//!
//! Clients that keep so many requests under way ask again as soon as they are answered. Written at once, frames hold half of
//! them each and take turns; written when all are there, one frame serves everybody, with half the flushes. It waits no longer
//! than a cycle takes, and does not wait at all for long where that did not pay.

use std::rc::Rc;
use std::time::{Duration, Instant};

use ottla_reactor::{monotonic, timeout};

use crate::store::Shared;

/// Waits in a row that may not pay before none is tried for a while.
const PATIENCE: u32 = 16;
/// For so many cycles; then so many waits are tried again.
const PAUSE_CYCLES: u32 = 2048;
const TRIALS: u32 = 4;
/// A frame of this many bytes goes: larger ones gain more from being copied while the one before is written.
const FRAME_BYTES_MAX: usize = 32 << 10;
/// A cycle that took longer met something that the next one will not.
const CYCLE_MAX: Duration = Duration::from_millis(2);
/// The latest cycle's weight in the average is one in so many.
const WEIGHT: u32 = 8;

/// What is known of those who append.
pub(crate) struct Company {
    /// Appends with which the cycle being filled is complete.
    awaited: u32,
    /// When the last cycle was answered.
    answered: Instant,
    /// What a cycle takes on average.
    cycle: Duration,
    /// Waits that may still not pay.
    patience: u32,
    /// Cycles to go until one is tried again.
    pause: u32,
}

impl Company {
    pub(crate) fn new(now: Instant) -> Company {
        Company { awaited: 0, answered: now, cycle: Duration::ZERO, patience: PATIENCE, pause: 0 }
    }

    /// Whether a cycle of so many appends, in so many bytes, need not wait any longer.
    #[inline]
    pub(crate) fn is_complete(&self, appends: u32, bytes: usize) -> bool {
        appends >= self.awaited || bytes >= FRAME_BYTES_MAX
    }

    /// A cycle of `appends` that was sealed at `sealed` is answered `now`; `present` came meanwhile.
    pub(crate) fn answered(&mut self, appends: u32, present: u32, sealed: Instant, now: Instant) {
        self.answered = now;
        self.awaited = appends + present;
        self.cycle = (self.cycle * (WEIGHT - 1) + (now - sealed).min(CYCLE_MAX)) / WEIGHT;
    }

    /// How long the cycle being filled may wait.
    fn limit(&mut self, now: Instant) -> Duration {
        if self.pause > 0 {
            self.pause -= 1;
            return Duration::ZERO;
        }
        (self.answered + self.cycle).saturating_duration_since(now)
    }

    /// `before` appends have waited so long until there were `after`.
    fn waited(&mut self, before: u32, after: u32, long: Duration) {
        // Each that came is spared a cycle that others would have had to themselves.
        if self.cycle * (after - before) > long * after {
            self.patience = PATIENCE;
            return;
        }
        self.patience -= 1;
        if self.patience == 0 {
            self.patience = TRIALS;
            self.pause = PAUSE_CYCLES;
        }
    }
}

/// Waits for company for the cycle that would be sealed next.
pub(crate) async fn wait(store: &Rc<Shared>) {
    let began = monotonic();
    let (before, limit) = {
        let mut journal = store.journal.borrow_mut();
        let complete = journal.company.is_complete(journal.appends, journal.frame.len());
        if complete || journal.bulk_bytes > 0 || store.stopping.get() {
            return;
        }
        (journal.appends, journal.company.limit(began))
    };
    if limit.is_zero() {
        return;
    }
    let complete = store.work.wait();
    store.gathering.set(true);
    let _ = timeout(limit, complete).await;
    store.gathering.set(false);
    let mut journal = store.journal.borrow_mut();
    let after = journal.appends;
    journal.company.waited(before, after, monotonic() - began);
}

#[cfg(test)]
mod tests {
    use super::*;

    const CYCLE: Duration = Duration::from_micros(200);
    const SOON: Duration = Duration::from_micros(50);

    /// Company after many cycles of ten appends, the last of them answered at the moment that is given as well.
    fn of_ten() -> (Company, Instant) {
        let start = Instant::now();
        let mut company = Company::new(start);
        for _ in 0..64 {
            company.answered(10, 0, start, start + CYCLE);
        }
        (company, start + CYCLE)
    }

    #[test]
    fn those_who_were_answered_are_waited_for() {
        let (mut company, now) = of_ten();
        assert!(!company.is_complete(9, 9 << 10));
        assert!(company.is_complete(10, 10 << 10), "all are there");
        assert!(company.is_complete(1, FRAME_BYTES_MAX), "large frames go");
        assert!(company.limit(now) > SOON);
    }

    #[test]
    fn those_who_came_meanwhile_wait_for_them_too() {
        let (mut company, now) = of_ten();
        company.answered(10, 7, now, now + CYCLE);
        assert!(!company.is_complete(16, 0));
        assert!(company.is_complete(17, 0));
    }

    #[test]
    fn nobody_waits_longer_than_a_cycle_after_the_answer() {
        let (mut company, now) = of_ten();
        assert!(company.limit(now) <= CYCLE);
        assert_eq!(company.limit(now + CYCLE), Duration::ZERO);
        company.answered(10, 0, now, now + Duration::from_secs(5));
        assert!(company.limit(now + Duration::from_secs(5)) <= CYCLE_MAX, "one slow cycle is not the rule");
    }

    #[test]
    fn waiting_in_vain_is_given_up_and_tried_again_later() {
        let (mut company, now) = of_ten();
        for _ in 0..PATIENCE {
            assert!(!company.limit(now).is_zero());
            company.waited(1, 1, CYCLE);
        }
        for _ in 0..PAUSE_CYCLES {
            assert!(company.limit(now).is_zero());
        }
        for _ in 0..TRIALS {
            assert!(!company.limit(now).is_zero());
            company.waited(5, 6, CYCLE);
        }
        assert!(company.limit(now).is_zero(), "one more for five who waited a whole cycle is too few");
    }

    #[test]
    fn waiting_that_pays_goes_on() {
        let (mut company, now) = of_ten();
        for _ in 0..10 * PATIENCE {
            company.waited(3, 10, SOON);
            company.waited(1, 1, SOON);
        }
        assert!(!company.limit(now).is_zero());
    }
}
