//! What addresses mean: the rules of resolution, over a real database (reference §6 G).

use super::world::{World, logged_in, sender, shown};
use remuda_directory::{
    model::Kind::{Account, Alias, Domain, DomainAlias, List},
    resolve::{From, Refusal},
};
use serde_json::json;

/// G1.
#[tokio::test]
async fn another_name_of_the_domain_an_alias_and_a_detail_lead_to_the_account() {
    let world = World::with_bob("d.test").await;
    world
        .add(DomainAlias, json!({"name": "old.test", "domain": "d.test"}))
        .await;
    world
        .add(
            Alias,
            json!({"address": "info@d.test", "targets": ["bob@d.test"]}),
        )
        .await;
    assert_eq!(world.to("info+x@OLD.test").await, "bob@d.test*");
    assert_eq!(world.to("BOB+a+b@d.test").await, "bob@d.test*");
    assert_eq!(world.to("bob@elsewhere.test").await, "bob@elsewhere.test");
}

/// G14: the exact address first.
#[tokio::test]
async fn the_exact_address_wins_over_the_one_before_the_separator() {
    let world = World::with_bob("d.test").await;
    world.add(Account, json!({"address": "bob+x@d.test"})).await;
    assert_eq!(world.to("bob+x@d.test").await, "bob+x@d.test*");
    assert_eq!(world.to("bob+y@d.test").await, "bob@d.test*");
    world
        .set(Domain, "d.test", json!({"plus_addressing": false}))
        .await;
    assert_eq!(world.to("bob+y@d.test").await, "unknown");
    world
        .set(
            Domain,
            "d.test",
            json!({"plus_addressing": true, "plus_separator": "--"}),
        )
        .await;
    assert_eq!(world.to("bob--y@d.test").await, "bob@d.test*");
}

/// G2, G3.
#[tokio::test]
async fn who_is_disabled_gets_nothing_and_nothing_falls_through_to_the_catch_all() {
    let world = World::with_bob("d.test").await;
    world.add(Account, json!({"address": "all@d.test"})).await;
    world
        .set(Domain, "d.test", json!({"catch_all": "all@d.test"}))
        .await;
    assert_eq!(world.to("nobody@d.test").await, "all@d.test*");
    world.set(Account, "bob@d.test", json!({"active": false})).await;
    assert_eq!(world.to("bob@d.test").await, "disabled");
    assert_eq!(world.to("bob+x@d.test").await, "disabled");
    world.set(Domain, "d.test", json!({"active": false})).await;
    assert_eq!(world.to("all@d.test").await, "disabled");
}

/// G6.
#[tokio::test]
async fn circles_end_and_every_member_comes_once() {
    let world = World::with_bob("d.test").await;
    world
        .add(
            Alias,
            json!({"address": "a@d.test", "targets": ["x@outside.test"]}),
        )
        .await;
    world
        .add(Alias, json!({"address": "b@d.test", "targets": ["a@d.test"]}))
        .await;
    world
        .set(Alias, "a@d.test", json!({"targets": ["b@d.test"]}))
        .await;
    assert_eq!(world.to("a@d.test").await, "loop");
    for (list, members) in [
        (
            "l@d.test",
            json!([
                "l@d.test",
                "bob@d.test",
                "bob+1@d.test",
                "m@d.test",
                "x@outside.test"
            ]),
        ),
        ("m@d.test", json!(["l@d.test", "bob@d.test", "x@outside.test"])),
    ] {
        world
            .add(List, json!({"address": list, "members": members}))
            .await;
    }
    assert_eq!(world.to("l@d.test").await, "bob@d.test* x@outside.test");
    assert_eq!(world.to("m@d.test").await, "bob@d.test* x@outside.test");
}

