//! Remuda as receiver of real clients: what they send arrives at the sink once and unchanged.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    process::{Command, Stdio},
};

use remuda_sink::sha256;
use remuda_testing::{
    exim::Exim,
    free_port,
    opensmtpd::OpenSmtpd,
    peer::{Mode, Peer},
    postfix::Postfix,
};

use crate::{
    home::{Ended, Home, tool},
    letters::{self, Letter},
    sink::{Sink, assert_once_and_unchanged, text},
};

/// Sends every form of letter through a server that relays to Remuda.
fn relays_through(start: impl FnOnce(Mode) -> io::Result<Box<dyn Peer>>) {
    let sink = Sink::new();
    let home = Home::new(&sink.route("*"));
    let mut remuda = home.start();
    let peer = start(Mode::RelayTo(remuda.smtp)).expect("the peer is there");
    let letters = letters::every_form("example.test");
    letters::send(peer.address(), &letters);
    let recipients: u64 = letters.iter().map(|letter| letter.recipients.len() as u64).sum();
    sink.wait_for_recipients(recipients);
    remuda.wait_until_empty();
    assert!(remuda.stop().success());
    let report = sink.stop();
    let received: Vec<_> = report.received().cloned().collect();
    assert_once_and_unchanged(&letters, &received);
    assert_eq!(report.violations().next(), None);
}

#[test]
fn a_real_postfix_relays_through_remuda() {
    relays_through(|mode| Ok(Box::new(Postfix::start(mode, &[])?)));
}

#[test]
fn a_real_exim_relays_through_remuda() {
    // It does not pass the parameter BODY on: Remuda declares 8-bit content itself.
    relays_through(|mode| Ok(Box::new(Exim::start(mode)?)));
}

#[test]
fn a_real_opensmtpd_relays_through_remuda() {
    // It does not pass the parameter BODY on: Remuda declares 8-bit content itself.
    relays_through(|mode| Ok(Box::new(OpenSmtpd::start(mode)?)));
}

/// Sends one letter with a client and checks it at the sink.
fn arrives(letter: &Letter, client: impl FnOnce(SocketAddr, &Home) -> Ended) {
    let sink = Sink::new();
    let home = Home::new(&sink.route("*"));
    let mut remuda = home.start();
    let ended = client(remuda.smtp, &home);
    assert_eq!(ended.code, Some(0), "{ended:?}\n{}", remuda.log());
    sink.wait_for(1);
    remuda.wait_until_empty();
    assert!(remuda.stop().success());
    let report = sink.stop();
    let received: Vec<_> = report.received().cloned().collect();
    assert_once_and_unchanged(std::slice::from_ref(letter), &received);
    assert_eq!(report.violations().next(), None);
}

fn run(command: &mut Command) -> Ended {
    command.output().expect("the client can be started").into()
}

#[test]
fn mail_of_swaks_arrives_with_and_without_pipelining() {
    for options in [&[][..], &["--pipeline"]] {
        let letter = Letter::new("swaks", "example.test", b"hello\r\n.\r\n..dots\r\n.\r\nend\r\n");
        arrives(&letter, |smtp, home| {
            let file = home.path("letter");
            // It ends the last line itself.
            fs::write(&file, letter.content.trim_ascii_end()).expect("a file");
            run(Command::new(tool("/usr/bin/swaks"))
                .args(["--server", &smtp.to_string(), "--from", &letter.sender])
                .args(["--to", &letter.recipients.join(",")])
                .args(options)
                .arg("--data")
                .arg(format!("@{}", file.display())))
        });
    }
}

#[test]
fn mail_of_smtplib_arrives_with_international_addresses() {
    let mut letter = Letter::new("smtplib", "example.test", "Grüße\r\n.\r\n".as_bytes());
    letter.recipients = vec!["käthe@example.test".to_owned(), "two@example.test".to_owned()];
    arrives(&letter, |smtp, home| {
        let file = home.path("letter");
        fs::write(&file, &letter.content).expect("a file");
        run(Command::new("python3")
            .args(["-c", SMTPLIB, &smtp.ip().to_string(), &smtp.port().to_string()])
            .arg(&file)
            .arg(&letter.sender)
            .args(&letter.recipients)
            .env("PYTHONUTF8", "1"))
    });
}

const SMTPLIB: &str = "\
import smtplib, sys
host, port, file, sender, *recipients = sys.argv[1:]
with smtplib.SMTP(host, int(port)) as client:
    with open(file, 'rb') as letter:
        refused = client.sendmail(sender, recipients, letter.read(), ['BODY=8BITMIME', 'SMTPUTF8'])
    sys.exit(1 if refused else 0)
";

#[test]
fn mail_of_smtp_source_arrives_message_by_message() {
    let sink = Sink::new();
    let home = Home::new(&sink.route("*"));
    let mut remuda = home.start();
    let ended = run(Command::new(tool("/usr/sbin/smtp-source"))
        .args([
            "-m",
            "200",
            "-s",
            "10",
            "-l",
            "3000",
            "-f",
            "a@home.test",
            "-t",
            "b@example.test",
        ])
        .arg(format!("inet:{}", remuda.smtp)));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    sink.wait_for(200);
    remuda.wait_until_empty();
    assert!(remuda.stop().success());
    let report = sink.stop();
    assert_eq!(report.messages(), 200);
    for received in report.received() {
        assert_eq!(received.sender, "a@home.test");
        assert_eq!(received.recipients[0].address, "b@example.test");
    }
}

#[test]
fn remuda_sendmail_submits_to_the_server_of_its_configuration() {
    let sink = Sink::new();
    let smtp = SocketAddr::from(([127, 0, 0, 1], free_port().expect("a port")));
    let home = Home::with(&format!(
        "hostname = \"remuda.test\"\n[[listener]]\naddress = \"{smtp}\"\n[admin]\naddress = \"127.0.0.1:0\"\n{}",
        sink.route("*")
    ));
    let mut remuda = home.start();
    let letter = "From: <writer@home.test>\nTo: One <one@example.test>\nBcc: <two@else.test>\nSubject: sendmail\n\
        Message-ID: <1@home.test>\nDate: Mon, 23 Nov 2026 08:00:00 +0000\n\nGrüße\n.\n..\n.end\n";
    let mut child = home
        .command(["sendmail", "-t", "-i", "-f", "writer@home.test"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(letter.as_bytes())
        .expect("it reads");
    assert!(child.wait().expect("it ends").success(), "{}", remuda.log());
    let wanted = letter.replace("Bcc: <two@else.test>\n", "").replace('\n', "\r\n");
    sink.wait_for_recipients(2);
    let received: Vec<_> = sink.report().received().cloned().collect();
    remuda.wait_until_empty();
    assert!(remuda.stop().success());
    let mut recipients: Vec<_> = received
        .iter()
        .flat_map(|received| &received.recipients)
        .collect();
    recipients.sort_by(|a, b| a.address.cmp(&b.address));
    let addresses: Vec<&str> = recipients
        .iter()
        .map(|recipient| recipient.address.as_str())
        .collect();
    assert_eq!(addresses, ["one@example.test", "two@else.test"]);
    for received in &received {
        assert_eq!(received.sender, "writer@home.test");
        assert_eq!(
            received.sha256_without_trace,
            sha256(wanted.as_bytes()),
            "{}",
            text(received)
        );
    }
}
