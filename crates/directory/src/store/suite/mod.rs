//! What every store must do: one suite, run on each of them.
//!
//! A store's tests implement [`Fixture`] and say `suite!(TheirFixture)`; every test gets an empty database.
//!
//! # Contract
//! * **No test knows which store it has.** SQL that people write is the same for both databases here.
//! * **Every function of a theme is in the list below**, or it does not compile.

use std::{future::Future, sync::Arc};

use remuda_clock::{Clock, SystemClock, before};
use tokio::sync::mpsc;

use super::{ChangeError, Changed, Import, ImportError, Imported, Pushed, Store, StoreError, Touched};
use crate::model::{Kind, Object};

pub(crate) mod changes;
pub(crate) mod database;
pub(crate) mod imports;
pub(crate) mod names;
pub(crate) mod pages;
pub(crate) mod pushes;

/// A store on an empty database of its own.
pub(crate) trait Fixture: Sized {
    /// Makes the database.
    fn new() -> impl Future<Output = Self>;

    /// The store on it; always the same.
    fn store(&self) -> Arc<dyn Store>;

    /// Another store on the same database, as another server has it.
    fn another(&self) -> impl Future<Output = Arc<dyn Store>>;

    /// Runs statements as somebody with the database's own tool does, over a connection of its own, and stops at the
    /// first that is refused. Err: what the tool said.
    fn sql(&self, statements: &str) -> impl Future<Output = Result<(), String>>;
}

/// Makes one test of each function of the suite, on a fixture.
macro_rules! suite {
    ($fixture:ty) => {
        $crate::store::suite::each! { $fixture:
            changes {
                an_object_of_each_kind_comes_back_as_it_was
                one_look_up_is_one_statement
                what_is_not_there_is_no_such_thing
                a_change_based_on_another_version_is_a_conflict
                one_address_is_one_thing
                a_domain_and_its_other_names_are_one_set_of_names
                an_address_needs_its_domain
                limits_of_a_domain_hold
                a_local_catch_all_must_exist
                what_cannot_be_is_refused_by_field
                a_domain_in_use_is_deleted_only_with_all_of_it
                members_are_in_order_and_each_once
            }
            names {
                every_spelling_finds_one_object
                a_creation_touches_its_name
                a_rename_touches_both_names
                a_renamed_domain_takes_its_addresses_along
                many_addresses_are_touched_as_all_of_their_kind
                a_name_that_is_kept_is_not_taken
            }
            database {
                the_database_refuses_a_second_thing_with_an_address
                the_database_refuses_a_name_that_is_domain_and_domain_alias
                the_database_refuses_what_is_not_in_normal_form
                the_database_refuses_an_address_without_its_domain
                the_database_refuses_to_delete_a_domain_in_use
                addresses_follow_a_domain_that_is_renamed_by_sql
                versions_grow_with_sql
                a_row_that_makes_no_sense_is_an_error
                objects_written_by_sql_are_objects
                the_examples_of_the_documentation_work
            }
            pages {
                objects_come_in_order_of_name
                a_page_may_be_of_one_domain
                the_names_of_domains_and_routes_are_read_together
            }
            imports {
                an_import_is_stored_as_one
                an_import_with_one_wrong_line_stores_nothing
                an_import_that_is_given_up_stores_nothing
                an_import_replaces_what_has_the_name
                a_catch_all_may_come_before_its_account
                a_catch_all_that_never_comes_is_the_lines_fault
            }
            pushes {
                a_flush_comes_before_all_else
                a_direct_edit_is_told
                what_is_not_committed_is_not_told
                a_member_is_told_as_its_list
                a_renamed_domain_is_told_with_its_addresses
                many_changes_are_told_as_all_of_their_kind
                own_changes_may_be_told_too
                an_import_of_ours_is_not_told_again
                an_import_of_anothers_is_told
            }
        }
    };
}
pub(crate) use suite;

/// Makes a module of tests of each theme.
macro_rules! each {
    ($fixture:ty: $($theme:ident { $($test:ident)* })*) => {$(
        mod $theme {
            use super::*;
            use $crate::store::suite;

            $(
                #[tokio::test]
                async fn $test() {
                    suite::$theme::$test(&<$fixture as suite::Fixture>::new().await).await;
                }
            )*
        }
    )*};
}
pub(crate) use each;