/// Forwards, alone and beside the mailbox; two that name each other.
#[tokio::test]
async fn a_forward_takes_the_mail_along_or_away() {
    let world = World::with_bob("d.test").await;
    world
        .add(Account, json!({"address": "eve@d.test", "forward": "bob@d.test"}))
        .await;
    assert_eq!(world.to("eve@d.test").await, "eve@d.test* bob@d.test*");
    world
        .set(Account, "eve@d.test", json!({"forward_keep": false}))
        .await;
    assert_eq!(world.to("eve@d.test").await, "bob@d.test*");
    world
        .set(Account, "bob@d.test", json!({"forward": "eve@d.test"}))
        .await;
    assert_eq!(world.to("eve@d.test").await, "bob@d.test*");
    world
        .set(Account, "bob@d.test", json!({"forward_keep": false}))
        .await;
    assert_eq!(world.to("eve@d.test").await, "loop");
    world
        .set(Account, "bob@d.test", json!({"forward": "bob@d.test"}))
        .await;
    assert_eq!(world.to("bob@d.test").await, "bob@d.test*");
}

/// A list `l` with a member here, one elsewhere and a list in it; `old.test` is another name of `d.test`.
async fn world_with_a_list() -> World {
    let world = World::with_bob("d.test").await;
    world
        .add(DomainAlias, json!({"name": "old.test", "domain": "d.test"}))
        .await;
    world
        .add(
            List,
            json!({"address": "inner@d.test", "members": ["deep@outside.test"]}),
        )
        .await;
    let members = json!(["bob@d.test", "inner@d.test", "ann@outside.test"]);
    world
        .add(
            List,
            json!({"address": "l@d.test", "mode": "membership", "members": members}),
        )
        .await;
    world
}

const ALL: &str = "ann@outside.test bob@d.test* deep@outside.test";

async fn assert_list(world: &World, asked: &[(From, &str)]) {
    for (from, expected) in asked {
        assert_eq!(
            shown(&world.resolve_from("l@d.test", from).await),
            *expected,
            "{from:?}"
        );
    }
}

/// G7.
#[tokio::test]
async fn direct_members_may_send_to_a_list_for_its_members() {
    let world = world_with_a_list().await;
    let asked = [
        (sender("bob@OLD.test"), ALL),
        (sender("Ann@outside.test"), ALL),
        (sender("deep@outside.test"), "not_allowed"),
        (sender("bob+x@d.test"), "not_allowed"),
        (logged_in("bob@d.test"), ALL),
        (From::default(), "not_allowed"),
    ];
    assert_list(&world, &asked).await;
}

#[tokio::test]
async fn the_owner_may_send_to_an_announcement_list_and_the_domain_to_its_own() {
    let world = world_with_a_list().await;
    let owned = json!({"mode": "announcement", "owner": "ann@outside.test"});
    world.set(List, "l@d.test", owned).await;
    assert_list(
        &world,
        &[
            (sender("ann@outside.test"), ALL),
            (sender("bob@d.test"), "not_allowed"),
        ],
    )
    .await;
    world.set(List, "l@d.test", json!({"mode": "domain"})).await;
    assert_list(
        &world,
        &[
            (sender("anybody@old.test"), ALL),
            (From::default(), "not_allowed"),
        ],
    )
    .await;
}

/// G9; who has logged in is who sends, whatever MAIL FROM says.
#[tokio::test]
async fn a_login_is_asked_for_and_is_who_sends() {
    let world = world_with_a_list().await;
    world
        .set(List, "l@d.test", json!({"mode": "public", "require_auth": true}))
        .await;
    assert_list(
        &world,
        &[
            (sender("bob@d.test"), "login_needed"),
            (logged_in("bob@d.test"), ALL),
        ],
    )
    .await;
    let owned = json!({"mode": "announcement", "owner": "ann@outside.test", "require_auth": false});
    world.set(List, "l@d.test", owned).await;
    let mut from = sender("ann@outside.test");
    from.login = logged_in("bob@d.test").login;
    assert_list(&world, &[(from, "not_allowed")]).await;
}

