use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla_units::Timestamp;

use crate::{ring, simulation};

/// Who waits for which moment.
///
/// *Lives on:* each shard, in its ring; or in a simulation.
#[derive(Default)]
pub(crate) struct Timers {
    waiting: RefCell<BTreeMap<(Instant, u64), Waker>>,
    numbers: Cell<u64>,
}

impl Timers {
    /// The next moment that anybody waits for.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.borrow().first_key_value().map(|((due, _), _)| *due)
    }

    /// Wakes those whose moment has come.
    pub(crate) fn fire(&self, now: Instant) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(entry) = waiting.first_entry() {
            if entry.key().0 > now {
                break;
            }
            entry.remove().wake();
        }
    }
}

/// Done at a moment.
struct Sleep {
    timers: Rc<Timers>,
    due: Instant,
    /// Its place among those who wait, once it does.
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if monotonic() >= self.due {
            return Poll::Ready(());
        }
        let timers = Rc::clone(&self.timers);
        let number = *self.number.get_or_insert_with(|| {
            let number = timers.numbers.get();
            timers.numbers.set(number + 1);
            number
        });
        timers.waiting.borrow_mut().insert((self.due, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.timers.waiting.borrow_mut().remove(&(self.due, number));
        }
    }
}

fn sleep_until(due: Instant) -> Sleep {
    let timers = if simulation::active() { simulation::timers() } else { Rc::clone(&ring::current().timers) };
    Sleep { timers, due, number: None }
}

/// Done after `duration`.
pub async fn sleep(duration: Duration) {
    let now = monotonic();
    // A time too far to be counted is a time that never comes.
    sleep_until(now.checked_add(duration).unwrap_or(now + Duration::from_secs(u64::from(u32::MAX)))).await;
}

/// The output of `future`, or `None` when it is not done after `limit`; then it is dropped.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = pin!(sleep(limit));
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
    if simulation::active() {
        return simulation::wall_clock();
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A clock that never goes back; what deadlines and latencies are counted by.
pub fn monotonic() -> Instant {
    if simulation::active() { simulation::monotonic() } else { Instant::now() }
}

/// Bytes that nobody can foresee, from the kernel: for names and marks that must not occur twice.
pub fn random_bytes() -> [u8; 16] {
    if simulation::active() {
        return simulation::random_bytes();
    }
    let mut bytes = [0; 16];
    // SAFETY: fills at most the length given, of a local place.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // So few bytes come whole once the kernel has gathered any at all, which it waits for.
    assert_eq!(filled, bytes.len() as isize, "the kernel has no random bytes: {}", std::io::Error::last_os_error());
    bytes
}
