//! Listings.

use super::{Fixture, account, add, alias, domain, domain_alias};
use crate::{
    model::Kind,
    store::{Page, Store},
};

async fn names(
    store: &dyn Store,
    kind: Kind,
    after: Option<&str>,
    limit: u32,
    of: Option<&str>,
) -> Vec<String> {
    let page = Page {
        after: after.map(str::to_owned),
        limit,
        domain: of.map(str::to_owned),
    };
    let found = store.page(kind, &page).await.unwrap();
    found.iter().map(|object| object.name().to_owned()).collect()
}

pub(crate) async fn objects_come_in_order_of_name(fixture: &impl Fixture) {
    let store = fixture.store();
    let locals = ["b", "a-z", "a.z", "a", "\u{f6}", "a_z", "0", "az"];
    add(&*store, [domain("ex.com")]).await;
    add(&*store, locals.map(|local| account(&format!("{local}@ex.com")))).await;
    let mut sorted = locals.map(|local| format!("{local}@ex.com")).to_vec();
    sorted.sort();
    assert_eq!(
        names(&*store, Kind::Account, None, 100, None).await,
        sorted,
        "by their octets"
    );

    let mut walked = Vec::new();
    loop {
        let after = walked.last().cloned();
        let page = names(&*store, Kind::Account, after.as_deref(), 3, None).await;
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        walked.extend(page);
    }
    assert_eq!(walked, sorted);
    assert_eq!(names(&*store, Kind::List, None, 100, None).await, [""; 0]);
}

pub(crate) async fn a_page_may_be_of_one_domain(fixture: &impl Fixture) {
    let store = fixture.store();
    add(
        &*store,
        [
            domain("ex.com"),
            domain("ex.net"),
            domain_alias("ex.org", "ex.net"),
        ],
    )
    .await;
    add(&*store, ["a@ex.net", "b@ex.com", "c@ex.net"].map(account)).await;
    add(&*store, [alias("d@ex.net", &["x@y.test"])]).await;
    let of = Some("ex.net");
    assert_eq!(
        names(&*store, Kind::Account, None, 9, of).await,
        ["a@ex.net", "c@ex.net"]
    );
    assert_eq!(
        names(&*store, Kind::Account, Some("a@ex.net"), 9, of).await,
        ["c@ex.net"]
    );
    assert_eq!(names(&*store, Kind::Account, None, 1, of).await, ["a@ex.net"]);
    assert_eq!(names(&*store, Kind::Alias, None, 9, of).await, ["d@ex.net"]);
    assert_eq!(names(&*store, Kind::DomainAlias, None, 9, of).await, ["ex.org"]);
    assert_eq!(names(&*store, Kind::Domain, None, 9, of).await, ["ex.net"]);
}

pub(crate) async fn the_names_of_domains_and_routes_are_read_together(fixture: &impl Fixture) {
    let store = fixture.store();
    add(
        &*store,
        [
            domain("ex.com"),
            domain("a.test"),
            domain_alias("ex.net", "ex.com"),
        ],
    )
    .await;
    let before = store.loads();
    let mut names = store.domain_names(100).await.unwrap();
    names.sort();
    assert_eq!(names, ["a.test", "ex.com", "ex.net"]);
    assert_eq!(store.loads() - before, 1);
    assert_eq!(store.domain_names(2).await.unwrap().len(), 2);
}
