//! Remuda delivers to real servers: mail arrives once, and what they refuse comes back.

use std::{collections::BTreeMap, io};

use remuda_load::{Config, Message, Plan};
use remuda_testing::{
    exim::Exim,
    opensmtpd::OpenSmtpd,
    peer::{Kept, Mode, Peer, UNKNOWN},
    postfix::Postfix,
    wait::wait_until,
};

use crate::{
    home::Home,
    letters::{self, Letter, load},
    sink::{Sink, route, text},
};

/// Delivers every form of letter to a server that keeps it, and one to somebody that it does not know.
fn delivers_to(start: impl FnOnce(Mode) -> io::Result<Box<dyn Peer>>) {
    let peer = start(Mode::Keep).expect("the peer is there");
    let senders = Sink::new();
    let home = Home::new(&[route("example.test", peer.address()), senders.route("home.test")].concat());
    let mut remuda = home.start();
    let mut letters = letters::every_form("example.test");
    letters::send(remuda.smtp, &letters);
    let mut refused = Letter::new("refused", "example.test", b"who?\r\n");
    refused.recipients[1] = format!("{UNKNOWN}@example.test");
    letters::send(remuda.smtp, std::slice::from_ref(&refused));
    refused.recipients.pop();
    letters.push(refused);

    let recipients = letters.iter().map(|letter| letter.recipients.len()).sum();
    wait_until(&format!("all mail is kept by {}", peer.name()), || {
        peer.messages().len() >= recipients
    });
    let bounce = &senders.wait_for(1)[0];
    assert_eq!((bounce.sender.as_str(), bounce.recipients.len()), ("", 1));
    assert_eq!(bounce.recipients[0].address, "writer@home.test");
    let report = text(bounce);
    for part in [
        "multipart/report",
        "Reporting-MTA: dns; remuda.test",
        "Final-Recipient: rfc822; unknown@example.test",
        "Action: failed",
        "Status: 5.",
        "Diagnostic-Code: smtp; 550 ",
        "Subject: refused",
    ] {
        assert!(report.contains(part), "{part:?} is not in\n{report}");
    }
    assert!(!report.contains("one@example.test\r\nAction"), "{report}");

    remuda.wait_until_empty();
    assert!(remuda.stop().success());
    assert_kept_once(&letters, &peer.kept());
    let report = senders.stop();
    assert_eq!((report.messages(), report.violations().next()), (1, None));
}

/// Checks that each letter was kept once for each of its recipients, unchanged, and nothing else.
fn assert_kept_once(letters: &[Letter], kept: &[Kept]) {
    let mut came: BTreeMap<(String, String), usize> = BTreeMap::new();
    for message in kept {
        let letter = letters.iter().find(|letter| letter.content == message.content);
        let letter =
            letter.unwrap_or_else(|| panic!("this has changed or was never sent:\n{}", message.text()));
        assert_eq!(message.sender, letter.sender);
        *came
            .entry((letter.id.clone(), message.recipient.clone()))
            .or_default() += 1;
    }
    let sent = letters.iter().flat_map(|letter| {
        letter
            .recipients
            .iter()
            .map(|recipient| ((letter.id.clone(), recipient.clone()), 1))
    });
    assert_eq!(came, sent.collect());
}

#[test]
fn mail_arrives_at_a_real_postfix_and_what_it_refuses_comes_back() {
    delivers_to(|mode| Ok(Box::new(Postfix::start(mode, &[])?)));
}

#[test]
fn mail_arrives_at_a_real_exim_and_what_it_refuses_comes_back() {
    delivers_to(|mode| Ok(Box::new(Exim::start(mode)?)));
}

#[test]
fn mail_arrives_at_a_real_opensmtpd_and_what_it_refuses_comes_back() {
    delivers_to(|mode| Ok(Box::new(OpenSmtpd::start(mode)?)));
}

#[test]
fn mail_that_needs_smtputf8_bounces_where_opensmtpd_does_not_offer_it() {
    let peer = OpenSmtpd::start(Mode::Keep).expect("the peer is there");
    let senders = Sink::new();
    let home = Home::new(&[route("example.test", peer.address()), senders.route("home.test")].concat());
    let mut remuda = home.start();
    let mut letter = Letter::new("utf8", "example.test", b"hello\r\n");
    letter.recipients = vec!["käthe@example.test".to_owned()];
    letter.parameters = "SMTPUTF8 BODY=8BITMIME";
    letters::send(remuda.smtp, &[letter]);
    let report = text(&senders.wait_for(1)[0]);
    assert!(report.contains("Status: 5.6.7"), "{report}");
    assert!(report.contains("Action: failed"), "{report}");
    assert!(remuda.stop().success());
    assert!(peer.messages().is_empty());
}

#[test]
fn a_wish_for_a_success_report_is_passed_on_to_a_real_postfix() {
    let postfix = Postfix::start(Mode::Keep, &[]).expect("the peer is there");
    // Also the sender is at home there, so that its report stays where it can be read.
    let home = Home::new(&route("*", postfix.address()));
    let mut remuda = home.start();
    let letter = Letter::new("wish", "example.test", b"hello\r\n");
    let message = Message {
        content: letter.content,
        sender: letter.sender,
        recipients: vec!["one@example.test".to_owned()],
        parameters: "RET=HDRS ENVID=QQ314159".to_owned(),
        recipient_parameters: "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@origin.test".to_owned(),
    };
    let sent = load(
        Config::to(remuda.smtp.to_string()),
        Plan::new(move |_| message.clone()),
    );
    assert_eq!(sent.failed, 0, "{sent}");
    postfix.wait_for_messages(2);
    remuda.wait_until_empty();
    assert!(remuda.stop().success());
    let (reports, mail): (Vec<Kept>, Vec<Kept>) = postfix
        .kept()
        .into_iter()
        .partition(|kept| kept.sender.is_empty());
    assert_eq!((reports.len(), mail.len()), (1, 1));
    assert_eq!(mail[0].recipient, "one@example.test");
    assert_eq!(reports[0].recipient, "writer@home.test");
    let report = reports[0].text();
    for part in [
        "Reporting-MTA: dns; postfix.test",
        "Original-Envelope-Id: QQ314159",
        "Original-Recipient: rfc822;first@origin.test",
        "Action: delivered",
    ] {
        assert!(report.contains(part), "{part:?} is not in\n{report}");
    }
}
