//! One flight, and several transactions in it: every (position × reply), every cut, every loss.

use proptest::prelude::*;

use super::*;

const CHUNKING: &str = "250-mx.test\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
const CONTENT: &[u8] = b".x\r\n";

fn order<'a>(envelope: &'a Envelope, recipients: &'a [Recipient]) -> Order<'a> {
    Order {
        envelope,
        recipients,
        size: CONTENT.len() as u64,
        smtputf8: false,
        eight_bit: false,
        whole: Some(CONTENT),
    }
}

fn begin_whole(client: &mut Client, addresses: &[&str]) {
    client.begin(order(&envelope(), &recipients(addresses)));
}

fn follow(client: &mut Client, addresses: &[&str]) {
    assert!(client.can_follow());
    client
        .follow(order(&envelope(), &recipients(addresses)))
        .expect("begun");
}

/// So many transactions in one flight, written or not.
fn group(count: usize) -> Client {
    let mut client = open(CHUNKING);
    begin_whole(&mut client, &["c@d.test"]);
    for _ in 1..count {
        follow(&mut client, &["c@d.test"]);
    }
    client
}

/// The replies of a group of `count` that is all accepted.
fn all_well(count: usize) -> Vec<&'static str> {
    let mut replies = vec!["250 m", "250 r", "250 ok"];
    for _ in 1..count {
        replies.extend(["250 z", "250 m", "250 r", "250 ok"]);
    }
    replies
}

/// Everything that is over.
fn results(client: &mut Client) -> Vec<Finished> {
    std::iter::from_fn(|| client.finished()).collect()
}

fn told(finished: &Finished) -> String {
    let rest = match &finished.rest {
        Rest::Next => "",
        Rest::Unsent => " unsent",
        Rest::LostEarly => " elsewhere",
        Rest::Failed(_) => " failed",
        Rest::Limited(_) => " limited",
        Rest::NoRoom => " no room",
    };
    let marks = [
        (finished.may_be_duplicate, " twice?"),
        (finished.accepted_after_refusal, " taken!"),
        (finished.is_disorderly, " disorder"),
    ];
    let marks: String = marks
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, word)| *word)
        .collect();
    format!("{}{rest}{marks}", words(finished))
}

#[test]
fn with_chunking_a_transaction_is_one_write() {
    let mut client = open(CHUNKING);
    begin_whole(&mut client, &["c@d.test", "e@f.test"]);
    assert_eq!(
        sent(&mut client),
        "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<e@f.test>\r\nBDAT 4 LAST\r\n.x\r\n"
    );
    client.receive(b"250 m\r\n250 r\r\n550 5.1.1 r\r\n250 2.0.0 queued\r\n");
    let finished = client.finished().unwrap();
    assert_eq!(told(&finished), "delivered bounced");
    assert_eq!((finished.flights, finished.health), (1, Health::Sound));
    assert!(finished.has_refused_recipient);
}

#[test]
fn a_content_that_is_not_given_whole_waits_for_the_go_ahead() {
    let mut client = open(CHUNKING);
    begin(&mut client, &["c@d.test"]);
    assert!(sent(&mut client).ends_with("DATA\r\n"));
    let mut client = open(PIPELINING);
    begin_whole(&mut client, &["c@d.test"]);
    assert!(sent(&mut client).ends_with("DATA\r\n"), "CHUNKING is not offered");
}

#[test]
fn without_pipelining_the_content_goes_with_its_bdat() {
    let mut client = open("250-mx.test\r\n250 CHUNKING\r\n");
    begin_whole(&mut client, &["c@d.test", "e@f.test"]);
    let (finished, wire) = run(&mut client, &["250 m", "250 r", "550 r", "250 ok"]);
    assert!(
        wire.ends_with("RCPT TO:<e@f.test>\r\nBDAT 4 LAST\r\n.x\r\n"),
        "{wire}"
    );
    assert_eq!(
        (told(&finished).as_str(), finished.flights),
        ("delivered bounced", 4)
    );
    begin_whole(&mut client, &["c@d.test"]);
    let (finished, wire) = run(&mut client, &["250 m", "550 5.1.1 r"]);
    assert!(!wire.contains("BDAT"), "nobody is left to get it: {wire}");
    assert_eq!(told(&finished), "bounced");
}

