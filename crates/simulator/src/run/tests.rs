//! Whole runs: every fault of a host, every way for mail to come, and the same again for the same seed.

use super::*;
use crate::log::Log;

const TWO: &str = "\
[[host]]
name = 'a'
service = 'exponential 50ms'
connect = '5ms'
FIRST
[[host]]
name = 'b'
service = '50ms'
connect = '5ms'
[[domain]]
name = 'd'
hosts = ['a', 'b']
[mail]
messages = 300
MAIL
[policy]
concurrency = 10
";

/// Two hosts of which the first has these keys, with mail that comes so.
fn two(first: &str, mail: &str) -> String {
    TWO.replace("FIRST", first).replace("MAIL", mail)
}

fn logged(text: &str, policy: Policy) -> (Figures, Vec<String>) {
    let (scenario, plan) = Scenario::parse(text).unwrap();
    let (mut log, mut lines) = (Log::default(), Vec::new());
    let figures =
        Run::new(&scenario, &plan, policy).go(&mut |at, command| lines.extend(log.line(at, command)));
    (figures, lines)
}

fn figures(text: &str) -> Figures {
    logged(text, Policy::Adaptive).0
}

fn assert_conserved(figures: &Figures) {
    assert_eq!(
        figures.delivered + figures.bounced + figures.left,
        figures.accepted
    );
    let messages: u64 = figures.hosts.iter().map(|host| host.messages).sum();
    assert_eq!(messages, figures.delivered);
}

#[test]
fn every_message_is_accounted_for_whatever_hosts_do() {
    for state in ["works", "refuses", "never_connects", "never_greets", "defers"] {
        let figures = figures(&two(&format!("state = '{state}'"), ""));
        assert_conserved(&figures);
        assert_eq!((figures.delivered, figures.left), (300, 0), "{state}");
        assert_eq!(figures.hosts[0].messages > 0, state == "works", "{state}");
    }
}

#[test]
fn the_same_run_gives_the_same_commands_at_the_same_times() {
    for policy in Policy::SIDE_BY_SIDE {
        for mail in ["", "rate = 50", "senders = 10"] {
            let text = format!("seed = 3\n{}", two("state = 'defers'", mail));
            let first = logged(&text, policy);
            assert!(first.1.len() > 600);
            assert!(first == logged(&text, policy), "{policy} {mail}");
            let other = logged(&text.replace("seed = 3", "seed = 4"), policy);
            assert!(first.1 != other.1, "{policy} {mail}");
        }
    }
}

#[test]
fn mail_at_once_lies_in_the_spool_when_it_begins() {
    let figures = figures(&two("", ""));
    // Ten sessions of 50 ms each.
    assert!((1.3..3.0).contains(&figures.seconds), "{}", figures.seconds);
    assert!((figures.delay.max - figures.seconds).abs() < 0.01);
}

#[test]
fn mail_at_a_rate_comes_at_that_rate() {
    let figures = figures(&two("", "rate = 10"));
    assert!((26.0..34.0).contains(&figures.seconds), "{}", figures.seconds);
    assert!(figures.delay.p50 < 0.1, "{:?}", figures.delay);
}

#[test]
fn senders_have_so_many_messages_under_way() {
    let figures = figures(&two("", "senders = 2"));
    let peak: u32 = figures.hosts.iter().map(|host| host.sessions_peak).max().unwrap();
    assert!(peak <= 2, "{peak}");
    // Two at a time, each for 50 ms and now and then a connect.
    assert!((7.0..9.5).contains(&figures.seconds), "{}", figures.seconds);
}

#[test]
fn a_sender_whose_mail_is_put_off_goes_on_once() {
    let text = two("state = 'refuses'", "senders = 2").replace("hosts = ['a', 'b']", "hosts = ['a']");
    let figures = figures(&format!("duration = '2h'\n{text}"));
    assert_conserved(&figures);
    assert!(
        figures.accepted > 2 && figures.left == figures.accepted,
        "{}",
        figures.accepted
    );
    // Each message that was tried has brought one more, and some were tried again since.
    assert!(
        figures.accepted < figures.deferrals + 2,
        "{} {}",
        figures.accepted,
        figures.deferrals
    );
}

