//! What RCPT decides, and what holds until delivery: the built program over each store, and clients by hand.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
};

use remuda_testing::{
    postgres::{Database, Postgres},
    wait::{PATIENCE, wait_until},
};
use serde_json::{Value, json};

use crate::home::{Home, Remuda, tool};

/// A running server over a store of either kind, which strangers may not relay through.
struct Server {
    remuda: Remuda,
    home: Home,
    database: Option<Database>,
}

/// Runs a test over a file, and over a database of a cluster.
fn on_each_store(sections: &str, test: impl Fn(&Server)) {
    let cluster = Postgres::start().expect("a cluster");
    let other = cluster.database().expect("a database");
    for database in [None, Some(other)] {
        let url = database.as_ref().map(|database| &database.url);
        let url = url.map_or(String::new(), |url| format!("[directory]\nurl = \"{url}\"\n"));
        let home = Home::new(&format!("[relay]\nnetworks = []\n{url}{sections}"));
        let remuda = home.start();
        let mut server = Server {
            remuda,
            home,
            database,
        };
        server.ask("domain add d.test");
        server.ask("account add bob@d.test");
        test(&server);
        assert!(server.remuda.stop().success(), "{}", server.remuda.log());
    }
}

impl Server {
    fn ask(&self, line: &str) -> String {
        self.remuda.ask(&line.split(' ').collect::<Vec<_>>())
    }

    /// By the database's own tool.
    fn sql(&self, statements: &str) {
        if let Some(database) = &self.database {
            database.execute(statements).expect("it is done");
            return;
        }
        let file = self.home.path("remuda-data/directory.db");
        let done = Command::new(tool("/usr/bin/sqlite3"))
            .args(["-bail", "-cmd", ".timeout 5000"])
            .arg(file)
            .arg(statements)
            .status();
        assert!(done.expect("sqlite3 can be started").success(), "{statements}");
    }

    /// What lies in a Maildir of d.test.
    fn mail(&self, of: &str) -> Vec<String> {
        let new = self.home.path(&format!("remuda-data/mail/d.test/{of}/new"));
        let Ok(files) = fs::read_dir(new) else {
            return Vec::new();
        };
        let read = |file: std::io::Result<fs::DirEntry>| fs::read_to_string(file.expect("a file").path());
        files.map(|file| read(file).expect("text")).collect()
    }
}

/// A client by hand.
struct Dialog {
    stream: BufReader<TcpStream>,
}

impl Dialog {
    /// After EHLO.
    fn new(server: SocketAddr) -> Dialog {
        let stream = TcpStream::connect(server).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let mut dialog = Dialog {
            stream: BufReader::new(stream),
        };
        assert!(dialog.reply().starts_with("220 "));
        dialog.expect("EHLO c.test", "250 ");
        dialog
    }

    /// The last line of a reply.
    fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a reply");
            assert!(!line.is_empty(), "the server hung up");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    fn say(&mut self, line: &str) -> String {
        let stream = self.stream.get_mut();
        stream
            .write_all(format!("{line}\r\n").as_bytes())
            .expect("it reads");
        self.reply()
    }

    #[track_caller]
    fn expect(&mut self, line: &str, reply: &str) {
        let said = self.say(line);
        assert!(said.starts_with(reply), "{line}: {said}, not {reply}");
    }
}

