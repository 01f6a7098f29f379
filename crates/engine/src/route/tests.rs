//! Routing: each rule of the contract.

use std::sync::Arc;

use remuda_mail::HostPort;

use super::*;
use crate::settings::{LmtpServer, LocalDelivery};

fn host(name: &str) -> HostPort {
    HostPort {
        host: name.into(),
        port: Some(2700),
        preference: 0,
    }
}

fn route(domain: &str, hosts: &[&str]) -> Route {
    let domain = match domain.strip_prefix('.') {
        _ if domain == "*" => RouteDomain::Any,
        Some(parent) => RouteDomain::Subdomains(parent.parse().unwrap()),
        None => RouteDomain::Exact(domain.parse().unwrap()),
    };
    Route::new(domain, hosts.iter().map(|name| host(name)).collect())
}

fn router(routes: &[Route]) -> Router {
    Router::new(&Settings {
        routes: routes.to_vec(),
        ..Settings::defaults("mx.home.test")
    })
}

fn hop(router: &Router, address: &str) -> String {
    router
        .route(&address.parse().unwrap())
        .destination()
        .as_str()
        .to_owned()
}

#[test]
fn the_most_specific_route_wins() {
    let router = router(&[
        route("*", &["any"]),
        route(".test", &["short"]),
        route(".example.test", &["long"]),
        route("a.example.test", &["exact"]),
    ]);
    for (address, expected) in [
        ("x@a.example.test", "exact:2700"),
        ("x@A.Example.TEST", "exact:2700"),
        ("x@b.a.example.test", "long:2700"),
        ("x@example.test", "short:2700"),
        ("x@other.test", "short:2700"),
        ("x@other.net", "any:2700"),
        ("x@[192.0.2.1]", "any:2700"),
    ] {
        assert_eq!(hop(&router, address), expected, "{address}");
    }
}

#[test]
fn a_suffix_matches_names_below_and_not_the_name_itself_nor_part_of_a_label() {
    let router = router(&[route(".example.test", &["below"])]);
    assert_eq!(hop(&router, "x@example.test"), "example.test");
    assert_eq!(hop(&router, "x@notexample.test"), "notexample.test");
    assert_eq!(hop(&router, "x@y.example.test"), "below:2700");
}

#[test]
fn without_a_route_the_domain_decides() {
    let router = router(&[]);
    assert_eq!(
        router.route(&"x@Example.test".parse().unwrap()),
        NextHop::Mx("example.test".parse().unwrap())
    );
    assert_eq!(
        router.route(&"x@[IPv6:2001:db8::1]".parse().unwrap()),
        NextHop::Literal("2001:db8::1".parse().unwrap())
    );
}

#[test]
fn a_route_without_hosts_takes_its_domain_out_of_less_specific_ones() {
    let router = router(&[route("*", &["any"]), route("direct.test", &[])]);
    assert_eq!(hop(&router, "x@direct.test"), "direct.test");
}

#[test]
fn all_domains_of_one_smart_host_are_one_destination() {
    let router = router(&[route("*", &["any"])]);
    assert_eq!(hop(&router, "x@a.test"), hop(&router, "x@b.test"));
}

#[test]
fn mail_for_our_own_hostname_stays_here_unless_a_route_names_it() {
    let general = router(&[route("*", &["any"]), route(".home.test", &["below"])]);
    assert_eq!(hop(&general, "anyone@mx.home.test"), "local");
    let named = router(&[route("mx.home.test", &["named"])]);
    assert_eq!(hop(&named, "anyone@mx.home.test"), "named:2700");
    assert_eq!(hop(&named, "PostMaster@mx.home.test"), "local");
}

#[test]
fn the_postmasters_mail_goes_where_the_configuration_says() {
    let settings = Settings {
        postmaster: Some("ops@example.test".parse().unwrap()),
        ..Settings::defaults("mx.home.test")
    };
    let router = Router::new(&settings);
    let postmaster: Address = "postmaster@mx.home.test".parse().unwrap();
    assert_eq!(hop(&router, "postmaster@mx.home.test"), "example.test");
    assert_eq!(router.redirect(&postmaster), settings.postmaster.as_ref());
    assert_eq!(router.redirect(&"postmaster@else.test".parse().unwrap()), None);
}

#[test]
fn a_postmaster_that_is_the_postmaster_here_is_the_maildir() {
    let router = Router::new(&Settings {
        postmaster: Some("Postmaster@MX.home.test".parse().unwrap()),
        ..Settings::defaults("mx.home.test")
    });
    assert_eq!(hop(&router, "postmaster@mx.home.test"), "local");
    assert_eq!(router.redirect(&"postmaster@mx.home.test".parse().unwrap()), None);
}

#[test]
fn the_postmasters_maildir_stays_when_other_local_mail_goes_by_lmtp() {
    let lmtp = |postmaster: Option<&str>| {
        Router::new(&Settings {
            local: LocalDelivery::Lmtp(LmtpServer::Unix("/run/lmtp".parse().unwrap())),
            postmaster: postmaster.map(|address| address.parse().unwrap()),
            ..Settings::defaults("mx.home.test")
        })
    };
    let router = lmtp(None);
    assert_eq!(hop(&router, "ann@mx.home.test"), "local");
    assert_eq!(hop(&router, "Postmaster@mx.home.test"), "local:postmaster");
    assert_eq!(
        hop(&lmtp(Some("ops@example.test")), "postmaster@mx.home.test"),
        "example.test"
    );
}

#[test]
fn a_domain_is_accepted_from_anyone_when_its_own_route_says_so() {
    let open = Route {
        accept: true,
        ..route(".in.test", &["inside"])
    };
    let router = router(&[open, route("closed.in.test", &["inside"])]);
    assert!(router.accepts(&"a.in.test".parse().unwrap()));
    assert!(!router.accepts(&"closed.in.test".parse().unwrap()));
    assert!(!router.accepts(&"out.test".parse().unwrap()));
}

#[test]
fn of_two_routes_for_one_domain_the_first_counts() {
    let router = router(&[route("a.test", &["first"]), route("a.test", &["second"])]);
    let hosts: Arc<[HostPort]> = [host("first")].into();
    assert_eq!(
        router.route(&"x@a.test".parse().unwrap()),
        NextHop::Hosts {
            hosts,
            look_up_mx: false,
            policy: Default::default(),
        }
    );
}
