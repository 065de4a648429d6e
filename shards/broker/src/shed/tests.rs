use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

fn poll(future: impl Future<Output = ()>) -> Poll<()> {
    pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn answers_are_counted_until_they_go() {
    let memory = AnswerMemory::new(100);
    let first = memory.hold(60);
    assert_eq!(poll(memory.room(|| 0)), Poll::Ready(()));
    let second = memory.hold(60);
    assert_eq!(memory.held(), 120);
    assert_eq!(poll(memory.room(|| 0)), Poll::Pending);
    drop(first);
    assert_eq!(poll(memory.room(|| 0)), Poll::Ready(()));
    drop(second);
    assert_eq!(memory.held(), 0);
}

#[test]
fn who_has_taken_all_does_not_wait_for_those_who_do_not_read() {
    let memory = AnswerMemory::new(100);
    let _unread = memory.hold(75);
    assert_eq!(poll(memory.room(|| 1)), Poll::Pending);
    assert_eq!(poll(memory.room(|| 0)), Poll::Ready(()));
    let _more = memory.hold(25);
    assert_eq!(poll(memory.room(|| 0)), Poll::Pending);
}

#[test]
fn it_is_short_only_while_somebody_waits() {
    let memory = AnswerMemory::new(100);
    let held = memory.hold(100);
    assert!(!memory.is_short());
    {
        let mut waits = pin!(memory.room(|| 0));
        assert_eq!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        assert!(memory.is_short());
        drop(held);
        assert_eq!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
    }
    assert!(!memory.is_short());
}

#[test]
fn fetches_share_what_is_free() {
    let memory = AnswerMemory::new(400 << 20);
    let first = memory.for_fetch(50 << 20);
    assert_eq!((first.bytes_max, first.at_least_one, first.counted.bytes()), (50 << 20, true, 50 << 20));
    let shares: Vec<_> = std::iter::repeat_with(|| memory.for_fetch(50 << 20)).take(40).collect();
    assert!(shares.iter().any(|share| share.at_least_one && share.bytes_max == 1 << 20));
    let last = &shares[39];
    assert_eq!((last.bytes_max, last.at_least_one), (64 << 10, false));
    assert!(memory.held() < 310 << 20, "{}", memory.held());
}