/// G12, G13.
#[test]
fn whom_a_recipient_meant_gets_the_mail_once() {
    on_each_store("", |server| {
        server.ask("account add eve@d.test");
        server.ask("alias add info@d.test bob@d.test");
        let mut client = Dialog::new(server.remuda.smtp);
        client.expect("MAIL FROM:<a@outside.test>", "250 ");
        for to in ["info@d.test", "bob@d.test", "BOB+x@d.test"] {
            client.expect(&format!("RCPT TO:<{to}>"), "250 2.1.5");
        }
        server.ask("alias set info@d.test eve@d.test");
        client.expect("DATA", "354 ");
        client.expect("Subject: x\r\n\r\nx\r\n.", "250 ");
        server.remuda.wait_until_empty();
        assert_eq!((server.mail("bob").len(), server.mail("eve").len()), (1, 0));
        assert!(
            server.mail("bob")[0].contains("X-Original-To: info@d.test\n"),
            "{:?}",
            server.mail("bob")
        );
        // From the next RCPT on it is the other's.
        client.expect("MAIL FROM:<a@outside.test>", "250 ");
        client.expect("RCPT TO:<info@d.test>", "250 2.1.5");
        client.expect("DATA", "354 ");
        client.expect("Subject: x\r\n\r\nx\r\n.", "250 ");
        server.remuda.wait_until_empty();
        assert_eq!((server.mail("bob").len(), server.mail("eve").len()), (1, 1));
    });
}

/// G15.
#[test]
fn the_least_of_all_limits_holds_for_the_size() {
    on_each_store("[limits]\nmessage_size = \"20MiB\"\n", |server| {
        server.ask("domain set d.test --message-size 2MiB");
        server.ask("domain add s.test --message-size 1MiB");
        let mut client = Dialog::new(server.remuda.smtp);
        client.expect("MAIL FROM:<a@s.test> SIZE=1500000", "552 5.3.4");
        client.expect("MAIL FROM:<a@s.test> SIZE=1000000", "250 ");
        client.expect("RSET", "250 ");
        client.expect("MAIL FROM:<a@outside.test> SIZE=30000000", "552 5.3.4");
        client.expect("MAIL FROM:<a@outside.test> SIZE=2500000", "250 ");
        client.expect("RCPT TO:<bob@d.test>", "552 5.3.4");
        client.expect("RSET", "250 ");
        client.expect("MAIL FROM:<a@outside.test> SIZE=1500000", "250 ");
        client.expect("RCPT TO:<bob@d.test>", "250 2.1.5");
        client.expect("RSET", "250 ");
        // What says nothing of its size is measured.
        client.expect("MAIL FROM:<a@s.test>", "250 ");
        client.expect("RCPT TO:<bob@d.test>", "250 2.1.5");
        client.expect("DATA", "354 ");
        let body = "x".repeat(998) + "\r\n";
        client.expect(&format!("\r\n{}.", body.repeat(1500)), "552 5.3.4");
        assert!(server.mail("bob").is_empty());
    });
}

/// G3, G9.
#[test]
fn a_domain_out_of_use_and_a_list_for_who_logs_in_are_refused_in_their_words() {
    let route = "[[route]]\ndomain = \"d.test\"\nhosts = [\"127.0.0.1:9\"]\naccept = true\n";
    on_each_store(route, |server| {
        server.ask("list add l@d.test bob@d.test --require-auth true");
        let mut client = Dialog::new(server.remuda.smtp);
        client.expect("MAIL FROM:<bob@d.test>", "250 ");
        client.expect("RCPT TO:<l@d.test>", "550 5.7.1 Log in");
        client.expect("RCPT TO:<bob@d.test>", "250 2.1.5");
        server.ask("domain set d.test --active false");
        client.expect("RCPT TO:<bob@d.test>", "550 5.2.1");
        client.expect("RCPT TO:<nobody@d.test>", "550 5.2.1");
        wait_until("who is refused is in the log", || {
            let log = server.remuda.log();
            log.contains("to=<l@d.test> reply=\"550 5.7.1 ")
                && log.contains("to=<nobody@d.test> reply=\"550 5.2.1 ")
        });
    });
}

