//! Recipients, next-hops and headings, over a directory in a real file that can be made to fail.

use std::{sync::Arc, time::Duration};

use remuda_clock::SystemClock;
use remuda_directory::{
    edit::Extent,
    model::Kind,
    store::{
        Store,
        double::{Double, Fault},
        sqlite::SqliteStore,
    },
    switches::{Settings as Cached, Switches},
};
use remuda_mail::{CredentialsId, HostPort, Recipient, Sender};
use remuda_spool::{Pending, Queued};
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    actor::fixture,
    settings::{Route, RouteDomain, Settings},
};

struct World {
    addressing: Addressing,
    directory: Directory,
    double: Arc<Double>,
    store: Arc<SqliteStore>,
    _place: tempfile::TempDir,
}

fn host(text: &str) -> HostPort {
    text.parse().unwrap()
}

fn configured(domain: RouteDomain, to: &str) -> Route {
    Route::new(domain, [host(to)].into())
}

impl World {
    /// With a `[[route]]` for `in.test` that takes mail from anyone, and one for `.test`.
    async fn new() -> World {
        let exact = RouteDomain::Exact("in.test".parse().unwrap());
        let open = Route {
            accept: true,
            ..configured(exact, "inside.test")
        };
        let below = RouteDomain::Subdomains("test".parse().unwrap());
        World::with(vec![open, configured(below, "below.test")]).await
    }

