//! Waiting: for what a broker does by and by, and for time where a test is about time.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that should take milliseconds: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between one look and the next.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until there is something, or nothing when patience ends.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        let_pass(PAUSE);
    }
}

/// Lets time go by: that it does is the test.
pub(crate) fn let_pass(time: Duration) {
    thread::sleep(time);
}