/// G8.
#[tokio::test]
async fn who_may_not_send_to_a_list_in_it_may_not_send_at_all() {
    let world = World::with_bob("d.test").await;
    let inner = json!({"address": "in@d.test", "mode": "announcement", "owner": "bob@d.test", "members": ["x@o.test"]});
    world.add(List, inner).await;
    world
        .add(
            List,
            json!({"address": "out@d.test", "members": ["bob@d.test", "in@d.test"]}),
        )
        .await;
    world
        .add(
            Alias,
            json!({"address": "via@d.test", "targets": ["bob@d.test", "in@d.test"]}),
        )
        .await;
    for outer in ["out@d.test", "via@d.test"] {
        assert_eq!(world.to(outer).await, "not_allowed");
        let owner = world.resolve_from(outer, &sender("bob@d.test")).await;
        assert_eq!(shown(&owner), "bob@d.test* x@o.test");
    }
}

#[tokio::test]
async fn unknown_and_disabled_targets_are_left_out_as_long_as_anybody_is_left() {
    let world = World::with_bob("d.test").await;
    world
        .add(Account, json!({"address": "off@d.test", "active": false}))
        .await;
    world
        .add(
            Alias,
            json!({"address": "a@d.test", "targets": ["off@d.test", "gone@d.test", "bob@d.test"]}),
        )
        .await;
    assert_eq!(world.to("a@d.test").await, "bob@d.test*");
    world
        .set(Alias, "a@d.test", json!({"targets": ["off@d.test"]}))
        .await;
    assert_eq!(world.to("a@d.test").await, "disabled");
    world
        .set(Alias, "a@d.test", json!({"targets": ["gone@d.test"]}))
        .await;
    assert_eq!(world.to("a@d.test").await, "unknown");
    world.set(Alias, "a@d.test", json!({"active": false})).await;
    assert_eq!(world.to("a@d.test").await, "disabled");
}

/// G11.
#[tokio::test]
async fn more_than_the_budget_are_too_many() {
    let world = World::with_bob("d.test").await;
    let members: Vec<String> = (0..20).map(|number| format!("u{number}@o.test")).collect();
    world
        .add(List, json!({"address": "l@d.test", "members": members}))
        .await;
    let from = sender("a@b.test");
    for (budget, is_enough) in [(19, false), (20, true)] {
        let resolved = world
            .directory
            .resolve(&"l@d.test".parse().unwrap(), &from, budget)
            .await;
        assert_eq!(shown(&resolved) == Refusal::TooMany.as_str(), !is_enough);
    }
    assert_eq!(Refusal::TooMany.reply().0, 452);
}

#[tokio::test]
async fn whether_the_address_is_ours_is_decided_on_itself() {
    let world = World::with_bob("d.test").await;
    world
        .add(
            Alias,
            json!({"address": "away@d.test", "targets": ["x@outside.test"]}),
        )
        .await;
    let away = world.resolve_from("away@d.test", &sender("a@b.test")).await;
    assert_eq!((shown(&away).as_str(), away.is_ours), ("x@outside.test", true));
    assert!(
        !world
            .resolve_from("x@outside.test", &sender("a@b.test"))
            .await
            .is_ours
    );
}

/// G16: no query at all for a recipient of any kind, once it has been asked for.
#[tokio::test]
async fn a_warm_recipient_of_any_kind_costs_no_query() {
    let world = World::with_bob("d.test").await;
    world
        .add(
            Alias,
            json!({"address": "info@d.test", "targets": ["bob@d.test"]}),
        )
        .await;
    world
        .add(
            List,
            json!({"address": "l@d.test", "members": ["bob@d.test", "info@d.test"]}),
        )
        .await;
    world.names_are_known().await;
    for address in [
        "bob@d.test",
        "info@d.test",
        "l@d.test",
        "x@outside.test",
        "gone@d.test",
        "bob+x@d.test",
    ] {
        let cold = world.statements(world.to(address)).await;
        assert!(cold <= 5, "{address}: {cold}");
        assert_eq!(world.statements(world.to(address)).await, 0, "{address}");
    }
}
