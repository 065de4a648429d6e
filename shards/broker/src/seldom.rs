//! Lines of the log that clients could repeat without end.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A line is not said again for so long.
const PAUSE: Duration = Duration::from_secs(1);

/// One kind of line, said at most once a second.
///
/// *Lives on:* one shard.
#[derive(Default)]
pub(crate) struct Seldom {
    said: Cell<Option<Instant>>,
    unsaid: Cell<u64>,
}

impl Seldom {
    /// To be said now, and how many were left unsaid before; `None` when this one is left unsaid as well.
    pub(crate) fn turn(&self, now: Instant) -> Option<u64> {
        if self.said.get().is_some_and(|said| now.saturating_duration_since(said) < PAUSE) {
            self.unsaid.set(self.unsaid.get() + 1);
            return None;
        }
        self.said.set(Some(now));
        Some(self.unsaid.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_counted_instead() {
        let line = Seldom::default();
        let begun = Instant::now();
        assert_eq!(line.turn(begun), Some(0));
        assert_eq!((line.turn(begun), line.turn(begun + PAUSE / 2)), (None, None));
        assert_eq!(line.turn(begun + PAUSE), Some(2));
        assert_eq!(line.turn(begun + PAUSE * 2), Some(0));
    }
}
