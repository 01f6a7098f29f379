//! A change of the queue by the operator: in the spool step by step, and of each step the actor is told.
//!
//! # Contract
//! * **The actor hears of every step that is committed**, before and after one that fails.
//! * **It hears of the begin and the end**, so that what ends meanwhile is not counted out twice.

use std::sync::{Arc, Mutex, PoisonError};

use remuda_clock::{Now, Wall};
use remuda_mail::MessageId;
use remuda_spool::Spool;
use tokio::sync::{mpsc, oneshot};

use super::{shown, spool_error};
use crate::{
    actor::{Actor, Input},
    operations::{Changed, OperationError, Selection, Verb},
};

/// Tells the actor of the begin, and of the end when dropped.
struct UnderWay(mpsc::UnboundedSender<Input>);

impl UnderWay {
    fn begin(inputs: mpsc::UnboundedSender<Input>) -> Self {
        let change = UnderWay(inputs);
        change.tell(|actor, _| actor.change_begins());
        change
    }

    /// The actor is gone only when the engine has stopped; then there is nothing to keep in line.
    fn tell(&self, what: impl FnOnce(&mut Actor, Now) + Send + 'static) {
        let _ = self.0.send(Input::Call(Box::new(what)));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.tell(Actor::change_ended);
    }
}

/// Makes a change and answers when spool and actor have it.
pub(super) async fn change(
    inputs: mpsc::UnboundedSender<Input>,
    spool: Spool,
    (verb, selection): (Verb, Selection),
    now: Wall,
) -> Result<Changed, OperationError> {
    let under_way = UnderWay::begin(inputs);
    let in_flight: Arc<Mutex<Vec<MessageId>>> = Arc::default();
    let mut count = 0;
    let told = |changed: Vec<remuda_spool::Changed>| {
        count += changed.len() as u64;
        let in_flight = in_flight.clone();
        under_way.tell(move |actor, now| {
            let here = actor.changed(verb, &changed, now);
            let mut all = in_flight.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(here);
            all.dedup();
        });
    };
    let done = spool
        .change(of_spool(verb), shown::selection(&selection), now, told)
        .await;
    let (answer, answered) = oneshot::channel();
    under_way.tell(move |actor, now| {
        match (verb, selection) {
            (Verb::Retry, Selection::Destination(destination)) => actor.thaw(destination, now),
            (Verb::Retry, Selection::All) => actor.thaw_all(now),
            _ => {}
        }
        let _ = answer.send(());
    });
    done.map_err(spool_error)?;
    answered.await.map_err(|_| OperationError::Stopping)?;
    let in_flight = in_flight.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Changed {
        changed: count,
        in_flight: in_flight.iter().map(ToString::to_string).collect(),
    })
}

fn of_spool(verb: Verb) -> remuda_spool::Verb {
    match verb {
        Verb::Retry => remuda_spool::Verb::Retry,
        Verb::Hold => remuda_spool::Verb::Hold,
        Verb::Release => remuda_spool::Verb::Release,
        Verb::Delete => remuda_spool::Verb::Delete,
    }
}
