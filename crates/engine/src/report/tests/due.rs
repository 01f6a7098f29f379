//! Who is told what (RFC 3461 §4.1, §5.2, §6.2).

use super::*;

const EVERYTHING: Notify = Notify {
    success: true,
    failure: true,
    delay: true,
};

fn notifying(mut one: Settled, notify: Notify) -> Settled {
    one.recipient.notify = Some(notify);
    one
}

fn kinds(due: &[Due]) -> Vec<(Kind, Vec<&str>)> {
    due.iter()
        .map(|due| {
            let addresses = due
                .recipients
                .iter()
                .map(|one| one.recipient.address.as_str())
                .collect();
            (due.kind, addresses)
        })
        .collect()
}

#[test]
fn without_notify_failures_and_delays_are_told_and_successes_are_not() {
    let settled = [
        settled("bounced@b.test", bounced("no")),
        settled("waiting@b.test", deferred()),
        settled("taken@b.test", delivered("mx[192.0.2.1]:25", false)),
    ];
    let envelope = from("a@home.test");
    assert_eq!(
        kinds(&due_reports(&envelope, &settled)),
        [(Kind::Failure, vec!["bounced@b.test"])]
    );
    let delay = due_delay(&envelope, &settled).unwrap();
    assert_eq!(kinds(&[delay]), [(Kind::Delay, vec!["waiting@b.test"])]);
}

#[test]
fn notify_decides_for_each_recipient() {
    let settled = [
        notifying(settled("x@b.test", bounced("no")), Notify::NEVER),
        notifying(settled("y@b.test", bounced("no")), EVERYTHING),
        notifying(settled("z@b.test", deferred()), Notify::NEVER),
        notifying(
            settled("v@b.test", delivered("mx[192.0.2.1]:25", false)),
            EVERYTHING,
        ),
    ];
    let envelope = from("a@home.test");
    assert_eq!(
        kinds(&due_reports(&envelope, &settled)),
        [
            (Kind::Failure, vec!["y@b.test"]),
            (Kind::Success, vec!["v@b.test"])
        ]
    );
    assert_eq!(due_delay(&envelope, &settled), None);
}

#[test]
fn a_host_that_took_over_our_duties_reports_itself() {
    let settled = [notifying(
        settled("x@b.test", delivered("mx[192.0.2.1]:25", true)),
        EVERYTHING,
    )];
    assert_eq!(due_reports(&from("a@home.test"), &settled), []);
}

#[test]
fn never_a_report_about_a_report() {
    let settled = [
        notifying(settled("x@b.test", bounced("no")), EVERYTHING),
        notifying(settled("y@b.test", deferred()), EVERYTHING),
    ];
    let report = Envelope::default();
    assert_eq!(due_reports(&report, &settled), []);
    assert_eq!(due_delay(&report, &settled), None);
    assert!(compose(&context(), &shape(Kind::Failure, &report, &settled), &original()).is_none());
}

#[test]
fn nothing_is_composed_for_nobody() {
    assert!(
        compose(
            &context(),
            &shape(Kind::Failure, &from("a@home.test"), &[]),
            &original()
        )
        .is_none()
    );
}

#[test]
fn the_whole_original_is_wanted_for_failures_that_ask_for_it_and_are_small() {
    let mut envelope = from("a@home.test");
    assert!(!wants_full(Kind::Failure, &envelope, 10));
    envelope.ret = Some(Return::Headers);
    assert!(!wants_full(Kind::Failure, &envelope, 10));
    envelope.ret = Some(Return::Full);
    assert!(wants_full(Kind::Failure, &envelope, FULL_MAX));
    assert!(!wants_full(Kind::Failure, &envelope, FULL_MAX + 1));
    assert!(!wants_full(Kind::Delay, &envelope, 10));
    assert!(!wants_full(Kind::Success, &envelope, 10));
}