#[test]
fn a_run_ends_at_its_time_limit() {
    let figures = figures(&format!("duration = '1s'\n{}", two("", "")));
    assert!((figures.seconds - 1.0).abs() < 0.001, "{}", figures.seconds);
    assert!(figures.left > 0 && figures.delivered > 0);
    assert_conserved(&figures);
}

#[test]
fn mail_for_a_host_that_never_works_is_given_up() {
    let text = two("state = 'refuses'", "").replace("hosts = ['a', 'b']", "hosts = ['a']");
    let figures = figures(&text);
    assert_eq!((figures.bounced, figures.left), (300, 0));
    assert!(figures.seconds > 4.9 * 86_400.0);
    assert_conserved(&figures);
}

#[test]
fn a_session_limit_is_never_passed() {
    let text = two("session_limit = 2", "").replace("hosts = ['a', 'b']", "hosts = ['a']");
    let (figures, _) = logged(&text, Policy::Adaptive);
    assert!(figures.dials_failed > 0, "421 was said");
    assert_eq!((figures.delivered, figures.left), (300, 0));
    assert_conserved(&figures);
}

#[test]
fn a_host_that_closes_after_n_transactions_carries_n_on_each_session() {
    let (figures, lines) = logged(&two("close_after = 3", ""), Policy::Adaptive);
    assert_eq!((figures.delivered, figures.left), (300, 0));
    assert!(figures.hosts[0].reuse <= 3.0, "{}", figures.hosts[0].reuse);
    assert!(figures.hosts[1].reuse > 3.0);
    assert!(lines.iter().any(|line| line.contains("transact")));
}

#[test]
fn a_host_that_recovers_takes_mail_again() {
    let recovers = "state = 'refuses'\n[[host.phase]]\nat = '10s'";
    let figures = figures(&two(recovers, "rate = 10"));
    assert!(
        (50..150).contains(&figures.hosts[0].messages),
        "{}",
        figures.hosts[0].messages
    );
}

#[test]
fn a_commit_that_takes_time_holds_sessions_back() {
    let quick = figures(&two("", ""));
    let slow = figures(&two("", "commit_time = '500ms'"));
    assert_eq!(slow.delivered, 300);
    assert!(
        slow.seconds > 1.2 * quick.seconds,
        "{} {}",
        slow.seconds,
        quick.seconds
    );
}

#[test]
fn a_count_of_reuses_gives_sessions_up() {
    let (figures, lines) = logged(&two("", ""), Policy::Count);
    assert!(figures.reuse <= 11.0, "{}", figures.reuse);
    assert!(lines.iter().any(|line| line.ends_with("count")));
    let (figures, lines) = logged(&two("", ""), Policy::Time);
    assert!(figures.reuse > 20.0, "{}", figures.reuse);
    assert!(!lines.iter().any(|line| line.ends_with("count")));
}

#[test]
fn it_reports_as_the_engine_does_and_tells_of_a_connection_before_its_answer() {
    let text = two("state = 'never_greets'", "rate = 1").replace("messages = 300", "messages = 1");
    let first_at_a = (0..20).find_map(|seed| {
        let (_, lines) = logged(&format!("seed = {seed}\n{text}"), Policy::Adaptive);
        lines[0].ends_with("dial #1 a").then_some(lines)
    });
    let lines = first_at_a.expect("one host or the other is first");
    let millis = |line: &str| -> u64 {
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    };
    let time = |line: &String| millis(line.split(' ').next().unwrap());
    assert!(lines[1].ends_with("dial #2 b"), "{lines:?}");
    // A connection that is not greeted is late after three seconds, one that does not come after a quarter.
    assert_eq!(time(&lines[1]) - time(&lines[0]), 3005);
}

#[test]
fn a_dial_that_is_given_up_frees_its_place_at_the_host() {
    let text = two("greeting = '60s'\nsession_limit = 4", "").replace("concurrency = 10", "sessions = 4");
    let (figures, lines) = logged(&text, Policy::Adaptive);
    assert_conserved(&figures);
    assert_eq!(figures.left, 0);
    let a = &figures.hosts[0];
    let given_up = lines
        .iter()
        .filter(|line| line.contains("retire") && line.contains(" a "))
        .count();
    assert!(given_up > 0, "nobody waits for what is dialled there");
    assert_eq!((a.transactions, a.dials_failed), (0, given_up as u64));
    assert!(a.sessions_mean < f64::from(a.sessions_peak), "{a:?}");
}