/// An object from JSON, as people write it.
pub(crate) fn object(kind: Kind, json: serde_json::Value) -> Object {
    fn read<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
        serde_json::from_value(json).unwrap()
    }
    match kind {
        Kind::Domain => Object::Domain(read(json)),
        Kind::DomainAlias => Object::DomainAlias(read(json)),
        Kind::Account => Object::Account(read(json)),
        Kind::Alias => Object::Alias(read(json)),
        Kind::List => Object::List(read(json)),
        Kind::Route => Object::Route(read(json)),
    }
}

pub(crate) fn domain(name: &str) -> Object {
    object(Kind::Domain, serde_json::json!({ "name": name }))
}

pub(crate) fn account(address: &str) -> Object {
    object(Kind::Account, serde_json::json!({ "address": address }))
}

pub(crate) fn alias(address: &str, targets: &[&str]) -> Object {
    object(
        Kind::Alias,
        serde_json::json!({ "address": address, "targets": targets }),
    )
}

pub(crate) fn list(address: &str, members: &[&str]) -> Object {
    object(
        Kind::List,
        serde_json::json!({ "address": address, "members": members }),
    )
}

pub(crate) fn domain_alias(name: &str, domain: &str) -> Object {
    object(
        Kind::DomainAlias,
        serde_json::json!({ "name": name, "domain": domain }),
    )
}

/// Stores new objects, in this order; answers them as they were stored.
pub(crate) async fn add(store: &dyn Store, objects: impl IntoIterator<Item = Object>) -> Vec<Object> {
    let mut stored = Vec::new();
    for object in objects {
        stored.push(store.insert(object).await.unwrap().object);
    }
    stored
}

/// Sends all of it to an import, with an end or without.
pub(crate) async fn import(
    store: &dyn Store,
    objects: Vec<Object>,
    is_whole: bool,
) -> Result<Imported, ImportError> {
    let (to, from) = mpsc::channel(4);
    let sending = tokio::spawn(async move {
        for (line, object) in (1..).zip(objects) {
            // Whoever has refused a line takes no more.
            if to.send(Import::Object(line, Box::new(object))).await.is_err() {
                return;
            }
        }
        if is_whole {
            let _ = to.send(Import::End).await;
        }
    });
    let imported = store.import(from).await;
    sending.await.unwrap();
    imported
}

/// What a store tells, from the first flush on.
pub(crate) struct Watching {
    told: mpsc::Receiver<Pushed>,
    clock: SystemClock,
}

impl Watching {
    /// Watches a store, until it says that changes are told.
    pub(crate) async fn of(store: Arc<dyn Store>) -> Watching {
        let (to, told) = mpsc::channel(64);
        tokio::spawn(store.watch(to));
        let mut watching = Watching {
            told,
            clock: SystemClock::new(),
        };
        while watching.next().await != Pushed::Up {}
        watching
    }

    /// What is told next.
    pub(crate) async fn next(&mut self) -> Pushed {
        let deadline = self.clock.now().monotonic + std::time::Duration::from_secs(60);
        before(&self.clock, deadline, self.told.recv())
            .await
            .expect("nothing is told")
            .expect("the watch has ended")
    }

    /// All that is touched, until the object with this name of today or before is among it.
    pub(crate) async fn until(&mut self, kind: Kind, name: &str) -> Vec<Touched> {
        let mut all = Vec::new();
        loop {
            match self.next().await {
                Pushed::Changed(touched) => all.extend(touched),
                other => panic!("{other:?}"),
            }
            if all.iter().any(|one| is_of(one, kind, name)) {
                return all;
            }
        }
    }
}

/// Answers whether this touches the object with this name.
pub(crate) fn is_of(touched: &Touched, of: Kind, name: &str) -> bool {
    match touched {
        Touched::All(kind) => *kind == of,
        Touched::One { kind, old, new, .. } => {
            *kind == of && (old.as_deref() == Some(name) || new.as_deref() == Some(name))
        }
    }
}

/// Answers whether a change names this before and this now.
pub(crate) fn names(changed: &Changed, of: Kind, before: Option<&str>, now: Option<&str>) -> bool {
    changed.touched.iter().any(|touched| match touched {
        Touched::One { kind, old, new, .. } => {
            *kind == of && old.as_deref() == before && new.as_deref() == now
        }
        Touched::All(_) => false,
    })
}

/// The field that a change was refused for.
pub(crate) fn field(refused: Result<Changed, ChangeError>) -> &'static str {
    match refused {
        Err(ChangeError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn is_senseless<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Senseless { .. }))
}
