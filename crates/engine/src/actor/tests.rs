//! The actor by hand: a test decides which input it hears of next.
//!
//! Mail for this host is in flight from its acceptance until the test hands the Maildir's answer in; mail
//! for others waits for a network that never connects.

mod headings;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use remuda_clock::{Clock, Now, SystemClock, Wall};
use remuda_dispatch::event::{Backlog, Event, Unresolved};
use remuda_mail::{
    Destination, Endpoint, EnhancedStatus, Envelope, HostPort, Outcome, Protocol, Recipient, Refusal,
};
use remuda_spool::{Content, Error, NewEntry, NewMessage, Options, Origin, Queued, Selection, Spool};
use tokio::sync::oneshot;

use super::*;
use crate::{
    local::{Delivered, Nobody},
    network::Connecting,
    operations::Verb,
    route::Router,
    settings::{Route, RouteDomain},
};

/// Nobody answers.
struct Silent;

impl Network for Silent {
    fn connect(&self, _: remuda_mail::Way) -> Connecting {
        Box::pin(std::future::pending())
    }
}

struct Bench {
    actor: Actor,
    inbox: Inbox,
    _reports: Reported,
    clock: Arc<SystemClock>,
    spool: Spool,
    _dir: tempfile::TempDir,
}

/// Maildirs' answer for one recipient who waits.
fn waiting(refusal: Refusal, is_unasked: bool) -> Delivered {
    Delivered {
        outcomes: vec![Outcome::Deferred(refusal)],
        is_unasked,
    }
}

fn settings(dir: &tempfile::TempDir) -> Settings {
    let hosts = [HostPort {
        host: "192.0.2.1".into(),
        port: None,
        preference: 0,
    }];
    Settings {
        data_dir: dir.path().to_owned(),
        dns_servers: vec![([127, 0, 0, 1], 9).into()],
        routes: vec![Route::new(
            RouteDomain::Exact("a.test".parse().unwrap()),
            hosts.into(),
        )],
        ..Settings::defaults("us.test")
    }
}

fn plan(settings: Settings, clock: &SharedClock) -> Arc<Plan> {
    let router = Arc::new(Router::new(&settings));
    Arc::new(Plan {
        addressing: Addressing::new(router, None),
        resolver: Arc::new(Resolver::new(&settings, clock.clone()).unwrap()),
        clients: Arc::new(Clients::new(&settings.delivery.tls, clock).unwrap()),
        vault: Vault::new(&settings),
        settings: Arc::new(settings),
    })
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock::paused());
        let shared: SharedClock = clock.clone();
        let spool = Spool::open(Options::new(dir.path()), shared.clone()).unwrap();
        let around = Surroundings {
            clock: shared.clone(),
            spool: spool.clone(),
            network: Arc::new(Silent),
            local: Arc::new(Local::new(Arc::new(Nobody), shared.clone())),
            metrics: Arc::new(Metrics::without_spool()),
            watch: Arc::new(|_, _| {}),
        };
        let (actor, inbox, reports) = Actor::new(around, plan(settings(&dir), &shared));
        Bench {
            actor,
            inbox,
            _reports: reports,
            clock,
            spool,
            _dir: dir,
        }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    /// Stores a message for `to` that expires in a minute, with a notice in half of one.
    async fn store(&self, to: &str, destination: &Destination) -> Queued {
        let now = self.now().wall;
        let expires = now + Duration::from_secs(60);
        let message = NewMessage {
            id: self.spool.allocate_id(),
            envelope: Envelope::default(),
            origin: Origin::default(),
            arrived: now,
            expires,
            notice: now + Duration::from_secs(30),
            content: Content::from(Bytes::from_static(b"A: b\r\n\r\nc\r\n")),
            entries: vec![NewEntry {
                destination: destination.clone(),
                recipients: vec![Recipient::plain(to.parse().unwrap())],
            }],
        };
        self.spool.store(message).await.unwrap().remove(0)
    }

    /// A message for this host, in flight.
    async fn in_flight(&mut self) -> Queued {
        let queued = self.store("postmaster@us.test", &local()).await;
        self.actor.take_in(Input::Accepted(vec![queued.clone()]));
        assert!(self.actor.is_in_flight(queued.id));
        queued
    }

    async fn input(&mut self) -> Input {
        self.inbox.recv().await.expect("the actor holds a sender")
    }

    /// Takes in what comes next, which is `what`.
    async fn hear(&mut self, what: fn(&Input) -> bool) {
        let input = self.input().await;
        assert!(what(&input));
        self.actor.take_in(input);
    }

    /// What is waiting and what is held at a destination, one message more that is accepted now.
    fn counts_with_one_more(&mut self, destination: &Destination) -> (u64, u64) {
        let now = self.now();
        self.actor.count(destination.clone(), Wall::NEVER, 1, now);
        let totals = self.actor.dispatch().totals();
        (totals.waiting, totals.held)
    }

    async fn look(&mut self) -> Input {
        let now = self.now();
        self.actor.look_at_notices(now);
        self.input().await
    }
}

