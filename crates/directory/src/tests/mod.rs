//! The directory over a store that a test holds, breaks and counts: the scenarios of the reference's §6, each on
//! both stores.
//!
//! A store's tests say `scenarios!(TheirFixture)`; every scenario gets an empty database and a clock that stands.
//!
//! # Contract
//! * **No scenario knows which store it has.**
//! * **Every function of a theme is in the list below**, or it does not compile.

pub(crate) mod coherence;
pub(crate) mod exports;
pub(crate) mod failures;
pub(crate) mod logins;
pub(crate) mod looks;
pub(crate) mod names;
pub(crate) mod news;
pub(crate) mod outages;
pub(crate) mod passing;
mod paused;
pub(crate) mod promises;
pub(crate) mod races;
pub(crate) mod rules;

use std::{sync::Arc, time::Duration};

use remuda_testing::{clock::ManualClock, wait::wait_until_async};
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use crate::{
    Directory,
    control::KindStatus,
    edit::{EditError, Extent},
    found::Found,
    model::{Account, Kind, Object},
    resolve::{From, Resolution, Target, Verdict},
    store::{
        double::{Double, Verb},
        suite::Fixture,
    },
    switches::{Settings, Switches},
};

/// Makes one test of each scenario, on a fixture.
macro_rules! scenarios {
    ($fixture:ty) => {
        mod scenarios {
            use super::*;

            $crate::tests::each! { $fixture:
                promises {
                    an_object_is_read_once_within_its_ttl_and_anew_at_it
                    an_object_is_found_in_memory_by_either_key
                    a_direct_edit_is_seen_a_ttl_later_at_the_latest
                    a_change_through_us_is_seen_by_the_first_look_up_after_its_reply
                    what_is_deleted_through_us_is_refused_at_the_next_recipient
                    an_address_that_does_not_exist_is_asked_for_once
                    the_rate_is_of_hits_and_loads_in_whole_percent
                    a_shorter_ttl_ends_the_rate_of_its_kind_alone
                    a_longer_ttl_revives_nothing
                    a_cache_that_is_off_asks_for_every_look_up
                    an_edit_while_the_cache_is_off_is_seen_when_it_is_on_again
                    what_was_set_is_in_force_after_a_restart
                    a_kind_with_a_ttl_of_nothing_is_not_kept_and_others_are
                    an_account_follows_its_own_ttl_and_not_its_domains
                }
                names {
                    every_spelling_is_one_entry
                    a_renamed_alias_is_known_by_its_new_name_alone
                    a_renamed_account_is_known_by_its_new_name_alone
                    a_renamed_list_is_known_by_its_new_name_in_any_case
                    a_change_by_name_ends_what_was_found_by_id
                    an_address_that_is_created_is_accepted_at_once
                    a_row_that_appears_is_accepted_after_the_absences_ttl
                    nothing_is_known_under_a_renamed_domains_old_name
                    another_name_of_a_domain_comes_and_goes_by_sql
                    names_of_domains_that_cannot_be_read_are_not_taken_for_none
                    a_member_that_is_added_gets_the_next_message
                    a_change_based_on_what_was_changed_meanwhile_takes_nothing_back
                    an_edit_that_was_overtaken_is_made_again_over_the_other
                    members_that_come_at_once_all_stay
                    a_change_that_is_undone_leaves_the_old_value
                    what_is_touched_is_forgotten_in_its_kind_alone_and_a_flush_forgets_all
                }
                logins {
                    a_row_is_read_again_a_few_times_a_second_at_most
                    a_password_changed_by_sql_works_at_once
                    hashes_are_checked_a_few_at_a_time_also_for_nobody
                }
                coherence {
                    a_value_read_before_a_change_is_not_kept_after_it
                    who_asks_after_a_change_sees_it_while_the_old_load_still_runs
                    an_absence_read_before_a_creation_is_not_kept_after_it
                    what_was_being_read_when_the_cache_was_switched_off_is_not_kept
                    a_change_of_unknown_outcome_is_forgotten_too
                    a_thousand_cold_look_ups_of_one_key_are_one_query
                    a_caller_that_goes_away_ends_no_load
                    a_change_whose_caller_goes_away_is_forgotten_too
                }
                races {
                    who_asked_before_a_change_may_see_the_old_value_and_nobody_after
                    a_change_told_by_id_alone_reaches_a_load_by_name
                    a_change_of_another_object_costs_a_load_nothing
                    a_load_that_panics_is_one_that_failed
                    a_load_that_hangs_holds_up_nobody_else
                    nothing_read_before_a_clear_is_kept
                    of_two_who_change_an_account_the_last_is_what_is_seen
                    a_refresh_overtaken_by_a_change_brings_nothing_back
                    at_the_instant_of_expiry_a_thousand_look_ups_are_one_query
                }
                failures {
                    what_is_known_goes_on_fresh_then_stale_then_not_at_all
                    what_was_never_asked_for_is_unavailable
                    what_is_stale_refuses_nobody
                    no_list_is_expanded_from_stale_memory
                    a_stale_name_decides_nothing
                    a_caller_waits_five_seconds_at_most_and_the_load_goes_on
                    who_tries_a_database_that_is_down_waits_two_seconds
                    the_database_is_spared_while_it_is_down
                    a_database_that_is_back_is_found_within_seconds
                    a_login_is_neither_right_nor_wrong_while_nobody_knows
                }
                outages {
                    a_look_up_that_fails_once_is_no_absence
                    a_cache_that_is_off_has_nothing_for_a_database_that_is_down
                    a_list_that_cannot_be_read_whole_is_not_used_in_part
                    a_list_with_one_member_that_cannot_be_read_is_not_a_smaller_list
                    look_ups_leave_connections_to_those_who_list_and_change
                    what_is_fresh_is_served_as_before_while_the_database_is_down
                }
                news {
                    a_direct_edit_is_seen_long_before_its_ttl
                    what_is_not_committed_is_not_seen
                    one_row_that_changes_costs_the_others_nothing
                    our_own_change_comes_back_as_news_and_costs_one_load_at_most
                    news_that_come_before_our_own_reply_harm_nothing
                    a_domain_renamed_by_sql_is_renamed_in_memory
                    changes_are_counted_by_who_told_them
                    news_are_forgotten_at_once
                    where_something_may_have_been_missed_everything_is_forgotten
                }
                rules {
                    a_catch_all_that_does_not_exist_ends_after_bounded_steps
                    circles_cost_no_more_look_ups_than_there_are_names
                    addresses_that_do_not_exist_displace_nothing
                    a_name_of_a_domain_out_of_use_stands_for_itself
                }
                passing {
                    an_alias_that_becomes_an_account_is_never_unknown
                    an_address_that_passes_on_between_two_questions_is_found
                    an_alias_that_becomes_a_list_while_it_is_read_is_found
                    a_renamed_domain_that_keeps_its_old_name_refuses_nobody
                    an_address_of_a_domain_that_is_gone_is_not_ours
                    another_name_follows_a_renamed_domain_at_once
                    another_name_that_becomes_a_domain_is_ours_all_the_time
                    an_address_nobody_has_costs_two_questions_and_then_none
                    one_statement_says_whose_an_address_is
                }
                looks {
                    a_look_shows_age_time_left_version_and_weight
                    a_look_is_into_the_kind_that_is_named
                }
                exports {
                    who_is_gone_ends_an_export
                }
            }
        }
    };
}
pub(crate) use scenarios;

