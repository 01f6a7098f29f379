//! Exim and OpenSMTPD against themselves: one instance relays to another.

use std::process::Command;

use remuda_testing::{
    exim::Exim,
    opensmtpd::OpenSmtpd,
    peer::{Mode, Peer},
    wait::wait_until,
};

/// Sends two recipients through `relays`, and one that `keeps` does not know to itself.
fn relay(relays: &dyn Peer, keeps: &dyn Peer) {
    let send = |to: &dyn Peer, recipients: &str| {
        Command::new("swaks")
            .args(["--server", &to.address().to_string(), "--from", "a@home.test"])
            .args(["--to", recipients, "--body", "it is me"])
            .output()
            .expect("swaks is installed")
    };
    let sent = send(relays, "b@else.test,c@else.test");
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stdout));
    wait_until("both have arrived", || keeps.kept().len() >= 2);
    let kept = keeps.kept();
    let mut recipients: Vec<&str> = kept.iter().map(|kept| kept.recipient.as_str()).collect();
    recipients.sort_unstable();
    assert_eq!(recipients, ["b@else.test", "c@else.test"], "{}", relays.log());
    for kept in &kept {
        assert_eq!(kept.sender, "a@home.test");
        assert!(kept.text().contains("\r\n\r\nit is me\r\n"), "{}", kept.text());
    }
    let refused = send(keeps, "unknown@else.test");
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(said.contains("<** 550"), "{said}");
}

#[test]
fn mail_relayed_by_one_exim_is_kept_by_another() {
    let keeps = Exim::start(Mode::Keep).unwrap();
    let relays = Exim::start(Mode::RelayTo(keeps.address())).unwrap();
    relay(&relays, &keeps);
}

#[test]
fn mail_relayed_by_one_opensmtpd_is_kept_by_another() {
    let keeps = OpenSmtpd::start(Mode::Keep).unwrap();
    let relays = OpenSmtpd::start(Mode::RelayTo(keeps.address())).unwrap();
    relay(&relays, &keeps);
}