    async fn with(routes: Vec<Route>) -> World {
        let place = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock::paused());
        let store = SqliteStore::open(place.path().join("directory.db"), clock.clone()).await;
        let store = Arc::new(store.unwrap());
        let double = Double::new(store.clone());
        let switches = Switches::open(Cached::default(), place.path()).unwrap();
        let directory = Directory::new(double.clone(), switches, clock);
        let router = Router::new(&Settings {
            routes,
            ..Settings::defaults("mx.home.test")
        });
        World {
            addressing: Addressing::new(Arc::new(router), Some(directory.clone())),
            directory,
            double,
            store,
            _place: place,
        }
    }

    async fn add(&self, kind: Kind, fields: Value) {
        self.directory.create(kind, object(fields)).await.unwrap();
    }

    async fn route(&self, domain: &str, to: &str) {
        self.add(Kind::Route, json!({"domain": domain, "hosts": [to]}))
            .await;
    }

    /// What becomes of a recipient: destinations, or why not.
    async fn rcpt(&self, address: &str, may_relay: bool) -> String {
        let asking = Asking {
            may_relay,
            budget: 100,
            ..Asking::default()
        };
        match self
            .addressing
            .resolve(&address.parse().unwrap(), &asking)
            .await
            .verdict
        {
            Verdict::Accepted(to) => {
                let each = to.iter().map(|one| one.destination.to_string());
                each.collect::<Vec<_>>().join(" ")
            }
            Verdict::Refused(refusal) => refusal.as_str().to_owned(),
            Verdict::NotRelayed => "not relayed".to_owned(),
            Verdict::Unavailable(why) => why.to_string(),
        }
    }

    async fn hop(&self, address: &str) -> Hop {
        self.addressing.hop(&address.parse().unwrap()).await.unwrap()
    }

    /// Where an entry goes: `here`, addresses and destinations, or why nobody knows.
    async fn heading(&self, queued: &Queued) -> String {
        match self.addressing.heading(queued).await {
            Heading::Here(_) => "here".to_owned(),
            Heading::Unknown(reason) => reason,
            Heading::Elsewhere(to) => {
                let each = to.iter().flat_map(|target| {
                    let one = |one: &remuda_spool::Readdressed| {
                        format!("{}>{}", one.now.address, target.destination)
                    };
                    target.recipients.iter().map(one)
                });
                each.collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// What a second look at the only recipient of an entry finds.
    async fn second(&self, queued: &Queued) -> String {
        let recipient = &queued.recipients[0].recipient;
        match self.addressing.second_look(queued, recipient).await {
            SecondLook::Same => "same".to_owned(),
            SecondLook::Unknown(reason) => reason,
            SecondLook::Redirected(to) => {
                let each = to
                    .iter()
                    .map(|(address, destination)| format!("{address}>{destination}"));
                each.collect::<Vec<_>>().join(" ")
            }
        }
    }
}

fn object(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}

fn waiting(destination: &str, recipients: &[&str]) -> Queued {
    let pending = |address: &&str| Pending::new(Recipient::plain(address.parse().unwrap()));
    Queued {
        destination: Destination::from_key(destination),
        recipients: recipients.iter().map(pending).collect(),
        ..fixture::queued(1)
    }
}

/// G4.
#[tokio::test(start_paused = true)]
async fn a_route_of_the_directory_comes_first_and_of_several_the_most_specific() {
    let world = World::new().await;
    assert_eq!(world.rcpt("x@a.test", true).await, "below.test");
    world.route("*", "any.net:26").await;
    for (address, expected) in [
        ("x@a.test", "any.net:26"),
        ("x@in.test", "any.net:26"),
        ("x@[192.0.2.7]", "any.net:26"),
    ] {
        assert_eq!(world.rcpt(address, true).await, expected, "{address}");
    }
    world.route(".test", "short.net").await;
    world.route(".a.test", "long.net").await;
    world.route("b.a.test", "exact.net").await;
    for (address, expected) in [
        ("x@c.a.test", "long.net"),
        ("x@B.A.test", "exact.net"),
        ("x@a.test", "short.net"),
        ("x@else.net", "any.net:26"),
    ] {
        assert_eq!(world.rcpt(address, true).await, expected, "{address}");
    }
    let fields = object(json!({"active": false}));
    let edited = world
        .directory
        .edit((Kind::Route, "b.a.test"), Extent::Part, fields, None);
    edited.await.unwrap();
    assert_eq!(world.rcpt("x@b.a.test", true).await, "long.net");
}

#[tokio::test(start_paused = true)]
async fn mail_for_our_own_hostname_stays_here_unless_a_route_names_it() {
    let world = World::with(Vec::new()).await;
    world.route("*", "any.net").await;
    world.route(".home.test", "below.net").await;
    for may_relay in [true, false] {
        for (address, expected) in [
            ("postmaster@mx.home.test", "local"),
            ("MAILER-DAEMON@mx.home.test", "local"),
            ("someone@mx.home.test", "unknown"),
        ] {
            assert_eq!(world.rcpt(address, may_relay).await, expected, "{address}");
        }
    }
    world.route("mx.home.test", "named.net").await;
    assert_eq!(world.rcpt("someone@mx.home.test", true).await, "named.net");
    assert_eq!(world.rcpt("someone@mx.home.test", false).await, "not relayed");
    assert_eq!(world.rcpt("postmaster@mx.home.test", false).await, "local");
}

#[tokio::test(start_paused = true)]
async fn a_route_of_the_directory_lets_nobody_in() {
    let world = World::new().await;
    world.route("*", "any.net").await;
    assert_eq!(world.rcpt("x@out.test", false).await, "not relayed");
    // Who may send is the configuration's word, where to the directory's.
    assert_eq!(world.rcpt("x@in.test", false).await, "any.net");
}

/// D4, D5.
#[tokio::test(start_paused = true)]
async fn nothing_goes_past_a_route_that_might_exist() {
    let world = World::new().await;
    world.route("a.test", "exact.net").await;
    assert_eq!(world.rcpt("x@a.test", true).await, "exact.net");
    assert_eq!(world.rcpt("x@b.test", true).await, "below.test");
    world.double.fail(Some(Fault::Refuse));
    // Past their time: the domain's absence is not what is asked for here.
    tokio::time::advance(Duration::from_secs(61)).await;
    let queued = waiting("exact.net", &["x@a.test"]);
    let unknown = "cannot find out now where mail goes: the directory database does not answer";
    assert_eq!(world.rcpt("x@b.test", true).await, unknown);
    assert_eq!(
        world.heading(&waiting("below.test", &["x@b.test"])).await,
        unknown
    );
    assert_eq!(world.rcpt("postmaster@mx.home.test", false).await, "local");
    world.double.fail(None);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(world.heading(&queued).await, "here");
}

#[tokio::test(start_paused = true)]
async fn a_route_that_cannot_be_used_lets_nothing_go() {
    let world = World::new().await;
    let route = json!({"domain": "a.test", "hosts": ["relay.net"], "username": "me"});
    world.add(Kind::Route, route).await;
    let reason = "the directory's route a.test cannot be used: it has a username and no password";
    assert_eq!(world.rcpt("x@a.test", true).await, reason);
}

/// Two routes may name one user with different passwords: they are two destinations, and a changed password leaves
/// the destination as it is.
#[tokio::test(start_paused = true)]
async fn what_a_route_says_at_auth_is_behind_an_id_and_its_destination_names_the_route() {
    let world = World::new().await;
    for (domain, password) in [("a.test", "1"), ("b.test", "2")] {
        let route = json!({
            "domain": domain, "hosts": ["relay.net:587"], "username": "me", "password": password,
            "tls": "encrypt",
        });
        world.add(Kind::Route, route).await;
    }
    let id = |hop: &Hop| -> CredentialsId { hop.next.policy().login.unwrap().credentials };
    let (a, b) = (world.hop("x@a.test").await, world.hop("x@b.test").await);
    assert_eq!(
        a.next.destination().as_str(),
        "relay.net:587;tls=encrypt;route=a.test;user=me"
    );
    assert_ne!(a.next.destination(), b.next.destination());
    assert_eq!(a.credentials.as_ref().unwrap().password.reveal(), "1");
    assert!(!a.next.policy().login.unwrap().in_clear);
    let fields = object(json!({"password": "3"}));
    let edited = world
        .directory
        .edit((Kind::Route, "a.test"), Extent::Part, fields, None);
    edited.await.unwrap();
    let changed = world.hop("x@a.test").await;
    assert_eq!(changed.next.destination(), a.next.destination());
    assert_ne!(id(&changed), id(&a));
}

/// G16.
#[tokio::test(start_paused = true)]
async fn warm_a_route_and_its_absence_cost_no_query() {
    let world = World::new().await;
    world.route(".routed.test", "relay.net").await;
    let look = async || {
        for address in ["x@a.b.routed.test", "x@c.test"] {
            world.rcpt(address, true).await;
            let destination = world.rcpt(address, true).await;
            assert_eq!(world.heading(&waiting(&destination, &[address])).await, "here");
        }
    };
    look().await;
    let before = world.store.loads();
    look().await;
    assert_eq!(world.store.loads(), before);
    let queued = waiting("relay.net", &["x@a.b.routed.test"]);
    assert!(at_once(world.addressing.heading(&queued)).is_some());
}

#[tokio::test(start_paused = true)]
async fn mail_that_waits_follows_its_route_and_a_domain_that_has_become_ours() {
    let world = World::with(Vec::new()).await;
    let queued = waiting("d.test", &["bob@d.test", "info@d.test", "gone@d.test"]);
    assert_eq!(world.heading(&queued).await, "here");
    world.route("d.test", "relay.net").await;
    assert_eq!(
        world.heading(&queued).await,
        "bob@d.test>relay.net info@d.test>relay.net gone@d.test>relay.net"
    );
    world.add(Kind::Domain, json!({"name": "d.test"})).await;
    world.add(Kind::Account, json!({"address": "bob@d.test"})).await;
    let alias = json!({"address": "info@d.test", "targets": ["bob@d.test", "x@else.net"]});
    world.add(Kind::Alias, alias).await;
    // Local delivery tells the sender of the one that is nobody's.
    assert_eq!(
        world.heading(&queued).await,
        "bob@d.test>local bob@d.test>local gone@d.test>local x@else.net>else.net"
    );
}

/// G13, D8.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_mailbox_here_is_resolved_again_only_by_a_second_look() {
    let world = World::with(Vec::new()).await;
    world.add(Kind::Domain, json!({"name": "d.test"})).await;
    let queued = waiting("local", &["bob@d.test"]);
    assert_eq!(world.second(&queued).await, "same");
    // By somebody else: nobody tells us, and the absence is remembered.
    assert_eq!(world.rcpt("bob@d.test", true).await, "unknown");
    let alias = json!({"address": "bob@d.test", "targets": ["eve@else.net"]});
    let alias = remuda_directory::edit::parse(Kind::Alias, object(alias), None).unwrap();
    world.double.insert(alias).await.unwrap();
    assert_eq!(world.rcpt("bob@d.test", true).await, "unknown");
    assert_eq!(world.second(&queued).await, "eve@else.net>else.net");
    assert_eq!(world.rcpt("bob@d.test", true).await, "else.net");
    assert_eq!(world.heading(&queued).await, "here");
}

#[tokio::test(start_paused = true)]
async fn mail_that_loops_is_for_a_mailbox_here_if_its_domain_is_ours_by_now() {
    let world = World::with(Vec::new()).await;
    let queued = waiting("d.test", &["bob@d.test"]);
    assert_eq!(world.heading(&queued).await, "here");
    assert_eq!(world.second(&queued).await, "same");
    let domain = json!({"name": "d.test"});
    let domain = remuda_directory::edit::parse(Kind::Domain, object(domain), None).unwrap();
    world.double.insert(domain).await.unwrap();
    assert_eq!(world.heading(&queued).await, "here");
    let changes = world.addressing.changes();
    assert_eq!(world.second(&queued).await, "bob@d.test>local");
    // What was found is found by others, who are told of it.
    assert_eq!(world.heading(&queued).await, "bob@d.test>local");
    assert!(world.addressing.changes() > changes);
}

/// Reference §3.6 (f): what it was written to means somebody else by now.
#[tokio::test(start_paused = true)]
async fn who_has_vanished_is_looked_for_behind_what_was_written_to() {
    let world = World::with(Vec::new()).await;
    world.add(Kind::Domain, json!({"name": "d.test"})).await;
    for name in ["robert@d.test", "eve@d.test"] {
        world.add(Kind::Account, json!({"address": name})).await;
    }
    let alias = json!({"address": "info@d.test", "targets": ["robert@d.test"]});
    world.add(Kind::Alias, alias).await;
    let list = json!({"address": "all@d.test", "members": ["robert@d.test", "eve@d.test"]});
    world.add(Kind::List, list).await;
    for (original, expected) in [
        ("info@d.test", "robert@d.test>local"),
        // The others have theirs already.
        ("all@d.test", "same"),
        ("bob@d.test", "same"),
    ] {
        let mut queued = waiting("local", &["bob@d.test"]);
        queued.recipients[0].recipient.original = Some(original.to_owned());
        queued.envelope = Arc::new(remuda_mail::Envelope {
            sender: Sender(Some("x@else.net".parse().unwrap())),
            ..Default::default()
        });
        assert_eq!(world.second(&queued).await, expected, "{original}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_look_that_cannot_be_had_is_no_bounce() {
    let world = World::with(Vec::new()).await;
    world.add(Kind::Domain, json!({"name": "d.test"})).await;
    let queued = waiting("local", &["bob@d.test"]);
    assert_eq!(world.rcpt("bob@d.test", true).await, "unknown");
    world.double.fail(Some(Fault::Refuse));
    let unknown = "cannot find out now where mail goes: the directory database does not answer";
    assert_eq!(world.second(&queued).await, unknown);
}