/// Makes a module of tests of each theme.
macro_rules! each {
    ($fixture:ty: $($theme:ident { $($test:ident)* })*) => {$(
        mod $theme {
            use super::*;
            use $crate::tests;

            $(
                #[tokio::test]
                async fn $test() {
                    let fixture = <$fixture as $crate::store::suite::Fixture>::new().await;
                    tests::$theme::$test(tests::Scene::on(fixture).await).await;
                }
            )*
        }
    )*};
}
pub(crate) use each;

/// A directory with `d.test` and `bob@d.test` in it, over a double of a real store. Time stands, and nobody hears
/// what the database tells.
pub(crate) struct Scene<F> {
    directory: Directory,
    double: Arc<Double>,
    clock: Arc<ManualClock>,
    fixture: F,
    dir: tempfile::TempDir,
}

impl<F: Fixture> Scene<F> {
    pub(crate) async fn on(fixture: F) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (clock, double) = (ManualClock::new(), Double::new(fixture.store()));
        let switches = Switches::open(Settings::default(), dir.path()).unwrap();
        let directory = Directory::new(double.clone(), switches, clock.clone());
        let scene = Scene {
            directory,
            double,
            clock,
            fixture,
            dir,
        };
        scene.add(Kind::Domain, json!({"name": "d.test"})).await;
        scene
            .add(Kind::Account, json!({"address": "bob@d.test", "quota": 1}))
            .await;
        scene
    }

    async fn add(&self, kind: Kind, fields: Value) -> Object {
        self.directory.create(kind, object(fields)).await.unwrap()
    }

    async fn try_set(&self, kind: Kind, name: &str, fields: Value) -> Result<Object, EditError> {
        self.directory
            .edit((kind, name), Extent::Part, object(fields), None)
            .await
    }

    async fn set(&self, kind: Kind, name: &str, fields: Value) {
        self.try_set(kind, name, fields).await.unwrap();
    }

    /// By somebody else: nobody tells us.
    async fn sql(&self, statements: &str) {
        self.fixture.sql(statements).await.unwrap();
    }

    /// By somebody else.
    async fn set_quota(&self, quota: u64) {
        let statement = format!("UPDATE account SET quota = {quota} WHERE address = 'bob@d.test'");
        self.sql(&statement).await;
    }

    /// Bob as he lies in the database, with another quota.
    async fn bob_with(&self, quota: u64) -> Object {
        bob_with(&self.directory, quota).await
    }

    async fn bob(&self) -> Found<Account> {
        self.account("bob@d.test").await
    }

    async fn account(&self, name: &str) -> Found<Account> {
        self.directory.find(name).await
    }

    /// A look-up beside the test.
    fn ask(&self, name: &'static str) -> JoinHandle<Found<Account>> {
        let directory = self.directory.clone();
        tokio::spawn(async move { directory.find(name).await })
    }

    /// Who gets mail to an address from `sender` (`""`: `<>`), or why nobody does.
    async fn to_from(&self, address: &str, sender: &str) -> String {
        let from = From {
            sender: sender.parse().ok(),
            login: None,
        };
        let address = address.parse().unwrap();
        shown(&self.directory.resolve(&address, &from, 1000).await)
    }

    async fn to(&self, address: &str) -> String {
        self.to_from(address, "").await
    }

    /// Look-ups of accounts that the store was asked for.
    fn loads(&self) -> usize {
        self.double.loads_of(Kind::Account)
    }

    /// Look-ups of any kind that the store is asked for while `work` is done.
    async fn loads_of<T>(&self, work: impl Future<Output = T>) -> usize {
        let count = || {
            let is_load =
                |query: &&crate::store::double::Query| matches!(query.verb, Verb::Load | Verb::Whose);
            self.double.log().iter().filter(is_load).count()
        };
        let before = count();
        work.await;
        count() - before
    }

    fn status(&self, kind: Kind) -> KindStatus {
        self.directory.cache_status().types[&kind].clone()
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Time goes on to this many milliseconds after the start.
    fn at(&self, millis: u64) {
        let now = self.directory.now().since_start();
        let by = Duration::from_millis(millis).checked_sub(now);
        self.clock.advance(by.expect("time goes on"));
    }
}

async fn bob_with(directory: &Directory, quota: u64) -> Object {
    let bob = directory.show(Kind::Account, "bob@d.test").await.unwrap();
    let Object::Account(bob) = bob else {
        panic!("{bob:?}")
    };
    Object::Account(Account {
        quota: Some(quota),
        ..bob
    })
}

fn object(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}

fn quota(found: &Found<Account>) -> Option<u64> {
    match found {
        Found::Found(account, _) => account.quota,
        other => panic!("{other:?}"),
    }
}

/// Targets, local ones with a star, or the refusal.
fn shown(resolution: &Resolution) -> String {
    match &resolution.verdict {
        Verdict::Deliver(targets) => {
            let one = |target: &Target| match target {
                Target::Local(mailbox) => format!("{mailbox}*"),
                Target::Remote(address) => address.to_string(),
            };
            targets.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        Verdict::Refused(refusal) => refusal.as_str().to_owned(),
        Verdict::Unavailable(_) => "unavailable".to_owned(),
    }
}

const UNAVAILABLE: &str = "unavailable";
const UNKNOWN: &str = "unknown";