#[test]
fn what_follows_is_led_by_rset_and_is_answered_in_order() {
    let mut client = group(2);
    let wire = sent(&mut client);
    let one = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 4 LAST\r\n.x\r\n";
    assert_eq!(wire, format!("{one}RSET\r\n{one}"));
    client.receive(b"250 m\r\n250 r\r\n250 first\r\n");
    assert_eq!(client.finished().map(|f| told(&f)).as_deref(), Some("delivered"));
    assert!(client.finished().is_none() && client.under_way() == 1);
    follow(&mut client, &["g@d.test"]);
    assert!(sent(&mut client).starts_with("RSET\r\nMAIL"));
    client.receive(b"250 z\r\n250 m\r\n250 r\r\n250 second\r\n250 z\r\n250 m\r\n250 r\r\n250 third\r\n");
    let results = results(&mut client);
    assert_eq!(
        results.iter().map(told).collect::<Vec<_>>(),
        ["delivered", "delivered"]
    );
    begin_whole(&mut client, &["c@d.test"]);
    assert!(
        sent(&mut client).starts_with("MAIL"),
        "alone behind a 2xx it needs none"
    );
}

#[test]
fn a_larger_content_is_followed_once_its_end_is_out() {
    let mut client = open(CHUNKING);
    begin(&mut client, &["c@d.test"]);
    assert!(!client.can_follow());
    sent(&mut client);
    client.receive(b"250 m\r\n250 r\r\n354 go\r\n");
    client.content(b"x\r\n");
    assert!(!client.can_follow());
    client.end_content();
    follow(&mut client, &["c@d.test"]);
    assert!(sent(&mut client).starts_with("x\r\n.\r\nRSET\r\nMAIL"));
    client.receive(b"250 ok\r\n250 z\r\n250 m\r\n250 r\r\n250 ok\r\n");
    assert_eq!(results(&mut client).len(), 2);
}

#[test]
fn a_transaction_limit_is_not_passed_by_following() {
    let mut client = open("250-mx.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 LIMITS MAILMAX=2\r\n");
    begin_whole(&mut client, &["c@d.test"]);
    follow(&mut client, &["c@d.test"]);
    assert!(!client.can_follow());
}

#[test]
fn without_pipelining_nothing_follows() {
    let mut client = open("250-mx.test\r\n250 CHUNKING\r\n");
    begin_whole(&mut client, &["c@d.test"]);
    assert!(!client.can_follow());
}

/// What the server says in place of its reply at one position; the other replies are all well.
const EVENTS: [&str; 13] = [
    "354 go",
    "450 4.2.1 no",
    "452 4.5.3 many",
    "550 5.1.1 no",
    "552 much",
    "421 bye",
    "500 what",
    "503 order",
    "555 what",
    "777 odd",
    "noise",
    "closed",
    "late",
];

/// Plays a group of two with `event` at `position`. A server that refuses everybody of a transaction
/// refuses its content too.
fn play(position: usize, event: &str) -> String {
    let mut client = group(2);
    sent(&mut client);
    let mut is_refused = false;
    for (index, reply) in all_well(2).into_iter().enumerate() {
        let is_mail = reply == "250 m";
        is_refused = is_refused && !is_mail && reply != "250 z";
        let reply = match reply {
            _ if index == position => event,
            "250 r" | "250 ok" if is_refused => "503 5.5.1 no",
            reply => reply,
        };
        is_refused |= index == position && reply.starts_with(['4', '5']);
        match reply {
            "closed" => client.lost(&Loss::Closed),
            "late" => client.lost(&Loss::TimedOut),
            reply => client.receive(format!("{reply}\r\n").as_bytes()),
        }
    }
    let results = results(&mut client);
    assert_eq!(results.len(), 2, "every beginning ends: {position} {event}");
    let told: Vec<_> = results.iter().map(told).collect();
    format!("{} | {} | {:?}", told[0], told[1], results[1].health)
}

