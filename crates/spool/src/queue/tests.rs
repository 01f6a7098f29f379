//! The bounds and the order of the write queue.

use super::*;

struct Nothing;

impl Job for Nothing {
    fn apply(&mut self, _: &Connection, _: &mut Effects) -> Result<(), Error> {
        Ok(())
    }

    fn answer(self: Box<Self>, _: Result<(), Error>) {}
}

fn request(kind: Kind, bytes: u64) -> Request {
    Request {
        kind,
        job: Box::new(Nothing),
        bytes,
        since: Monotonic::ZERO,
        file: None,
        failures: 0,
    }
}

const STORE: Kind = Kind::Store(MessageId(1));

#[test]
fn what_can_be_refused_is_bounded_in_octets() {
    let queue = WriteQueue::default();
    assert!(queue.push(request(STORE, 80), 100).unwrap());
    assert!(matches!(
        queue.push(request(STORE, 30), 100),
        Err(Error::Overloaded)
    ));
    assert!(matches!(
        queue.push(request(Kind::Change, 30), 100),
        Err(Error::Overloaded)
    ));
    assert!(!queue.push(request(STORE, 20), 100).unwrap());
    // What is being committed still counts, until it is answered.
    assert_eq!(queue.take_batch().unwrap().len(), 2);
    assert!(matches!(
        queue.push(request(STORE, 30), 100),
        Err(Error::Overloaded)
    ));
    queue.release(100);
    queue.push(request(STORE, 30), 100).unwrap();
}

#[test]
fn a_settlement_always_finds_room() {
    let queue = WriteQueue::default();
    queue.push(request(STORE, 100), 100).unwrap();
    queue.push(request(Kind::Kept, 100), 100).unwrap();
}

#[test]
fn one_change_larger_than_the_bound_may_come_alone() {
    let queue = WriteQueue::default();
    queue.push(request(STORE, 1000), 100).unwrap();
    assert!(matches!(
        queue.push(request(STORE, 1), 100),
        Err(Error::Overloaded)
    ));
}

#[test]
fn a_batch_is_bounded_and_in_order() {
    let queue = WriteQueue::default();
    for bytes in 0..600 {
        queue.push(request(STORE, bytes), u64::MAX).unwrap();
    }
    let first: Vec<u64> = queue.take_batch().unwrap().iter().map(|r| r.bytes).collect();
    assert_eq!(first, (0..512).collect::<Vec<u64>>());
    assert_eq!(queue.take_batch().unwrap().len(), 88);
    for _ in 0..3 {
        queue.push(request(STORE, BATCH_BYTES_MAX - 1), u64::MAX).unwrap();
    }
    assert_eq!(queue.take_batch().unwrap().len(), 2);
}

#[test]
fn one_writer_is_started_until_it_ends() {
    let queue = WriteQueue::default();
    assert!(queue.push(request(STORE, 1), 10).unwrap());
    assert!(!queue.push(request(STORE, 1), 10).unwrap());
    assert!(!queue.kick());
    assert!(queue.take_batch().is_some());
    assert!(queue.take_batch().is_none());
    assert!(queue.is_idle());
    assert!(queue.kick());
    assert!(queue.take_batch().unwrap().is_empty());
    assert!(queue.take_batch().is_none());
}

#[test]
fn a_closed_queue_takes_nothing_and_gives_what_it_has() {
    let queue = WriteQueue::default();
    queue.push(request(STORE, 1), 10).unwrap();
    queue.close();
    assert!(matches!(
        queue.push(request(Kind::Kept, 1), 10),
        Err(Error::Closed)
    ));
    assert_eq!(queue.take_batch().unwrap().len(), 1);
}

#[test]
fn the_age_of_the_oldest_change_includes_the_commit_in_hand() {
    let queue = WriteQueue::default();
    let at = |secs| Monotonic::ZERO + std::time::Duration::from_secs(secs);
    let aged = |secs| Request {
        since: at(secs),
        ..request(STORE, 1)
    };
    queue.push(aged(1), 10).unwrap();
    assert_eq!(queue.waiting(), (1, Some(at(1))));
    queue.take_batch().unwrap();
    queue.push(aged(2), 10).unwrap();
    assert_eq!(queue.waiting().1, Some(at(1)));
    queue.batch_ended(None);
    assert_eq!(queue.waiting().1, Some(at(2)));
}
