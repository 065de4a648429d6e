use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ottla_coordinator::{Reply, Token};

/// Requests that were handed to a coordinator and are not answered yet.
#[derive(Default)]
pub(super) struct Answers {
    slots: RefCell<HashMap<Token, Slot>>,
    last: Cell<u64>,
}

#[derive(Default)]
struct Slot {
    reply: Option<Reply>,
    waker: Option<Waker>,
}

impl Answers {
    /// A token, and its answer to come. Who lets go of the answer does not get it.
    pub(super) fn expect(self: &Rc<Self>) -> (Token, Answer) {
        let token = Token(self.last.get() + 1);
        self.last.set(token.0);
        self.slots.borrow_mut().insert(token, Slot::default());
        (token, Answer { token, answers: Rc::clone(self) })
    }

    /// Gives an answer to whoever still waits for it.
    pub(super) fn give(&self, token: Token, reply: Reply) {
        let waker = match self.slots.borrow_mut().get_mut(&token) {
            Some(slot) => {
                slot.reply = Some(reply);
                slot.waker.take()
            }
            None => None,
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// An answer to come.
pub(super) struct Answer {
    token: Token,
    answers: Rc<Answers>,
}

impl Future for Answer {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let mut slots = self.answers.slots.borrow_mut();
        let slot = slots.entry(self.token).or_default();
        match slot.reply.take() {
            Some(reply) => Poll::Ready(reply),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.answers.slots.borrow_mut().remove(&self.token);
    }
}
