use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla_units::Timestamp;

/// Done after `duration`.
pub async fn sleep(duration: Duration) {
    glommio::timer::Timer::new(duration).await;
}

/// The output of `future`, or `None` when it is not done after `limit`; then it is dropped.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = pin!(glommio::timer::Timer::new(limit));
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        timer.as_mut().poll(context).map(|_| None)
    })
    .await
}

/// The time of day, which may jump.
pub fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A clock that never goes back; what deadlines and latencies are counted by.
pub fn monotonic() -> Instant {
    Instant::now()
}
