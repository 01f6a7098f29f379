//! Every state of the client against every class of reply and of loss.

use super::*;

/// What the server does next.
const EVENTS: [&str; 14] = [
    "250 ok",
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

/// Brings a session into each state, without PIPELINING unless the state needs it.
fn states() -> Vec<(&'static str, Client)> {
    let mut greeting = vec![("greeting", new())];
    let mut ehlo = new();
    ehlo.receive(b"220 hi\r\n");
    greeting.push(("ehlo", ehlo));
    let mut helo = new();
    for reply in ["220 hi\r\n", "502 no\r\n"] {
        helo.receive(reply.as_bytes());
        sent(&mut helo);
    }
    greeting.push(("helo", helo));
    let mut rset = open(PLAIN);
    begin(&mut rset, &["c@d.test"]);
    assert_eq!(word(&run(&mut rset, &["450 no"]).0.outcomes[0]), "deferred");
    begin(&mut rset, &["c@d.test"]);
    greeting.push(("rset", rset));
    let mut mail_again = open(PLAIN);
    succeed(&mut mail_again);
    begin(&mut mail_again, &["c@d.test"]);
    greeting.push(("mail, reused", mail_again));
    for (name, replies) in [
        ("mail", &[][..]),
        ("rcpt", &["250 m"]),
        ("second rcpt", &["250 m", "250 r"]),
        ("data", &["250 m", "250 r", "250 r"]),
        ("content", &["250 m", "250 r", "250 r", "354 d"]),
        ("end", &["250 m", "250 r", "250 r", "354 d"]),
    ] {
        let mut client = open(PLAIN);
        begin(&mut client, &["c@d.test", "e@d.test"]);
        for reply in replies {
            sent(&mut client);
            client.receive(format!("{reply}\r\n").as_bytes());
        }
        if name == "content" || name == "end" {
            client.content(b"x\r\n");
        }
        if name == "end" {
            client.end_content();
        }
        greeting.push((name, client));
    }
    let mut nothing = open(PIPELINING);
    begin(&mut nothing, &["c@d.test"]);
    sent(&mut nothing);
    nothing.receive(b"250 m\r\n550 5.1.1 r\r\n354 d\r\n");
    greeting.push(("lone dot", nothing));
    let mut quit = open(PLAIN);
    quit.quit();
    greeting.push(("quit", quit));
    for (_, client) in &mut greeting {
        sent(client);
    }
    greeting
}

/// What the machine makes of it: what it sends or awaits next, or how it ended.
fn answer(client: &mut Client, event: &str) -> String {
    match event {
        "closed" => client.lost(&Loss::Closed),
        "late" => client.lost(&Loss::TimedOut),
        event => client.receive(format!("{event}\r\n").as_bytes()),
    }
    if let Some(Err(refused)) = client.opening() {
        assert!(!refused.failure.refusal.is_permanent());
        return "refused".into();
    }
    if let Some(finished) = client.finished() {
        let rest = match &finished.rest {
            Rest::Next => "",
            Rest::Unsent => " unsent",
            Rest::LostEarly => " elsewhere",
            Rest::NoRoom => " no room",
            Rest::Limited(failure) => {
                assert!(!failure.refusal.is_permanent());
                " limited"
            }
            Rest::Failed(failure) => {
                assert!(!failure.refusal.is_permanent());
                " failed"
            }
        };
        let duplicate = if finished.may_be_duplicate { " twice?" } else { "" };
        return format!("{}{rest}{duplicate} {:?}", words(&finished), finished.health);
    }
    let output = sent(client);
    match client.want() {
        Want::Reply(_) if !output.is_empty() => {
            format!("> {}", output.split([' ', ':', '\r']).next().unwrap_or_default())
        }
        want => format!("{want:?}"),
    }
}

/// Prints the table as it stands below, to be checked by eye when it changes.
fn table() -> String {
    let mut table = String::new();
    for (index, (name, _)) in states().iter().enumerate() {
        for event in EVENTS {
            let mut client = states().remove(index).1;
            let answer = answer(&mut client, event);
            table.push_str(&format!("{name} | {event} | {answer}\n"));
        }
    }
    table
}

#[test]
fn client_states_answer_every_reply_class() {
    let (found, expected) = (table(), include_str!("table.txt"));
    let rows = states().len() * EVENTS.len();
    assert_eq!(found.lines().count(), rows);
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found, expected, "the table as it is now:\n{found}");
}
