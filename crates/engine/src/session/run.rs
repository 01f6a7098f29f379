//! The transactions that a session has in hand: under way, and waiting to follow.
//!
//! # Contract
//! * **First come, first served**: what waits begins in its order, behind what is under way, and is answered
//!   in its order, also when it cannot begin.

use std::collections::VecDeque;

use remuda_clock::Now;

use super::{
    content::Blocks,
    order::{Order, TransactOrder},
};

/// What a session works on, from the first order until nothing is left.
pub(super) struct Run {
    /// Begun, in the order of their replies.
    pub(super) under_way: VecDeque<UnderWay>,
    /// To be begun.
    pub(super) waiting: VecDeque<Box<TransactOrder>>,
    /// No more orders come.
    pub(super) is_closed: bool,
    /// The next one cannot begin behind others: it waits for their answers, and nothing passes it.
    pub(super) is_held: bool,
    /// A transaction was over: the next one finds what that one left.
    pub(super) has_results: bool,
}

/// One transaction that has begun.
pub(super) struct UnderWay {
    pub(super) order: Box<TransactOrder>,
    pub(super) blocks: Blocks,
    pub(super) begun: Now,
}

impl Run {
    pub(super) fn new(first: Box<TransactOrder>) -> Self {
        Run {
            under_way: VecDeque::new(),
            waiting: [first].into(),
            is_closed: false,
            is_held: false,
            has_results: false,
        }
    }

    /// Answers whether every transaction has its result.
    pub(super) fn is_over(&self) -> bool {
        self.under_way.is_empty() && self.waiting.is_empty()
    }

    /// Takes what came while the session was busy: only transactions do, or the end.
    pub(super) fn take_in(&mut self, order: Option<Order>) {
        match order {
            Some(Order::Transact(order)) => self.waiting.push_back(order),
            Some(Order::Watch) => debug_assert!(false, "a busy session is not parked"),
            Some(Order::Retire) | None => self.is_closed = true,
        }
    }

    /// The orders that have no result, in their order.
    pub(super) fn into_orders(self) -> impl Iterator<Item = Box<TransactOrder>> {
        let under_way = self.under_way.into_iter().map(|one| one.order);
        under_way.chain(self.waiting)
    }
}