fn local() -> Destination {
    remuda_mail::NextHop::Local.destination()
}

fn is_local(input: &Input) -> bool {
    matches!(input, Input::DeliveredLocally(..))
}

fn is_settled(input: &Input) -> bool {
    matches!(input, Input::Settled(_))
}

#[tokio::test(start_paused = true)]
async fn a_notice_read_before_a_settlement_gives_nothing_up_after_it() {
    let mut bench = Bench::new();
    bench.in_flight().await;
    let delivered = bench.input().await;
    tokio::time::advance(Duration::from_secs(61)).await;
    let noticed = bench.look().await;
    bench.actor.take_in(delivered);
    bench.hear(is_settled).await;
    bench.actor.take_in(noticed);
    assert!(bench.actor.notices.is_settled());
    assert_eq!(bench.counts_with_one_more(&local()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_finds_its_entry_in_flight_is_taken_up_when_the_entry_comes_back() {
    let mut bench = Bench::new();
    let queued = bench.in_flight().await;
    let Input::DeliveredLocally(delivery, _) = bench.input().await else {
        panic!("no local delivery");
    };
    tokio::time::advance(Duration::from_secs(31)).await;
    let noticed = bench.look().await;
    bench.actor.take_in(noticed);
    assert!(bench.actor.notices.is_settled());
    let full = Refusal::ours(EnhancedStatus::new(4, 2, 2), "full");
    bench
        .actor
        .take_in(Input::DeliveredLocally(delivery, waiting(full, false)));
    bench.hear(is_settled).await;
    assert!(!bench.actor.notices.is_settled());
    bench.hear(|input| matches!(input, Input::NoticeSettled(_))).await;
    let notices = bench.spool.notices(bench.now().wall, 10).await.unwrap();
    assert_eq!((notices.due.len(), notices.next), (0, Some(queued.expires)));
}

/// D7: while nobody can say whether there is a mailbox, the message waits, and its attempts stay as they are.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_asked_for_is_no_attempt() {
    for (is_unasked, attempts) in [(true, 0), (false, 1)] {
        let mut bench = Bench::new();
        bench.in_flight().await;
        let Input::DeliveredLocally(delivery, _) = bench.input().await else {
            panic!("no local delivery");
        };
        let refusal = Refusal::ours(EnhancedStatus::new(4, 4, 3), "nobody knows");
        bench.actor.take_in(Input::DeliveredLocally(
            delivery,
            waiting(refusal.clone(), is_unasked),
        ));
        bench.hear(is_settled).await;
        let heads = bench.spool.heads(&local(), Wall::NEVER, 10).await.unwrap();
        assert_eq!((heads.entries.len(), heads.entries[0].attempts), (1, attempts));
        assert_eq!(heads.entries[0].recipients[0].last, Some(refusal));
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_does_not_bring_what_is_being_given_up() {
    let mut bench = Bench::new();
    let to = Router::new(&bench.actor.plan.settings)
        .route(&"r@a.test".parse().unwrap())
        .destination();
    let queued = bench.store("r@a.test", &to).await;
    tokio::time::advance(Duration::from_secs(61)).await;
    let noticed = bench.look().await;
    let now = bench.now();
    let backlog = Backlog {
        destination: to.clone(),
        waiting: 1,
        held: 0,
        due: Some(queued.due),
    };
    bench.actor.handle(Event::Started(vec![backlog]), now);
    let loaded = bench.input().await;
    assert!(matches!(loaded, Input::Loaded(..)));
    bench.actor.take_in(noticed);
    bench.actor.take_in(loaded);
    assert!(bench.actor.entries.held(queued.id).is_none());
    bench.hear(|input| matches!(input, Input::NoticeSettled(_))).await;
    assert!(bench.actor.notices.is_settled());
    assert_eq!(bench.counts_with_one_more(&to), (1, 0));
    assert_eq!(bench.spool.backlog().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_heard_of_after_the_end_counts_nothing_out_twice() {
    for verb in [Verb::Delete, Verb::Hold] {
        let mut bench = Bench::new();
        bench.actor.change_begins();
        let queued = bench.in_flight().await;
        let (which, now) = (Selection::Message(queued.message), bench.now());
        let changed = match verb {
            Verb::Delete => bench.spool.delete(which, now.wall).await.unwrap(),
            _ => bench.spool.hold(which, now.wall).await.unwrap(),
        };
        assert_eq!(changed.len(), 1);
        bench.hear(is_local).await;
        bench.hear(is_settled).await;
        assert_eq!(bench.actor.changed(verb, &changed, now), []);
        bench.actor.change_ended(now);
        assert_eq!(bench.counts_with_one_more(&local()), (1, 0), "{verb:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_in_flight_can_be_read_until_it_is_settled() {
    let mut bench = Bench::new();
    let queued = bench.in_flight().await;
    let delivered = bench.input().await;
    let (which, now) = (Selection::Message(queued.message), bench.now());
    let deleted = bench.spool.delete(which, now.wall).await.unwrap();
    assert_eq!(bench.actor.changed(Verb::Delete, &deleted, now), [queued.message]);
    let content = bench.spool.content(queued.message).await.unwrap();
    assert_eq!(content.size(), queued.size);
    bench.actor.take_in(delivered);
    bench.hear(is_settled).await;
    let content = bench.spool.content(queued.message).await;
    assert!(matches!(content, Err(Error::Missing { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_hold_and_a_release_in_flight_leave_no_trace() {
    let mut bench = Bench::new();
    let queued = bench.in_flight().await;
    let (which, now) = (Selection::Message(queued.message), bench.now());
    let held = bench.spool.hold(which.clone(), now.wall).await.unwrap();
    assert_eq!(bench.actor.changed(Verb::Hold, &held, now), [queued.message]);
    assert_eq!(bench.actor.dispatch().totals().held, 1);
    let released = bench.spool.release(which, now.wall).await.unwrap();
    bench.actor.changed(Verb::Release, &released, now);
    assert_eq!(bench.actor.dispatch().totals().held, 0);
    bench.hear(is_local).await;
    bench.hear(is_settled).await;
    assert_eq!(bench.counts_with_one_more(&local()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn retry_of_everything_ends_every_suspension() {
    let mut bench = Bench::new();
    let to = Destination::from_key("b.test");
    let queued = bench.store("r@b.test", &to).await;
    bench.actor.take_in(Input::Accepted(vec![queued]));
    let now = bench.now();
    let unresolved = Unresolved {
        refusal: Refusal::ours(EnhancedStatus::new(4, 4, 3), "no answer"),
        valid_until: now.monotonic,
    };
    bench.actor.take_in(Input::Resolved(to.clone(), Err(unresolved)));
    let is_suspended = |bench: &Bench| {
        let view = bench.actor.dispatch().destination(&to, now);
        view.is_some_and(|view| view.suspended.is_some())
    };
    assert!(is_suspended(&bench));
    bench.actor.thaw_all(now);
    assert!(!is_suspended(&bench));
}

#[tokio::test(start_paused = true)]
async fn mail_accepted_under_an_old_route_goes_to_the_new_one() {
    let mut bench = Bench::new();
    let (old, new) = (
        Destination::from_key("old.test"),
        Router::new(&bench.actor.plan.settings)
            .route(&"r@a.test".parse().unwrap())
            .destination(),
    );
    let queued = bench.store("r@a.test", &old).await;
    bench.actor.take_in(Input::Accepted(vec![queued]));
    assert!(
        bench.actor.entries.next_hop(&old).is_none(),
        "nobody else's mail is misled"
    );
    bench.hear(|input| matches!(input, Input::Moved(_))).await;
    let reached = bench.actor.entries.next_hop(&new).map(|hop| hop.destination());
    assert_eq!(reached, Some(new));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_moved_is_loaded_again() {
    for was_withdrawn in [true, false] {
        let mut bench = Bench::new();
        let old = Destination::from_key("old.test");
        let queued = bench.store("r@a.test", &old).await;
        let now = bench.now();
        if !was_withdrawn {
            bench.actor.count(old.clone(), Wall::NEVER, 1, now);
        }
        bench
            .actor
            .moved(moving::Moved::failed(queued, was_withdrawn, Error::Full), now);
        let view = bench.actor.dispatch().destination(&old, now).unwrap();
        assert_eq!(view.waiting, 1);
        assert_eq!(view.due, Some(now.wall + Duration::from_secs(10)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_shortens_the_times_looks_at_notices_sooner() {
    let mut bench = Bench::new();
    let noticed = bench.look().await;
    bench.actor.take_in(noticed);
    let now = bench.now();
    assert!(bench.actor.notices.next() > now.monotonic + Duration::from_secs(3600));
    let shorter = Settings {
        delivery: crate::settings::Delivery {
            queue_lifetime: Duration::from_secs(5),
            ..bench.actor.plan.settings.delivery.clone()
        },
        ..(*bench.actor.plan.settings).clone()
    };
    let shared: SharedClock = bench.clock.clone();
    bench.actor.take_in(Input::Replanned(plan(shorter, &shared)));
    assert!(bench.actor.notices.next() <= now.monotonic + Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_no_dial() {
    let Bench {
        mut actor,
        inbox,
        _reports,
        clock,
        spool,
        _dir,
    } = Bench::new();
    let now = clock.now();
    let endpoint = Endpoint::Tcp(([192, 0, 2, 1], 25).into());
    let order = crate::session::order::DialOrder {
        session: SessionId(1),
        endpoint,
        protocol: Protocol::Smtp,
        host: "a".into(),
        source: None,
        helo_name: "us.test".into(),
        connect_timeout: Duration::from_secs(30),
        security: Default::default(),
    };
    actor.dial(order, now);
    let (told, stopped) = oneshot::channel();
    let inputs = actor.inputs.clone();
    let run = tokio::spawn(actor.run(inbox, _reports));
    inputs.send(Input::Stop(told)).ok().unwrap();
    stopped.await.unwrap();
    run.await.unwrap();
    assert!(clock.now().monotonic - now.monotonic < Duration::from_secs(1));
    spool.close().await;
}