#[test]
fn every_position_of_a_group_answers_every_reply() {
    let names = [
        "1 mail", "1 rcpt", "1 bdat", "2 rset", "2 mail", "2 rcpt", "2 bdat",
    ];
    let mut found = String::new();
    for (position, name) in names.iter().enumerate() {
        for event in EVENTS {
            found.push_str(&format!("{name} | {event} | {}\n", play(position, event)));
        }
    }
    for (found, expected) in found.lines().zip(include_str!("group.txt").lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(
        found,
        include_str!("group.txt"),
        "the table as it is now:\n{found}"
    );
}

/// The server refused MAIL and takes the content all the same: an error, and the end of the session.
#[test]
fn content_taken_after_a_refused_mail_ends_the_session() {
    let mut client = group(2);
    sent(&mut client);
    client.receive(b"550 5.7.1 no\r\n250 r\r\n250 taken\r\n");
    let results = results(&mut client);
    assert_eq!(told(&results[0]), "bounced taken! disorder");
    // It may have been taken too: nothing says that the server did not come to it.
    assert_eq!(told(&results[1]), "deferred twice?");
    assert_eq!(results[1].health, Health::Broken);
}

/// Exim without RSET (design): 503 to MAIL, and then the content under the first sender.
#[test]
fn content_taken_after_503_to_mail_is_noticed() {
    let mut client = group(1);
    sent(&mut client);
    client.receive(b"503 5.5.1 nested\r\n250 r\r\n250 taken\r\n");
    let results = results(&mut client);
    assert_eq!(told(&results[0]), "deferred twice? taken! disorder");
    assert!(results[0].may_resend, "once more, at once");
}

/// 2xx to content whose MAIL got 2xx decides for those whose RCPT did, whatever came between.
#[test]
fn an_odd_reply_to_one_recipient_does_not_undo_the_others() {
    for odd in ["503 5.5.1 order", "354 go"] {
        let mut client = open(CHUNKING);
        begin_whole(&mut client, &["c@d.test", "e@f.test"]);
        sent(&mut client);
        client.receive(format!("250 m\r\n250 r\r\n{odd}\r\n250 taken\r\n").as_bytes());
        let finished = client.finished().unwrap();
        assert_eq!(told(&finished), "delivered open elsewhere disorder", "{odd}");
        assert!(!finished.accepted_after_refusal);
        assert_eq!(finished.health, Health::Worn);
    }
}

/// T43: a 2xx decides also when the connection ends behind it.
#[test]
fn a_connection_that_ends_behind_2xx_has_delivered() {
    for count in 1..4 {
        let mut client = group(4);
        sent(&mut client);
        for reply in all_well(count) {
            client.receive(format!("{reply}\r\n").as_bytes());
        }
        client.lost(&Loss::Closed);
        let told: Vec<_> = results(&mut client).iter().map(told).collect();
        assert!(told[..count].iter().all(|told| told == "delivered"), "{told:?}");
        assert!(
            told[count..].iter().all(|told| told == "deferred twice?"),
            "{told:?}"
        );
    }
}

#[test]
fn what_421_cuts_off_was_not_done() {
    let mut client = group(3);
    sent(&mut client);
    client.receive(b"250 m\r\n250 r\r\n250 ok\r\n421 4.7.0 enough\r\n");
    let told: Vec<_> = results(&mut client).iter().map(told).collect();
    assert_eq!(told, ["delivered", "open elsewhere", "open elsewhere"]);
}

/// Servers that have enough of us say so to MAIL, and hang up.
#[test]
fn a_mail_refused_before_the_connection_ends_decides_nobody() {
    let mut client = group(2);
    sent(&mut client);
    client.receive(b"250 m\r\n250 r\r\n250 ok\r\n250 z\r\n451 4.7.1 enough\r\n");
    client.lost(&Loss::Closed);
    let told: Vec<_> = results(&mut client).iter().map(told).collect();
    assert_eq!(told, ["delivered", "open elsewhere"]);
}

#[test]
fn more_replies_than_commands_end_the_session() {
    let mut client = group(1);
    sent(&mut client);
    client.receive(b"250 m\r\n250 r\r\n250 ok\r\n250 more\r\n");
    let results = results(&mut client);
    assert_eq!(
        (told(&results[0]).as_str(), results[0].health),
        ("delivered", Health::Broken)
    );
}

#[test]
fn a_refusal_before_the_content_is_out_decides_and_wears_the_session() {
    let mut client = group(1);
    let length = client.output().len();
    client.wrote(length - 2);
    client.receive(b"250 m\r\n250 r\r\n552 5.3.4 much\r\n");
    let finished = client.finished().unwrap();
    assert_eq!(
        (told(&finished).as_str(), finished.health),
        ("bounced", Health::Worn)
    );
    assert_eq!(sent(&mut client), "\r\n", "its length was announced");
}

#[test]
fn a_negative_reply_stops_what_is_not_sent_of_its_transaction_alone() {
    let mut client = group(2);
    client.wrote("MAIL FROM:<a@b.test>\r\n".len());
    client.receive(b"550 5.7.1 no\r\n");
    let wire = sent(&mut client);
    assert!(
        wire.starts_with("RSET\r\nMAIL") && wire.ends_with(".x\r\n"),
        "{wire}"
    );
    client.receive(b"250 z\r\n250 m\r\n250 r\r\n250 ok\r\n");
    let told: Vec<_> = results(&mut client).iter().map(told).collect();
    assert_eq!(told, ["bounced", "delivered"]);
}

#[test]
fn a_connection_lost_at_any_octet_repeats_only_what_it_says() {
    let total = group(3).output().len();
    let one = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 4 LAST\r\n.x\r\n".len();
    for written in 0..=total {
        let mut client = group(3);
        client.wrote(written);
        client.lost(&Loss::Closed);
        for (index, finished) in results(&mut client).iter().enumerate() {
            let is_out = written >= (index + 1) * one + index * "RSET\r\n".len();
            assert_eq!(finished.may_be_duplicate, is_out, "{written} {index}");
            let silently = matches!(finished.rest, Rest::LostEarly);
            assert!(!(silently && is_out), "{written} {index}");
        }
    }
}

proptest! {
    #[test]
    fn a_group_ends_with_one_result_each_and_nobody_is_judged_by_anothers_reply(
        count in 1usize..5,
        script in proptest::collection::vec((0usize..60, proptest::sample::select(
            &["250 ok", "250 ok", "250 ok", "450 no", "550 no", "503 o", "421 bye", "354 go", "noise"][..])), 0..20),
        loss in prop_oneof![Just(Loss::Closed), Just(Loss::TimedOut)],
    ) {
        let mut client = group(count);
        let (mut replies, mut positive, mut found) = (0, 0, Vec::new());
        for (write, reply) in script {
            let length = client.output().len().min(write * 5);
            client.wrote(length);
            let before = client.answers();
            client.receive(format!("{reply}\r\n").as_bytes());
            replies += 1;
            positive += u32::from(client.answers() > before && reply.starts_with('2'));
            found.extend(results(&mut client));
        }
        client.lost(&loss);
        found.extend(results(&mut client));
        prop_assert_eq!(found.len(), count);
        prop_assert_eq!(client.under_way(), 0);
        let delivered = found.iter().filter(|f| f.accepted).count();
        // MAIL, RCPT and the content each had one.
        prop_assert!(delivered * 3 <= positive as usize, "{} of {} replies", positive, replies);
        for finished in &found {
            let is_delivered = matches!(finished.outcomes[0], Some(Outcome::Delivered(_)));
            prop_assert_eq!(is_delivered, finished.accepted);
            prop_assert!(finished.outcomes[0].is_some() || finished.rest != Rest::Next);
            prop_assert!(!(finished.may_be_duplicate && finished.rest == Rest::LostEarly));
        }
    }
}
