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
    assert_eq!(poll(memory.room()), Poll::Ready(()));
    let second = memory.hold(60);
    assert_eq!(memory.held(), 120);
    assert_eq!(poll(memory.room()), Poll::Pending);
    drop(first);
    assert_eq!(poll(memory.room()), Poll::Ready(()));
    drop(second);
    assert_eq!(memory.held(), 0);
}

#[test]
fn it_is_short_only_while_somebody_waits() {
    let memory = AnswerMemory::new(100);
    let held = memory.hold(100);
    assert!(!memory.is_short());
    {
        let mut waits = pin!(memory.room());
        assert_eq!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        assert!(memory.is_short());
        drop(held);
        assert_eq!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
    }
    assert!(!memory.is_short());
}

#[test]
fn fetches_share_what_is_free_and_always_get_a_batch() {
    let memory = AnswerMemory::new(400 << 20);
    let (bytes, first) = memory.for_fetch(50 << 20);
    assert_eq!((bytes, first.bytes()), (50 << 20, 50 << 20));
    let guards: Vec<_> = std::iter::repeat_with(|| memory.for_fetch(50 << 20)).take(40).collect();
    assert_eq!(guards[39].0, 1 << 20);
    assert!(memory.held() < 450 << 20, "{}", memory.held());
}
