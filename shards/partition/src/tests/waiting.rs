use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use ottla_units::Offset;

use crate::waiting::{DataWaiter, Isolation, Visible, WatchList};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn visible(high_watermark: i64, last_stable: i64) -> Visible {
    Visible { high_watermark: Offset::new(high_watermark), last_stable: Offset::new(last_stable) }
}

#[test]
fn one_waiter_waits_at_many_partitions() {
    let lists: Vec<Rc<WatchList>> = (0..3).map(|_| Rc::default()).collect();
    let mut waiter = DataWaiter::new();
    for list in &lists {
        waiter.watch_list(list, Offset::new(5), Isolation::ReadUncommitted);
    }
    lists[0].moved(&visible(5, 5));
    assert!(!waiter.is_woken());
    lists[2].moved(&visible(6, 0));
    assert!(waiter.is_woken());
    waiter.rearm();
    lists[1].changed();
    assert!(waiter.is_woken());
    waiter.clear();
    assert!(!waiter.is_woken() && lists.iter().all(|list| list.len() == 0));
}

#[test]
fn partitions_are_let_go_of_in_parts() {
    let lists: Vec<Rc<WatchList>> = (0..5).map(|_| Rc::default()).collect();
    let mut waiter = DataWaiter::new();
    for list in &lists {
        waiter.watch_list(list, Offset::ZERO, Isolation::ReadUncommitted);
    }
    let waiting = || lists.iter().map(|list| list.len()).sum::<usize>();
    assert!(!waiter.release(2));
    assert_eq!(waiting(), 3);
    assert!(!waiter.release(2));
    assert_eq!(waiting(), 1);
    assert!(waiter.release(2));
    assert_eq!(waiting(), 0);
    assert!(waiter.release(2));
}

#[test]
fn readers_of_committed_records_wait_for_the_stable_offset() {
    let list: Rc<WatchList> = Rc::default();
    let mut waiter = DataWaiter::new();
    waiter.watch_list(&list, Offset::new(5), Isolation::ReadCommitted);
    list.moved(&visible(100, 5));
    assert!(!waiter.is_woken());
    list.moved(&visible(100, 6));
    assert!(waiter.is_woken());
}

#[test]
fn slots_are_used_again_whatever_the_order_of_leaving() {
    let list: Rc<WatchList> = Rc::default();
    let mut waiters: Vec<DataWaiter> = Vec::new();
    for round in 0..200usize {
        let mut waiter = DataWaiter::new();
        waiter.watch_list(&list, Offset::new(round as i64), Isolation::ReadUncommitted);
        waiters.push(waiter);
        if round % 3 == 2 {
            drop(waiters.swap_remove((round * 7) % waiters.len()));
        }
        assert_eq!(list.len(), waiters.len());
    }
    list.moved(&visible(1000, 0));
    assert!(waiters.iter().all(DataWaiter::is_woken));
    waiters.clear();
    assert_eq!(list.len(), 0);
}

#[test]
fn a_task_is_woken_once_and_sees_what_came_before_it_slept() {
    let list: Rc<WatchList> = Rc::default();
    let mut waiter = DataWaiter::new();
    waiter.watch_list(&list, Offset::ZERO, Isolation::ReadUncommitted);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);
    let done = Cell::new(false);
    {
        let mut sleep = pin!(async {
            waiter.woken().await;
            done.set(true);
        });
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        list.moved(&visible(1, 1));
        list.moved(&visible(2, 2));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(sleep.as_mut().poll(&mut context).is_ready() && done.get());
    }
    // Woken before it sleeps: it does not sleep at all.
    let mut again = pin!(waiter.woken());
    assert!(again.as_mut().poll(&mut context).is_ready());
}