/// D4, D5; RFC 5321 §4.5.1.
#[test]
fn the_postmaster_is_always_accepted_and_nobody_refused_without_a_directory() {
    on_each_store("", |server| {
        let mut client = Dialog::new(server.remuda.smtp);
        client.expect("MAIL FROM:<a@outside.test>", "250 ");
        for to in ["postmaster", "postmaster@remuda.test", "Postmaster@d.test"] {
            client.expect(&format!("RCPT TO:<{to}>"), "250 2.1.5");
        }
        client.expect("RCPT TO:<bob@remuda.test>", "550 5.1.1");
        client.expect("RSET", "250 ");
        // One of the domain's own comes first.
        server.ask("account add postmaster@d.test");
        client.expect("MAIL FROM:<a@outside.test>", "250 ");
        client.expect("RCPT TO:<Postmaster@d.test>", "250 2.1.5");
        client.expect("DATA", "354 ");
        client.expect("Subject: x\r\n\r\nx\r\n.", "250 ");
        server.remuda.wait_until_empty();
        assert_eq!(server.mail("postmaster").len(), 1);
        server.sql("ALTER TABLE domain RENAME TO elsewhere");
        server.ask("cache clear");
        client.expect("MAIL FROM:<a@outside.test>", "250 ");
        for to in ["postmaster", "postmaster@remuda.test"] {
            client.expect(&format!("RCPT TO:<{to}>"), "250 2.1.5");
        }
        for to in ["bob@d.test", "nobody@d.test", "x@never-seen.test"] {
            client.expect(&format!("RCPT TO:<{to}>"), "451 4.3.0");
        }
        server.sql("ALTER TABLE elsewhere RENAME TO domain");
        wait_until("the directory is read again", || {
            client.say("RCPT TO:<nobody@d.test>").starts_with("550 5.1.1")
        });
    });
}

/// G11.
#[test]
fn the_fifty_thousand_and_first_recipient_is_one_too_many() {
    on_each_store("", |server| {
        let members: Vec<String> = (0..50_000).map(|number| format!("u{number}@o.test")).collect();
        let list = json!({"type": "list", "address": "l@d.test", "members": members});
        fs::write(server.home.path("list.json"), json!([list]).to_string()).expect("a file");
        let file = server.home.path("list.json");
        server.remuda.ask(&["import", file.to_str().expect("a path")]);
        let mut client = Dialog::new(server.remuda.smtp);
        client.expect("MAIL FROM:<a@outside.test>", "250 ");
        client.expect("RCPT TO:<l@d.test>", "250 2.1.5");
        client.expect("RCPT TO:<bob@d.test>", "452 4.5.3");
        client.expect("RSET", "250 ");
        client.expect("MAIL FROM:<a@outside.test>", "250 ");
        client.expect("RCPT TO:<bob@d.test>", "250 2.1.5");
        client.expect("RCPT TO:<l@d.test>", "452 4.5.3");
    });
}

/// D7.
#[test]
fn mail_for_an_account_that_cannot_be_read_waits_and_comes_once() {
    on_each_store("", |server| {
        let mut client = Dialog::new(server.remuda.smtp);
        client.expect("MAIL FROM:<a@outside.test>", "250 ");
        client.expect("RCPT TO:<bob@d.test>", "250 2.1.5");
        client.expect("DATA", "354 ");
        server.sql("ALTER TABLE account RENAME TO elsewhere");
        server.ask("cache clear");
        client.expect("Subject: x\r\n\r\nx\r\n.", "250 ");
        let entry = || -> Value {
            let page = server.remuda.ask(&["queue", "list", "--json"]);
            let page: Value = serde_json::from_str(&page).expect("JSON");
            page["entries"][0].clone()
        };
        wait_until("it is deferred", || {
            server.remuda.log().contains("dsn=4.4.3 status=deferred")
        });
        let waits = || entry()["due"].as_i64() > entry()["arrived"].as_i64();
        wait_until("that is settled", waits);
        assert_eq!(entry()["attempts"], 0, "{}", entry());
        assert!(server.mail("bob").is_empty());
        server.sql("ALTER TABLE elsewhere RENAME TO account");
        let id = entry()["id"].as_str().expect("an id").to_owned();
        wait_until("it is delivered", || {
            // It may have gone by itself.
            server.remuda.run(&["queue", "retry", &id]);
            server.remuda.waiting() == 0
        });
        assert_eq!(server.mail("bob").len(), 1);
    });
}
