//! The README's first mail, as the README has it, to a real Postfix.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
};

use remuda_testing::{
    free_port,
    peer::{Mode, Peer},
    postfix::Postfix,
    wait::{wait_for, wait_until},
};

use crate::home::{Ended, Home, tool};

#[test]
fn the_readmes_first_mail_arrives_at_a_real_postfix() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).expect("README.md");
    let section = readme
        .split("\n## ")
        .find(|section| section.starts_with("First mail"))
        .expect("the section");
    let postfix = Postfix::start(Mode::Keep, &[]).expect("the peer is there");
    let relay = postfix.address();
    let lines = fenced(section, "toml").replace("127.0.0.1:2600", &relay.to_string());
    assert_eq!(lines.trim_end().lines().count(), 3, "{lines}");
    let home = Home::with(&(lines + &other_ports()));
    let mut remuda = home.start();

    let swaks = fenced(section, "sh");
    let swaks = swaks
        .lines()
        .find(|line| line.starts_with("swaks "))
        .expect("the command");
    let arguments = swaks.replace("127.0.0.1:2525", &remuda.smtp.to_string());
    let sent: Ended = Command::new(tool("/usr/bin/swaks"))
        .args(arguments.split_whitespace().skip(1))
        .output()
        .expect("swaks can be started")
        .into();
    assert_eq!(sent.code, Some(0), "{sent:?}");
    postfix.wait_for_messages(1);
    let kept = postfix.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].recipient.as_str(), kept[0].sender.as_str()),
        ("someone@example.test", "me@example.org")
    );
    assert!(
        kept[0].text().contains("This is a test mailing"),
        "{}",
        kept[0].text()
    );

    let line = remuda.process.wait_for_line("delivery id=");
    let example = fenced(section, "");
    assert_eq!(
        names(&delivery(&line)),
        names(&delivery(&example)),
        "{line}\n{example}"
    );
    assert_delivered(&delivery(&line), relay);
    assert_eq!(remuda.waiting(), 0);

    // With the server gone, the next one waits, and every command of the README shows it.
    drop(postfix);
    let again = Command::new("/usr/bin/swaks")
        .args(arguments.split_whitespace().skip(1))
        .status()
        .expect("swaks can be started");
    assert!(again.success());
    shows_what_waits(&home, &relay.to_string());
    assert!(remuda.stop().success());
}

/// The commands of "See what it does", which find the server by the configuration in their directory. The
/// destination of a route is its hosts as they are written.
fn shows_what_waits(home: &Home, destination: &str) {
    let say = |ended: Ended| {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.out
    };
    wait_until("the message is deferred", || {
        say(home.run(["queue", "list", "--status", "deferred"])).contains(destination)
    });
    let list = say(home.run(["queue", "list"]));
    let row = list.lines().nth(1).unwrap_or_default();
    for part in [
        "deferred",
        destination,
        "<me@example.org>",
        "someone@example.test",
        "refused",
    ] {
        assert!(row.contains(part), "{part:?} is not in\n{list}");
    }
    let id = row.split_whitespace().next().unwrap_or_default();
    let show = say(home.run(["queue", "show", id]));
    for part in [id, "<me@example.org>", "<someone@example.test>", "refused"] {
        assert!(show.contains(part), "{part:?} is not in\n{show}");
    }
    let summary = say(home.run(["queue", "summary"]));
    assert!(
        summary.lines().any(|line| line.starts_with(destination)),
        "{summary}"
    );
    say(home.run(["connections"]));
    let statistics = say(home.run(["connections", "--stats"]));
    assert!(statistics.contains("destination misses"), "{statistics}");
    say(home.run(["queue", "retry", "--destination", destination]));
    say(home.run(["queue", "delete", id]));
    wait_for("nothing waits", || {
        say(home.run(["queue", "list"]))
            .contains("nothing waits")
            .then_some(())
    });
    say(home.run(["check"]));
}

/// Sections for other ports, where those of the README are taken on this machine.
fn other_ports() -> String {
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    if is_free(2525) && is_free(8025) {
        return String::new();
    }
    let port = || free_port().expect("a port");
    format!(
        "[[listener]]\naddress = \"127.0.0.1:{}\"\n[admin]\naddress = \"127.0.0.1:{}\"\n",
        port(),
        port()
    )
}

/// The first block of this language.
fn fenced(text: &str, language: &str) -> String {
    let mut blocks = text.split("\n```").skip(1).step_by(2);
    let found = blocks.find_map(|block| block.split_once('\n').filter(|(name, _)| *name == language));
    found
        .map(|(_, block)| format!("{block}\n"))
        .unwrap_or_else(|| panic!("no block of {language:?}"))
}

/// The fields of a delivery line, in order; quotes around a value are gone.
fn delivery(line: &str) -> Vec<(String, String)> {
    let mut rest = line.split_once("delivery ").expect("a delivery").1.trim_end();
    let mut fields = Vec::new();
    while let Some((name, value)) = rest.split_once('=') {
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a closing quote"),
            None => value.split_once(' ').unwrap_or((value, "")),
        };
        fields.push((name.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    fields
}

/// The names that the contract has for every delivery; more may stand beside them.
fn names(fields: &[(String, String)]) -> Vec<&str> {
    let known = [
        "id", "from", "to", "relay", "delay", "delays", "dsn", "status", "reply",
    ];
    fields
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| known.contains(name))
        .collect()
}

fn assert_delivered(fields: &[(String, String)], relay: SocketAddr) {
    let value = |name: &str| {
        let field = fields.iter().find(|(other, _)| other == name);
        field
            .map(|(_, value)| value.as_str())
            .unwrap_or_else(|| panic!("no {name} in {fields:?}"))
    };
    assert!(
        value("id").bytes().all(|octet| octet.is_ascii_alphanumeric()),
        "{fields:?}"
    );
    assert_eq!(
        (value("from"), value("to")),
        ("<me@example.org>", "<someone@example.test>")
    );
    assert_eq!(
        value("relay"),
        format!("{}[{}]:{}", relay.ip(), relay.ip(), relay.port())
    );
    assert!(value("delay").parse::<f64>().is_ok(), "{fields:?}");
    let parts: Vec<_> = value("delays").split('/').map(str::parse::<f64>).collect();
    assert!(parts.len() == 4 && parts.iter().all(Result::is_ok), "{fields:?}");
    assert_eq!((value("dsn"), value("status")), ("2.0.0", "sent"));
    assert!(value("reply").starts_with("250 2.0.0 Ok"), "{fields:?}");
    assert!(
        !fields
            .iter()
            .any(|(name, _)| name == "orig_to" || name == "conn_use"),
        "{fields:?}"
    );
}
