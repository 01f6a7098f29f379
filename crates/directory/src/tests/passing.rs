//! Names that pass from one thing to another in one transaction by SQL, while memory has older words on them and nobody
//! tells us. Who was there before and is there afterwards is not refused for good in between.

use super::*;
use crate::{
    store::{Owner, double::Point},
    switches::Key,
};

const ALIAS_TO_ACCOUNT: &str = "BEGIN; DELETE FROM alias WHERE address = 'info@d.test';
    INSERT INTO account (local_part, domain) VALUES ('info', 'd.test'); COMMIT;";
const ALIAS_TO_LIST: &str = "BEGIN; DELETE FROM alias WHERE address = 'info@d.test';
    INSERT INTO list (local_part, domain) VALUES ('info', 'd.test');
    INSERT INTO list_member (list_id, address) SELECT id, 'eve@x.test' FROM list; COMMIT;";

impl<F: Fixture> Scene<F> {
    /// `info@d.test` stands for bob; of `kind` values live for a second.
    async fn with_info(&self, kind: Kind) {
        let info = json!({"address": "info@d.test", "targets": ["bob@d.test"]});
        self.add(Kind::Alias, info).await;
        self.forgetful_of(kind).await;
    }

    /// `x.test` is known as another name of `d.test`, and what was known of `kind` has gone.
    async fn with_x(&self, kind: Kind) {
        self.forgetful_of(kind).await;
        let x = json!({"name": "x.test", "domain": "d.test"});
        self.add(Kind::DomainAlias, x).await;
        assert_eq!(self.to("bob@x.test").await, "bob@d.test*");
        self.pass(2);
    }

    async fn forgetful_of(&self, kind: Kind) {
        let life = vec![(Key::Ttl(kind), Some(1000))];
        self.directory.cache_set(life).await.unwrap();
    }

    /// Who gets mail to an address, when `change` is made while `kind` is being looked up.
    async fn to_across(&self, address: &str, (kind, point): (Kind, Point), change: &str) -> String {
        let barrier = self.double.hold(kind, point);
        let change = async {
            barrier.reached().await;
            self.sql(change).await;
            barrier.open();
        };
        tokio::join!(self.to(address), change).0
    }
}

/// The word that it is no account is young, that on the alias has gone, and what replaces it is an account.
pub(crate) async fn an_alias_that_becomes_an_account_is_never_unknown(scene: Scene<impl Fixture>) {
    scene.with_info(Kind::Alias).await;
    assert_eq!(
        scene.account("info@d.test").await,
        Found::NotFound(crate::found::Origin::Database)
    );
    assert_eq!(scene.to("info@d.test").await, "bob@d.test*");
    scene.pass(2);
    scene.sql(ALIAS_TO_ACCOUNT).await;
    assert_eq!(scene.to("info@d.test").await, "info@d.test*");
}

pub(crate) async fn an_address_that_passes_on_between_two_questions_is_found(scene: Scene<impl Fixture>) {
    scene.with_info(Kind::Route).await;
    let asked = (Kind::Account, Point::AfterRows);
    assert_eq!(
        scene.to_across("info@d.test", asked, ALIAS_TO_ACCOUNT).await,
        "info@d.test*"
    );
}

/// The database has said that it is an alias's.
pub(crate) async fn an_alias_that_becomes_a_list_while_it_is_read_is_found(scene: Scene<impl Fixture>) {
    scene.with_info(Kind::Route).await;
    scene.directory.find::<crate::model::Domain>("d.test").await;
    let asked = (Kind::Alias, Point::BeforeSent);
    assert_eq!(
        scene.to_across("info@d.test", asked, ALIAS_TO_LIST).await,
        "eve@x.test"
    );
}

/// What is known of the domain is what was there before it was renamed; its old name goes on as another.
pub(crate) async fn a_renamed_domain_that_keeps_its_old_name_refuses_nobody(scene: Scene<impl Fixture>) {
    scene.forgetful_of(Kind::Account).await;
    assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
    scene.pass(2);
    scene
        .sql(
            "BEGIN; UPDATE domain SET name = 'new.test' WHERE name = 'd.test';
            INSERT INTO domain_alias (name, domain) VALUES ('d.test', 'new.test'); COMMIT;",
        )
        .await;
    assert_eq!(scene.to("bob@d.test").await, "bob@new.test*");
    assert_eq!(scene.to("nobody@d.test").await, UNKNOWN);
}

/// It is there again soon: what was known of its addresses when it was gone says nothing then.
pub(crate) async fn an_address_of_a_domain_that_is_gone_is_not_ours(scene: Scene<impl Fixture>) {
    scene.directory.find::<crate::model::Domain>("d.test").await;
    scene.sql("DELETE FROM account; DELETE FROM domain").await;
    assert_eq!(scene.to("eve@d.test").await, "eve@d.test", "it is passed on");
    scene.add(Kind::Domain, json!({"name": "d.test"})).await;
    assert_eq!(scene.to("eve@d.test").await, UNKNOWN);
}

/// The other name is known to stand for the old one.
pub(crate) async fn another_name_follows_a_renamed_domain_at_once(scene: Scene<impl Fixture>) {
    scene.with_x(Kind::Domain).await;
    scene
        .sql("UPDATE domain SET name = 'new.test' WHERE name = 'd.test'")
        .await;
    assert_eq!(scene.to("bob@x.test").await, "bob@new.test*");
}

/// The word that it is no domain is young, that on the other name has gone.
pub(crate) async fn another_name_that_becomes_a_domain_is_ours_all_the_time(scene: Scene<impl Fixture>) {
    scene.with_x(Kind::DomainAlias).await;
    scene
        .sql(
            "BEGIN; DELETE FROM domain_alias WHERE name = 'x.test'; INSERT INTO domain (name) VALUES ('x.test');
            INSERT INTO account (local_part, domain) VALUES ('bob', 'x.test'); COMMIT;",
        )
        .await;
    assert_eq!(scene.to("bob@x.test").await, "bob@x.test*");
}

pub(crate) async fn an_address_nobody_has_costs_two_questions_and_then_none(scene: Scene<impl Fixture>) {
    scene.to("bob@d.test").await;
    let unknown = async || assert_eq!(scene.to("nobody@d.test").await, UNKNOWN);
    assert_eq!(scene.loads_of(unknown()).await, 2, "no account's, and nobody's");
    assert_eq!(scene.loads_of(unknown()).await, 0);
    let nobody = json!({"address": "nobody@d.test", "targets": ["bob@d.test"]});
    scene.add(Kind::Alias, nobody).await;
    assert_eq!(
        scene.to("nobody@d.test").await,
        "bob@d.test*",
        "the reply came first"
    );
    scene
        .directory
        .remove(Kind::Alias, "nobody@d.test", crate::store::Deletion::default())
        .await
        .unwrap();
    assert_eq!(scene.to("nobody@d.test").await, UNKNOWN);
}

/// Asked of the store itself.
pub(crate) async fn one_statement_says_whose_an_address_is(scene: Scene<impl Fixture>) {
    scene.with_info(Kind::Route).await;
    let store = scene.fixture.store();
    let before = store.loads();
    assert!(matches!(
        store.whose("bob@d.test").await,
        Ok(Owner::One(Kind::Account, _))
    ));
    assert!(matches!(
        store.whose("info@d.test").await,
        Ok(Owner::One(Kind::Alias, _))
    ));
    assert_eq!(store.whose("nobody@d.test").await, Ok(Owner::Nobody));
    assert_eq!(store.whose("bob@else.test").await, Ok(Owner::NoDomain));
    assert_eq!(store.loads() - before, 4);
}
